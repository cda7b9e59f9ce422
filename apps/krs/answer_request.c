/* apps/krs/answer_request.c - the options of `run` and `chat` as a request. */
#include "answer.h"
#include "base/utf8.h"
#include "os/file.h"

#include <stdio.h>

static krs_status copy_stops(const krs_config *config, krs_request *request)
{
    if (config->n_stops == 0) {
        return KRS_OK;
    }
    krs_str *stops = krs_arena_array(&request->arena, config->n_stops, sizeof(*stops));
    for (uint32_t i = 0; stops && i < config->n_stops; i++) {
        stops[i] = krs_arena_copy(&request->arena, krs_str_of(config->stops[i]));
        if (!stops[i].ptr) {
            return KRS_ENOMEM;
        }
    }
    request->stopping.stops = stops;
    request->stopping.n_stops = config->n_stops;
    return stops ? KRS_OK : KRS_ENOMEM;
}

static void copy_numbers(const krs_config *config, krs_request *request)
{
    krs_sampling *s = &request->sampling;
    s->temperature = krs_config_real(config, KRS_OPTION_TEMPERATURE);
    s->top_k = (int32_t)krs_config_int(config, KRS_OPTION_TOP_K);
    s->top_p = krs_config_real(config, KRS_OPTION_TOP_P);
    s->min_p = krs_config_real(config, KRS_OPTION_MIN_P);
    s->repetition_penalty = krs_config_real(config, KRS_OPTION_REPETITION_PENALTY);
    s->presence_penalty = krs_config_real(config, KRS_OPTION_PRESENCE_PENALTY);
    s->frequency_penalty = krs_config_real(config, KRS_OPTION_FREQUENCY_PENALTY);
    s->seed = (uint64_t)krs_config_int(config, KRS_OPTION_SEED);
    request->stopping.max_tokens = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_TOKENS);
}

/* One leaf of this text, which is copied. */
static krs_status guide(krs_request *request, krs_guidance_kind kind, krs_guide_kind leaf,
                        const char *field, krs_str text)
{
    request->guidance = (krs_guidance){
        .kind = kind, .root = {.kind = leaf}, .space = KRS_GUIDANCE_SPACE_SINGLE, .field = field};
    request->guidance.root.text = krs_arena_copy(&request->arena, text);
    return request->guidance.root.text.ptr ? KRS_OK : KRS_ENOMEM;
}

static krs_status guide_by_file(krs_request *request, krs_guidance_kind kind, krs_guide_kind leaf,
                                const char *field, const char *path, krs_error *err)
{
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_GUIDANCE_MAX_BYTES);
    krs_status status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        status = guide(request, kind, leaf, field, krs_buf_view(&text));
    } else {
        status = krs_error_wrap(err, status, "%s", field);
    }
    krs_buf_deinit(&text);
    return status;
}

krs_status krs_answer_read_schema(const char *path, krs_request *request, krs_error *err)
{
    return guide_by_file(request, KRS_GUIDANCE_JSON_SCHEMA, KRS_GUIDE_SCHEMA, "schema", path, err);
}

/* --schema, --regex, --grammar: one of them. */
static krs_status copy_guidance(const krs_config *config, krs_request *request, krs_error *err)
{
    const char *schema = krs_config_text(config, KRS_OPTION_SCHEMA);
    const char *regex = krs_config_text(config, KRS_OPTION_REGEX);
    const char *grammar = krs_config_text(config, KRS_OPTION_GRAMMAR);
    if ((schema != NULL) + (regex != NULL) + (grammar != NULL) > 1) {
        return krs_fail_field(err, KRS_EINVAL, "schema",
                              "schema, regex, grammar: want one of them");
    }
    if (schema) {
        return krs_answer_read_schema(schema, request, err);
    }
    if (grammar) {
        return guide_by_file(request, KRS_GUIDANCE_GRAMMAR, KRS_GUIDE_GRAMMAR, "grammar", grammar,
                             err);
    }
    return regex ? guide(request, KRS_GUIDANCE_REGEX, KRS_GUIDE_REGEX, "regex", krs_str_of(regex))
                 : KRS_OK;
}

static krs_status copy_prompt(json_t *messages, krs_str prompt, krs_request *request)
{
    if (messages) {
        request->prompt.kind = KRS_PROMPT_CHAT;
        request->prompt.chat = json_pack("{s:O}", "messages", messages);
        return request->prompt.chat ? KRS_OK : KRS_ENOMEM;
    }
    request->prompt.kind = KRS_PROMPT_TEXT;
    request->prompt.text = krs_arena_copy(&request->arena, prompt);
    return request->prompt.text.ptr ? KRS_OK : KRS_ENOMEM;
}

/* Byte at which text stops being UTF-8; its length when it does not. */
static size_t valid_bytes(krs_str text)
{
    size_t at = 0;
    while (at < text.len) {
        const size_t length = krs_utf8_length(text.ptr + at, text.len - at);
        if (length == 0) {
            break;
        }
        at += length;
    }
    return at;
}

krs_status krs_answer_add_message(json_t *messages, const char *role, krs_str content,
                                  krs_error *err)
{
    const size_t valid = valid_bytes(content);
    if (valid < content.len) {
        return krs_fail_field(err, KRS_EINVAL, role, "%s: byte %zu is not UTF-8", role, valid);
    }
    json_t *message = json_pack("{s:s, s:s%}", "role", role, "content",
                                content.ptr ? content.ptr : "", content.len);
    return json_array_append_new(messages, message) == 0
               ? KRS_OK
               : krs_fail(err, KRS_ENOMEM, "%s: out of memory", role);
}

krs_status krs_answer_request(const krs_config *config, json_t *messages, krs_str prompt,
                              krs_request **out, krs_error *err)
{
    krs_request *request = NULL;
    krs_status status = krs_request_new(NULL, &request);
    if (status == KRS_OK) {
        copy_numbers(config, request);
        status = copy_stops(config, request);
    }
    if (status == KRS_OK) {
        status = copy_prompt(messages, prompt, request);
    }
    if (status != KRS_OK) {
        krs_request_free(request);
        *out = NULL;
        return krs_fail(err, status, "request: out of memory");
    }
    status = copy_guidance(config, request, err);
    if (status != KRS_OK) {
        krs_request_free(request);
        *out = NULL;
        return status;
    }
    (void)snprintf(request->correlation_id, sizeof(request->correlation_id), "cli");
    *out = request;
    return KRS_OK;
}
