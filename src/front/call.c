/* front/call.c - the table of APIs, and what all of them do alike.
 *
 * Reading: bound the body, parse it, find the model, note unknown fields; the row does the rest.
 * Answering: an event goes to the row unless it is a failure. A failure before the first byte leaves the
 * answer FAILED, so that the caller can still answer with a real HTTP status; after it, the error goes
 * into the stream, where clients look for it. */
#include "front/call_priv.h"

#include <stdio.h>

#define CHOICE_SHIFT 32 /* numbers of calls of one choice stay below those of the next */

static const krs_call_row *const rows[KRS_CALL_KIND_COUNT] = {
    [KRS_CALL_CHAT] = &krs_call_row_chat,
    [KRS_CALL_COMPLETION] = &krs_call_row_completion,
    [KRS_CALL_EMBEDDINGS] = &krs_call_row_embeddings,
    [KRS_CALL_RESPONSES] = &krs_call_row_responses,
    [KRS_CALL_MESSAGES] = &krs_call_row_messages,
    [KRS_CALL_COUNT_TOKENS] = &krs_call_row_count_tokens,
    [KRS_CALL_TOKENIZE] = &krs_call_row_tokenize,
    [KRS_CALL_DETOKENIZE] = &krs_call_row_detokenize,
};

const krs_call_row *krs_call_row_of(krs_call_kind kind)
{
    return (unsigned)kind < KRS_CALL_KIND_COUNT ? rows[kind] : NULL;
}

static krs_status fail_model(const krs_call_reader *reader, krs_str name)
{
    return krs_fail_field(reader->err, KRS_ENOTLOADED, "model",
                          "model: \"%.*s\" does not exist here; GET /v1/models lists what does",
                          KRS_STR_ARGS(name));
}

static krs_status find_model(krs_call_reader *reader, const krs_call_row *row)
{
    const krs_call_context *context = reader->context;
    krs_str name = {NULL, 0};
    const krs_status status =
        krs_json_get_str(reader->body, "model", KRS_MODEL_ID_BYTES - 1, &name, reader->err);
    if (status != KRS_OK) {
        return status;
    }
    if (!name.ptr && row->is_model_default && context->n_models == 1) {
        reader->model = &context->models[0];
        return KRS_OK;
    }
    if (!name.ptr) {
        return krs_call_refuse(reader->err, "model", "missing, want a string");
    }
    for (uint32_t i = 0; i < context->n_models; i++) {
        if (krs_str_equal(name, krs_str_of(context->models[i].id))) {
            reader->model = &context->models[i];
            return KRS_OK;
        }
    }
    return fail_model(reader, name);
}

static krs_status read_call(krs_call_reader *reader, const krs_call_row *row)
{
    krs_call_head *head = reader->call;
    if (!json_is_object(reader->body)) {
        return krs_fail(reader->err, KRS_EINVAL, "The body must be a JSON object.");
    }
    const krs_status status = find_model(reader, row);
    if (status != KRS_OK) {
        return status;
    }
    (void)snprintf(head->model, sizeof(head->model), "%s", reader->model->id);
    (void)snprintf(head->correlation_id, sizeof(head->correlation_id), "%s",
                   reader->context->correlation_id);
    head->created_unix_s = reader->context->now_unix_s;
    head->random = reader->context->random;
    krs_tools_init(&head->tools, reader->model, head->alloc);
    krs_call_note_unknown(row, reader->body, &head->call);
    return row->read(reader);
}

static krs_status parse_body(const krs_call_context *context, const krs_call_row *row, krs_str body,
                             json_t **tree, krs_error *err)
{
    const size_t n_values = krs_json_count_values(body);
    if (n_values > row->max_values) {
        return krs_fail(err, KRS_ETOOLARGE, "body: %zu JSON values, limit %zu", n_values,
                        row->max_values);
    }
    const krs_json_limits limits = {context->max_body_bytes, false};
    const krs_status status = krs_json_parse(body, &limits, tree, err);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "body");
}

krs_status krs_call_parse(const krs_call_context *context, krs_call_kind kind, krs_str body,
                          krs_call **out, krs_error *err)
{
    *out = NULL;
    const krs_call_row *row = krs_call_row_of(kind);
    if (!row) {
        return krs_fail(err, KRS_EUNSUPPORTED, "This call is not supported by this server.");
    }
    json_t *tree = NULL;
    krs_status status = parse_body(context, row, body, &tree, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_call_head *head = krs_alloc_zero(context->alloc, row->call_bytes);
    if (!head) {
        json_decref(tree);
        return krs_fail(err, KRS_ENOMEM, "no memory for the call");
    }
    head->call.kind = kind;
    head->alloc = context->alloc;
    krs_call_reader reader = {.context = context, .body = tree, .call = head, .err = err};
    status = read_call(&reader, row);
    json_decref(tree);
    if (status != KRS_OK) {
        krs_call_free(&head->call);
        return status;
    }
    *out = &head->call;
    return KRS_OK;
}

void krs_call_free(krs_call *call)
{
    if (!call) {
        return;
    }
    krs_call_head *head = (krs_call_head *)(void *)call;
    const krs_call_row *row = krs_call_row_of(call->kind);
    for (uint32_t i = 0; i < call->n_requests; i++) {
        krs_request_free(call->requests[i]);
    }
    if (row->call_deinit) {
        row->call_deinit(head);
    }
    krs_tools_deinit(&head->tools);
    krs_alloc_free(head->alloc, call->requests);
    krs_alloc_free(head->alloc, head);
}

krs_status krs_answer_new(krs_call *call, krs_answer **out)
{
    *out = NULL;
    krs_call_head *head = (krs_call_head *)(void *)call;
    const krs_call_row *row = krs_call_row_of(call->kind);
    krs_answer *answer = krs_alloc_zero(head->alloc, row->answer_bytes);
    bool *has_ended = krs_alloc_array(head->alloc, call->n_requests, sizeof(*has_ended));
    if (!answer || !has_ended) {
        krs_alloc_free(head->alloc, answer);
        krs_alloc_free(head->alloc, has_ended);
        return KRS_ENOMEM;
    }
    answer->call = head;
    answer->has_ended = has_ended;
    const krs_status status = row->answer_init ? row->answer_init(answer) : KRS_OK;
    if (status != KRS_OK) {
        if (row->answer_deinit) {
            row->answer_deinit(answer);
        }
        krs_alloc_free(head->alloc, has_ended);
        krs_alloc_free(head->alloc, answer);
        return status;
    }
    *out = answer;
    return KRS_OK;
}

void krs_answer_free(krs_answer *answer)
{
    if (!answer) {
        return;
    }
    const krs_alloc *alloc = answer->call->alloc;
    const krs_call_row *row = krs_call_row_of(answer->call->call.kind);
    if (row->answer_deinit) {
        row->answer_deinit(answer);
    }
    krs_call_free(&answer->call->call);
    krs_alloc_free(alloc, answer->has_ended);
    krs_alloc_free(alloc, answer);
}

static bool is_failure(const krs_stream_event *event)
{
    return event->is_end && event->finish != KRS_FINISH_STOP && event->finish != KRS_FINISH_LENGTH;
}

static void name_failure(const krs_stream_event *event, krs_error *err)
{
    if (event->finish == KRS_FINISH_DEADLINE) {
        (void)krs_fail_field(err, KRS_EDEADLINE, "timeout_ms",
                             "The deadline passed before the answer was complete.");
    } else if (event->finish == KRS_FINISH_CANCELLED) {
        (void)krs_fail(err, KRS_EUNAVAILABLE, "The answer was cancelled by the server.");
    } else if (event->error.status == KRS_OK) {
        (void)krs_fail(err, KRS_EINTERNAL, "The answer ended with an error that has no name.");
    } else {
        *err = event->error;
    }
}

/* What a request calls its prompt the API may call something else. */
static void rename_field(const krs_call_row *row, krs_error *err)
{
    const bool is_prompt = strcmp(err->field, "messages") == 0 ||
                           strcmp(err->field, "prompt") == 0 || strcmp(err->field, "input") == 0;
    if (row->prompt_field && is_prompt) {
        const krs_str message = krs_str_of(err->message);
        const size_t n =
            krs_str_starts_with(message, krs_str_of(err->field)) ? strlen(err->field) : 0;
        const krs_error old = *err;
        (void)krs_fail_field(err, old.status, row->prompt_field, "%s%s",
                             n > 0 ? row->prompt_field : "", old.message + n);
        err->retry_after_ms = old.retry_after_ms;
    }
}

/* A request failed, and with it the call. */
static void fail_answer(krs_answer *answer, const krs_call_row *row, const krs_stream_event *event,
                        krs_writer *w)
{
    name_failure(event, &answer->error);
    rename_field(row, &answer->error);
    if (!answer->has_written) {
        answer->state = KRS_ANSWER_FAILED;
        return;
    }
    row->fail(answer, w);
    answer->state = KRS_ANSWER_DONE;
}

krs_status krs_answer_add(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                          krs_buf *out)
{
    if (answer->state != KRS_ANSWER_RUNNING || answer->has_ended[i]) {
        return KRS_OK;
    }
    const krs_call_row *row = krs_call_row_of(answer->call->call.kind);
    krs_writer w = {out, KRS_OK};
    if (is_failure(event)) {
        fail_answer(answer, row, event, &w);
        return w.status;
    }
    answer->has_ended[i] = event->is_end;
    answer->n_ended += event->is_end;
    row->add(answer, i, event, &w);
    if (krs_answer_is_complete(answer) && answer->state == KRS_ANSWER_RUNNING) {
        answer->state = KRS_ANSWER_DONE;
    }
    return w.status;
}

bool krs_answer_is_complete(const krs_answer *answer)
{
    return answer->n_ended == answer->call->call.n_requests;
}

krs_status krs_answer_heartbeat(krs_answer *answer, krs_buf *out)
{
    if (!answer->call->call.is_stream || answer->state != KRS_ANSWER_RUNNING) {
        return KRS_OK;
    }
    krs_writer w = {out, KRS_OK};
    krs_call_row_of(answer->call->call.kind)->heartbeat(&w);
    answer->has_written = answer->has_written || w.status == KRS_OK;
    return w.status;
}

krs_turn_options krs_call_turn_options(const krs_call_head *head, uint32_t i, const char *id_prefix)
{
    return (krs_turn_options){
        .tools = &head->tools,
        .id_prefix = id_prefix,
        .salt = head->random + ((uint64_t)i << CHOICE_SHIFT),
        .is_kept = !head->call.is_stream,
        .alloc = head->alloc,
    };
}

krs_answer_state krs_answer_state_of(const krs_answer *answer)
{
    return answer->state;
}

const krs_error *krs_answer_error(const krs_answer *answer)
{
    return &answer->error;
}

const krs_call *krs_answer_call(const krs_answer *answer)
{
    return &answer->call->call;
}

krs_status krs_call_error_write(krs_call_kind kind, const krs_error *error,
                                const char *correlation_id, krs_buf *out)
{
    const krs_call_row *row = krs_call_row_of(kind);
    return (row ? row->error_write : krs_openai_error_write)(error, correlation_id, out);
}
