/* compute/cpu/cpu.h - the backend for this machine's processor: vectors, threads, weights used in place.
 *
 *   team (threads) + kernels (instruction set)     per backend
 *   host exec + packed x + rope tables + vectors   per exec
 *
 * Every op cuts its rows or its outputs over the team by index; nothing is shared while it runs but
 * inputs. Small ops stay on the owner's thread: a fork costs about as much as a few thousand elements.
 *
 * Thread: one owner per exec; execs of one backend share its team, so one of them steps at a time.
 * Memory: as compute/host.h, plus norm weights and biases widened to f32 (plan: copied_bytes). */
#pragma once

#include "compute/cpu/row_form.h"
#include "compute/cpu/team.h"
#include "compute/host.h"
#include "os/pages.h"

#define KRS_CPU_MAX_ROPES 8 /* different rotations in one program; today's models have 1 or 2 */
/* An op on fewer elements is not worth a fork: some 10 us of norm, rope or add against the few us that
 * waking and joining a team costs. */
#define KRS_CPU_FORK_ELEMENTS        65536
#define KRS_CPU_PRODUCTS_PER_ELEMENT 16 /* multiply-adds that cost what one such element does */
#define KRS_CPU_ROWS_BLOCK_BYTES     (256 * 1024) /* packed rows kept in the L2 cache by a linear op */
#define KRS_CPU_LINEARS_AT_ONCE      4            /* of one fork: q, k and v; gate and up */
#define KRS_CPU_WIDENED_OUTS                                                                       \
    12 /* outputs widened at once: whole f32 tiles everywhere, 192 KiB at 4096 columns */

typedef struct krs_cpu_backend {
    krs_backend base;
    krs_cpu_kernels kernels;
    krs_cpu_kernels exact; /* the same, but for linears that round no row: krs_op.is_exact */
    krs_cpu_team *team;
} krs_cpu_backend;

/* Cosines and sines of one rotation for the rows of the step. */
typedef struct krs_cpu_rope_table {
    uint32_t freqs; /* the rotation: krs_op.rope.freqs, n_freqs, scale */
    int32_t n_freqs;
    float scale;
    float *values; /* [max_rows][2][n_freqs]: cosines, then sines */
} krs_cpu_rope_table;

typedef struct krs_cpu_exec {
    krs_host_exec host;
    const krs_cpu_kernels *kernels;
    const krs_cpu_kernels *exact;
    krs_cpu_team *team;
    /* [n_matrices] f32 values of norm weights, biases and other vectors, and of convolutions' kernels,
     * turned: [kernel][channels]; NULL for other matrices */
    const float **vectors;
    float *vector_values; /* where they lie: an allocation of its own */
    krs_cpu_rope_table ropes[KRS_CPU_MAX_ROPES];
    uint32_t n_ropes;
    unsigned char *packed;  /* rows of x as the current linear op's kernel wants them */
    unsigned char *experts; /* scratch of experts.c */
    float *thread_scratch;  /* [n_threads][thread_floats] */
    size_t thread_floats;
    float *attend;            /* scratch of ATTENTION and ATTEND_ROWS: attention.h, attend_rows.h */
    krs_tiles *tiles;         /* [n_matrices]; kind NONE: the matrix is read as it lies */
    krs_os_pages *tile_pages; /* their bytes; NULL: none */
    bool has_packed; /* packed holds the first packed_rows rows of packed_slot in packed_form */
    krs_slot packed_slot;
    int64_t packed_rows;
    krs_cpu_row_form packed_form;
} krs_cpu_exec;

/* As krs_backend_open. */
KRS_MUST_USE krs_status krs_cpu_open(const krs_backend_options *options, const krs_alloc *alloc,
                                     krs_backend **out, krs_error *err);

/* Run fn(arg, index, n_threads) on the team, or here alone when n_elements is small. */
void krs_cpu_fork(const krs_cpu_exec *exec, int64_t n_elements, krs_cpu_task task, void *arg);

/* Fill the rope tables for the rows of the step. */
void krs_cpu_fill_ropes(krs_cpu_exec *exec);

/* LINEAR and HEAD_LINEAR: ops[0], and those of the next that can run beside it; returns how many, from 1 to
 * n_ops. */
uint32_t krs_cpu_linear_ops(krs_cpu_exec *exec, const krs_op *ops, uint32_t n_ops);

/* One op of program.h each, over all rows of the current step. */
void krs_cpu_embed(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_take_rows(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_norm_op(krs_cpu_exec *exec, const krs_op *op); /* RMS_NORM, LAYER_NORM */
void krs_cpu_rope(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_kv_write(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_attention_op(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_glu(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_add(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_scale_op(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_activate(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_add_position(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_add_vector(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_copy(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_route(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_experts(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_conv_op(krs_cpu_exec *exec, const krs_op *op);
void krs_cpu_delta_op(krs_cpu_exec *exec, const krs_op *op);
