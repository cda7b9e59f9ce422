/* What the CUDA backend has no kernel for is refused by name, and what it has passes: asked of plain C,
 * so this needs no device. */
#include "compute/cuda/supported.h"

#include "support/cmocka.h"
#include "support/tiny_decoder.h"

static krs_op *first_of(krs_program *program, krs_op_kind kind)
{
    uint32_t i = 0;
    while (program->ops[i].kind != kind) {
        i++;
    }
    return &program->ops[i];
}

static void a_llama_passes(void **state)
{
    (void)state;
    tiny_decoder tiny;
    const tiny_shape shape = tiny_shape_default();
    tiny_decoder_init(&tiny, &shape);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_cuda_check_program(&tiny.program, &err), KRS_OK);
    assert_string_equal(err.message, "");
    tiny_decoder_deinit(&tiny);
}

typedef void (*change)(krs_program *program, krs_op *op);

static void no_weight(krs_program *program, krs_op *op)
{
    (void)program;
    op->matrix = KRS_NO_MATRIX;
}
static void weight_offset(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.weight_offset = 1.0f;
}
static void weight_of_groups(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.n_groups = 2;
}
static void interleaved(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.is_interleaved = true;
}
static void rope_offset(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.offset = 1;
}
static void narrow_values(krs_program *program, krs_op *op)
{
    (void)op;
    program->value_dim = program->head_dim - 1;
}
static void softcap(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.softcap = 50.0f;
}
static void sinks(krs_program *program, krs_op *op)
{
    (void)program;
    op->matrix = 0;
}
static void clamped(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.limit = 7.0f;
}
static void relu(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.act = KRS_ACT_RELU2;
}
static void residual_scale(krs_program *program, krs_op *op)
{
    (void)program;
    op->add.scale = 0.22f;
}
static void three_bits(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].quant = (krs_quant){KRS_QUANT_AFFINE, 3, 32};
}
static void mxfp4(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].quant = (krs_quant){KRS_QUANT_MXFP4, 4, 32};
}
static void has_state(krs_program *program, krs_op *op)
{
    (void)op;
    program->state_floats = 1;
}
static void no_logits(krs_program *program, krs_op *op)
{
    (void)op;
    program->logits = KRS_NO_SLOT;
}

static void every_number_without_a_kernel_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        krs_op_kind kind;
        change change;
        const char *says;
    } all[] = {
        {KRS_OP_RMS_NORM, no_weight, "(rms norm): a norm without a weight"},
        {KRS_OP_RMS_NORM, weight_offset, "(rms norm): weight_offset"},
        {KRS_OP_RMS_NORM, weight_of_groups, "(rms norm): a weight for each group"},
        {KRS_OP_ROPE, interleaved, "(rope): interleaved"},
        {KRS_OP_ROPE, rope_offset, "(rope): an offset"},
        {KRS_OP_KV_WRITE, narrow_values, "(kv write): V of another width"},
        {KRS_OP_ATTENTION, softcap, "(attention): a soft-cap"},
        {KRS_OP_ATTENTION, sinks, "(attention): sinks"},
        {KRS_OP_GLU, clamped, "(glu): a limit"},
        {KRS_OP_GLU, relu, "(glu): this activation"},
        {KRS_OP_ADD, residual_scale, "(add): a scale"},
        {KRS_OP_LINEAR, three_bits, "affine of 3 bits"},
        {KRS_OP_LINEAR, mxfp4, "mxfp4 of 4 bits"},
        {KRS_OP_LINEAR, has_state, "with state"},
        {KRS_OP_LINEAR, no_logits, "without logits"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        tiny_decoder tiny;
        const tiny_shape shape = tiny_shape_default();
        krs_error err = KRS_ERROR_INIT;
        tiny_decoder_init(&tiny, &shape);
        all[i].change(&tiny.program, first_of(&tiny.program, all[i].kind));
        const krs_status status = krs_cuda_check_program(&tiny.program, &err);
        if (status != KRS_EUNSUPPORTED || !strstr(err.message, all[i].says)) {
            fail_msg("change %zu: %s, \"%s\", want one that says \"%s\"", i,
                     krs_status_name(status), err.message, all[i].says);
        }
        tiny_decoder_deinit(&tiny);
    }
}

static void every_other_kind_of_op_is_refused_by_name(void **state)
{
    (void)state;
    for (int kind = KRS_OP_TAKE_ROWS + 1; kind < KRS_OP_KIND_COUNT; kind++) {
        tiny_decoder tiny;
        const tiny_shape shape = tiny_shape_default();
        krs_error err = KRS_ERROR_INIT;
        tiny_decoder_init(&tiny, &shape);
        first_of(&tiny.program, KRS_OP_ADD)->kind = (krs_op_kind)kind;
        assert_int_equal(krs_cuda_check_program(&tiny.program, &err), KRS_EUNSUPPORTED);
        assert_non_null(strstr(err.message, krs_op_name((krs_op_kind)kind)));
        assert_non_null(strstr(err.message, "not implemented"));
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_passes),
        cmocka_unit_test(every_number_without_a_kernel_is_refused_by_name),
        cmocka_unit_test(every_other_kind_of_op_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
