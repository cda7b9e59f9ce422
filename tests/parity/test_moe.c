/* tests/parity/test_moe.c - experts and ops with a state on every instruction set, held to the reference.
 *
 * Random rows enter through an embedding, the ops under test follow, TAKE_ROWS brings them out. 40 rows
 * of one sequence on ref and on cpu with every instruction set; the relative RMS error must stay below
 * the tolerance. That rows keep their bytes whatever else runs is test_same_moe.c's.
 *
 * Tolerances: f32 sums differ from the reference's double ones by rounding only; avx512bf16 and neonbf16 round x to
 * bf16 where weights are bf16 or affine (test_ops.c has the numbers), here twice in a row. The delta
 * rule feeds its rounding back through the state. */
#include "compute/cpu/isa.h"

#include "support/isa.h"
#include "support/one_seq.h"
#include "support/tiny_moe.h"

enum { ROWS = 40, WIDTH = 96 };

#define TOL_F32   5e-6
#define TOL_DELTA 2e-5
#define TOL_BF16  8e-3
#define TOL_BYTES 1.5e-2 /* rows in bytes, before and after the gate */

static krs_slot start(tiny_decoder *tiny, uint64_t seed)
{
    *tiny = (tiny_decoder){.random = seed * 2 + 1};
    krs_program_init(&tiny->program, NULL);
    tiny->program.max_positions = 4096;
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot x = tiny_slot(tiny, WIDTH, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, ROWS, WIDTH, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f, 0}});
    return x;
}

static void finish(tiny_decoder *tiny, krs_slot from)
{
    tiny->program.logits = tiny_slot(tiny, tiny->program.slots[from].width, KRS_ROWS_LOGITS);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.logits});
}

static float *run(const char *device, const char *isa, const krs_program *program)
{
    krs_one_seq seq;
    uint32_t tokens[ROWS];
    for (uint32_t i = 0; i < ROWS; i++) {
        tokens[i] = i;
    }
    krs_one_seq_open(&seq, device, isa, KRS_DTYPE_COUNT, program);
    float *out = krs_alloc_array(NULL, ROWS * (size_t)seq.vocab, sizeof(*out));
    assert_non_null(out);
    krs_one_seq_feed(&seq, tokens, ROWS, out);
    krs_one_seq_close(&seq);
    return out;
}

static double relative_rms(const float *got, const float *want, size_t n)
{
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    assert_true(power > 0);
    return sqrt(error / power);
}

static void check(const krs_program *program, double plain, double bf16, const char *name)
{
    krs_error err = KRS_ERROR_INIT;
    krs_one_seq_must(krs_program_check(program, &err), &err);
    const size_t n = ROWS * (size_t)program->slots[program->logits].width;
    float *want = run("ref", NULL, program);
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        const char *isa = krs_cpu_isa_name(i);
        if (!krs_cpu_isa_is_here(isa)) {
            print_message("skipped: no %s here\n", isa);
            continue;
        }
        float *got = run("cpu", isa, program);
        const double rms = relative_rms(got, want, n);
        const double limit = isa_rounds_to_bf16(isa) ? bf16 : plain;
        if (!(rms <= limit)) { /* NaN fails too */
            fail_msg("%s on %s: relative RMS error %.3g, want %.3g", name, isa, rms, limit);
        }
        krs_alloc_free(NULL, got);
    }
    krs_alloc_free(NULL, want);
}

static void check_experts(const tiny_shape *shape, const tiny_mixture *m, const char *name)
{
    tiny_decoder tiny;
    const bool is_f32 = shape->dtype == KRS_DTYPE_F32 && shape->quant.kind == KRS_QUANT_NONE;
    const krs_slot x = start(&tiny, (uint64_t)m->n_experts);
    finish(&tiny, tiny_experts(&tiny, shape, m, x));
    const bool is_quantised = shape->quant.kind != KRS_QUANT_NONE;
    const double plain = is_quantised ? TOL_BYTES : TOL_F32;
    check(&tiny.program, plain, is_f32 || is_quantised ? plain : TOL_BF16, name);
    tiny_decoder_deinit(&tiny);
}

static void experts_agree_in_every_layout(void **state)
{
    (void)state;
    static const tiny_shape shapes[] = {
        {.dtype = KRS_DTYPE_F32},
        {.dtype = KRS_DTYPE_F16},
        {.dtype = KRS_DTYPE_BF16},
        {.dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, 4, 32}},
        {.dtype = KRS_DTYPE_F16, .quant = {KRS_QUANT_AFFINE, 8, 32}},
        {.dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, 3, 32}}, /* widened */
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const tiny_mixture m = {.n_experts = 7, .top_k = 2, .ffn = 64, .n_groups = 1};
        check_experts(&shapes[i], &m, krs_quant_name(shapes[i].quant.kind));
    }
}

static void experts_agree_in_every_family(void **state)
{
    (void)state;
    static const tiny_mixture mixtures[] = {
        {.n_experts = 5, .top_k = 2, .ffn = 33, .is_normalised = true, .n_groups = 1},
        {.n_experts = 9, .top_k = 9, .ffn = 20, .n_groups = 1}, /* all of them */
        {.n_experts = 1, .top_k = 1, .ffn = 70, .score = KRS_ROUTE_SIGMOID, .n_groups = 1},
        {.n_experts = 6,
         .top_k = 3,
         .ffn = 41,
         .score = KRS_ROUTE_TOP,
         .n_groups = 1,
         .has_bias = true,
         .is_interleaved = true,
         .limit = 0.7f},
        {.n_experts = 16,
         .top_k = 4,
         .ffn = 25,
         .score = KRS_ROUTE_SIGMOID,
         .is_normalised = true,
         .n_groups = 4,
         .top_groups = 2,
         .has_bias = true},
    };
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    for (size_t i = 0; i < sizeof(mixtures) / sizeof(mixtures[0]); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "mixture %zu", i);
        check_experts(&f32, &mixtures[i], name);
    }
}

/* With weights of one matrix each, the experts' op is LINEAR, GLU, LINEAR. */
static void one_expert_is_a_plain_feed_forward(void **state)
{
    (void)state;
    tiny_decoder tiny;
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const tiny_mixture m = {.n_experts = 1, .top_k = 1, .ffn = 48, .n_groups = 1};
    const krs_slot x = start(&tiny, 3);
    const krs_slot y = tiny_experts(&tiny, &f32, &m, x);
    const krs_op experts = tiny.program.ops[tiny.program.n_ops - 1];
    const krs_slot gate = tiny_slot(&tiny, 48, KRS_ROWS_ALL);
    const krs_slot up = tiny_slot(&tiny, 48, KRS_ROWS_ALL);
    const krs_slot z = tiny_slot(&tiny, WIDTH, KRS_ROWS_ALL);
    const krs_op plain[] = {
        {.kind = KRS_OP_LINEAR, .in = x, .out = gate, .matrix = experts.experts.gate},
        {.kind = KRS_OP_LINEAR, .in = x, .out = up, .matrix = experts.experts.up},
        {.kind = KRS_OP_GLU, .in = gate, .in2 = up, .out = gate},
        {.kind = KRS_OP_LINEAR, .in = gate, .out = z, .matrix = experts.experts.down},
        /* The one expert's weight is 1 times tiny_route's scale. */
        {.kind = KRS_OP_ADD, .in = y, .in2 = z, .out = z, .add = {-1.5f}},
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        krs_op op = plain[i];
        op.bias = KRS_NO_MATRIX;
        tiny_op(&tiny, op);
    }
    finish(&tiny, z);
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        if (krs_cpu_isa_is_here(krs_cpu_isa_name(i))) {
            float *rest = run("cpu", krs_cpu_isa_name(i), &tiny.program);
            for (size_t k = 0; k < ROWS * (size_t)WIDTH; k++) {
                assert_true(fabsf(rest[k]) < 1e-5f);
            }
            krs_alloc_free(NULL, rest);
        }
    }
    tiny_decoder_deinit(&tiny);
}

/* Experts so wide that 250 rows do not fit KRS_CPU_EXPERTS_BYTES: two parts, and then steps of one. */
static void rows_in_parts_are_the_same_rows(void **state)
{
    (void)state;
    enum { N = 250, EACH = 50 };
    tiny_decoder tiny;
    krs_one_seq seq;
    uint32_t tokens[N];
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const tiny_mixture m = {.n_experts = 8, .top_k = 8, .ffn = 3000, .n_groups = 1};
    const krs_slot x = start(&tiny, 11);
    finish(&tiny, tiny_experts(&tiny, &f32, &m, x));
    for (uint32_t i = 0; i < N; i++) {
        tokens[i] = i * 7 % ROWS;
    }
    float *whole = krs_alloc_array(NULL, N * WIDTH, sizeof(*whole));
    float *parts = krs_alloc_array(NULL, N * WIDTH, sizeof(*parts));
    assert_true(whole && parts);
    krs_one_seq_open(&seq, "cpu", NULL, KRS_DTYPE_COUNT, &tiny.program);
    krs_one_seq_feed(&seq, tokens, N, whole);
    krs_one_seq_restart(&seq);
    for (uint32_t at = 0; at < N; at += EACH) {
        krs_one_seq_feed(&seq, tokens + at, EACH, parts + (size_t)at * WIDTH);
    }
    assert_memory_equal(whole, parts, N * WIDTH * sizeof(*whole));
    krs_one_seq_close(&seq);
    krs_alloc_free(NULL, whole);
    krs_alloc_free(NULL, parts);
    tiny_decoder_deinit(&tiny);
}

static void convolutions_agree(void **state)
{
    (void)state;
    for (int32_t kernel = 1; kernel <= 5; kernel++) {
        tiny_decoder tiny;
        const tiny_shape shape = {.dtype = kernel % 2 ? KRS_DTYPE_BF16 : KRS_DTYPE_F32};
        const krs_slot x = start(&tiny, (uint64_t)kernel);
        finish(&tiny, tiny_conv(&tiny, &shape, x, kernel, kernel > 2));
        check(&tiny.program, TOL_F32, TOL_F32, "conv");
        tiny_decoder_deinit(&tiny);
    }
}

static void delta_rules_agree(void **state)
{
    (void)state;
    static const tiny_heads heads[] = {
        {1, 1, 16, 64}, {2, 2, 33, 65}, {2, 6, 128, 128}, {1, 4, 7, 5}, {3, 3, 1, 1}};
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        tiny_decoder tiny;
        const krs_slot x = start(&tiny, i);
        finish(&tiny, tiny_delta(&tiny, &f32, &heads[i], x));
        check(&tiny.program, TOL_DELTA, TOL_DELTA, "delta");
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_agree_in_every_layout),
        cmocka_unit_test(experts_agree_in_every_family),
        cmocka_unit_test(one_expert_is_a_plain_feed_forward),
        cmocka_unit_test(rows_in_parts_are_the_same_rows),
        cmocka_unit_test(convolutions_agree),
        cmocka_unit_test(delta_rules_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
