/* service/admission, breakers and events as answers meet them: places, shedding, failing fast, feeds. */
#include "service_fixture.h"

#include "service/admission.h"
#include "service/breaker.h"

#define N_WATCHERS   3
#define N_PUBLISHERS 3
#define N_EVENTS     400

static fixture *fixture_of(krs_service_options *options)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    shelf_of_free = &f->shelf;
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    fake_runtime *fake = counted_runtime(&f->shelf);
    atomic_store(&f->shelf.last, fake);
    options->runtime = &fake->base;
    options->is_runtime_given = true;
    options->opener = (krs_opener){&f->shelf, shelf_open};
    options->metrics = f->metrics;
    assert_int_equal(krs_service_new(options, NULL, &f->service, NULL), KRS_OK);
    return f;
}

static krs_status ask_for(fixture *f, const char *prompt, krs_priority priority, answer *a,
                          krs_error *err)
{
    static const krs_sink sink = {NULL, keep_events};
    *a = (answer){.n_tokens = 0};
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    request->prompt = (krs_prompt){.kind = KRS_PROMPT_TEXT, .text = krs_str_of(prompt)};
    request->priority = priority;
    const krs_status status =
        krs_service_generate(f->service, request, &sink, a, &a->generation, err);
    if (status != KRS_OK) {
        krs_request_free(request);
    }
    return status;
}

static krs_status ask_with(fixture *f, krs_priority priority, answer *a, krs_error *err)
{
    return ask_for(f, "forever", priority, a, err);
}

static void end_all(fixture *f, answer *answers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (answers[i].generation.is_open) {
            krs_service_cancel(f->service, &answers[i].generation, KRS_CANCEL_GONE);
            (void)settle(f, &answers[i]);
        }
    }
}

static void background_work_leaves_room(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.max_in_flight = 8;
    fixture *f = fixture_of(&options);
    answer a[9];
    krs_error err = KRS_ERROR_INIT;
    uint32_t n = 0;
    while (ask_with(f, KRS_PRIORITY_BACKGROUND, &a[n], &err) == KRS_OK) {
        n++;
    }
    assert_int_equal(n, 6); /* three quarters of eight */
    assert_int_equal(err.status, KRS_EBUSY);
    assert_string_equal(err.field, "priority");
    assert_true(err.retry_after_ms > 0);
    assert_int_equal(ask_with(f, KRS_PRIORITY_NORMAL, &a[n++], &err), KRS_OK);
    assert_int_equal(ask_with(f, KRS_PRIORITY_URGENT, &a[n++], &err), KRS_OK);
    assert_int_equal(ask_with(f, KRS_PRIORITY_URGENT, &a[8], &err), KRS_EBUSY);
    assert_true(err.retry_after_ms >= KRS_ADMISSION_MIN_RETRY_MS);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REFUSED_LIMIT), 2);
    end_all(f, a, n);
    assert_int_equal(ask_with(f, KRS_PRIORITY_BACKGROUND, &a[0], &err), KRS_OK);
    end_all(f, a, 1);
    assert_int_equal(krs_service_admission(f->service).n_in_flight, 0);
    fixture_free(f);
}

/* --- under pressure --- */

static bool is_pressed(void *ctx)
{
    const krs_admission_state state = krs_service_admission(((fixture *)ctx)->service);
    return state.pressure.value >= KRS_ADMISSION_SHED_PRESSURE;
}

static bool is_at_its_lowest(void *ctx)
{
    return krs_service_admission(((fixture *)ctx)->service).limit == 2;
}

static bool is_at_its_highest(void *ctx)
{
    return krs_service_admission(((fixture *)ctx)->service).limit == 8;
}

static bool saw_event(krs_feed *feed, const char *name)
{
    char line[KRS_FEED_LINE_BYTES];
    while (krs_feed_next(feed, line) > 0) {
        if (strstr(line, name)) {
            return true;
        }
    }
    return false;
}

static void late_first_tokens_lower_the_limit_and_shed_background(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.is_adaptive = true;
    options.governor.min_limit = 2;
    options.governor.max_limit = 8;
    options.governor.slo_ttft_ns = KRS_NS_PER_MS; /* an answer that never begins is late at once */
    options.governor.sample_ns = KRS_NS_PER_MS;
    options.governor.window_ns = 20 * KRS_NS_PER_MS; /* quick; the loop has tests of its own */
    fixture *f = fixture_of(&options);
    krs_feed *feed = NULL;
    const krs_feed_options watch = {.topic = "admission.*"};
    assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
    answer a[9];
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(ask_for(f, "silent", KRS_PRIORITY_NORMAL, &a[0], &err), KRS_OK);
    wait_until(is_pressed, f);
    assert_int_equal(ask_with(f, KRS_PRIORITY_BACKGROUND, &a[1], &err), KRS_EBUSY);
    assert_string_equal(err.field, "priority");
    wait_until(is_at_its_lowest, f);
    assert_true(saw_event(feed, "admission.limited"));
    assert_int_equal(ask_for(f, "silent", KRS_PRIORITY_NORMAL, &a[1], &err), KRS_OK);
    assert_int_equal(ask_with(f, KRS_PRIORITY_URGENT, &a[2], &err), KRS_EBUSY);
    end_all(f, a, 2);
    wait_until(is_at_its_highest, f);
    assert_true(saw_event(feed, "admission.restored"));
    krs_feed_close(feed);
    fixture_free(f);
}

/* --- failing fast --- */

static void a_model_that_breaks_is_left_alone(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    krs_feed *feed = NULL;
    const krs_feed_options watch = {.topic = "breaker.*"};
    assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
    answer a;
    krs_error err = KRS_ERROR_INIT;
    fake_runtime *fake = atomic_load(&f->shelf.last);
    for (int i = 0; i < 3 * KRS_BREAKER_MAX_CONSECUTIVE; i++) { /* a caller's mistake, often */
        assert_int_equal(ask(f, "", "fail", &a), KRS_OK);
        assert_int_equal(settle(f, &a), KRS_FINISH_ERROR);
    }
    atomic_store(&fake->open_status, KRS_EDEVICE);
    for (int i = 0; i < KRS_BREAKER_MAX_CONSECUTIVE; i++) {
        assert_int_equal(ask(f, "", "hello", &a), KRS_EDEVICE);
    }
    const uint64_t n_asked = atomic_load(&fake->n_opened);
    atomic_store(&fake->open_status, KRS_OK);
    assert_int_equal(ask_as(f, "", "hello", 0, &a, &err), KRS_EUNAVAILABLE);
    assert_in_range(err.retry_after_ms, 1, KRS_BREAKER_OPEN_NS / KRS_NS_PER_MS + 1);
    assert_int_equal(atomic_load(&fake->n_opened), n_asked); /* it was not even asked */
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REFUSED_BREAKER), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_BREAKER_OPENED), 1);
    assert_true(saw_event(feed, "breaker.opened"));
    assert_int_equal(load_now(f, FAKE_MODEL), KRS_OK); /* a fresh one is not to blame */
    assert_true(saw_event(feed, "breaker.closed"));
    assert_int_equal(ask(f, "", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    krs_feed_close(feed);
    fixture_free(f);
}

static void loads_that_keep_failing_are_refused_at_once(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    load l;
    krs_error err = KRS_ERROR_INIT;
    atomic_store(&f->shelf.status, KRS_ENOENT); /* a wrong name counts for nothing */
    for (int i = 0; i < 3 * KRS_BREAKER_MAX_CONSECUTIVE; i++) {
        assert_int_equal(load_now(f, "wrong"), KRS_ENOENT);
    }
    atomic_store(&f->shelf.status, KRS_EIO);
    for (int i = 0; i < KRS_BREAKER_MAX_CONSECUTIVE; i++) {
        assert_int_equal(load_now(f, "m"), KRS_EIO);
    }
    atomic_store(&f->shelf.status, KRS_OK);
    assert_int_equal(begin_load(f, "m", &l, &err), KRS_EUNAVAILABLE);
    assert_true(err.retry_after_ms > 0);
    assert_int_equal(load_now(f, "other"), KRS_OK); /* and only that one */
    fixture_free(f);
}

/* --- the account --- */

static void requests_are_told_from_accepting_to_finishing(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    krs_feed *feed = NULL;
    const krs_feed_options watch = {.topic = "request.*"};
    assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
    answer a;
    assert_int_equal(ask(f, "", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    static const char *const names[] = {"request.accepted", "request.started", "request.finished"};
    char line[KRS_FEED_LINE_BYTES];
    for (size_t i = 0; i < 3; i++) {
        assert_true(krs_feed_next(feed, line) > 0);
        assert_non_null(strstr(line, names[i]));
        assert_non_null(strstr(line, a.generation.correlation_id));
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(object));
        assert_true(json_integer_value(json_object_get(object, "number")) > 0);
        json_decref(object);
    }
    assert_non_null(strstr(line, "\"prompt_tokens\":7"));
    assert_int_equal(krs_feed_next(feed, line), 0);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_USAGE_INPUT), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_OUTPUT_TOKEN_TIME), 1);
    krs_feed_close(feed);
    fixture_free(f);
}

/* --- feeds --- */

typedef struct watcher {
    _Atomic uint32_t n_woken;
} watcher;

static void note_wake(void *ctx)
{
    atomic_fetch_add(&((watcher *)ctx)->n_woken, 1);
}

static void a_slow_watcher_loses_events_and_knows_it(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    watcher w = {0};
    krs_feed *feed = NULL;
    krs_feed_options watch = {.topic = "server.*", .ctx = &w, .wake = note_wake};
    assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
    for (int i = 0; i < KRS_FEED_EVENTS + 10; i++) {
        krs_service_publish(f->service, KRS_EVENT_SERVER_STARTED, "id", NULL, 0);
        krs_service_publish(f->service, KRS_EVENT_HTTP_ANSWERED, "id", NULL, 0); /* not asked for */
    }
    assert_int_equal(atomic_load(&w.n_woken), 1); /* once, for the ring was never empty again */
    assert_int_equal(krs_feed_dropped(feed), 10);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_EVENTS_DROPPED), 10);
    char line[KRS_FEED_LINE_BYTES];
    int n = 0;
    while (krs_feed_next(feed, line) > 0) {
        n++;
    }
    assert_int_equal(n, KRS_FEED_EVENTS);
    krs_service_publish(f->service, KRS_EVENT_SERVER_STARTED, "id", NULL, 0);
    assert_int_equal(atomic_load(&w.n_woken), 2);
    krs_feed_close(feed);
    krs_service_publish(f->service, KRS_EVENT_SERVER_STARTED, "id", NULL, 0);
    assert_int_equal(atomic_load(&w.n_woken), 2);
    fixture_free(f);
}

static void a_long_event_keeps_its_name(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    krs_feed *feed = NULL;
    const krs_feed_options watch = {.topic = "*"};
    assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
    char message[2000];
    memset(message, 'x', sizeof(message));
    const krs_log_field field = krs_log_str("message", (krs_str){message, sizeof(message)});
    krs_service_publish(f->service, KRS_EVENT_MODEL_FAILED, "id", &field, 1);
    char line[KRS_FEED_LINE_BYTES];
    assert_true(krs_feed_next(feed, line) > 0);
    assert_non_null(strstr(line, "model.failed"));
    assert_non_null(strstr(line, "\"number\":1}"));
    krs_feed_close(feed);
    fixture_free(f);
}

static void feeds_are_bounded_and_topics_known(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    static krs_feed *feeds[KRS_FEEDS_MAX];
    krs_feed *more = NULL;
    krs_feed_options watch = {.topic = "model.loaded"};
    for (int i = 0; i < KRS_FEEDS_MAX; i++) {
        assert_int_equal(krs_service_watch(f->service, &watch, &feeds[i], NULL), KRS_OK);
    }
    assert_int_equal(krs_service_watch(f->service, &watch, &more, NULL), KRS_EBUSY);
    krs_feed_close(feeds[0]);
    assert_int_equal(krs_service_watch(f->service, &watch, &feeds[0], NULL), KRS_OK);
    static const char *const bad[] = {NULL, "", "model", "model.", "nothing.*", "model.lo*"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        watch.topic = bad[i];
        assert_int_equal(krs_service_watch(f->service, &watch, &more, NULL), KRS_EINVAL);
        assert_null(more);
    }
    for (int i = 0; i < KRS_FEEDS_MAX; i++) {
        krs_feed_close(feeds[i]);
    }
    krs_feed_close(NULL);
    fixture_free(f);
}

static void publish_many(void *ctx)
{
    fixture *f = ctx;
    for (int i = 0; i < N_EVENTS; i++) {
        krs_service_publish(f->service, KRS_EVENT_SERVER_STARTED, "id", NULL, 0);
    }
}

static void watch_and_leave(void *ctx)
{
    fixture *f = ctx;
    for (int i = 0; i < N_EVENTS / 4; i++) {
        watcher w = {0}; /* on the stack: a wake after closing would be seen */
        krs_feed *feed = NULL;
        const krs_feed_options watch = {.topic = "*", .ctx = &w, .wake = note_wake};
        char line[KRS_FEED_LINE_BYTES];
        assert_int_equal(krs_service_watch(f->service, &watch, &feed, NULL), KRS_OK);
        (void)krs_feed_next(feed, line);
        krs_feed_close(feed);
    }
}

static void watchers_come_and_go_while_others_publish(void **state)
{
    (void)state;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    fixture *f = fixture_of(&options);
    krs_os_thread *threads[N_PUBLISHERS + N_WATCHERS];
    for (int i = 0; i < N_PUBLISHERS + N_WATCHERS; i++) {
        assert_int_equal(krs_os_thread_start("t", i < N_PUBLISHERS ? publish_many : watch_and_leave,
                                             f, &threads[i], NULL),
                         KRS_OK);
    }
    for (int i = 0; i < N_PUBLISHERS + N_WATCHERS; i++) {
        krs_os_thread_join(threads[i]);
    }
    assert_true(krs_metrics_read(f->metrics, KRS_METRIC_EVENTS) >= N_PUBLISHERS * N_EVENTS);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(background_work_leaves_room),
        cmocka_unit_test(late_first_tokens_lower_the_limit_and_shed_background),
        cmocka_unit_test(a_model_that_breaks_is_left_alone),
        cmocka_unit_test(loads_that_keep_failing_are_refused_at_once),
        cmocka_unit_test(requests_are_told_from_accepting_to_finishing),
        cmocka_unit_test(a_slow_watcher_loses_events_and_knows_it),
        cmocka_unit_test(a_long_event_keeps_its_name),
        cmocka_unit_test(feeds_are_bounded_and_topics_known),
        cmocka_unit_test(watchers_come_and_go_while_others_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
