/* support/fake_runtime.h - a runtime without a model, for the rooms above the port.
 *
 * A thread gives every open stream one word a step ("w0 ", "w1 ", ...) until max_tokens (5 without), and
 * ends it. What the prompt says (the text, or the last message of a chat) makes it misbehave:
 *   "fail"    ends at once with KRS_EINVAL on field "messages", as a prompt that is too long would
 *   "break"   ends with KRS_EDEVICE after two words
 *   "forever" never ends by itself
 *   "flood"   as forever, with 16 KiB a word, as fast as it goes
 *   "burst"   128 words of 16 KiB in one delivery, then the end
 *
 * Thread: its own; counters are atomic, tests poll them.  Memory: the heap. */
#pragma once

#include "api/runtime.h"
#include "os/clock.h"
#include "os/thread.h"
#include "support/cmocka.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define FAKE_MAX_STREAMS 256
#define FAKE_FLOOD_BYTES (16u << 10)
#define FAKE_BURST_WORDS 128
#define FAKE_MODEL       "fake"

typedef struct fake_stream {
    uint64_t id; /* 0: free */
    krs_request *request;
    const krs_sink *sink;
    void *user;
    uint32_t n_done;
    bool is_cancelled;
    char prompt[32];
} fake_stream;

typedef struct fake_runtime {
    krs_runtime base; /* first */
    krs_os_mutex *mutex;
    krs_os_thread *thread;
    fake_stream streams[FAKE_MAX_STREAMS]; /* under the mutex */
    uint64_t last_id;
    bool is_stopping;
    uint64_t step_ns; /* immutable */
    char flood[FAKE_FLOOD_BYTES];
    _Atomic int open_status; /* what open answers; KRS_OK: takes the request */
    _Atomic int state;
    _Atomic uint64_t n_opened;
    _Atomic uint64_t n_cancelled; /* ended because of a cancel */
    _Atomic uint64_t n_ended;
} fake_runtime;

static inline void fake_copy_prompt(fake_stream *s)
{
    krs_str text = s->request->prompt.text;
    if (s->request->prompt.kind == KRS_PROMPT_CHAT) {
        const json_t *messages = json_object_get(s->request->prompt.chat, "messages");
        const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
        text = krs_str_of(json_string_value(json_object_get(last, "content")));
    }
    (void)snprintf(s->prompt, sizeof(s->prompt), "%.*s", KRS_STR_ARGS(text));
}

static inline krs_status fake_open(krs_runtime *self, krs_request *request, const krs_sink *sink,
                                   void *user, uint64_t *id, krs_error *err)
{
    fake_runtime *fake = (fake_runtime *)self;
    const krs_status refusal = (krs_status)atomic_load(&fake->open_status);
    if (refusal != KRS_OK) {
        return krs_fail(err, refusal, "refused by the test");
    }
    krs_status status = KRS_EBUSY;
    krs_os_mutex_lock(fake->mutex);
    for (uint32_t i = 0; i < FAKE_MAX_STREAMS && status != KRS_OK; i++) {
        fake_stream *s = &fake->streams[i];
        if (s->id == 0) {
            *id = ++fake->last_id;
            *s = (fake_stream){.id = *id, .request = request, .sink = sink, .user = user};
            fake_copy_prompt(s);
            status = KRS_OK;
        }
    }
    krs_os_mutex_unlock(fake->mutex);
    atomic_fetch_add(&fake->n_opened, status == KRS_OK);
    return status == KRS_OK ? KRS_OK : krs_fail(err, status, "the queue is full");
}

static inline void fake_cancel(krs_runtime *self, uint64_t id)
{
    fake_runtime *fake = (fake_runtime *)self;
    krs_os_mutex_lock(fake->mutex);
    for (uint32_t i = 0; i < FAKE_MAX_STREAMS; i++) {
        if (id != 0 && fake->streams[i].id == id) {
            fake->streams[i].is_cancelled = true;
        }
    }
    krs_os_mutex_unlock(fake->mutex);
}

static inline void fake_grant(krs_runtime *self, uint64_t id, uint32_t n)
{
    (void)self;
    (void)id;
    (void)n;
}

static inline krs_runtime_health fake_health(krs_runtime *self)
{
    fake_runtime *fake = (fake_runtime *)self;
    return (krs_runtime_health){
        .state = (krs_runtime_state)atomic_load(&fake->state),
        .heartbeat_ns = krs_os_now_ns(),
        .n_running = (uint32_t)(atomic_load(&fake->n_opened) - atomic_load(&fake->n_ended)),
        .max_waiting = 8,
        .n_kv_blocks = 100,
        .n_kv_blocks_free = 60};
}

static inline uint32_t fake_models(krs_runtime *self, krs_model_info *out, uint32_t max)
{
    (void)self;
    if (max > 0) {
        out[0] = (krs_model_info){.id = FAKE_MODEL,
                                  .family = "fake",
                                  .created_unix_s = 1700000000,
                                  .context_tokens = 4096,
                                  .vocab = 1000,
                                  .file_bytes = 77,
                                  .sampling = KRS_SAMPLING_INIT};
        out[0].sampling.temperature = 0.7;
    }
    return 1;
}

static inline void fake_drain(krs_runtime *self)
{
    atomic_store(&((fake_runtime *)self)->state, KRS_RUNTIME_DRAINING);
}

static inline void fake_end(krs_stream_event *event, const fake_stream *s, krs_finish finish)
{
    event->is_end = true;
    event->finish = finish;
    event->usage = (krs_usage){.n_prompt_tokens = 7, .n_answer_tokens = s->n_done};
}

static inline void fake_fail(krs_stream_event *event, krs_status status)
{
    event->is_end = true;
    event->finish = KRS_FINISH_ERROR;
    (void)krs_fail_field(&event->error, status, status == KRS_EINVAL ? "messages" : "",
                         "failed by the test");
}

/* All words of a stream at once, as they pile up for an io thread that was held up. */
static inline bool fake_burst(const fake_runtime *fake, fake_stream *s)
{
    krs_stream_event events[FAKE_BURST_WORDS + 1];
    for (s->n_done = 0; s->n_done < FAKE_BURST_WORDS; s->n_done++) {
        events[s->n_done] = (krs_stream_event){
            .stream_id = s->id, .user = s->user, .text = {fake->flood, FAKE_FLOOD_BYTES}};
    }
    events[FAKE_BURST_WORDS] = (krs_stream_event){.stream_id = s->id, .user = s->user};
    fake_end(&events[FAKE_BURST_WORDS], s, KRS_FINISH_LENGTH);
    s->sink->deliver(s->sink->ctx, events, FAKE_BURST_WORDS + 1);
    return true;
}

/* One word of one stream, written to text and the three arrays; true when the stream ended. */
static inline bool fake_step(fake_runtime *fake, fake_stream *s)
{
    krs_stream_event event = {.stream_id = s->id, .user = s->user};
    char word[16];
    const int n = snprintf(word, sizeof(word), "w%u ", s->n_done);
    const krs_logprob top[2] = {{1, -0.5F, {"x", 1}}, {2, -1.5F, {"\xE2\x82", 2}}};
    const krs_token token = {9, -0.25F, top, 2, {word, (size_t)n}};
    const uint32_t max = s->request->stopping.max_tokens ? s->request->stopping.max_tokens : 5;
    const bool is_flood = strcmp(s->prompt, "flood") == 0;
    const bool is_endless = is_flood || strcmp(s->prompt, "forever") == 0;
    if (s->is_cancelled) {
        atomic_fetch_add(&fake->n_cancelled, 1);
        fake_end(&event, s, KRS_FINISH_CANCELLED);
    } else if (krs_os_now_ns() > s->request->deadline_ns) {
        fake_end(&event, s, KRS_FINISH_DEADLINE);
    } else if (strcmp(s->prompt, "fail") == 0) {
        fake_fail(&event, KRS_EINVAL);
    } else if (strcmp(s->prompt, "break") == 0 && s->n_done == 2) {
        fake_fail(&event, KRS_EDEVICE);
    } else {
        event.text = is_flood ? (krs_str){fake->flood, FAKE_FLOOD_BYTES} : token.bytes;
        event.tokens = &token;
        event.n_tokens = 1;
        s->n_done++;
        if (s->n_done == max && !is_endless) {
            fake_end(&event, s, KRS_FINISH_LENGTH);
        }
    }
    s->sink->deliver(s->sink->ctx, &event, 1);
    return event.is_end;
}

/* All streams one step. Delivering under the lock is fine here: a sink may not call the runtime. */
static inline bool fake_round(fake_runtime *fake)
{
    krs_os_mutex_lock(fake->mutex);
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < FAKE_MAX_STREAMS; i++) {
        fake_stream *s = &fake->streams[i];
        s->is_cancelled = s->is_cancelled || fake->is_stopping;
        const bool is_burst = s->id != 0 && strcmp(s->prompt, "burst") == 0;
        if (s->id != 0 && (is_burst ? fake_burst(fake, s) : fake_step(fake, s))) {
            krs_request_free(s->request);
            s->id = 0;
            atomic_fetch_add(&fake->n_ended, 1);
        }
        n_left += s->id != 0;
    }
    const bool is_over = fake->is_stopping && n_left == 0;
    krs_os_mutex_unlock(fake->mutex);
    return is_over;
}

static inline void fake_run(void *ctx)
{
    fake_runtime *fake = ctx;
    while (!fake_round(fake)) {
        krs_os_sleep_ns(fake->step_ns);
    }
}

static inline void fake_free(krs_runtime *self)
{
    fake_runtime *fake = (fake_runtime *)self;
    krs_os_mutex_lock(fake->mutex);
    fake->is_stopping = true;
    krs_os_mutex_unlock(fake->mutex);
    krs_os_thread_join(fake->thread);
    krs_os_mutex_free(fake->mutex);
    free(fake);
}

static inline fake_runtime *fake_runtime_new(uint64_t step_ns)
{
    static const krs_runtime_vtable vtable = {.open = fake_open,
                                              .cancel = fake_cancel,
                                              .grant = fake_grant,
                                              .health = fake_health,
                                              .models = fake_models,
                                              .drain = fake_drain,
                                              .free = fake_free};
    fake_runtime *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->base.vtable = &vtable;
    fake->step_ns = step_ns;
    memset(fake->flood, 'f', sizeof(fake->flood));
    atomic_store(&fake->state, KRS_RUNTIME_READY);
    assert_int_equal(krs_os_mutex_new(&fake->mutex), KRS_OK);
    assert_int_equal(krs_os_thread_start("fake", fake_run, fake, &fake->thread, NULL), KRS_OK);
    return fake;
}
