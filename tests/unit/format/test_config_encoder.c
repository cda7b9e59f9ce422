/* tests/unit/format/test_config_encoder.c - what encoders' config.json says and leaves out: where positions
 * begin, types, buckets, which layers see all; and what would make it another network is refused. */
#include "format/config.h"
#include "support/cmocka.h"

#include <stdio.h>

#define SIZES                                                                                      \
    "\"num_attention_heads\":4,\"hidden_size\":64,\"num_hidden_layers\":6,"                        \
    "\"intermediate_size\":160,\"vocab_size\":512"

static krs_status read_text(const char *model_type, const char *more, krs_model_config *out,
                            krs_error *err)
{
    char text[2048];
    const krs_json_limits limits = {.max_bytes = sizeof(text)};
    json_t *root = NULL;
    (void)snprintf(text, sizeof(text), "{\"model_type\":\"%s\",%s}", model_type, more);
    assert_int_equal(krs_json_parse(krs_str_of(text), &limits, &root, err), KRS_OK);
    const krs_status status = krs_model_config_read(root, NULL, out, err);
    json_decref(root);
    return status;
}

static krs_model_config accept(const char *model_type, const char *more)
{
    krs_model_config config;
    krs_error err = KRS_ERROR_INIT;
    if (read_text(model_type, more, &config, &err) != KRS_OK) {
        fail_msg("%s: %s", model_type, err.message);
    }
    assert_true(config.is_encoder);
    assert_int_equal(krs_model_config_cache(&config).n_layers, 0);
    return config;
}

static void refuse(const char *model_type, const char *more, krs_status want, const char *says)
{
    krs_model_config config;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = read_text(model_type, more, &config, &err);
    if (status != want || !strstr(err.message, says)) {
        fail_msg("%s %s: %s: %s", model_type, more, krs_status_name(status), err.message);
    }
}

static void defaults_are_those_of_the_classes(void **state)
{
    (void)state;
    static const struct {
        const char *model_type;
        int32_t n_types;
        int32_t n_buckets;
        int32_t offset;
    } all[] = {{"bert", 2, 0, 0},
               {"roberta", 2, 0, 2},
               {"xlm-roberta", 2, 0, 2},
               {"mpnet", 0, 32, 2},
               {"distilbert", 0, 0, 0}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const krs_model_config c = accept(all[i].model_type, SIZES);
        assert_int_equal(c.n_types, all[i].n_types);
        assert_int_equal(c.n_buckets, all[i].n_buckets);
        assert_int_equal(c.position_offset, all[i].offset);
        assert_int_equal(c.max_positions, 512 - all[i].offset);
        assert_true(c.norm_eps == 1e-12);
        assert_string_equal(c.activation, "gelu");
        assert_false(krs_layer_set_has(&c.rope_layers, 0));
    }
    krs_model_config llama;
    assert_int_equal(read_text("llama", SIZES, &llama, NULL), KRS_OK);
    assert_false(llama.is_encoder);
}

static void positions_begin_behind_the_padding_id(void **state)
{
    (void)state;
    krs_model_config c =
        accept("roberta", SIZES ",\"pad_token_id\":5,\"max_position_embeddings\":100");
    assert_int_equal(c.position_offset, 6);
    assert_int_equal(c.max_positions, 94);
    c = accept("mpnet", SIZES ",\"pad_token_id\":5,\"max_position_embeddings\":100");
    assert_int_equal(c.position_offset, 2); /* its class looks at nothing else */
    c = accept("bert", SIZES ",\"pad_token_id\":5,\"max_position_embeddings\":100");
    assert_int_equal(c.max_positions, 100);
    refuse("roberta", SIZES ",\"pad_token_id\":9,\"max_position_embeddings\":10", KRS_EFORMAT,
           "max_position_embeddings: 10, but positions begin at 10");
}

static void distilbert_has_words_of_its_own(void **state)
{
    (void)state;
    const krs_model_config c =
        accept("distilbert", "\"dim\":96,\"hidden_dim\":200,\"n_layers\":3,\"n_heads\":6,"
                             "\"vocab_size\":512,\"activation\":\"relu\"");
    assert_int_equal(c.hidden, 96);
    assert_int_equal(c.ffn, 200);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.n_heads, 6);
    assert_int_equal(c.head_dim, 16);
    assert_string_equal(c.activation, "relu");
}

static void modernberts_layers_see_all_or_a_window(void **state)
{
    (void)state;
    krs_model_config c = accept("modernbert", SIZES);
    assert_int_equal(c.window, 64);
    for (int32_t i = 0; i < c.n_layers; i++) {
        assert_int_equal(krs_model_config_is_windowed(&c, i), i % 3 != 0);
    }
    assert_true(c.rope.theta == 160000);
    assert_true(c.has_local_rope);
    assert_true(c.local_rope.theta == 10000);
    assert_false(c.has_norm_bias || c.has_attention_bias || c.has_mlp_bias);
    c = accept("modernbert",
               SIZES ",\"local_attention\":16,\"global_attn_every_n_layers\":2,\"norm_bias\":true,"
                     "\"global_rope_theta\":5000.0,\"local_rope_theta\":700.0,\"norm_eps\":1e-6");
    assert_int_equal(c.window, 8);
    assert_true(krs_model_config_is_windowed(&c, 1));
    assert_true(!krs_model_config_is_windowed(&c, 2));
    assert_true(c.rope.theta == 5000);
    assert_true(c.local_rope.theta == 700);
    assert_true(c.norm_eps == 1e-6);
    assert_true(c.has_norm_bias);
    c = accept("modernbert",
               SIZES ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":9000.0,"
                     "\"rope_type\":\"default\"},\"sliding_attention\":"
                     "{\"rope_theta\":80.0,\"rope_type\":\"default\"}},"
                     "\"layer_types\":[\"sliding_attention\",\"full_attention\","
                     "\"full_attention\",\"full_attention\",\"full_attention\","
                     "\"full_attention\"]");
    assert_true(c.rope.theta == 9000);
    assert_true(c.local_rope.theta == 80);
    assert_true(krs_model_config_is_windowed(&c, 0));
    assert_true(!krs_model_config_is_windowed(&c, 1));
}

static void other_networks_of_the_same_shape_are_refused(void **state)
{
    (void)state;
    refuse("bert", SIZES ",\"position_embedding_type\":\"relative_key\"", KRS_EUNSUPPORTED,
           "position_embedding_type: relative_key, want absolute");
    refuse("roberta", SIZES ",\"is_decoder\":true", KRS_EUNSUPPORTED, "is_decoder: true");
    refuse("mpnet", SIZES ",\"relative_attention_num_buckets\":30", KRS_EFORMAT,
           "relative_attention_num_buckets: 30, want a multiple of 4");
    refuse("bert", SIZES ",\"type_vocab_size\":0", KRS_EINVAL, "type_vocab_size");
    refuse("modernbert", SIZES ",\"local_attention\":1", KRS_EINVAL, "local_attention");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_classes),
        cmocka_unit_test(positions_begin_behind_the_padding_id),
        cmocka_unit_test(distilbert_has_words_of_its_own),
        cmocka_unit_test(modernberts_layers_see_all_or_a_window),
        cmocka_unit_test(other_networks_of_the_same_shape_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
