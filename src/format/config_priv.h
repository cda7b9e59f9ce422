/* format/config_priv.h - the parts of the config reader, one per topic, joined by config.c.
 *
 * Thread: any.  Memory: krs_config_read_quant and _rope allocate, for the config. */
#pragma once

#include "format/config_family.h"
#include "os/file.h"

/* Largest context length, factor and frequency base that anybody has used, with a wide margin. */
#define CONFIG_MAX_THETA  1e12
#define CONFIG_MAX_FACTOR 1e6

/* "n_layer" where the file says that instead of "num_hidden_layers"; otherwise the field itself. */
const char *krs_config_spelling(const json_t *text, const char *field);

/* krs_json_get_int of a narrower field. */
KRS_MUST_USE krs_status krs_config_get_int32(const json_t *object, const char *field, int32_t min,
                                             int32_t max, int32_t *out, krs_error *err);

/* The parts of a network's description, in the order in which they need each other. Errors: KRS_EINVAL,
 * KRS_EFORMAT (numbers that contradict each other), KRS_EUNSUPPORTED. */
KRS_MUST_USE krs_status krs_config_read_sizes(const json_t *text, const config_defaults *family,
                                              krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_heads(const json_t *text, const config_defaults *family,
                                              krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_latent(const json_t *text, const config_defaults *family,
                                               krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_linear(const json_t *text, const config_defaults *family,
                                               krs_model_config *config, krs_error *err);
/* Windowed, rotated and recurrent layers. */
KRS_MUST_USE krs_status krs_config_read_layers(const json_t *text, const config_defaults *family,
                                               krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_experts(const json_t *text, const config_defaults *family,
                                                krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_norm_eps(const json_t *text, const config_defaults *family,
                                                 krs_model_config *config, krs_error *err);
KRS_MUST_USE krs_status krs_config_read_switches(const json_t *text, const config_defaults *family,
                                                 krs_model_config *config, krs_error *err);
/* RoPE from rope_parameters (transformers 5) or rope_theta and rope_scaling (4). Allocates longrope's
 * lists, freed by the next, also after a failure. */
KRS_MUST_USE krs_status krs_config_read_rope(const json_t *text, const config_defaults *family,
                                             krs_model_config *config, krs_error *err);
void krs_config_free_rope(krs_model_config *config);
KRS_MUST_USE krs_status krs_config_read_scales(const json_t *text, const config_defaults *family,
                                               krs_model_config *config, krs_error *err);

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

/* What only encoders' files say; sizes are already read, and max_positions becomes tokens. Errors: KRS_EINVAL,
 * KRS_EFORMAT, KRS_EUNSUPPORTED (a decoder, relative keys). */
KRS_MUST_USE krs_status krs_config_read_encoder(const json_t *text, const config_defaults *family,
                                                krs_model_config *config, krs_error *err);

/* dir/name parsed (json_decref). */
KRS_MUST_USE krs_status krs_config_parse_any(const char *dir, const char *name,
                                             const krs_alloc *alloc, json_t **out, krs_error *err);
/* dir/name parsed into an object (json_decref). KRS_EFORMAT when it is no JSON object. */
KRS_MUST_USE krs_status krs_config_parse_file(const char *dir, const char *name,
                                              const krs_alloc *alloc, json_t **out, krs_error *err);

/* Wrap with the file's name and return status. What a reader calls a bad argument (KRS_EINVAL) is a bad
 * file (KRS_EFORMAT) to whoever gave it. */
krs_status krs_config_blame_file(krs_error *err, krs_status status, const char *name);

/* A string field into out[max_bytes] (with its NUL); absent: untouched. */
KRS_MUST_USE krs_status krs_config_copy_str(const json_t *object, const char *field, char *out,
                                            size_t max_bytes, krs_error *err);
