/* tests/unit/engine/test_cache.c - what is computed once is found again: by the same prompt, by a retry after
 * a cancel, by nobody with another salt; and readers that take nothing lose their blocks, not their words. */
#include "support/engine_fixture.h"

#define N_LONG 200 /* tokens of a prompt: 12 full blocks of 16 and a rest */

/* A greedy prompt of ids that depend on kind alone. */
static krs_request *long_prompt(uint32_t kind, uint32_t max_tokens)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    uint32_t *ids = krs_arena_array(&r->arena, N_LONG, sizeof(*ids));
    assert_non_null(ids);
    for (uint32_t i = 0; i < N_LONG; i++) {
        ids[i] = (kind * 977 + i * 31) % 2000;
    }
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = N_LONG;
    r->sampling.temperature = 0.0;
    r->stopping.max_tokens = max_tokens;
    r->stopping.is_eos_ignored = true;
    return r;
}

/* Until a number of the health is as wanted; the round that ends a stream publishes after its delivery. */
static void wait_free(engine_fixture *f, uint32_t n_free)
{
    while (krs_runtime_health_of(f->runtime).n_kv_blocks_free != n_free) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void wait_parked(engine_fixture *f, uint32_t n_parked)
{
    while (krs_runtime_health_of(f->runtime).n_parked != n_parked) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void the_same_prompt_is_found_and_answered_the_same(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_draft_options();
    engine_fixture f = fixture_open(&options);
    static heard h[4];
    memset(h, 0, sizeof(h));
    fixture_answer(&f, long_prompt(1, 20), &h[0]);
    assert_int_equal(h[0].usage.n_cached_tokens, 0);
    assert_int_equal(h[0].usage.cache_end, KRS_CACHE_END_UNSEEN);
    fixture_answer(&f, long_prompt(1, 20), &h[1]);
    assert_int_equal(h[1].usage.n_cached_tokens, N_LONG / 16 * 16);
    assert_int_equal(h[1].usage.cache_end, KRS_CACHE_END_FULL);
    assert_string_equal(h[0].text, h[1].text);
    assert_memory_equal(h[0].ids, h[1].ids, h[0].n_tokens * sizeof(h[0].ids[0]));
    krs_request *r = long_prompt(1, 20);
    r->cache_salt = 7;
    fixture_answer(&f, r, &h[2]);
    assert_int_equal(h[2].usage.n_cached_tokens, 0);
    assert_string_equal(h[0].text, h[2].text);
    fixture_answer(&f, long_prompt(2, 20), &h[3]);
    assert_int_equal(h[3].usage.n_cached_tokens, 0);
    fixture_close(&f);
}

static void nothing_is_found_where_nothing_is_shared(void **state)
{
    (void)state;
    krs_engine_options options = fixture_draft_options();
    static heard h[2];
    memset(h, 0, sizeof(h));
    options.has_no_prefix_cache = true;
    engine_fixture f = fixture_open(&options);
    fixture_answer(&f, long_prompt(1, 2), &h[0]);
    fixture_answer(&f, long_prompt(1, 2), &h[1]);
    assert_int_equal(h[1].usage.n_cached_tokens, 0);
    assert_int_equal(h[1].usage.cache_end, KRS_CACHE_END_OFF);
    assert_int_equal(krs_runtime_health_of(f.runtime).n_kv_blocks_cached, 0);
    fixture_close(&f);
}

/* A mean needs every row, the last token's state only its own. */
static void an_embedding_reads_the_cache_if_its_pooling_can(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_draft_options();
    engine_fixture f = fixture_open(&options);
    static heard h[4];
    memset(h, 0, sizeof(h));
    for (int i = 0; i < 4; i++) {
        krs_request *r = long_prompt(3, 0);
        r->task = KRS_TASK_EMBED;
        r->task_options.pooling = i < 2 ? KRS_POOLING_LAST : KRS_POOLING_MEAN;
        fixture_answer(&f, r, &h[i]);
    }
    assert_int_equal(h[1].usage.n_cached_tokens, N_LONG / 16 * 16);
    assert_int_equal(h[2].usage.n_cached_tokens, 0);
    assert_int_equal(h[3].usage.n_cached_tokens, 0);
    assert_memory_equal(h[0].vector, h[1].vector, sizeof(h[0].vector));
    assert_memory_equal(h[2].vector, h[3].vector, sizeof(h[2].vector));
    fixture_close(&f);
}

static void a_cancelled_answer_is_there_for_its_retry(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_draft_options();
    engine_fixture f = fixture_open(&options);
    const uint32_t n_blocks = krs_engine_plan_of(f.runtime)->n_kv_blocks;
    static heard h;
    static heard retry;
    h = (heard){.shut_at = 60};
    retry = (heard){0};
    fixture_ask(&f, long_prompt(1, 200), &h);
    fixture_wait_gate(&f);
    krs_runtime_cancel(f.runtime, h.id);
    fixture_open_gate(&f);
    fixture_wait(&f, &h);
    assert_int_equal(h.n_tokens, 60); /* not one step more */
    wait_free(&f, n_blocks);
    assert_true(krs_runtime_health_of(f.runtime).n_kv_blocks_cached > N_LONG / 16);
    /* The retry goes on from what its client has heard. */
    krs_request *r = long_prompt(1, 10);
    uint32_t *ids = krs_arena_array(&r->arena, N_LONG + 60, sizeof(*ids));
    assert_non_null(ids);
    memcpy(ids, r->prompt.tokens, N_LONG * sizeof(*ids));
    memcpy(ids + N_LONG, h.ids, 60 * sizeof(*ids));
    r->prompt.tokens = ids;
    r->prompt.n_tokens = N_LONG + 60;
    fixture_answer(&f, r, &retry);
    assert_true(retry.usage.n_cached_tokens >= N_LONG + 40);
    fixture_close(&f);
}

/* A reader of two tokens is parked when others need its blocks, and goes on as if nothing had been. */
static void a_parked_stream_loses_its_blocks_and_no_word(void **state)
{
    (void)state;
    krs_engine_options options = fixture_draft_options();
    options.kv_tokens = 512; /* two and a half long prompts */
    engine_fixture f = fixture_open(&options);
    static heard alone[3];
    static heard paused;
    static heard late;
    static heard other;
    memset(alone, 0, sizeof(alone));
    paused = (heard){.shut_at = 2};
    late = (heard){0};
    other = (heard){0};
    fixture_answer(&f, long_prompt(1, 40), &alone[0]);
    fixture_answer(&f, long_prompt(2, 250), &alone[1]);
    krs_request *r = long_prompt(1, 40);
    r->credit = 2;
    fixture_ask(&f, r, &paused);
    fixture_wait_gate(&f);
    paused.shut_at = 0;
    fixture_open_gate(&f);
    r = long_prompt(3, 40);
    r->credit = 0; /* never starts, ends at its deadline */
    r->deadline_ns = krs_os_now_ns() + 20 * KRS_NS_PER_MS;
    fixture_ask(&f, r, &late);
    fixture_answer(&f, long_prompt(2, 250), &other); /* 450 of 512 tokens */
    assert_string_equal(other.text, alone[1].text);
    wait_parked(&f, 1);
    fixture_wait(&f, &late);
    assert_int_equal(late.finish, KRS_FINISH_DEADLINE);
    krs_runtime_grant(f.runtime, paused.id, 100);
    fixture_wait(&f, &paused);
    assert_true(paused.usage.n_preempted >= 1);
    assert_int_equal(paused.n_tokens, 40);
    assert_string_equal(paused.text, alone[0].text);
    assert_memory_equal(paused.ids, alone[0].ids, 40 * sizeof(paused.ids[0]));
    wait_parked(&f, 0);
    fixture_close(&f);
}

static void a_credit_given_with_the_request_holds_from_the_first_token(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    static heard h;
    h = (heard){.shut_at = 3};
    krs_request *r = question("What is 12 + 7?");
    r->credit = 3;
    fixture_ask(&f, r, &h);
    fixture_wait_gate(&f);
    fixture_open_gate(&f);
    while (krs_runtime_health_of(f.runtime).n_paused != 1) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    krs_runtime_grant(f.runtime, h.id, 1);
    krs_runtime_grant(f.runtime, h.id, 100);
    fixture_wait(&f, &h);
    assert_string_equal(h.text, "12 + 7 = 19.");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_prompt_is_found_and_answered_the_same),
        cmocka_unit_test(nothing_is_found_where_nothing_is_shared),
        cmocka_unit_test(an_embedding_reads_the_cache_if_its_pooling_can),
        cmocka_unit_test(a_cancelled_answer_is_there_for_its_retry),
        cmocka_unit_test(a_parked_stream_loses_its_blocks_and_no_word),
        cmocka_unit_test(a_credit_given_with_the_request_holds_from_the_first_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
