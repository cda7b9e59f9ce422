/* support/engine_fixture.h - the demo model behind the runtime port, and somebody who listens.
 *
 *     engine_fixture f = engine_fixture_open(&options);
 *     heard h = {0};
 *     fixture_ask(&f, question("What is 12 + 7?"), &h);
 *     fixture_wait(&f, &h);
 *
 * A gate can hold the engine thread inside its delivery, which is how a test gets an exact moment: what
 * it does while the gate is shut happens between two steps. (A real sink must never do that.)
 *
 * The device is "cpu", or what KRS_TEST_DEVICE names.
 *
 * Thread: the test's own thread, but for deliver.  Memory: fixed. */
#pragma once

#include "engine/engine.h"
#include "os/clock.h"
#include "os/thread.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEARD_TEXT_BYTES 8192
#define HEARD_VECTOR     512

/* One stream as it was heard. Guarded by the fixture's lock until fixture_wait has returned. */
typedef struct heard {
    uint64_t id;
    char text[HEARD_TEXT_BYTES];
    size_t n_text;
    uint32_t ids[2048];
    uint32_t n_tokens;
    bool has_pieces; /* of TOKENIZE: joined in text */
    float vector[HEARD_VECTOR];
    uint32_t n_vector;
    uint32_t n_top; /* of the first token */
    float first_logprob;
    uint32_t n_ends;
    krs_finish finish;
    krs_usage usage;
    krs_error error;
    uint32_t shut_at; /* shut the gate when so many tokens are here; 0: never */
} heard;

typedef struct engine_fixture {
    krs_runtime *runtime;
    krs_os_mutex *lock;
    krs_os_cond *changed;
    bool is_gate_shut;
    krs_sink sink; /* .ctx is set at the first ask: the fixture must not move after it */
} engine_fixture;

static inline void heard_text(heard *h, krs_str text)
{
    assert_true(h->n_text + text.len < HEARD_TEXT_BYTES);
    if (text.len > 0) {
        memcpy(h->text + h->n_text, text.ptr, text.len);
    }
    h->n_text += text.len;
}

static inline void heard_end(heard *h, const krs_stream_event *event)
{
    assert_true(h->n_tokens + event->n_ids <= sizeof(h->ids) / sizeof(h->ids[0]));
    assert_true(event->n_embedding <= HEARD_VECTOR);
    for (uint32_t i = 0; i < event->n_ids; i++) {
        h->ids[h->n_tokens++] = event->ids[i];
        if (event->pieces) {
            h->has_pieces = true;
            heard_text(h, event->pieces[i]);
        }
    }
    for (uint32_t i = 0; i < event->n_embedding; i++) {
        h->vector[h->n_vector++] = event->embedding[i];
    }
    h->n_ends++;
    h->finish = event->finish;
    h->usage = event->usage;
    h->error = event->error;
}

/* Note one event; the fixture's lock is held. */
static inline void fixture_hear(engine_fixture *f, const krs_stream_event *event)
{
    heard *h = event->user;
    heard_text(h, event->text);
    for (uint32_t t = 0; t < event->n_tokens; t++) {
        if (h->n_tokens == 0) {
            h->n_top = event->tokens[t].n_top;
            h->first_logprob = event->tokens[t].logprob;
        }
        h->ids[h->n_tokens++] = event->tokens[t].id;
    }
    if (event->is_end) {
        heard_end(h, event);
    }
    f->is_gate_shut |= h->shut_at != 0 && h->n_tokens == h->shut_at && !event->is_end;
}

static inline void fixture_deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    engine_fixture *f = ctx;
    krs_os_mutex_lock(f->lock);
    for (uint32_t i = 0; i < n; i++) {
        fixture_hear(f, &events[i]);
    }
    krs_os_cond_broadcast(f->changed);
    while (f->is_gate_shut) {
        krs_os_cond_wait(f->changed, f->lock);
    }
    krs_os_mutex_unlock(f->lock);
}

/* The demo model with little of everything, so that tests stay quick. */
static inline krs_engine_options fixture_options(void)
{
    const char *device = getenv("KRS_TEST_DEVICE");
    krs_engine_options options = KRS_ENGINE_OPTIONS_INIT;
    options.model_dir = KRS_SOURCE_DIR "/models/demo";
    options.device = device ? device : "cpu";
    options.n_threads = 1;
    options.max_context_tokens = 512;
    options.max_seqs = 8;
    options.max_waiting = 32;
    return options;
}

/* The demo's small sister, a tenth of the work: for tests that do not say what is answered. */
static inline krs_engine_options fixture_draft_options(void)
{
    krs_engine_options options = fixture_options();
    options.model_dir = KRS_SOURCE_DIR "/models/demo-draft";
    return options;
}

static inline engine_fixture fixture_open(const krs_engine_options *options)
{
    engine_fixture f = {0};
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_mutex_new(&f.lock), KRS_OK);
    assert_int_equal(krs_os_cond_new(&f.changed), KRS_OK);
    const krs_status status = krs_engine_open(options, &f.runtime, &err);
    if (status != KRS_OK) {
        fail_msg("open: %s", err.message);
    }
    return f;
}

static inline void fixture_close(engine_fixture *f)
{
    krs_runtime_free(f->runtime);
    krs_os_cond_free(f->changed);
    krs_os_mutex_free(f->lock);
}

/* A greedy chat of one question. */
static inline krs_request *question(const char *text)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    r->prompt.kind = KRS_PROMPT_CHAT;
    r->prompt.chat = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", text);
    assert_non_null(r->prompt.chat);
    r->sampling.temperature = 0.0;
    return r;
}

static inline krs_status fixture_try(engine_fixture *f, krs_request *request, heard *h,
                                     krs_error *err)
{
    if (!f->sink.ctx) { /* once: the engine thread reads it from now on */
        f->sink = (krs_sink){f, fixture_deliver};
    }
    const krs_status status = krs_runtime_open(f->runtime, request, &f->sink, h, &h->id, err);
    if (status != KRS_OK) {
        krs_request_free(request);
    }
    return status;
}

static inline void fixture_ask(engine_fixture *f, krs_request *request, heard *h)
{
    krs_error err = KRS_ERROR_INIT;
    if (fixture_try(f, request, h, &err) != KRS_OK) {
        fail_msg("ask: %s", err.message);
    }
}

/* Until it ended; then it ended once. */
static inline void fixture_wait(engine_fixture *f, heard *h)
{
    krs_os_mutex_lock(f->lock);
    while (h->n_ends == 0) {
        krs_os_cond_wait(f->changed, f->lock);
    }
    krs_os_mutex_unlock(f->lock);
    assert_int_equal(h->n_ends, 1);
    h->text[h->n_text] = '\0';
}

/* Until a stream with shut_at has shut the gate: the engine thread now waits in its delivery. */
static inline void fixture_wait_gate(engine_fixture *f)
{
    krs_os_mutex_lock(f->lock);
    while (!f->is_gate_shut) {
        krs_os_cond_wait(f->changed, f->lock);
    }
    krs_os_mutex_unlock(f->lock);
}

static inline void fixture_open_gate(engine_fixture *f)
{
    krs_os_mutex_lock(f->lock);
    f->is_gate_shut = false;
    krs_os_cond_broadcast(f->changed);
    krs_os_mutex_unlock(f->lock);
}

/* One answer from beginning to end. */
static inline void fixture_answer(engine_fixture *f, krs_request *request, heard *h)
{
    fixture_ask(f, request, h);
    fixture_wait(f, h);
}

/* A sink that hears but never waits, and one that holds its thread until the gate is opened. */
static inline void fixture_hear_only(void *ctx, const krs_stream_event *events, uint32_t n)
{
    engine_fixture *f = ctx;
    krs_os_mutex_lock(f->lock);
    for (uint32_t i = 0; i < n; i++) {
        fixture_hear(f, &events[i]);
    }
    krs_os_cond_broadcast(f->changed);
    krs_os_mutex_unlock(f->lock);
}

static inline void fixture_hear_and_hold(void *ctx, const krs_stream_event *events, uint32_t n)
{
    engine_fixture *f = ctx;
    krs_os_mutex_lock(f->lock);
    f->is_gate_shut = true;
    krs_os_mutex_unlock(f->lock);
    fixture_deliver(ctx, events, n);
}

static inline void fixture_ask_with(engine_fixture *f, krs_request *r, const krs_sink *sink,
                                    heard *h)
{
    krs_error err = KRS_ERROR_INIT;
    if (krs_runtime_open(f->runtime, r, sink, h, &h->id, &err) != KRS_OK) {
        fail_msg("ask: %s", err.message);
    }
}
