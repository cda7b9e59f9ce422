/* Ops of program.h against numbers worked out by hand (the few transcendental ones to eight digits), on
 * ref and on every instruction set of this machine: what ref, which judges the others, is judged by. */
#include "support/op_values.h"

/* in[width] through op, in place, is want[width]. Weights, when given, are the op's matrix and bias. */
static void expect_row(krs_op op, int64_t width, const float *in, const float *weight,
                       const float *bias, const float *want)
{
    tiny_decoder tiny;
    start(&tiny);
    op.in = op.out = given_rows(&tiny, 1, width, in);
    op.matrix = weight ? given(&tiny, 1, width, weight) : KRS_NO_MATRIX;
    op.bias = bias ? given(&tiny, 1, width, bias) : KRS_NO_MATRIX;
    tiny_op(&tiny, op);
    expect(&tiny, op.out, 1, want);
}

static void rms_norm_divides_and_weighs(void **state)
{
    (void)state;
    const float in[] = {3, 4}; /* root of the mean square: 3.5355339 */
    const float weight[] = {1, -1};
    expect_row((krs_op){.kind = KRS_OP_RMS_NORM, .norm = {0, 1, 0}}, 2, in, weight, NULL,
               (const float[]){0.84852814f, -1.1313708f});
    expect_row((krs_op){.kind = KRS_OP_RMS_NORM, .norm = {0, 1, 1.0f}}, 2, in, weight, NULL,
               (const float[]){1.6970563f, 0});
    expect_row((krs_op){.kind = KRS_OP_RMS_NORM, .norm = {0, 1, 0}}, 2, in, NULL, NULL,
               (const float[]){0.84852814f, 1.1313708f});
    /* eps joins the mean square: 12.5 + 3.5 = 16 */
    expect_row((krs_op){.kind = KRS_OP_RMS_NORM, .norm = {3.5f, 1, 0}}, 2, in, weight, NULL,
               (const float[]){0.75f, -1});
}

static void groups_may_have_their_own_weights(void **state)
{
    (void)state;
    const float in[] = {3, 4, 0, 2};
    const float weight[] = {1, 2, 3, 4};
    expect_row((krs_op){.kind = KRS_OP_RMS_NORM, .norm = {0, 2, 0}}, 4, in, weight, NULL,
               (const float[]){0.84852814f, 2.2627417f, 0, 5.6568542f});
    /* two numbers about their mean are always -1 and 1 */
    expect_row((krs_op){.kind = KRS_OP_LAYER_NORM, .norm = {0, 2, 0}}, 4, in, weight, weight,
               (const float[]){0, 4, 0, 8});
}

static void layer_norm_takes_the_mean_off(void **state)
{
    (void)state;
    const float in[] = {1, 2, 3, 6}; /* mean 3, variance 3.5 */
    const float weight[] = {1, 2, 3, 0.5f};
    const float bias[] = {0, 1, -1, 10};
    expect_row((krs_op){.kind = KRS_OP_LAYER_NORM, .norm = {0, 1, 0}}, 4, in, weight, bias,
               (const float[]){-1.0690450f, -0.0690450f, -1, 10.8017837f});
    expect_row((krs_op){.kind = KRS_OP_LAYER_NORM, .norm = {0, 1, 0}}, 4, in, NULL, NULL,
               (const float[]){-1.0690450f, -0.5345225f, 0, 1.6035675f});
    const float equal[] = {7, 7, 7, 7}; /* no variance: eps keeps the division sound */
    expect_row((krs_op){.kind = KRS_OP_LAYER_NORM, .norm = {1e-5f, 1, 0}}, 4, equal, weight, bias,
               bias);
}

static void activations_have_their_values(void **state)
{
    (void)state;
    const float in[] = {-1, 0, 2, INFINITY, NAN, -200};
    static const struct {
        krs_activation act;
        float want[6];
    } all[] = {
        {KRS_ACT_SILU, {-0.26894142f, 0, 1.76159416f, INFINITY, NAN, 0}},
        {KRS_ACT_GELU, {-0.15865525f, 0, 1.95449974f, INFINITY, NAN, 0}},
        {KRS_ACT_GELU_TANH, {-0.15880801f, 0, 1.95459769f, INFINITY, NAN, 0}},
        {KRS_ACT_RELU, {0, 0, 2, INFINITY, NAN, 0}},
        {KRS_ACT_RELU2, {0, 0, 4, INFINITY, NAN, 0}},
        {KRS_ACT_SIGMOID, {0.26894142f, 0.5f, 0.88079708f, 1, NAN, 0}},
        {KRS_ACT_TANH, {-0.76159416f, 0, 0.96402758f, 1, NAN, -1}},
        {KRS_ACT_QUICK_GELU, {-0.15420423f, 0, 1.93565862f, INFINITY, NAN, 0}},
    };
    assert_int_equal(sizeof(all) / sizeof(all[0]), KRS_ACT_COUNT);
    for (size_t i = 0; i < KRS_ACT_COUNT; i++) {
        expect_row((krs_op){.kind = KRS_OP_ACTIVATE, .activate = {all[i].act}}, 6, in, NULL, NULL,
                   all[i].want);
    }
}

static void a_clamped_gate_holds_both_sides(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float x[] = {10, 1, -9, 10, NAN};
    const float up[] = {-9, 0.5f, 8, NAN, 1};
    const krs_slot gate = given_rows(&tiny, 1, 5, x);
    const krs_slot other = given_rows(&tiny, 1, 5, up);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_GLU,
                            .in = gate,
                            .in2 = other,
                            .out = gate,
                            .glu = {KRS_ACT_SILU, 7.0f, 1.702f}});
    /* 7 s(1.702 * 7) * (-7 + 1); s(1.702) * 1.5; -9 s(-15.318) * (7 + 1) */
    expect(&tiny, gate, 1, (const float[]){-41.999719f, 1.2686937f, -1.6030e-5f, NAN, NAN});
}

static void sigmoid_gates_attention(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_slot gate = given_rows(&tiny, 1, 3, (const float[]){0, 2, -1});
    const krs_slot x = given_rows(&tiny, 1, 3, (const float[]){8, 1, -10});
    tiny_op(
        &tiny,
        (krs_op){
            .kind = KRS_OP_GLU, .in = gate, .in2 = x, .out = x, .glu = {KRS_ACT_SIGMOID, 0, 0}});
    expect(&tiny, x, 1, (const float[]){4, 0.88079708f, -2.6894142f});
}

static void scales_multiply_and_soft_caps_bend(void **state)
{
    (void)state;
    const float in[] = {15, 0, -1500, NAN};
    expect_row((krs_op){.kind = KRS_OP_SCALE, .scale = {2, 0}}, 4, in, NULL, NULL,
               (const float[]){30, 0, -3000, NAN});
    expect_row((krs_op){.kind = KRS_OP_SCALE, .scale = {2, 30}}, 4, in, NULL, NULL,
               (const float[]){22.847825f, 0, -30, NAN});
}

static void additions_add(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_slot a = given_rows(&tiny, 1, 2, (const float[]){1, 2});
    const krs_slot b = given_rows(&tiny, 1, 2, (const float[]){4, -8});
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_ADD, .in = a, .in2 = b, .out = a, .add = {0.25f}});
    expect(&tiny, a, 1, (const float[]){2, 0});
    expect_row((krs_op){.kind = KRS_OP_ADD_VECTOR}, 2, (const float[]){1, 2},
               (const float[]){10, 20}, NULL, (const float[]){11, 22});
}

static void positions_are_looked_up_from_the_offset(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    float table[18 * 2];
    for (int i = 0; i < 36; i++) {
        table[i] = (float)i; /* row p: 2 p, 2 p + 1 */
    }
    const krs_slot x = given_rows(&tiny, 3, 2, (const float[]){100, 200, 300, 400, 500, 600});
    const uint32_t rows = given(&tiny, 18, 2, table);
    tiny_op(
        &tiny,
        (krs_op){.kind = KRS_OP_ADD_POSITION, .in = x, .out = x, .matrix = rows, .embed = {0, 2}});
    expect(&tiny, x, 3, (const float[]){104, 205, 306, 407, 508, 609});
}

static void copies_move_parts_of_parts(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_slot in = given_rows(&tiny, 1, 6, (const float[]){1, 2, 3, 4, 5, 6});
    const krs_slot out = tiny_slot(&tiny, 4, KRS_ROWS_ALL);
    /* two parts: {1 2 3}, {4 5 6} -> {3 1}, {6 4} */
    krs_op op = {.kind = KRS_OP_COPY, .in = in, .out = out, .copy = {2, 2, 0, 1}};
    tiny_op(&tiny, op);
    op.copy.in_at = 0;
    op.copy.out_at = 1;
    tiny_op(&tiny, op);
    expect(&tiny, out, 1, (const float[]){3, 1, 6, 4});
}

static void each_head_has_its_matrix(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_slot in = given_rows(&tiny, 2, 4, (const float[]){1, 1, 1, -1, 0, 2, 3, 0});
    const krs_slot out = tiny_slot(&tiny, 6, KRS_ROWS_ALL);
    /* heads of [3, 2]: the first three rows, the last three */
    const float m[] = {1, 2, 3, 4, 0, 1, 5, 6, 7, 8, -1, 0};
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_HEAD_LINEAR,
                            .in = in,
                            .out = out,
                            .matrix = given(&tiny, 6, 2, m),
                            .head_linear = {2}});
    expect(&tiny, out, 2, (const float[]){3, 7, 1, -1, -1, -1, 4, 8, 2, 15, 21, -3});
}

/* Two rows (1, 2, 3, 4): the first, at position 0, stays; the second turns by a right angle. */
static void expect_turned(int32_t n_freqs, bool is_interleaved, int32_t offset, const float *want)
{
    tiny_decoder tiny;
    uint32_t first;
    const float freqs[] = {1.57079633f, 0};
    start(&tiny);
    const krs_slot x = given_rows(&tiny, 2, 4, (const float[]){1, 2, 3, 4, 1, 2, 3, 4});
    assert_int_equal(krs_program_add_floats(&tiny.program, freqs, 2, &first), KRS_OK);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_ROPE,
                            .in = x,
                            .out = x,
                            .rope = {1, 4, n_freqs, first, 1.0f, is_interleaved, offset}});
    float both[8] = {1, 2, 3, 4};
    memcpy(both + 4, want, 4 * sizeof(*want));
    expect(&tiny, x, 2, both);
}

static void rotations_turn_halves_pairs_and_parts(void **state)
{
    (void)state;
    expect_turned(2, false, 0, (const float[]){-3, 2, 1, 4});
    expect_turned(2, true, 0, (const float[]){-2, 1, 3, 4});
    expect_turned(1, false, 0, (const float[]){-2, 1, 3, 4});
    expect_turned(1, false, 2, (const float[]){1, 2, -4, 3});
    expect_turned(1, true, 1, (const float[]){1, -3, 2, 4});
}

/* Three tokens, one head of K of two elements and V of one: q is 1 0 for all, k is k[t] 0, v is v[t]. */
static void expect_attended(const float *k, const float *v, float softcap, const float *sink,
                            const float *want)
{
    tiny_decoder tiny;
    start(&tiny);
    tiny.program.n_kv_layers = 1;
    tiny.program.n_kv_heads = 1;
    tiny.program.head_dim = 2;
    tiny.program.value_dim = 1;
    const krs_slot q = given_rows(&tiny, 3, 2, (const float[]){1, 0, 1, 0, 1, 0});
    const krs_slot keys = given_rows(&tiny, 3, 2, (const float[]){k[0], 0, k[1], 0, k[2], 0});
    const krs_slot values = given_rows(&tiny, 3, 1, v);
    const krs_slot out = tiny_slot(&tiny, 1, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = keys,
                 .in2 = values,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {0, 1, 1, 2, 0, 1.0f, softcap, 0}};
    tiny_op(&tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = q;
    op.out = out;
    op.matrix = sink ? given(&tiny, 1, 1, sink) : KRS_NO_MATRIX;
    tiny_op(&tiny, op);
    expect(&tiny, out, 3, want);
}

static void attention_weighs_values_caps_scores_and_knows_sinks(void **state)
{
    (void)state;
    const float even[] = {0, 0, 0};
    const float v[] = {6, 12, 30};
    expect_attended(even, v, 0, NULL, (const float[]){6, 9, 16});
    /* a sink like one more token of value 0 */
    expect_attended(even, v, 0, (const float[]){0}, (const float[]){3, 6, 12});
    /* ... and of weight 2: ln 2 = 0.69314718 */
    expect_attended(even, v, 0, (const float[]){0.69314718f}, (const float[]){2, 4.5f, 9.6f});
    /* ... that outweighs everything, and nothing */
    expect_attended(even, v, 0, (const float[]){500}, (const float[]){0, 0, 0});
    expect_attended(even, v, 0, (const float[]){-500}, (const float[]){6, 9, 16});
    /* scores 100 and 0 are held to 1 and 0: weights e : 1; then e : 1 : 1 / e */
    const float loud[] = {100, 0, -100};
    expect_attended(loud, v, 1, NULL, (const float[]){6, 7.6136485f, 9.6291046f});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_norm_divides_and_weighs),
        cmocka_unit_test(groups_may_have_their_own_weights),
        cmocka_unit_test(layer_norm_takes_the_mean_off),
        cmocka_unit_test(activations_have_their_values),
        cmocka_unit_test(a_clamped_gate_holds_both_sides),
        cmocka_unit_test(sigmoid_gates_attention),
        cmocka_unit_test(scales_multiply_and_soft_caps_bend),
        cmocka_unit_test(additions_add),
        cmocka_unit_test(positions_are_looked_up_from_the_offset),
        cmocka_unit_test(copies_move_parts_of_parts),
        cmocka_unit_test(each_head_has_its_matrix),
        cmocka_unit_test(rotations_turn_halves_pairs_and_parts),
        cmocka_unit_test(attention_weighs_values_caps_scores_and_knows_sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
