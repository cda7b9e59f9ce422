/* fuzz/fuzz_openai.c - any bytes as the body of an API call: refused with a field, or requests that pass
 * their own check and answers that are JSON. The first byte chooses chat or completion. */
#include "base/check.h"
#include "front/call.h"

#define FUZZ_BODY_BYTES (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Run the answer of a call to its end and require that it ends. */
static void answer(krs_call *call)
{
    krs_answer *a = NULL;
    KRS_CHECK(krs_answer_new(call, &a) == KRS_OK);
    krs_buf out;
    krs_buf_init(&out, NULL, 1u << 20);
    const krs_logprob top = {1, -1.0F, {"\xFF", 1}};
    const krs_token token = {2, -0.5F, &top, 1, {"ab", 2}};
    const krs_stream_event event = {.text = KRS_STR("a\xC3"),
                                    .tokens = &token,
                                    .n_tokens = 1,
                                    .is_end = true,
                                    .finish = KRS_FINISH_STOP};
    const bool is_stream = call->is_stream;
    const uint32_t n = call->n_requests;
    for (uint32_t i = 0; i < n; i++) {
        KRS_CHECK(krs_answer_add(a, i, &event, &out) == KRS_OK);
    }
    KRS_CHECK(krs_answer_state_of(a) == KRS_ANSWER_DONE);
    if (!is_stream) {
        json_t *tree = json_loadb(out.data, out.len, 0, NULL);
        KRS_CHECK(tree && json_array_size(json_object_get(tree, "choices")) == n);
        json_decref(tree);
    }
    krs_buf_deinit(&out);
    krs_answer_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    krs_model_info model = {.id = "m", .context_tokens = 100, .vocab = 1000};
    model.sampling = (krs_sampling)KRS_SAMPLING_INIT;
    const krs_call_context context = {.models = &model,
                                      .n_models = 1,
                                      .correlation_id = "id",
                                      .random = 1,
                                      .max_body_bytes = FUZZ_BODY_BYTES};
    const krs_str body = {(const char *)data + 1, size - 1};
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_call_kind kind = data[0] % 2 ? KRS_CALL_COMPLETION : KRS_CALL_CHAT;
    if (krs_call_parse(&context, kind, body, &call, &err) != KRS_OK) {
        KRS_CHECK(!call && err.status != KRS_OK && err.message[0] != '\0');
        return 0;
    }
    for (uint32_t i = 0; i < call->n_requests; i++) {
        KRS_CHECK(krs_request_check(call->requests[i], NULL) == KRS_OK);
    }
    answer(call);
    return 0;
}
