/* front/rpc_session.c - a connection: bytes to messages to handlers, and the output they write. */
#include "front/rpc_priv.h"

#include <stdio.h>

typedef krs_status (*handler)(const krs_rpc_ask *ask, krs_rpc_fault *fault);

static krs_status shut_down(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    (void)fault;
    krs_rpc_end_streams(ask->session);
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:b}", "success", 1));
    ask->session->is_over = true;
    return KRS_OK;
}

/* adaptive_batch.update_metrics: a client that steers batches we do not have. */
static krs_status accept_and_ignore(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    (void)fault;
    krs_rpc_reply_tree(ask->session, ask->id, json_pack("{s:b}", "success", 1));
    return KRS_OK;
}

static const handler handlers[KRS_METHOD_COUNT] = {
    [KRS_METHOD_INFO] = krs_rpc_info,
    [KRS_METHOD_STATE] = krs_rpc_state,
    [KRS_METHOD_TELEMETRY] = krs_rpc_telemetry,
    [KRS_METHOD_SHUTDOWN] = shut_down,
    [KRS_METHOD_LOAD_MODEL] = krs_rpc_load_model,
    [KRS_METHOD_UNLOAD_MODEL] = krs_rpc_unload_model,
    [KRS_METHOD_MODELS] = krs_rpc_models,
    [KRS_METHOD_GENERATE] = krs_rpc_generate,
    [KRS_METHOD_CHAT] = krs_rpc_generate,
    [KRS_METHOD_BATCH_GENERATE] = krs_rpc_batch_generate,
    [KRS_METHOD_PARALLEL] = krs_rpc_parallel,
    [KRS_METHOD_CONTINUOUS] = krs_rpc_continuous,
    [KRS_METHOD_BATCHER_METRICS] = krs_rpc_batcher_report,
    [KRS_METHOD_BATCHER_HEALTH] = krs_rpc_batcher_report,
    [KRS_METHOD_WEEK4_METRICS] = krs_rpc_batcher_report,
    [KRS_METHOD_TOKENIZE] = krs_rpc_batch_call,
    [KRS_METHOD_BATCH_TOKENIZE] = krs_rpc_batch_call,
    [KRS_METHOD_DETOKENIZE] = krs_rpc_batch_call,
    [KRS_METHOD_BATCH_DETOKENIZE] = krs_rpc_batch_call,
    [KRS_METHOD_EMBEDDINGS] = krs_rpc_batch_call,
    [KRS_METHOD_CHECK_DRAFT] = krs_rpc_check_draft,
    [KRS_METHOD_BATCH_CHECK_DRAFT] = krs_rpc_batch_check_draft,
    [KRS_METHOD_LOAD_VISION] = krs_rpc_vision,
    [KRS_METHOD_GENERATE_IMAGE] = krs_rpc_vision,
    [KRS_METHOD_ADAPTIVE_BATCH] = accept_and_ignore,
    [KRS_METHOD_CANCEL] = krs_rpc_cancel,
    [KRS_METHOD_CREDIT] = krs_rpc_credit,
    [KRS_METHOD_SUBSCRIBE] = krs_rpc_subscribe,
    [KRS_METHOD_NEGOTIATE] = krs_rpc_negotiate,
};

krs_status krs_rpc_desk_new(const krs_rpc_desk_options *options, krs_rpc_desk **out)
{
    *out = krs_alloc_zero(options->alloc, sizeof(**out));
    if (!*out) {
        return KRS_ENOMEM;
    }
    (*out)->options = *options;
    return KRS_OK;
}

void krs_rpc_desk_free(krs_rpc_desk *desk)
{
    if (desk) {
        krs_rpc_figures_free(&desk->figures, desk->options.alloc);
        krs_alloc_free(desk->options.alloc, desk);
    }
}

krs_status krs_rpc_session_new(krs_rpc_desk *desk, const krs_rpc_session_options *options,
                               krs_rpc_session **out)
{
    krs_rpc_session *session = krs_alloc_zero(desk->options.alloc, sizeof(*session));
    *out = session;
    if (!session) {
        return KRS_ENOMEM;
    }
    session->desk = desk;
    session->options = *options;
    session->due_ns = UINT64_MAX;
    krs_framer_init(&session->framer, KRS_RPC_MAX_MESSAGE_BYTES, desk->options.alloc);
    krs_buf_init(&session->out, desk->options.alloc, KRS_RPC_MAX_OUTPUT_BYTES);
    session->next = desk->sessions;
    if (desk->sessions) {
        desk->sessions->prev = session;
    }
    desk->sessions = session;
    return KRS_OK;
}

static void unlink_session(krs_rpc_session *session)
{
    if (session->prev) {
        session->prev->next = session->next;
    } else {
        session->desk->sessions = session->next;
    }
    if (session->next) {
        session->next->prev = session->prev;
    }
}

void krs_rpc_session_free(krs_rpc_session *session)
{
    if (!session) {
        return;
    }
    krs_rpc_streams_drop(session);
    krs_rpc_batches_drop(session);
    krs_rpc_groups_drop(session);
    krs_rpc_loads_drop(session);
    krs_rpc_watch_close(session);
    krs_framer_deinit(&session->framer);
    krs_buf_deinit(&session->out);
    unlink_session(session);
    krs_alloc_free(session->desk->options.alloc, session);
}

static krs_status call(const krs_rpc_ask *ask, krs_str name, krs_rpc_fault *fault)
{
    if (ask->method == KRS_METHOD_NONE) {
        return krs_fail(&fault->error, KRS_EINVAL, "Unknown method: %.100s", name.ptr);
    }
    const krs_status status = krs_method_check(ask->method, ask->params, &fault->error);
    if (status != KRS_OK) {
        return status;
    }
    if (ask->session->n_unanswered >= KRS_RPC_MAX_UNANSWERED) {
        return krs_fail(&fault->error, KRS_EBUSY,
                        "%u requests of this connection wait, no more fit", KRS_RPC_MAX_UNANSWERED);
    }
    return handlers[ask->method](ask, fault);
}

/* Methods whose end is seen elsewhere: there they are counted, unless they were refused here. */
static bool is_counted_later(krs_method method)
{
    return handlers[method] == krs_rpc_load_model || handlers[method] == krs_rpc_batch_call ||
           handlers[method] == krs_rpc_parallel;
}

static void handle_call(const krs_rpc_ask *ask, krs_str name)
{
    krs_rpc_session *session = ask->session;
    krs_rpc_fault fault = {.error = KRS_ERROR_INIT};
    session->desk->figures.n_calls++;
    const krs_status status = call(ask, name, &fault);
    if (status != KRS_OK) {
        fault.error.status = status;
        krs_rpc_reply_fault(session, ask->id, &fault);
    }
    if (ask->method != KRS_METHOD_NONE && (status != KRS_OK || !is_counted_later(ask->method))) {
        krs_service_count_method(session->desk->options.service, ask->method, status != KRS_OK);
    }
}

/* A message that is no request. */
static void refuse(krs_rpc_session *session, int code, json_t *id, krs_error *error)
{
    krs_rpc_fault fault = {.error = *error, .code = code};
    json_t *nobody = id ? NULL : json_null();
    krs_rpc_reply_fault(session, id ? id : nobody, &fault);
}

static void handle_message(krs_rpc_session *session, krs_str message, uint64_t now_ns)
{
    krs_error error = KRS_ERROR_INIT;
    krs_rpc_call request;
    const krs_status status = krs_rpc_parse(session->framer.encoding, message, &request, &error);
    if (status == KRS_EFORMAT) {
        json_t *id = krs_rpc_find_id(session->framer.encoding, message, message);
        refuse(session, KRS_RPC_PARSE_ERROR, id, &error);
        json_decref(id);
    } else if (status != KRS_OK) {
        refuse(session, status == KRS_EINVAL ? KRS_RPC_INVALID_REQUEST : 0, request.id, &error);
    } else {
        const krs_rpc_ask ask = {session, krs_method_of_name(request.method), request.params,
                                 request.id, now_ns};
        handle_call(&ask, request.method);
    }
    json_decref(request.root);
}

static void refuse_dropped(krs_rpc_session *session, const krs_frame *frame)
{
    krs_error error = KRS_ERROR_INIT;
    if (frame->status == KRS_ENOMEM) {
        (void)krs_fail(&error, KRS_ENOMEM, "no memory for a message of this length");
    } else {
        (void)krs_fail(&error, KRS_ETOOLARGE, "Buffer overflow: would exceed %u bytes",
                       KRS_RPC_MAX_MESSAGE_BYTES);
    }
    refuse(session, frame->status == KRS_ENOMEM ? 0 : KRS_RPC_INVALID_REQUEST, frame->id, &error);
    json_decref(frame->id);
}

void krs_rpc_feed(krs_rpc_session *session, krs_str bytes, uint64_t now_ns)
{
    krs_frame frame;
    while (!session->is_over && !session->is_broken &&
           krs_framer_next(&session->framer, &bytes, &frame)) {
        if (frame.status == KRS_OK) {
            handle_message(session, frame.message, now_ns);
        } else {
            refuse_dropped(session, &frame);
        }
        session->encoding = session->framer.encoding = session->next_encoding;
    }
}

void krs_rpc_event(krs_rpc_task *task, const krs_stream_event *event, uint64_t now_ns)
{
    if (task->kind == KRS_RPC_TASK_STREAM) {
        krs_rpc_stream_event((krs_rpc_stream *)task, event, now_ns);
    } else {
        krs_rpc_item_event(task, event, now_ns);
    }
}

void krs_rpc_flush(krs_rpc_session *session, uint64_t now_ns)
{
    if (now_ns >= session->due_ns) {
        krs_rpc_streams_flush(session, now_ns);
    }
}

uint64_t krs_rpc_due_ns(const krs_rpc_session *session)
{
    return session->due_ns;
}

krs_str krs_rpc_output(const krs_rpc_session *session)
{
    return (krs_str){session->out.data + (session->out.data ? session->n_sent : 0),
                     session->out.len - session->n_sent};
}

void krs_rpc_sent(krs_rpc_session *session, size_t n)
{
    session->n_sent += n;
    if (session->n_sent == session->out.len) {
        session->n_sent = 0;
        krs_buf_reset(&session->out);
        krs_rpc_streams_settle(session);
        krs_rpc_watch_pump(session);
    } else if (session->n_sent >= session->out.len / 2) {
        krs_buf_consume(&session->out, session->n_sent); /* never moves more than it frees */
        session->n_sent = 0;
    }
}

bool krs_rpc_is_hungry(const krs_rpc_session *session)
{
    return !session->is_over && !session->is_broken &&
           session->out.len - session->n_sent < KRS_RPC_HIGH_BYTES;
}

bool krs_rpc_is_over(const krs_rpc_session *session)
{
    return session->is_over;
}

bool krs_rpc_is_broken(const krs_rpc_session *session)
{
    return session->is_broken;
}

uint32_t krs_rpc_unanswered(const krs_rpc_session *session)
{
    return session->n_unanswered;
}

uint32_t krs_rpc_streams(const krs_rpc_session *session)
{
    return session->n_streams;
}
