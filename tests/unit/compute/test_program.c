/* Programs: builders keep what they are given and stop at their ceilings; a whole program passes the
 * check, and every single lie about a slot, matrix, shape or order is found and named. */
#include "compute/program.h"

#include "support/cmocka.h"
#include "support/tiny_encoder.h"

static void a_decoder_passes(void **state)
{
    (void)state;
    tiny_decoder tiny;
    const tiny_shape shape = tiny_shape_default();
    tiny_decoder_init(&tiny, &shape);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_program_check(&tiny.program, &err), KRS_OK);
    assert_string_equal(err.message, "");
    tiny_decoder_deinit(&tiny);
}

/* The index of the n-th op of a kind. */
static uint32_t nth_op(const krs_program *program, krs_op_kind kind, uint32_t n)
{
    uint32_t i = 0;
    while (program->ops[i].kind != kind || n-- > 0) {
        i++;
    }
    return i;
}

typedef void (*lie)(krs_program *program, krs_op *op);

static void out_no_slot(krs_program *program, krs_op *op)
{
    op->out = program->n_slots;
}
static void in_no_slot(krs_program *program, krs_op *op)
{
    op->in = program->n_slots;
}
static void in2_no_slot(krs_program *program, krs_op *op)
{
    op->in2 = program->n_slots;
}
static void matrix_no_index(krs_program *program, krs_op *op)
{
    op->matrix = program->n_matrices;
}
static void bias_no_index(krs_program *program, krs_op *op)
{
    op->bias = program->n_matrices;
}
static void bias_too_long(krs_program *program, krs_op *op)
{
    program->matrices[op->bias].n_in++;
}
static void matrix_wide(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].n_in++;
}
static void matrix_no_data(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].data = NULL;
}
static void matrix_of_integers(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].dtype = KRS_DTYPE_U32;
}
static void matrix_without_scales(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].quant = (krs_quant){KRS_QUANT_AFFINE, 4, 32};
}
static void in_is_out(krs_program *program, krs_op *op)
{
    (void)program;
    op->in = op->out;
}
static void groups_zero(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.n_groups = 0;
}
static void groups_odd(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.n_groups = 5;
}
static void eps_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.eps = NAN;
}
static void rope_heads(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.n_heads++;
}
static void rope_long(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.n_freqs = op->rope.head_dim / 2 + 1;
}
static void rope_outside(krs_program *program, krs_op *op)
{
    op->rope.freqs = program->n_floats - (uint32_t)op->rope.n_freqs + 1;
}
static void layer_high(krs_program *program, krs_op *op)
{
    op->attention.layer = program->n_kv_layers;
}
static void layer_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.layer = -1;
}
static void kv_heads(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.n_kv_heads = 1;
}
static void heads_uneven(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.n_heads++;
}
static void window_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.window = -1;
}
static void act_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.act = (krs_activation)9;
}
static void kind_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->kind = KRS_OP_KIND_COUNT;
}
static void slot_empty(krs_program *program, krs_op *op)
{
    program->slots[op->out].width = 0;
}
static void positions_zero(krs_program *program, krs_op *op)
{
    (void)op;
    program->max_positions = 0;
}
static void head_dim_huge(krs_program *program, krs_op *op)
{
    (void)op;
    program->head_dim = KRS_PROGRAM_MAX_HEAD_DIM + 1;
}
static void logits_elsewhere(krs_program *program, krs_op *op)
{
    (void)op;
    program->logits = 0;
}
static void hidden_elsewhere(krs_program *program, krs_op *op)
{
    (void)op;
    program->hidden = program->logits;
}
static void hidden_unwritten(krs_program *program, krs_op *op)
{
    op->out = program->ops[program->n_ops - 1].in; /* both takes write the head's rows */
}
static void out_of_all_rows(krs_program *program, krs_op *op)
{
    program->slots[op->out].rows = KRS_ROWS_ALL;
}
static void rows_unknown(krs_program *program, krs_op *op)
{
    program->slots[op->out].rows = (krs_rows)7;
}
static void not_yet_written(krs_program *program, krs_op *op)
{
    (void)op;
    program->ops[0].out = 1; /* the embedding goes elsewhere: slot 0 is read unwritten */
}

static const struct {
    krs_op_kind kind;
    lie lie;
    const char *says;
} lies[] = {
    {KRS_OP_EMBED, out_no_slot, "embed"},
    {KRS_OP_EMBED, matrix_no_index, "embed"},
    {KRS_OP_EMBED, matrix_wide, "does not fit"},
    {KRS_OP_EMBED, not_yet_written, "before it is written"},
    {KRS_OP_RMS_NORM, in_no_slot, "rms norm"},
    {KRS_OP_RMS_NORM, groups_zero, "n_groups"},
    {KRS_OP_RMS_NORM, groups_odd, "n_groups"},
    {KRS_OP_RMS_NORM, matrix_wide, "weight"},
    {KRS_OP_RMS_NORM, eps_nan, "eps"},
    {KRS_OP_LINEAR, in_no_slot, "linear"},
    {KRS_OP_LINEAR, out_no_slot, "linear"},
    {KRS_OP_LINEAR, in_is_out, "linear"},
    {KRS_OP_LINEAR, matrix_no_index, "does not fit"},
    {KRS_OP_LINEAR, matrix_wide, "does not fit"},
    {KRS_OP_LINEAR, matrix_no_data, "does not fit"},
    {KRS_OP_LINEAR, matrix_of_integers, "does not fit"},
    {KRS_OP_LINEAR, matrix_without_scales, "does not fit"},
    {KRS_OP_LINEAR, bias_no_index, "bias"},
    {KRS_OP_LINEAR, bias_too_long, "bias"},
    {KRS_OP_ROPE, in_no_slot, "rope"},
    {KRS_OP_ROPE, rope_heads, "head_dim"},
    {KRS_OP_ROPE, rope_long, "n_freqs"},
    {KRS_OP_ROPE, rope_outside, "floats"},
    {KRS_OP_KV_WRITE, in_no_slot, "kv write"},
    {KRS_OP_KV_WRITE, in2_no_slot, "kv write"},
    {KRS_OP_KV_WRITE, layer_high, "layer"},
    {KRS_OP_KV_WRITE, layer_negative, "layer"},
    {KRS_OP_KV_WRITE, kv_heads, "n_kv_heads"},
    {KRS_OP_ATTENTION, out_no_slot, "attention"},
    {KRS_OP_ATTENTION, in_is_out, "attention"},
    {KRS_OP_ATTENTION, layer_high, "layer"},
    {KRS_OP_ATTENTION, heads_uneven, "n_heads"},
    {KRS_OP_ATTENTION, window_negative, "window"},
    {KRS_OP_GLU, in2_no_slot, "glu"},
    {KRS_OP_GLU, act_unknown, "activation"},
    {KRS_OP_ADD, in2_no_slot, "add"},
    {KRS_OP_ADD, kind_unknown, "unknown op"},
    {KRS_OP_TAKE_ROWS, in_no_slot, "take rows"},
    {KRS_OP_TAKE_ROWS, out_no_slot, "take rows"},
    {KRS_OP_TAKE_ROWS, out_of_all_rows, "take rows"},
    {KRS_OP_TAKE_ROWS, hidden_unwritten, "hidden"},
    {KRS_OP_ADD, rows_unknown, "slot"},
    {KRS_OP_ADD, slot_empty, "slot"},
    {KRS_OP_ADD, positions_zero, "max_positions"},
    {KRS_OP_ADD, head_dim_huge, "KV layers"},
    {KRS_OP_ADD, logits_elsewhere, "logits"},
    {KRS_OP_ADD, hidden_elsewhere, "hidden"},
};

static void every_lie_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        tiny_decoder tiny;
        const tiny_shape shape = tiny_shape_default();
        tiny_decoder_init(&tiny, &shape);
        krs_op *op = &tiny.program.ops[nth_op(&tiny.program, lies[i].kind, 0)];
        lies[i].lie(&tiny.program, op);
        krs_error err = KRS_ERROR_INIT;
        const krs_status status = krs_program_check(&tiny.program, &err);
        if (status != KRS_EINTERNAL || !strstr(err.message, lies[i].says)) {
            fail_msg("lie %zu: %s, \"%s\", want one that says \"%s\"", i, krs_status_name(status),
                     err.message, lies[i].says);
        }
        tiny_decoder_deinit(&tiny);
    }
}

static void in3_no_slot(krs_program *program, krs_op *op)
{
    op->in3 = program->n_slots;
}
static void out_is_in3(krs_program *program, krs_op *op)
{
    (void)program;
    op->out = op->in3;
}
static void kv_heads_zero(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.n_kv_heads = 0;
}
static void kv_heads_fewer(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.n_kv_heads = 1; /* divides, but in2 is too wide */
}
static void head_dim_zero(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.head_dim = 0;
}
static void buckets_odd(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].n_out = 7;
}
static void distance_short(krs_program *program, krs_op *op)
{
    op->attention.max_distance = (int32_t)(program->matrices[op->matrix].n_out / 4);
}
static void no_results(krs_program *program, krs_op *op)
{
    (void)op;
    program->hidden = KRS_NO_SLOT;
}

static void out_of_other_rows(krs_program *program, krs_op *op)
{
    program->slots[op->out].rows = KRS_ROWS_HIDDEN;
}

static void every_lie_about_rows_is_found_and_named(void **state)
{
    (void)state;
    static const struct {
        lie lie;
        const char *says;
    } all[] = {
        {in_no_slot, "attend rows"},   {in2_no_slot, "attend rows"},
        {in3_no_slot, "attend rows"},  {out_no_slot, "another slot"},
        {out_is_in3, "another slot"},  {out_of_other_rows, "another slot"},
        {kv_heads_zero, "n_kv_heads"}, {kv_heads_fewer, "widths"},
        {heads_uneven, "n_kv_heads"},  {head_dim_zero, "head_dim"},
        {window_negative, "window"},   {matrix_no_index, "buckets"},
        {matrix_wide, "buckets"},      {buckets_odd, "buckets"},
        {distance_short, "buckets"},   {no_results, "neither"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tiny_decoder tiny;
        tiny_encoder_init(&tiny);
        assert_true(tiny.program.is_whole);
        assert_int_equal(krs_program_check(&tiny.program, NULL), KRS_OK);
        all[i].lie(&tiny.program, &tiny.program.ops[1]);
        krs_error err = KRS_ERROR_INIT;
        const krs_status status = krs_program_check(&tiny.program, &err);
        if (status != KRS_EINTERNAL || !strstr(err.message, all[i].says)) {
            fail_msg("lie %zu: %s, \"%s\", want one that says \"%s\"", i, krs_status_name(status),
                     err.message, all[i].says);
        }
        tiny_decoder_deinit(&tiny);
    }
}

static void builders_stop_at_their_ceilings(void **state)
{
    (void)state;
    krs_program program;
    krs_program_init(&program, NULL);
    krs_slot slot;
    for (uint32_t i = 0; i < KRS_PROGRAM_MAX_SLOTS; i++) {
        assert_int_equal(krs_program_add_slot(&program, 1, KRS_ROWS_ALL, &slot), KRS_OK);
        assert_int_equal(slot, i);
    }
    assert_int_equal(krs_program_add_slot(&program, 1, KRS_ROWS_ALL, &slot), KRS_ETOOLARGE);
    const krs_op op = {.kind = KRS_OP_ADD, .in = 1};
    for (uint32_t i = 0; i < KRS_PROGRAM_MAX_OPS; i++) {
        assert_int_equal(krs_program_add_op(&program, &op), KRS_OK);
    }
    assert_int_equal(krs_program_add_op(&program, &op), KRS_ETOOLARGE);
    assert_int_equal(program.n_ops, KRS_PROGRAM_MAX_OPS);
    assert_int_equal(program.ops[KRS_PROGRAM_MAX_OPS - 1].in, 1);
    const float values[] = {1, 2, 3};
    uint32_t first;
    assert_int_equal(krs_program_add_floats(&program, values, 3, &first), KRS_OK);
    assert_int_equal(krs_program_add_floats(&program, values, 2, &first), KRS_OK);
    assert_int_equal(first, 3);
    assert_true(program.floats[2] == 3.0f && program.floats[4] == 2.0f);
    assert_int_equal(krs_program_add_floats(&program, values, UINT32_MAX, &first), KRS_ETOOLARGE);
    krs_program_deinit(&program);
    assert_int_equal(program.n_ops, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoder_passes),
        cmocka_unit_test(every_lie_is_found_and_named),
        cmocka_unit_test(every_lie_about_rows_is_found_and_named),
        cmocka_unit_test(builders_stop_at_their_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
