/* oom/test_front.c - every allocation of parsing a call and of answering it fails once: an error, no leak. */
#include "front/call.h"
#include "server/server.h"
#include "support/oom.h"

static const char chat[] =
    "{\"model\":\"m\",\"n\":2,\"stop\":[\"a\",\"b\"],\"stop_token_ids\":[1],\"logit_bias\":{\"1\":"
    "2},"
    "\"logprobs\":true,\"top_logprobs\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char completion[] =
    "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"logprobs\":1,\"max_tokens\":3}";

typedef struct work {
    krs_call_kind kind;
    krs_str body;
} work;

static krs_status answer_call(krs_call *call, const krs_alloc *alloc)
{
    krs_answer *answer = NULL;
    krs_status status = krs_answer_new(call, &answer);
    if (status != KRS_OK) {
        krs_call_free(call);
        return status;
    }
    krs_buf out;
    krs_buf_init(&out, alloc, 1u << 20);
    const krs_logprob top = {1, -1.0F, {"x", 1}};
    const krs_token token = {2, -0.5F, &top, 1, {"ab", 2}};
    const krs_stream_event event = {.text = KRS_STR("ab"),
                                    .tokens = &token,
                                    .n_tokens = 1,
                                    .is_end = true,
                                    .finish = KRS_FINISH_STOP};
    const uint32_t n = call->n_requests;
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = krs_answer_add(answer, i, &event, &out);
    }
    krs_buf_deinit(&out);
    krs_answer_free(answer);
    return status;
}

static krs_status parse_and_answer(const krs_alloc *alloc, void *ctx)
{
    const work *w = ctx;
    krs_model_info model = {.id = "m", .context_tokens = 100, .vocab = 1000};
    model.sampling = (krs_sampling)KRS_SAMPLING_INIT;
    const krs_call_context context = {.models = &model,
                                      .n_models = 1,
                                      .correlation_id = "id",
                                      .max_body_bytes = 1u << 20,
                                      .alloc = alloc};
    krs_call *call = NULL;
    const krs_status status = krs_call_parse(&context, w->kind, w->body, &call, NULL);
    return status == KRS_OK ? answer_call(call, alloc) : status;
}

static void chat_survives(void **state)
{
    (void)state;
    work w = {KRS_CALL_CHAT, KRS_STR(chat)};
    krs_oom_sweep(parse_and_answer, &w);
}

static void completion_survives(void **state)
{
    (void)state;
    work w = {KRS_CALL_COMPLETION, KRS_STR(completion)};
    krs_oom_sweep(parse_and_answer, &w);
}

static krs_status parse_http(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    const krs_http_limits limits = {KRS_HTTP_MAX_HEAD_BYTES, 4096};
    const krs_str in = KRS_STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    krs_http_parser parser;
    krs_http_parser_init(&parser, alloc, &limits);
    for (size_t used = 0; used < in.len && parser.phase <= KRS_HTTP_BODY;) {
        used += krs_http_feed(&parser, in.ptr + used, in.len - used);
    }
    const krs_http_phase phase = parser.phase;
    const int fail_status = parser.fail_status;
    krs_http_parser_deinit(&parser);
    assert_true(phase == KRS_HTTP_DONE || fail_status == 503);
    return phase == KRS_HTTP_DONE ? KRS_OK : KRS_ENOMEM;
}

static void http_parser_answers_503(void **state)
{
    (void)state;
    krs_oom_sweep(parse_http, NULL);
}

/* Opening needs no runtime; nothing is served. */
static krs_status open_server(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.port = 0;
    options.n_io_threads = 2;
    krs_server *server = NULL;
    const krs_status status = krs_server_open(&options, NULL, alloc, &server, NULL);
    krs_server_free(server);
    return status;
}

static void server_opens_whole_or_not_at_all(void **state)
{
    (void)state;
    krs_oom_sweep(open_server, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_survives),
        cmocka_unit_test(completion_survives),
        cmocka_unit_test(http_parser_answers_503),
        cmocka_unit_test(server_opens_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
