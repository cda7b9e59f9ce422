/* service/models: names, leases, loading, replacing and unloading, over runtimes that run nothing. */
#include "service_fixture.h"

#include "support/oom.h"

#define N_ASKERS 4
#define N_ROUNDS 12

static krs_model_state state_of(fixture *f, const char *id, uint32_t *n_in_flight)
{
    krs_model_status list[64];
    const uint32_t n = krs_service_list_models(f->service, list, 64);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(list[i].info.id, id) == 0) {
            *n_in_flight = list[i].n_in_flight;
            return list[i].state;
        }
    }
    return KRS_MODEL_STATE_COUNT;
}

static bool one_is_alive(void *ctx)
{
    return atomic_load(&((shelf *)ctx)->n_alive) == 1;
}

static bool is_opening(void *ctx)
{
    return atomic_load(&((shelf *)ctx)->n_opening) > 0;
}

static void the_first_model_answers_by_name_and_by_none(void **state)
{
    fixture *f = *state;
    answer a;
    assert_int_equal(ask(f, FAKE_MODEL, "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    assert_int_equal(ask(f, "", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(ask_as(f, "other", "hello", 0, &a, &err), KRS_ENOTLOADED);
    assert_string_equal(err.field, "model");
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REFUSED_MODEL), 1);
}

static void a_loaded_model_gets_its_own_answers(void **state)
{
    fixture *f = *state;
    load l;
    assert_int_equal(begin_load(f, "second", &l, NULL), KRS_OK);
    assert_int_equal(finish_load(&l), KRS_OK);
    assert_string_equal(l.info.id, "second");
    krs_model_info infos[4];
    assert_int_equal(krs_service_models(f->service, infos, 4), 2);
    assert_string_equal(infos[0].id, FAKE_MODEL);
    assert_string_equal(infos[1].id, "second");
    fake_runtime *second = atomic_load(&f->shelf.last);
    answer a;
    assert_int_equal(ask(f, "second", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    assert_int_equal(atomic_load(&second->n_opened), 1);
    assert_int_equal(ask(f, "", "hello", &a), KRS_OK); /* still the first */
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    assert_int_equal(atomic_load(&second->n_opened), 1);
    assert_int_equal(krs_service_health_of(f->service).n_models, 2);
}

static void unloading_lets_running_answers_finish(void **state)
{
    fixture *f = *state;
    answer a;
    answer late;
    uint32_t n = 0;
    assert_int_equal(load_now(f, "second"), KRS_OK);
    assert_int_equal(ask(f, "second", "forever", &a), KRS_OK);
    assert_int_equal(krs_service_unload_model(f->service, "second", NULL), KRS_OK);
    assert_int_equal(ask(f, "second", "hello", &late), KRS_ENOTLOADED);
    assert_int_equal(krs_service_unload_model(f->service, "second", NULL), KRS_ENOTLOADED);
    const uint32_t before = atomic_load(&a.n_tokens);
    while (atomic_load(&a.n_tokens) < before + 20) { /* it goes on */
        krs_os_sleep_ns(STEP_NS);
    }
    assert_int_equal(state_of(f, "second", &n), KRS_MODEL_DRAINING);
    assert_int_equal(n, 1);
    krs_service_cancel(f->service, &a.generation, KRS_CANCEL_GONE);
    assert_int_equal(settle(f, &a), KRS_FINISH_CANCELLED);
    wait_until(one_is_alive, &f->shelf);
    assert_int_equal(krs_service_load_model(f->service,
                                            &(krs_model_spec){.id = "second", .path = "x"}, NULL,
                                            NULL, NULL),
                     KRS_OK);
}

static void a_replaced_model_finishes_what_it_has(void **state)
{
    fixture *f = *state;
    answer old;
    answer new;
    assert_int_equal(ask(f, FAKE_MODEL, "forever", &old), KRS_OK);
    assert_int_equal(load_now(f, FAKE_MODEL), KRS_OK);
    fake_runtime *fresh = atomic_load(&f->shelf.last);
    assert_int_equal(ask(f, FAKE_MODEL, "hello", &new), KRS_OK);
    assert_int_equal(atomic_load(&fresh->n_opened), 1);
    assert_int_equal(settle(f, &new), KRS_FINISH_LENGTH);
    assert_int_equal(atomic_load(&f->shelf.n_alive), 2);
    krs_service_cancel(f->service, &old.generation, KRS_CANCEL_GONE);
    assert_int_equal(settle(f, &old), KRS_FINISH_CANCELLED);
    wait_until(one_is_alive, &f->shelf);
    krs_model_info info;
    assert_int_equal(krs_service_models(f->service, &info, 1), 1);
    assert_string_equal(info.id, FAKE_MODEL);
}

static void a_failed_load_is_remembered_without_its_folder(void **state)
{
    fixture *f = *state;
    uint32_t n = 0;
    load l;
    answer a;
    krs_error err = KRS_ERROR_INIT;
    atomic_store(&f->shelf.status, KRS_EFORMAT);
    (void)snprintf(f->shelf.message, sizeof(f->shelf.message), "no tensor x");
    assert_int_equal(begin_load(f, "bad", &l, NULL), KRS_OK);
    assert_int_equal(finish_load(&l), KRS_EFORMAT);
    assert_string_equal(l.err.message, "weights: no tensor x");
    assert_int_equal(state_of(f, "bad", &n), KRS_MODEL_FAILED);
    assert_int_equal(ask_as(f, "bad", "hello", 0, &a, &err), KRS_ENOTLOADED);
    assert_non_null(strstr(err.message, krs_status_sentence(KRS_EFORMAT)));
    assert_null(strstr(err.message, "no tensor x"));        /* that is for whoever loads it */
    assert_int_equal(load_now(f, FAKE_MODEL), KRS_EFORMAT); /* a replacement that fails */
    assert_int_equal(ask(f, FAKE_MODEL, "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    atomic_store(&f->shelf.status, KRS_OK);
    assert_int_equal(load_now(f, "bad"), KRS_OK);
    assert_int_equal(state_of(f, "bad", &n), KRS_MODEL_READY);
}

static void loads_of_one_name_share_one_opening(void **state)
{
    fixture *f = *state;
    load l[3];
    answer a;
    krs_error err = KRS_ERROR_INIT;
    atomic_store(&f->shelf.is_shut, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(begin_load(f, "slow", &l[i], NULL), KRS_OK);
    }
    krs_model_spec other = {.id = "slow", .path = "/elsewhere"};
    assert_int_equal(krs_service_load_model(f->service, &other, NULL, NULL, &err), KRS_EBUSY);
    assert_int_equal(ask_as(f, "slow", "hello", 0, &a, &err), KRS_EUNAVAILABLE);
    assert_true(err.retry_after_ms > 0);
    atomic_store(&f->shelf.is_shut, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(finish_load(&l[i]), KRS_OK);
    }
    assert_int_equal(atomic_load(&f->shelf.n_opened), 1);
}

static void an_unload_ends_the_load_of_that_name(void **state)
{
    fixture *f = *state;
    load l;
    atomic_store(&f->shelf.is_shut, true);
    assert_int_equal(begin_load(f, "slow", &l, NULL), KRS_OK);
    wait_until(is_opening, &f->shelf);
    assert_int_equal(krs_service_unload_model(f->service, "slow", NULL), KRS_OK);
    atomic_store(&f->shelf.is_shut, false);
    assert_int_equal(finish_load(&l), KRS_ECANCELLED);
    krs_model_info info;
    assert_int_equal(krs_service_model(f->service, "slow", &info, NULL), KRS_ENOTLOADED);
    wait_until(one_is_alive, &f->shelf);
}

static void models_are_bounded(void **state)
{
    fixture *f = *state;
    char id[16];
    for (int i = 1; i < KRS_SERVICE_MAX_MODELS; i++) {
        (void)snprintf(id, sizeof(id), "m%d", i);
        assert_int_equal(load_now(f, id), KRS_OK);
    }
    load l;
    assert_int_equal(begin_load(f, "one-more", &l, NULL), KRS_EBUSY);
    assert_int_equal(load_now(f, "m3"), KRS_OK); /* a replacement is none more */
    assert_int_equal(krs_service_unload_model(f->service, "m3", NULL), KRS_OK);
    assert_int_equal(load_now(f, "one-more"), KRS_OK);
}

static void wrong_specs_are_refused(void **state)
{
    fixture *f = *state;
    krs_error err = KRS_ERROR_INIT;
    krs_model_spec spec = {.path = "x"};
    static const char *const bad[] = {"", "a b", "a\"b", "a\nb", "a\\b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(spec.id, sizeof(spec.id), "%s", bad[i]);
        assert_int_equal(krs_service_load_model(f->service, &spec, NULL, NULL, &err), KRS_EINVAL);
        assert_string_equal(err.field, "model_id");
    }
    memset(spec.id, 'x', sizeof(spec.id)); /* no end */
    assert_int_equal(krs_service_load_model(f->service, &spec, NULL, NULL, &err), KRS_EINVAL);
    spec = (krs_model_spec){.id = "m", .path = ""};
    assert_int_equal(krs_service_load_model(f->service, &spec, NULL, NULL, &err), KRS_EINVAL);
    assert_string_equal(err.field, "local_path");
    krs_service_drain(f->service);
    spec.path = "x";
    assert_int_equal(krs_service_load_model(f->service, &spec, NULL, NULL, &err), KRS_EUNAVAILABLE);
}

static void a_service_may_begin_without_a_model(void **state)
{
    (void)state;
    fixture *f = fixture_new(false);
    answer a;
    assert_int_equal(ask(f, "", "hello", &a), KRS_ENOTLOADED);
    krs_service_health health = krs_service_health_of(f->service);
    assert_true(health.is_live && !health.is_ready);
    assert_string_equal(health.reason, "no model is loaded");
    assert_int_equal(load_now(f, "m"), KRS_OK);
    assert_true(krs_service_health_of(f->service).is_ready);
    assert_int_equal(ask(f, "", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    fixture_free(f);
}

static void stopping_tells_every_load_and_ends_every_stream(void **state)
{
    (void)state;
    fixture *f = fixture_new(true);
    load running;
    load queued;
    answer a;
    assert_int_equal(ask(f, "", "forever", &a), KRS_OK);
    atomic_store(&f->shelf.is_shut, true);
    assert_int_equal(begin_load(f, "running", &running, NULL), KRS_OK);
    wait_until(is_opening, &f->shelf);
    assert_int_equal(begin_load(f, "queued", &queued, NULL), KRS_OK);
    atomic_store(&f->shelf.is_shut, false);
    krs_service_stop(f->service);
    assert_true(atomic_load(&running.is_over) && atomic_load(&queued.is_over));
    assert_true(queued.status == KRS_EUNAVAILABLE || queued.status == KRS_OK);
    assert_int_equal(atomic_load(&f->shelf.n_alive), 0);
    krs_service_cancel(f->service, &a.generation, KRS_CANCEL_DRAIN); /* reaches nobody */
    assert_int_equal(settle(f, &a), KRS_FINISH_CANCELLED);
    fixture_free(f);
}

/* --- a model that is replaced while it refuses --- */

typedef struct leaving {
    krs_runtime base; /* first */
    fixture *f;
} leaving;

static krs_status leaving_open(krs_runtime *self, krs_request *request, const krs_sink *sink,
                               void *user, uint64_t *id, krs_error *err)
{
    (void)request;
    (void)sink;
    (void)user;
    (void)id;
    assert_int_equal(load_now(((leaving *)self)->f, "m"), KRS_OK);
    return krs_fail(err, KRS_EUNAVAILABLE, "going away");
}

static krs_runtime_health leaving_health(krs_runtime *self)
{
    (void)self;
    return (krs_runtime_health){.heartbeat_ns = krs_os_now_ns(), .state = KRS_RUNTIME_READY};
}

static uint32_t leaving_models(krs_runtime *self, krs_model_info *out, uint32_t max)
{
    (void)self;
    if (max > 0) {
        *out = (krs_model_info){.id = "m"};
    }
    return 1;
}

static void a_request_goes_to_the_model_that_took_over(void **state)
{
    (void)state;
    static const krs_runtime_vtable vtable = {
        .open = leaving_open, .health = leaving_health, .models = leaving_models};
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    shelf_of_free = &f->shelf;
    leaving first = {.base = {&vtable}, .f = f};
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.runtime = &first.base;
    options.opener = (krs_opener){&f->shelf, shelf_open};
    options.metrics = f->metrics;
    assert_int_equal(krs_service_new(&options, NULL, &f->service, NULL), KRS_OK);
    answer a;
    assert_int_equal(ask(f, "m", "hello", &a), KRS_OK);
    assert_int_equal(settle(f, &a), KRS_FINISH_LENGTH);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUEUED), 1);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUESTS_ACCEPTED), 1);
    fixture_free(f);
}

/* --- many threads --- */

typedef struct asker {
    fixture *f;
    uint32_t number;
    uint32_t n_answered;
    uint32_t n_refused;
    _Atomic bool *is_over;
} asker;

static void ask_much(void *ctx)
{
    asker *me = ctx;
    static const char *const names[] = {"", "a", "b"};
    for (uint32_t i = 0; !atomic_load(me->is_over); i++) {
        answer a;
        if (ask(me->f, names[(i + me->number) % 3], "hello", &a) == KRS_OK) {
            (void)settle(me->f, &a);
            me->n_answered++;
        } else {
            me->n_refused++;
            krs_os_sleep_ns(STEP_NS);
        }
    }
}

static void loading_and_unloading_disturb_no_answer(void **state)
{
    fixture *f = *state;
    _Atomic bool is_over = false;
    asker askers[N_ASKERS];
    krs_os_thread *threads[N_ASKERS];
    for (uint32_t i = 0; i < N_ASKERS; i++) {
        askers[i] = (asker){.f = f, .number = i, .is_over = &is_over};
        assert_int_equal(krs_os_thread_start("asker", ask_much, &askers[i], &threads[i], NULL),
                         KRS_OK);
    }
    for (int round = 0; round < N_ROUNDS; round++) {
        assert_int_equal(load_now(f, "a"), KRS_OK); /* from the second on: a replacement */
        assert_int_equal(load_now(f, "b"), KRS_OK);
        (void)krs_service_health_of(f->service);
        assert_int_equal(krs_service_unload_model(f->service, "b", NULL), KRS_OK);
    }
    atomic_store(&is_over, true);
    uint32_t n_answered = 0;
    for (uint32_t i = 0; i < N_ASKERS; i++) {
        krs_os_thread_join(threads[i]);
        n_answered += askers[i].n_answered;
    }
    assert_true(n_answered > 0);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_REQUESTS_LENGTH), n_answered);
    assert_int_equal(krs_service_admission(f->service).n_in_flight, 0);
}

/* --- no memory --- */

static krs_status new_and_load(const krs_alloc *alloc, void *ctx)
{
    shelf *s = ctx;
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.opener = (krs_opener){s, shelf_open};
    krs_service *service = NULL;
    krs_status status = krs_service_new(&options, alloc, &service, NULL);
    krs_feed *feed = NULL;
    load l = {.status = KRS_OK};
    if (status == KRS_OK) {
        const krs_feed_options watch = {.topic = "*"};
        status = krs_service_watch(service, &watch, &feed, NULL);
    }
    if (status == KRS_OK) {
        status = krs_service_load_model(service, &(krs_model_spec){.id = "m", .path = "x"},
                                        load_done, &l, NULL);
    }
    if (status == KRS_OK) {
        status = finish_load(&l);
    }
    krs_feed_close(feed);
    krs_service_free(service);
    return status;
}

static void every_failed_allocation_is_clean(void **state)
{
    (void)state;
    static shelf s;
    shelf_of_free = &s;
    krs_oom_sweep(new_and_load, &s);
    assert_int_equal(atomic_load(&s.n_alive), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_model_answers_by_name_and_by_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_loaded_model_gets_its_own_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unloading_lets_running_answers_finish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replaced_model_finishes_what_it_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_load_is_remembered_without_its_folder, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(loads_of_one_name_share_one_opening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unload_ends_the_load_of_that_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_specs_are_refused, set_up, tear_down),
        cmocka_unit_test(a_service_may_begin_without_a_model),
        cmocka_unit_test(stopping_tells_every_load_and_ends_every_stream),
        cmocka_unit_test(a_request_goes_to_the_model_that_took_over),
        cmocka_unit_test_setup_teardown(loading_and_unloading_disturb_no_answer, set_up, tear_down),
        cmocka_unit_test(every_failed_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
