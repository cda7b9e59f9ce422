/* tests/unit/model/test_lies.c - files and configurations that contradict each other in ways that only some
 * families can: experts, learned positions, pieces, contexts. Refused with both numbers, nothing kept. */
#define _GNU_SOURCE /* memmem */
#include "os/dir.h"
#include "support/random_model.h"

#include <stdio.h>

#define MIXTRAL_WITH(n)                                                                            \
    "{\"model_type\":\"mixtral\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"               \
    "\"num_key_value_heads\":2,\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":96,"     \
    "\"num_local_experts\":" n ",\"num_experts_per_tok\":2}"
#define MIXTRAL      MIXTRAL_WITH("%d")
#define MIXTRAL_OF_4 MIXTRAL_WITH("4")
#define GPT2                                                                                       \
    "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":4,\"n_embd\":64,\"vocab_size\":96,"         \
    "\"n_positions\":%d}"
#define STABLELM                                                                                   \
    "{\"model_type\":\"stablelm\",\"num_hidden_layers\":2,\"num_attention_heads\":%d,"             \
    "\"num_key_value_heads\":2,\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":96,"     \
    "\"qk_layernorm\":true}"
#define DYNAMIC                                                                                    \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"                 \
    "\"num_key_value_heads\":2,\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":96,"     \
    "\"max_position_embeddings\":%d,\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4}}"

/* Weights of the pattern with one number, config.json with another. */
static krs_status open_lie(const char *pattern, int is, int says, int64_t context, krs_model **out,
                           krs_error *err)
{
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    char text[1024];
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.context_tokens = context;
    *err = (krs_error)KRS_ERROR_INIT;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof(text), pattern, is);
    krs_random_model(text, dir);
    (void)snprintf(text, sizeof(text), pattern, says);
#pragma GCC diagnostic pop
    assert_int_equal(krs_os_path_join(dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
    const krs_status status = krs_model_open(dir, &options, NULL, out, err);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return status;
}

static void refuse(const char *pattern, int is, int says, krs_status want, const char *one,
                   const char *other)
{
    krs_model *model = NULL;
    krs_error err;
    const krs_status status = open_lie(pattern, is, says, 0, &model, &err);
    if (status != want || !strstr(err.message, one) || !strstr(err.message, other)) {
        fail_msg("%s: %s; want \"%s\" and \"%s\"", krs_status_name(status), err.message, one,
                 other);
    }
    assert_null(model);
}

static void another_number_of_experts_is_called_that(void **state)
{
    (void)state;
    refuse(MIXTRAL, 4, 5, KRS_EFORMAT, "gate.weight: shape [4, 64]", "[5, 64]");
    refuse(MIXTRAL, 4, 3, KRS_EFORMAT, "gate.weight: shape [4, 64]", "[3, 64]");
}

/* The router is as config.json says, but an expert goes by another number. */
static void experts_are_counted_in_the_file(void **state)
{
    (void)state;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    krs_buf bytes;
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_buf_init(&bytes, NULL, KRS_RANDOM_MAX_BYTES);
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    krs_random_model(MIXTRAL_OF_4, dir);
    assert_int_equal(krs_os_path_join(dir, "model.safetensors", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    static const char name[] = "layers.1.block_sparse_moe.experts.2.w1";
    char *at = memmem(bytes.data, bytes.len, name, strlen(name));
    assert_non_null(at);
    at[strlen(name) - 4] = '7';
    assert_int_equal(krs_os_file_write(path, bytes.data, bytes.len, NULL), KRS_OK);
    assert_int_equal(krs_model_open(dir, NULL, NULL, &model, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "layer 1 has 2 experts"));
    assert_non_null(strstr(err.message, "there are 4"));
    assert_null(model);
    krs_buf_deinit(&bytes);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

static void positions_are_as_many_as_the_table_has(void **state)
{
    (void)state;
    refuse(GPT2, 32, 64, KRS_EFORMAT, "wpe.weight: shape [32, 64]", "[64, 64]");
}

static void every_head_has_its_norm(void **state)
{
    (void)state;
    refuse(STABLELM, 4, 8, KRS_EFORMAT, "k_proj.weight: shape [32, 64]", "[16, 64]");
    refuse(STABLELM, 4, 2, KRS_EFORMAT, "k_proj.weight: shape [32, 64]", "[64, 64]");
}

static void a_context_is_what_the_rotation_carries(void **state)
{
    (void)state;
    krs_model *model = NULL;
    krs_error err;
    assert_int_equal(open_lie(DYNAMIC, 1000, 1000, 4000, &model, &err), KRS_OK);
    assert_int_equal(krs_model_program(model)->max_positions, 4000);
    krs_model_close(model);
    model = NULL;
    assert_int_equal(open_lie(DYNAMIC, 1000, 1000, 0, &model, &err), KRS_OK);
    assert_int_equal(krs_model_program(model)->max_positions, 1000);
    krs_model_close(model);
    model = NULL;
    assert_int_equal(open_lie(DYNAMIC, 1000, 1000, 4001, &model, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "4001"));
    assert_non_null(strstr(err.message, "4000"));
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_number_of_experts_is_called_that),
        cmocka_unit_test(experts_are_counted_in_the_file),
        cmocka_unit_test(positions_are_as_many_as_the_table_has),
        cmocka_unit_test(every_head_has_its_norm),
        cmocka_unit_test(a_context_is_what_the_rotation_carries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
