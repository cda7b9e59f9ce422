/* unit/front/test_no_allocation.c - a token costs no allocation: not ours, not jansson's. */
#include "call_fixture.h"

#define N_WARM   64
#define N_TOKENS 1000
#define MSG      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

typedef struct counting {
    krs_alloc alloc;
    size_t n_takes;
} counting;

static size_t n_json_takes; /* jansson's hooks have no context */

static void *count_take(void *ctx, size_t n)
{
    ((counting *)ctx)->n_takes++;
    return malloc(n);
}

static void *count_resize(void *ctx, void *ptr, size_t n)
{
    ((counting *)ctx)->n_takes++;
    return realloc(ptr, n);
}

static void count_give(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static void *count_json(size_t n)
{
    n_json_takes++;
    return malloc(n);
}

static const krs_logprob best[2] = {{1, -0.25F, {"\xE2\x82", 2}}, {2, -1.5F, {"b\"", 2}}};
static const krs_token token = {2, -1.5F, best, 2, {"word ", 5}, 5, 0};

/* Feed tokens the way a server does: one event, then the bytes are taken away. */
static void hear_tokens(krs_answer *answer, krs_buf *out, int n)
{
    const krs_stream_event event = {
        .text = KRS_STR("w\xC3\xB6rd\n"), .tokens = &token, .n_tokens = 1};
    for (int i = 0; i < n; i++) {
        krs_buf_reset(out);
        assert_int_equal(krs_answer_add(answer, 0, &event, out), KRS_OK);
        assert_true(out->len > 0);
    }
}

static void expect_none(krs_call_kind kind, const char *body)
{
    counting counter = {.n_takes = 0};
    counter.alloc = (krs_alloc){&counter, count_take, count_resize, count_give};
    const krs_model_info info = model_info();
    krs_call_context context = context_of(&info);
    context.alloc = &counter.alloc;
    krs_call *call = NULL;
    krs_answer *answer = NULL;
    krs_buf out;
    assert_int_equal(krs_call_parse(&context, kind, krs_str_of(body), &call, NULL), KRS_OK);
    assert_int_equal(krs_answer_new(call, &answer), KRS_OK);
    krs_buf_init(&out, &counter.alloc, 1u << 20);
    hear_tokens(answer, &out, N_WARM);
    assert_true(counter.n_takes > 0 && n_json_takes > 0); /* the counters do count */
    const size_t n_takes = counter.n_takes;
    const size_t n_json = n_json_takes;
    hear_tokens(answer, &out, N_TOKENS);
    assert_int_equal(counter.n_takes, n_takes);
    assert_int_equal(n_json_takes, n_json);
    krs_buf_deinit(&out);
    krs_answer_free(answer);
}

static void no_api_allocates_for_a_token(void **state)
{
    (void)state;
    json_set_alloc_funcs(count_json, free);
    expect_none(KRS_CALL_CHAT, "{\"model\":\"m\",\"stream\":true," MSG "}");
    expect_none(KRS_CALL_CHAT, "{\"model\":\"m\",\"stream\":true,\"logprobs\":true,"
                               "\"top_logprobs\":2," MSG "}");
    expect_none(KRS_CALL_COMPLETION, "{\"model\":\"m\",\"stream\":true,\"prompt\":\"a\"}");
    expect_none(KRS_CALL_COMPLETION,
                "{\"model\":\"m\",\"stream\":true,\"prompt\":\"a\",\"logprobs\":2}");
    expect_none(KRS_CALL_MESSAGES, "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9," MSG "}");
    expect_none(KRS_CALL_RESPONSES, "{\"model\":\"m\",\"stream\":true,\"input\":\"a\"}");
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_api_allocates_for_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
