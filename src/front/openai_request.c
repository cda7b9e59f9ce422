/* front/openai_request.c - a chat or completions body to a call: one krs_request for each choice of each
 * prompt. */
#include "front/guidance_fields.h"
#include "front/openai_priv.h"

#include <stdio.h>

static const krs_refusal unsupported[] = {
    {"functions", KRS_REFUSE_SET, NULL},
    {"function_call", KRS_REFUSE_SET, NULL},
    {"audio", KRS_REFUSE_SET, NULL},
    {"web_search_options", KRS_REFUSE_SET, NULL},
    {"suffix", KRS_REFUSE_SET, NULL},
    {"echo", KRS_REFUSE_SET, NULL},
    {"best_of", KRS_REFUSE_OTHER, "1"},
    {"verbosity", KRS_REFUSE_OTHER, "medium"},
    {"prompt_logprobs", KRS_REFUSE_SET, NULL},
    {"use_beam_search", KRS_REFUSE_SET, NULL},
    {"bad_words", KRS_REFUSE_SET, NULL},
    {"continue_final_message", KRS_REFUSE_SET, NULL},
    {"truncate_prompt_tokens", KRS_REFUSE_SET, NULL},
    {"skip_special_tokens", KRS_REFUSE_OTHER, "true"},
    {"detokenize", KRS_REFUSE_OTHER, "true"},
    {"length_penalty", KRS_REFUSE_OTHER, "1"},
    {"early_stopping", KRS_REFUSE_SET, NULL},
    {"chat_template", KRS_REFUSE_SET, NULL},
    {"documents", KRS_REFUSE_SET, NULL},
};

/* A template writes its own special tokens, a raw prompt gets those of the tokenizer. */
static const krs_refusal chat_special = {"add_special_tokens", KRS_REFUSE_OTHER, "false"};
static const krs_refusal prompt_special = {"add_special_tokens", KRS_REFUSE_OTHER, "true"};

/* Known and without effect: they ask for nothing that changes an answer. */
static const char *const without_effect[] = {"service_tier", "safety_identifier",
                                             "prompt_cache_key", "prompt_cache_retention"};

static bool is_chat(const krs_call_reader *reader)
{
    return reader->call->call.kind == KRS_CALL_CHAT;
}

static krs_openai_call *call_of(const krs_call_reader *reader)
{
    return (krs_openai_call *)(void *)reader->call;
}

/* The n-th seed of a call: choice 0 has the client's own, so n = 1 and n = 4 agree on the first. */
static uint64_t seed_of(uint64_t seed, uint32_t choice)
{
    return seed + choice;
}

/* modalities: only ["text"]. */
static krs_status check_modalities(const krs_call_reader *reader)
{
    json_t *list = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "modalities", JSON_ARRAY, &list, reader->err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || strcmp(name, "text") != 0) {
            status = krs_call_refuse(reader->err, "modalities", "only [\"text\"] is supported");
        }
    }
    return status;
}

/* store: nothing is stored here; asking for it is accepted, and listed as ignored. */
static krs_status check_stored(const krs_call_reader *reader)
{
    bool is_stored = false;
    json_t *metadata;
    krs_status status = krs_json_get_bool(reader->body, "store", &is_stored, reader->err);
    if (status == KRS_OK && is_stored) {
        krs_call_note_ignored(&reader->call->call, "store");
    }
    if (status == KRS_OK) {
        status = krs_call_read_metadata(reader, &metadata);
    }
    for (size_t i = 0; status == KRS_OK && i < sizeof(without_effect) / sizeof(without_effect[0]);
         i++) {
        status = krs_call_check_string(reader, without_effect[i]);
    }
    return status;
}

static krs_status read_stream(const krs_call_reader *reader)
{
    krs_openai_call *call = call_of(reader);
    json_t *options = NULL;
    krs_status status =
        krs_json_get_bool(reader->body, "stream", &call->head.call.is_stream, reader->err);
    if (status == KRS_OK) {
        status =
            krs_json_get_tree(reader->body, "stream_options", JSON_OBJECT, &options, reader->err);
    }
    if (status != KRS_OK || !options) {
        return status;
    }
    if (!call->head.call.is_stream) {
        return krs_call_refuse(reader->err, "stream_options", "only allowed with stream: true");
    }
    if (krs_json_get_bool(options, "include_usage", &call->has_usage_chunk, NULL) != KRS_OK) {
        return krs_call_refuse(reader->err, "stream_options.include_usage", "want true or false");
    }
    return KRS_OK;
}

/* How many answers, to how many prompts? */
static krs_status read_counts(krs_call_reader *reader)
{
    krs_openai_call *call = call_of(reader);
    call->n = 1;
    call->n_prompts = 1;
    krs_status status = krs_call_read_u32(reader, "n", 1, KRS_MAX_CHOICES, &call->n);
    if (status == KRS_OK && !is_chat(reader)) {
        status = krs_call_count_prompts(reader, "prompt", KRS_MAX_CHOICES, &call->n_prompts);
    }
    if (status == KRS_OK && call->n * call->n_prompts > KRS_MAX_CHOICES) {
        status = krs_call_refuse(reader->err, "n", "%u prompts with %u answers each, limit %d",
                                 call->n_prompts, call->n, KRS_MAX_CHOICES);
    }
    return status == KRS_OK ? krs_call_reserve(reader, (size_t)call->n * call->n_prompts) : status;
}

/* chat: logprobs is a flag and top_logprobs the count; completions: logprobs is the count. */
static krs_status read_logprobs(const krs_call_reader *reader, krs_sampling *sampling)
{
    int64_t n_top = -1;
    if (!is_chat(reader)) {
        const krs_status status = krs_json_get_int(reader->body, "logprobs", 0,
                                                   KRS_MAX_TOP_LOGPROBS, &n_top, reader->err);
        sampling->n_logprobs = (int32_t)n_top;
        return status;
    }
    bool is_asked = false;
    krs_status status = krs_json_get_bool(reader->body, "logprobs", &is_asked, reader->err);
    if (status == KRS_OK) {
        status = krs_json_get_int(reader->body, "top_logprobs", 0, KRS_MAX_TOP_LOGPROBS, &n_top,
                                  reader->err);
    }
    if (status == KRS_OK && n_top > 0 && !is_asked) {
        return krs_call_refuse(reader->err, "top_logprobs", "needs logprobs to be true");
    }
    sampling->n_logprobs = is_asked ? (int32_t)(n_top < 0 ? 0 : n_top) : -1;
    return status;
}

static krs_status read_max_tokens(const krs_call_reader *reader, krs_stopping *stopping)
{
    stopping->max_tokens = is_chat(reader) ? 0 : KRS_OPENAI_DEFAULT_TOKENS;
    const krs_status status =
        krs_call_read_u32(reader, "max_tokens", 1, KRS_MAX_NEW_TOKENS, &stopping->max_tokens);
    if (status != KRS_OK || !is_chat(reader)) {
        return status;
    }
    return krs_call_read_u32(reader, "max_completion_tokens", 1, KRS_MAX_NEW_TOKENS,
                             &stopping->max_tokens);
}

/* The chat of choice i, and what its tools bind: read once, the other choices get copies (a tree has one
 * owner). */
static krs_status give_chat(const krs_call_reader *reader, krs_request *request, uint32_t i)
{
    krs_status status = KRS_OK;
    request->prompt.kind = KRS_PROMPT_CHAT;
    if (i == 0) {
        status = krs_openai_read_template(reader, &request->prompt.chat);
    } else {
        request->prompt.chat = json_deep_copy(reader->call->call.requests[0]->prompt.chat);
        status = request->prompt.chat ? KRS_OK
                                      : krs_fail(reader->err, KRS_ENOMEM, "messages: no memory");
    }
    return status == KRS_OK ? krs_tools_constrain(&reader->call->tools, request, reader->err)
                            : status;
}

static krs_status read_guidance(const krs_call_reader *reader, krs_request *request)
{
    json_t *format = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "response_format", JSON_OBJECT, &format, reader->err);
    if (status == KRS_OK) {
        status = krs_guidance_read_format(format, "response_format", "json_schema", request,
                                          reader->err);
    }
    return status == KRS_OK ? krs_guidance_read_extensions(reader->body, request, reader->err)
                            : status;
}

static krs_status build_request(krs_call_reader *reader, uint32_t i)
{
    const uint32_t n = call_of(reader)->n;
    krs_request *request = NULL;
    krs_status status = krs_call_new_request(reader, i, KRS_TASK_GENERATE, &request);
    if (status == KRS_OK) {
        status = krs_call_read_sampling(reader, KRS_MAX_TEMPERATURE, request);
    }
    if (status == KRS_OK) {
        status = read_logprobs(reader, &request->sampling);
    }
    if (status == KRS_OK) {
        status = read_max_tokens(reader, &request->stopping);
    }
    if (status == KRS_OK) {
        status = krs_call_read_stops(reader, "stop", request);
    }
    if (status == KRS_OK) {
        status = read_guidance(reader, request);
    }
    if (status == KRS_OK) {
        status = is_chat(reader) ? give_chat(reader, request, i)
                                 : krs_call_read_prompt(reader, "prompt", i / n, request);
    }
    if (status == KRS_OK) {
        request->sampling.seed = seed_of(request->sampling.seed, i % n);
        status = krs_request_check(request, reader->err);
    }
    return status;
}

/* What is not supported, and what has no effect. */
static krs_status check_rest(const krs_call_reader *reader)
{
    const krs_refusal *special = is_chat(reader) ? &chat_special : &prompt_special;
    krs_status status = krs_call_refuse_unsupported(reader, unsupported,
                                                    sizeof(unsupported) / sizeof(unsupported[0]));
    if (status == KRS_OK) {
        status = krs_call_refuse_unsupported(reader, special, 1);
    }
    if (status == KRS_OK) {
        status = check_modalities(reader);
    }
    return status == KRS_OK ? check_stored(reader) : status;
}

static krs_status read_call(krs_call_reader *reader)
{
    krs_call *call = &reader->call->call;
    krs_status status = check_rest(reader);
    if (status == KRS_OK) {
        status = read_stream(reader);
    }
    if (status == KRS_OK) {
        status = read_counts(reader);
    }
    for (uint32_t i = 0; status == KRS_OK && i < call->n_requests; i++) {
        status = build_request(reader, i);
    }
    if (status == KRS_OK) {
        call->has_tokens = call->requests[0]->sampling.n_logprobs >= 0;
        call_of(reader)->has_logprobs = call->has_tokens;
    }
    return status;
}

static void name_call(const krs_call_reader *reader, const char *prefix)
{
    (void)snprintf(reader->call->id, sizeof(reader->call->id), "%s-%016llx", prefix,
                   (unsigned long long)reader->context->random);
}

krs_status krs_openai_read_completion(krs_call_reader *reader)
{
    name_call(reader, "cmpl");
    return read_call(reader);
}

krs_status krs_openai_read_chat(krs_call_reader *reader)
{
    name_call(reader, "chatcmpl");
    return read_call(reader);
}
