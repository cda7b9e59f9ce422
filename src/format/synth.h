/* format/synth.h - models with random weights: every shape, no training, the same bytes from the same
 * seed.
 *
 * Speed, memory and correctness of loading depend on shapes and layouts, not on what the weights say, so
 * a benchmark needs no download. Values are normal with the spread transformers initialises with, so
 * activations stay in range. Each value depends on (seed, tensor name, index) only: any tensor can be
 * made alone, in any order and in pieces, and nothing is ever held whole.
 *
 * Thread: any; one call owns its folder.  Memory: a table of 256 KiB, pieces of 64 Ki values, and when
 * quantising the scales of one tensor (a 32nd of it and less). */
#pragma once

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"
#include "format/safetensors_write.h"
#include "tensor/quant.h"

#define KRS_SYNTH_STD 0.02 /* initializer_range of every family here */

/* One module of a network: a linear or an embedding, or a norm. */
typedef struct krs_synth_module {
    krs_str name;  /* "model.layers.0.mlp.up_proj", borrowed; ".weight" and so on are added */
    int64_t n_out; /* rows; 0: a norm, a vector of n_in ones */
    int64_t n_in;
    int64_t n_stack;    /* one dimension more in front, of so many such matrices; 0: none */
    bool is_transposed; /* [n_in, n_out] in the file, unless it is quantised */
    bool is_depthwise;  /* [n_out, 1, n_in] */
    bool is_bare;       /* no ".weight"; never quantised */
    bool has_bias;      /* a vector of n_out (a norm: n_in) beside it */
    float offset;       /* what the network adds to a norm's vector, which holds 1 - offset */
} krs_synth_module;

typedef struct krs_synth_options {
    size_t size;     /* sizeof(krs_synth_options) */
    krs_dtype dtype; /* F32, F16 or BF16: of everything dense, and of scales */
    krs_quant quant; /* of every module with rows; kind NONE: dense */
    uint64_t seed;
    uint64_t max_shard_bytes;
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes); /* NULL: none */
    void *ctx;
} krs_synth_options;

#define KRS_SYNTH_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(krs_synth_options), .dtype = KRS_DTYPE_BF16,                                \
        .max_shard_bytes = KRS_ST_DEFAULT_SHARD_BYTES                                              \
    }

typedef struct krs_synth_result {
    uint64_t n_parameters; /* scales not counted */
    uint64_t n_bytes;      /* of tensor data */
    uint32_t n_tensors;
    uint32_t n_shards;
} krs_synth_result;

/* Write the tensors of modules[n] into dir, which exists. out may be NULL.
 * Errors: KRS_EINVAL (dtype), KRS_EFORMAT / KRS_EUNSUPPORTED (a module that the quantisation does not
 * fit), and those of krs_safetensors_writer_open. */
KRS_MUST_USE krs_status krs_synth_write(const char *dir, const krs_synth_module *modules,
                                        uint32_t n, const krs_synth_options *options,
                                        const krs_alloc *alloc, krs_synth_result *out,
                                        krs_error *err);
