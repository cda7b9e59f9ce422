/* support/fake_runtime.h - a runtime without a model, for the rooms above the port.
 *
 * A thread gives every open stream one word a step ("w0 ", "w1 ", ...; one token each) until max_tokens (5
 * without), and ends it. Events of one step go to each sink in one delivery, as the port says. Credit is
 * honoured: a stream without any gets no word until it is granted more, but can still be cancelled and
 * still meets its deadline. What the prompt says (the text, or the last message of a chat) makes it misbehave:
 *   "fail"    ends at once with KRS_EINVAL on field "messages", as a prompt that is too long would
 *   "break"   ends with KRS_EDEVICE after two words
 *   "forever" never ends by itself
 *   "silent"  as forever, without a word
 *   "mute"    gets its words, and none of them has text
 *   "flood"   as forever, with 16 KiB a word, as fast as it goes
 *   "burst"   128 words of 16 KiB in one delivery, then the end; takes no credit
 *
 * Other tasks end at once: EMBED with FAKE_HIDDEN numbers (which ones, the first byte of the prompt
 * decides), TOKENIZE with one id for each byte (FAKE_BOS before them unless has_no_special), DETOKENIZE with
 * the way back.
 *
 * What the last open asked for (task, tenant, priority, credit) is kept for tests to look at.
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

#define FAKE_MAX_STREAMS 2304 /* one call of 2048 embeddings, and others beside it */
#define FAKE_FLOOD_BYTES (16u << 10)
#define FAKE_BURST_WORDS 128
#define FAKE_MODEL       "fake"
#define FAKE_HIDDEN      4
#define FAKE_BOS         1u

typedef struct fake_stream {
    uint64_t id; /* 0: free */
    krs_request *request;
    const krs_sink *sink;
    void *user;
    uint32_t n_done;
    uint32_t n_chars; /* of its words so far */
    uint32_t credit;  /* words it may still get; KRS_CREDIT_UNLIMITED is never counted down */
    bool is_cancelled;
    bool is_paused;
    char prompt[32];
    char word[16];
    krs_token token; /* of the event being delivered */
} fake_stream;

typedef struct fake_runtime {
    krs_runtime base; /* first */
    krs_os_mutex *mutex;
    krs_os_thread *thread;
    fake_stream streams[FAKE_MAX_STREAMS];     /* under the mutex */
    krs_stream_event events[FAKE_MAX_STREAMS]; /* of a step; the thread's */
    krs_stream_event batch[FAKE_MAX_STREAMS];  /* those of one sink; the thread's */
    const krs_sink *sinks[FAKE_MAX_STREAMS];   /* of events[], NULL once delivered; the thread's */
    uint32_t n_slots;                          /* streams[] above it were never used */
    uint64_t last_id;
    bool is_stopping;
    uint64_t step_ns; /* immutable */
    char flood[FAKE_FLOOD_BYTES];
    _Atomic int open_status; /* what open answers; KRS_OK: takes the request */
    _Atomic int state;
    _Atomic uint64_t n_opened;
    _Atomic uint64_t n_cancelled; /* ended because of a cancel */
    _Atomic uint64_t n_ended;
    _Atomic uint64_t n_steps;
    _Atomic uint64_t n_words;   /* given to all streams */
    _Atomic uint64_t n_paused;  /* streams without credit now */
    _Atomic uint64_t n_pauses;  /* times a stream ran out of credit */
    _Atomic uint64_t n_granted; /* tokens, all streams */
    _Atomic uint32_t last_task;
    _Atomic uint32_t last_tenant;
    _Atomic uint32_t last_priority;
    _Atomic uint32_t last_credit;
} fake_runtime;

/* The text of the prompt: its own, or the last message's. */
static inline krs_str fake_text_of(const krs_request *request)
{
    if (request->prompt.kind != KRS_PROMPT_CHAT) {
        return request->prompt.text;
    }
    const json_t *messages = json_object_get(request->prompt.chat, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    return krs_str_of(json_string_value(json_object_get(last, "content")));
}

static inline void fake_record(fake_runtime *fake, const krs_request *request)
{
    atomic_store(&fake->last_task, (uint32_t)request->task);
    atomic_store(&fake->last_tenant, request->tenant);
    atomic_store(&fake->last_priority, (uint32_t)request->priority);
    atomic_store(&fake->last_credit, request->credit);
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
    fake_record(fake, request);
    for (uint32_t i = 0; i < FAKE_MAX_STREAMS && status != KRS_OK; i++) {
        fake_stream *s = &fake->streams[i];
        if (s->id == 0) {
            *id = ++fake->last_id;
            *s = (fake_stream){.id = *id, .request = request, .sink = sink, .user = user};
            s->credit = request->credit;
            (void)snprintf(s->prompt, sizeof(s->prompt), "%.*s",
                           KRS_STR_ARGS(fake_text_of(request)));
            fake->n_slots = i < fake->n_slots ? fake->n_slots : i + 1;
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
    for (uint32_t i = 0; i < fake->n_slots; i++) {
        if (id != 0 && fake->streams[i].id == id) {
            fake->streams[i].is_cancelled = true;
        }
    }
    krs_os_mutex_unlock(fake->mutex);
}

static inline void fake_grant(krs_runtime *self, uint64_t id, uint32_t n)
{
    fake_runtime *fake = (fake_runtime *)self;
    krs_os_mutex_lock(fake->mutex);
    for (uint32_t i = 0; i < fake->n_slots; i++) {
        fake_stream *s = &fake->streams[i];
        if (id != 0 && s->id == id && s->credit != KRS_CREDIT_UNLIMITED) {
            s->credit = n < KRS_CREDIT_UNLIMITED - s->credit ? s->credit + n : KRS_CREDIT_UNLIMITED;
            atomic_fetch_add(&fake->n_granted, n);
        }
    }
    krs_os_mutex_unlock(fake->mutex);
}

static inline krs_runtime_health fake_health(krs_runtime *self)
{
    fake_runtime *fake = (fake_runtime *)self;
    return (krs_runtime_health){
        .state = (krs_runtime_state)atomic_load(&fake->state),
        .heartbeat_ns = krs_os_now_ns(),
        .n_running = (uint32_t)(atomic_load(&fake->n_opened) - atomic_load(&fake->n_ended)),
        .n_paused = (uint32_t)atomic_load(&fake->n_paused),
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
                                  .dtype = "bf16",
                                  .created_unix_s = 1700000000,
                                  .context_tokens = 4096,
                                  .vocab = 1000,
                                  .hidden = FAKE_HIDDEN,
                                  .bos = FAKE_BOS,
                                  .eos = 2,
                                  .has_chat_template = true,
                                  .reply_format = "hermes",
                                  .reply_reasoning = "think",
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
static inline void fake_burst(const fake_runtime *fake, fake_stream *s)
{
    krs_stream_event events[FAKE_BURST_WORDS + 1];
    for (s->n_done = 0; s->n_done < FAKE_BURST_WORDS; s->n_done++) {
        events[s->n_done] = (krs_stream_event){
            .stream_id = s->id, .user = s->user, .text = {fake->flood, FAKE_FLOOD_BYTES}};
    }
    events[FAKE_BURST_WORDS] = (krs_stream_event){.stream_id = s->id, .user = s->user};
    fake_end(&events[FAKE_BURST_WORDS], s, KRS_FINISH_LENGTH);
    s->sink->deliver(s->sink->ctx, events, FAKE_BURST_WORDS + 1);
}

/* A step that brings no word: credit is out. Counts the moment it began and the moment it ended. */
static inline bool fake_is_paused(fake_runtime *fake, fake_stream *s)
{
    const bool is_paused = s->credit == 0;
    if (is_paused && !s->is_paused) {
        atomic_fetch_add(&fake->n_pauses, 1);
        atomic_fetch_add(&fake->n_paused, 1);
    } else if (!is_paused && s->is_paused) {
        atomic_fetch_sub(&fake->n_paused, 1);
    }
    s->is_paused = is_paused;
    return is_paused;
}

static inline void fake_word(fake_runtime *fake, fake_stream *s, krs_stream_event *event)
{
    static const krs_logprob top[2] = {{1, -0.5F, {"x", 1}}, {2, -1.5F, {"\xE2\x82", 2}}};
    const bool is_flood = strcmp(s->prompt, "flood") == 0;
    const uint32_t max = s->request->stopping.max_tokens ? s->request->stopping.max_tokens : 5;
    const int n = snprintf(s->word, sizeof(s->word), "w%u ", s->n_done);
    s->token = (krs_token){9, -0.25F, top, 2, {s->word, (size_t)n}, (uint32_t)n, s->n_chars};
    s->n_chars += (uint32_t)n;
    event->text = is_flood ? (krs_str){fake->flood, FAKE_FLOOD_BYTES} : s->token.bytes;
    if (strcmp(s->prompt, "mute") == 0) {
        event->text = s->token.bytes = KRS_STR("");
    }
    event->tokens = &s->token;
    event->n_tokens = 1;
    s->n_done++;
    s->credit -= s->credit != KRS_CREDIT_UNLIMITED;
    atomic_fetch_add(&fake->n_words, 1);
    if (s->n_done == max && !is_flood && strcmp(s->prompt, "forever") != 0) {
        fake_end(event, s, KRS_FINISH_LENGTH);
    }
}

/* What a generating stream gets in this step; false: nothing. */
static inline bool fake_step(fake_runtime *fake, fake_stream *s, krs_stream_event *event)
{
    *event = (krs_stream_event){.stream_id = s->id, .user = s->user};
    if (s->is_cancelled) {
        atomic_fetch_add(&fake->n_cancelled, 1);
        fake_end(event, s, KRS_FINISH_CANCELLED);
    } else if (krs_os_now_ns() > s->request->deadline_ns) {
        fake_end(event, s, KRS_FINISH_DEADLINE);
    } else if (strcmp(s->prompt, "fail") == 0) {
        fake_fail(event, KRS_EINVAL);
    } else if (strcmp(s->prompt, "break") == 0 && s->n_done == 2) {
        fake_fail(event, KRS_EDEVICE);
    } else if (strcmp(s->prompt, "silent") == 0 || fake_is_paused(fake, s)) {
        return false;
    } else {
        fake_word(fake, s, event);
    }
    return true;
}

static inline void fake_embed(const fake_stream *s, krs_stream_event *event)
{
    static const float vectors[2][FAKE_HIDDEN] = {{0.6F, 0.8F, 0, 0}, {0, 0, 0.8F, -0.6F}};
    event->embedding = vectors[(unsigned char)s->prompt[0] % 2];
    event->n_embedding = FAKE_HIDDEN;
}

/* ids, pieces: room for all of them, kept by the caller until the event is delivered. */
static inline void fake_tokenize(const fake_stream *s, uint32_t *ids, krs_str *pieces,
                                 krs_stream_event *event)
{
    const krs_str text = fake_text_of(s->request);
    uint32_t n = 0;
    if (!s->request->task_options.has_no_special) {
        pieces[n] = KRS_STR("<s>");
        ids[n++] = FAKE_BOS;
    }
    for (size_t i = 0; i < text.len; i++) {
        pieces[n] = (krs_str){text.ptr + i, 1};
        ids[n++] = (unsigned char)text.ptr[i];
    }
    event->ids = ids;
    event->n_ids = n;
    event->pieces = s->request->task_options.has_pieces ? pieces : NULL;
    event->usage.n_prompt_tokens = n;
}

static inline void fake_detokenize(const fake_stream *s, char *text, krs_stream_event *event)
{
    const krs_prompt *prompt = &s->request->prompt;
    size_t n = 0;
    for (size_t i = 0; i < prompt->n_tokens; i++) {
        if (prompt->tokens[i] != FAKE_BOS) {
            text[n++] = (char)prompt->tokens[i];
        } else if (s->request->task_options.is_special_shown) {
            memcpy(text + n, "<s>", 3);
            n += 3;
        }
    }
    event->text = (krs_str){text, n};
}

/* A task that takes no step of its own: one event, delivered at once. */
static inline void fake_whole_task(const fake_stream *s)
{
    krs_stream_event event = {.stream_id = s->id, .user = s->user};
    fake_end(&event, s, s->is_cancelled ? KRS_FINISH_CANCELLED : KRS_FINISH_STOP);
    const size_t n = fake_text_of(s->request).len + 1 + 3 * s->request->prompt.n_tokens;
    uint32_t *ids = calloc(n, sizeof(*ids));
    krs_str *pieces = calloc(n, sizeof(*pieces));
    char *text = calloc(n, 1);
    assert_true(ids && pieces && text);
    if (strcmp(s->prompt, "fail") == 0) {
        fake_fail(&event, KRS_EINVAL);
    } else if (s->request->task == KRS_TASK_EMBED) {
        fake_embed(s, &event);
    } else if (s->request->task == KRS_TASK_TOKENIZE) {
        fake_tokenize(s, ids, pieces, &event);
    } else {
        fake_detokenize(s, text, &event);
    }
    s->sink->deliver(s->sink->ctx, &event, 1);
    free(ids);
    free(pieces);
    free(text);
}

static inline void fake_release(fake_runtime *fake, fake_stream *s)
{
    if (s->is_paused) {
        atomic_fetch_sub(&fake->n_paused, 1);
    }
    krs_request_free(s->request);
    s->id = 0;
    atomic_fetch_add(&fake->n_ended, 1);
}

/* All events of a step, one delivery for each sink. */
static inline void fake_deliver(fake_runtime *fake, uint32_t n_events)
{
    for (uint32_t i = 0; i < n_events; i++) {
        const krs_sink *sink = fake->sinks[i];
        uint32_t n = 0;
        for (uint32_t k = i; sink && k < n_events; k++) {
            if (fake->sinks[k] == sink) {
                fake->batch[n++] = fake->events[k];
                fake->sinks[k] = NULL;
            }
        }
        if (n > 0) {
            sink->deliver(sink->ctx, fake->batch, n);
        }
    }
}

/* What a stream gets in this step; true: an event was added as number n_events. */
static inline bool fake_serve(fake_runtime *fake, fake_stream *s, uint32_t n_events)
{
    s->is_cancelled = s->is_cancelled || fake->is_stopping;
    if (s->request->task != KRS_TASK_GENERATE) {
        fake_whole_task(s);
        fake_release(fake, s);
        return false;
    }
    if (strcmp(s->prompt, "burst") == 0) {
        fake_burst(fake, s);
        fake_release(fake, s);
        return false;
    }
    fake->sinks[n_events] = s->sink;
    return fake_step(fake, s, &fake->events[n_events]);
}

/* All streams one step. Delivering under the lock is fine here: a sink may not call the runtime. */
static inline bool fake_round(fake_runtime *fake)
{
    uint32_t ended[FAKE_MAX_STREAMS];
    uint32_t n_events = 0;
    uint32_t n_ended = 0;
    uint32_t n_left = 0;
    krs_os_mutex_lock(fake->mutex);
    for (uint32_t i = 0; i < fake->n_slots; i++) {
        fake_stream *s = &fake->streams[i];
        if (s->id != 0 && fake_serve(fake, s, n_events)) {
            if (fake->events[n_events].is_end) {
                ended[n_ended++] = i;
            }
            n_events++;
        }
        n_left += s->id != 0;
    }
    fake_deliver(fake, n_events);
    for (uint32_t i = 0; i < n_ended; i++) {
        fake_release(fake, &fake->streams[ended[i]]);
    }
    const bool is_over = fake->is_stopping && n_left == n_ended;
    krs_os_mutex_unlock(fake->mutex);
    atomic_fetch_add(&fake->n_steps, 1);
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
