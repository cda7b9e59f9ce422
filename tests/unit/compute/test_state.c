/* Ops that carry a state: numbers worked out by hand, lies about them; and the slots that states lie in:
 * begun with zeros, kept over steps, copied to checkpoints and back. */
#include "support/op_values.h"
#include "support/tiny_moe.h"

static void a_convolution_sees_the_rows_before(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float x[] = {1, 1, 2, -1, 3, 0};
    krs_op op = {.kind = KRS_OP_CONV, .conv = {3, KRS_ACT_RELU, 0}};
    op.in = given_rows(&tiny, 3, 2, x);
    op.out = tiny_slot(&tiny, 2, KRS_ROWS_ALL);
    op.matrix = given(&tiny, 2, 3, (const float[]){1, 2, 3, 0, 1, -1});
    op.bias = given(&tiny, 1, 2, (const float[]){0.5f, 0});
    tiny.program.state_floats = 4;
    tiny_op(&tiny, op);
    const float want[] = {3.5f, 0, 8.5f, 2, 14.5f, 0};
    expect(&tiny, op.out, 3, want);
}

/* Decay 1/2 (softplus(0) = ln 2), beta 1/2, unit keys 1, 1, -1 and values 4, 0, 1:
 * S = 2; S = 1 - 1/2; S = 1/4 - (1/2)(1 + 1/4). */
static void the_delta_rule_corrects_what_it_knows(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float qkv[] = {3, 2, 4, 5, 1, 0, -1, -7, 1};
    const float zeros[] = {0, 0, 0};
    krs_op op = {.kind = KRS_OP_DELTA, .delta = {1, 1, 1, 1, 2.0f, 0, 0}};
    op.in = given_rows(&tiny, 3, 3, qkv);
    op.in2 = given_rows(&tiny, 3, 1, zeros);
    op.in3 = given_rows(&tiny, 3, 1, zeros);
    op.out = tiny_slot(&tiny, 1, KRS_ROWS_ALL);
    op.matrix = given(&tiny, 1, 1, zeros);
    op.bias = given(&tiny, 1, 1, zeros);
    tiny.program.state_floats = 1;
    tiny_op(&tiny, op);
    const float want[] = {2 * 2, 2 * 0.5f, -2 * -0.375f}; /* q is unit too, times the scale 2 */
    expect(&tiny, op.out, 3, want);
}

enum { WIDTH = 24, TOKENS = 8, SLOTS = 3 };

/* A convolution and a delta rule over random rows; states of both. */
static void build(tiny_decoder *tiny)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    start(tiny);
    const krs_slot x = tiny_slot(tiny, WIDTH, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, TOKENS, WIDTH, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f, 0}});
    const krs_slot y = tiny_conv(tiny, &f32, x, 4, true);
    parity_take_out(tiny, tiny_delta(tiny, &f32, &(tiny_heads){2, 4, 8, 6}, y));
}

typedef struct fixture {
    tiny_decoder tiny;
    krs_backend *backend;
    krs_exec *exec;
    krs_exec_limits limits;
    size_t width;
} fixture;

static const char *const devices[] = {"ref", "cpu"};

static void set_up(fixture *f, const char *device)
{
    krs_error err = KRS_ERROR_INIT;
    build(&f->tiny);
    f->limits = (krs_exec_limits){16, 2, 16, 0, 4, KRS_DTYPE_F32, SLOTS};
    f->width = (size_t)f->tiny.program.slots[f->tiny.program.logits].width;
    assert_int_equal(krs_backend_open(device, NULL, NULL, &f->backend, NULL), KRS_OK);
    if (krs_exec_new(f->backend, &f->tiny.program, &f->limits, &f->exec, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
}

static void tear_down(fixture *f)
{
    krs_exec_free(f->exec);
    krs_backend_close(f->backend);
    tiny_decoder_deinit(&f->tiny);
}

/* Tokens [n_past, n_past + n) of the one sequence, its state in `slot`. */
static void feed(fixture *f, uint32_t n_past, uint32_t n, uint32_t slot, const krs_state_copy *copy,
                 float *out)
{
    static const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    const krs_step_seq seq = {.n_rows = n, .n_past = n_past, .state = slot};
    const krs_step step = {
        .n_rows = n,
        .n_seqs = 1,
        .n_logit_rows = n,
        .tokens = all + n_past,
        .seqs = &seq,
        .logit_rows = all,
        .n_copies = copy ? 1 : 0,
        .copies = copy,
    };
    if (krs_exec_submit(f->exec, &step, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_exec_collect(f->exec, &result, NULL), KRS_OK);
    memcpy(out, result.logits, n * f->width * sizeof(*out));
}

static void a_state_restored_is_one_never_interrupted(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        float whole[TOKENS * 24];
        float again[TOKENS * 24];
        set_up(&f, devices[i]);
        assert_int_equal(f.width, 24);
        feed(&f, 0, TOKENS, 0, NULL, whole);
        /* In another slot, checkpointed after 5; then back to it, in a third. */
        feed(&f, 0, 5, 1, NULL, again);
        feed(&f, 5, 3, 1, &(krs_state_copy){1, 2}, again + 5 * f.width);
        assert_memory_equal(whole, again, sizeof(whole));
        memset(again, 0, sizeof(again));
        feed(&f, 5, 3, 0, &(krs_state_copy){2, 0}, again);
        assert_memory_equal(whole + 5 * f.width, again, 3 * f.width * sizeof(float));
        /* The checkpoint is still what it was. */
        feed(&f, 5, 2, 1, &(krs_state_copy){2, 1}, again);
        assert_memory_equal(whole + 5 * f.width, again, 2 * f.width * sizeof(float));
        tear_down(&f);
    }
}

static void a_new_sequence_begins_with_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        float first[TOKENS * 24];
        float second[TOKENS * 24];
        set_up(&f, devices[i]);
        feed(&f, 0, TOKENS, 1, NULL, first);
        feed(&f, 0, TOKENS, 1, NULL, second); /* in the slot that the first has left */
        assert_memory_equal(first, second, sizeof(first));
        tear_down(&f);
    }
}

static void the_plan_counts_the_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        krs_exec_plan plan;
        set_up(&f, devices[i]);
        assert_int_equal(krs_exec_plan_of(f.backend, &f.tiny.program, &f.limits, &plan, NULL),
                         KRS_OK);
        /* 3 rows of 24 inputs, and 4 heads of 8 x 6. */
        assert_int_equal(f.tiny.program.state_floats, 3 * 24 + 4 * 8 * 6);
        assert_int_equal(plan.state_bytes, SLOTS * (3 * 24 + 4 * 8 * 6) * sizeof(float));
        tear_down(&f);
    }
}

static void slots_out_of_range_are_refused(void **state)
{
    (void)state;
    static const uint32_t tokens[] = {0, 1};
    static const krs_step_seq good[] = {{.n_rows = 1, .state = 0},
                                        {.row_begin = 1, .n_rows = 1, .state = 2}};
    static const krs_step_seq beyond = {.n_rows = 1, .state = SLOTS};
    static const krs_step_seq shared[] = {{.n_rows = 1, .state = 2},
                                          {.row_begin = 1, .n_rows = 1, .state = 2}};
    static const krs_state_copy from = {SLOTS, 0};
    static const krs_state_copy to = {0, SLOTS};
    static const krs_state_copy many[SLOTS + 1] = {{0, 1}};
    const krs_step bad[] = {
        {.n_rows = 1, .n_seqs = 1, .tokens = tokens, .seqs = &beyond},
        {.n_rows = 2, .n_seqs = 2, .tokens = tokens, .seqs = shared},
        {.n_rows = 1, .n_seqs = 1, .tokens = tokens, .seqs = good, .n_copies = 1, .copies = &from},
        {.n_rows = 1, .n_seqs = 1, .tokens = tokens, .seqs = good, .n_copies = 1, .copies = &to},
        {.n_rows = 1,
         .n_seqs = 1,
         .tokens = tokens,
         .seqs = good,
         .n_copies = SLOTS + 1,
         .copies = many},
    };
    const krs_step fine = {.n_rows = 2, .n_seqs = 2, .tokens = tokens, .seqs = good};
    fixture f;
    set_up(&f, "ref");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_exec_submit(f.exec, &bad[i], &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, "state"));
    }
    assert_int_equal(krs_exec_submit(f.exec, &fine, NULL), KRS_OK);
    static const uint32_t counts[] = {0, KRS_EXEC_MAX_STATE_SLOTS + 1};
    for (size_t i = 0; i < 2; i++) {
        krs_exec *exec;
        krs_error err = KRS_ERROR_INIT;
        krs_exec_limits limits = f.limits;
        limits.n_state_slots = counts[i];
        assert_int_equal(krs_exec_new(f.backend, &f.tiny.program, &limits, &exec, &err),
                         KRS_EINVAL);
        assert_string_equal(err.field, "n_state_slots");
    }
    tear_down(&f);
}

static void a_program_without_a_state_takes_no_copies(void **state)
{
    (void)state;
    tiny_decoder tiny;
    krs_backend *backend;
    krs_exec *exec;
    krs_error err = KRS_ERROR_INIT;
    const uint32_t token = 0;
    const krs_step_seq seq = {.n_rows = 1, .state = 77}; /* not looked at */
    const krs_state_copy copy = {0, 0};
    krs_step step = {.n_rows = 1, .n_seqs = 1, .tokens = &token, .seqs = &seq};
    const krs_exec_limits limits = {1, 1, 1, 0, 1, KRS_DTYPE_F32, 0};
    start(&tiny);
    parity_take_out(&tiny, given_rows(&tiny, 1, 3, (const float[]){1, 2, 3}));
    assert_int_equal(krs_backend_open("ref", NULL, NULL, &backend, NULL), KRS_OK);
    assert_int_equal(krs_exec_new(backend, &tiny.program, &limits, &exec, NULL), KRS_OK);
    assert_int_equal(krs_exec_submit(exec, &step, NULL), KRS_OK);
    step.n_copies = 1;
    step.copies = &copy;
    assert_int_equal(krs_exec_submit(exec, &step, &err), KRS_EINVAL);
    krs_exec_free(exec);
    krs_backend_close(backend);
    tiny_decoder_deinit(&tiny);
}

typedef void (*lie)(krs_program *program, krs_op *op);

static void in_no_slot(krs_program *program, krs_op *op)
{
    op->in = program->n_slots;
}
static void out_is_in(krs_program *program, krs_op *op)
{
    (void)program;
    op->out = op->in;
}
static void kernel_none(krs_program *program, krs_op *op)
{
    (void)program;
    op->conv.kernel = 0;
}
static void kernel_shorter(krs_program *program, krs_op *op)
{
    (void)program;
    op->conv.kernel = 3;
}
static void conv_bias_wide(krs_program *program, krs_op *op)
{
    (void)program;
    op->bias = op->matrix;
}
static void conv_act_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->conv.act = KRS_ACT_COUNT;
}
static void conv_state_outside(krs_program *program, krs_op *op)
{
    op->conv.state = program->state_floats;
}
static void heads_uneven(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.n_k_heads = 3;
}
static void dim_none(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.k_dim = 0;
}
static void dim_other(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.k_dim = 9;
}
static void b_wide(krs_program *program, krs_op *op)
{
    (void)program;
    op->in2 = op->in;
}
static void rates_missing(krs_program *program, krs_op *op)
{
    (void)program;
    op->matrix = KRS_NO_MATRIX;
}
static void steps_missing(krs_program *program, krs_op *op)
{
    (void)program;
    op->bias = KRS_NO_MATRIX;
}
static void eps_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.eps = -1;
}
static void delta_state_shared(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.state = 0; /* the convolution's */
}
static void delta_state_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->delta.state = -1;
}
static void state_huge(krs_program *program, krs_op *op)
{
    (void)op;
    program->state_floats = KRS_PROGRAM_MAX_STATE + 1;
}

static const struct {
    krs_op_kind kind;
    lie lie;
    const char *says;
} lies[] = {
    {KRS_OP_CONV, in_no_slot, "conv"},
    {KRS_OP_CONV, out_is_in, "two slots"},
    {KRS_OP_CONV, kernel_none, "kernel"},
    {KRS_OP_CONV, kernel_shorter, "kernel weights"},
    {KRS_OP_CONV, conv_bias_wide, "bias"},
    {KRS_OP_CONV, conv_act_unknown, "activation"},
    {KRS_OP_CONV, conv_state_outside, "outside"},
    {KRS_OP_DELTA, in_no_slot, "q, k and v"},
    {KRS_OP_DELTA, heads_uneven, "divide"},
    {KRS_OP_DELTA, dim_none, "out of range"},
    {KRS_OP_DELTA, dim_other, "q, k and v"},
    {KRS_OP_DELTA, b_wide, "in2 and in3"},
    {KRS_OP_DELTA, out_is_in, "another slot"},
    {KRS_OP_DELTA, rates_missing, "no vector"},
    {KRS_OP_DELTA, steps_missing, "no vector"},
    {KRS_OP_DELTA, eps_negative, "eps"},
    {KRS_OP_DELTA, delta_state_shared, "another op's"},
    {KRS_OP_DELTA, delta_state_negative, "outside"},
    {KRS_OP_DELTA, state_huge, "state of"},
};

static void every_lie_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        tiny_decoder tiny;
        krs_error err = KRS_ERROR_INIT;
        uint32_t op = 0;
        build(&tiny);
        assert_int_equal(krs_program_check(&tiny.program, &err), KRS_OK);
        while (tiny.program.ops[op].kind != lies[i].kind) {
            op++;
        }
        lies[i].lie(&tiny.program, &tiny.program.ops[op]);
        const krs_status status = krs_program_check(&tiny.program, &err);
        if (status != KRS_EINTERNAL || !strstr(err.message, lies[i].says)) {
            fail_msg("lie %zu: %s, \"%s\", want one that says \"%s\"", i, krs_status_name(status),
                     err.message, lies[i].says);
        }
        tiny_decoder_deinit(&tiny);
    }
}

static void a_state_beyond_the_ceiling_is_refused(void **state)
{
    (void)state;
    int64_t first = -1;
    krs_program program;
    krs_program_init(&program, NULL);
    assert_int_equal(krs_program_add_state(&program, 5, &first), KRS_OK);
    assert_int_equal(first, 0);
    assert_int_equal(krs_program_add_state(&program, KRS_PROGRAM_MAX_STATE - 5, &first), KRS_OK);
    assert_int_equal(first, 5);
    assert_int_equal(krs_program_add_state(&program, 1, &first), KRS_ETOOLARGE);
    assert_int_equal(program.state_floats, KRS_PROGRAM_MAX_STATE);
    krs_program_deinit(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_convolution_sees_the_rows_before),
        cmocka_unit_test(the_delta_rule_corrects_what_it_knows),
        cmocka_unit_test(a_state_restored_is_one_never_interrupted),
        cmocka_unit_test(a_new_sequence_begins_with_zeros),
        cmocka_unit_test(the_plan_counts_the_states),
        cmocka_unit_test(slots_out_of_range_are_refused),
        cmocka_unit_test(a_program_without_a_state_takes_no_copies),
        cmocka_unit_test(every_lie_is_found_and_named),
        cmocka_unit_test(a_state_beyond_the_ceiling_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
