/* format/quantize.h - tensors of a model, or of one file, quantised on their way into new files.
 *
 *   folder   every matrix `m.weight` (a linear or an embedding: MLX's rule) whose rows divide into groups
 *            becomes m.weight U32, m.scales and, affine, m.biases; the rest is copied
 *   file     every matrix t becomes t, t.scales, t.biases; the rest is copied
 *
 * A folder is written as MLX has it, also where that is not how the hub has it: experts that are a tensor
 * each become one stack (mlp.experts.3.up_proj -> mlp.switch_mlp.up_proj, mixtral's w1 w2 w3 -> gate_proj
 * down_proj up_proj), gpt2's turned weights are turned back, and a head that the configuration ties to the
 * embedding is left out.
 *
 * Tensors pass through in pieces; a weight that holds what is no number is refused, for it would poison its
 * whole group.
 *
 * Thread: any; one call owns its target.  Memory: the plan, pieces of 64 Ki values, and the scales and
 * biases of one tensor (at most a quarter of what it takes in 16-bit floats; usually a sixteenth). */
#pragma once

#include "format/safetensors.h"
#include "format/safetensors_write.h"
#include "tensor/quant.h"

typedef struct krs_quantize_options {
    size_t size;     /* sizeof(krs_quantize_options) */
    krs_quant quant; /* a kind that krs_quantise makes */
    bool is_model;   /* by the rules of a folder, else of a file */
    bool is_tied;    /* model: the head is the embedding */
    bool is_turned;  /* model: gpt2's way of storing linears */
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes); /* of the output */
    void *ctx;
} krs_quantize_options;

#define KRS_QUANTIZE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .size = sizeof(krs_quantize_options)                                                       \
    }

typedef struct krs_quantize_result {
    uint32_t n_quantised; /* matrices */
    uint32_t n_kept;      /* tensors copied as they were */
    uint32_t n_files;
    uint64_t n_bytes;         /* of tensor data written */
    uint64_t n_weights;       /* in quantised matrices */
    uint64_t quantised_bytes; /* of those, scales and biases included */
} krs_quantize_result;

/* Read dir's tensors (borrowed) and write them to target.
 * Errors: KRS_EUNSUPPORTED (the kind), KRS_EINVAL (nothing to write), KRS_EFORMAT (a value that is no
 * number, a name that would be there twice: the tensor), and those of krs_safetensors_writer_open_as. */
KRS_MUST_USE krs_status krs_quantize(const krs_tensor_dir *dir,
                                     const krs_safetensors_target *target,
                                     const krs_quantize_options *options, const krs_alloc *alloc,
                                     krs_quantize_result *out, krs_error *err);
