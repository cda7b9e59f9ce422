/* tests/unit/format/test_config_quant.c - the quantisation blocks of config.json: MLX's modes and exceptions,
 * the methods of the hub, and a refusal by name of every other. */
#include "format/config.h"
#include "support/config_text.h"

#include <stdio.h>

static void mlx_quantisation_is_read_with_its_exceptions(void **state)
{
    (void)state;
    krs_model_config c =
        accept("{" LLAMA ",\"quantization\":{\"group_size\":32,\"bits\":4,\"mode\":\"affine\","
               "\"model.layers.1.mlp.down_proj\":{\"group_size\":64,\"bits\":8},\"lm_head\":false,"
               "\"model.embed_tokens\":true,\"quant_method\":\"x\"},\"quantization_config\":{"
               "\"bits\":2}}");
    assert_int_equal(c.quant.kind, KRS_QUANT_AFFINE);
    assert_int_equal(c.n_overrides, 3);
    krs_quant q = krs_model_config_quant(&c, KRS_STR("model.layers.1.mlp.down_proj"));
    assert_int_equal(q.bits, 8);
    assert_int_equal(q.group, 64);
    assert_int_equal(krs_model_config_quant(&c, KRS_STR("lm_head")).kind, KRS_QUANT_NONE);
    q = krs_model_config_quant(&c, KRS_STR("model.embed_tokens"));
    assert_int_equal(q.bits, 4);
    assert_int_equal(q.group, 32);
    q = krs_model_config_quant(&c, KRS_STR("model.layers.1.mlp.down_pro"));
    assert_int_equal(q.bits, 4);
    assert_int_equal(krs_model_config_quant(&c, KRS_STR("")).group, 32);
    krs_model_config_deinit(&c);
    c = accept("{" LLAMA ",\"quantization_config\":{\"group_size\":128,\"bits\":8}}");
    assert_int_equal(c.quant.bits, 8);
    assert_int_equal(c.quant.group, 128);
}

#define WITH_BLOCK(block) "{" LLAMA ",\"quantization\":{" block "}}"
#define WITH_HUB(block)   "{" LLAMA ",\"quantization_config\":{" block "}}"

static void every_mode_of_mlx_has_its_own_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        krs_quant want;
    } modes[] = {{"affine", {KRS_QUANT_AFFINE, 4, 64}},
                 {"mxfp4", {KRS_QUANT_MXFP4, 4, 32}},
                 {"mxfp8", {KRS_QUANT_MXFP8, 8, 32}},
                 {"nvfp4", {KRS_QUANT_NVFP4, 4, 16}}};
    for (size_t i = 0; i < 4; i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), WITH_BLOCK("\"mode\":\"%s\""), modes[i].mode);
        const krs_model_config c = accept(text);
        assert_memory_equal(&c.quant, &modes[i].want, sizeof(c.quant));
    }
    /* An exception stands for itself: without a mode it is affine, whatever the block is. */
    krs_model_config c = accept(WITH_BLOCK("\"mode\":\"mxfp4\",\"group_size\":32,\"bits\":4,"
                                           "\"a.b\":{\"bits\":8},\"a.c\":{\"mode\":\"nvfp4\"},"
                                           "\"a.d\":true,\"a.e\":false"));
    krs_quant q = krs_model_config_quant(&c, KRS_STR("a.b"));
    assert_true(q.kind == KRS_QUANT_AFFINE && q.bits == 8 && q.group == 64);
    q = krs_model_config_quant(&c, KRS_STR("a.c"));
    assert_true(q.kind == KRS_QUANT_NVFP4 && q.group == 16);
    assert_int_equal(krs_model_config_quant(&c, KRS_STR("a.d")).kind, KRS_QUANT_MXFP4);
    assert_int_equal(krs_model_config_quant(&c, KRS_STR("a.e")).kind, KRS_QUANT_NONE);
    krs_model_config_deinit(&c);
}

static void gptq_and_awq_are_read(void **state)
{
    (void)state;
    krs_hub_quant q = accept(WITH_HUB("\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":-1,"
                                      "\"desc_act\":true,\"sym\":false"))
                          .hub_quant;
    assert_true(q.method == KRS_HUB_GPTQ && q.bits == 4 && q.group == 0 && q.is_zero_less_one);
    q = accept(WITH_HUB("\"quant_method\":\"gptq\",\"bits\":8,\"group_size\":32,"
                        "\"checkpoint_format\":\"gptq_v2\""))
            .hub_quant;
    assert_true(q.bits == 8 && q.group == 32 && !q.is_zero_less_one);
    q = accept(WITH_HUB("\"quant_method\":\"awq\",\"w_bit\":4,\"q_group_size\":64,"
                        "\"version\":\"GEMM\",\"modules_to_not_convert\":null"))
            .hub_quant;
    assert_true(q.method == KRS_HUB_AWQ && q.bits == 4 && q.group == 64);
}

static void methods_of_scaled_numbers_are_read(void **state)
{
    (void)state;
    krs_hub_quant q;
    q = accept(WITH_HUB("\"quant_method\":\"fp8\",\"fmt\":\"e4m3\",\"weight_block_size\":[128,64]"))
            .hub_quant;
    assert_true(q.method == KRS_HUB_FP8 && q.block_rows == 128 && q.block_columns == 64);
    q = accept(WITH_HUB("\"quant_method\":\"fp8\",\"weight_block_size\":null")).hub_quant;
    assert_true(q.method == KRS_HUB_FP8 && q.block_rows == 0);
    q = accept(WITH_HUB("\"quant_method\":\"compressed-tensors\",\"format\":\"int-quantized\","
                        "\"ignore\":[\"lm_head\"],\"config_groups\":{\"group_0\":{\"targets\":"
                        "[\"Linear\"],\"weights\":{\"num_bits\":8,\"type\":\"int\","
                        "\"symmetric\":true,\"strategy\":\"channel\"}}}"))
            .hub_quant;
    assert_int_equal(q.method, KRS_HUB_COMPRESSED);
    q = accept("{\"model_type\":\"llama\",\"text_config\":{" SIZES
               ",\"quantization_config\":{\"quant_method\":\"mxfp4\"}}}")
            .hub_quant;
    assert_int_equal(q.method, KRS_HUB_MXFP4);
    for (int i = 0; i < KRS_HUB_METHOD_COUNT; i++) {
        assert_true(strcmp(krs_hub_method_name((krs_hub_method)i), "unknown") != 0);
    }
}

static void other_quantisation_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        krs_status status;
        const char *says;
    } cases[] = {
        {WITH_HUB("\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true"), KRS_EUNSUPPORTED,
         "bitsandbytes"},
        {WITH_HUB("\"activation_scheme\":\"dynamic\""), KRS_EUNSUPPORTED, "unknown"},
        {WITH_HUB("\"quant_method\":\"gptq\",\"bits\":3"), KRS_EUNSUPPORTED, "3 bits"},
        {WITH_HUB("\"quant_method\":\"gptq\",\"bits\":4,\"checkpoint_format\":\"marlin\""),
         KRS_EUNSUPPORTED, "marlin"},
        {WITH_HUB("\"quant_method\":\"gptq\",\"is_marlin_format\":true"), KRS_EUNSUPPORTED,
         "is_marlin_format"},
        {WITH_HUB("\"quant_method\":\"gptq\",\"dynamic\":{\"-:lm_head\":{}}"), KRS_EUNSUPPORTED,
         "dynamic"},
        {WITH_HUB("\"quant_method\":\"gptq\",\"group_size\":\"x\""), KRS_EINVAL, "group_size"},
        {WITH_HUB("\"quant_method\":\"awq\",\"bits\":8"), KRS_EUNSUPPORTED, "8 bits"},
        {WITH_HUB("\"quant_method\":\"awq\",\"version\":\"gemv\""), KRS_EUNSUPPORTED, "gemv"},
        {WITH_HUB("\"quant_method\":\"awq\",\"zero_point\":false"), KRS_EUNSUPPORTED, "zero_point"},
        {WITH_HUB("\"quant_method\":\"fp8\",\"fmt\":\"e5m2\""), KRS_EUNSUPPORTED, "e5m2"},
        {WITH_HUB("\"quant_method\":\"fp8\",\"weight_block_size\":[128]"), KRS_EINVAL,
         "weight_block_size"},
        {WITH_HUB("\"quant_method\":\"fp8\",\"weight_block_size\":[0,128]"), KRS_EINVAL,
         "weight_block_size"},
        {WITH_HUB("\"quant_method\":\"compressed-tensors\",\"format\":\"nvfp4-pack-quantized\""),
         KRS_EUNSUPPORTED, "nvfp4-pack-quantized"},
        {WITH_HUB("\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":"
                  "{\"num_bits\":8,\"symmetric\":false}}}"),
         KRS_EUNSUPPORTED, "symmetric"},
        {WITH_HUB("\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":"
                  "{\"num_bits\":2}}}"),
         KRS_EUNSUPPORTED, "num_bits"},
        {WITH_HUB("\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":1}"),
         KRS_EINVAL, "want an object"},
        {WITH_HUB("\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":"
                  "\"sparse-24-bitmask\"}"),
         KRS_EUNSUPPORTED, "sparse-24-bitmask"},
        {WITH_BLOCK("\"mode\":\"int4\""), KRS_EUNSUPPORTED, "int4"},
        {WITH_BLOCK("\"mode\":\"none\""), KRS_EUNSUPPORTED, "none"},
        {WITH_BLOCK("\"mode\":\"mxfp4\",\"bits\":8"), KRS_EUNSUPPORTED, "mxfp4 of 8 bits"},
        {WITH_BLOCK("\"group_size\":64,\"bits\":7"), KRS_EUNSUPPORTED, "7 bits"},
        {WITH_BLOCK("\"group_size\":48,\"bits\":4"), KRS_EUNSUPPORTED, "48"},
        {WITH_BLOCK("\"bits\":4,\"a.b\":{\"bits\":7},\"a.c\":{}"), KRS_EUNSUPPORTED, "module a.b"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        refuse(cases[i].text, cases[i].status, "quantization", cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlx_quantisation_is_read_with_its_exceptions),
        cmocka_unit_test(every_mode_of_mlx_has_its_own_defaults),
        cmocka_unit_test(gptq_and_awq_are_read),
        cmocka_unit_test(methods_of_scaled_numbers_are_read),
        cmocka_unit_test(other_quantisation_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
