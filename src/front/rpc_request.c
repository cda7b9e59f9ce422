/* front/rpc_request.c - parameters, checked against the method table, to a request of the runtime. */
#include "front/guidance_fields.h"
#include "front/openai_priv.h"
#include "front/rpc_priv.h"

#include "os/clock.h"
#include "os/random.h"

#define GUIDANCE_ERROR   (-32004)
#define GENERATION_ERROR (-32002)

krs_status krs_rpc_model_of(const krs_rpc_session *session, krs_str model_id, krs_model_info *out,
                            krs_rpc_fault *fault)
{
    char id[KRS_MODEL_ID_BYTES] = "";
    krs_status status = KRS_ENOTLOADED; /* no model has a name that long */
    if (model_id.len < sizeof(id)) {
        memcpy(id, model_id.ptr, model_id.len);
        status = krs_service_model(session->desk->options.service, id, out, &fault->error);
    }
    if (status == KRS_ENOTLOADED) {
        fault->error = (krs_error)KRS_ERROR_INIT;
        (void)krs_fail_field(&fault->error, status, "model_id", "Model not loaded: %.*s",
                             KRS_STR_ARGS(model_id));
        const size_t n =
            model_id.len < sizeof(fault->model_id) ? model_id.len : sizeof(fault->model_id) - 1;
        memcpy(fault->model_id, model_id.ptr, n);
        fault->model_id[n] = '\0';
    }
    return status;
}

krs_status krs_rpc_request_for(const krs_rpc_ask *ask, krs_str model_id, krs_model_info *info,
                               krs_request **out, krs_rpc_fault *fault)
{
    *out = NULL;
    krs_status status = krs_rpc_model_of(ask->session, model_id, info, fault);
    if (status == KRS_OK) {
        status = krs_request_new(ask->session->desk->options.alloc, out);
    }
    if (status == KRS_OK) {
        memcpy((*out)->model, model_id.ptr, model_id.len); /* it is zeroed, and the name fits */
    }
    return status;
}

static krs_status no_memory(krs_rpc_fault *fault)
{
    return krs_fail(&fault->error, KRS_ENOMEM, "no memory for the request");
}

static krs_status copy_ids(krs_request *request, const json_t *list, uint32_t limit,
                           const uint32_t **out, size_t *n, krs_rpc_fault *fault)
{
    const size_t n_all = json_array_size(list);
    uint32_t *ids = krs_arena_array(&request->arena, n_all ? n_all : 1, sizeof(*ids));
    if (!ids) {
        return no_memory(fault);
    }
    *n = 0;
    for (size_t i = 0; i < n_all; i++) {
        const json_t *value = json_array_get(list, i);
        const double id = json_is_true(value) ? 1 : json_number_value(value);
        if (id < limit) {
            ids[(*n)++] = (uint32_t)id;
        }
    }
    *out = ids;
    return KRS_OK;
}

krs_status krs_rpc_request_tokens(krs_request *request, const json_t *ids, krs_rpc_fault *fault)
{
    request->prompt.kind = KRS_PROMPT_TOKENS;
    return copy_ids(request, ids, UINT32_MAX, &request->prompt.tokens, &request->prompt.n_tokens,
                    fault);
}

static void read_sampling(const krs_rpc_ask *ask, krs_sampling *s)
{
    const krs_method m = ask->method;
    const json_t *params = ask->params;
    s->temperature = krs_method_number(m, params, "temperature");
    s->top_p = krs_method_number(m, params, "top_p");
    s->min_p = krs_method_number(m, params, "min_p");
    s->top_k = (int32_t)krs_method_int(m, params, "top_k");
    s->presence_penalty = krs_method_number(m, params, "presence_penalty");
    s->frequency_penalty = krs_method_number(m, params, "frequency_penalty");
    s->repetition_penalty = krs_method_number(m, params, "repetition_penalty");
    s->repetition_penalty = s->repetition_penalty > 0 ? s->repetition_penalty : 1;
    s->seed = krs_method_has(params, "seed") ? (uint64_t)krs_method_int(m, params, "seed")
                                             : krs_os_random_u64();
    s->n_logprobs = krs_method_bool(m, params, "logprobs")
                        ? (int32_t)krs_method_int(m, params, "top_logprobs")
                        : -1;
}

static krs_status read_stops(krs_request *request, const json_t *list, krs_rpc_fault *fault)
{
    const size_t n = json_array_size(list);
    krs_str *stops = krs_arena_array(&request->arena, n ? n : 1, sizeof(*stops));
    if (!stops) {
        return no_memory(fault);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(list, i);
        stops[i] = krs_arena_copy(&request->arena,
                                  (krs_str){json_string_value(text), json_string_length(text)});
        if (!stops[i].ptr) {
            return no_memory(fault);
        }
    }
    request->stopping.stops = stops;
    request->stopping.n_stops = (uint32_t)n;
    return KRS_OK;
}

static krs_status read_stopping(const krs_rpc_ask *ask, const krs_model_info *info,
                                krs_request *request, krs_rpc_fault *fault)
{
    krs_stopping *stopping = &request->stopping;
    stopping->max_tokens = (uint32_t)krs_method_int(ask->method, ask->params, "max_tokens");
    stopping->min_tokens = (uint32_t)krs_method_int(ask->method, ask->params, "min_tokens");
    stopping->is_eos_ignored = krs_method_bool(ask->method, ask->params, "ignore_eos");
    krs_status status = read_stops(request, json_object_get(ask->params, "stop_sequences"), fault);
    size_t n = 0;
    if (status == KRS_OK) {
        /* The contract lets ids pass that the model does not have: they never come, so they stop nothing. */
        status = copy_ids(request, json_object_get(ask->params, "stop_token_ids"), info->vocab,
                          &stopping->stop_ids, &n, fault);
    }
    stopping->n_stop_ids = (uint32_t)n;
    return status;
}

static void read_pace(const krs_rpc_ask *ask, krs_request *request)
{
    const krs_str priority = krs_method_text(ask->method, ask->params, "priority");
    request->priority = krs_str_equal(priority, KRS_STR("urgent"))       ? KRS_PRIORITY_URGENT
                        : krs_str_equal(priority, KRS_STR("background")) ? KRS_PRIORITY_BACKGROUND
                                                                         : KRS_PRIORITY_NORMAL;
    if (krs_method_has(ask->params, "timeout_ms")) {
        const int64_t ms = krs_method_int(ask->method, ask->params, "timeout_ms");
        request->deadline_ns = ask->now_ns + (uint64_t)ms * KRS_NS_PER_MS;
    }
}

/* A named draft is a wish that the answer does not depend on, so one that is not there is no error. */
static void read_speculation(const krs_rpc_ask *ask, const krs_model_info *info,
                             krs_speculation *out)
{
    const krs_str mode = krs_method_text(ask->method, ask->params, "speculation");
    for (uint32_t i = 0; i < KRS_SPECULATION_COUNT; i++) {
        if (krs_str_equal(mode, krs_str_of(krs_speculation_name((krs_speculation_mode)i)))) {
            out->mode = (krs_speculation_mode)i;
        }
    }
    if (out->mode == KRS_SPECULATION_MODEL && info->has_draft &&
        krs_method_text(ask->method, ask->params, "draft_model").len > 0) {
        out->mode = KRS_SPECULATION_DRAFT;
    }
    out->max_tokens = (uint32_t)krs_method_int(ask->method, ask->params, "speculation_tokens");
}

static krs_status chat_prompt(krs_request *request, const json_t *messages, krs_rpc_fault *fault)
{
    /* Deep copies: the tree moves to another thread, and references are not counted across threads. */
    request->prompt.kind = KRS_PROMPT_CHAT;
    request->prompt.chat = json_pack("{s:o?}", "messages", json_deep_copy(messages));
    return json_is_array(json_object_get(request->prompt.chat, "messages")) ? KRS_OK
                                                                            : no_memory(fault);
}

/* The contract's runtime gives a plain prompt to these models as a user's message. */
static bool is_wrapped(krs_str model_id)
{
    return krs_str_find(model_id, KRS_STR("gemma-2"), 0) != SIZE_MAX ||
           krs_str_find(model_id, KRS_STR("gemma2"), 0) != SIZE_MAX;
}

static krs_status text_prompt(const krs_rpc_ask *ask, const krs_model_info *info,
                              krs_request *request, krs_rpc_fault *fault)
{
    if (!krs_method_has(ask->params, "prompt")) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "prompt",
                              "Invalid params: prompt: required parameter is missing");
    }
    const krs_str text = krs_method_text(ask->method, ask->params, "prompt");
    if (is_wrapped(krs_method_text(ask->method, ask->params, "model_id")) &&
        info->has_chat_template) {
        json_t *messages = json_pack("[{s:s,s:s%}]", "role", "user", "content", text.ptr, text.len);
        const krs_status status = chat_prompt(request, messages, fault);
        json_decref(messages);
        return status;
    }
    request->prompt.kind = KRS_PROMPT_TEXT;
    request->prompt.text = krs_arena_copy(&request->arena, text);
    return request->prompt.text.ptr ? KRS_OK : no_memory(fault);
}

static krs_status read_prompt(const krs_rpc_ask *ask, const krs_model_info *info,
                              krs_request *request, krs_rpc_fault *fault)
{
    if (ask->method == KRS_METHOD_CHAT) {
        const krs_status status =
            chat_prompt(request, json_object_get(ask->params, "messages"), fault);
        return status == KRS_OK
                   ? krs_openai_fix_calls(json_object_get(request->prompt.chat, "messages"),
                                          &fault->error)
                   : status;
    }
    const json_t *ids = json_object_get(ask->params, "prompt_tokens");
    return json_array_size(ids) > 0 ? krs_rpc_request_tokens(request, ids, fault)
                                    : text_prompt(ask, info, request, fault);
}

/* What can be refused once the model is known. */
static krs_status check_wishes(const krs_rpc_ask *ask, krs_str model_id, const krs_model_info *info,
                               krs_rpc_fault *fault)
{
    const krs_str dtype = krs_method_text(ask->method, ask->params, "required_dtype");
    if (dtype.len > 0 && !krs_str_equal(dtype, krs_str_of(info->dtype))) {
        (void)krs_fail_field(&fault->error, KRS_EINVAL, "required_dtype",
                             "required_dtype: %.*s, the model has %s", KRS_STR_ARGS(dtype),
                             info->dtype);
        return krs_rpc_blame(fault, GENERATION_ERROR, "Generation failed for", model_id);
    }
    return KRS_OK;
}

/* {"mode": "json_schema", "schema": {..}, "temperature"?: t}. The contract's "xml" has no schema that could be
 * followed: its reference client sends an object where a text is needed. */
static krs_status set_guidance(const json_t *guidance, krs_request *request, krs_error *err)
{
    const char *mode = json_string_value(json_object_get(guidance, "mode"));
    if (mode && strcmp(mode, "xml") == 0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "guidance.mode",
                              "guidance.mode: xml is not supported, there is no schema language "
                              "for it; want json_schema");
    }
    if (!mode || strcmp(mode, "json_schema") != 0) {
        return krs_fail_field(err, KRS_EINVAL, "guidance.mode",
                              "guidance.mode: \"%.40s\", want json_schema", mode ? mode : "");
    }
    const krs_status status = krs_json_get_double(guidance, "temperature", 0, KRS_MAX_TEMPERATURE,
                                                  &request->sampling.temperature, err);
    return status == KRS_OK ? krs_guidance_set_schema(json_object_get(guidance, "schema"),
                                                      "guidance.schema", request, err)
                            : status;
}

static krs_status read_guidance(const krs_rpc_ask *ask, krs_str model_id, krs_request *request,
                                krs_rpc_fault *fault)
{
    if (!krs_method_has(ask->params, "guidance")) {
        return KRS_OK;
    }
    const krs_status status =
        set_guidance(json_object_get(ask->params, "guidance"), request, &fault->error);
    return status == KRS_OK ? status
                            : krs_rpc_blame(fault, GUIDANCE_ERROR, "Guidance error for", model_id);
}

krs_status krs_rpc_request_new(const krs_rpc_ask *ask, krs_request **out, krs_rpc_talk **talk,
                               krs_rpc_fault *fault)
{
    krs_model_info info;
    krs_request *request = NULL;
    const krs_str model_id = krs_method_text(ask->method, ask->params, "model_id");
    *out = NULL;
    *talk = NULL;
    krs_status status = krs_rpc_request_for(ask, model_id, &info, &request, fault);
    if (status == KRS_OK) {
        status = check_wishes(ask, model_id, &info, fault);
    }
    if (status == KRS_OK) {
        read_sampling(ask, &request->sampling);
        status = read_stopping(ask, &info, request, fault);
    }
    if (status == KRS_OK) {
        status = read_prompt(ask, &info, request, fault);
    }
    if (status == KRS_OK) {
        status = read_guidance(ask, model_id, request, fault);
    }
    if (status == KRS_OK && ask->method == KRS_METHOD_CHAT) {
        status = krs_rpc_talk_new(ask, &info, request, talk, fault);
    }
    if (status != KRS_OK) {
        krs_request_free(request);
        return status;
    }
    read_pace(ask, request);
    read_speculation(ask, &info, &request->speculation);
    *out = request;
    return KRS_OK;
}
