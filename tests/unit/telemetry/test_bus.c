/* telemetry/bus: who is told, how often, and what may not be done. */
#include "support/cmocka.h"
#include "support/oom.h"
#include "telemetry/bus.h"

typedef struct heard {
    int n;
    krs_event_kind last;
    uint64_t last_number;
    size_t n_fields;
    const char *correlation_id;
} heard;

static void hear(void *ctx, const krs_event *event)
{
    heard *h = ctx;
    h->n++;
    h->last = event->kind;
    assert_true(event->number > h->last_number); /* never the same event twice */
    h->last_number = event->number;
    h->n_fields = event->n_fields;
    h->correlation_id = event->correlation_id;
}

static krs_bus *bus_of_test(krs_metrics *metrics)
{
    krs_bus *bus = NULL;
    assert_int_equal(krs_bus_new(NULL, metrics, &bus), KRS_OK);
    return bus;
}

static void topics_select_what_a_subscriber_hears(void **state)
{
    (void)state;
    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    krs_bus *bus = bus_of_test(metrics);
    heard all = {0};
    heard models = {0};
    heard loaded = {0};
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"all", "*", &all, hear}, NULL),
                     KRS_OK);
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"m", "model.*", &models, hear}, NULL),
                     KRS_OK);
    assert_int_equal(
        krs_bus_subscribe(bus, &(krs_subscriber){"l", "model.loaded", &loaded, hear}, NULL),
        KRS_OK);
    krs_bus_seal(bus);
    const krs_log_field field = krs_log_int("load_ms", 5);
    krs_bus_publish(bus, KRS_EVENT_MODEL_LOADING, NULL, NULL, 0);
    krs_bus_publish(bus, KRS_EVENT_MODEL_LOADED, "req", &field, 1);
    krs_bus_publish(bus, KRS_EVENT_ENGINE_STARTED, NULL, NULL, 0);
    assert_int_equal(all.n, 3);
    assert_int_equal(models.n, 2);
    assert_int_equal(loaded.n, 1);
    assert_int_equal(loaded.last_number, 2);
    assert_int_equal(loaded.n_fields, 1);
    assert_string_equal(loaded.correlation_id, "req");
    assert_string_equal(all.correlation_id, "");
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_EVENTS), 3);
    krs_bus_publish(NULL, KRS_EVENT_MODEL_LOADED, NULL, NULL, 0);
    krs_bus_free(bus);
    krs_metrics_free(metrics);
}

static void subscribing_twice_is_subscribing_once(void **state)
{
    (void)state;
    krs_bus *bus = bus_of_test(NULL);
    heard h = {0};
    const krs_subscriber hook = {"hook", "*", &h, hear};
    assert_int_equal(krs_bus_subscribe(bus, &hook, NULL), KRS_OK);
    assert_int_equal(krs_bus_subscribe(bus, &hook, NULL), KRS_OK);
    krs_bus_seal(bus);
    krs_bus_publish(bus, KRS_EVENT_SERVER_STARTED, NULL, NULL, 0);
    assert_int_equal(h.n, 1);
    krs_bus_free(bus);
}

static void bad_subscribers_are_refused_by_name(void **state)
{
    (void)state;
    krs_bus *bus = bus_of_test(NULL);
    krs_error err = KRS_ERROR_INIT;
    heard h = {0};
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"x", "*", &h, NULL}, &err),
                     KRS_EINVAL);
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"x", "model.lost", &h, hear}, &err),
                     KRS_EINVAL);
    assert_non_null(strstr(err.message, "model.lost"));
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"x", "mode.*", &h, hear}, &err),
                     KRS_EINVAL);
    static const char *const names[KRS_BUS_MAX_SUBSCRIBERS] = {
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"};
    for (size_t i = 0; i < KRS_BUS_MAX_SUBSCRIBERS; i++) {
        assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){names[i], "*", &h, hear}, &err),
                         KRS_OK);
    }
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"q", "*", &h, hear}, &err),
                     KRS_ETOOLARGE);
    krs_bus_seal(bus);
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"q", "*", &h, hear}, &err),
                     KRS_EBUSY);
    krs_bus_free(bus);
}

static void count_line(void *ctx, krs_log_level level, krs_str line)
{
    int *n = ctx;
    *n += level == KRS_LOG_INFO && krs_str_find(line, KRS_STR("\"model.loaded\""), 0) != SIZE_MAX;
}

static void the_log_hears_every_event_at_its_level(void **state)
{
    (void)state;
    int n = 0;
    const krs_log log = {&n, count_line, NULL, KRS_LOG_INFO, KRS_LOG_NDJSON};
    krs_bus *bus = bus_of_test(NULL);
    const krs_subscriber hook = krs_bus_log_subscriber(&log);
    assert_int_equal(krs_bus_subscribe(bus, &hook, NULL), KRS_OK);
    krs_bus_seal(bus);
    krs_bus_publish(bus, KRS_EVENT_MODEL_LOADING, NULL, NULL, 0); /* debug: filtered */
    krs_bus_publish(bus, KRS_EVENT_MODEL_LOADED, NULL, NULL, 0);
    assert_int_equal(n, 1);
    krs_bus_free(bus);
}

static void event_names_are_area_dot_action_and_unique(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KRS_EVENT_COUNT; i++) {
        const char *name = krs_event_name((krs_event_kind)i);
        const char *dot = strchr(name, '.');
        assert_true(dot && dot > name && dot[1] && !strchr(dot + 1, '.'));
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz."), strlen(name));
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(krs_event_name((krs_event_kind)j), name);
        }
    }
}

static void take_line(void *ctx, krs_log_level level, krs_str line)
{
    (void)level;
    (void)snprintf(ctx, 256, "%.*s", KRS_STR_ARGS(line));
}

static uint64_t no_time(void)
{
    return 0;
}

static void telling_reaches_the_bus_or_else_the_log(void **state)
{
    (void)state;
    char line[256] = "";
    const krs_log log = {.ctx = line, .sink = take_line, .wall_ns = no_time};
    krs_bus *bus = bus_of_test(NULL);
    heard h = {0};
    assert_int_equal(krs_bus_subscribe(bus, &(krs_subscriber){"all", "*", &h, hear}, NULL), KRS_OK);
    krs_bus_seal(bus);
    krs_bus_tell(bus, &log, KRS_EVENT_ENGINE_REOPENED, NULL, NULL, 0);
    assert_int_equal(h.n, 1);
    assert_string_equal(line, ""); /* the log is a subscriber's business */
    krs_bus_tell(NULL, &log, KRS_EVENT_ENGINE_REOPENED, NULL, NULL, 0);
    assert_int_equal(h.n, 1);
    assert_non_null(strstr(line, "\"level\":\"warn\",\"event\":\"engine.reopened\""));
    krs_bus_tell(NULL, NULL, KRS_EVENT_ENGINE_REOPENED, NULL, NULL, 0);
    krs_bus_free(bus);
}

static krs_status make_and_free(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_bus *bus;
    const krs_status status = krs_bus_new(alloc, NULL, &bus);
    krs_bus_free(bus);
    return status;
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    assert_int_equal(krs_oom_sweep(make_and_free, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_select_what_a_subscriber_hears),
        cmocka_unit_test(subscribing_twice_is_subscribing_once),
        cmocka_unit_test(bad_subscribers_are_refused_by_name),
        cmocka_unit_test(the_log_hears_every_event_at_its_level),
        cmocka_unit_test(event_names_are_area_dot_action_and_unique),
        cmocka_unit_test(telling_reaches_the_bus_or_else_the_log),
        cmocka_unit_test(no_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
