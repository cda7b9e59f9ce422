/* format/gguf_arch.h - what an architecture's converter renamed, as tables.
 *
 * Thread: constant tables. */
#pragma once

#include "format/gguf_folder.h"

/* A tensor: "blk.#.ffn_up" and the module it was made from; '#' stands for the layer in both. */
typedef struct gguf_name {
    const char *gguf; /* without its ".weight" or ".bias"; NULL ends a list */
    /* '#' for the layer, '@' for the expert: then the tensor is a stack of them. A last '!' keeps the
     * ".weight" away, as the hub has some. */
    const char *hub;
    bool is_row; /* a vector here, a matrix of one row on the hub */
} gguf_name;

typedef enum gguf_field_kind {
    GGUF_FIELD_INT,
    GGUF_FIELD_REAL,
    GGUF_FIELD_BOOL,
} gguf_field_kind;

/* A setting: "llama." + key and the field of config.json. */
typedef struct gguf_field {
    const char *key; /* NULL ends a list */
    const char *field;
    gguf_field_kind kind;
} gguf_field;

typedef struct gguf_arch {
    const char *name;         /* general.architecture */
    const char *model_type;   /* of config.json */
    const gguf_name *names;   /* looked at before the ones all have; NULL: none */
    const gguf_field *fields; /* beside the ones all have; NULL: none */
    /* gemma: queries are scaled by head_dim, but in models of so many layers by hidden / heads; 0: the
     * family has no scalar */
    int32_t query_scalar_layers;
    const char *constants;    /* JSON: fields that the architecture implies; NULL: none */
    bool is_yarn_untruncated; /* `truncate` of yarn is false */
    krs_weight_changes changes;
    bool has_experts; /* the second of two rows of one name, for files with an expert_count */
} gguf_arch;

/* Of general.architecture. Errors: KRS_EFORMAT (no such setting), KRS_EUNSUPPORTED, naming the known. */
KRS_MUST_USE krs_status krs_gguf_arch_find(const krs_gguf *gguf, const gguf_arch **out,
                                           krs_error *err);

/* The architecture's own list, or that of all; NULL: none. */
const gguf_field *krs_gguf_arch_fields(const gguf_arch *arch, bool is_common);
const gguf_name *krs_gguf_arch_names(const gguf_arch *arch, bool is_common);

#define GGUF_KEY_BYTES 128

/* "block_count" as this architecture's key: "llama.block_count". */
void krs_gguf_arch_key(const gguf_arch *arch, const char *key, char out[GGUF_KEY_BYTES]);
