/* front/rpc_stream.c - an answer on its way to one client: its name, its credit, its end.
 *
 *   credit:  client's (stream.credit) --+--> min --> runtime        window: KRS_RPC_WINDOW_TOKENS ahead of
 *            window, as output is taken -+                           what the peer has taken
 *
 * Tokens that come faster than KRS_RPC_FLUSH_NS wait that long for company. A stream whose steps are slower
 * writes at once, for nobody would come: waiting would only be late. */
#include "front/rpc_priv.h"

#include "os/clock.h"
#include "os/random.h"

#include <stdio.h>

#define GENERATION_ERROR (-32002)

struct krs_rpc_stream {
    krs_rpc_task task; /* first */
    krs_rpc_stream *prev;
    krs_rpc_stream *next;
    krs_rpc_group *group;     /* or NULL */
    krs_rpc_batcher *batcher; /* of continuous ones; or NULL */
    uint64_t last_ns;         /* of the last event with tokens; 0: none yet */
    uint64_t waiting_ns;      /* since when tokens wait in the pack */
    uint32_t client_credit;   /* the client's, not yet passed on; KRS_CREDIT_UNLIMITED */
    uint32_t n_ahead;         /* tokens the runtime may make or has made that are not written */
    uint32_t n_waiting;       /* of them, in the pack */
    uint32_t n_written;       /* of them, in the output since it was empty */
    krs_rpc_talk *talk;       /* of chats; or NULL */
    krs_rpc_pack pack;
    char model[KRS_MODEL_ID_BYTES];
    char name[KRS_RPC_STREAM_NAME_BYTES];
};

static const krs_rpc_carrier *carrier_of(const krs_rpc_session *session)
{
    return session->desk->options.carrier;
}

static void link_stream(krs_rpc_stream *stream)
{
    krs_rpc_session *session = stream->task.session;
    stream->next = session->streams;
    if (session->streams) {
        session->streams->prev = stream;
    }
    session->streams = stream;
    session->n_streams++;
}

static void free_stream(krs_rpc_stream *stream)
{
    krs_rpc_session *session = stream->task.session;
    if (stream->prev) {
        stream->prev->next = stream->next;
    } else {
        session->streams = stream->next;
    }
    if (stream->next) {
        stream->next->prev = stream->prev;
    }
    session->n_streams--;
    krs_rpc_talk_free(stream->talk);
    krs_buf_deinit(&stream->pack.bytes);
    krs_alloc_free(session->desk->options.alloc, stream);
}

krs_rpc_stream *krs_rpc_stream_named(const krs_rpc_session *session, krs_str name)
{
    for (krs_rpc_stream *s = session->streams; s; s = s->next) {
        if (krs_str_equal(krs_str_of(s->name), name)) {
            return s;
        }
    }
    return NULL;
}

/* A random UUID, version 4. */
static void make_name(char out[KRS_RPC_STREAM_NAME_BYTES])
{
    const uint64_t a = krs_os_random_u64();
    const uint64_t b = krs_os_random_u64();
    (void)snprintf(out, KRS_RPC_STREAM_NAME_BYTES, "%08x-%04x-4%03x-%04x-%04x%08x",
                   (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xFFFF), (unsigned)(a & 0xFFF),
                   (unsigned)(0x8000 | (b >> 48 & 0x3FFF)), (unsigned)(b >> 32 & 0xFFFF),
                   (unsigned)(b & 0xFFFFFFFF));
}

/* The client's name for it, or one of ours. Errors: KRS_EINVAL (taken, or with a NUL). */
static krs_status name_stream(const krs_rpc_ask *ask, krs_rpc_stream *stream, krs_rpc_fault *fault)
{
    krs_str name = krs_method_text(ask->method, ask->params, "stream_id");
    if (name.len == 0 && ask->method == KRS_METHOD_CONTINUOUS) {
        name = krs_method_text(ask->method, ask->params, "request_id");
    }
    if (name.len == 0) {
        make_name(stream->name);
        return KRS_OK;
    }
    if (memchr(name.ptr, 0, name.len)) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "stream_id",
                              "Invalid params: stream_id: holds a NUL");
    }
    memcpy(stream->name, name.ptr, name.len); /* at most 256 characters: it fits, zeroed behind */
    if (krs_rpc_stream_named(ask->session, name)) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "stream_id",
                              "Stream ID '%.100s' is already in use", stream->name);
    }
    return KRS_OK;
}

static void begin_credit(const krs_rpc_ask *ask, krs_rpc_stream *stream)
{
    stream->client_credit = KRS_CREDIT_UNLIMITED;
    stream->n_ahead = KRS_RPC_WINDOW_TOKENS;
    if (krs_method_has(ask->params, "credit")) {
        const uint32_t credit = (uint32_t)krs_method_int(ask->method, ask->params, "credit");
        stream->n_ahead = credit < KRS_RPC_WINDOW_TOKENS ? credit : KRS_RPC_WINDOW_TOKENS;
        stream->client_credit = credit - stream->n_ahead;
    }
}

static void init_stream(const krs_rpc_ask *ask, krs_rpc_style style, krs_rpc_group *group,
                        const krs_request *request, krs_rpc_stream *stream)
{
    krs_rpc_desk *desk = ask->session->desk;
    stream->task = (krs_rpc_task){KRS_RPC_TASK_STREAM, ask->session, NULL};
    stream->group = group;
    memcpy(stream->model, request->model, sizeof(stream->model));
    krs_rpc_pack_init(&stream->pack, ask->session, stream->name, style);
    stream->pack.has_logprobs = request->sampling.n_logprobs >= 0;
    stream->pack.has_text = style == KRS_RPC_STYLE_CHUNKS &&
                            krs_method_bool(ask->method, ask->params, "cumulative_text");
    if (style == KRS_RPC_STYLE_CONTINUOUS) {
        stream->batcher = krs_rpc_batcher_take(&desk->figures, stream->model, desk->options.alloc);
    }
    begin_credit(ask, stream);
}

static krs_status open_stream(const krs_rpc_ask *ask, krs_rpc_stream *stream, krs_request *request,
                              krs_rpc_fault *fault)
{
    krs_rpc_session *session = ask->session;
    request->credit = stream->n_ahead;
    if (!krs_service_adopt_name(krs_str_of(stream->name), request->correlation_id)) {
        request->correlation_id[0] = '\0'; /* the service gives one */
    }
    const krs_status status = carrier_of(session)->open(
        session->options.carrier_ctx, request, &stream->task, &stream->task.handle, &fault->error);
    if (status == KRS_OK) {
        link_stream(stream);
        if (stream->batcher) {
            krs_rpc_batcher_start(stream->batcher);
        }
    }
    return status;
}

krs_status krs_rpc_stream_open(const krs_rpc_ask *ask, krs_rpc_style style, krs_rpc_group *group,
                               const char **out_name, krs_rpc_fault *fault)
{
    const krs_alloc *alloc = ask->session->desk->options.alloc;
    if (ask->session->n_streams >= KRS_RPC_MAX_STREAMS) {
        return krs_fail(&fault->error, KRS_EBUSY, "%u streams of this connection run, no more fit",
                        KRS_RPC_MAX_STREAMS);
    }
    krs_request *request = NULL;
    krs_rpc_talk *talk = NULL;
    krs_status status = krs_rpc_request_new(ask, &request, &talk, fault);
    if (status != KRS_OK) {
        return status;
    }
    krs_rpc_stream *stream = krs_alloc_zero(alloc, sizeof(*stream));
    status = stream ? name_stream(ask, stream, fault) : KRS_ENOMEM;
    if (status == KRS_OK) {
        init_stream(ask, style, group, request, stream);
        stream->talk = talk;
        status = open_stream(ask, stream, request, fault);
    }
    if (status != KRS_OK) {
        krs_request_free(request);
        krs_rpc_talk_free(talk);
        krs_alloc_free(alloc, stream);
        return status;
    }
    *out_name = stream->name;
    return KRS_OK;
}

void krs_rpc_stream_cancel(krs_rpc_stream *stream)
{
    carrier_of(stream->task.session)->cancel(stream->task.handle, KRS_CANCEL_SIBLING);
}

/* Pass on what both the client and the window allow; half a window at a time unless that is all there is, for
 * a grant may wake the engine. */
static void pass_credit(krs_rpc_stream *stream)
{
    const uint32_t room = KRS_RPC_WINDOW_TOKENS - stream->n_ahead;
    const bool is_bound = stream->client_credit != KRS_CREDIT_UNLIMITED;
    const uint32_t n = is_bound && stream->client_credit < room ? stream->client_credit : room;
    if (n == 0 || (n < KRS_RPC_WINDOW_TOKENS / 2 && n == room)) {
        return;
    }
    stream->client_credit -= is_bound ? n : 0;
    stream->n_ahead += n;
    carrier_of(stream->task.session)->grant(stream->task.handle, n);
}

uint32_t krs_rpc_stream_credit(krs_rpc_stream *stream, uint32_t n)
{
    if (stream->client_credit == KRS_CREDIT_UNLIMITED) {
        return 0;
    }
    const uint32_t room = KRS_CREDIT_UNLIMITED - 1 - stream->client_credit;
    stream->client_credit += n < room ? n : room;
    pass_credit(stream);
    return n;
}

static void write_pack(krs_rpc_stream *stream)
{
    krs_rpc_pack_write(&stream->pack);
    stream->n_written += stream->n_waiting;
    stream->n_waiting = 0;
}

/* Should what waits be written now? */
static bool is_due(krs_rpc_stream *stream, uint64_t now_ns)
{
    const bool is_fast = stream->last_ns > 0 && now_ns - stream->last_ns < KRS_RPC_FLUSH_NS;
    stream->last_ns = now_ns;
    return !is_fast || stream->pack.n >= KRS_RPC_FLUSH_TOKENS;
}

static void add_event(krs_rpc_stream *stream, const krs_stream_event *event, uint64_t now_ns)
{
    krs_rpc_session *session = stream->task.session;
    if (stream->n_waiting == 0) {
        stream->waiting_ns = now_ns;
    }
    if (stream->talk) {
        krs_rpc_talk_add(stream->talk, &stream->pack, event);
    } else {
        krs_rpc_pack_add(&stream->pack, event);
    }
    stream->n_waiting += event->n_tokens;
    /* An empty pack has been written already: of a continuous stream, token by token. */
    if (is_due(stream, now_ns) || stream->pack.n == 0) {
        write_pack(stream);
    } else if (stream->waiting_ns + KRS_RPC_FLUSH_NS < session->due_ns) {
        session->due_ns = stream->waiting_ns + KRS_RPC_FLUSH_NS;
    }
}

static void count_end(krs_rpc_stream *stream, const krs_stream_event *event, uint64_t now_ns)
{
    krs_rpc_figures *figures = &stream->task.session->desk->figures;
    krs_rpc_latency_add(&figures->generate, event->usage.total_ns);
    figures->n_tokens += event->usage.n_answer_tokens;
    figures->busy_s += (double)event->usage.total_ns / KRS_NS_PER_S;
    figures->n_errors += event->finish == KRS_FINISH_ERROR;
    figures->n_timeouts += event->finish == KRS_FINISH_DEADLINE;
    if (stream->batcher) {
        krs_rpc_batcher_end(stream->batcher, event, now_ns);
    }
}

/* reason: NULL, or what the client is told instead of finish's name. */
static void end_stream(krs_rpc_stream *stream, const krs_stream_event *event, const char *reason,
                       uint64_t now_ns)
{
    krs_rpc_fault fault = {.error = event->error};
    if (event->finish == KRS_FINISH_ERROR) {
        (void)krs_rpc_blame(&fault, GENERATION_ERROR, "Generation failed for",
                            krs_str_of(stream->model));
    }
    write_pack(stream);
    const krs_rpc_ending ending = {.finish = event->finish,
                                   .has_calls = stream->talk && stream->talk->turn.n_calls > 0,
                                   .reason = reason,
                                   .why = krs_rpc_fault_text(&fault),
                                   .usage = event->usage};
    krs_rpc_say_end(stream->task.session, stream->pack.style, stream->name, &ending);
    count_end(stream, event, now_ns);
    if (stream->group) {
        krs_rpc_group_leave(stream->group);
    }
    free_stream(stream);
}

void krs_rpc_stream_event(krs_rpc_stream *stream, const krs_stream_event *event, uint64_t now_ns)
{
    if (event->n_tokens > 0 || event->text.len > 0 || (stream->talk && event->is_end)) {
        add_event(stream, event, now_ns);
    }
    if (event->is_end) {
        end_stream(stream, event, NULL, now_ns);
    }
}

void krs_rpc_stream_refuse(krs_rpc_session *session, krs_str name, const krs_rpc_fault *fault)
{
    char text[KRS_RPC_STREAM_NAME_BYTES];
    (void)snprintf(text, sizeof(text), "%.*s", KRS_STR_ARGS(name));
    const krs_rpc_ending ending = {.finish = KRS_FINISH_ERROR, .why = krs_rpc_fault_text(fault)};
    krs_rpc_say_end(session, KRS_RPC_STYLE_CONTINUOUS, text, &ending);
}

void krs_rpc_streams_settle(krs_rpc_session *session)
{
    for (krs_rpc_stream *s = session->streams; s; s = s->next) {
        if (s->n_written > 0) {
            s->n_ahead -= s->n_written < s->n_ahead ? s->n_written : s->n_ahead;
            s->n_written = 0;
            pass_credit(s);
        }
    }
}

void krs_rpc_streams_flush(krs_rpc_session *session, uint64_t now_ns)
{
    session->due_ns = UINT64_MAX;
    for (krs_rpc_stream *s = session->streams; s; s = s->next) {
        if (s->pack.n > 0 && s->waiting_ns + KRS_RPC_FLUSH_NS <= now_ns) {
            write_pack(s);
        } else if (s->pack.n > 0 && s->waiting_ns + KRS_RPC_FLUSH_NS < session->due_ns) {
            session->due_ns = s->waiting_ns + KRS_RPC_FLUSH_NS;
        }
    }
}

void krs_rpc_streams_drop(krs_rpc_session *session)
{
    while (session->streams) {
        krs_rpc_stream *stream = session->streams;
        if (stream->batcher) {
            stream->batcher->n_active--;
        }
        carrier_of(session)->drop(stream->task.handle, KRS_CANCEL_GONE);
        free_stream(stream);
    }
}

void krs_rpc_end_streams(krs_rpc_session *session)
{
    while (session->streams) {
        krs_rpc_stream *stream = session->streams;
        carrier_of(session)->drop(stream->task.handle, KRS_CANCEL_DRAIN);
        const krs_stream_event end = {.is_end = true, .finish = KRS_FINISH_CANCELLED};
        end_stream(stream, &end, "shutdown", krs_os_now_ns());
    }
}
