/* The checks of the ops that families beyond llama's shape use: a program with one of each passes, and
 * every single lie about one is found and named. test_program.c does the same for the rest. */
#include "support/cmocka.h"
#include "support/tiny_decoder.h"

enum {
    HEADS = 2,
    DIM = 6,
    VALUE_DIM = 4,
    WIDTH = HEADS * DIM,
    POSITIONS = 16,
};

static const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};

/* A copy of two groups. */
static krs_op copy_of(krs_slot in, krs_slot out, int64_t in_at, int64_t out_at, int64_t n)
{
    return (krs_op){.kind = KRS_OP_COPY, .in = in, .out = out, .copy = {HEADS, in_at, out_at, n}};
}

/* K is x, V two thirds of every head of it, joined from two copies. */
static krs_slot add_attention(tiny_decoder *tiny, krs_slot x)
{
    const krs_slot v = tiny_slot(tiny, HEADS * VALUE_DIM, KRS_ROWS_ALL);
    const krs_slot a = tiny_slot(tiny, HEADS * VALUE_DIM, KRS_ROWS_ALL);
    tiny_op(tiny, copy_of(x, v, 0, 0, 1));
    tiny_op(tiny, copy_of(x, v, 3, 1, VALUE_DIM - 1));
    const uint32_t freqs = tiny_freqs(tiny, 2);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ROPE,
                           .in = x,
                           .out = x,
                           .rope = {HEADS, DIM, 2, freqs, 1.0f, true, 2}});
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = x,
                 .in2 = v,
                 .attention = {0, HEADS, HEADS, DIM, 0, 1.0f, 30.0f, 0}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.out = a;
    op.matrix = tiny_matrix(tiny, &f32, 1, HEADS, 0, 1.0f);
    tiny_op(tiny, op);
    return a;
}

static void build(tiny_decoder *tiny)
{
    *tiny = (tiny_decoder){.random = 5};
    krs_program *program = &tiny->program;
    krs_program_init(program, NULL);
    program->max_positions = POSITIONS;
    program->n_kv_layers = 1;
    program->n_kv_heads = HEADS;
    program->head_dim = DIM;
    program->value_dim = VALUE_DIM;
    const krs_slot x = tiny_slot(tiny, WIDTH, KRS_ROWS_ALL);
    program->logits = tiny_slot(tiny, WIDTH, KRS_ROWS_LOGITS);
    krs_op op = {.kind = KRS_OP_EMBED, .out = x, .embed = {1.0f, 0}};
    op.matrix = tiny_matrix(tiny, &f32, 9, WIDTH, 0, 1.0f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_ADD_POSITION, .in = x, .out = x, .embed = {0, 2}};
    op.matrix = tiny_matrix(tiny, &f32, POSITIONS + 2, WIDTH, 0, 1.0f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_ADD_VECTOR, .in = x, .out = x};
    op.matrix = tiny_matrix(tiny, &f32, 1, WIDTH, 0, 1.0f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_RMS_NORM, .in = x, .out = x, .norm = {1e-5f, HEADS, 1.0f}};
    op.matrix = tiny_matrix(tiny, &f32, 1, WIDTH, 0, 1.0f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_LAYER_NORM, .in = x, .out = x, .norm = {1e-5f, 1, 0}};
    op.matrix = tiny_matrix(tiny, &f32, 1, WIDTH, 0, 1.0f);
    op.bias = tiny_matrix(tiny, &f32, 1, WIDTH, 0, 1.0f);
    tiny_op(tiny, op);
    const krs_slot a = add_attention(tiny, x);
    op = (krs_op){.kind = KRS_OP_HEAD_LINEAR, .in = a, .out = x, .head_linear = {HEADS}};
    op.matrix = tiny_matrix(tiny, &f32, WIDTH, VALUE_DIM, 0, 1.0f);
    tiny_op(tiny, op);
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_ACTIVATE, .in = x, .out = x, .activate = {KRS_ACT_RELU2}});
    tiny_op(
        tiny,
        (krs_op){
            .kind = KRS_OP_GLU, .in = x, .in2 = x, .out = x, .glu = {KRS_ACT_SILU, 7.0f, 1.702f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ADD, .in = x, .in2 = x, .out = x, .add = {0.5f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_SCALE, .in = x, .out = x, .scale = {0.5f, 30.0f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = x, .out = program->logits});
}

static krs_op *first_of(krs_program *program, krs_op_kind kind)
{
    uint32_t i = 0;
    while (program->ops[i].kind != kind) {
        i++;
    }
    return &program->ops[i];
}

static void one_of_each_passes(void **state)
{
    (void)state;
    tiny_decoder tiny;
    krs_error err = KRS_ERROR_INIT;
    build(&tiny);
    if (krs_program_check(&tiny.program, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    tiny_decoder_deinit(&tiny);
}

typedef void (*lie)(krs_program *program, krs_op *op);

static void in_no_slot(krs_program *program, krs_op *op)
{
    op->in = program->n_slots;
}
static void in2_narrow(krs_program *program, krs_op *op)
{
    (void)program;
    op->in2 = op->in; /* as wide as K, not as V */
}
static void out_narrow(krs_program *program, krs_op *op)
{
    (void)program;
    op->out = 2;
}
static void out_is_in(krs_program *program, krs_op *op)
{
    (void)program;
    op->out = op->in;
}
static void out_like_k(krs_program *program, krs_op *op)
{
    op->out = op->in;
    op->in = program->ops[0].out;
}
static void no_matrix(krs_program *program, krs_op *op)
{
    (void)program;
    op->matrix = KRS_NO_MATRIX;
}
static void matrix_wide(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].n_in++;
}
static void matrix_short(krs_program *program, krs_op *op)
{
    program->matrices[op->matrix].n_out--;
}
static void bias_wide(krs_program *program, krs_op *op)
{
    program->matrices[op->bias].n_in++;
}
static void offset_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->embed.offset = -1;
}
static void offset_far(krs_program *program, krs_op *op)
{
    (void)program;
    op->embed.offset = INT32_MAX;
}
static void positions_many(krs_program *program, krs_op *op)
{
    (void)op;
    program->max_positions++;
}
static void weight_offset_infinite(krs_program *program, krs_op *op)
{
    (void)program;
    op->norm.weight_offset = INFINITY;
}
static void rope_before(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.offset = -1;
}
static void rope_behind(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.offset = 3; /* two pairs of six elements begin at 2 at most */
}
static void rope_scale_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->rope.scale = NAN;
}
static void embed_scale_infinite(krs_program *program, krs_op *op)
{
    (void)program;
    op->embed.scale = INFINITY;
}
static void values_negative(krs_program *program, krs_op *op)
{
    (void)op;
    program->value_dim = -1;
}
static void values_huge(krs_program *program, krs_op *op)
{
    (void)op;
    program->value_dim = KRS_PROGRAM_MAX_HEAD_DIM + 1;
}
static void scale_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.scale = NAN;
}
static void softcap_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.softcap = -30;
}
static void softcap_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->attention.softcap = NAN;
}
static void copy_no_groups(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.n_groups = 0;
}
static void copy_uneven(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.n_groups = 5;
}
static void copy_nothing(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.n = 0;
}
static void copy_from_behind(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.in_at = DIM;
}
static void copy_before(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.out_at = -1;
}
static void copy_long(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.n = INT64_MAX;
}
static void copy_far(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.in_at = INT64_MAX;
}
static void copy_leaves_a_gap(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.out_at = 1; /* nobody writes element 0 of a part */
}
static void copy_of_other_groups(krs_program *program, krs_op *op)
{
    (void)program;
    op->copy.n_groups = 1;
}
static void heads_zero(krs_program *program, krs_op *op)
{
    (void)program;
    op->head_linear.n_heads = 0;
}
static void heads_uneven(krs_program *program, krs_op *op)
{
    (void)program;
    op->head_linear.n_heads = 3;
}
static void act_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->activate.act = KRS_ACT_COUNT;
}
static void limit_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.limit = -1;
}
static void limit_of_gelu(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.act = KRS_ACT_GELU;
}
static void alpha_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->glu.alpha = NAN;
}
static void add_forgotten(krs_program *program, krs_op *op)
{
    (void)program;
    op->add.scale = 0;
}
static void add_infinite(krs_program *program, krs_op *op)
{
    (void)program;
    op->add.scale = -INFINITY;
}
static void factor_nan(krs_program *program, krs_op *op)
{
    (void)program;
    op->scale.factor = NAN;
}
static void cap_negative(krs_program *program, krs_op *op)
{
    (void)program;
    op->scale.softcap = -1;
}

static const struct {
    krs_op_kind kind;
    lie lie;
    const char *says;
} lies[] = {
    {KRS_OP_ADD_POSITION, in_no_slot, "add position"},
    {KRS_OP_ADD_POSITION, out_narrow, "differ in width"},
    {KRS_OP_ADD_POSITION, no_matrix, "does not fit"},
    {KRS_OP_ADD_POSITION, matrix_wide, "does not fit"},
    {KRS_OP_ADD_POSITION, matrix_short, "fewer rows"},
    {KRS_OP_ADD_POSITION, offset_negative, "fewer rows"},
    {KRS_OP_ADD_POSITION, offset_far, "fewer rows"},
    {KRS_OP_ADD_POSITION, positions_many, "fewer rows"},
    {KRS_OP_ADD_VECTOR, no_matrix, "no vector"},
    {KRS_OP_ADD_VECTOR, matrix_wide, "no vector"},
    {KRS_OP_RMS_NORM, matrix_wide, "weight"},
    {KRS_OP_RMS_NORM, weight_offset_infinite, "weight_offset"},
    {KRS_OP_RMS_NORM, no_matrix, "weight_offset"}, /* 1, with nothing to add it to */
    {KRS_OP_LAYER_NORM, in_no_slot, "layer norm"},
    {KRS_OP_LAYER_NORM, matrix_wide, "weight"},
    {KRS_OP_LAYER_NORM, bias_wide, "bias"},
    {KRS_OP_ROPE, rope_before, "offset"},
    {KRS_OP_ROPE, rope_behind, "offset"},
    {KRS_OP_ROPE, rope_scale_nan, "scale"},
    {KRS_OP_EMBED, embed_scale_infinite, "scale"},
    {KRS_OP_KV_WRITE, in2_narrow, "value_dim"},
    {KRS_OP_ATTENTION, values_negative, "KV layers"},
    {KRS_OP_ATTENTION, values_huge, "KV layers"},
    {KRS_OP_ATTENTION, out_like_k, "value_dim"},
    {KRS_OP_ATTENTION, scale_nan, "scale"},
    {KRS_OP_ATTENTION, softcap_negative, "softcap"},
    {KRS_OP_ATTENTION, softcap_nan, "softcap"},
    {KRS_OP_ATTENTION, matrix_wide, "sinks"},
    {KRS_OP_COPY, in_no_slot, "copy"},
    {KRS_OP_COPY, out_is_in, "same slot"},
    {KRS_OP_COPY, copy_no_groups, "n_groups"},
    {KRS_OP_COPY, copy_uneven, "outside"},
    {KRS_OP_COPY, copy_nothing, "below 1"},
    {KRS_OP_COPY, copy_from_behind, "outside"},
    {KRS_OP_COPY, copy_before, "outside"},
    {KRS_OP_COPY, copy_long, "outside"},
    {KRS_OP_COPY, copy_far, "outside"},
    {KRS_OP_COPY, copy_leaves_a_gap, "kv write"},
    {KRS_OP_COPY, copy_of_other_groups, "kv write"},
    {KRS_OP_HEAD_LINEAR, in_no_slot, "head linear"},
    {KRS_OP_HEAD_LINEAR, out_is_in, "same slot"},
    {KRS_OP_HEAD_LINEAR, heads_zero, "n_heads"},
    {KRS_OP_HEAD_LINEAR, heads_uneven, "n_heads"},
    {KRS_OP_HEAD_LINEAR, matrix_wide, "does not fit"},
    {KRS_OP_HEAD_LINEAR, matrix_short, "does not fit"},
    {KRS_OP_ACTIVATE, in_no_slot, "activate"},
    {KRS_OP_ACTIVATE, act_unknown, "activation"},
    {KRS_OP_GLU, limit_negative, "limit"},
    {KRS_OP_GLU, limit_of_gelu, "limit"},
    {KRS_OP_GLU, alpha_nan, "alpha"},
    {KRS_OP_ADD, add_forgotten, "scale is 0"},
    {KRS_OP_ADD, add_infinite, "scale is 0"},
    {KRS_OP_SCALE, in_no_slot, "scale"},
    {KRS_OP_SCALE, factor_nan, "factor"},
    {KRS_OP_SCALE, cap_negative, "softcap"},
};

static void every_lie_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        tiny_decoder tiny;
        krs_error err = KRS_ERROR_INIT;
        build(&tiny);
        lies[i].lie(&tiny.program, first_of(&tiny.program, lies[i].kind));
        const krs_status status = krs_program_check(&tiny.program, &err);
        if (status != KRS_EINTERNAL || !strstr(err.message, lies[i].says)) {
            fail_msg("lie %zu: %s, \"%s\", want one that says \"%s\"", i, krs_status_name(status),
                     err.message, lies[i].says);
        }
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_each_passes),
        cmocka_unit_test(every_lie_is_found_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
