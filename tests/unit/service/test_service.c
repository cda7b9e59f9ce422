/* unit/service/test_service.c - admission, ids, deadlines, counting and health, over a scripted port. */
#include "os/clock.h"
#include "service/generation.h"
#include "service/health.h"
#include "support/cmocka.h"

/* A port without a thread: it records what it was asked and answers what it was told. */
typedef struct port {
    krs_runtime base; /* first */
    krs_status open_status;
    krs_runtime_health health;
    uint64_t n_opened;
    uint64_t last_cancelled;
    uint64_t deadline_ns; /* of the last request */
    char correlation_id[KRS_CORRELATION_ID_BYTES];
    bool is_drained;
} port;

static krs_status port_open(krs_runtime *self, krs_request *request, const krs_sink *sink,
                            void *user, uint64_t *id, krs_error *err)
{
    port *p = (port *)self;
    (void)sink;
    (void)user;
    if (p->open_status != KRS_OK) {
        return krs_fail(err, p->open_status, "told to");
    }
    *id = ++p->n_opened;
    p->deadline_ns = request->deadline_ns;
    memcpy(p->correlation_id, request->correlation_id, sizeof(p->correlation_id));
    krs_request_free(request);
    return KRS_OK;
}

static void port_cancel(krs_runtime *self, uint64_t id)
{
    ((port *)self)->last_cancelled = id;
}

static krs_runtime_health port_health(krs_runtime *self)
{
    return ((port *)self)->health;
}

static uint32_t port_models(krs_runtime *self, krs_model_info *out, uint32_t max)
{
    (void)self;
    if (max > 0) {
        out[0] = (krs_model_info){.id = "m", .file_bytes = 300};
    }
    return 1;
}

static void port_drain(krs_runtime *self)
{
    ((port *)self)->is_drained = true;
}

static const krs_runtime_vtable vtable = {.open = port_open,
                                          .cancel = port_cancel,
                                          .health = port_health,
                                          .models = port_models,
                                          .drain = port_drain};

typedef struct fixture {
    port port;
    krs_metrics *metrics;
    krs_service *service;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.port = {.base = {&vtable}}};
    f.port.health = (krs_runtime_health){
        .state = KRS_RUNTIME_READY, .heartbeat_ns = krs_os_now_ns(), .max_waiting = 2};
    assert_int_equal(krs_metrics_new(NULL, &f.metrics), KRS_OK);
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.runtime = &f.port.base;
    options.metrics = f.metrics;
    options.max_in_flight = 2;
    options.default_timeout_ns = 5 * KRS_NS_PER_S;
    assert_int_equal(krs_service_new(&options, NULL, &f.service, NULL), KRS_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    krs_service_free(f->service);
    krs_metrics_free(f->metrics);
    return 0;
}

static krs_status generate(fixture *f, krs_generation *out, krs_error *err)
{
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    const krs_status status = krs_service_generate(f->service, request, NULL, NULL, out, err);
    if (status != KRS_OK) {
        krs_request_free(request); /* not taken */
    }
    return status;
}

static void end(fixture *f, krs_generation *g, krs_finish finish)
{
    const krs_stream_event event = {
        .is_end = true, .finish = finish, .usage = {.n_prompt_tokens = 10, .n_cached_tokens = 4}};
    krs_service_observe(f->service, g, &event);
}

static void options_are_checked(void **state)
{
    fixture *f = *state;
    krs_service *service = NULL;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    assert_int_equal(krs_service_new(&options, NULL, &service, NULL), KRS_EINVAL);
    options.runtime = &f->port.base;
    options.max_in_flight = 0;
    assert_int_equal(krs_service_new(&options, NULL, &service, NULL), KRS_EINVAL);
    options.max_in_flight = 65537;
    assert_int_equal(krs_service_new(&options, NULL, &service, NULL), KRS_EINVAL);
    options.max_in_flight = 1;
    options.size = 1;
    assert_int_equal(krs_service_new(&options, NULL, &service, NULL), KRS_EINVAL);
    assert_null(service);
}

static void places_are_bounded_and_come_back(void **state)
{
    fixture *f = *state;
    krs_generation g[3];
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(generate(f, &g[0], &err), KRS_OK);
    assert_int_equal(generate(f, &g[1], &err), KRS_OK);
    assert_int_equal(generate(f, &g[2], &err), KRS_EBUSY);
    assert_false(g[2].is_open);
    assert_false(krs_service_health_of(f->service).is_ready);
    end(f, &g[0], KRS_FINISH_STOP);
    end(f, &g[0], KRS_FINISH_STOP); /* a second end gives nothing back */
    assert_int_equal(generate(f, &g[2], &err), KRS_OK);
    assert_int_equal(generate(f, &g[0], &err), KRS_EBUSY);
    f->port.open_status = KRS_EBUSY; /* a refusal below gives the place back */
    end(f, &g[1], KRS_FINISH_STOP);
    assert_int_equal(generate(f, &g[1], &err), KRS_EBUSY);
    f->port.open_status = KRS_OK;
    assert_int_equal(generate(f, &g[1], &err), KRS_OK);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUESTS_ACCEPTED), 4);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REFUSED_LIMIT), 2);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REFUSED_RUNTIME), 1);
}

static void ids_and_deadlines_are_supplied(void **state)
{
    fixture *f = *state;
    krs_generation g;
    const uint64_t before_ns = krs_os_now_ns();
    assert_int_equal(generate(f, &g, NULL), KRS_OK);
    assert_int_equal(strncmp(f->port.correlation_id, "req-", 4), 0);
    assert_string_equal(f->port.correlation_id, g.correlation_id);
    assert_true(f->port.deadline_ns >= before_ns + 5 * KRS_NS_PER_S);
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    request->deadline_ns = 77;
    request->correlation_id[0] = 'x';
    assert_int_equal(krs_service_generate(f->service, request, NULL, NULL, &g, NULL), KRS_OK);
    assert_int_equal(f->port.deadline_ns, 77);
    assert_string_equal(f->port.correlation_id, "x");
}

static void names_are_adopted_when_harmless(void **state)
{
    (void)state;
    char name[KRS_CORRELATION_ID_BYTES] = "";
    assert_true(krs_service_adopt_name(KRS_STR("aZ0._:-"), name));
    assert_string_equal(name, "aZ0._:-");
    static const char *const bad[] = {"", "a b", "a\r\nb", "a\"b", "\xC3\xA4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(krs_service_adopt_name(krs_str_of(bad[i]), name));
    }
    assert_false(krs_service_adopt_name((krs_str){"a\0b", 3}, name));
    char longer[200];
    memset(longer, 'q', sizeof(longer));
    assert_true(krs_service_adopt_name((krs_str){longer, sizeof(longer)}, name));
    assert_int_equal(strlen(name), KRS_CORRELATION_ID_BYTES - 1);
}

static void events_are_counted(void **state)
{
    fixture *f = *state;
    krs_generation g;
    assert_int_equal(generate(f, &g, NULL), KRS_OK);
    const krs_token tokens[2] = {{0}};
    krs_stream_event event = {.tokens = tokens, .n_tokens = 2};
    krs_service_observe(f->service, &g, &event);
    event.n_tokens = 1;
    krs_service_observe(f->service, &g, &event);
    event = (krs_stream_event){.text = KRS_STR("held back")};
    krs_service_observe(f->service, &g, &event); /* text alone is no token */
    end(f, &g, KRS_FINISH_LENGTH);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_TOKENS_ANSWER), 3);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_TOKENS_PROMPT), 10);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_TOKENS_CACHED), 4);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_TTFT), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_INTER_TOKEN), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUESTS_LENGTH), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUEST_DURATION), 1);
}

static void tokenizing_is_no_answer_of_a_model(void **state)
{
    fixture *f = *state;
    krs_generation g;
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    request->task = KRS_TASK_TOKENIZE;
    assert_int_equal(krs_service_generate(f->service, request, NULL, NULL, &g, NULL), KRS_OK);
    end(f, &g, KRS_FINISH_STOP);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUESTS_STOP), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_TOKENS_PROMPT), 0);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_USAGE_INPUT), 0);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUEST_DURATION), 0);
    assert_int_equal(krs_service_health_of(f->service).n_in_flight, 0);
}

static void cancel_reaches_the_port_once_and_only_while_open(void **state)
{
    fixture *f = *state;
    krs_generation g;
    assert_int_equal(generate(f, &g, NULL), KRS_OK);
    krs_service_cancel(f->service, &g, KRS_CANCEL_SLOW);
    assert_int_equal(f->port.last_cancelled, g.stream_id);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_STREAM_SLOW), 1);
    end(f, &g, KRS_FINISH_CANCELLED);
    f->port.last_cancelled = 0;
    krs_service_cancel(f->service, &g, KRS_CANCEL_GONE);
    assert_int_equal(f->port.last_cancelled, 0);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_STREAM_CANCELS), 0);
}

static void health_follows_state_queue_and_heartbeat(void **state)
{
    fixture *f = *state;
    krs_service_health health = krs_service_health_of(f->service);
    assert_true(health.is_live && health.is_ready);
    assert_string_equal(health.reason, "");
    f->port.health.n_waiting = 2;
    health = krs_service_health_of(f->service);
    assert_true(health.is_live && !health.is_ready);
    f->port.health.n_waiting = 0;
    f->port.health.state = KRS_RUNTIME_STARTING;
    health = krs_service_health_of(f->service);
    assert_true(health.is_live && !health.is_ready);
    assert_string_equal(health.reason, "starting");
    f->port.health.state = KRS_RUNTIME_FAILED;
    assert_false(krs_service_health_of(f->service).is_live);
    f->port.health.state = KRS_RUNTIME_READY;
    f->port.health.heartbeat_ns = krs_os_now_ns() - KRS_SERVICE_ALIVE_NS - KRS_NS_PER_S;
    health = krs_service_health_of(f->service);
    assert_true(!health.is_live && !health.is_ready);
    f->port.health.heartbeat_ns = krs_os_now_ns() + KRS_NS_PER_S; /* read later than our clock */
    assert_int_equal(krs_service_health_of(f->service).heartbeat_age_ns, 0);
}

static void drain_refuses_and_tells_the_port(void **state)
{
    fixture *f = *state;
    krs_generation g;
    krs_service_drain(f->service);
    assert_true(f->port.is_drained);
    assert_int_equal(generate(f, &g, NULL), KRS_EUNAVAILABLE);
    const krs_service_health health = krs_service_health_of(f->service);
    assert_true(health.is_live && !health.is_ready);
    assert_string_equal(health.reason, "draining");
}

static void metrics_show_the_runtime_as_it_is_now(void **state)
{
    fixture *f = *state;
    krs_buf out;
    krs_buf_init(&out, NULL, KRS_SERVICE_METRICS_BYTES);
    f->port.health.n_waiting = 1;
    f->port.health.n_running = 3;
    f->port.health.n_kv_blocks = 10;
    f->port.health.n_kv_blocks_free = 4;
    assert_int_equal(krs_service_write_metrics(f->service, &out), KRS_OK);
    assert_non_null(strstr(out.data, "\nkrs_queue_depth 1\n"));
    assert_non_null(strstr(out.data, "\nkrs_sequences_running 3\n"));
    assert_non_null(strstr(out.data, "\nkrs_kv_blocks_used 6\n"));
    assert_non_null(strstr(out.data, "\nkrs_models_loaded 1\n"));
    assert_non_null(strstr(out.data, "\nkrs_model_bytes 300\n"));
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(options_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_are_bounded_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_and_deadlines_are_supplied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_adopted_when_harmless, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokenizing_is_no_answer_of_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancel_reaches_the_port_once_and_only_while_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(health_follows_state_queue_and_heartbeat, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(drain_refuses_and_tells_the_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_show_the_runtime_as_it_is_now, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
