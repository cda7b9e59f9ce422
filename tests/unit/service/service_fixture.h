/* unit/service/service_fixture.h - a service over fake runtimes, an opener of them, and readers of answers.
 *
 * The opener counts what it opened and what was freed, may be told to fail, and may be held at a gate so
 * that a test can look while a load runs. An answer's events are kept by its sink and shown to the service
 * by the test's own thread, as an io thread would.
 *
 * Thread: each says.  Memory: the heap. */
#pragma once

#include "service/access.h"
#include "service/feed.h"
#include "service/generation.h"
#include "service/health.h"
#include "service/models.h"
#include "support/fake_runtime.h"

#define WAIT_NS (180 * KRS_NS_PER_S) /* a limit for a failure, not a time anything takes */
#define STEP_NS (KRS_NS_PER_MS / 4)

/* Where models come from. Atomics: the loader thread reads and writes them too. */
typedef struct shelf {
    _Atomic int status;   /* what opening answers */
    _Atomic bool is_shut; /* opening waits while it is set */
    _Atomic uint32_t n_opening;
    _Atomic uint32_t n_opened;
    _Atomic uint32_t n_alive;
    fake_runtime *_Atomic last;
    char message[64]; /* of a failure; immutable while loads run */
} shelf;

typedef struct fixture {
    shelf shelf;
    krs_metrics *metrics;
    krs_service *service;
} fixture;

/* One answer: filled by its sink on the runtime's thread, read by its owner once is_over is set. */
typedef struct answer {
    krs_generation generation;
    _Atomic uint32_t n_tokens;
    krs_stream_event end;
    _Atomic bool is_over;
} answer;

/* A load as its waiter sees it. */
typedef struct load {
    _Atomic bool is_over;
    krs_status status;
    krs_error err;
    krs_model_info info;
} load;

static shelf *shelf_of_free; /* tests run one at a time; a runtime has no place for it */

static inline void wait_until(bool (*holds)(void *), void *ctx)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (!holds(ctx)) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS / 4);
    }
}

static inline void counted_free(krs_runtime *self)
{
    fake_free(self);
    atomic_fetch_sub(&shelf_of_free->n_alive, 1);
}

/* A fake whose death is counted. */
static inline fake_runtime *counted_runtime(shelf *s)
{
    static krs_runtime_vtable counting;
    fake_runtime *fake = fake_runtime_new(STEP_NS);
    if (!counting.free) {
        counting = *fake->base.vtable;
        counting.free = counted_free;
    }
    fake->base.vtable = &counting;
    atomic_fetch_add(&s->n_alive, 1);
    return fake;
}

static inline krs_status shelf_open(void *ctx, const krs_model_spec *spec, krs_runtime **out,
                                    krs_error *err)
{
    shelf *s = ctx;
    atomic_fetch_add(&s->n_opening, 1);
    while (atomic_load(&s->is_shut)) {
        krs_os_sleep_ns(KRS_NS_PER_MS / 4);
    }
    const krs_status status = (krs_status)atomic_load(&s->status);
    if (status != KRS_OK) {
        return krs_fail(err, status, "%s/weights: %s", spec->path, s->message);
    }
    fake_runtime *fake = counted_runtime(s);
    atomic_store(&s->last, fake);
    atomic_fetch_add(&s->n_opened, 1);
    *out = &fake->base;
    return KRS_OK;
}

/* A service with an opener; has_first: and a model called "fake", which it owns. */
static inline fixture *fixture_new(bool has_first)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    shelf_of_free = &f->shelf;
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.opener = (krs_opener){&f->shelf, shelf_open};
    options.metrics = f->metrics;
    if (has_first) {
        options.runtime = &counted_runtime(&f->shelf)->base;
        options.is_runtime_given = true;
    }
    assert_int_equal(krs_service_new(&options, NULL, &f->service, NULL), KRS_OK);
    return f;
}

static inline void fixture_free(fixture *f)
{
    krs_service_free(f->service);
    assert_int_equal(atomic_load(&f->shelf.n_alive), 0);
    krs_metrics_free(f->metrics);
    free(f);
}

static inline int set_up(void **state)
{
    *state = fixture_new(true);
    return 0;
}

static inline int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* --- loading --- */

static inline void load_done(void *ctx, krs_status status, const krs_model_info *info,
                             const krs_error *err)
{
    load *l = ctx;
    assert_false(atomic_load(&l->is_over));
    assert_int_equal(info != NULL, status == KRS_OK);
    l->status = status;
    l->err = *err;
    if (info) {
        l->info = *info;
    }
    atomic_store(&l->is_over, true);
}

static inline bool load_is_over(void *ctx)
{
    return atomic_load(&((load *)ctx)->is_over);
}

static inline krs_status begin_load(fixture *f, const char *id, load *l, krs_error *err)
{
    krs_model_spec spec = {.path = "/srv/models/secret"};
    (void)snprintf(spec.id, sizeof(spec.id), "%s", id);
    *l = (load){.status = KRS_OK};
    return krs_service_load_model(f->service, &spec, load_done, l, err);
}

static inline krs_status finish_load(load *l)
{
    wait_until(load_is_over, l);
    return l->status;
}

static inline krs_status load_now(fixture *f, const char *id)
{
    load l;
    assert_int_equal(begin_load(f, id, &l, NULL), KRS_OK);
    return finish_load(&l);
}

/* --- answers --- */

static inline void keep_events(void *ctx, const krs_stream_event *events, uint32_t n)
{
    (void)ctx;
    for (uint32_t i = 0; i < n; i++) {
        answer *a = events[i].user;
        atomic_fetch_add(&a->n_tokens, events[i].n_tokens);
        if (events[i].is_end) {
            a->end = events[i];
            a->end.tokens = NULL;
            a->end.n_tokens = 0;
            atomic_store(&a->is_over, true);
        }
    }
}

static inline krs_status ask_as(fixture *f, const char *model, const char *prompt, uint32_t tenant,
                                answer *a, krs_error *err)
{
    static const krs_sink sink = {NULL, keep_events};
    *a = (answer){.n_tokens = 0};
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    (void)snprintf(request->model, sizeof(request->model), "%s", model);
    request->prompt = (krs_prompt){.kind = KRS_PROMPT_TEXT, .text = krs_str_of(prompt)};
    request->tenant = tenant;
    const krs_status status =
        krs_service_generate(f->service, request, &sink, a, &a->generation, err);
    if (status != KRS_OK) {
        krs_request_free(request);
    }
    return status;
}

static inline krs_status ask(fixture *f, const char *model, const char *prompt, answer *a)
{
    return ask_as(f, model, prompt, 0, a, NULL);
}

static inline bool answer_is_over(void *ctx)
{
    return atomic_load(&((answer *)ctx)->is_over);
}

static inline bool answer_has_begun(void *ctx)
{
    return atomic_load(&((answer *)ctx)->n_tokens) > 0;
}

/* Wait for the end and show the service all of it. */
static inline krs_finish settle(fixture *f, answer *a)
{
    wait_until(answer_is_over, a);
    const krs_stream_event tokens = {.n_tokens = atomic_load(&a->n_tokens)};
    if (tokens.n_tokens > 0) {
        krs_service_observe(f->service, &a->generation, &tokens);
    }
    krs_service_observe(f->service, &a->generation, &a->end);
    assert_false(a->generation.is_open);
    return a->end.finish;
}
