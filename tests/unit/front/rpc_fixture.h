/* unit/front/rpc_fixture.h - a session with a carrier that a test plays: it keeps the requests it is handed, and
 * says what their streams say, when.
 *
 * The clock is the test's (now_ns), so coalescing is exact. The service is real, over the fake runtime, which
 * only lends its model's name: no request ever reaches it. */
#pragma once

#include "front/rpc_priv.h"
#include "support/fake_runtime.h"
#include "support/oom.h"

#define MAX_OPENED 512
#define MS         KRS_NS_PER_MS

typedef struct opened {
    krs_request *request; /* owned */
    krs_rpc_task *task;   /* NULL: ended or dropped */
    uint32_t n_granted;
    bool is_cancelled;
    bool is_dropped;
} opened;

typedef struct fixture {
    fake_runtime *fake;
    krs_service *service;
    krs_rpc_desk *desk;
    krs_rpc_session *session;
    krs_oom oom; /* counts what the session allocates */
    opened streams[MAX_OPENED];
    uint32_t n_opened;
    uint32_t n_open;
    uint32_t max_open; /* more are KRS_EBUSY */
    krs_rpc_post *posts;
    krs_os_mutex *mutex;
    uint64_t now_ns;
    json_t *read; /* the last message taken by next_message */
    size_t n_read;
} fixture;

static inline krs_status play_open(void *ctx, krs_request *request, krs_rpc_task *task,
                                   void **stream, krs_error *err)
{
    fixture *f = ctx;
    if (f->n_open >= f->max_open || f->n_opened == MAX_OPENED) {
        return krs_fail(err, KRS_EBUSY, "the queue is full");
    }
    opened *o = &f->streams[f->n_opened++];
    *o = (opened){.request = request, .task = task};
    f->n_open++;
    *stream = o;
    return KRS_OK;
}

static inline void play_cancel(void *stream, krs_cancel_reason reason)
{
    (void)reason;
    ((opened *)stream)->is_cancelled = true;
}

static inline void play_drop(void *stream, krs_cancel_reason reason)
{
    opened *o = stream;
    (void)reason;
    assert_non_null(o->task); /* nothing is dropped after its end */
    o->task = NULL;
    o->is_dropped = true;
}

static inline void play_grant(void *stream, uint32_t n_tokens)
{
    opened *o = stream;
    assert_non_null(o->task);
    o->n_granted += n_tokens;
}

/* Loads end on a thread of the service. */
static inline void play_post(void *ctx, krs_rpc_post *post)
{
    fixture *f = ctx;
    krs_os_mutex_lock(f->mutex);
    post->next = f->posts;
    f->posts = post;
    krs_os_mutex_unlock(f->mutex);
}

static const krs_rpc_carrier played = {play_open, play_cancel, play_drop, play_grant, play_post};

static inline bool run_posts(fixture *f)
{
    krs_os_mutex_lock(f->mutex);
    krs_rpc_post *post = f->posts;
    f->posts = NULL;
    krs_os_mutex_unlock(f->mutex);
    const bool is_any = post != NULL;
    while (post) {
        krs_rpc_post *next = post->next;
        post->run(post);
        post = next;
    }
    return is_any;
}

static inline int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    krs_oom_init(&f->oom, 0);
    f->fake = fake_runtime_new(MS);
    f->max_open = MAX_OPENED;
    f->now_ns = 1000 * MS;
    assert_int_equal(krs_os_mutex_new(&f->mutex), KRS_OK);
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.runtime = &f->fake->base;
    assert_int_equal(krs_service_new(&options, NULL, &f->service, NULL), KRS_OK);
    const krs_rpc_desk_options desk = {.service = f->service,
                                       .carrier = &played,
                                       .carrier_ctx = f,
                                       .version = "9.9.9",
                                       .alloc = krs_oom_alloc(&f->oom)};
    assert_int_equal(krs_rpc_desk_new(&desk, &f->desk), KRS_OK);
    const krs_rpc_session_options session = {f, 64u << 10};
    assert_int_equal(krs_rpc_session_new(f->desk, &session, &f->session), KRS_OK);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    krs_rpc_session_free(f->session);
    for (uint32_t i = 0; i < f->n_opened; i++) {
        assert_null(f->streams[i].task);
        krs_request_free(f->streams[i].request);
    }
    krs_service_free(f->service);
    krs_runtime_free(&f->fake->base);
    (void)run_posts(f);
    krs_rpc_desk_free(f->desk);
    json_decref(f->read);
    assert_int_equal(atomic_load(&f->oom.n_live), 0);
    krs_os_mutex_free(f->mutex);
    free(f);
    return 0;
}

static inline void feed(fixture *f, const char *text)
{
    krs_rpc_feed(f->session, krs_str_of(text), f->now_ns);
}

/* {"jsonrpc":"2.0","method":method,"params":params,"id":1} */
static inline void ask(fixture *f, const char *method, const char *params)
{
    char line[8192];
    const int n = snprintf(line, sizeof(line),
                           "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s,\"id\":1}\n",
                           method, params);
    assert_true(n > 0 && (size_t)n < sizeof(line));
    feed(f, line);
}

/* The next line of the output, or NULL; valid until the next call. It counts as unsent until sent_all. */
static inline json_t *next_message(fixture *f)
{
    const krs_str out = krs_rpc_output(f->session);
    if (f->n_read >= out.len) {
        return NULL;
    }
    const char *line = out.ptr + f->n_read;
    const char *end = memchr(line, '\n', out.len - f->n_read);
    assert_non_null(end);
    json_decref(f->read);
    f->read = json_loadb(line, (size_t)(end - line), 0, NULL);
    assert_non_null(f->read);
    f->n_read += (size_t)(end - line) + 1;
    return f->read;
}

static inline void sent_all(fixture *f)
{
    krs_rpc_sent(f->session, krs_rpc_output(f->session).len);
    f->n_read = 0;
}

static inline const json_t *at(const json_t *tree, const char *key)
{
    const json_t *value = json_object_get(tree, key);
    if (!value) {
        fail_msg("no \"%s\" in %s", key, json_dumps(tree, JSON_ENCODE_ANY));
    }
    return value;
}

static inline const char *text_at(const json_t *tree, const char *key)
{
    return json_string_value(at(tree, key));
}

/* jansson's json_is_true is a macro that looks twice. */
static inline bool is_true(const json_t *value)
{
    return json_is_true(value);
}

static inline bool is_null(const json_t *value)
{
    return json_is_null(value);
}

static inline json_int_t int_at(const json_t *tree, const char *key)
{
    return json_integer_value(at(tree, key));
}

static inline const json_t *expect_result(fixture *f)
{
    return at(next_message(f), "result");
}

static inline const json_t *expect_error(fixture *f, int code, const char *message)
{
    const json_t *error = at(next_message(f), "error");
    assert_int_equal(int_at(error, "code"), code);
    if (!strstr(text_at(error, "message"), message)) {
        fail_msg("\"%s\", want \"%s\"", text_at(error, "message"), message);
    }
    return error;
}

/* The params of the next message, which must be this notification. */
static inline const json_t *expect_notification(fixture *f, const char *method)
{
    const json_t *message = next_message(f);
    assert_non_null(message);
    assert_string_equal(text_at(message, "method"), method);
    return at(message, "params");
}

static inline void tell(fixture *f, uint32_t i, const krs_stream_event *event)
{
    opened *o = &f->streams[i];
    krs_rpc_task *task = o->task;
    assert_non_null(task);
    if (event->is_end) {
        o->task = NULL;
        f->n_open--;
    }
    krs_rpc_event(task, event, f->now_ns);
}

static inline void tell_token(fixture *f, uint32_t i, uint32_t id, const char *text)
{
    const krs_token token = {.id = id, .logprob = -0.5F, .bytes = krs_str_of(text)};
    const krs_stream_event event = {.text = krs_str_of(text), .tokens = &token, .n_tokens = 1};
    tell(f, i, &event);
}

static inline void tell_end(fixture *f, uint32_t i, krs_finish finish)
{
    krs_stream_event event = {
        .is_end = true,
        .finish = finish,
        .usage = {.n_answer_tokens = 4, .first_token_ns = 500 * MS, .total_ns = 2500 * MS}};
    if (finish == KRS_FINISH_ERROR) {
        (void)krs_fail(&event.error, KRS_EDEVICE, "the device failed at /opt/models/x.bin");
    }
    tell(f, i, &event);
}
