/* Every allocation of a program, a backend and an exec failing once; none during a step. */
#include "support/cmocka.h"
#include "support/oom.h"
#include "support/tiny_decoder.h"

static krs_status build_program(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_program program;
    krs_program_init(&program, alloc);
    const krs_op op = {.kind = KRS_OP_ADD};
    const krs_matrix matrix = {.n_out = 1, .n_in = 1};
    const float value = 1.0f;
    krs_status status = KRS_OK;
    for (int i = 0; i < 300 && status == KRS_OK; i++) {
        uint32_t index;
        status = krs_program_add_op(&program, &op);
        if (status == KRS_OK) {
            status = krs_program_add_matrix(&program, &matrix, &index);
        }
        if (status == KRS_OK && i < 3) {
            status = krs_program_add_floats(&program, &value, 1, &index);
        }
    }
    krs_program_deinit(&program);
    return status;
}

static krs_status run_step(krs_exec *exec)
{
    const uint32_t tokens[] = {1, 2, 3};
    const uint32_t block = 0;
    const uint32_t row = 2;
    const krs_step_seq seq = {0, 3, 0, 1, &block, 0};
    const krs_step step = {3, 1, 1, 1, tokens, &seq, &row, &row, 0, NULL};
    krs_step_result result;
    krs_status status = krs_exec_submit(exec, &step, NULL);
    if (status == KRS_OK) {
        status = krs_exec_collect(exec, &result, NULL);
    }
    return status;
}

static krs_status use_backend(const krs_alloc *alloc, void *ctx)
{
    static const krs_exec_limits limits = {4, 1, 4, 4, 2, KRS_DTYPE_F16, 0};
    const char *name = ctx;
    tiny_decoder tiny;
    const tiny_shape shape = tiny_shape_default();
    tiny_decoder_init(&tiny, &shape);
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = 2;
    krs_backend *backend = NULL;
    krs_exec *exec = NULL;
    krs_status status = krs_backend_open(name, &options, alloc, &backend, NULL);
    if (status == KRS_OK) {
        status = krs_exec_new(backend, &tiny.program, &limits, &exec, NULL);
        assert_true((status == KRS_OK) == (exec != NULL));
    }
    if (status == KRS_OK) {
        status = run_step(exec);
    }
    krs_exec_free(exec);
    krs_backend_close(backend);
    tiny_decoder_deinit(&tiny);
    return status;
}

static void programs_survive(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(build_program, NULL) > 5);
}

static void backends_survive(void **state)
{
    (void)state;
    char ref[] = "ref";
    char cpu[] = "cpu";
    assert_true(krs_oom_sweep(use_backend, ref) == 4); /* backend, scratch, KV; then none fails */
    assert_true(krs_oom_sweep(use_backend, cpu) == 6); /* and the team, the vectors */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_survive),
        cmocka_unit_test(backends_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
