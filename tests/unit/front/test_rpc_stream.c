/* unit/front/test_rpc_stream.c - what a stream says and when: company for fast tokens, none for slow ones; stats
 * before the end; credit; no allocation for a token. */
#include "rpc_fixture.h"

#define GEN(id)  "{\"model_id\":\"fake\",\"prompt\":\"hi\",\"stream_id\":\"" id "\"}"
#define N_WARM   500 /* until the text is too long to be repeated */
#define N_TOKENS 1000

static void start(fixture *f, const char *params)
{
    ask(f, "generate", params);
    (void)expect_result(f);
}

static void slow_tokens_are_written_at_once_and_alone(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    for (uint32_t i = 0; i < 3; i++) {
        tell_token(f, 0, 40 + i, "ab");
        const json_t *chunk = expect_notification(f, "stream.chunk");
        assert_string_equal(text_at(chunk, "stream_id"), "s");
        assert_string_equal(text_at(chunk, "token"), "ab");
        assert_int_equal(int_at(chunk, "token_id"), 40 + i);
        assert_true(!is_true(at(chunk, "is_final")));
        assert_null(json_object_get(chunk, "logprob")); /* absent, not null */
        assert_int_equal(strlen(text_at(chunk, "cumulative_text")), 2 * (i + 1));
        assert_true(krs_rpc_due_ns(f->session) == UINT64_MAX);
        f->now_ns += KRS_RPC_FLUSH_NS;
    }
    tell_end(f, 0, KRS_FINISH_STOP);
}

static void fast_tokens_share_a_message(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    tell_token(f, 0, 1, "first");
    (void)expect_notification(f, "stream.chunk"); /* the first never waits */
    for (uint32_t i = 2; i < 6; i++) {
        f->now_ns += MS;
        tell_token(f, 0, i, "x");
        assert_null(next_message(f));
    }
    assert_true(krs_rpc_due_ns(f->session) == 1001 * MS + KRS_RPC_FLUSH_NS);
    krs_rpc_flush(f->session, f->now_ns);
    assert_null(next_message(f));
    f->now_ns = krs_rpc_due_ns(f->session);
    krs_rpc_flush(f->session, f->now_ns);
    const json_t *chunk = expect_notification(f, "stream.chunk");
    assert_true(is_true(at(chunk, "is_batch")));
    assert_int_equal(int_at(chunk, "batch_size"), 4);
    assert_int_equal(json_array_size(at(chunk, "tokens")), 4);
    assert_int_equal(int_at(json_array_get(at(chunk, "tokens"), 3), "token_id"), 5);
    assert_string_equal(text_at(json_array_get(at(chunk, "tokens"), 3), "cumulative_text"),
                        "firstxxxx");
    assert_null(json_object_get(json_array_get(at(chunk, "tokens"), 0), "cumulative_text"));
    assert_true(krs_rpc_due_ns(f->session) == UINT64_MAX);
    tell_end(f, 0, KRS_FINISH_STOP);
}

static void a_message_has_sixteen_tokens_at_most(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    tell_token(f, 0, 0, "x");
    (void)expect_notification(f, "stream.chunk");
    for (uint32_t i = 0; i < 40; i++) {
        tell_token(f, 0, i, "x");
    }
    tell_end(f, 0, KRS_FINISH_LENGTH);
    static const int sizes[] = {16, 16, 8};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(int_at(expect_notification(f, "stream.chunk"), "batch_size"), sizes[i]);
    }
    (void)expect_notification(f, "stream.stats");
    (void)expect_notification(f, "stream.event");
    assert_null(next_message(f));
}

static void several_tokens_of_a_step_keep_their_ids_and_texts(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    const krs_token tokens[] = {{.id = 7, .n_text = 1}, {.id = 8}, {.id = 9, .n_text = 1}};
    const krs_stream_event event = {.text = KRS_STR("abc"), .tokens = tokens, .n_tokens = 3};
    tell(f, 0, &event);
    const json_t *list = at(expect_notification(f, "stream.chunk"), "tokens");
    assert_string_equal(text_at(json_array_get(list, 0), "token"), "a");
    assert_int_equal(int_at(json_array_get(list, 1), "token_id"), 8);
    assert_string_equal(text_at(json_array_get(list, 1), "token"), "");
    assert_string_equal(text_at(json_array_get(list, 2), "token"),
                        "bc"); /* the last has the rest */
    const krs_stream_event late = {.text = KRS_STR("held back"), .n_tokens = 0};
    f->now_ns += 10 * MS;
    tell(f, 0, &late);
    const json_t *chunk = expect_notification(f, "stream.chunk");
    assert_string_equal(text_at(chunk, "token"), "held back");
    assert_int_equal(int_at(chunk, "token_id"), 9);
    tell_end(f, 0, KRS_FINISH_STOP);
}

static void stats_come_before_the_event_in_seconds(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    tell_token(f, 0, 1, "x");
    (void)next_message(f);
    tell_end(f, 0, KRS_FINISH_LENGTH);
    const json_t *stats = expect_notification(f, "stream.stats");
    assert_int_equal(int_at(stats, "tokens_generated"), 4);
    assert_true(json_number_value(at(stats, "tokens_per_second")) == 2);
    assert_true(json_number_value(at(stats, "time_to_first_token")) == 0.5);
    assert_true(json_number_value(at(stats, "total_time")) == 2.5);
    const json_t *event = expect_notification(f, "stream.event");
    assert_string_equal(text_at(event, "event"), "completed");
    assert_string_equal(text_at(event, "finish_reason"), "length");
    assert_true(is_true(at(event, "is_final")));
    assert_null(next_message(f));
    assert_int_equal(krs_rpc_streams(f->session), 0);
    start(f, GEN("s")); /* the name is free again */
    tell_end(f, 1, KRS_FINISH_DEADLINE);
    (void)expect_notification(f, "stream.stats");
    assert_string_equal(text_at(expect_notification(f, "stream.event"), "finish_reason"),
                        "timeout");
}

static void a_failure_is_an_error_event_without_stats_and_paths(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    tell_end(f, 0, KRS_FINISH_ERROR);
    const json_t *event = expect_notification(f, "stream.event");
    assert_string_equal(text_at(event, "event"), "error");
    assert_string_equal(text_at(event, "error"),
                        "Generation failed for fake: the device failed at x.bin");
    assert_null(json_object_get(event, "finish_reason"));
    assert_null(next_message(f));
}

static void continuous_streams_end_with_their_stats(void **state)
{
    fixture *f = *state;
    ask(f, "continuous_generate", GEN("c"));
    assert_true(is_null(expect_result(f)));
    tell_token(f, 0, 1, "a");
    tell_token(f, 0, 2, "b");
    for (int i = 0; i < 2; i++) {
        const json_t *chunk = expect_notification(f, "stream.chunk");
        assert_null(json_object_get(chunk, "tokens"));
        assert_null(json_object_get(chunk, "cumulative_text"));
    }
    tell_end(f, 0, KRS_FINISH_STOP);
    const json_t *stats = at(expect_notification(f, "stream.event"), "stats");
    assert_string_equal(text_at(stats, "finish_reason"), "eos");
    assert_true(json_number_value(at(stats, "duration_ms")) == 2500);
    assert_true(json_number_value(at(stats, "ttft_ms")) == 500);
    ask(f, "continuous_generate", GEN("c"));
    (void)next_message(f);
    tell_end(f, 1, KRS_FINISH_ERROR);
    const json_t *event = expect_notification(f, "stream.event");
    assert_string_equal(text_at(event, "event"), "completed");
    assert_string_equal(text_at(at(event, "stats"), "finish_reason"), "error");
    ask(f, "get_batcher_health", "{\"model_id\":\"fake\"}");
    assert_int_equal(int_at(expect_result(f), "completed_requests"), 2);
}

static void names_are_unique_while_they_live(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    ask(f, "generate", GEN("s"));
    (void)expect_error(f, -32602, "Stream ID 's' is already in use");
    assert_int_equal(f->n_opened, 1);
    ask(f, "batch_generate", "{\"requests\":[" GEN("a") "," GEN("a") "]}");
    (void)expect_error(f, -32602, "duplicate");
    ask(f, "batch_generate", "{\"requests\":[" GEN("a") "," GEN("s") ",{\"stream_id\":\"b\"}]}");
    const json_t *results = at(expect_result(f), "results");
    assert_true(is_true(at(json_array_get(results, 0), "success")));
    assert_true(is_null(at(json_array_get(results, 0), "error")));
    assert_non_null(strstr(text_at(json_array_get(results, 1), "error"), "already in use"));
    assert_non_null(strstr(text_at(json_array_get(results, 2), "error"), "model_id"));
    tell_end(f, 0, KRS_FINISH_STOP);
    tell_end(f, 1, KRS_FINISH_STOP);
}

static void parallel_replies_when_the_last_has_ended(void **state)
{
    fixture *f = *state;
    f->max_open = 2;
    ask(f, "batch_generate_parallel", "{\"requests\":[" GEN("a") "," GEN("b") "," GEN("c") "]}");
    const json_t *event = expect_notification(f, "stream.event"); /* c found no place */
    assert_string_equal(text_at(event, "stream_id"), "c");
    assert_string_equal(text_at(at(event, "stats"), "finish_reason"), "error");
    assert_int_equal(krs_rpc_unanswered(f->session), 1);
    tell_end(f, 1, KRS_FINISH_STOP);
    (void)expect_notification(f, "stream.event");
    assert_null(next_message(f));
    tell_end(f, 0, KRS_FINISH_STOP);
    (void)expect_notification(f, "stream.event");
    assert_true(is_null(expect_result(f)));
    assert_int_equal(krs_rpc_unanswered(f->session), 0);
}

/* Without a reader the runtime is given the window and no more. */
static void credit_follows_the_reader(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    sent_all(f);
    assert_int_equal(f->streams[0].request->credit, KRS_RPC_WINDOW_TOKENS);
    for (uint32_t i = 0; i < KRS_RPC_WINDOW_TOKENS; i++) {
        f->now_ns += 10 * MS;
        tell_token(f, 0, i, "x");
    }
    assert_int_equal(f->streams[0].n_granted, 0);
    const size_t n = krs_rpc_output(f->session).len;
    krs_rpc_sent(f->session, n / 2); /* half is not all: order is kept by waiting for it */
    assert_int_equal(f->streams[0].n_granted, 0);
    sent_all(f);
    assert_int_equal(f->streams[0].n_granted, KRS_RPC_WINDOW_TOKENS);
    tell_end(f, 0, KRS_FINISH_STOP);
}

/* Each of its tokens is a message of its own, however fast they come. */
static void a_fast_continuous_stream_gets_its_credit_back(void **state)
{
    fixture *f = *state;
    ask(f, "continuous_generate", GEN("c"));
    sent_all(f);
    for (uint32_t i = 0; i < KRS_RPC_WINDOW_TOKENS; i++) {
        f->now_ns += MS;
        tell_token(f, 0, i, "x");
        sent_all(f);
    }
    assert_true(f->streams[0].n_granted >= KRS_RPC_WINDOW_TOKENS / 2);
    tell_end(f, 0, KRS_FINISH_STOP);
}

static void the_clients_own_credit_is_exact(void **state)
{
    fixture *f = *state;
    start(f, "{\"model_id\":\"fake\",\"prompt\":\"hi\",\"stream_id\":\"s\",\"credit\":2}");
    assert_int_equal(f->streams[0].request->credit, 2);
    tell_token(f, 0, 1, "a");
    tell_token(f, 0, 2, "b");
    krs_rpc_flush(f->session, UINT64_MAX - 1);
    sent_all(f);
    assert_int_equal(f->streams[0].n_granted, 0);
    ask(f, "stream.credit", "{\"stream_id\":\"s\",\"n\":3}");
    assert_int_equal(int_at(expect_result(f), "granted"), 3);
    assert_int_equal(f->streams[0].n_granted, 3);
    ask(f, "stream.credit", "{\"stream_id\":\"s\",\"n\":1000}"); /* the window still holds */
    (void)next_message(f);
    assert_int_equal(f->streams[0].n_granted, KRS_RPC_WINDOW_TOKENS);
    ask(f, "stream.credit", "{\"stream_id\":\"other\",\"n\":3}");
    assert_int_equal(int_at(expect_result(f), "granted"), 0);
    ask(f, "cancel", "{\"stream_id\":\"s\"}");
    assert_true(is_true(at(expect_result(f), "cancelled")));
    assert_true(f->streams[0].is_cancelled);
    tell_end(f, 0, KRS_FINISH_CANCELLED);
    (void)expect_notification(f, "stream.stats");
    assert_string_equal(text_at(expect_notification(f, "stream.event"), "finish_reason"),
                        "cancelled");
}

static void no_line_grows_with_the_answer(void **state)
{
    fixture *f = *state;
    start(f, GEN("s"));
    char word[5000];
    memset(word, 'w', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    size_t n_text = 0;
    for (int i = 0; i < 20; i++) {
        tell_token(f, 0, 1, i % 2 ? word : "\x01\x02\x03");
    }
    tell_end(f, 0, KRS_FINISH_LENGTH);
    const krs_str out = krs_rpc_output(f->session);
    size_t longest = 0;
    for (const char *line = out.ptr + f->n_read; line < out.ptr + out.len;) {
        const char *end = memchr(line, '\n', (size_t)(out.ptr + out.len - line));
        longest = (size_t)(end - line) > longest ? (size_t)(end - line) : longest;
        line = end + 1;
    }
    assert_true(longest < (32u << 10));
    for (json_t *m = next_message(f); m; m = next_message(f)) {
        const json_t *params = at(m, "params");
        const json_t *list = json_object_get(params, "tokens");
        for (size_t i = 0; i < (list ? json_array_size(list) : 1); i++) {
            const json_t *token = json_object_get(list ? json_array_get(list, i) : params, "token");
            n_text += json_string_length(token);
        }
    }
    assert_int_equal(n_text, 10 * 4999 + 10 * 3);
}

static void logprobs_are_those_of_the_token(void **state)
{
    fixture *f = *state;
    start(f, "{\"model_id\":\"fake\",\"prompt\":\"x\",\"stream_id\":\"s\",\"logprobs\":true,"
             "\"top_logprobs\":2}");
    const krs_logprob top[] = {{5, -0.25F, {"a", 1}}, {6, -1.5F, {"\xE2\x82", 2}}};
    const krs_token token = {5, -0.25F, top, 2, {"a", 1}, 1, 0};
    const krs_stream_event event = {.text = KRS_STR("a"), .tokens = &token, .n_tokens = 1};
    tell(f, 0, &event);
    const json_t *chunk = expect_notification(f, "stream.chunk");
    assert_true(json_real_value(at(chunk, "logprob")) == -0.25);
    assert_int_equal(json_array_size(at(chunk, "top_logprobs")), 2);
    const json_t *second = json_array_get(at(chunk, "top_logprobs"), 1);
    assert_string_equal(text_at(second, "token"), "\xEF\xBF\xBD\xEF\xBF\xBD"); /* not characters */
    tell_end(f, 0, KRS_FINISH_STOP);
}

static size_t n_json_takes; /* jansson's hooks have no context */

static void *count_json(size_t n)
{
    n_json_takes++;
    return malloc(n);
}

/* What a connection does for each token: event, flush, the bytes are taken. */
static void hear_tokens(fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        f->now_ns += i % 3 ? MS : 8 * MS;
        tell_token(f, 0, 9, "w\xC3\xB6rd\n");
        krs_rpc_flush(f->session, f->now_ns);
        sent_all(f);
    }
}

static void a_token_costs_no_allocation(void **state)
{
    fixture *f = *state;
    for (int k = 0; k < 2; k++) {
        ask(f, "generate", GEN("s"));
        sent_all(f);
        hear_tokens(f, N_WARM);
        const uint64_t n_takes = atomic_load(&f->oom.n_takes);
        json_set_alloc_funcs(count_json, free);
        n_json_takes = 0;
        hear_tokens(f, N_TOKENS);
        json_set_alloc_funcs(malloc, free);
        assert_int_equal(atomic_load(&f->oom.n_takes), n_takes);
        assert_int_equal(n_json_takes, 0);
        ask(f, "cancel", "{\"stream_id\":\"s\"}");
        krs_rpc_session_free(f->session); /* again, in the other encoding */
        f->n_opened = 0;
        krs_request_free(f->streams[0].request);
        const krs_rpc_session_options options = {f, 64u << 10};
        assert_int_equal(krs_rpc_session_new(f->desk, &options, &f->session), KRS_OK);
        f->session->encoding = KRS_ENCODING_MSGPACK;
    }
}

static void a_closed_session_drops_its_streams(void **state)
{
    fixture *f = *state;
    start(f, GEN("a"));
    start(f, GEN("b"));
    ask(f, "tokenize", "{\"model_id\":\"fake\",\"text\":\"x\"}");
    krs_rpc_session_free(f->session);
    f->session = NULL;
    for (int i = 0; i < 3; i++) {
        assert_true(f->streams[i].is_dropped);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_chat_with_tools_tells_calls_and_reasoning_apart(void **state)
{
    fixture *f = *state;
    ask(f, "chat",
        "{\"model_id\":\"fake\",\"stream_id\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"hi\"},{"
        "\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"add\","
        "\"arguments\":\"{\\\"a\\\":2}\"}}]}],\"tools\":[{\"type\":\"function\",\"function\":{"
        "\"name\":"
        "\"add\"}}]}");
    (void)expect_result(f);
    const json_t *chat = f->streams[0].request->prompt.chat;
    const json_t *old = json_array_get(json_object_get(chat, "messages"), 1);
    const json_t *call = json_array_get(json_object_get(old, "tool_calls"), 0);
    assert_true(json_is_object(json_object_get(json_object_get(call, "function"), "arguments")));
    static const char *const pieces[] = {"<think>Sum.", "</think>We",
                                         "ll.\n<tool_call>\n{\"name\": \"add\", \"arg",
                                         "uments\": {\"a\": 1}}\n</tool", "_call>"};
    for (uint32_t i = 0; i < 5; i++) {
        tell_token(f, 0, 40 + i, pieces[i]);
        f->now_ns += KRS_RPC_FLUSH_NS;
    }
    tell_end(f, 0, KRS_FINISH_STOP);
    const json_t *chunk = expect_notification(f, "stream.chunk");
    assert_string_equal(text_at(chunk, "reasoning"), "Sum.");
    assert_string_equal(text_at(chunk, "token"), "");
    assert_string_equal(text_at(expect_notification(f, "stream.chunk"), "token"), "We");
    chunk = expect_notification(f, "stream.chunk");
    assert_string_equal(text_at(chunk, "token"), "ll.");
    assert_string_equal(text_at(chunk, "cumulative_text"), "Well.");
    const json_t *event = expect_notification(f, "stream.event");
    assert_string_equal(text_at(event, "event"), "tool_call");
    assert_string_equal(text_at(event, "name"), "add");
    assert_string_equal(text_at(event, "arguments"), "{\"a\": 1}");
    assert_int_equal(int_at(event, "index"), 0);
    for (int id = 43; id < 45; id++) { /* the tokens of the call say nothing else */
        chunk = expect_notification(f, "stream.chunk");
        assert_string_equal(text_at(chunk, "token"), "");
        assert_int_equal(int_at(chunk, "token_id"), id);
    }
    (void)expect_notification(f, "stream.stats");
    assert_string_equal(text_at(expect_notification(f, "stream.event"), "finish_reason"),
                        "tool_calls");
}

static void a_chat_whose_tools_are_none_is_refused(void **state)
{
    fixture *f = *state;
    ask(f, "chat",
        "{\"model_id\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[{"
        "\"type\":"
        "\"function\"}]}");
    (void)expect_error(f, -32602, "tools[0].function.name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slow_tokens_are_written_at_once_and_alone),
        TEST(fast_tokens_share_a_message),
        TEST(a_message_has_sixteen_tokens_at_most),
        TEST(several_tokens_of_a_step_keep_their_ids_and_texts),
        TEST(stats_come_before_the_event_in_seconds),
        TEST(a_failure_is_an_error_event_without_stats_and_paths),
        TEST(continuous_streams_end_with_their_stats),
        TEST(names_are_unique_while_they_live),
        TEST(parallel_replies_when_the_last_has_ended),
        TEST(credit_follows_the_reader),
        TEST(a_fast_continuous_stream_gets_its_credit_back),
        TEST(the_clients_own_credit_is_exact),
        TEST(no_line_grows_with_the_answer),
        TEST(logprobs_are_those_of_the_token),
        TEST(a_token_costs_no_allocation),
        TEST(a_closed_session_drops_its_streams),
        TEST(a_chat_with_tools_tells_calls_and_reasoning_apart),
        TEST(a_chat_whose_tools_are_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
