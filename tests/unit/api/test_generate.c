/* tests/unit/api/test_generate.c - a request's ranges: every field at, inside and outside its limits, and
 * the error names the field. */
#include "api/generate.h"
#include "support/cmocka.h"
#include "support/oom.h"

#include <math.h>

static krs_request *request_of(void)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = KRS_STR("hello");
    return r;
}

static void expect_refused(const krs_request *r, const char *field)
{
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_request_check(r, &err), KRS_EINVAL);
    assert_string_equal(err.field, field);
    assert_non_null(strstr(err.message, field));
}

static void defaults_are_in_range(void **state)
{
    (void)state;
    krs_request *r = request_of();
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    assert_int_equal(r->deadline_ns, UINT64_MAX);
    krs_request_free(r);
    krs_request_free(NULL);
}

static void reals_outside_their_range_are_refused(void **state)
{
    (void)state;
    krs_request *r = request_of();
    const krs_sampling defaults = r->sampling;
    const struct {
        const char *field;
        size_t offset;
        double good[2];
        double bad[3];
    } cases[] = {
        {"temperature", offsetof(krs_sampling, temperature), {0.0, 2.0}, {-0.01, 2.01, NAN}},
        {"top_p", offsetof(krs_sampling, top_p), {1e-9, 1.0}, {0.0, 1.01, NAN}},
        {"min_p", offsetof(krs_sampling, min_p), {0.0, 0.99}, {-0.1, 1.0, NAN}},
        {"repetition_penalty",
         offsetof(krs_sampling, repetition_penalty),
         {0.1, 10.0},
         {0.0, 10.1, INFINITY}},
        {"presence_penalty",
         offsetof(krs_sampling, presence_penalty),
         {-2.0, 2.0},
         {-2.1, 2.1, NAN}},
        {"frequency_penalty",
         offsetof(krs_sampling, frequency_penalty),
         {-2.0, 2.0},
         {-2.1, 2.1, -INFINITY}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double *value = (double *)(void *)((char *)&r->sampling + cases[i].offset);
        for (int k = 0; k < 2; k++) {
            *value = cases[i].good[k];
            assert_int_equal(krs_request_check(r, NULL), KRS_OK);
        }
        for (int k = 0; k < 3; k++) {
            *value = cases[i].bad[k];
            expect_refused(r, cases[i].field);
        }
        r->sampling = defaults;
    }
    krs_request_free(r);
}

static void counts_outside_their_range_are_refused(void **state)
{
    (void)state;
    krs_request *r = request_of();
    r->sampling.top_k = -1;
    expect_refused(r, "top_k");
    r->sampling.top_k = 0;
    r->sampling.n_logprobs = KRS_MAX_TOP_LOGPROBS + 1;
    expect_refused(r, "top_logprobs");
    r->sampling.n_logprobs = -1;
    const krs_logit_bias bias = {1, 100.5f};
    r->sampling.bias = &bias;
    r->sampling.n_bias = 1;
    expect_refused(r, "logit_bias");
    r->sampling.n_bias = KRS_MAX_LOGIT_BIAS + 1;
    expect_refused(r, "logit_bias");
    r->sampling.n_bias = 0;
    r->stopping.max_tokens = KRS_MAX_NEW_TOKENS + 1;
    expect_refused(r, "max_tokens");
    r->stopping.max_tokens = 4;
    r->stopping.min_tokens = 5;
    expect_refused(r, "min_tokens");
    r->stopping.min_tokens = 4;
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->priority = (krs_priority)3;
    expect_refused(r, "priority");
    krs_request_free(r);
}

static void stops_outside_their_range_are_refused(void **state)
{
    (void)state;
    static const char longest[KRS_MAX_STOP_BYTES + 1] = {'x'};
    krs_request *r = request_of();
    krs_str stops[2] = {KRS_STR("a"), {longest, KRS_MAX_STOP_BYTES}};
    r->stopping.stops = stops;
    r->stopping.n_stops = 2;
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    stops[1].len++;
    expect_refused(r, "stop");
    stops[1].len = 0;
    expect_refused(r, "stop");
    r->stopping.n_stops = KRS_MAX_STOPS + 1;
    expect_refused(r, "stop");
    r->stopping.n_stops = 0;
    r->stopping.n_stop_ids = KRS_MAX_STOP_IDS + 1;
    expect_refused(r, "stop_token_ids");
    krs_request_free(r);
}

static void prompts_must_have_something_in_them(void **state)
{
    (void)state;
    krs_request *r = request_of();
    r->prompt.text.len = 0;
    expect_refused(r, "prompt");
    r->prompt.kind = KRS_PROMPT_TOKENS;
    expect_refused(r, "prompt");
    r->prompt.kind = KRS_PROMPT_CHAT;
    expect_refused(r, "messages");
    r->prompt.chat = json_pack("{s:[]}", "messages");
    expect_refused(r, "messages");
    json_decref(r->prompt.chat);
    r->prompt.chat = json_pack("{s:[{}]}", "messages");
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->prompt.kind = (krs_prompt_kind)9;
    expect_refused(r, "prompt");
    krs_request_free(r);
}

static void each_task_reads_its_own_prompts(void **state)
{
    (void)state;
    krs_request *r = request_of();
    r->task = KRS_TASK_TOKENIZE;
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->prompt.text.len = 0; /* nothing is no tokens */
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->prompt.kind = KRS_PROMPT_TOKENS;
    expect_refused(r, "prompt");
    r->task = KRS_TASK_DETOKENIZE;
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->prompt.kind = KRS_PROMPT_TEXT;
    expect_refused(r, "tokens");
    r->task = KRS_TASK_EMBED;
    expect_refused(r, "input");
    r->prompt.kind = KRS_PROMPT_TOKENS;
    expect_refused(r, "input");
    r->task = KRS_TASK_COUNT;
    expect_refused(r, "task");
    krs_request_free(r);
}

static void tenant_and_pooling_have_their_ranges(void **state)
{
    (void)state;
    krs_request *r = request_of();
    r->tenant = KRS_MAX_TENANTS - 1;
    r->task_options.pooling = KRS_POOLING_MEAN;
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->tenant = KRS_MAX_TENANTS;
    expect_refused(r, "tenant");
    r->tenant = 0;
    r->task_options.pooling = (krs_pooling)(KRS_POOLING_CLS + 1);
    expect_refused(r, "pooling");
    krs_request_free(r);
}

static void finish_reasons_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(krs_finish_name(KRS_FINISH_STOP), "stop");
    assert_string_equal(krs_finish_name(KRS_FINISH_LENGTH), "length");
    assert_string_equal(krs_finish_name(KRS_FINISH_CANCELLED), "cancelled");
    assert_string_equal(krs_finish_name(KRS_FINISH_DEADLINE), "deadline");
    assert_string_equal(krs_finish_name(KRS_FINISH_ERROR), "error");
    assert_string_equal(krs_finish_name(KRS_FINISH_COUNT), "error");
}

static krs_status make_and_fill(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_request *r = NULL;
    krs_status status = krs_request_new(alloc, &r);
    if (status == KRS_OK) {
        status = krs_arena_copy(&r->arena, KRS_STR("text")).ptr ? KRS_OK : KRS_ENOMEM;
        krs_request_free(r);
    }
    return status;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(make_and_fill, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_in_range),
        cmocka_unit_test(reals_outside_their_range_are_refused),
        cmocka_unit_test(counts_outside_their_range_are_refused),
        cmocka_unit_test(stops_outside_their_range_are_refused),
        cmocka_unit_test(prompts_must_have_something_in_them),
        cmocka_unit_test(each_task_reads_its_own_prompts),
        cmocka_unit_test(tenant_and_pooling_have_their_ranges),
        cmocka_unit_test(finish_reasons_have_their_names),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
