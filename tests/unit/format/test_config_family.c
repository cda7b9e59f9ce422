/* tests/unit/format/test_config_family.c - what each family assumes where its config.json is silent, and
 * files that contradict themselves: refused with both numbers before anything is loaded. */
#include "format/config.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>

#define HEADS "\"num_attention_heads\":8,\"hidden_size\":64,"
#define SIZES HEADS "\"num_hidden_layers\":8,\"intermediate_size\":160,\"vocab_size\":512"

static krs_status read_text(const char *model_type, const char *more, krs_model_config *out,
                            krs_error *err)
{
    char text[2048];
    const krs_json_limits limits = {.max_bytes = sizeof(text)};
    json_t *root = NULL;
    (void)snprintf(text, sizeof(text), "{\"model_type\":\"%s\"%s%s}", model_type,
                   more[0] ? "," : "", more);
    assert_int_equal(krs_json_parse(krs_str_of(text), &limits, &root, err), KRS_OK);
    const krs_status status = krs_model_config_read(root, NULL, out, err);
    json_decref(root);
    return status;
}

/* more: fields beside the model_type; owned lists are the caller's to free. */
static krs_model_config accept(const char *model_type, const char *more)
{
    krs_model_config config;
    krs_error err = KRS_ERROR_INIT;
    if (read_text(model_type, more, &config, &err) != KRS_OK) {
        fail_msg("%s: %s", model_type, err.message);
    }
    return config;
}

static void refuse(const char *model_type, const char *more, krs_status want, const char *one,
                   const char *other)
{
    krs_model_config config;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = read_text(model_type, more, &config, &err);
    if (status != want || !strstr(err.message, one) || !strstr(err.message, other)) {
        fail_msg("%s %s: %s: %s", model_type, more, krs_status_name(status), err.message);
    }
    assert_null(config.rope.short_factors);
}

static bool windowed(const krs_model_config *c, int32_t layer)
{
    return krs_model_config_is_windowed(c, layer);
}

static void gemmas_scale_cap_and_alternate(void **state)
{
    (void)state;
    krs_model_config c = accept("gemma", SIZES ",\"num_key_value_heads\":8");
    assert_int_equal(c.head_dim, 256);
    assert_true(c.is_tied);
    assert_true(c.embedding_scale == 8.0);
    assert_true(c.attention_softcap == 0);
    assert_string_equal(c.activation, "gelu_pytorch_tanh");
    c = accept("gemma2", SIZES);
    assert_true(c.attention_softcap == 50);
    assert_true(c.logit_softcap == 30);
    assert_true(c.attention_scale == 1.0 / 16);
    assert_true(windowed(&c, 0));
    assert_true(!windowed(&c, 1));
    assert_true(windowed(&c, 6));
    assert_true(!windowed(&c, 7));
    assert_false(c.has_local_rope);
    /* hidden_act is not what gemma2 reads */
    c = accept("gemma2", SIZES ",\"hidden_act\":\"gelu\",\"hidden_activation\":\"relu\","
                               "\"attn_logit_softcapping\":null,\"query_pre_attn_scalar\":144");
    assert_string_equal(c.activation, "relu");
    assert_true(c.attention_softcap == 0);
    assert_true(c.attention_scale == 1.0 / 12);
}

static void gemma3_leaves_its_sizes_out(void **state)
{
    (void)state;
    krs_model_config c = accept(
        "gemma3",
        "\"text_config\":{\"hidden_size\":2560,\"intermediate_size\":10240,"
        "\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},"
        "\"sliding_window\":1024}");
    assert_int_equal(c.n_heads, 8);
    assert_int_equal(c.n_kv_heads, 4);
    assert_int_equal(c.head_dim, 256);
    assert_int_equal(c.vocab, 262208);
    assert_true(windowed(&c, 4));
    assert_true(!windowed(&c, 5));
    assert_true(!windowed(&c, 11));
    assert_true(c.has_local_rope);
    assert_true(c.local_rope.theta == 1e4);
    assert_true(c.rope.theta == 1e6);
    assert_int_equal(c.rope.kind, KRS_ROPE_LINEAR);
    assert_int_equal(c.local_rope.kind, KRS_ROPE_DEFAULT);
    assert_true(c.attention_softcap == 0);
    assert_true(c.logit_softcap == 0);
    c = accept("gemma3_text",
               SIZES ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":5e5},"
                     "\"sliding_attention\":{\"rope_theta\":2e4}},\"sliding_window_pattern\":2");
    assert_true(c.rope.theta == 5e5);
    assert_true(c.local_rope.theta == 2e4);
    assert_true(windowed(&c, 0));
    assert_true(!windowed(&c, 1));
    refuse("gemma3_text", SIZES ",\"use_bidirectional_attention\":true", KRS_EUNSUPPORTED,
           "use_bidirectional_attention", "encoder");
}

static void rotation_may_skip_layers(void **state)
{
    (void)state;
    krs_model_config c = accept("smollm3", SIZES);
    assert_int_equal(c.n_kv_heads, 4);
    assert_true(c.is_tied);
    assert_true(c.rope.theta == 2e6);
    assert_true(krs_layer_set_has(&c.rope_layers, 0));
    assert_true(!krs_layer_set_has(&c.rope_layers, 3));
    c = accept("smollm3", SIZES ",\"no_rope_layers\":[0,1,1,1,1,1,1,1],\"use_sliding_window\":true,"
                                "\"sliding_window\":16");
    assert_true(!krs_layer_set_has(&c.rope_layers, 0));
    assert_true(krs_layer_set_has(&c.rope_layers, 3));
    assert_true(windowed(&c, 0));
    assert_true(!windowed(&c, 3));
    refuse("smollm3", SIZES ",\"no_rope_layers\":[1]", KRS_EFORMAT, "no_rope_layers: 1", "8");
    c = accept("cohere2", SIZES);
    assert_true(c.is_tied);
    assert_true(c.is_parallel);
    assert_true(c.logit_scale == 0.0625);
    assert_true(c.norm_eps == 1e-5);
    assert_true(windowed(&c, 2));
    assert_true(krs_layer_set_has(&c.rope_layers, 2));
    assert_true(!windowed(&c, 3));
    assert_true(!krs_layer_set_has(&c.rope_layers, 3));
    c = accept("gpt2", "\"n_layer\":2,\"n_head\":4,\"n_embd\":64,\"n_inner\":null,"
                       "\"vocab_size\":512,\"n_positions\":256,"
                       "\"scale_attn_by_inverse_layer_idx\":true");
    assert_true(!krs_layer_set_has(&c.rope_layers, 0));
    assert_true(c.is_scale_by_layer);
    assert_int_equal(c.ffn, 256);
    assert_int_equal(c.max_positions, 256);
    c = accept("gpt2", "\"n_layer\":2,\"n_head\":4,\"n_embd\":32,\"vocab_size\":512,"
                       "\"n_positions\":256"); /* gpt2's own file */
    assert_int_equal(c.ffn, 128);
}

static void multipliers_and_switches_have_their_defaults(void **state)
{
    (void)state;
    krs_model_config c = accept("granite", SIZES);
    assert_true(c.attention_scale == 1);
    assert_true(c.residual_scale == 1);
    assert_true(c.logit_scale == 1);
    c = accept("granite", SIZES ",\"logits_scaling\":8,\"residual_multiplier\":0.22,"
                                "\"embedding_multiplier\":12,\"attention_multiplier\":0.0625");
    assert_true(c.logit_scale == 0.125);
    assert_true(c.residual_scale == 0.22);
    assert_true(c.embedding_scale == 12);
    c = accept("llama", SIZES ",\"residual_multiplier\":0.22,\"logit_scale\":3");
    assert_true(c.residual_scale == 1);
    assert_true(c.logit_scale == 1); /* llama has none */
    c = accept("starcoder2", SIZES);
    assert_true(c.has_attention_bias);
    assert_true(c.has_mlp_bias);
    assert_true(c.is_tied);
    assert_true(c.n_kv_heads == 2);
    c = accept("starcoder2", SIZES ",\"use_bias\":false");
    assert_true(!c.has_attention_bias);
    assert_true(!c.has_mlp_bias);
    c = accept("stablelm", "\"num_attention_heads\":2,\"hidden_size\":64,\"num_hidden_layers\":2,"
                           "\"intermediate_size\":160,\"vocab_size\":512,\"use_qkv_bias\":true");
    assert_true(c.has_qkv_bias);
    assert_true(!c.is_parallel);
    assert_true(c.rotary_dim == 8);
    c = accept("gpt_neox", SIZES ",\"rotary_pct\":0.5,\"rotary_emb_base\":25000");
    assert_true(c.is_parallel);
    assert_true(c.has_attention_bias);
    assert_true(c.rotary_dim == 4);
    assert_true(c.rope.theta == 25000);
    refuse("granite", SIZES ",\"residual_multiplier\":0", KRS_EINVAL, "residual_multiplier", "0");
}

static void experts_are_counted(void **state)
{
    (void)state;
    krs_model_config c = accept("mixtral", SIZES);
    assert_true(c.experts.n == 8);
    assert_true(c.experts.top_k == 2);
    assert_true(c.experts.ffn == 160);
    assert_true(c.rope.theta == 1e6);
    assert_true(krs_layer_set_has(&c.experts.layers, 0));
    c = accept("qwen3_moe", SIZES ",\"num_key_value_heads\":2,\"num_experts\":16,"
                                  "\"num_experts_per_tok\":4,\"mlp_only_layers\":[3],"
                                  "\"decoder_sparse_step\":2");
    assert_true(c.experts.n == 16);
    assert_true(c.experts.top_k == 4);
    assert_true(!c.experts.is_normalised);
    assert_true(!krs_layer_set_has(&c.experts.layers, 0));
    assert_true(krs_layer_set_has(&c.experts.layers, 1));
    assert_false(krs_layer_set_has(&c.experts.layers, 3));
    c = accept("gpt_oss", SIZES);
    assert_true(c.experts.n == 128);
    assert_true(c.glu_limit == 7);
    assert_true(c.head_dim == 64);
    assert_true(c.window == 128);
    assert_true(windowed(&c, 0));
    assert_true(!windowed(&c, 1));
    assert_true(c.has_attention_bias);
    c = accept("deepseek_v3", SIZES ",\"num_experts_per_tok\":8");
    assert_true(!krs_layer_set_has(&c.experts.layers, 2));
    assert_true(krs_layer_set_has(&c.experts.layers, 3));
    const krs_cache_shape cache = krs_model_config_cache(&c);
    assert_true(cache.n_heads == 1);
    assert_true(cache.key_dim == 576);
    assert_true(cache.value_dim == 512);
    assert_true(c.rotary_dim == 64);
    assert_true(fabs(c.attention_scale - 1 / sqrt(192.0)) < 1e-12);
    refuse("mixtral", SIZES ",\"num_local_experts\":4,\"num_experts_per_tok\":5", KRS_EFORMAT,
           "num_experts_per_tok: 5", "4 experts");
    refuse("deepseek_v3", SIZES ",\"n_routed_experts\":10", KRS_EFORMAT, "n_group: 8",
           "10 experts");
    refuse("deepseek_v3", SIZES ",\"topk_group\":9", KRS_EFORMAT, "topk_group: 9", "8 groups");
    refuse("deepseek_v3", SIZES ",\"n_routed_experts\":8,\"topk_group\":4", KRS_EFORMAT,
           "num_experts_per_tok: 8", "4 experts");
    refuse("mixtral", SIZES ",\"num_local_experts\":5000", KRS_EINVAL, "num_local_experts: 5000",
           "4096");
}

static void recurrent_layers_keep_no_cache(void **state)
{
    (void)state;
    krs_model_config c = accept("qwen3_next", SIZES ",\"num_key_value_heads\":2");
    assert_true(krs_layer_set_has(&c.linear.layers, 2));
    assert_true(!krs_layer_set_has(&c.linear.layers, 3));
    assert_int_equal(krs_model_config_cache(&c).n_layers, 2);
    assert_int_equal(c.rotary_dim, 64);
    c = accept("qwen3_5", SIZES ",\"num_key_value_heads\":2,\"layer_types\":[\"full_attention\","
                                "\"linear_attention\",\"full_attention\",\"full_attention\","
                                "\"full_attention\",\"full_attention\",\"full_attention\","
                                "\"full_attention\"]");
    assert_int_equal(krs_model_config_cache(&c).n_layers, 7);
    refuse("qwen3_5", SIZES ",\"layer_types\":[\"full_attention\"]", KRS_EFORMAT, "layer_types: 1",
           "8");
    refuse("qwen3_5", SIZES ",\"linear_num_value_heads\":24", KRS_EFORMAT,
           "linear_num_value_heads: 24", "16");
    refuse("qwen3",
           SIZES ",\"num_key_value_heads\":2,\"layer_types\":[\"linear_attention\",\"\","
                 "\"\",\"\",\"\",\"\",\"\",\"\"]",
           KRS_EUNSUPPORTED, "layer_types[0]", "sliding_attention");
}

#define FOUR "[1,2,3,4]"

static void longrope_has_a_divisor_for_each_pair(void **state)
{
    (void)state;
    krs_model_config c = accept(
        "phi3", SIZES ",\"max_position_embeddings\":1024,\"original_max_position_embeddings\":256,"
                      "\"rope_scaling\":{\"type\":\"su\",\"short_factor\":" FOUR
                      ",\"long_factor\":[5,6,7,8]}");
    assert_int_equal(c.rope.kind, KRS_ROPE_LONGROPE);
    assert_int_equal(c.rope.original_max_positions, 256);
    assert_true(c.rope.factor == 4);
    assert_true(c.rope.short_factors[3] == 4);
    assert_true(c.rope.long_factors[0] == 5);
    assert_int_equal(krs_model_config_longest(&c), 1024);
    krs_model_config_deinit(&c);
    assert_null(c.rope.short_factors);
    refuse("phi3",
           SIZES ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":" FOUR
                 ",\"long_factor\":[1]}",
           KRS_EFORMAT, "long_factor: 1", "4");
    refuse("phi3", SIZES ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":" FOUR "}",
           KRS_EINVAL, "short_factor: 0", "4");
    refuse("phi3",
           SIZES ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":" FOUR
                 ",\"short_factor\":[1,2,0,4]}",
           KRS_EINVAL, "short_factor[2]", "want a number");
    /* What fails after the lists were read leaves nothing behind. */
    refuse("phi3",
           SIZES ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":" FOUR
                 ",\"short_factor\":" FOUR "},\"quantization_config\":{\"quant_method\":\"x\"}",
           KRS_EUNSUPPORTED, "quantization_config", "x");
}

static void stretched_rotations_carry_further(void **state)
{
    (void)state;
    krs_model_config c =
        accept("llama", SIZES ",\"max_position_embeddings\":1000,"
                              "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}");
    assert_int_equal(c.rope.kind, KRS_ROPE_DYNAMIC);
    assert_int_equal(krs_model_config_longest(&c), 4000);
    c = accept("llama", SIZES ",\"max_position_embeddings\":1000,\"rope_scaling\":{"
                              "\"type\":\"yarn\",\"factor\":4,"
                              "\"original_max_position_embeddings\":500}");
    assert_int_equal(krs_model_config_longest(&c), 2000);
    c = accept("llama", SIZES ",\"max_position_embeddings\":1000,\"rope_scaling\":{"
                              "\"type\":\"linear\",\"factor\":4}");
    assert_int_equal(krs_model_config_longest(&c), 1000);
}

static void a_part_of_a_head_is_even(void **state)
{
    (void)state;
    refuse("glm4", SIZES ",\"num_key_value_heads\":2,\"head_dim\":10", KRS_EFORMAT,
           "0.5 of head_dim 10", "5");
    refuse("llama", SIZES ",\"partial_rotary_factor\":0.5", KRS_EUNSUPPORTED, "0.5", "whole heads");
    refuse("deepseek_v3", SIZES ",\"qk_rope_head_dim\":33", KRS_EFORMAT, "qk_rope_head_dim: 33",
           "odd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemmas_scale_cap_and_alternate),
        cmocka_unit_test(gemma3_leaves_its_sizes_out),
        cmocka_unit_test(rotation_may_skip_layers),
        cmocka_unit_test(multipliers_and_switches_have_their_defaults),
        cmocka_unit_test(experts_are_counted),
        cmocka_unit_test(recurrent_layers_keep_no_cache),
        cmocka_unit_test(longrope_has_a_divisor_for_each_pair),
        cmocka_unit_test(stretched_rotations_carry_further),
        cmocka_unit_test(a_part_of_a_head_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
