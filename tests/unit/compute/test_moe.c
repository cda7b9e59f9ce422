/* Routing and experts against numbers worked out by hand, on ref and on every instruction set of this
 * machine; and every single lie about such an op, found and named. */
#include "support/op_values.h"

static krs_slot route(tiny_decoder *tiny, krs_op op, int64_t n_experts, const float *logits,
                      const float *bias)
{
    op.kind = KRS_OP_ROUTE;
    op.in = given_rows(tiny, 1, n_experts, logits);
    op.out = tiny_slot(tiny, 2 * (int64_t)op.route.top_k, KRS_ROWS_ALL);
    op.matrix = KRS_NO_MATRIX;
    op.bias = bias ? given(tiny, 1, n_experts, bias) : KRS_NO_MATRIX;
    tiny_op(tiny, op);
    return op.out;
}

/* Logits whose softmax is 1, 2, 3 and 1 sevenths. */
static const float sevenths[] = {0, 0.69314718f, 1.09861229f, 0};

static void softmax_weighs_over_all_experts(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_op op = {.route = {KRS_ROUTE_SOFTMAX, 2, 1, 0, false, 1.0f}};
    const float want[] = {2, 1, 3.0f / 7, 2.0f / 7};
    expect(&tiny, route(&tiny, op, 4, sevenths, NULL), 1, want);
}

static void chosen_weights_are_made_to_sum_to_the_scale(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_op op = {.route = {KRS_ROUTE_SOFTMAX, 2, 1, 0, true, 2.0f}};
    const float want[] = {2, 1, 1.2f, 0.8f};
    expect(&tiny, route(&tiny, op, 4, sevenths, NULL), 1, want);
}

static void top_takes_the_softmax_of_the_chosen(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const krs_op op = {.route = {KRS_ROUTE_TOP, 2, 1, 0, false, 1.0f}};
    const float want[] = {2, 1, 0.6f, 0.4f};
    expect(&tiny, route(&tiny, op, 4, sevenths, NULL), 1, want);
}

static void equals_go_to_the_lowest_index(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float logits[] = {1, 3, 3, 3, 1};
    const krs_op op = {.route = {KRS_ROUTE_TOP, 4, 1, 0, false, 1.0f}};
    const float e = 0.13533528f; /* e^-2 */
    const float want[] = {1, 2, 3, 0, 1 / (3 + e), 1 / (3 + e), 1 / (3 + e), e / (3 + e)};
    expect(&tiny, route(&tiny, op, 5, logits, NULL), 1, want);
}

static void a_bias_chooses_but_does_not_weigh(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float logits[] = {0, 0, 0, 0};
    const float bias[] = {0, 0.1f, -0.2f, 0.3f};
    const krs_op op = {.route = {KRS_ROUTE_SIGMOID, 2, 1, 0, true, 2.5f}};
    const float want[] = {3, 1, 1.25f, 1.25f};
    expect(&tiny, route(&tiny, op, 4, logits, bias), 1, want);
}

/* Sigmoids 0.9, 0.1, 0.6, 0.6: the best expert is in the worse group. */
static void a_group_is_as_good_as_its_best_two(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float logits[] = {2.19722458f, -2.19722458f, 0.40546511f, 0.40546511f};
    const krs_op op = {.route = {KRS_ROUTE_SIGMOID, 2, 2, 1, false, 1.0f}};
    const float want[] = {2, 3, 0.6f, 0.6f};
    expect(&tiny, route(&tiny, op, 4, logits, NULL), 1, want);
}

/* Two experts over x = (1, 2): the routing weighs the second with 3 / 4. */
typedef struct pair {
    float gate[4]; /* of both experts, one after the other; [ffn 1, width 2] each */
    float up[4];
    float down[4]; /* [width 2, ffn 1] */
} pair;

static const pair two = {{1, 0, 0, 0.5f}, {0, 1, 1, 1}, {1, -1, 2, 0}};

static krs_slot experts(tiny_decoder *tiny, const pair *p)
{
    static const float x[] = {1, 2};
    static const float logits[] = {0, 1.09861229f};
    const krs_op chosen = {.route = {KRS_ROUTE_SOFTMAX, 2, 1, 0, false, 1.0f}};
    krs_op op = {.kind = KRS_OP_EXPERTS, .matrix = KRS_NO_MATRIX, .bias = KRS_NO_MATRIX};
    op.in = given_rows(tiny, 1, 2, x);
    op.in2 = route(tiny, chosen, 2, logits, NULL);
    op.out = tiny_slot(tiny, 2, KRS_ROWS_ALL);
    op.experts.gate = given(tiny, 1, 2, p->gate);
    (void)given(tiny, 1, 2, p->gate + 2);
    op.experts.up = given(tiny, 1, 2, p->up);
    (void)given(tiny, 1, 2, p->up + 2);
    op.experts.down = given(tiny, 2, 1, p->down);
    (void)given(tiny, 2, 1, p->down + 2);
    op.experts.gate_bias = op.experts.up_bias = op.experts.down_bias = KRS_NO_MATRIX;
    op.experts.n_experts = 2;
    op.experts.gated = (krs_gate){KRS_ACT_SILU, 0, 0};
    tiny_op(tiny, op);
    return op.out;
}

/* silu(1) = 0.731058579: the first says silu(1) 2 (1, -1), the second silu(1) 3 (2, 0). */
static void experts_are_summed_by_their_weights(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float want[] = {0.75f * 4.386351474f + 0.25f * 1.462117158f, -0.25f * 1.462117158f};
    expect(&tiny, experts(&tiny, &two), 1, want);
}

/* One expert with weight 1: gate 1 and up 2 in turn, up clamped to 1.5, and biases all along.
 * 1 sigmoid(1.702) (1.5 + 1) = 2.114489415, times 2, plus 0.5. */
static void gate_and_up_in_turn_are_clamped_and_biased(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float x[] = {1, 2};
    const float logit[] = {0};
    const krs_op chosen = {.route = {KRS_ROUTE_SOFTMAX, 1, 1, 0, false, 1.0f}};
    krs_op op = {.kind = KRS_OP_EXPERTS, .matrix = KRS_NO_MATRIX, .bias = KRS_NO_MATRIX};
    op.in = given_rows(&tiny, 1, 2, x);
    op.in2 = route(&tiny, chosen, 1, logit, NULL);
    op.out = tiny_slot(&tiny, 2, KRS_ROWS_ALL);
    op.experts.gate = given(&tiny, 2, 2, (const float[]){0.5f, 0, 0, 1});
    op.experts.up = op.experts.up_bias = KRS_NO_MATRIX;
    op.experts.down = given(&tiny, 2, 1, (const float[]){2, 0});
    op.experts.gate_bias = given(&tiny, 1, 2, (const float[]){0.5f, 1});
    op.experts.down_bias = given(&tiny, 1, 2, (const float[]){0.5f, -3});
    op.experts.n_experts = 1;
    op.experts.gated = (krs_gate){KRS_ACT_SILU, 1.5f, 1.702f};
    tiny_op(&tiny, op);
    const float want[] = {2 * 2.114489415f + 0.5f, -3};
    expect(&tiny, op.out, 1, want);
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
static void top_none(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.top_k = 0;
}
static void top_more(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.top_k = 3;
}
static void score_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.score = (krs_route_score)9;
}
static void groups_uneven(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.n_groups = 3;
}
static void groups_of_one(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.n_groups = 2;
    op->route.top_groups = 1;
}
static void scale_forgotten(krs_program *program, krs_op *op)
{
    (void)program;
    op->route.scale = 0;
}
static void bias_wide(krs_program *program, krs_op *op)
{
    op->bias = program->n_matrices - 1; /* down of an expert */
}
static void routing_of_nobody(krs_program *program, krs_op *op)
{
    (void)program;
    op->in2 = 1; /* the logits: indices of anything */
}
static void more_experts(krs_program *program, krs_op *op)
{
    (void)program;
    op->experts.n_experts = 3;
}
static void gate_is_down(krs_program *program, krs_op *op)
{
    (void)program;
    op->experts.gate = op->experts.down;
}
static void down_no_matrix(krs_program *program, krs_op *op)
{
    op->experts.down = program->n_matrices;
}
static void last_expert_missing(krs_program *program, krs_op *op)
{
    program->n_matrices--;
    op->experts.down_bias = KRS_NO_MATRIX;
}
static void layouts_differ(krs_program *program, krs_op *op)
{
    program->matrices[op->experts.up + 1].dtype = KRS_DTYPE_BF16;
}
static void biases_wide(krs_program *program, krs_op *op)
{
    (void)program;
    op->experts.up_bias = op->experts.gate;
}
static void gate_act_unknown(krs_program *program, krs_op *op)
{
    (void)program;
    op->experts.gated.act = KRS_ACT_COUNT;
}

static const struct {
    krs_op_kind kind;
    lie lie;
    const char *says;
} lies[] = {
    {KRS_OP_ROUTE, in_no_slot, "route"},
    {KRS_OP_ROUTE, out_is_in, "2 * top_k"},
    {KRS_OP_ROUTE, top_none, "2 * top_k"},
    {KRS_OP_ROUTE, top_more, "2 * top_k"},
    {KRS_OP_ROUTE, score_unknown, "score"},
    {KRS_OP_ROUTE, groups_uneven, "n_groups"},
    {KRS_OP_ROUTE, groups_of_one, "best two"},
    {KRS_OP_ROUTE, scale_forgotten, "scale"},
    {KRS_OP_ROUTE, bias_wide, "bias"},
    {KRS_OP_EXPERTS, in_no_slot, "experts"},
    {KRS_OP_EXPERTS, out_is_in, "in2 is not written"},
    {KRS_OP_EXPERTS, routing_of_nobody, "ROUTE"},
    {KRS_OP_EXPERTS, more_experts, "ROUTE"},
    {KRS_OP_EXPERTS, gate_is_down, "a layout that fit"},
    {KRS_OP_EXPERTS, down_no_matrix, "no matrix down"},
    {KRS_OP_EXPERTS, last_expert_missing, "a layout that fit"},
    {KRS_OP_EXPERTS, layouts_differ, "a layout that fit"},
    {KRS_OP_EXPERTS, biases_wide, "biases"},
    {KRS_OP_EXPERTS, gate_act_unknown, "activation"},
};

static krs_op *first_of(krs_program *program, krs_op_kind kind)
{
    uint32_t i = 0;
    while (program->ops[i].kind != kind) {
        i++;
    }
    return &program->ops[i];
}

static void every_lie_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        tiny_decoder tiny;
        krs_error err = KRS_ERROR_INIT;
        start(&tiny);
        parity_take_out(&tiny, experts(&tiny, &two));
        assert_int_equal(krs_program_check(&tiny.program, &err), KRS_OK);
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
        cmocka_unit_test(softmax_weighs_over_all_experts),
        cmocka_unit_test(chosen_weights_are_made_to_sum_to_the_scale),
        cmocka_unit_test(top_takes_the_softmax_of_the_chosen),
        cmocka_unit_test(equals_go_to_the_lowest_index),
        cmocka_unit_test(a_bias_chooses_but_does_not_weigh),
        cmocka_unit_test(a_group_is_as_good_as_its_best_two),
        cmocka_unit_test(experts_are_summed_by_their_weights),
        cmocka_unit_test(gate_and_up_in_turn_are_clamped_and_biased),
        cmocka_unit_test(every_lie_is_found_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
