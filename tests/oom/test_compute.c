/* Every allocation of a program, a backend and an exec failing once; none during a step. */
#include "support/cmocka.h"
#include "support/oom.h"
#include "support/tiny_encoder.h"
#include "support/tiny_moe.h"

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

/* Experts, a convolution and a delta rule: what they take beside the rest. */
static krs_status use_states(const krs_alloc *alloc, void *ctx)
{
    static const krs_exec_limits limits = {4, 1, 4, 0, 1, KRS_DTYPE_F16, 2};
    static const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    static const tiny_mixture mixture = {.n_experts = 3, .top_k = 2, .ffn = 8, .n_groups = 1};
    tiny_decoder tiny = {.random = 9};
    krs_program *program = &tiny.program;
    krs_program_init(program, NULL);
    program->max_positions = 16;
    krs_slot x = tiny_slot(&tiny, 12, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(&tiny, &f32, 5, 12, 0, 1.0f);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f, 0}});
    x = tiny_conv(&tiny, &f32, tiny_experts(&tiny, &f32, &mixture, x), 3, true);
    x = tiny_delta(&tiny, &f32, &(tiny_heads){1, 2, 4, 4}, x);
    program->logits = tiny_slot(&tiny, 8, KRS_ROWS_LOGITS);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = x, .out = program->logits});
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = 2;
    krs_backend *backend = NULL;
    krs_exec *exec = NULL;
    krs_status status = krs_backend_open(ctx, &options, alloc, &backend, NULL);
    if (status == KRS_OK) {
        status = krs_exec_new(backend, program, &limits, &exec, NULL);
        assert_true((status == KRS_OK) == (exec != NULL));
    }
    krs_exec_free(exec);
    krs_backend_close(backend);
    tiny_decoder_deinit(&tiny);
    return status;
}

/* Rows that see each other, no KV, a text in one step. */
static krs_status use_encoder(const krs_alloc *alloc, void *ctx)
{
    static const krs_exec_limits limits = {
        .max_rows = 3, .max_seqs = 1, .max_hidden_rows = 3, .kv_dtype = KRS_DTYPE_F32};
    static const uint32_t tokens[] = {3, 1, 4};
    static const uint32_t rows[] = {0, 1, 2};
    static const krs_step_seq seq = {.n_rows = 3};
    static const krs_step step = {.n_rows = 3,
                                  .n_seqs = 1,
                                  .n_hidden_rows = 3,
                                  .tokens = tokens,
                                  .seqs = &seq,
                                  .hidden_rows = rows};
    tiny_decoder tiny;
    tiny_encoder_init(&tiny);
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = 2;
    krs_backend *backend = NULL;
    krs_exec *exec = NULL;
    krs_step_result result;
    krs_status status = krs_backend_open(ctx, &options, alloc, &backend, NULL);
    if (status == KRS_OK) {
        status = krs_exec_new(backend, &tiny.program, &limits, &exec, NULL);
        assert_true((status == KRS_OK) == (exec != NULL));
    }
    if (status == KRS_OK) {
        status = krs_exec_submit(exec, &step, NULL);
    }
    if (status == KRS_OK) {
        status = krs_exec_collect(exec, &result, NULL);
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
    assert_true(krs_oom_sweep(use_states, ref) == 5);  /* and the states */
    assert_true(krs_oom_sweep(use_states, cpu) == 7);
    assert_true(krs_oom_sweep(use_encoder, ref) > 1);
    assert_true(krs_oom_sweep(use_encoder, cpu) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_survive),
        cmocka_unit_test(backends_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
