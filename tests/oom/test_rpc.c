/* oom/test_rpc.c - every allocation of a JSON-RPC session fails once: nothing leaks, and the session goes on or says
 * that it cannot. */
#include "unit/front/rpc_fixture.h"
#include "wire/msgpack.h"

/* A session of its own over the fixture's service, on the failing allocator. */
static krs_status talk(const krs_alloc *alloc, void *ctx)
{
    fixture *f = ctx;
    krs_rpc_desk *desk = NULL;
    krs_rpc_desk_options options = f->desk->options;
    options.alloc = alloc;
    krs_status status = krs_rpc_desk_new(&options, &desk);
    krs_rpc_session *own = f->session;
    f->session = NULL;
    f->n_read = 0;
    if (status == KRS_OK) {
        const krs_rpc_session_options session = {f, 64u << 10};
        status = krs_rpc_session_new(desk, &session, &f->session);
    }
    if (status == KRS_OK) {
        ask(f, "generate",
            "{\"model_id\":\"fake\",\"prompt\":\"hi\",\"stream_id\":\"s\",\"stop_sequences\":["
            "\"a\"]}");
        ask(f, "continuous_generate", "{\"model_id\":\"fake\",\"prompt_tokens\":[1,2]}");
        ask(f, "batch_generate_parallel",
            "{\"requests\":[{\"model_id\":\"fake\",\"prompt\":\"x\"}]}");
        ask(f, "batch_tokenize", "{\"requests\":[{\"model_id\":\"fake\",\"text\":\"x\"}]}");
        ask(f, "load_model", "{\"model_id\":\"tests\"}");
        ask(f, "events.subscribe", "{\"topics\":[\"*\"]}");
        for (uint32_t i = 0; i < f->n_opened; i++) {
            if (f->streams[i].request->task == KRS_TASK_GENERATE) {
                tell_token(f, i, 5, "token");
            }
            tell_end(f, i, KRS_FINISH_STOP);
        }
        sent_all(f);
    }
    krs_rpc_session_free(f->session);
    krs_rpc_desk_free(desk);
    for (uint32_t i = 0; i < f->n_opened; i++) {
        krs_request_free(f->streams[i].request);
    }
    f->n_opened = f->n_open = 0;
    f->session = own;
    return status;
}

static void a_session_survives_any_failed_allocation(void **state)
{
    assert_true(krs_oom_sweep(talk, *state) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_survives_any_failed_allocation, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
