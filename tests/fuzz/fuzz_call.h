/* fuzz/fuzz_call.h - any bytes as the body of an API call: refused with an error that can be written, or
 * requests that pass their own check and an answer whose every object is JSON. */
#pragma once

#include "base/check.h"
#include "front/call.h"

#define FUZZ_BODY_BYTES (64u << 10)

/* Are these bytes one JSON object? */
static inline void fuzz_check_object(const char *bytes, size_t n)
{
    json_t *tree = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
    KRS_CHECK(json_is_object(tree));
    json_decref(tree);
}

/* Server-sent events: every data line is an object or "[DONE]"; nothing but fields and comments. */
static inline void fuzz_check_stream(const char *bytes, size_t n)
{
    const char *end = bytes + n;
    for (const char *line = bytes; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        KRS_CHECK(stop);
        const krs_str text = {line, (size_t)(stop - line)};
        if (krs_str_starts_with(text, KRS_STR("data: ")) &&
            !krs_str_equal(text, KRS_STR("data: [DONE]"))) {
            fuzz_check_object(text.ptr + 6, text.len - 6);
        } else {
            KRS_CHECK(text.len == 0 || text.ptr[0] == ':' ||
                      krs_str_starts_with(text, KRS_STR("data: ")) ||
                      krs_str_starts_with(text, KRS_STR("event: ")));
        }
        line = stop + 1;
    }
}

/* Run the answer of a call to its end, with text and tokens that are no UTF-8. */
static inline void fuzz_answer(krs_call *call, krs_finish finish)
{
    static const float vector[2] = {3, 4};
    static const uint32_t ids[2] = {1, 2};
    const krs_str pieces[2] = {KRS_STR("\xFF"), KRS_STR("\"")};
    const krs_logprob top = {1, -1.0F, {"\xFF", 1}};
    const krs_token token = {2, -0.5F, &top, 1, {"ab", 2}, 2, 0};
    krs_answer *a = NULL;
    krs_buf out;
    KRS_CHECK(krs_answer_new(call, &a) == KRS_OK);
    krs_buf_init(&out, NULL, 16u << 20);
    krs_stream_event event = {.text = KRS_STR("a\xC3\n\x01"), .tokens = &token, .n_tokens = 1};
    const uint32_t n = call->n_requests;
    const bool is_stream = call->is_stream;
    for (uint32_t i = 0; i < n; i++) {
        KRS_CHECK(krs_answer_add(a, i, &event, &out) == KRS_OK);
    }
    KRS_CHECK(krs_answer_heartbeat(a, &out) == KRS_OK);
    event = (krs_stream_event){.text = KRS_STR("b"),
                               .ids = ids,
                               .pieces = pieces,
                               .embedding = vector,
                               .n_ids = 2,
                               .n_embedding = 2,
                               .is_end = true,
                               .finish = finish,
                               .usage = {.stop = 1}};
    for (uint32_t i = 0; i < n; i++) {
        KRS_CHECK(krs_answer_add(a, i, &event, &out) == KRS_OK);
    }
    const bool is_failed = krs_answer_state_of(a) == KRS_ANSWER_FAILED;
    KRS_CHECK(is_failed || krs_answer_state_of(a) == KRS_ANSWER_DONE);
    if (is_stream) {
        fuzz_check_stream(out.data, out.len);
    } else if (!is_failed) {
        fuzz_check_object(out.data, out.len);
    }
    krs_buf_deinit(&out);
    krs_answer_free(a);
}

static inline void fuzz_refusal(krs_call_kind kind, const krs_error *err)
{
    krs_buf out;
    krs_buf_init(&out, NULL, 16u << 10);
    KRS_CHECK(err->status != KRS_OK && err->message[0] != '\0');
    KRS_CHECK(krs_call_error_write(kind, err, "id", &out) == KRS_OK);
    fuzz_check_object(out.data, out.len);
    krs_buf_deinit(&out);
}

static inline int fuzz_call(krs_call_kind kind, const uint8_t *data, size_t size)
{
    krs_model_info model = {.id = "m", .context_tokens = 100, .vocab = 1000, .hidden = 2};
    model.sampling = (krs_sampling)KRS_SAMPLING_INIT;
    const krs_call_context context = {.models = &model,
                                      .n_models = 1,
                                      .correlation_id = "id",
                                      .random = 1,
                                      .max_body_bytes = FUZZ_BODY_BYTES};
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_call_parse(&context, kind, (krs_str){(const char *)data, size}, &call, &err) !=
        KRS_OK) {
        KRS_CHECK(!call);
        fuzz_refusal(kind, &err);
        return 0;
    }
    for (const char *c = call->ignored; *c; c++) {
        KRS_CHECK(*c >= ' ' && *c < 0x7F);
    }
    for (uint32_t i = 0; i < call->n_requests; i++) {
        KRS_CHECK(krs_request_check(call->requests[i], NULL) == KRS_OK);
    }
    static const krs_finish finishes[] = {KRS_FINISH_STOP, KRS_FINISH_LENGTH, KRS_FINISH_ERROR};
    fuzz_answer(call, finishes[size % 3]);
    return 0;
}
