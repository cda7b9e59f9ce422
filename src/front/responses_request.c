/* front/responses_request.c - a body of the responses API to one request.
 *
 * Nothing is stored here, so what refers to something stored (previous_response_id, conversation,
 * prompt, background) is refused; `store: true` is accepted and answered with "store": false, and listed
 * among what was ignored. */
#include "front/guidance_fields.h"
#include "front/responses_priv.h"

#include <stdio.h>

static const krs_refusal unsupported[] = {
    {"previous_response_id", KRS_REFUSE_SET, NULL}, {"conversation", KRS_REFUSE_SET, NULL},
    {"background", KRS_REFUSE_SET, NULL},           {"prompt", KRS_REFUSE_SET, NULL},
    {"truncation", KRS_REFUSE_OTHER, "disabled"},
};

/* Known and without effect: they ask for nothing that changes an answer. */
static const char *const without_effect[] = {"service_tier", "safety_identifier",
                                             "prompt_cache_key", "prompt_cache_retention"};

static krs_responses_call *call_of(krs_call_head *head)
{
    return (krs_responses_call *)(void *)head;
}

void krs_responses_call_deinit(krs_call_head *head)
{
    json_decref(call_of(head)->instructions);
    json_decref(call_of(head)->metadata);
    json_decref(call_of(head)->format);
    json_decref(call_of(head)->user);
    json_decref(call_of(head)->tools);
    json_decref(call_of(head)->tool_choice);
}

static krs_status check_text(const krs_call_reader *reader)
{
    json_t *text = NULL;
    krs_str verbosity = KRS_STR("medium");
    krs_status status = krs_json_get_tree(reader->body, "text", JSON_OBJECT, &text, reader->err);
    if (status != KRS_OK || !text) {
        return status;
    }
    status = krs_json_get_str(text, "verbosity", 64, &verbosity, reader->err);
    if (status == KRS_OK && !krs_str_equal(verbosity, KRS_STR("medium"))) {
        status = krs_call_refuse(reader->err, "text.verbosity", "only medium is supported");
    }
    return status;
}

/* reasoning.effort is a variable of the template, as in chats. */
static krs_status read_reasoning(const krs_call_reader *reader, json_t *chat)
{
    json_t *reasoning = NULL;
    krs_str effort = {NULL, 0};
    krs_status status =
        krs_json_get_tree(reader->body, "reasoning", JSON_OBJECT, &reasoning, reader->err);
    if (status == KRS_OK && reasoning) {
        status = krs_json_get_str(reasoning, "effort", 32, &effort, reader->err);
    }
    if (status != KRS_OK || !effort.ptr) {
        return status;
    }
    return json_object_set_new(chat, "reasoning_effort", json_stringn(effort.ptr, effort.len)) == 0
               ? KRS_OK
               : krs_fail(reader->err, KRS_ENOMEM, "reasoning: no memory");
}

/* include: what is not there to be included is no loss, what cannot be included is refused. */
static krs_status read_include(const krs_call_reader *reader, bool *has_logprobs)
{
    json_t *list = NULL;
    krs_status status = krs_json_get_tree(reader->body, "include", JSON_ARRAY, &list, reader->err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && strcmp(name, "message.output_text.logprobs") == 0) {
            *has_logprobs = true;
        } else if (!name || strcmp(name, "reasoning.encrypted_content") != 0) {
            status = krs_call_refuse(reader->err, "include", "\"%.40s\" is not supported",
                                     name ? name : "");
        }
    }
    return status;
}

static krs_status read_logprobs(const krs_call_reader *reader, krs_sampling *sampling)
{
    int64_t n_top = 0;
    bool has_logprobs = false;
    krs_status status = krs_json_get_int(reader->body, "top_logprobs", 0, KRS_MAX_TOP_LOGPROBS,
                                         &n_top, reader->err);
    if (status == KRS_OK) {
        status = read_include(reader, &has_logprobs);
    }
    sampling->n_logprobs = has_logprobs || n_top > 0 ? (int32_t)n_top : -1;
    return status;
}

static krs_status check_stored(const krs_call_reader *reader)
{
    bool is_stored = false;
    krs_status status = krs_json_get_bool(reader->body, "store", &is_stored, reader->err);
    if (status == KRS_OK && is_stored) {
        krs_call_note_ignored(&reader->call->call, "store");
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(without_effect) / sizeof(without_effect[0]);
         i++) {
        status = krs_call_check_string(reader, without_effect[i]);
    }
    return status;
}

static krs_status check_rest(const krs_call_reader *reader)
{
    krs_status status = krs_call_refuse_unsupported(reader, unsupported,
                                                    sizeof(unsupported) / sizeof(unsupported[0]));
    if (status == KRS_OK) {
        status = check_text(reader);
    }
    return status == KRS_OK ? check_stored(reader) : status;
}

/* Remember what the response object repeats. The body's other values are freed with it. */
static krs_status keep_request(const krs_call_reader *reader, const krs_request *request)
{
    krs_responses_call *call = call_of(reader->call);
    json_t *metadata = NULL;
    const krs_status status = krs_call_read_metadata(reader, &metadata);
    call->metadata = json_incref(metadata);
    call->instructions = json_incref(json_object_get(reader->body, "instructions"));
    call->format = json_incref(json_object_get(json_object_get(reader->body, "text"), "format"));
    call->user = json_incref(json_object_get(reader->body, "user"));
    call->tools = json_incref(json_object_get(reader->body, "tools"));
    call->tool_choice = json_incref(json_object_get(reader->body, "tool_choice"));
    call->max_output_tokens = request->stopping.max_tokens;
    call->n_logprobs = request->sampling.n_logprobs;
    call->temperature = request->sampling.temperature;
    call->top_p = request->sampling.top_p;
    call->head.call.has_tokens = call->n_logprobs >= 0;
    return status;
}

/* The tools, for the template and for whoever constrains the answer. The chat is read already. */
static krs_status read_tools(const krs_call_reader *reader, krs_request *request)
{
    krs_tools *tools = &reader->call->tools;
    krs_status status = krs_tools_read(tools, reader->body, &krs_tools_form_responses, reader->err);
    if (status == KRS_OK) {
        status = krs_tools_read_choice(tools, reader->body, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_tools_show(tools, request->prompt.chat, reader->err);
    }
    return status == KRS_OK ? krs_tools_constrain(tools, request, reader->err) : status;
}

/* text.format, and the extensions of chat completions. */
static krs_status read_guidance(const krs_call_reader *reader, krs_request *request)
{
    json_t *format = NULL;
    krs_status status = krs_json_get_tree(json_object_get(reader->body, "text"), "format",
                                          JSON_OBJECT, &format, reader->err);
    if (status == KRS_OK) {
        status = krs_guidance_read_format(format, "text.format", NULL, request, reader->err);
    }
    return status == KRS_OK ? krs_guidance_read_extensions(reader->body, request, reader->err)
                            : status;
}

static krs_status fill_request(const krs_call_reader *reader, krs_request *request)
{
    krs_status status = krs_call_read_sampling(reader, KRS_MAX_TEMPERATURE, request);
    if (status == KRS_OK) {
        status = read_logprobs(reader, &request->sampling);
    }
    if (status == KRS_OK) {
        status = krs_call_read_u32(reader, "max_output_tokens", 1, KRS_MAX_NEW_TOKENS,
                                   &request->stopping.max_tokens);
    }
    if (status == KRS_OK) {
        status = krs_call_read_stops(reader, "stop", request);
    }
    if (status == KRS_OK) {
        status = read_guidance(reader, request);
    }
    if (status == KRS_OK) {
        status = krs_responses_read_input(reader, request);
    }
    if (status == KRS_OK) {
        status = read_reasoning(reader, request->prompt.chat);
    }
    if (status == KRS_OK) {
        status = read_tools(reader, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

krs_status krs_responses_read(krs_call_reader *reader)
{
    krs_request *request = NULL;
    krs_call *call = &reader->call->call;
    (void)snprintf(reader->call->id, sizeof(reader->call->id), "%016llx",
                   (unsigned long long)reader->context->random);
    krs_status status = check_rest(reader);
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "stream", &call->is_stream, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, 1);
    }
    if (status == KRS_OK) {
        status = krs_call_new_request(reader, 0, KRS_TASK_GENERATE, &request);
    }
    if (status == KRS_OK) {
        status = fill_request(reader, request);
    }
    return status == KRS_OK ? keep_request(reader, request) : status;
}
