/* format/config_priv.h - the parts of the config reader, one per topic, joined by config.c.
 *
 * Thread: any.  Memory: only krs_config_read_quant allocates (config->overrides). */
#pragma once

#include "format/config.h"
#include "os/file.h"

/* Largest context length, factor and frequency base that anybody has used, with a wide margin. */
#define CONFIG_MAX_THETA  1e12
#define CONFIG_MAX_FACTOR 1e6

/* How a family says which layers are windowed. */
typedef enum config_window_rule {
    CONFIG_WINDOW_NEVER,  /* the family has none, whatever the file says */
    CONFIG_WINDOW_ALL,    /* every layer */
    CONFIG_WINDOW_SWITCH, /* use_sliding_window, then layer_types or max_window_layers */
    CONFIG_WINDOW_LAYERS, /* layer_types, or every layer */
} config_window_rule;

/* What a family assumes when the file is silent. */
typedef struct config_defaults {
    const char *model_type;
    int32_t n_kv_heads; /* 0: as many as heads */
    int32_t head_dim;   /* 0: hidden / heads */
    int64_t max_positions;
    int64_t window;
    config_window_rule rule;
} config_defaults;

/* Windows into config->window and window_layers; the sizes are already read.
 * Errors: KRS_EINVAL, KRS_EFORMAT (a list that contradicts the sizes), KRS_EUNSUPPORTED (a layer type). */
KRS_MUST_USE krs_status krs_config_read_windows(const json_t *text, const config_defaults *family,
                                                krs_model_config *config, krs_error *err);

/* RoPE from rope_parameters (transformers 5) or rope_theta and rope_scaling (4); max_positions is
 * already read. Errors: KRS_EINVAL, KRS_EUNSUPPORTED (a type, or a part of the head, that is not known). */
KRS_MUST_USE krs_status krs_config_read_rope(const json_t *text, krs_model_config *config,
                                             krs_error *err);

/* MLX `quantization`, or a hub's `quantization_config`. root: the outermost object;
 * text: text_config, or root again. */
KRS_MUST_USE krs_status krs_config_read_quant(const json_t *root, const json_t *text,
                                              krs_model_config *config, krs_error *err);

/* A quantization_config that is not MLX's. Errors: KRS_EINVAL, KRS_EUNSUPPORTED (method, named, or a
 * setting of it). */
KRS_MUST_USE krs_status krs_config_read_hub_quant(const json_t *block, krs_hub_quant *out,
                                                  krs_error *err);

/* eos_token_id: one id or a list, into ids[KRS_CONFIG_MAX_EOS]; absent or null leaves both untouched. */
KRS_MUST_USE krs_status krs_config_read_eos(const json_t *object, uint32_t *ids, uint32_t *n,
                                            krs_error *err);

/* dir/name parsed into an object (json_decref). KRS_EFORMAT when it is no JSON object. */
KRS_MUST_USE krs_status krs_config_parse_file(const char *dir, const char *name,
                                              const krs_alloc *alloc, json_t **out, krs_error *err);

/* Wrap with the file's name and return status. What a reader calls a bad argument (KRS_EINVAL) is a bad
 * file (KRS_EFORMAT) to whoever gave it. */
krs_status krs_config_blame_file(krs_error *err, krs_status status, const char *name);

/* A string field into out[max_bytes] (with its NUL); absent: untouched. */
KRS_MUST_USE krs_status krs_config_copy_str(const json_t *object, const char *field, char *out,
                                            size_t max_bytes, krs_error *err);
