/* What backend.h promises for every backend on the host: names, limits, refused steps, the rules of
 * steps in flight, exact plans, and a decoder whose answer does not depend on how a prompt is cut. */
#include "compute/backend.h"

#include "support/cmocka.h"
#include "support/counted_alloc.h"
#include "support/tiny_decoder.h"

#include <stdlib.h>

#define N_TOKENS 37
#define N_BLOCKS 8

static const char *const names[] = {"ref", "cpu"};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

typedef struct fixture {
    tiny_decoder tiny;
    counted counted;
    krs_alloc alloc; /* counts there */
    krs_backend *backend;
    krs_exec *exec;
    krs_exec_limits limits;
    uint32_t tokens[N_TOKENS];
    uint32_t rows[N_TOKENS];
    uint32_t blocks[N_BLOCKS];
} fixture;

static void set_up(fixture *f, const char *name)
{
    const tiny_shape shape = tiny_shape_default();
    *f = (fixture){.limits = {N_TOKENS, 3, N_TOKENS, N_TOKENS, N_BLOCKS, KRS_DTYPE_F32, 0}};
    f->alloc = counted_alloc(&f->counted);
    tiny_decoder_init(&f->tiny, &shape);
    for (uint32_t i = 0; i < N_TOKENS; i++) {
        f->tokens[i] = (i * 29 + 3) % (uint32_t)shape.vocab;
        f->rows[i] = i;
    }
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        f->blocks[i] = N_BLOCKS - 1 - i; /* paged: not in order */
    }
    assert_int_equal(krs_backend_open(name, NULL, &f->alloc, &f->backend, NULL), KRS_OK);
    assert_int_equal(krs_exec_new(f->backend, &f->tiny.program, &f->limits, &f->exec, NULL),
                     KRS_OK);
}

static void tear_down(fixture *f)
{
    krs_exec_free(f->exec);
    krs_backend_close(f->backend);
    tiny_decoder_deinit(&f->tiny);
}

/* Run tokens [n_past, n_past + n_rows) of the one sequence; logits of all of them into out. */
static void run_rows(fixture *f, uint32_t n_past, uint32_t n_rows, float *out)
{
    const krs_step_seq seq = {0, n_rows, n_past, N_BLOCKS, f->blocks, 0};
    const krs_step step = {n_rows, 1, n_rows, 0, f->tokens + n_past, &seq, f->rows, NULL, 0, NULL};
    krs_step_result result;
    assert_int_equal(krs_exec_submit(f->exec, &step, NULL), KRS_OK);
    assert_int_equal(krs_exec_collect(f->exec, &result, NULL), KRS_OK);
    assert_int_equal(result.n_logit_rows, n_rows);
    const size_t vocab = (size_t)f->tiny.program.slots[f->tiny.program.logits].width;
    memcpy(out, result.logits, n_rows * vocab * sizeof(*out));
}

static const krs_dtype kv_dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16, KRS_DTYPE_I8};

#define N_KV_DTYPES (sizeof(kv_dtypes) / sizeof(kv_dtypes[0]))

/* The same backend with another KV type. */
static void change_kv(fixture *f, krs_dtype kv_dtype)
{
    f->limits.kv_dtype = kv_dtype;
    krs_exec_free(f->exec);
    f->counted.n_bytes = 0;
    assert_int_equal(krs_exec_new(f->backend, &f->tiny.program, &f->limits, &f->exec, NULL),
                     KRS_OK);
}

static void logits_are_the_same_bytes_however_a_prompt_is_cut(void **state)
{
    (void)state;
    enum { VOCAB = 101 };
    static float whole[N_TOKENS * VOCAB];
    static float cut[N_TOKENS * VOCAB];
    for (size_t i = 0; i < N_NAMES * N_KV_DTYPES; i++) {
        fixture f;
        set_up(&f, names[i % N_NAMES]);
        change_kv(&f, kv_dtypes[i / N_NAMES]);
        run_rows(&f, 0, N_TOKENS, whole);
        for (uint32_t chunk = 1; chunk < 9; chunk += 2) {
            for (uint32_t at = 0; at < N_TOKENS; at += chunk) {
                const uint32_t n = at + chunk < N_TOKENS ? chunk : N_TOKENS - at;
                run_rows(&f, at, n, cut + at * VOCAB);
            }
            assert_memory_equal(whole, cut, sizeof(whole));
        }
        assert_true(isfinite(whole[0]) && whole[0] != whole[1]);
        tear_down(&f);
    }
}

static void names_are_known_or_refused(void **state)
{
    (void)state;
    krs_backend *backend;
    krs_error err = KRS_ERROR_INIT;
    const krs_status cuda = krs_backend_open("cuda:0", NULL, NULL, &backend, &err);
    if (cuda == KRS_OK) { /* built with it, on a machine that has one */
        krs_backend_close(backend);
    } else {
        assert_int_equal(cuda, KRS_EUNSUPPORTED);
        assert_non_null(strstr(err.message, "CUDA"));
        assert_null(backend);
    }
    assert_int_equal(krs_backend_open("gpu", NULL, NULL, &backend, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "gpu"));
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = KRS_BACKEND_MAX_THREADS + 1;
    assert_int_equal(krs_backend_open("cpu", &options, NULL, &backend, &err), KRS_EINVAL);
    assert_string_equal(err.field, "n_threads");
    options.n_threads = 1;
    options.size--;
    assert_int_equal(krs_backend_open("cpu", &options, NULL, &backend, &err), KRS_EINVAL);
}

static void limits_out_of_range_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        krs_exec_limits bad[8];
        for (size_t k = 0; k < 8; k++) {
            bad[k] = f.limits;
        }
        bad[0].max_rows = 0;
        bad[1].max_rows = KRS_EXEC_MAX_ROWS + 1;
        bad[2].max_seqs = 0;
        bad[3].max_seqs = KRS_EXEC_MAX_SEQS + 1;
        bad[4].max_logit_rows = N_TOKENS + 1;
        bad[5].n_kv_blocks = 0;
        bad[6].kv_dtype = KRS_DTYPE_U32;
        bad[7].max_hidden_rows = N_TOKENS + 1;
        for (size_t k = 0; k < 8; k++) {
            krs_exec *exec;
            krs_exec_plan plan;
            krs_error err = KRS_ERROR_INIT;
            assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &bad[k], &exec, &err),
                             KRS_EINVAL);
            assert_null(exec);
            assert_true(err.field[0] != '\0');
            assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &bad[k], &plan, NULL),
                             KRS_EINVAL);
        }
        tear_down(&f);
    }
}

static void bad_steps_are_refused_and_leave_the_exec_usable(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        static float before[3 * 101];
        static float after[3 * 101];
        run_rows(&f, 0, 3, before);
        const uint32_t bad_block[] = {N_BLOCKS};
        const uint32_t bad_token[] = {0, 101, 0};
        const uint32_t falling[] = {1, 0, 2};
        const krs_step_seq good = {0, 3, 0, N_BLOCKS, f.blocks, 0};
        const krs_step_seq seqs[] = {
            {1, 3, 0, N_BLOCKS, f.blocks, 0},    /* rows do not start at 0 */
            {0, 2, 0, N_BLOCKS, f.blocks, 0},    /* a row of nobody */
            {0, 4, 0, N_BLOCKS, f.blocks, 0},    /* more rows than the step has */
            {0, 0, 0, N_BLOCKS, f.blocks, 0},    /* no rows */
            {0, 3, 14, 1, f.blocks, 0},          /* blocks for 16 tokens, 17 needed */
            {0, 3, 0, 1, bad_block, 0},          /* block out of range */
            {0, 3, 1022, N_BLOCKS, f.blocks, 0}, /* past max_positions */
            {0, 3, UINT32_MAX, N_BLOCKS, f.blocks, 0},
        };
        const size_t n_seqs = sizeof(seqs) / sizeof(seqs[0]);
        krs_error err = KRS_ERROR_INIT;
        for (size_t k = 0; k < n_seqs; k++) {
            const krs_step step = {3, 1, 3, 0, f.tokens, &seqs[k], f.rows, NULL, 0, NULL};
            assert_int_equal(krs_exec_submit(f.exec, &step, &err), KRS_EINVAL);
        }
        const krs_step steps[] = {
            {0, 1, 0, 0, f.tokens, &good, f.rows, NULL, 0, NULL},
            {N_TOKENS + 1, 1, 3, 0, f.tokens, &good, f.rows, NULL, 0, NULL},
            {3, 0, 3, 0, f.tokens, &good, f.rows, NULL, 0, NULL},
            {3, 4, 3, 0, f.tokens, &good, f.rows, NULL, 0, NULL},
            {3, 1, N_TOKENS + 1, 0, f.tokens, &good, f.rows, NULL, 0, NULL},
            {3, 1, 3, 0, bad_token, &good, f.rows, NULL, 0, NULL},
            {3, 1, 3, 0, f.tokens, &good, falling, NULL, 0, NULL},
            {3, 1, 1, 0, f.tokens, &good, f.rows + 3, NULL, 0, NULL},
            {3, 1, 3, N_TOKENS + 1, f.tokens, &good, f.rows, f.rows, 0, NULL},
            {3, 1, 3, 3, f.tokens, &good, f.rows, falling, 0, NULL},
            {3, 1, 3, 1, f.tokens, &good, f.rows, f.rows + 3, 0, NULL},
        };
        for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
            assert_int_equal(krs_exec_submit(f.exec, &steps[k], &err), KRS_EINVAL);
        }
        krs_step_result result;
        assert_int_equal(krs_exec_collect(f.exec, &result, NULL), KRS_EAGAIN);
        run_rows(&f, 0, 3, after);
        assert_memory_equal(before, after, sizeof(before));
        tear_down(&f);
    }
}

static void two_steps_may_be_in_flight_and_come_back_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        static float expected[2 * 101];
        run_rows(&f, 0, 2, expected);
        const krs_step_seq seqs[] = {{0, 1, 0, 1, f.blocks, 0}, {0, 1, 1, 1, f.blocks, 0}};
        const krs_step steps[] = {{1, 1, 1, 0, f.tokens, &seqs[0], f.rows, NULL, 0, NULL},
                                  {1, 1, 1, 0, f.tokens + 1, &seqs[1], f.rows, NULL, 0, NULL}};
        krs_step_result result;
        assert_int_equal(krs_exec_submit(f.exec, &steps[0], NULL), KRS_OK);
        assert_int_equal(krs_exec_submit(f.exec, &steps[1], NULL), KRS_OK);
        assert_int_equal(krs_exec_submit(f.exec, &steps[1], NULL), KRS_EBUSY);
        assert_int_equal(krs_exec_collect(f.exec, &result, NULL), KRS_OK);
        assert_memory_equal(result.logits, expected, 101 * sizeof(float));
        assert_int_equal(krs_exec_collect(f.exec, &result, NULL), KRS_OK);
        assert_memory_equal(result.logits, expected + 101, 101 * sizeof(float));
        assert_int_equal(krs_exec_collect(f.exec, &result, NULL), KRS_EAGAIN);
        tear_down(&f);
    }
}

static void a_step_may_want_no_logits(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        const krs_step_seq seq = {0, 5, 0, 1, f.blocks, 0};
        const krs_step step = {5, 1, 0, 0, f.tokens, &seq, NULL, NULL, 0, NULL};
        krs_step_result result;
        assert_int_equal(krs_exec_submit(f.exec, &step, NULL), KRS_OK);
        assert_int_equal(krs_exec_collect(f.exec, &result, NULL), KRS_OK);
        assert_int_equal(result.n_logit_rows, 0);
        tear_down(&f);
    }
}

/* Tokens [n_past, n_past + n_rows), wanting the hidden states of all of them, and logits of the last
 * n_logits. */
static krs_step_result run_hidden(fixture *f, uint32_t n_past, uint32_t n_rows, uint32_t n_logits)
{
    const krs_step_seq seq = {0, n_rows, n_past, N_BLOCKS, f->blocks, 0};
    const krs_step step = {
        .n_rows = n_rows,
        .n_seqs = 1,
        .n_logit_rows = n_logits,
        .n_hidden_rows = n_rows,
        .tokens = f->tokens + n_past,
        .seqs = &seq,
        .logit_rows = f->rows + n_rows - n_logits,
        .hidden_rows = f->rows,
    };
    krs_step_result result;
    assert_int_equal(krs_exec_submit(f->exec, &step, NULL), KRS_OK);
    assert_int_equal(krs_exec_collect(f->exec, &result, NULL), KRS_OK);
    assert_int_equal(result.n_hidden_rows, n_rows);
    assert_int_equal(result.n_logit_rows, n_logits);
    return result;
}

static void hidden_states_are_the_same_bytes_however_a_prompt_is_cut(void **state)
{
    (void)state;
    enum { HIDDEN = 52 };
    static float whole[N_TOKENS * HIDDEN];
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        memcpy(whole, run_hidden(&f, 0, N_TOKENS, 0).hidden, sizeof(whole));
        assert_true(isfinite(whole[0]) && whole[0] != whole[HIDDEN]);
        for (uint32_t chunk = 1; chunk < 9; chunk += 2) {
            for (uint32_t at = 0; at < N_TOKENS; at += chunk) {
                const uint32_t n = at + chunk < N_TOKENS ? chunk : N_TOKENS - at;
                const krs_step_result result = run_hidden(&f, at, n, at % 2);
                assert_memory_equal(result.hidden, whole + at * HIDDEN,
                                    n * HIDDEN * sizeof(*whole));
            }
        }
        tear_down(&f);
    }
}

/* The decoder's head is its embedding, f32: logits = embedding * hidden state, to rounding. */
static void logits_are_the_head_of_the_hidden_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        const krs_program *program = &f.tiny.program;
        const krs_matrix *head = &program->matrices[program->ops[program->n_ops - 1].matrix];
        const int64_t width = program->slots[program->hidden].width;
        const krs_step_result result = run_hidden(&f, 0, N_TOKENS, 2);
        float row[52];
        for (int64_t o = 0; o < head->n_out; o++) {
            krs_matrix_row(head, o, row);
            for (uint32_t k = 0; k < 2; k++) {
                const float *hidden = result.hidden + (N_TOKENS - 2 + k) * width;
                double want = 0;
                for (int64_t d = 0; d < width; d++) {
                    want += (double)row[d] * (double)hidden[d];
                }
                assert_true(fabs((double)result.logits[k * head->n_out + o] - want) < 1e-4);
            }
        }
        tear_down(&f);
    }
}

static void hidden_states_not_asked_for_at_the_start_cost_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        fixture f;
        set_up(&f, names[i]);
        krs_exec_limits limits = f.limits;
        krs_exec_plan with;
        krs_exec_plan without;
        krs_exec_plan never;
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &limits, &with, NULL),
                         KRS_OK);
        limits.max_hidden_rows = 0;
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &limits, &without, NULL),
                         KRS_OK);
        krs_exec_free(f.exec);
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &limits, &f.exec, NULL), KRS_OK);
        const krs_step_seq seq = {0, 3, 0, N_BLOCKS, f.blocks, 0};
        const krs_step step = {3, 1, 1, 1, f.tokens, &seq, f.rows, f.rows, 0, NULL};
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_exec_submit(f.exec, &step, &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, "hidden"));
        f.tiny.program.hidden = KRS_NO_SLOT;
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &limits, &never, NULL),
                         KRS_OK);
        assert_int_equal(without.scratch_bytes, never.scratch_bytes);
        assert_int_equal(with.scratch_bytes - without.scratch_bytes,
                         KRS_EXEC_MAX_IN_FLIGHT * ((N_TOKENS * 52 * sizeof(float) + 63) / 64 * 64));
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &f.limits, &never, &err),
                         KRS_EUNSUPPORTED);
        assert_string_equal(err.field, "max_hidden_rows");
        tear_down(&f);
    }
}

static void the_plan_is_exact_and_steps_allocate_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES * N_KV_DTYPES; i++) {
        fixture f;
        set_up(&f, names[i % N_NAMES]);
        change_kv(&f, kv_dtypes[i / N_NAMES]);
        krs_exec_plan plan;
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &f.limits, &plan, NULL),
                         KRS_OK);
        assert_int_equal(f.counted.n_bytes, plan.kv_bytes + plan.scratch_bytes + plan.copied_bytes);
        f.counted.n_takes = 0;
        static float out[N_TOKENS * 101];
        run_rows(&f, 0, N_TOKENS, out);
        assert_int_equal(f.counted.n_takes, 0);
        assert_true(plan.weight_bytes > 101 * 52 * sizeof(float));
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_same_bytes_however_a_prompt_is_cut),
        cmocka_unit_test(names_are_known_or_refused),
        cmocka_unit_test(limits_out_of_range_are_refused),
        cmocka_unit_test(bad_steps_are_refused_and_leave_the_exec_usable),
        cmocka_unit_test(two_steps_may_be_in_flight_and_come_back_in_order),
        cmocka_unit_test(a_step_may_want_no_logits),
        cmocka_unit_test(hidden_states_are_the_same_bytes_however_a_prompt_is_cut),
        cmocka_unit_test(logits_are_the_head_of_the_hidden_state),
        cmocka_unit_test(hidden_states_not_asked_for_at_the_start_cost_nothing),
        cmocka_unit_test(the_plan_is_exact_and_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
