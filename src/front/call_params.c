/* front/call_params.c - the fields that mean the same in every API: who asks, how urgent, until when, how
 * tokens are chosen, when an answer ends. Ranges are rows of a table, so that a new field is a row and not
 * a branch. */
#include "front/call_priv.h"

#include "os/clock.h"

#include <stddef.h>
#include <stdio.h>

#define SALT_HASH_SEED                                                                             \
    UINT64_C(0x6b722d73616c7431) /* any fixed number: salts only need to differ */

const char *const krs_call_owner_fields[] = {"model",      "priority", "timeout_ms",
                                             "cache_salt", "user",     NULL};

const char *const krs_call_sampling_fields[] = {"temperature",
                                                "top_p",
                                                "min_p",
                                                "top_k",
                                                "repetition_penalty",
                                                "presence_penalty",
                                                "frequency_penalty",
                                                "seed",
                                                "min_tokens",
                                                "ignore_eos",
                                                "include_stop_str_in_output",
                                                "stop_token_ids",
                                                "logit_bias",
                                                "speculation",
                                                "speculation.mode",
                                                "speculation.max_tokens",
                                                NULL};

typedef struct double_row {
    const char *field;
    double min;
    double max;
    size_t offset; /* in krs_sampling */
} double_row;

/* temperature is read apart: its range is the API's. */
static const double_row doubles[] = {
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

static krs_status read_doubles(const krs_call_reader *reader, krs_sampling *sampling)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < N_DOUBLES; i++) {
        double *out = (double *)(void *)((char *)sampling + doubles[i].offset);
        status = krs_json_get_double(reader->body, doubles[i].field, doubles[i].min, doubles[i].max,
                                     out, reader->err);
    }
    return status;
}

krs_status krs_call_read_u32(const krs_call_reader *reader, const char *field, int64_t min,
                             int64_t max, uint32_t *out)
{
    int64_t value = *out;
    const krs_status status = krs_json_get_int(reader->body, field, min, max, &value, reader->err);
    *out = (uint32_t)value;
    return status;
}

static krs_status read_choosing(const krs_call_reader *reader, double max_temperature,
                                krs_sampling *sampling)
{
    int64_t top_k = sampling->top_k;
    int64_t seed = (int64_t)reader->context->random;
    krs_status status = krs_json_get_double(reader->body, "temperature", 0, max_temperature,
                                            &sampling->temperature, reader->err);
    if (status == KRS_OK) {
        status = read_doubles(reader, sampling);
    }
    if (status == KRS_OK) {
        /* -1 is how vLLM writes "off". */
        status = krs_json_get_int(reader->body, "top_k", -1, INT32_MAX, &top_k, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(reader->body, "seed", INT64_MIN, INT64_MAX, &seed, reader->err);
    }
    sampling->top_k = (int32_t)(top_k < 0 ? 0 : top_k);
    sampling->seed = (uint64_t)seed;
    return status;
}

static krs_status read_stopping(const krs_call_reader *reader, krs_stopping *stopping)
{
    krs_status status =
        krs_call_read_u32(reader, "min_tokens", 0, KRS_MAX_NEW_TOKENS, &stopping->min_tokens);
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

static krs_status read_mode(const json_t *object, krs_speculation_mode *out, krs_error *err)
{
    krs_str name = {NULL, 0};
    const krs_status status = krs_json_get_str(object, "mode", 64, &name, err);
    if (status != KRS_OK || !name.ptr) {
        return status;
    }
    for (uint32_t i = 0; i < KRS_SPECULATION_COUNT; i++) {
        if (krs_str_equal(name, krs_str_of(krs_speculation_name((krs_speculation_mode)i)))) {
            *out = (krs_speculation_mode)i;
            return KRS_OK;
        }
    }
    return krs_call_refuse(err, "speculation.mode", "\"%.*s\", want ngram, draft, off or model",
                           KRS_STR_ARGS(name));
}

/* Ours: {"mode": "ngram", "max_tokens": 8}. */
static krs_status read_speculation(const krs_call_reader *reader, krs_speculation *out)
{
    json_t *object = NULL;
    int64_t max_tokens = 0;
    krs_status status =
        krs_json_get_tree(reader->body, "speculation", JSON_OBJECT, &object, reader->err);
    if (status != KRS_OK || !object) {
        return status;
    }
    status = read_mode(object, &out->mode, reader->err);
    if (status == KRS_OK) {
        status = krs_json_get_int(object, "max_tokens", 0, KRS_MAX_SPECULATION, &max_tokens,
                                  reader->err);
    }
    out->max_tokens = (uint32_t)max_tokens;
    return status;
}

krs_status krs_call_read_sampling(const krs_call_reader *reader, double max_temperature,
                                  krs_request *request)
{
    krs_status status = read_choosing(reader, max_temperature, &request->sampling);
    if (status == KRS_OK) {
        status = read_stopping(reader, &request->stopping);
    }
    if (status == KRS_OK) {
        status = read_speculation(reader, &request->speculation);
    }
    return status == KRS_OK ? krs_call_read_lists(reader, request) : status;
}

/* Not asked for: normal, or what the tenant may have at best. */
static krs_status read_priority(const krs_call_reader *reader, krs_priority *out)
{
    static const char *const names[] = {[KRS_PRIORITY_URGENT] = "urgent",
                                        [KRS_PRIORITY_NORMAL] = "normal",
                                        [KRS_PRIORITY_BACKGROUND] = "background"};
    const krs_priority best = reader->context->best_priority;
    krs_str name = {NULL, 0};
    const krs_status status = krs_json_get_str(reader->body, "priority", 64, &name, reader->err);
    if (status != KRS_OK || !name.ptr) {
        *out = best > KRS_PRIORITY_NORMAL ? best : KRS_PRIORITY_NORMAL;
        return status;
    }
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(name, krs_str_of(names[i]))) {
            *out = (krs_priority)i;
            return i >= (uint32_t)best
                       ? KRS_OK
                       : krs_fail_field(reader->err, KRS_EPERM, "priority",
                                        "priority: \"%s\" is more than this key allows (\"%s\")",
                                        names[i], names[best]);
        }
    }
    return krs_call_refuse(reader->err, "priority", "\"%.*s\", want urgent, normal or background",
                           KRS_STR_ARGS(name));
}

static krs_status read_deadline(const krs_call_reader *reader, uint64_t *out)
{
    int64_t timeout_ms = 0;
    const krs_status status = krs_json_get_int(reader->body, "timeout_ms", 1,
                                               KRS_CALL_MAX_TIMEOUT_MS, &timeout_ms, reader->err);
    *out = timeout_ms == 0 ? UINT64_MAX
                           : reader->context->now_ns + (uint64_t)timeout_ms * KRS_NS_PER_MS;
    return status;
}

static krs_status read_salt(const krs_call_reader *reader, uint64_t *out)
{
    krs_str salt = {NULL, 0};
    const krs_status status =
        krs_json_get_str(reader->body, "cache_salt", KRS_CALL_MAX_SALT_BYTES, &salt, reader->err);
    if (status == KRS_OK && salt.ptr && salt.len == 0) {
        return krs_call_refuse(reader->err, "cache_salt", "empty, want 1..%d bytes",
                               KRS_CALL_MAX_SALT_BYTES);
    }
    *out = salt.ptr ? krs_str_hash(salt, SALT_HASH_SEED) : 0;
    return status;
}

static krs_status read_owner(const krs_call_reader *reader, krs_request *request)
{
    const krs_call_context *context = reader->context;
    krs_str user;
    (void)snprintf(request->model, sizeof(request->model), "%s", reader->model->id);
    (void)snprintf(request->correlation_id, sizeof(request->correlation_id), "%s",
                   context->correlation_id);
    request->tenant = context->tenant;
    request->trace = context->trace;
    request->sampling = reader->model->sampling;
    krs_status status =
        krs_json_get_str(reader->body, "user", KRS_CALL_MAX_USER_BYTES, &user, reader->err);
    if (status == KRS_OK) {
        status = read_priority(reader, &request->priority);
    }
    if (status == KRS_OK) {
        status = read_deadline(reader, &request->deadline_ns);
    }
    return status == KRS_OK ? read_salt(reader, &request->cache_salt) : status;
}

krs_status krs_call_reserve(krs_call_reader *reader, size_t n)
{
    krs_call *call = &reader->call->call;
    call->requests = krs_alloc_array(reader->call->alloc, n, sizeof(krs_request *));
    if (!call->requests) {
        return krs_fail(reader->err, KRS_ENOMEM, "no memory for %zu requests", n);
    }
    call->n_requests = (uint32_t)n;
    return KRS_OK;
}

krs_status krs_call_new_request(krs_call_reader *reader, uint32_t i, krs_task task,
                                krs_request **out)
{
    krs_call *call = &reader->call->call;
    krs_status status = krs_request_new(reader->call->alloc, &call->requests[i]);
    if (status != KRS_OK) {
        return krs_fail(reader->err, status, "no memory for the request");
    }
    call->requests[i]->task = task;
    *out = call->requests[i];
    return read_owner(reader, call->requests[i]);
}

krs_status krs_call_check_string(const krs_call_reader *reader, const char *field)
{
    krs_str unused;
    return krs_json_get_str(reader->body, field, KRS_CALL_MAX_USER_BYTES, &unused, reader->err);
}

krs_status krs_call_read_metadata(const krs_call_reader *reader, json_t **out)
{
    *out = NULL;
    krs_status status = krs_json_get_tree(reader->body, "metadata", JSON_OBJECT, out, reader->err);
    if (status == KRS_OK && json_object_size(*out) > KRS_CALL_MAX_METADATA) {
        status = krs_call_refuse(reader->err, "metadata", "%zu pairs, limit %d",
                                 json_object_size(*out), KRS_CALL_MAX_METADATA);
    }
    for (void *it = json_object_iter(*out); it && status == KRS_OK;
         it = json_object_iter_next(*out, it)) {
        if (!json_is_string(json_object_iter_value(it))) {
            status = krs_call_refuse(reader->err, "metadata", "every value must be a string");
        }
    }
    return status;
}
