/* front/rpc_reply.c - replies, errors and notifications as bytes.
 *
 * A client that we are compatible with dies of a line longer than it can hold, so a result that would be
 * too long becomes an error that says so. Error texts are for strangers: absolute paths keep only their
 * last part, and what we did not expect is told in one fixed sentence. */
#include "front/rpc_priv.h"

#include <stdio.h>

/* The codes that the contract has and status.def cannot know: they depend on what was being done. */
#define LAST_SENTENCE "An unexpected internal error occurred"

size_t krs_rpc_message_bytes(const krs_emit *e, size_t start)
{
    return e->out->len - start;
}

/* The session cannot go on without this message: its bound is met, or memory is out. */
static void close_message(krs_rpc_session *session, krs_emit *e, size_t start)
{
    if (krs_rpc_close(e, start) != KRS_OK) {
        session->is_broken = true;
    }
}

bool krs_rpc_reply_begin(krs_rpc_session *session, const json_t *id, krs_emit *e, size_t *start)
{
    if (!id) {
        return false;
    }
    *e = krs_emit_to(&session->out, session->encoding);
    *start = krs_rpc_open(e, 3);
    krs_emit_key(e, "id");
    krs_emit_tree(e, id);
    krs_emit_key(e, "result");
    return true;
}

static void forget_message(krs_emit *e, size_t start)
{
    e->out->len = start;
    if (e->out->data) {
        e->out->data[start] = '\0';
    }
}

void krs_rpc_reply_end(krs_rpc_session *session, const json_t *id, krs_emit *e, size_t start)
{
    close_message(session, e, start);
    const size_t n = krs_rpc_message_bytes(e, start);
    if (n > session->options.max_line_bytes) {
        forget_message(e, start);
        krs_rpc_fault fault = {.error = KRS_ERROR_INIT};
        (void)krs_fail(
            &fault.error, KRS_ETOOLARGE,
            "Invalid params: the reply would take %zu bytes, the client reads %zu at most "
            "(rpc.negotiate max_line_bytes)",
            n, session->options.max_line_bytes);
        krs_rpc_reply_fault(session, id, &fault);
    }
}

void krs_rpc_reply_tree(krs_rpc_session *session, const json_t *id, json_t *result)
{
    krs_emit e;
    size_t start;
    if (krs_rpc_reply_begin(session, id, &e, &start)) {
        krs_emit_tree(&e, result);
        krs_rpc_reply_end(session, id, &e, start);
    }
    json_decref(result);
}

static int code_of(const krs_rpc_fault *fault)
{
    return fault->code ? fault->code : krs_status_jsonrpc(fault->error.status);
}

/* -32099 and -32018 come with what went wrong inside: not for a stranger. */
static bool is_unexpected(const krs_rpc_fault *fault)
{
    return code_of(fault) == krs_status_jsonrpc(KRS_EINTERNAL);
}

krs_str krs_rpc_fault_text(const krs_rpc_fault *fault)
{
    if (is_unexpected(fault)) {
        return KRS_STR(LAST_SENTENCE);
    }
    return krs_str_of(fault->error.message[0] ? fault->error.message
                                              : krs_status_sentence(fault->error.status));
}

static void put_data(krs_emit *e, const krs_rpc_fault *fault)
{
    const krs_error *error = &fault->error;
    const bool has_type = code_of(fault) == krs_status_jsonrpc(KRS_EINVAL) || is_unexpected(fault);
    krs_emit_key(e, "data");
    krs_emit_map(e, 2u + has_type + (fault->model_id[0] != '\0') + (error->field[0] != '\0') +
                        (error->retry_after_ms > 0));
    if (fault->model_id[0]) {
        krs_emit_pair_str(e, "model_id", krs_str_of(fault->model_id));
    }
    if (has_type) {
        krs_emit_pair_str(e, "type",
                          is_unexpected(fault) ? KRS_STR("InternalError")
                                               : KRS_STR("ValidationError"));
    }
    krs_emit_pair_str(e, "status", krs_str_of(krs_status_name(error->status)));
    krs_emit_pair_bool(e, "retryable", krs_status_is_retryable(error->status));
    if (error->field[0]) {
        krs_emit_pair_str(e, "field", krs_str_of(error->field));
    }
    if (error->retry_after_ms > 0) {
        krs_emit_pair_int(e, "retry_after_ms", error->retry_after_ms);
    }
    krs_emit_end(e, '}');
}

void krs_rpc_reply_fault(krs_rpc_session *session, const json_t *id, const krs_rpc_fault *fault)
{
    session->desk->figures.n_errors++;
    session->desk->figures.n_timeouts += fault->error.status == KRS_EDEADLINE;
    const int code = code_of(fault);
    if (!id) { /* a notification: the log is all that hears of it */
        krs_log_error(krs_service_log(session->desk->options.service), KRS_LOG_WARN,
                      "request.refused", NULL, &fault->error);
        return;
    }
    const bool has_data = code != KRS_RPC_PARSE_ERROR && code != KRS_RPC_INVALID_REQUEST;
    krs_emit e = krs_emit_to(&session->out, session->encoding);
    const size_t start = krs_rpc_open(&e, 3);
    krs_emit_key(&e, "id");
    krs_emit_tree(&e, id);
    krs_emit_key(&e, "error");
    krs_emit_map(&e, 2u + has_data);
    krs_emit_pair_int(&e, "code", code);
    krs_emit_pair_str(&e, "message", krs_rpc_fault_text(fault));
    if (has_data) {
        put_data(&e, fault);
    }
    krs_emit_end(&e, '}');
    close_message(session, &e, start);
}

void krs_rpc_notify_begin(krs_rpc_session *session, const char *method, uint32_t n_params,
                          krs_emit *e, size_t *start)
{
    *e = krs_emit_to(&session->out, session->encoding);
    *start = krs_rpc_open(e, 3);
    krs_emit_pair_str(e, "method", krs_str_of(method));
    krs_emit_key(e, "params");
    krs_emit_map(e, n_params);
}

void krs_rpc_notify_end(krs_rpc_session *session, krs_emit *e, size_t start)
{
    krs_emit_end(e, '}');
    close_message(session, e, start);
}

krs_status krs_rpc_blame(krs_rpc_fault *fault, int code, const char *context, krs_str model)
{
    (void)snprintf(fault->model_id, sizeof(fault->model_id), "%.*s", KRS_STR_ARGS(model));
    krs_rpc_hide_paths(fault->error.message);
    fault->code = code;
    return krs_error_wrap(&fault->error, fault->error.status, "%s %.60s", context, fault->model_id);
}

static bool is_boundary(char c)
{
    return c == ' ' || c == '"' || c == '\'' || c == '(' || c == '`' || c == '=' || c == ',';
}

void krs_rpc_hide_paths(char *message)
{
    char *to = message;
    for (const char *from = message; *from;) {
        const bool is_start = from == message || is_boundary(from[-1]);
        if (is_start && from[0] == '/' && from[1] && !is_boundary(from[1])) {
            const size_t n = strcspn(from, " \"'`),:;");
            const char *last = from + n;
            while (last > from && last[-1] != '/') {
                last--;
            }
            const size_t n_kept = (size_t)(from + n - last);
            memmove(to, last, n_kept);
            to += n_kept;
            from += n;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

json_t *krs_rpc_string(krs_str bytes)
{
    json_t *text = json_stringn(bytes.ptr ? bytes.ptr : "", bytes.len);
    if (text || bytes.len == 0) {
        return text;
    }
    /* A piece of a token may be part of a character only. */
    krs_buf quoted;
    krs_buf_init(&quoted, NULL, 6 * bytes.len + 3);
    const krs_json_limits limits = {6 * bytes.len + 3, false};
    if (krs_json_write_string(bytes, &quoted) == KRS_OK &&
        krs_json_parse(krs_buf_view(&quoted), &limits, &text, NULL) != KRS_OK) {
        text = NULL;
    }
    krs_buf_deinit(&quoted);
    return text;
}
