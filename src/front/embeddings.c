/* front/embeddings.c - POST /v1/embeddings: texts or token ids to vectors.
 *
 * Each input is a request of its own (task EMBED), so a batch shares the engine's steps with everyone
 * else. Vectors come in any order and are kept until the last is there. `dimensions` keeps the first
 * numbers and scales them to length 1 again, as OpenAI does: of use with models trained for it.
 *
 * Memory: n inputs times the dimensions, refused beforehand when the answer would be too large.
 * Source: OpenAI API reference, embeddings; base64 is RFC 4648, of little-endian float32. */
#include "front/call_priv.h"

#include <math.h>

#define FLOAT_TEXT_BYTES   16 /* of a float32 in JSON, with its comma */
#define FLOAT_BASE64_BYTES 6  /* 5 1/3, rounded up */
#define FLOAT_DIGITS       9  /* enough to read the same float32 back */

typedef struct embeddings_call {
    krs_call_head head; /* first */
    bool is_base64;
    uint32_t n_dimensions;
} embeddings_call;

typedef struct embeddings_answer {
    krs_answer answer; /* first */
    float *vectors;    /* [n_requests][n_dimensions] */
    uint64_t n_prompt_tokens;
} embeddings_answer;

static const char *const fields[] = {"input", "encoding_format", "dimensions", NULL};

static embeddings_call *call_of(krs_call_head *head)
{
    return (embeddings_call *)(void *)head;
}

static embeddings_answer *answer_of(krs_answer *answer)
{
    return (embeddings_answer *)(void *)answer;
}

static krs_status read_format(const krs_call_reader *reader, bool *is_base64)
{
    krs_str format = KRS_STR("float");
    const krs_status status =
        krs_json_get_str(reader->body, "encoding_format", 64, &format, reader->err);
    *is_base64 = krs_str_equal(format, KRS_STR("base64"));
    if (status == KRS_OK && !*is_base64 && !krs_str_equal(format, KRS_STR("float"))) {
        return krs_call_refuse(reader->err, "encoding_format", "\"%.*s\", want float or base64",
                               KRS_STR_ARGS(format));
    }
    return status;
}

static krs_status check_size(const krs_call_reader *reader, const embeddings_call *call, uint32_t n)
{
    const uint64_t n_bytes = (uint64_t)n * call->n_dimensions *
                             (call->is_base64 ? FLOAT_BASE64_BYTES : FLOAT_TEXT_BYTES);
    if (n_bytes > KRS_CALL_MAX_ANSWER_BYTES) {
        return krs_call_refuse(reader->err, "input",
                               "%u vectors of %u numbers are more than one answer holds (%u bytes)",
                               n, call->n_dimensions, KRS_CALL_MAX_ANSWER_BYTES);
    }
    return KRS_OK;
}

static krs_status build_request(krs_call_reader *reader, uint32_t i)
{
    krs_request *request = NULL;
    krs_status status = krs_call_new_request(reader, i, KRS_TASK_EMBED, &request);
    if (status == KRS_OK) {
        status = krs_call_read_prompt(reader, "input", i, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

static krs_status read_call(krs_call_reader *reader)
{
    embeddings_call *call = call_of(reader->call);
    uint32_t n = 0;
    call->n_dimensions = reader->model->hidden;
    if (call->n_dimensions == 0) {
        return krs_call_refuse(reader->err, "model", "\"%s\" gives no embeddings",
                               reader->model->id);
    }
    krs_status status = read_format(reader, &call->is_base64);
    if (status == KRS_OK) {
        status =
            krs_call_read_u32(reader, "dimensions", 1, call->n_dimensions, &call->n_dimensions);
    }
    if (status == KRS_OK) {
        status = krs_call_count_prompts(reader, "input", KRS_CALL_MAX_EMBEDDINGS, &n);
    }
    if (status == KRS_OK) {
        status = check_size(reader, call, n);
    }
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, n);
    }
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = build_request(reader, i);
    }
    return status;
}

static krs_status init_answer(krs_answer *answer)
{
    const size_t n = (size_t)answer->call->call.n_requests * call_of(answer->call)->n_dimensions;
    answer_of(answer)->vectors = krs_alloc_array(answer->call->alloc, n, sizeof(float));
    return answer_of(answer)->vectors ? KRS_OK : KRS_ENOMEM;
}

static void deinit_answer(krs_answer *answer)
{
    krs_alloc_free(answer->call->alloc, answer_of(answer)->vectors);
}

/* The first n numbers, of length 1. What has no length stays as it is. */
static void shorten(float *vector, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    const double scale = sum > 0 && isfinite(sum) ? 1.0 / sqrt(sum) : 1.0;
    for (uint32_t i = 0; i < n; i++) {
        vector[i] = (float)((double)vector[i] * scale);
    }
}

/* Bytes of the float in little-endian order, wherever we run. */
static void put_float_bytes(float x, unsigned char out[4])
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (unsigned char)(bits >> (8 * i));
    }
}

static void put_group(krs_writer *w, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint32_t bits = ((uint32_t)bytes[0] << 16) | ((uint32_t)(n > 1 ? bytes[1] : 0) << 8) |
                          (n > 2 ? bytes[2] : 0);
    const char text[4] = {digits[bits >> 18], digits[(bits >> 12) & 63],
                          n > 1 ? digits[(bits >> 6) & 63] : '=', n > 2 ? digits[bits & 63] : '='};
    krs_put(w, (krs_str){text, sizeof(text)});
}

/* Three floats are twelve bytes, which are whole groups: chunks join without padding between. */
static void put_base64(krs_writer *w, const float *vector, uint32_t n)
{
    krs_put(w, KRS_STR("\""));
    for (uint32_t i = 0; i < n; i += 3) {
        unsigned char bytes[12];
        const uint32_t n_floats = n - i < 3 ? n - i : 3;
        for (uint32_t k = 0; k < n_floats; k++) {
            put_float_bytes(vector[i + k], bytes + (size_t)4 * k);
        }
        for (size_t at = 0; at < (size_t)4 * n_floats; at += 3) {
            const size_t left = (size_t)4 * n_floats - at;
            put_group(w, bytes + at, left < 3 ? left : 3);
        }
    }
    krs_put(w, KRS_STR("\""));
}

static void put_floats(krs_writer *w, const float *vector, uint32_t n)
{
    krs_put(w, KRS_STR("["));
    for (uint32_t i = 0; i < n; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put_real(w, (double)vector[i], FLOAT_DIGITS);
    }
    krs_put(w, KRS_STR("]"));
}

static void put_answer(krs_writer *w, krs_answer *answer)
{
    const embeddings_call *call = call_of(answer->call);
    const embeddings_answer *own = answer_of(answer);
    krs_put(w, KRS_STR("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; w->status == KRS_OK && i < call->head.call.n_requests; i++) {
        const float *vector = own->vectors + (size_t)i * call->n_dimensions;
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put(w, KRS_STR("{\"object\":\"embedding\",\"index\":"));
        krs_put_number(w, i);
        krs_put(w, KRS_STR(",\"embedding\":"));
        (call->is_base64 ? put_base64 : put_floats)(w, vector, call->n_dimensions);
        krs_put(w, KRS_STR("}"));
    }
    krs_put(w, KRS_STR("],\"model\":"));
    krs_put_string(w, krs_str_of(call->head.model));
    krs_put(w, KRS_STR(",\"usage\":{\"prompt_tokens\":"));
    krs_put_number(w, own->n_prompt_tokens);
    krs_put(w, KRS_STR(",\"total_tokens\":"));
    krs_put_number(w, own->n_prompt_tokens);
    krs_put(w, KRS_STR("}}"));
}

static void add_event(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    embeddings_answer *own = answer_of(answer);
    const uint32_t n = call_of(answer->call)->n_dimensions;
    if (!event->is_end) {
        return;
    }
    if (event->n_embedding < n) {
        (void)krs_fail(&answer->error, KRS_EINTERNAL, "embedding of %u numbers, want %u",
                       event->n_embedding, n);
        answer->state = KRS_ANSWER_FAILED;
        return;
    }
    float *vector = own->vectors + (size_t)i * n;
    memcpy(vector, event->embedding, n * sizeof(*vector));
    if (n < event->n_embedding) {
        shorten(vector, n);
    }
    own->n_prompt_tokens += event->usage.n_prompt_tokens;
    if (krs_answer_is_complete(answer)) {
        put_answer(w, answer);
    }
}

const krs_call_row krs_call_row_embeddings = {
    .fields = {krs_call_owner_fields, fields},
    .prompt_field = "input",
    .max_values = KRS_CALL_MAX_ID_VALUES,
    .call_bytes = sizeof(embeddings_call),
    .answer_bytes = sizeof(embeddings_answer),
    .read = read_call,
    .answer_init = init_answer,
    .answer_deinit = deinit_answer,
    .add = add_event,
    .error_write = krs_openai_error_write,
};
