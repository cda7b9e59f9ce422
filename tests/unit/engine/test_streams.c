/* tests/unit/engine/test_streams.c - many streams and their ends: the same bytes alone and in a crowd,
 * chunked or preempted; cancel, deadline, credit, full queue, drain, lost device, free. The gate of the
 * fixture gives exact moments, so nothing here depends on time. */
#include "base/fault.h"
#include "support/engine_fixture.h"
#include "support/oom.h"

#define CROWD        8
#define CROWD_ROUNDS 20

static const char *const questions[CROWD] = {
    "Tell me a story about a fox.",
    "What is 12 + 7?",
    "What is the capital of Norway?",
    "Write a story with an old map.",
    "What is 58 + 34?",
    "Spell happy.",
    "Tell me a story about a bear.",
    "What month comes after March?",
};

static krs_request *crowd_request(int i)
{
    krs_request *r = question(questions[i]);
    r->sampling.temperature = i % 2 ? 0.0 : 0.9;
    r->sampling.seed = (uint64_t)i;
    r->stopping.max_tokens = 48;
    return r;
}

/* Every question alone, one after the other, in an engine with room for all of it. */
static void answer_alone(heard *h)
{
    krs_engine_options options = fixture_draft_options();
    options.max_seqs = 1;
    engine_fixture f = fixture_open(&options);
    for (int i = 0; i < CROWD; i++) {
        fixture_answer(&f, crowd_request(i), &h[i]);
    }
    fixture_close(&f);
}

static void answer_together(const krs_engine_options *options, heard *h)
{
    engine_fixture f = fixture_open(options);
    for (int i = 0; i < CROWD; i++) {
        fixture_ask(&f, crowd_request(i), &h[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        fixture_wait(&f, &h[i]);
    }
    const krs_runtime_health health = krs_runtime_health_of(f.runtime);
    assert_int_equal(health.n_waiting, 0);
    fixture_close(&f);
}

static void expect_equal(const heard *a, const heard *b)
{
    for (int i = 0; i < CROWD; i++) {
        assert_string_equal(a[i].text, b[i].text);
        assert_int_equal(a[i].n_tokens, b[i].n_tokens);
        assert_memory_equal(a[i].ids, b[i].ids, a[i].n_tokens * sizeof(a[i].ids[0]));
        assert_int_equal(a[i].finish, b[i].finish);
    }
}

static void a_crowd_gets_the_bytes_each_would_get_alone(void **state)
{
    (void)state;
    static heard alone[CROWD];
    static heard together[CROWD];
    static heard preempted[CROWD];
    answer_alone(alone);
    krs_engine_options options = fixture_draft_options();
    options.max_step_tokens = 9; /* prompts are read in odd pieces between decodes */
    options.n_prep_threads = 2;
    answer_together(&options, together);
    expect_equal(alone, together);

    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    options.max_context_tokens = 96;
    options.kv_tokens = 112; /* 7 blocks, where 8 streams want up to 5 each */
    options.metrics = metrics;
    /* Whether streams meet in the cache is up to the threads; on a busy machine they may queue up one by
     * one. They do not do that every time. */
    for (int i = 0; i < CROWD_ROUNDS && krs_metrics_read(metrics, KRS_METRIC_PREEMPTIONS) == 0;
         i++) {
        memset(preempted, 0, sizeof(preempted));
        answer_together(&options, preempted);
        expect_equal(alone, preempted);
    }
    assert_true(krs_metrics_read(metrics, KRS_METRIC_PREEMPTIONS) > 0);
    assert_true(krs_metrics_read(metrics, KRS_METRIC_STEPS) > 48);
    krs_metrics_free(metrics);
}

static krs_request *endless(void)
{
    krs_request *r = question("Tell me a story about a fox.");
    r->stopping.is_eos_ignored = true;
    return r;
}

static void cancel_ends_a_stream_within_a_step_and_touches_no_other(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    static heard h;
    static heard other;
    h = (heard){.shut_at = 3};
    other = (heard){0};
    fixture_ask(&f, endless(), &h);
    fixture_wait_gate(&f);
    krs_request *r = question("What is 12 + 7?");
    fixture_ask(&f, r, &other);
    krs_runtime_cancel(f.runtime, h.id);
    krs_runtime_cancel(f.runtime, h.id); /* again is nothing */
    fixture_open_gate(&f);
    fixture_wait(&f, &h);
    assert_int_equal(h.finish, KRS_FINISH_CANCELLED);
    assert_int_equal(h.n_tokens, 3);
    assert_int_equal(h.usage.n_answer_tokens, 3);
    fixture_wait(&f, &other);
    assert_string_equal(other.text, "12 + 7 = 19.");
    krs_runtime_cancel(f.runtime, h.id); /* an old id */
    krs_runtime_cancel(f.runtime, 12345);
    fixture_close(&f);
}

static void cancel_reaches_a_prompt_that_is_being_read_and_one_that_waits(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.max_seqs = 2;
    options.max_step_tokens = 2; /* so the long prompt takes 250 steps */
    engine_fixture f = fixture_open(&options);
    static heard runs;
    static heard reads;
    static heard waits;
    static heard tick;
    runs = (heard){.shut_at = 1};
    reads = (heard){0};
    waits = (heard){0};
    fixture_ask(&f, endless(), &runs);
    fixture_wait_gate(&f);
    krs_request *r = endless();
    uint32_t *ids = krs_arena_array(&r->arena, 500, sizeof(*ids));
    assert_non_null(ids);
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = 500;
    fixture_ask(&f, r, &reads);
    fixture_ask(&f, question("Hello"), &waits);
    /* Let ten more steps pass, in which the long prompt is read row by row beside the decode. */
    krs_os_mutex_lock(f.lock);
    runs.shut_at = 60;
    krs_os_mutex_unlock(f.lock);
    fixture_open_gate(&f);
    fixture_wait_gate(&f);
    krs_runtime_cancel(f.runtime, reads.id);
    krs_runtime_cancel(f.runtime, waits.id);
    krs_runtime_cancel(f.runtime, runs.id);
    fixture_open_gate(&f);
    fixture_wait(&f, &reads);
    fixture_wait(&f, &waits);
    fixture_wait(&f, &runs);
    assert_int_equal(reads.finish, KRS_FINISH_CANCELLED);
    assert_int_equal(reads.n_tokens, 0);
    assert_int_equal(waits.finish, KRS_FINISH_CANCELLED);
    assert_int_equal(runs.n_tokens, 60);
    tick = (heard){0};
    fixture_answer(&f, question("What is 12 + 7?"), &tick); /* and it goes on */
    assert_string_equal(tick.text, "12 + 7 = 19.");
    fixture_close(&f);
}

static void a_deadline_ends_a_stream_wherever_it_is(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    static heard past;
    static heard soon;
    past = (heard){0};
    soon = (heard){.shut_at = 2};
    krs_request *r = endless();
    r->deadline_ns = 1;
    fixture_answer(&f, r, &past);
    assert_int_equal(past.finish, KRS_FINISH_DEADLINE);
    assert_int_equal(past.n_tokens, 0);
    r = endless();
    r->deadline_ns = krs_os_now_ns() + 20 * KRS_NS_PER_MS;
    const uint64_t deadline_ns = r->deadline_ns;
    fixture_ask(&f, r, &soon);
    /* The gate may never shut when the machine is slow: then the deadline came first. */
    krs_os_mutex_lock(f.lock);
    while (!f.is_gate_shut && soon.n_ends == 0) {
        krs_os_cond_wait(f.changed, f.lock);
    }
    krs_os_mutex_unlock(f.lock);
    while (krs_os_now_ns() < deadline_ns) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    fixture_open_gate(&f);
    fixture_wait(&f, &soon);
    assert_int_equal(soon.finish, KRS_FINISH_DEADLINE);
    assert_true(soon.n_tokens <= 2);
    fixture_close(&f);
}

static void credit_pauses_a_stream_and_lets_it_go_on(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    static heard free_run;
    static heard h;
    static heard other;
    free_run = (heard){0};
    h = (heard){.shut_at = 1};
    other = (heard){0};
    fixture_answer(&f, question("What is 58 + 34?"), &free_run);
    fixture_ask(&f, question("What is 58 + 34?"), &h);
    fixture_wait_gate(&f);
    krs_runtime_grant(f.runtime, h.id, 2);
    fixture_open_gate(&f);
    fixture_answer(&f, question("What is 12 + 7?"), &other); /* 11 steps, of which h may join 2 */
    krs_os_mutex_lock(f.lock);
    assert_int_equal(h.n_tokens, 3);
    assert_int_equal(h.n_ends, 0);
    krs_os_mutex_unlock(f.lock);
    krs_runtime_grant(f.runtime, h.id, UINT32_MAX);
    krs_runtime_grant(f.runtime, h.id, UINT32_MAX);
    fixture_wait(&f, &h);
    assert_string_equal(h.text, free_run.text);
    fixture_close(&f);
}

static void a_full_queue_says_busy(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.max_seqs = 1;
    options.max_waiting = 2;
    engine_fixture f = fixture_open(&options);
    static heard h[4];
    memset(h, 0, sizeof(h));
    h[0].shut_at = 1;
    fixture_ask(&f, question("What is 12 + 7?"), &h[0]);
    fixture_wait_gate(&f);
    fixture_ask(&f, question("What is 12 + 7?"), &h[1]);
    fixture_ask(&f, question("What is 12 + 7?"), &h[2]);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(fixture_try(&f, question("What is 12 + 7?"), &h[3], &err), KRS_EBUSY);
    assert_non_null(strstr(err.message, "2 requests wait"));
    assert_int_equal(krs_runtime_health_of(f.runtime).n_waiting, 2);
    fixture_open_gate(&f);
    for (int i = 0; i < 3; i++) {
        fixture_wait(&f, &h[i]);
        assert_string_equal(h[i].text, "12 + 7 = 19.");
    }
    fixture_close(&f);
}

static krs_request *question_of(uint32_t tenant)
{
    krs_request *request = question("What is 12 + 7?");
    request->tenant = tenant;
    return request;
}

static void one_tenant_cannot_fill_the_queue(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.max_seqs = 1;
    options.max_waiting = 4;
    engine_fixture f = fixture_open(&options);
    static heard h[6];
    memset(h, 0, sizeof(h));
    h[0].shut_at = 1;
    fixture_ask(&f, question_of(1), &h[0]);
    fixture_wait_gate(&f);
    for (int i = 1; i < 4; i++) {
        fixture_ask(&f, question_of(1), &h[i]);
    }
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(fixture_try(&f, question_of(1), &h[5], &err), KRS_EBUSY);
    assert_non_null(strstr(err.message, "3 requests of this key wait"));
    fixture_ask(&f, question_of(2), &h[4]);
    fixture_open_gate(&f);
    for (int i = 0; i < 5; i++) {
        fixture_wait(&f, &h[i]);
        assert_string_equal(h[i].text, "12 + 7 = 19.");
    }
    static heard again; /* every place was given back */
    for (int i = 0; i < 5; i++) {
        fixture_answer(&f, question_of(1), &again);
        memset(&again, 0, sizeof(again));
    }
    fixture_close(&f);
}

static void drain_finishes_what_runs_and_refuses_the_rest(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    assert_int_equal(krs_runtime_health_of(f.runtime).state, KRS_RUNTIME_READY);
    static heard h;
    static heard late;
    h = (heard){.shut_at = 1};
    fixture_ask(&f, question("What is 12 + 7?"), &h);
    fixture_wait_gate(&f);
    krs_runtime_drain(f.runtime);
    assert_int_equal(krs_runtime_health_of(f.runtime).state, KRS_RUNTIME_DRAINING);
    assert_int_equal(fixture_try(&f, question("Hello"), &late, NULL), KRS_EUNAVAILABLE);
    fixture_open_gate(&f);
    fixture_wait(&f, &h);
    assert_string_equal(h.text, "12 + 7 = 19.");
    while (krs_runtime_health_of(f.runtime).state != KRS_RUNTIME_STOPPED) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    fixture_close(&f);
}

/* Three endless streams, of which two run, when the device fails. */
static void lose_device(engine_fixture *f, heard *h)
{
    memset(h, 0, 3 * sizeof(*h));
    h[0].shut_at = 2;
    for (int i = 0; i < 3; i++) {
        fixture_ask(f, endless(), &h[i]);
    }
    fixture_wait_gate(f);
    krs_fault_arm(KRS_FAULT_DEVICE_STEP, 1);
    fixture_open_gate(f);
    for (int i = 0; i < 3; i++) {
        fixture_wait(f, &h[i]);
        assert_int_equal(h[i].finish, KRS_FINISH_ERROR);
        assert_int_equal(h[i].error.status, KRS_EDEVICE);
    }
}

static void a_lost_device_ends_who_is_there_and_is_opened_anew_once(void **state)
{
    (void)state;
    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    krs_engine_options options = fixture_options();
    options.max_seqs = 2;
    options.metrics = metrics;
    engine_fixture f = fixture_open(&options);
    static heard h[3];
    static heard after;
    lose_device(&f, h);
    assert_int_equal(krs_runtime_health_of(f.runtime).state, KRS_RUNTIME_READY);
    after = (heard){0};
    fixture_answer(&f, question("What is 12 + 7?"), &after); /* nothing of the lost cache is used */
    assert_string_equal(after.text, "12 + 7 = 19.");
    assert_int_equal(after.usage.n_cached_tokens, 0);
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_DEVICE_REOPENED), 1);

    lose_device(&f, h); /* again, and soon: it is not to be trusted */
    while (krs_runtime_health_of(f.runtime).state != KRS_RUNTIME_FAILED) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    assert_int_equal(fixture_try(&f, question("Hello"), &after, NULL), KRS_EUNAVAILABLE);
    fixture_close(&f);
    krs_metrics_free(metrics);
}

/* One that was opened, prepared and cancelled while a step ran comes home in the round that ended it. */
static void a_lost_device_leaves_alone_who_has_its_end_already(void **state)
{
    (void)state;
    krs_engine_options options = fixture_draft_options();
    options.n_prep_threads = 1; /* in the order of opening */
    engine_fixture f = fixture_open(&options);
    static heard h[3];
    memset(h, 0, sizeof(h));
    h[0].shut_at = 2;
    fixture_ask(&f, endless(), &h[0]);
    fixture_wait_gate(&f);
    fixture_ask(&f, endless(), &h[1]);
    krs_request *r = question("Hello");
    r->task = KRS_TASK_TOKENIZE;
    fixture_ask(&f, r, &h[2]);
    fixture_wait(&f, &h[2]); /* so the one before it is prepared */
    krs_runtime_cancel(f.runtime, h[1].id);
    krs_fault_arm(KRS_FAULT_DEVICE_STEP, 1);
    fixture_open_gate(&f);
    fixture_wait(&f, &h[0]);
    fixture_wait(&f, &h[1]);
    assert_int_equal(h[0].finish, KRS_FINISH_ERROR);
    assert_int_equal(h[0].error.status, KRS_EDEVICE);
    assert_int_equal(h[1].finish, KRS_FINISH_CANCELLED);
    fixture_close(&f);
}

static void free_ends_every_stream_once(void **state)
{
    (void)state;
    krs_engine_options options = fixture_draft_options();
    options.max_seqs = 2;
    engine_fixture f = fixture_open(&options);
    static heard h[12];
    memset(h, 0, sizeof(h));
    for (int i = 0; i < 12; i++) {
        fixture_ask(&f, endless(), &h[i]);
    }
    fixture_close(&f);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(h[i].n_ends, 1);
        assert_true(h[i].finish == KRS_FINISH_CANCELLED || h[i].finish == KRS_FINISH_LENGTH);
    }
}

static void a_token_allocates_nothing(void **state)
{
    (void)state;
    krs_oom oom;
    krs_oom_init(&oom, 0);
    krs_engine_options options = fixture_draft_options();
    options.alloc = krs_oom_alloc(&oom);
    engine_fixture f = fixture_open(&options);
    static heard h;
    h = (heard){.shut_at = 16};
    krs_request *r = endless();
    r->sampling.temperature = 0.8;
    r->sampling.top_p = 0.95;
    r->sampling.repetition_penalty = 1.1;
    r->sampling.n_logprobs = 4;
    fixture_ask(&f, r, &h);
    fixture_wait_gate(&f); /* warmed up */
    const uint64_t before = atomic_load(&oom.n_takes);
    krs_os_mutex_lock(f.lock);
    h.shut_at = 400;
    krs_os_mutex_unlock(f.lock);
    fixture_open_gate(&f);
    fixture_wait_gate(&f);
    assert_int_equal(atomic_load(&oom.n_takes), before);
    fixture_open_gate(&f);
    fixture_wait(&f, &h);
    fixture_close(&f);
    assert_int_equal(atomic_load(&oom.n_live), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_gets_the_bytes_each_would_get_alone),
        cmocka_unit_test(cancel_ends_a_stream_within_a_step_and_touches_no_other),
        cmocka_unit_test(cancel_reaches_a_prompt_that_is_being_read_and_one_that_waits),
        cmocka_unit_test(a_deadline_ends_a_stream_wherever_it_is),
        cmocka_unit_test(credit_pauses_a_stream_and_lets_it_go_on),
        cmocka_unit_test(a_full_queue_says_busy),
        cmocka_unit_test(one_tenant_cannot_fill_the_queue),
        cmocka_unit_test(drain_finishes_what_runs_and_refuses_the_rest),
        cmocka_unit_test(a_lost_device_ends_who_is_there_and_is_opened_anew_once),
        cmocka_unit_test(a_lost_device_leaves_alone_who_has_its_end_already),
        cmocka_unit_test(free_ends_every_stream_once),
        cmocka_unit_test(a_token_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
