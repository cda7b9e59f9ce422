/* unit/front/test_rpc_batch.c - many tasks, one reply: order, failures alone, a bound on what is open, and a line
 * that the client can read. */
#include "rpc_fixture.h"

static void tell_ids(fixture *f, uint32_t i, uint32_t n, bool has_pieces)
{
    uint32_t *ids = calloc(n ? n : 1, sizeof(*ids));
    krs_str *pieces = calloc(n ? n : 1, sizeof(*pieces));
    assert_non_null(ids);
    assert_non_null(pieces);
    for (uint32_t k = 0; k < n; k++) {
        ids[k] = 1000 * i + k;
        pieces[k] = KRS_STR("\xE2piece");
    }
    const krs_stream_event event = {.is_end = true,
                                    .finish = KRS_FINISH_STOP,
                                    .ids = ids,
                                    .pieces = has_pieces ? pieces : NULL,
                                    .n_ids = n};
    tell(f, i, &event);
    free(ids);
    free(pieces);
}

static void tokenize_asks_and_answers(void **state)
{
    fixture *f = *state;
    ask(f, "tokenize", "{\"model_id\":\"fake\",\"text\":\"x\",\"add_special_tokens\":false}");
    const krs_request *r = f->streams[0].request;
    assert_int_equal(r->task, KRS_TASK_TOKENIZE);
    assert_true(r->task_options.has_no_special && r->task_options.has_pieces);
    assert_int_equal(krs_rpc_unanswered(f->session), 1);
    tell_ids(f, 0, 2, true);
    const json_t *result = expect_result(f);
    assert_int_equal(json_array_size(at(result, "tokens")), 2);
    assert_string_equal(json_string_value(json_array_get(at(result, "token_strings"), 1)),
                        "\xEF\xBF\xBDpiece");
    assert_int_equal(krs_rpc_unanswered(f->session), 0);
    ask(f, "tokenize", "{\"model_id\":\"no\",\"text\":\"x\"}");
    (void)expect_error(f, -32005, "Model not loaded: no");
    ask(f, "tokenize", "{\"model_id\":\"fake\",\"text\":\"x\"}");
    tell_end(f, 1, KRS_FINISH_ERROR);
    (void)expect_error(f, -32003, "Tokenizer error for fake: the device failed at x.bin");
}

static void detokenize_and_embeddings_answer(void **state)
{
    fixture *f = *state;
    ask(f, "detokenize", "{\"model_id\":\"fake\",\"tokens\":[5,6],\"skip_special_tokens\":false}");
    assert_int_equal(f->streams[0].request->task, KRS_TASK_DETOKENIZE);
    assert_int_equal(f->streams[0].request->prompt.n_tokens, 2);
    assert_true(f->streams[0].request->task_options.is_special_shown);
    const krs_stream_event text = {
        .is_end = true, .finish = KRS_FINISH_STOP, .text = KRS_STR("back")};
    tell(f, 0, &text);
    assert_string_equal(text_at(expect_result(f), "text"), "back");
    ask(f, "embeddings", "{\"model_id\":\"fake\",\"input\":[\"a\",\"b\"],\"pooling\":\"mean\"}");
    assert_int_equal(f->streams[2].request->task, KRS_TASK_EMBED);
    assert_int_equal(f->streams[2].request->task_options.pooling, KRS_POOLING_MEAN);
    for (uint32_t i = 2; i > 0; i--) { /* whatever the order they end in */
        const float vector[] = {0.5F, (float)i};
        const krs_stream_event end = {.is_end = true,
                                      .finish = KRS_FINISH_STOP,
                                      .embedding = vector,
                                      .n_embedding = 2,
                                      .usage = {.n_prompt_tokens = 3}};
        tell(f, i, &end);
    }
    const json_t *result = expect_result(f);
    assert_int_equal(int_at(result, "prompt_tokens"), 6);
    const json_t *first = json_array_get(at(result, "embeddings"), 0);
    assert_true(json_number_value(json_array_get(first, 1)) == 1);
    ask(f, "embeddings", "{\"model_id\":\"fake\",\"input\":[]}");
    (void)expect_error(f, -32602, "input: want a string or 1..256 strings");
    ask(f, "embeddings", "{\"model_id\":\"fake\",\"input\":[\"a\",\"b\"]}");
    tell_ids(f, 3, 0, false);
    tell_end(f, 4, KRS_FINISH_ERROR);
    (void)expect_error(f, -32019, "the device failed"); /* one fails, all fail */
}

/* The same item n times. */
static char *many(const char *item, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        assert_int_equal(json_array_append_new(list, json_loads(item, 0, NULL)), 0);
    }
    json_t *params = json_pack("{s:o}", "requests", list);
    char *text = json_dumps(params, JSON_COMPACT);
    assert_non_null(text);
    json_decref(params);
    return text;
}

static void few_items_are_open_at_once_and_order_is_kept(void **state)
{
    fixture *f = *state;
    char *params = many("{\"model_id\":\"fake\",\"text\":\"x\"}", 50);
    ask(f, "batch_tokenize", params);
    free(params);
    assert_int_equal(f->n_open, 16);
    uint32_t n_ended = 0;
    while (f->n_open > 0) { /* the newest first */
        assert_true(f->n_open <= 16);
        for (uint32_t i = f->n_opened; i-- > 0;) {
            if (f->streams[i].task) {
                tell_ids(f, i, 1, false);
                n_ended++;
                break;
            }
        }
    }
    assert_int_equal(n_ended, 50);
    const json_t *results = at(expect_result(f), "results");
    assert_int_equal(json_array_size(results), 50);
    for (uint32_t i = 0; i < 50; i++) {
        const json_t *tokens = at(at(json_array_get(results, i), "result"), "tokens");
        assert_int_equal(json_integer_value(json_array_get(tokens, 0)), 1000 * i);
    }
}

static void a_full_runtime_is_waited_for_by_the_batch_that_filled_it(void **state)
{
    fixture *f = *state;
    f->max_open = 3;
    char *params = many("{\"model_id\":\"fake\",\"text\":\"x\"}", 8);
    ask(f, "batch_tokenize", params);
    free(params);
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(f->n_open <= 3);
        tell_ids(f, i, 1, false);
    }
    const json_t *results = at(expect_result(f), "results");
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(is_true(at(json_array_get(results, i), "success")));
    }
    f->max_open = 0; /* filled by others: nothing to wait for */
    ask(f, "batch_tokenize", "{\"requests\":[{\"model_id\":\"fake\",\"text\":\"x\"}]}");
    results = at(expect_result(f), "results");
    assert_non_null(strstr(text_at(json_array_get(results, 0), "error"), "full"));
}

static void items_fail_alone(void **state)
{
    fixture *f = *state;
    ask(f, "batch_tokenize",
        "{\"requests\":[{\"model_id\":\"no\",\"text\":\"x\"},{\"model_id\":\"fake\"},"
        "{\"model_id\":\"fake\",\"text\":\"x\"}]}");
    assert_int_equal(f->n_opened, 1);
    tell_ids(f, 0, 1, false);
    const json_t *results = at(expect_result(f), "results");
    assert_non_null(strstr(text_at(json_array_get(results, 0), "error"), "not loaded"));
    assert_non_null(strstr(text_at(json_array_get(results, 1), "error"), "text: required"));
    assert_true(is_null(at(json_array_get(results, 2), "error")));
    ask(f, "batch_tokenize", "{\"requests\":[]}");
    assert_int_equal(json_array_size(at(expect_result(f), "results")), 0);
}

static void strings_go_first_when_the_line_is_short(void **state)
{
    fixture *f = *state;
    ask(f, "rpc.negotiate", "{\"max_line_bytes\":16384}");
    (void)next_message(f);
    ask(f, "tokenize", "{\"model_id\":\"fake\",\"text\":\"x\"}");
    tell_ids(f, 0, 1500, true);
    const json_t *result = expect_result(f);
    assert_int_equal(json_array_size(at(result, "tokens")), 1500);
    assert_null(json_object_get(result, "token_strings"));
    ask(f, "tokenize", "{\"model_id\":\"fake\",\"text\":\"x\"}");
    tell_ids(f, 1, 9000, true);
    (void)expect_error(f, -32602, "the reply would take");
    char *params = many("{\"model_id\":\"fake\",\"text\":\"x\"}", 10);
    ask(f, "batch_tokenize", params);
    free(params);
    for (uint32_t i = 2; i < 12; i++) {
        tell_ids(f, i, 500, true);
    }
    const json_t *results = at(expect_result(f), "results");
    assert_true(is_true(at(json_array_get(results, 0), "success")));
    assert_non_null(strstr(text_at(json_array_get(results, 9), "error"), "too long"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tokenize_asks_and_answers),
        TEST(detokenize_and_embeddings_answer),
        TEST(few_items_are_open_at_once_and_order_is_kept),
        TEST(a_full_runtime_is_waited_for_by_the_batch_that_filled_it),
        TEST(items_fail_alone),
        TEST(strings_go_first_when_the_line_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
