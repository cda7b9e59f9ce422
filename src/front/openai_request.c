/* front/openai_request.c - a body to a call: one krs_request for each choice of each prompt. */
#include "front/openai_priv.h"

#include <stdio.h>

/* The n-th seed of a call: choice 0 has the client's own, so n = 1 and n = 4 agree on the first. */
static uint64_t seed_of(uint64_t seed, uint32_t choice)
{
    return seed + choice;
}

static krs_status find_model(krs_openai_reader *reader)
{
    krs_str name = {NULL, 0};
    const krs_status status =
        krs_json_get_str(reader->body, "model", KRS_MODEL_ID_BYTES - 1, &name, reader->err);
    if (status != KRS_OK) {
        return status;
    }
    if (!name.ptr) {
        (void)krs_openai_refuse(reader->err, "model", "missing, want a string");
        return KRS_EINVAL;
    }
    for (uint32_t i = 0; i < reader->context->n_models; i++) {
        if (krs_str_equal(name, krs_str_of(reader->context->models[i].id))) {
            reader->model = &reader->context->models[i];
            return KRS_OK;
        }
    }
    (void)krs_fail_field(reader->err, KRS_ENOTLOADED, "model",
                         "model: \"%.*s\" does not exist here; GET /v1/models lists what does",
                         KRS_STR_ARGS(name));
    return KRS_ENOTLOADED;
}

static krs_status read_stream(const krs_openai_reader *reader)
{
    krs_openai_call *call = reader->call;
    json_t *options = NULL;
    krs_status status = krs_json_get_bool(reader->body, "stream", &call->is_stream, reader->err);
    if (status == KRS_OK) {
        status =
            krs_json_get_tree(reader->body, "stream_options", JSON_OBJECT, &options, reader->err);
    }
    if (status != KRS_OK || !options) {
        return status;
    }
    if (!call->is_stream) {
        return krs_openai_refuse(reader->err, "stream_options", "only allowed with stream: true");
    }
    return krs_json_get_bool(options, "include_usage", &call->has_usage_chunk, reader->err);
}

/* How many answers, to how many prompts? */
static krs_status read_counts(krs_openai_reader *reader)
{
    int64_t n = 1;
    krs_status status = krs_json_get_int(reader->body, "n", 1, KRS_MAX_CHOICES, &n, reader->err);
    uint32_t n_prompts = 1;
    if (status == KRS_OK && reader->kind == KRS_OPENAI_COMPLETION) {
        status = krs_openai_count_prompts(reader, &n_prompts);
    }
    if (status == KRS_OK && (uint64_t)n * n_prompts > KRS_MAX_CHOICES) {
        status = krs_openai_refuse(reader->err, "n", "%u prompts with %d answers each, limit %d",
                                   n_prompts, (int)n, KRS_MAX_CHOICES);
    }
    reader->n = (uint32_t)n;
    reader->call->n_prompts = n_prompts;
    reader->call->n_choices = n_prompts * (uint32_t)n;
    return status;
}

static krs_status read_user(const krs_openai_reader *reader)
{
    krs_str user;
    return krs_json_get_str(reader->body, "user", KRS_OPENAI_MAX_USER_BYTES, &user, reader->err);
}

static void name_call(const krs_openai_reader *reader)
{
    krs_openai_call *call = reader->call;
    const bool is_chat = reader->kind == KRS_OPENAI_CHAT;
    (void)snprintf(call->id, sizeof(call->id), "%s-%016llx", is_chat ? "chatcmpl" : "cmpl",
                   (unsigned long long)reader->context->random);
    (void)snprintf(call->model, sizeof(call->model), "%s", reader->model->id);
    call->created_unix_s = reader->context->now_unix_s;
}

/* The chat of choice i: read once, the other choices get copies (a tree has one owner). */
static krs_status give_chat(const krs_openai_reader *reader, krs_request *request, uint32_t i)
{
    request->prompt.kind = KRS_PROMPT_CHAT;
    if (i == 0) {
        return krs_openai_read_chat(reader, &request->prompt.chat);
    }
    request->prompt.chat = json_deep_copy(reader->call->requests[0]->prompt.chat);
    return request->prompt.chat ? KRS_OK : krs_fail(reader->err, KRS_ENOMEM, "messages: no memory");
}

static krs_status fill_request(const krs_openai_reader *reader, krs_request *request, uint32_t i)
{
    (void)snprintf(request->model, sizeof(request->model), "%s", reader->model->id);
    (void)snprintf(request->correlation_id, sizeof(request->correlation_id), "%s",
                   reader->context->correlation_id);
    request->sampling = reader->model->sampling;
    krs_status status = krs_openai_read_params(reader, request);
    if (status == KRS_OK) {
        status = krs_openai_read_lists(reader, request);
    }
    if (status == KRS_OK) {
        status = reader->kind == KRS_OPENAI_CHAT
                     ? give_chat(reader, request, i)
                     : krs_openai_read_prompt(reader, i / reader->n, request);
    }
    request->sampling.seed = seed_of(request->sampling.seed, i % reader->n);
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

static krs_status build_requests(const krs_openai_reader *reader)
{
    krs_status status = KRS_OK;
    krs_openai_call *call = reader->call;
    for (uint32_t i = 0; status == KRS_OK && i < call->n_choices; i++) {
        status = krs_request_new(call->alloc, &call->requests[i]);
        if (status != KRS_OK) {
            return krs_fail(reader->err, status, "no memory for the request");
        }
        status = fill_request(reader, call->requests[i], i);
    }
    call->has_logprobs = status == KRS_OK && call->requests[0]->sampling.n_logprobs >= 0;
    return status;
}

static krs_status read_call(krs_openai_reader *reader)
{
    if (!json_is_object(reader->body)) {
        return krs_fail(reader->err, KRS_EINVAL, "The body must be a JSON object.");
    }
    krs_status status = find_model(reader);
    if (status == KRS_OK) {
        status = krs_openai_refuse_unsupported(reader);
    }
    if (status == KRS_OK) {
        status = read_user(reader);
    }
    if (status == KRS_OK) {
        status = read_stream(reader);
    }
    if (status == KRS_OK) {
        status = read_counts(reader);
    }
    if (status != KRS_OK) {
        return status;
    }
    name_call(reader);
    return build_requests(reader);
}

static krs_status parse_body(const krs_openai_context *context, krs_openai_kind kind, krs_str body,
                             json_t **tree, krs_error *err)
{
    const size_t n_values = krs_json_count_values(body);
    const size_t max_values =
        kind == KRS_OPENAI_CHAT ? KRS_OPENAI_MAX_CHAT_VALUES : KRS_OPENAI_MAX_VALUES;
    if (n_values > max_values) {
        return krs_fail(err, KRS_ETOOLARGE, "body: %zu JSON values, limit %zu", n_values,
                        max_values);
    }
    const krs_json_limits limits = {context->max_body_bytes, false};
    const krs_status status = krs_json_parse(body, &limits, tree, err);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "body");
}

krs_status krs_openai_parse(const krs_openai_context *context, krs_openai_kind kind, krs_str body,
                            krs_openai_call **out, krs_error *err)
{
    *out = NULL;
    json_t *tree = NULL;
    krs_status status = parse_body(context, kind, body, &tree, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_openai_call *call = krs_alloc_zero(context->alloc, sizeof(*call));
    if (!call) {
        json_decref(tree);
        return krs_fail(err, KRS_ENOMEM, "no memory for the call");
    }
    call->kind = kind;
    call->alloc = context->alloc;
    krs_openai_reader reader = {
        .context = context, .kind = kind, .body = tree, .call = call, .n = 1, .err = err};
    status = read_call(&reader);
    json_decref(tree);
    if (status != KRS_OK) {
        krs_openai_call_free(call);
        return status;
    }
    *out = call;
    return KRS_OK;
}

void krs_openai_call_free(krs_openai_call *call)
{
    if (call) {
        for (uint32_t i = 0; i < KRS_MAX_CHOICES; i++) {
            krs_request_free(call->requests[i]);
        }
        krs_alloc_free(call->alloc, call);
    }
}
