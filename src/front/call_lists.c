/* front/call_lists.c - the list fields of a call: stop strings, token ids, logit bias, prompts. */
#include "front/call_priv.h"

#include <stdlib.h>

/* One stop string into the arena. */
static krs_status add_stop(const krs_call_reader *reader, const char *field, const json_t *value,
                           krs_request *request, krs_str *out)
{
    if (!json_is_string(value)) {
        return krs_call_refuse(reader->err, field, "want a string or an array of strings");
    }
    const krs_str text = {json_string_value(value), json_string_length(value)};
    if (text.len == 0 || text.len > KRS_MAX_STOP_BYTES) {
        return krs_call_refuse(reader->err, field, "a string of %zu bytes, want 1..%d", text.len,
                               KRS_MAX_STOP_BYTES);
    }
    *out = krs_arena_copy(&request->arena, text);
    return out->ptr ? KRS_OK : krs_fail(reader->err, KRS_ENOMEM, "%s: no memory", field);
}

krs_status krs_call_read_stops(const krs_call_reader *reader, const char *field,
                               krs_request *request)
{
    const json_t *value = json_object_get(reader->body, field);
    if (!value || json_is_null(value)) {
        return KRS_OK;
    }
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > KRS_MAX_STOPS) {
        return krs_call_refuse(reader->err, field, "%zu strings, limit %d", n, KRS_MAX_STOPS);
    }
    krs_str *stops = krs_arena_array(&request->arena, n ? n : 1, sizeof(*stops));
    if (!stops) {
        return krs_fail(reader->err, KRS_ENOMEM, "%s: no memory", field);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        status = add_stop(reader, field, one, request, &stops[i]);
    }
    request->stopping.stops = stops;
    request->stopping.n_stops = (uint32_t)n;
    return status;
}

krs_status krs_call_read_ids(const krs_call_reader *reader, const char *field, const json_t *array,
                             krs_request *request, const uint32_t **out)
{
    const size_t n = json_array_size(array);
    uint32_t *ids = krs_arena_array(&request->arena, n ? n : 1, sizeof(*ids));
    if (!ids) {
        return krs_fail(reader->err, KRS_ENOMEM, "%s: no memory for %zu ids", field, n);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        const json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= (json_int_t)reader->model->vocab) {
            return krs_call_refuse(reader->err, field,
                                   "entry %zu is not a token id, want integers 0..%u", i,
                                   reader->model->vocab - 1);
        }
        ids[i] = (uint32_t)id;
    }
    *out = ids;
    return KRS_OK;
}

static krs_status read_stop_ids(const krs_call_reader *reader, krs_request *request)
{
    json_t *array = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "stop_token_ids", JSON_ARRAY, &array, reader->err);
    if (status != KRS_OK || !array) {
        return status;
    }
    if (json_array_size(array) > KRS_MAX_STOP_IDS) {
        return krs_call_refuse(reader->err, "stop_token_ids", "%zu ids, limit %d",
                               json_array_size(array), KRS_MAX_STOP_IDS);
    }
    request->stopping.n_stop_ids = (uint32_t)json_array_size(array);
    return krs_call_read_ids(reader, "stop_token_ids", array, request, &request->stopping.stop_ids);
}

/* "123": 2.5 */
static krs_status read_bias(const krs_call_reader *reader, const char *key, const json_t *value,
                            krs_logit_bias *out)
{
    char *end = NULL;
    const unsigned long long id = strtoull(key, &end, 10);
    if (key[0] < '0' || key[0] > '9' || *end != '\0' || id >= reader->model->vocab) {
        return krs_call_refuse(reader->err, "logit_bias",
                               "key \"%.40s\" is not a token id, want 0..%u", key,
                               reader->model->vocab - 1);
    }
    const double bias = json_number_value(value);
    if (!json_is_number(value) || !(bias >= -100 && bias <= 100)) {
        return krs_call_refuse(reader->err, "logit_bias",
                               "the bias of %s must be a number, -100..100", key);
    }
    *out = (krs_logit_bias){(uint32_t)id, (float)bias};
    return KRS_OK;
}

static krs_status read_biases(const krs_call_reader *reader, krs_request *request)
{
    json_t *object = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "logit_bias", JSON_OBJECT, &object, reader->err);
    const size_t n = json_object_size(object);
    if (status != KRS_OK || n == 0) {
        return status;
    }
    if (n > KRS_MAX_LOGIT_BIAS) {
        return krs_call_refuse(reader->err, "logit_bias", "%zu entries, limit %d", n,
                               KRS_MAX_LOGIT_BIAS);
    }
    krs_logit_bias *biases = krs_arena_array(&request->arena, n, sizeof(*biases));
    if (!biases) {
        return krs_fail(reader->err, KRS_ENOMEM, "logit_bias: no memory");
    }
    uint32_t i = 0;
    for (void *it = json_object_iter(object); it && status == KRS_OK;
         it = json_object_iter_next(object, it)) {
        status =
            read_bias(reader, json_object_iter_key(it), json_object_iter_value(it), &biases[i++]);
    }
    request->sampling.bias = biases;
    request->sampling.n_bias = i;
    return status;
}

krs_status krs_call_read_lists(const krs_call_reader *reader, krs_request *request)
{
    const krs_status status = read_stop_ids(reader, request);
    return status == KRS_OK ? read_biases(reader, request) : status;
}

krs_status krs_call_count_prompts(const krs_call_reader *reader, const char *field, uint32_t max,
                                  uint32_t *out)
{
    const json_t *prompt = json_object_get(reader->body, field);
    *out = 1;
    if (json_is_string(prompt)) {
        return KRS_OK;
    }
    if (!json_is_array(prompt) || json_array_size(prompt) == 0) {
        return krs_call_refuse(reader->err, field,
                               "want a string, or a non-empty array of strings or token ids");
    }
    if (json_is_integer(json_array_get(prompt, 0))) {
        return KRS_OK;
    }
    if (json_array_size(prompt) > max) {
        return krs_call_refuse(reader->err, field, "%zu prompts, limit %u", json_array_size(prompt),
                               max);
    }
    *out = (uint32_t)json_array_size(prompt);
    return KRS_OK;
}

krs_status krs_call_read_prompt(const krs_call_reader *reader, const char *field, uint32_t i,
                                krs_request *request)
{
    const json_t *prompt = json_object_get(reader->body, field);
    const bool is_list = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    const json_t *one = is_list ? json_array_get(prompt, i) : prompt;
    if (json_is_array(one) && json_array_size(one) > 0) {
        request->prompt.kind = KRS_PROMPT_TOKENS;
        request->prompt.n_tokens = json_array_size(one);
        return krs_call_read_ids(reader, field, one, request, &request->prompt.tokens);
    }
    if (!json_is_string(one)) {
        return krs_call_refuse(reader->err, field,
                               "entry %u is neither a string nor a non-empty array of token ids",
                               i);
    }
    const krs_str text = {json_string_value(one), json_string_length(one)};
    request->prompt.kind = KRS_PROMPT_TEXT;
    request->prompt.text = krs_arena_copy(&request->arena, text);
    return request->prompt.text.ptr ? KRS_OK
                                    : krs_fail(reader->err, KRS_ENOMEM, "%s: no memory", field);
}
