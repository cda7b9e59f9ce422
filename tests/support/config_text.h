/* support/config_text.h - a config.json as text in a test: read it, want it accepted, or refused with words.
 *
 * Thread: the test's own.  Memory: none is kept. */
#pragma once

#include "format/config.h"
#include "support/cmocka.h"

#define SIZES                                                                                      \
    "\"num_hidden_layers\":4,\"num_attention_heads\":4,\"hidden_size\":64,"                        \
    "\"intermediate_size\":160,\"vocab_size\":512"
#define LLAMA "\"model_type\":\"llama\"," SIZES

static inline krs_status read_text(const char *text, krs_model_config *out, krs_error *err)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    json_t *root;
    *err = (krs_error)KRS_ERROR_INIT;
    assert_int_equal(krs_json_parse(krs_str_of(text), &limits, &root, err), KRS_OK);
    const krs_status status = krs_model_config_read(root, NULL, out, err);
    json_decref(root);
    return status;
}

static inline krs_model_config accept(const char *text)
{
    krs_model_config config;
    krs_error err;
    if (read_text(text, &config, &err) != KRS_OK) {
        print_error("%s\n  gave %s\n", text, err.message);
        fail();
    }
    return config;
}

static inline void refuse(const char *text, krs_status want, const char *field, const char *why)
{
    krs_model_config config;
    krs_error err;
    const krs_status status = read_text(text, &config, &err);
    if (status != want || !strstr(err.message, field) || !strstr(err.message, why)) {
        print_error("%s\n  gave %s: %s\n  want \"%s\" and \"%s\"\n", text, krs_status_name(status),
                    err.message, field, why);
        fail();
    }
    assert_null(config.overrides);
}
