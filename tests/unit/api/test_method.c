/* unit/api/test_method.c - the method table: names, limits and defaults as the contract has them; errors that
 * name field, value and limit. */
#include "api/method.h"
#include "support/cmocka.h"

static json_t *tree_of(const char *text)
{
    json_t *tree = json_loads(text, 0, NULL);
    assert_non_null(tree);
    return tree;
}

static krs_status check(krs_method method, const char *params, krs_error *err)
{
    json_t *tree = params ? tree_of(params) : NULL;
    const krs_status status = krs_method_check(method, tree, err);
    json_decref(tree);
    return status;
}

static void every_method_of_the_contract_is_there(void **state)
{
    (void)state;
    static const char *const names[] = {"runtime/info",
                                        "runtime/state",
                                        "runtime/telemetry",
                                        "shutdown",
                                        "load_model",
                                        "unload_model",
                                        "generate",
                                        "batch_generate",
                                        "batch_generate_parallel",
                                        "continuous_generate",
                                        "get_batcher_metrics",
                                        "get_batcher_health",
                                        "get_week4_metrics",
                                        "tokenize",
                                        "batch_tokenize",
                                        "check_draft",
                                        "batch_check_draft",
                                        "load_vision_model",
                                        "generate_with_image",
                                        "runtime_info",
                                        "adaptive_batch.update_metrics"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const krs_method method = krs_method_of_name(krs_str_of(names[i]));
        assert_int_not_equal(method, KRS_METHOD_NONE);
        assert_int_not_equal(krs_method_row_of(method)->origin, KRS_ORIGIN_OURS);
    }
    assert_int_equal(krs_method_of_name(KRS_STR("nope")), KRS_METHOD_NONE);
    assert_int_equal(krs_method_of_name(KRS_STR("")), KRS_METHOD_NONE);
}

static void what_the_client_retries_is_safe_and_generating_is_not(void **state)
{
    (void)state;
    assert_int_equal(krs_method_row_of(KRS_METHOD_TOKENIZE)->retry, KRS_RETRY_SAFE);
    assert_int_equal(krs_method_row_of(KRS_METHOD_CHECK_DRAFT)->retry, KRS_RETRY_SAFE);
    assert_int_equal(krs_method_row_of(KRS_METHOD_INFO)->retry, KRS_RETRY_SAFE);
    assert_int_equal(krs_method_row_of(KRS_METHOD_UNLOAD_MODEL)->retry, KRS_RETRY_IDEMPOTENT);
    assert_int_equal(krs_method_row_of(KRS_METHOD_GENERATE)->retry, KRS_RETRY_ONCE);
    assert_int_equal(krs_method_row_of(KRS_METHOD_BATCH_GENERATE)->retry, KRS_RETRY_ONCE);
}

static void the_vision_methods_are_never_capabilities(void **state)
{
    (void)state;
    assert_int_equal(krs_method_row_of(KRS_METHOD_LOAD_VISION)->origin, KRS_ORIGIN_QUIET);
    assert_int_equal(krs_method_row_of(KRS_METHOD_GENERATE_IMAGE)->origin, KRS_ORIGIN_QUIET);
}

static void defaults_are_the_contracts(void **state)
{
    (void)state;
    assert_int_equal(krs_method_int(KRS_METHOD_GENERATE, NULL, "max_tokens"), 512);
    assert_true(krs_method_number(KRS_METHOD_GENERATE, NULL, "temperature") == 0.7);
    assert_true(krs_method_number(KRS_METHOD_CONTINUOUS, NULL, "temperature") == 1.0);
    assert_true(krs_method_number(KRS_METHOD_GENERATE, NULL, "top_p") == 1.0);
    assert_true(krs_method_bool(KRS_METHOD_TOKENIZE, NULL, "add_special_tokens"));
    assert_false(krs_method_bool(KRS_METHOD_LOAD_MODEL, NULL, "draft"));
    assert_int_equal(krs_method_int(KRS_METHOD_PARALLEL, NULL, "batch_size"), 4);
    json_t *params = tree_of("{\"max_tokens\":null,\"temperature\":true,\"top_p\":0.5}");
    assert_int_equal(krs_method_int(KRS_METHOD_GENERATE, params, "max_tokens"), 512);
    assert_true(krs_method_number(KRS_METHOD_GENERATE, params, "temperature") == 1.0);
    assert_true(krs_method_number(KRS_METHOD_GENERATE, params, "top_p") == 0.5);
    json_decref(params);
}

static void values_at_their_limits_pass(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    static const char *const good[] = {
        "{\"model_id\":\"m\",\"prompt\":\"\"}",
        "{\"model_id\":\"org/a-b_c.d@e:f\",\"prompt\":\"x\",\"max_tokens\":1,\"temperature\":0}",
        "{\"model_id\":\"m\",\"max_tokens\":4096,\"temperature\":2,\"top_p\":1.0}",
        "{\"model_id\":\"m\",\"seed\":4294967295,\"presence_penalty\":-2,\"frequency_penalty\":2}",
        "{\"model_id\":\"m\",\"stop_sequences\":[],\"stop_token_ids\":[0,1000000]}",
        "{\"model_id\":\"m\",\"max_tokens\":5.0,\"priority\":\"urgent\",\"what is this\":[1]}",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (check(KRS_METHOD_GENERATE, good[i], &err) != KRS_OK) {
            fail_msg("%s: %s", good[i], err.message);
        }
    }
}

static void values_outside_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *params;
        const char *field;
        const char *message;
    } bad[] = {
        {"{}", "model_id", "required parameter is missing"},
        {"{\"model_id\":\"\"}", "model_id", "0 characters, want 1..512"},
        {"{\"model_id\":5}", "model_id", "want a string, got a number"},
        {"{\"model_id\":\"a b\"}", "model_id", "invalid characters or path traversal"},
        {"{\"model_id\":\"../x\"}", "model_id", "invalid characters or path traversal"},
        {"{\"model_id\":\"m\",\"max_tokens\":0}", "max_tokens", "0, want 1..4096"},
        {"{\"model_id\":\"m\",\"max_tokens\":4097}", "max_tokens", "4097, want 1..4096"},
        {"{\"model_id\":\"m\",\"max_tokens\":1.5}", "max_tokens", "1.5, want an integer"},
        {"{\"model_id\":\"m\",\"max_tokens\":\"9\"}", "max_tokens",
         "want an integer, got a string"},
        {"{\"model_id\":\"m\",\"max_tokens\":1e300}", "max_tokens", "want 1..4096"},
        {"{\"model_id\":\"m\",\"temperature\":2.01}", "temperature", "2.01, want 0..2"},
        {"{\"model_id\":\"m\",\"temperature\":-0.1}", "temperature", "-0.1, want 0..2"},
        {"{\"model_id\":\"m\",\"top_p\":0}", "top_p", "0, want above 0..1"},
        {"{\"model_id\":\"m\",\"presence_penalty\":2.5}", "presence_penalty", "2.5, want -2..2"},
        {"{\"model_id\":\"m\",\"seed\":4294967296}", "seed", "want 0..4294967295"},
        {"{\"model_id\":\"m\",\"seed\":-1}", "seed", "-1, want 0..4294967295"},
        {"{\"model_id\":\"m\",\"stop_sequences\":\"x\"}", "stop_sequences", "want an array"},
        {"{\"model_id\":\"m\",\"stop_sequences\":[\"\"]}", "stop_sequences", "want 1..100"},
        {"{\"model_id\":\"m\",\"stop_sequences\":[1]}", "stop_sequences", "want a string"},
        {"{\"model_id\":\"m\",\"stop_sequences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
         "\"9\",\"10\",\"11\"]}",
         "stop_sequences", "11 entries, want 0..10"},
        {"{\"model_id\":\"m\",\"stop_token_ids\":[1000001]}", "stop_token_ids", "want 0..1000000"},
        {"{\"model_id\":\"m\",\"stop_token_ids\":[1.5]}", "stop_token_ids", "want an integer"},
        {"{\"model_id\":\"m\",\"stream_id\":\"\"}", "stream_id", "want 1..256"},
        {"{\"model_id\":\"m\",\"guidance\":1}", "guidance", "want an object"},
        {"{\"model_id\":\"m\",\"priority\":\"urgen\"}", "priority", "urgent|normal|background"},
        {"{\"model_id\":\"m\",\"logprobs\":1}", "logprobs", "want true or false"},
        {"[1]", "params", "want an object"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(check(KRS_METHOD_GENERATE, bad[i].params, &err), KRS_EINVAL);
        assert_string_equal(err.field, bad[i].field);
        if (!strstr(err.message, bad[i].message) || !strstr(err.message, bad[i].field)) {
            fail_msg("%s: %s", bad[i].params, err.message);
        }
    }
}

static void limits_count_characters_not_bytes(void **state)
{
    (void)state;
    krs_buf text;
    krs_buf_init(&text, NULL, 1024);
    assert_int_equal(
        krs_buf_append_str(&text, KRS_STR("{\"model_id\":\"m\",\"stop_sequences\":[\"")), KRS_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(krs_buf_append_str(&text, KRS_STR("\xC3\xA9")), KRS_OK);
    }
    const size_t before = text.len;
    assert_int_equal(krs_buf_append_str(&text, KRS_STR("\"]}")), KRS_OK);
    assert_int_equal(check(KRS_METHOD_GENERATE, text.data, NULL), KRS_OK);
    text.len = before;
    assert_int_equal(krs_buf_append_str(&text, KRS_STR("\xC3\xA9\"]}")), KRS_OK);
    assert_int_equal(check(KRS_METHOD_GENERATE, text.data, NULL), KRS_EINVAL);
    krs_buf_deinit(&text);
}

static void batches_check_their_own_shape_only(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(check(KRS_METHOD_BATCH_TOKENIZE, "{\"requests\":[]}", &err), KRS_OK);
    assert_int_equal(check(KRS_METHOD_BATCH_TOKENIZE, "{\"requests\":[{}]}", &err), KRS_OK);
    assert_int_equal(check(KRS_METHOD_BATCH_TOKENIZE, "{\"requests\":[1]}", &err), KRS_EINVAL);
    assert_int_equal(check(KRS_METHOD_BATCH_TOKENIZE, NULL, &err), KRS_EINVAL);
    assert_int_equal(krs_method_row_of(KRS_METHOD_BATCH_TOKENIZE)->items, KRS_METHOD_TOKENIZE);
    assert_int_equal(krs_method_row_of(KRS_METHOD_PARALLEL)->items, KRS_METHOD_CONTINUOUS);
}

/* Rows of one method stand together, and the page names every one of them. */
static void the_reference_names_everything(void **state)
{
    (void)state;
    krs_buf page;
    krs_buf_init(&page, NULL, 1u << 20);
    assert_int_equal(krs_method_write_reference(&page), KRS_OK);
    for (unsigned i = 0; i < KRS_METHOD_COUNT; i++) {
        size_t n = 0;
        const krs_param_row *rows = krs_method_params((krs_method)i, &n);
        assert_non_null(strstr(page.data, krs_method_row_of((krs_method)i)->name));
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(rows[k].method, i);
            assert_non_null(strstr(page.data, rows[k].name));
        }
    }
    krs_buf_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_the_contract_is_there),
        cmocka_unit_test(what_the_client_retries_is_safe_and_generating_is_not),
        cmocka_unit_test(the_vision_methods_are_never_capabilities),
        cmocka_unit_test(defaults_are_the_contracts),
        cmocka_unit_test(values_at_their_limits_pass),
        cmocka_unit_test(values_outside_are_named),
        cmocka_unit_test(limits_count_characters_not_bytes),
        cmocka_unit_test(batches_check_their_own_shape_only),
        cmocka_unit_test(the_reference_names_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
