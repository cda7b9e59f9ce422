/* model/model.h - a model folder, bound: its weights found, checked and written down as a program.
 *
 * One data-driven decoder serves every family: model/families/ describes what differs (tensor names,
 * biases, norms, blocks), and the decoder reads the description. The program's matrices point into the
 * mapped files; only what cannot be used as it lies there is copied (stats count it).
 *
 * Thread: immutable after open; share freely.  Memory: mappings, the program, copies. */
#pragma once

#include "compute/program.h"
#include "format/config.h"
#include "os/file.h"
#include "tensor/directory.h"

typedef struct krs_model krs_model;

typedef struct krs_model_options {
    size_t size;              /* sizeof(krs_model_options) */
    krs_os_map_mode map_mode; /* default KRS_OS_MAP_SHARED_PAGES */
    /* Tokens a sequence may have at most; 0: what the model was made for. Rotations that are stretched with
     * the context (longrope, dynamic) are chosen by it, here and for good. */
    int64_t context_tokens;
} krs_model_options;

#define KRS_MODEL_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(krs_model_options), KRS_OS_MAP_SHARED_PAGES, 0                                      \
    }

/* path: a folder with config.json and safetensors, or a GGUF file (source.h). options: NULL = defaults.
 * Errors: KRS_EINVAL (a context the model cannot have), KRS_ENOENT (not a model folder; a missing tensor, named), KRS_EUNSUPPORTED (family, listing the
 * nearest ones; activation; quantisation), KRS_EFORMAT (wrong shape, both shapes; vocabulary mismatch),
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_model_open(const char *path, const krs_model_options *options,
                                       const krs_alloc *alloc, krs_model **out, krs_error *err);
void krs_model_close(krs_model *model);

const krs_program *krs_model_program(const krs_model *model);
const krs_model_config *krs_model_config_of(const krs_model *model);
/* The type that most bytes of the files are of: "BF16", "q4_k". */
const char *krs_model_main_type(const krs_model *model);
/* What the files hold, used or not; valid until _close. */
const krs_tensor_dir *krs_model_tensors(const krs_model *model);

/* What `krs inspect` prints and the planner needs. */
typedef struct krs_model_stats {
    uint64_t n_parameters;    /* logical weights, a tied head counted once */
    uint64_t file_bytes;      /* of all shards */
    uint64_t embedding_bytes; /* by kind, scales and biases included */
    uint64_t attention_bytes;
    uint64_t ffn_bytes;
    uint64_t expert_bytes; /* of those: of routed experts, of which a token reads top_k in n */
    uint64_t norm_bytes;
    uint64_t head_bytes; /* 0 when tied */
    uint64_t
        converted_bytes; /* of those above: not as in the file, but in a copy that the model owns */
    uint64_t kv_bytes_per_token_f16;
} krs_model_stats;

krs_model_stats krs_model_stats_of(const krs_model *model);
