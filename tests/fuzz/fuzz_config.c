/* tests/fuzz/fuzz_config.c - config.json and generation_config.json, from text to struct. */
#include "format/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the reader promises to those who build a model from the result. */
static bool has_sizes(const krs_model_config *c)
{
    return c->n_layers > 0 && c->n_heads > 0 && c->n_kv_heads > 0 && c->head_dim > 0 &&
           c->hidden > 0 && c->ffn > 0 && c->vocab > 0;
}

static void check_promises(const krs_model_config *c)
{
    if (!has_sizes(c) || c->n_layers > KRS_CONFIG_MAX_LAYERS || c->n_heads % c->n_kv_heads != 0 ||
        c->head_dim % 2 != 0 || c->n_eos > KRS_CONFIG_MAX_EOS || !(c->rope.factor >= 1.0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    const krs_str text = {(const char *)data, size};
    krs_error err = KRS_ERROR_INIT;
    json_t *root;
    if (krs_json_parse(text, &limits, &root, &err) != KRS_OK) {
        return 0;
    }
    krs_model_config config;
    if (krs_model_config_read(root, NULL, &config, &err) == KRS_OK) {
        check_promises(&config);
        (void)krs_model_config_quant(&config, KRS_STR("model.layers.0.mlp.up_proj"));
    } else if (config.overrides || err.message[0] == '\0') {
        abort();
    }
    krs_model_config_deinit(&config);
    krs_generation_config generation;
    err = (krs_error)KRS_ERROR_INIT;
    const krs_status status = krs_generation_config_read(root, &generation, &err);
    json_decref(root);
    if (status != KRS_OK && err.message[0] == '\0') {
        abort(); /* a refusal without a reason */
    }
    return 0;
}
