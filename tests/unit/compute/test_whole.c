/* Programs whose rows see each other: a text is one step, gives hidden states and no logits, needs no KV,
 * and whatever else is asked of it is refused by name. */
#include "support/cmocka.h"
#include "support/counted_alloc.h"
#include "support/tiny_encoder.h"

#include <stdlib.h>

enum { N_ROWS = 7 };

static const char *const names[] = {"ref", "cpu"};
static const krs_exec_limits limits = {
    .max_rows = N_ROWS, .max_seqs = 2, .max_hidden_rows = N_ROWS, .kv_dtype = KRS_DTYPE_F32};
static const uint32_t tokens[N_ROWS] = {3, 1, 4, 1, 5, 8, 2};
static const uint32_t rows[N_ROWS] = {0, 1, 2, 3, 4, 5, 6};

typedef struct fixture {
    tiny_decoder tiny;
    krs_backend *backend;
} fixture;

static void set_up(fixture *f, const char *name)
{
    tiny_encoder_init(&f->tiny);
    assert_int_equal(krs_backend_open(name, NULL, NULL, &f->backend, NULL), KRS_OK);
}

static void tear_down(fixture *f)
{
    krs_backend_close(f->backend);
    tiny_decoder_deinit(&f->tiny);
}

static void a_text_is_one_step_without_kv_or_logits(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        krs_exec *exec;
        krs_exec_plan plan;
        krs_step_result result;
        krs_error err = KRS_ERROR_INIT;
        set_up(&f, names[i]);
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &limits, &plan, &err),
                         KRS_OK);
        assert_true(plan.kv_bytes <= 64); /* alignment */
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &limits, &exec, &err), KRS_OK);
        krs_step_seq seqs[] = {{.n_rows = 4}, {.row_begin = 4, .n_rows = 3}};
        const krs_step step = {.n_rows = N_ROWS,
                               .n_seqs = 2,
                               .n_hidden_rows = N_ROWS,
                               .tokens = tokens,
                               .seqs = seqs,
                               .hidden_rows = rows};
        seqs[1].n_past = 4;
        assert_int_equal(krs_exec_submit(exec, &step, &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, "one step"));
        seqs[1].n_past = 0;
        assert_int_equal(krs_exec_submit(exec, &step, &err), KRS_OK);
        assert_int_equal(krs_exec_collect(exec, &result, &err), KRS_OK);
        assert_int_equal(result.n_hidden_rows, N_ROWS);
        assert_int_equal(result.n_logit_rows, 0);
        krs_exec_free(exec);
        tear_down(&f);
    }
}

/* Token by token the rows would see only what came before: the rows after them must matter. */
static void a_row_depends_on_the_rows_after_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        krs_exec *exec;
        krs_step_result result;
        float first[2];
        set_up(&f, names[i]);
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &limits, &exec, NULL), KRS_OK);
        for (uint32_t n = 4; n <= 5; n++) {
            const krs_step_seq seq = {.n_rows = n};
            const krs_step step = {.n_rows = n,
                                   .n_seqs = 1,
                                   .n_hidden_rows = n,
                                   .tokens = tokens,
                                   .seqs = &seq,
                                   .hidden_rows = rows};
            assert_int_equal(krs_exec_submit(exec, &step, NULL), KRS_OK);
            assert_int_equal(krs_exec_collect(exec, &result, NULL), KRS_OK);
            first[n - 4] = result.hidden[0];
        }
        assert_true(first[0] != first[1]);
        krs_exec_free(exec);
        tear_down(&f);
    }
}

static void what_a_program_does_not_give_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        krs_exec *exec;
        krs_error err = KRS_ERROR_INIT;
        set_up(&f, names[i]);
        krs_exec_limits bad = limits;
        bad.max_logit_rows = 1;
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &bad, &exec, &err),
                         KRS_EUNSUPPORTED);
        assert_string_equal(err.field, "max_logit_rows");
        assert_null(exec);
        tear_down(&f);
        const tiny_shape shape = tiny_shape_default();
        tiny_decoder_init(&f.tiny, &shape);
        assert_int_equal(krs_backend_open(names[i], NULL, NULL, &f.backend, NULL), KRS_OK);
        bad.max_logit_rows = 0; /* this one gives them, and keeps KV */
        bad.n_kv_blocks = 1;
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &bad, &exec, &err), KRS_EINVAL);
        assert_string_equal(err.field, "max_logit_rows");
        bad.max_logit_rows = 1;
        bad.n_kv_blocks = 0;
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &bad, &exec, &err), KRS_EINVAL);
        assert_string_equal(err.field, "n_kv_blocks");
        tear_down(&f);
    }
}

static void the_plan_is_exact_and_steps_allocate_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        counted c = {0, 0};
        const krs_alloc alloc = counted_alloc(&c);
        tiny_decoder tiny;
        krs_backend *backend;
        krs_exec *exec;
        krs_exec_plan plan;
        krs_step_result result;
        tiny_encoder_init(&tiny);
        assert_int_equal(krs_backend_open(names[i], NULL, &alloc, &backend, NULL), KRS_OK);
        assert_int_equal(krs_exec_plan_of(backend, &tiny.program, &limits, &plan, NULL), KRS_OK);
        c = (counted){0, 0};
        assert_int_equal(krs_exec_new(backend, &tiny.program, &limits, &exec, NULL), KRS_OK);
        assert_int_equal(c.n_bytes, plan.kv_bytes + plan.scratch_bytes + plan.copied_bytes);
        c.n_takes = 0;
        const krs_step_seq seqs[] = {{.n_rows = 5}, {.row_begin = 5, .n_rows = 2}};
        const krs_step step = {.n_rows = N_ROWS,
                               .n_seqs = 2,
                               .n_hidden_rows = N_ROWS,
                               .tokens = tokens,
                               .seqs = seqs,
                               .hidden_rows = rows};
        assert_int_equal(krs_exec_submit(exec, &step, NULL), KRS_OK);
        assert_int_equal(krs_exec_collect(exec, &result, NULL), KRS_OK);
        assert_int_equal(c.n_takes, 0);
        krs_exec_free(exec);
        krs_backend_close(backend);
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_one_step_without_kv_or_logits),
        cmocka_unit_test(a_row_depends_on_the_rows_after_it),
        cmocka_unit_test(what_a_program_does_not_give_is_refused),
        cmocka_unit_test(the_plan_is_exact_and_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
