/* compute/cuda/device.cuh - what the CUDA files share: the exec, weights on the device, error turning.
 *
 * First, correct kernels: f32 activations, one fixed reduction order per output, weights in the layout
 * of the file. Everything runs on one stream per exec; a step's inputs travel in one copy from a pinned
 * stage and its logits come back the same way, so up to KRS_EXEC_MAX_IN_FLIGHT steps queue without a
 * synchronisation between them.
 *
 * Thread: one owner per exec.  Memory: all in exec_new; submit and collect allocate nothing. */
#pragma once

extern "C" {
#include "compute/cuda/cuda.h"
}

#include <cuda_runtime.h>

#define KRS_CUDA_THREADS                                                                           \
    256 /* threads of an elementwise block: 8 warps hide latency at any shape */

/* A krs_matrix whose pointers lie on the device. */
struct krs_cuda_matrix {
    int64_t n_out;
    int64_t n_in;
    krs_quant quant;
    krs_dtype dtype;
    krs_dtype scale_dtype;
    const void *data;
    const void *scales;
    const void *biases;
};

/* Inputs of a step on the device; word arrays in one allocation, in this order. */
struct krs_cuda_inputs {
    uint32_t *tokens;      /* [max_rows] */
    uint32_t *positions;   /* [max_rows] */
    uint32_t *row_seqs;    /* [max_rows] */
    uint32_t *logit_rows;  /* [max_logit_rows] */
    uint32_t *hidden_rows; /* [max_hidden_rows] */
    uint32_t *block_begin; /* [max_seqs] first entry of a sequence's table in blocks */
    uint32_t *blocks;      /* [max_seqs * max_blocks] */
};

/* One step in flight. */
struct krs_cuda_stage {
    uint32_t *host_words; /* pinned; laid out as krs_cuda_inputs */
    uint32_t *device_words;
    krs_cuda_inputs host;
    krs_cuda_inputs device;
    float *host_logits; /* pinned [max_logit_rows, vocab] */
    float *host_hidden; /* pinned [max_hidden_rows, width of the hidden slot] */
    cudaEvent_t done;
    uint32_t n_logit_rows;
    uint32_t n_hidden_rows;
};

/* K and V: [layer][block][kv head][16 positions][head_dim] of kv_dtype; in int8, their scales:
 * [layer][block][kv head][16 positions]. */
struct krs_cuda_kv {
    unsigned char *k;
    unsigned char *v;
    float *k_scales; /* NULL unless int8 */
    float *v_scales;
    krs_dtype dtype;
    int n_blocks;
    int n_heads;
    int head_dim;
};

struct krs_cuda_exec {
    krs_exec base;
    const krs_program *program;
    krs_exec_limits limits;
    int ordinal;
    cudaStream_t stream;
    unsigned char *weights;    /* device: all matrices */
    krs_cuda_matrix *matrices; /* host [n_matrices], device pointers inside */
    float *floats;             /* device */
    float *slot_memory;        /* device */
    float *slots[KRS_PROGRAM_MAX_SLOTS];
    krs_cuda_kv kv;
    size_t max_blocks; /* table entries of one sequence */
    uint32_t vocab;    /* tokens must be below it */
    krs_cuda_stage stages[KRS_EXEC_MAX_IN_FLIGHT];
    uint64_t n_submitted;
    uint64_t n_collected;
    bool is_failed;
};

/* What every kernel launch of a step needs. */
struct krs_cuda_step {
    const krs_cuda_exec *exec;
    const krs_cuda_inputs *inputs; /* on the device */
    int n_rows;
    int n_logit_rows;
    int n_hidden_rows;
    cudaStream_t stream;
};

/* KRS_OK, or KRS_EDEVICE with the device's own words. */
krs_status krs_cuda_check(cudaError_t code, const char *what, krs_error *err);

/* The op families: launch one op. Launch errors are read once at the end of the step. */
void krs_cuda_embed(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_take_rows(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_glu(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_add(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_rms_norm(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_rope(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_linear(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_kv_write(const krs_cuda_step *step, const krs_op *op);
void krs_cuda_attention(const krs_cuda_step *step, const krs_op *op);

/* Rows of a slot in this step. */
static inline int krs_cuda_n_rows(const krs_cuda_step *step, krs_slot slot)
{
    const krs_rows rows = step->exec->program->slots[slot].rows;
    return rows == KRS_ROWS_ALL      ? step->n_rows
           : rows == KRS_ROWS_LOGITS ? step->n_logit_rows
                                     : step->n_hidden_rows;
}
