/* tests/unit/format/test_config.c - config.json in the spellings of transformers 4 and 5 and of MLX:
 * what is read, what an absent field means, and what is refused with field, value and limit. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "format/config.h"
#include "os/file.h"
#include "support/config_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool windowed(const krs_model_config *config, int32_t layer)
{
    return krs_model_config_is_windowed(config, layer);
}

static void absent_fields_mean_what_the_family_means(void **state)
{
    (void)state;
    krs_model_config c = accept("{" LLAMA "}");
    assert_string_equal(c.model_type, "llama");
    assert_int_equal(c.n_kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.max_positions, 2048);
    assert_true(c.norm_eps == 1e-6);
    assert_string_equal(c.activation, "silu");
    assert_int_equal(c.rope.kind, KRS_ROPE_DEFAULT);
    assert_true(c.rope.theta == 10000.0 && c.rope.factor == 1.0);
    assert_int_equal(c.dtype, KRS_DTYPE_COUNT);
    assert_int_equal(c.bos_id, -1);
    assert_int_equal(c.n_eos, 0);
    assert_int_equal(c.window, 0);
    assert_false(c.is_tied);
    assert_int_equal(c.quant.kind, KRS_QUANT_NONE);
    c = accept("{\"model_type\":\"mistral\",\"num_hidden_layers\":2,\"num_attention_heads\":16,"
               "\"hidden_size\":64,\"intermediate_size\":9,\"vocab_size\":5}");
    assert_int_equal(c.n_kv_heads, 8);
    assert_int_equal(c.window, 4096);
    assert_true(windowed(&c, 0) && windowed(&c, 1));
    c = accept("{\"model_type\":\"qwen3\",\"num_hidden_layers\":2,\"num_attention_heads\":32,"
               "\"hidden_size\":64,\"intermediate_size\":9,\"vocab_size\":5}");
    assert_int_equal(c.head_dim, 128);
    assert_int_equal(c.window, 0);
}

static void null_means_absent(void **state)
{
    (void)state;
    const krs_model_config c =
        accept("{" LLAMA ",\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null,"
               "\"rope_theta\":null,\"eos_token_id\":null,\"bos_token_id\":null,\"dtype\":null,"
               "\"rms_norm_eps\":null,\"quantization_config\":null,\"text_config\":null,"
               "\"architectures\":null,\"layer_types\":null,\"mlp_bias\":null}");
    assert_int_equal(c.n_kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_true(c.norm_eps == 1e-6);
}

static void every_plain_field_is_read(void **state)
{
    (void)state;
    const krs_model_config c = accept(
        "{" LLAMA ",\"architectures\":[\"LlamaForCausalLM\",\"x\"],\"num_key_value_heads\":2,"
        "\"head_dim\":32,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,"
        "\"hidden_act\":\"gelu\",\"tie_word_embeddings\":true,\"attention_bias\":true,"
        "\"mlp_bias\":true,\"torch_dtype\":\"bfloat16\",\"eos_token_id\":[2,7],"
        "\"bos_token_id\":1}");
    assert_string_equal(c.architecture, "LlamaForCausalLM");
    assert_int_equal(c.n_layers, 4);
    assert_int_equal(c.n_heads, 4);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.hidden, 64);
    assert_int_equal(c.ffn, 160);
    assert_int_equal(c.vocab, 512);
    assert_int_equal(c.max_positions, 512);
    assert_true(c.norm_eps == 1e-5);
    assert_string_equal(c.activation, "gelu");
    assert_true(c.is_tied && c.has_attention_bias && c.has_mlp_bias);
    assert_int_equal(c.dtype, KRS_DTYPE_BF16);
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(c.eos_ids[1], 7);
    assert_int_equal(c.bos_id, 1);
    assert_int_equal(accept("{" LLAMA ",\"dtype\":\"torch.float16\"}").dtype, KRS_DTYPE_F16);
    assert_int_equal(accept("{" LLAMA ",\"dtype\":\"float8_e4m3fn\"}").dtype, KRS_DTYPE_COUNT);
    assert_int_equal(accept("{" LLAMA ",\"eos_token_id\":9}").eos_ids[0], 9);
}

static void rope_is_read_in_both_spellings(void **state)
{
    (void)state;
    static const char *const same[] = {
        "\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
        "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":64}",
        "\"rope_theta\":500000,\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8.0,"
        "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}",
        "\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"llama3\",\"factor\":8.0,"
        "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":64}",
        "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":500000.0,\"rope_type\":\"llama3\","
        "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
        "\"original_max_position_embeddings\":64}}",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), "{%s,%s}", LLAMA, same[i]);
        const krs_model_config c = accept(text);
        assert_int_equal(c.rope.kind, KRS_ROPE_LLAMA3);
        assert_true(c.rope.theta == 500000.0 && c.rope.factor == 8.0);
        assert_true(c.rope.low_freq_factor == 1.0 && c.rope.high_freq_factor == 4.0);
        assert_int_equal(c.rope.original_max_positions, 64);
    }
}

static void yarn_and_linear_carry_their_settings(void **state)
{
    (void)state;
    krs_model_config c =
        accept("{" LLAMA ",\"max_position_embeddings\":512,\"rope_parameters\":{\"rope_type\":"
               "\"yarn\",\"factor\":4.0,\"rope_theta\":1e6}}");
    assert_int_equal(c.rope.kind, KRS_ROPE_YARN);
    assert_true(c.rope.beta_fast == 32.0 && c.rope.beta_slow == 1.0 && c.rope.is_truncated);
    assert_true(c.rope.attention_factor == 0.0 && c.rope.mscale == 0.0);
    assert_int_equal(c.rope.original_max_positions, 512);
    c = accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40,\"beta_fast\":16,"
               "\"beta_slow\":2,\"mscale\":0.7,\"mscale_all_dim\":1,\"attention_factor\":1.2,"
               "\"truncate\":false,\"original_max_position_embeddings\":128}}");
    assert_true(c.rope.beta_fast == 16.0 && c.rope.beta_slow == 2.0 && !c.rope.is_truncated);
    assert_true(c.rope.mscale == 0.7 && c.rope.mscale_all_dim == 1.0);
    assert_true(c.rope.attention_factor == 1.2);
    assert_int_equal(c.rope.original_max_positions, 128);
    c = accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5}}");
    assert_int_equal(c.rope.kind, KRS_ROPE_LINEAR);
    assert_true(c.rope.factor == 2.5);
}

static void rope_that_is_not_known_is_refused(void **state)
{
    (void)state;
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"spiral\",\"factor\":2}}", KRS_EUNSUPPORTED,
           "rope_type", "spiral");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", KRS_EINVAL, "factor", "missing");
    refuse("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", KRS_EINVAL,
           "factor", "0.5");
    refuse("{" LLAMA ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8,"
           "\"low_freq_factor\":4,\"high_freq_factor\":1}}",
           KRS_EFORMAT, "high_freq_factor", "below");
    refuse("{" LLAMA ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8}}", KRS_EINVAL,
           "low_freq_factor", "missing");
    refuse("{" LLAMA ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e6},"
           "\"sliding_attention\":{\"rope_theta\":1e4}}}",
           KRS_EUNSUPPORTED, "rope_parameters", "differs");
    refuse("{" LLAMA ",\"partial_rotary_factor\":0.5}", KRS_EUNSUPPORTED, "partial_rotary_factor",
           "0.5");
    refuse("{" LLAMA ",\"rope_theta\":-1}", KRS_EINVAL, "rope_theta", "-1");
    refuse("{" LLAMA ",\"rope_theta\":\"big\"}", KRS_EINVAL, "rope_theta", "a string");
    refuse("{" LLAMA ",\"rope_scaling\":[]}", KRS_EINVAL, "rope_scaling", "an array");
}

static void windows_follow_each_family_s_rule(void **state)
{
    (void)state;
    krs_model_config c = accept("{" LLAMA ",\"sliding_window\":16}");
    assert_int_equal(c.window, 0);
    c = accept("{\"model_type\":\"mistral\",\"num_key_value_heads\":2," SIZES
               ",\"sliding_window\":16}");
    assert_int_equal(c.window, 16);
    assert_true(windowed(&c, 0) && windowed(&c, 3));
    c = accept("{\"model_type\":\"mistral\",\"num_key_value_heads\":2," SIZES
               ",\"sliding_window\":null}");
    assert_int_equal(c.window, 0);
    assert_false(windowed(&c, 0));
#define QWEN "{\"model_type\":\"qwen2\",\"num_key_value_heads\":2," SIZES ",\"sliding_window\":16"
    c = accept(QWEN ",\"max_window_layers\":2}");
    assert_int_equal(c.window, 0);
    c = accept(QWEN ",\"max_window_layers\":2,\"use_sliding_window\":true}");
    assert_int_equal(c.window, 16);
    assert_true(!windowed(&c, 0) && !windowed(&c, 1) && windowed(&c, 2) && windowed(&c, 3));
    c = accept(QWEN ",\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\","
                    "\"full_attention\",\"sliding_attention\",\"full_attention\"]}");
    assert_true(windowed(&c, 0) && !windowed(&c, 1) && windowed(&c, 2) && !windowed(&c, 3));
    refuse(QWEN ",\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\","
                "\"full_attention\"]}",
           KRS_EFORMAT, "layer_types", "off");
    refuse(QWEN ",\"layer_types\":[\"full_attention\"]}", KRS_EFORMAT, "layer_types: 1", "4");
    refuse(QWEN ",\"layer_types\":[\"linear_attention\",\"\",\"\",\"\"]}", KRS_EUNSUPPORTED,
           "layer_types[0]", "linear_attention");
    refuse(QWEN ",\"layer_types\":[1,2,3,4]}", KRS_EUNSUPPORTED, "layer_types[0]", "no string");
}

static void sizes_are_checked_alone_and_against_each_other(void **state)
{
    (void)state;
    refuse("{" SIZES "}", KRS_EINVAL, "model_type", "missing");
    refuse("{\"model_type\":\"a\\u0007\"}", KRS_EINVAL, "model_type", "control");
    refuse("{\"model_type\":\"llama\"}", KRS_EINVAL, "num_hidden_layers", "missing");
    refuse("{" LLAMA ",\"num_key_value_heads\":3}", KRS_EFORMAT, "num_key_value_heads: 3", "4");
    refuse("{" LLAMA ",\"num_key_value_heads\":8}", KRS_EFORMAT, "num_key_value_heads: 8", "4");
    refuse("{" LLAMA ",\"num_key_value_heads\":0}", KRS_EINVAL, "num_key_value_heads", "0");
    refuse("{" LLAMA ",\"head_dim\":33}", KRS_EFORMAT, "head_dim", "33");
    refuse("{" LLAMA ",\"head_dim\":-2}", KRS_EINVAL, "head_dim", "-2");
    refuse("{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"num_attention_heads\":5,"
           "\"hidden_size\":64,\"intermediate_size\":160,\"vocab_size\":512}",
           KRS_EFORMAT, "num_attention_heads: 5", "64");
    refuse("{\"model_type\":\"llama\",\"num_hidden_layers\":1025}", KRS_EINVAL,
           "num_hidden_layers: 1025", "1024");
    refuse("{\"model_type\":\"llama\",\"num_hidden_layers\":2.5}", KRS_EINVAL, "num_hidden_layers",
           "integer");
    refuse("{" LLAMA ",\"max_position_embeddings\":0}", KRS_EINVAL, "max_position_embeddings", "0");
    refuse("{" LLAMA ",\"rms_norm_eps\":0}", KRS_EINVAL, "rms_norm_eps", "0");
    refuse("{" LLAMA ",\"eos_token_id\":-5}", KRS_EINVAL, "eos_token_id", "0");
    refuse("{" LLAMA ",\"eos_token_id\":[1,\"x\"]}", KRS_EINVAL, "eos_token_id", "whole");
    refuse("{" LLAMA ",\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", KRS_EINVAL,
           "eos_token_id: 17", "16");
    refuse("{" LLAMA ",\"tie_word_embeddings\":1}", KRS_EINVAL, "tie_word_embeddings", "number");
    refuse("{" LLAMA ",\"architectures\":[3]}", KRS_EINVAL, "architectures[0]", "string");
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    refuse("[]", KRS_EFORMAT, "object", "");
    refuse("null", KRS_EFORMAT, "object", "");
}

static void a_failure_still_tells_the_family(void **state)
{
    (void)state;
    krs_model_config config;
    krs_error err;
    assert_int_equal(read_text("{\"model_type\":\"novel\"}", &config, &err), KRS_EINVAL);
    assert_string_equal(config.model_type, "novel");
    assert_non_null(strstr(err.message, "model_type novel: num_hidden_layers"));
}

static void a_text_config_inside_is_found(void **state)
{
    (void)state;
    const krs_model_config c = accept(
        "{\"model_type\":\"some_vl\",\"dtype\":\"float16\",\"eos_token_id\":4,\"hidden_size\":1,"
        "\"text_config\":{" SIZES ",\"model_type\":\"some_text\",\"tie_word_embeddings\":true}}");
    assert_string_equal(c.model_type, "some_vl");
    assert_int_equal(c.hidden, 64);
    assert_int_equal(c.dtype, KRS_DTYPE_F16);
    assert_int_equal(c.eos_ids[0], 4);
    assert_true(c.is_tied);
}

/* A folder with one file of this name and text. */
static char *folder_with(const char *name, const char *text)
{
    static char folder[64];
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(folder, sizeof(folder), "/tmp/krs-config-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(krs_os_path_join(folder, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
    return folder;
}

static void drop(const char *folder, const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(folder, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(folder), 0);
}

static void a_file_that_is_no_json_or_not_there_is_named(void **state)
{
    (void)state;
    krs_model_config c;
    krs_error err = KRS_ERROR_INIT;
    const char *folder = folder_with("config.json", "{\"model_type\":");
    assert_int_equal(krs_model_config_load(folder, NULL, &c, &err), KRS_EFORMAT);
    assert_int_equal(err.status, KRS_EFORMAT);
    assert_non_null(strstr(err.message, "config.json: JSON line 1"));
    drop(folder, "config.json");
    folder = folder_with("config.json", "{" LLAMA ",\"rope_theta\":-1}");
    assert_int_equal(krs_model_config_load(folder, NULL, &c, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "config.json: model_type llama: rope_theta: -1"));
    drop(folder, "config.json");
    assert_int_equal(krs_model_config_load("/nonexistent", NULL, &c, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "config.json"));
}

static void absent_generation_defaults_are_told_apart(void **state)
{
    (void)state;
    krs_generation_config g;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_generation_config_load("/nonexistent", &g, &err), KRS_OK);
    assert_string_equal(err.message, "");
    assert_true(isnan(g.temperature) && isnan(g.top_p) && isnan(g.min_p));
    assert_true(isnan(g.repetition_penalty) && g.top_k == -1 && g.do_sample == -1);
    assert_true(g.n_eos == 0 && g.bos_id == -1);
}

static void generation_defaults_are_read(void **state)
{
    (void)state;
    krs_generation_config g;
    krs_error err = KRS_ERROR_INIT;
    const char *folder = folder_with(
        "generation_config.json",
        "{\"temperature\":0.7,\"top_p\":1,\"min_p\":0.05,\"top_k\":20,\"do_sample\":false,"
        "\"repetition_penalty\":1.1,\"eos_token_id\":[5,6],\"bos_token_id\":4,\"pad\":[1]}");
    assert_int_equal(krs_generation_config_load(folder, &g, &err), KRS_OK);
    assert_true(g.temperature == 0.7 && g.top_p == 1.0 && g.min_p == 0.05);
    assert_true(g.repetition_penalty == 1.1 && g.top_k == 20 && g.do_sample == 0);
    assert_true(g.n_eos == 2 && g.eos_ids[1] == 6 && g.bos_id == 4);
    drop(folder, "generation_config.json");
    folder = folder_with("generation_config.json", "{\"top_p\":2}");
    assert_int_equal(krs_generation_config_load(folder, &g, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "generation_config.json: top_p: 2"));
    assert_true(isnan(g.top_p) && g.do_sample == -1);
    drop(folder, "generation_config.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_mean_what_the_family_means),
        cmocka_unit_test(null_means_absent),
        cmocka_unit_test(every_plain_field_is_read),
        cmocka_unit_test(rope_is_read_in_both_spellings),
        cmocka_unit_test(yarn_and_linear_carry_their_settings),
        cmocka_unit_test(rope_that_is_not_known_is_refused),
        cmocka_unit_test(windows_follow_each_family_s_rule),
        cmocka_unit_test(sizes_are_checked_alone_and_against_each_other),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_failure_still_tells_the_family),
        cmocka_unit_test(a_text_config_inside_is_found),
        cmocka_unit_test(a_file_that_is_no_json_or_not_there_is_named),
        cmocka_unit_test(absent_generation_defaults_are_told_apart),
        cmocka_unit_test(generation_defaults_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
