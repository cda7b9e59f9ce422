/* front/openai_params.c - the scalar fields of a call: sampling, stopping, priority, deadline; and the
 * fields we must refuse. Ranges are rows of tables, so that a new field is a row and not a branch. */
#include "front/openai_priv.h"

#include "os/clock.h"

#include <stddef.h>

typedef struct double_row {
    const char *field;
    double min;
    double max;
    size_t offset; /* in krs_sampling */
} double_row;

static const double_row doubles[] = {
    {"temperature", 0, KRS_MAX_TEMPERATURE, offsetof(krs_sampling, temperature)},
    {"top_p", 0, 1, offsetof(krs_sampling, top_p)},
    {"min_p", 0, 1, offsetof(krs_sampling, min_p)},
    {"repetition_penalty", 0, KRS_MAX_REPETITION_PENALTY,
     offsetof(krs_sampling, repetition_penalty)},
    {"presence_penalty", -KRS_MAX_PENALTY, KRS_MAX_PENALTY,
     offsetof(krs_sampling, presence_penalty)},
    {"frequency_penalty", -KRS_MAX_PENALTY, KRS_MAX_PENALTY,
     offsetof(krs_sampling, frequency_penalty)},
};

#define N_DOUBLES (sizeof(doubles) / sizeof(doubles[0]))

/* When is a field we do not support worth a refusal? When it is not what it would be if absent. */
typedef enum refusal_rule {
    REFUSE_SET,     /* anything but null, false, 0, "", [] and {} */
    REFUSE_GIVEN,   /* anything but null: {} is a schema too */
    REFUSE_NOT_ONE, /* anything but null and 1 */
} refusal_rule;

typedef struct refusal_row {
    const char *field;
    refusal_rule rule;
} refusal_row;

static const refusal_row unsupported[] = {
    {"functions", REFUSE_SET},
    {"function_call", REFUSE_SET},
    {"audio", REFUSE_SET},
    {"web_search_options", REFUSE_SET},
    {"suffix", REFUSE_SET},
    {"echo", REFUSE_SET},
    {"best_of", REFUSE_NOT_ONE},
    {"prompt_logprobs", REFUSE_SET},
    {"use_beam_search", REFUSE_SET},
    {"bad_words", REFUSE_SET},
    {"guided_json", REFUSE_GIVEN},
    {"guided_regex", REFUSE_SET},
    {"guided_choice", REFUSE_SET},
    {"guided_grammar", REFUSE_SET},
    {"structured_outputs", REFUSE_GIVEN},
    {"continue_final_message", REFUSE_SET},
};

static bool is_empty(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    default:
        return false;
    }
}

static bool is_harmless(const json_t *value, refusal_rule rule)
{
    if (!value || json_is_null(value)) {
        return true;
    }
    if (rule == REFUSE_GIVEN) {
        return false;
    }
    return rule == REFUSE_NOT_ONE ? json_is_integer(value) && json_integer_value(value) == 1
                                  : is_empty(value);
}

/* response_format: only {"type": "text"}. */
static krs_status check_format(const krs_openai_reader *reader)
{
    json_t *format = NULL;
    krs_str type = KRS_STR("text");
    krs_status status =
        krs_json_get_tree(reader->body, "response_format", JSON_OBJECT, &format, reader->err);
    if (status == KRS_OK && format) {
        status = krs_json_get_str(format, "type", 64, &type, reader->err);
    }
    if (status == KRS_OK && !krs_str_equal(type, KRS_STR("text"))) {
        status =
            krs_openai_refuse(reader->err, "response_format",
                              "type \"%.*s\" is not supported, want \"text\"", KRS_STR_ARGS(type));
    }
    return status;
}

/* modalities: only ["text"]. */
static krs_status check_modalities(const krs_openai_reader *reader)
{
    json_t *list = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "modalities", JSON_ARRAY, &list, reader->err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || strcmp(name, "text") != 0) {
            status = krs_openai_refuse(reader->err, "modalities", "only [\"text\"] is supported");
        }
    }
    return status;
}

krs_status krs_openai_refuse_unsupported(const krs_openai_reader *reader)
{
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
        const refusal_row *row = &unsupported[i];
        if (!is_harmless(json_object_get(reader->body, row->field), row->rule)) {
            return krs_openai_refuse(reader->err, row->field, "not supported by this server");
        }
    }
    const krs_status status = check_format(reader);
    return status == KRS_OK ? check_modalities(reader) : status;
}

static krs_status read_doubles(const krs_openai_reader *reader, krs_sampling *sampling)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < N_DOUBLES; i++) {
        double *out = (double *)(void *)((char *)sampling + doubles[i].offset);
        status = krs_json_get_double(reader->body, doubles[i].field, doubles[i].min, doubles[i].max,
                                     out, reader->err);
    }
    return status;
}

/* An integer field into 32 bits; min and max must fit. */
static krs_status read_u32(const krs_openai_reader *reader, const char *field, int64_t min,
                           int64_t max, uint32_t *out)
{
    int64_t value = *out;
    const krs_status status = krs_json_get_int(reader->body, field, min, max, &value, reader->err);
    *out = (uint32_t)value;
    return status;
}

/* chat: logprobs is a flag and top_logprobs the count; completions: logprobs is the count. */
static krs_status read_logprobs(const krs_openai_reader *reader, krs_sampling *sampling)
{
    int64_t n_top = -1;
    if (reader->kind == KRS_OPENAI_COMPLETION) {
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
        return krs_openai_refuse(reader->err, "top_logprobs", "needs logprobs to be true");
    }
    sampling->n_logprobs = is_asked ? (int32_t)(n_top < 0 ? 0 : n_top) : -1;
    return status;
}

static krs_status read_sampling(const krs_openai_reader *reader, krs_sampling *sampling)
{
    int64_t top_k = sampling->top_k;
    int64_t seed = (int64_t)reader->context->random;
    krs_status status = read_doubles(reader, sampling);
    if (status == KRS_OK) {
        /* -1 is how vLLM writes "off". */
        status = krs_json_get_int(reader->body, "top_k", -1, INT32_MAX, &top_k, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(reader->body, "seed", INT64_MIN, INT64_MAX, &seed, reader->err);
    }
    if (status == KRS_OK) {
        status = read_logprobs(reader, sampling);
    }
    sampling->top_k = (int32_t)(top_k < 0 ? 0 : top_k);
    sampling->seed = (uint64_t)seed;
    return status;
}

static krs_status read_stopping(const krs_openai_reader *reader, krs_stopping *stopping)
{
    if (reader->kind == KRS_OPENAI_COMPLETION) {
        stopping->max_tokens = KRS_OPENAI_DEFAULT_TOKENS;
    }
    krs_status status =
        read_u32(reader, "max_tokens", 1, KRS_MAX_NEW_TOKENS, &stopping->max_tokens);
    if (status == KRS_OK && reader->kind == KRS_OPENAI_CHAT) {
        status =
            read_u32(reader, "max_completion_tokens", 1, KRS_MAX_NEW_TOKENS, &stopping->max_tokens);
    }
    if (status == KRS_OK) {
        status = read_u32(reader, "min_tokens", 0, KRS_MAX_NEW_TOKENS, &stopping->min_tokens);
    }
    if (status == KRS_OK) {
        status =
            krs_json_get_bool(reader->body, "ignore_eos", &stopping->is_eos_ignored, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "include_stop_str_in_output",
                                   &stopping->has_stop_text, reader->err);
    }
    return status;
}

static krs_status read_priority(const krs_openai_reader *reader, krs_priority *out)
{
    static const struct {
        const char *name;
        krs_priority priority;
    } names[] = {{"urgent", KRS_PRIORITY_URGENT},
                 {"normal", KRS_PRIORITY_NORMAL},
                 {"background", KRS_PRIORITY_BACKGROUND}};
    krs_str name = KRS_STR("normal");
    const krs_status status = krs_json_get_str(reader->body, "priority", 64, &name, reader->err);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(name, krs_str_of(names[i].name))) {
            *out = names[i].priority;
            return status;
        }
    }
    return krs_openai_refuse(reader->err, "priority", "\"%.*s\", want urgent, normal or background",
                             KRS_STR_ARGS(name));
}

static krs_status read_deadline(const krs_openai_reader *reader, uint64_t *out)
{
    int64_t timeout_ms = 0;
    const krs_status status = krs_json_get_int(reader->body, "timeout_ms", 1,
                                               KRS_OPENAI_MAX_TIMEOUT_MS, &timeout_ms, reader->err);
    *out = timeout_ms == 0 ? UINT64_MAX
                           : reader->context->now_ns + (uint64_t)timeout_ms * KRS_NS_PER_MS;
    return status;
}

krs_status krs_openai_read_params(const krs_openai_reader *reader, krs_request *request)
{
    krs_status status = read_sampling(reader, &request->sampling);
    if (status == KRS_OK) {
        status = read_stopping(reader, &request->stopping);
    }
    if (status == KRS_OK) {
        status = read_priority(reader, &request->priority);
    }
    return status == KRS_OK ? read_deadline(reader, &request->deadline_ns) : status;
}
