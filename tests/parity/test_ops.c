/* tests/parity/test_ops.c - every op of a decoder of llama's shape, on every instruction set of this
 * machine, held to the reference: see support/parity.h for how, and for the tolerances.
 *
 * One case list. Each case is a program small enough to read: random rows enter through an embedding,
 * the op under test follows, TAKE_ROWS brings them out (a linear writes the logits itself). */
#include "support/parity.h"

static void check_linear(const tiny_shape *shape, int64_t n_in, int64_t n_out, bool has_bias)
{
    tiny_decoder tiny;
    char name[128];
    (void)snprintf(name, sizeof(name), "linear %s %d bits group %d, %lld -> %lld",
                   krs_dtype_name(shape->dtype), shape->quant.bits, shape->quant.group,
                   (long long)n_in, (long long)n_out);
    parity_start(&tiny, n_in, (uint64_t)(n_in * 1000 + n_out));
    const krs_slot y = tiny_slot(&tiny, n_out, KRS_ROWS_ALL);
    tiny_linear(&tiny, shape, 0, y, has_bias);
    parity_take_out(&tiny, y);
    const bool is_quantised = shape->quant.kind != KRS_QUANT_NONE;
    const double plain = is_quantised ? TOL_BYTES : TOL_F32;
    const bool is_rounded = !is_quantised && shape->dtype == KRS_DTYPE_BF16;
    parity_check(&tiny.program, KRS_DTYPE_F32, plain, is_rounded ? TOL_BF16 : plain, name);
    tiny_decoder_deinit(&tiny);
}

static const krs_dtype dense[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};

static void dense_linears_agree_for_any_width(void **state)
{
    (void)state;
    static const int64_t widths[] = {1, 2, 15, 31, 33, 64, 100, 257, 520};
    static const int64_t outs[] = {1, 3, 4, 9, 17, 70};
    for (size_t d = 0; d < 3; d++) {
        const tiny_shape shape = {.dtype = dense[d]};
        for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
            check_linear(&shape, widths[i], outs[(i + d) % 6], i % 2 == 0);
        }
    }
}

static void affine_linears_agree_for_every_group(void **state)
{
    (void)state;
    static const int32_t groups[] = {32, 64, 128};
    static const int64_t n_groups[] = {1, 2, 3, 5, 17};
    static const int64_t outs[] = {1, 2, 5, 33};
    for (int32_t bits = 4; bits <= 8; bits += 4) {
        for (size_t g = 0; g < 3; g++) {
            for (size_t i = 0; i < 5; i++) {
                const tiny_shape shape = {.dtype = dense[(g + i) % 3],
                                          .quant = {KRS_QUANT_AFFINE, bits, groups[g]}};
                check_linear(&shape, n_groups[i] * groups[g], outs[(g + i) % 4], i % 2 == 1);
            }
        }
    }
}

static void norms_agree(void **state)
{
    (void)state;
    static const int64_t widths[] = {3, 32, 60, 129, 512};
    for (size_t i = 0; i < 5; i++) {
        for (int32_t n_groups = 1; n_groups <= 3; n_groups += 2) {
            tiny_decoder tiny;
            const tiny_shape shape = {.dtype = dense[i % 3]};
            parity_start(&tiny, widths[i] * n_groups, i);
            const krs_slot y = tiny_slot(&tiny, widths[i] * n_groups, KRS_ROWS_ALL);
            tiny_norm(&tiny, &shape, 0, y, n_groups);
            parity_take_out(&tiny, y);
            parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_F32, "rms norm");
            tiny_decoder_deinit(&tiny);
        }
    }
}

static void activations_agree(void **state)
{
    (void)state;
    static const krs_activation acts[] = {KRS_ACT_SILU, KRS_ACT_GELU, KRS_ACT_GELU_TANH};
    static const float scales[] = {1e-3f, 1.0f, 8.0f, 120.0f};
    for (size_t i = 0; i < 12; i++) {
        tiny_decoder tiny;
        parity_start(&tiny, 50, i);
        tiny.program.ops[0].embed.scale = scales[i / 3];
        const krs_slot y = tiny_slot(&tiny, 50, KRS_ROWS_ALL);
        tiny_op(&tiny,
                (krs_op){.kind = KRS_OP_GLU, .in = 0, .in2 = 0, .out = y, .glu = {acts[i % 3]}});
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_ADD, .in = 0, .in2 = y, .out = y, .add = {1.0f}});
        parity_take_out(&tiny, y);
        parity_check(&tiny.program, KRS_DTYPE_F32, TOL_ACT, TOL_ACT, "glu and add");
        tiny_decoder_deinit(&tiny);
    }
}

static void embeddings_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        tiny_decoder tiny = {.random = i * 2 + 1};
        const krs_quant quants[] = {
            {KRS_QUANT_NONE, 0, 0}, {KRS_QUANT_AFFINE, 4, 32}, {KRS_QUANT_AFFINE, 8, 64}};
        const tiny_shape shape = {.dtype = dense[i % 3], .quant = quants[i / 3]};
        krs_program_init(&tiny.program, NULL);
        tiny.program.max_positions = 4096;
        const krs_slot x = tiny_slot(&tiny, 192, KRS_ROWS_ALL);
        const uint32_t rows = tiny_matrix(&tiny, &shape, PARITY_ROWS, 192, 0, 1.0f);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {3.7f}});
        parity_take_out(&tiny, x);
        parity_check(&tiny.program, KRS_DTYPE_F32, 0, 0, "embed"); /* the definition: equal */
        tiny_decoder_deinit(&tiny);
    }
}

/* K, V and q are three linear views of the same rows; attention over them, after RoPE. */
static void check_attention(int32_t n_heads, int32_t n_kv_heads, int32_t head_dim, int32_t window,
                            krs_dtype kv_dtype, double tol)
{
    tiny_decoder tiny;
    const tiny_shape shape = {.dtype = KRS_DTYPE_F32};
    char name[128];
    (void)snprintf(name, sizeof(name), "attention %d heads over %d of %d, window %d, KV %s",
                   n_heads, n_kv_heads, head_dim, window, krs_dtype_name(kv_dtype));
    parity_start(&tiny, 40, (uint64_t)(n_heads * 100 + head_dim));
    krs_program *program = &tiny.program;
    program->n_kv_layers = 2;
    program->n_kv_heads = n_kv_heads;
    program->head_dim = head_dim;
    const krs_slot q = tiny_slot(&tiny, (int64_t)n_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot k = tiny_slot(&tiny, (int64_t)n_kv_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(&tiny, (int64_t)n_kv_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot a = tiny_slot(&tiny, (int64_t)n_heads * head_dim, KRS_ROWS_ALL);
    tiny_linear(&tiny, &shape, 0, q, false);
    tiny_linear(&tiny, &shape, 0, k, false);
    tiny_linear(&tiny, &shape, 0, v, false);
    const uint32_t freqs = tiny_freqs(&tiny, head_dim / 2);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_ROPE,
                            .in = q,
                            .out = q,
                            .rope = {n_heads, head_dim, head_dim / 2, freqs, 1.0f}});
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_ROPE,
                            .in = k,
                            .out = k,
                            .rope = {n_kv_heads, head_dim, head_dim / 2, freqs, 1.0f}});
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {1, n_heads, n_kv_heads, head_dim, window, 2.0f}};
    tiny_op(&tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = q;
    op.out = a;
    tiny_op(&tiny, op);
    parity_take_out(&tiny, a);
    parity_check(program, kv_dtype, tol, tol, name);
    if (kv_dtype == KRS_DTYPE_I8) {
        const parity_tolerances same = {TOL_SAME_I8, TOL_SAME_I8};
        parity_check_against(program, KRS_DTYPE_I8, KRS_DTYPE_I8, same, name);
    }
    tiny_decoder_deinit(&tiny);
}

static void attention_agrees(void **state)
{
    (void)state;
    check_attention(4, 2, 32, 0, KRS_DTYPE_F32, TOL_F32);
    check_attention(7, 1, 64, 0, KRS_DTYPE_F32, TOL_F32);
    check_attention(3, 3, 128, 5, KRS_DTYPE_F32, TOL_F32);
    check_attention(8, 2, 20, 3, KRS_DTYPE_F32, TOL_F32);
    check_attention(2, 1, 6, 0, KRS_DTYPE_F32, TOL_F32);
    check_attention(4, 2, 80, 0, KRS_DTYPE_F16, TOL_KV_F16);
    check_attention(6, 2, 64, 7, KRS_DTYPE_F16, TOL_KV_F16);
    check_attention(5, 1, 48, 0, KRS_DTYPE_BF16, TOL_KV_BF16);
    check_attention(4, 2, 64, 0, KRS_DTYPE_I8, TOL_KV_I8);
    check_attention(7, 1, 20, 6, KRS_DTYPE_I8, TOL_KV_I8);
    check_attention(3, 3, 7, 0, KRS_DTYPE_I8, TOL_KV_I8);
    check_attention(8, 2, 128, 0, KRS_DTYPE_I8, TOL_KV_I8);
}

/* q, K and V are three linear views of the same rows; `n_buckets` of relative bias, or none. */
static void check_attend_rows(int32_t n_heads, int32_t n_kv_heads, int32_t head_dim, int32_t window,
                              int32_t n_buckets, krs_dtype dtype)
{
    tiny_decoder tiny;
    const tiny_shape shape = {.dtype = dtype};
    char name[128];
    (void)snprintf(name, sizeof(name), "attend rows %d heads over %d of %d, window %d, %d buckets",
                   n_heads, n_kv_heads, head_dim, window, n_buckets);
    parity_start(&tiny, 40, (uint64_t)(n_heads * 100 + head_dim));
    const krs_slot q = tiny_slot(&tiny, (int64_t)n_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot k = tiny_slot(&tiny, (int64_t)n_kv_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(&tiny, (int64_t)n_kv_heads * head_dim, KRS_ROWS_ALL);
    const krs_slot a = tiny_slot(&tiny, (int64_t)n_heads * head_dim, KRS_ROWS_ALL);
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    tiny_linear(&tiny, &f32, 0, q, false);
    tiny_linear(&tiny, &f32, 0, k, false);
    tiny_linear(&tiny, &f32, 0, v, false);
    const uint32_t table =
        n_buckets > 0 ? tiny_matrix(&tiny, &shape, n_buckets, n_heads, 0, 2.0f) : KRS_NO_MATRIX;
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_ATTEND_ROWS,
                            .in = q,
                            .in2 = k,
                            .in3 = v,
                            .out = a,
                            .matrix = table,
                            .attention = {.n_heads = n_heads,
                                          .n_kv_heads = n_kv_heads,
                                          .head_dim = head_dim,
                                          .window = window,
                                          .scale = 1.5f,
                                          .max_distance = 10}});
    parity_take_out(&tiny, a);
    parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_F32, name);
    tiny_decoder_deinit(&tiny);
}

static void attention_over_rows_agrees(void **state)
{
    (void)state;
    check_attend_rows(4, 4, 16, 0, 0, KRS_DTYPE_F32);
    check_attend_rows(6, 2, 64, 0, 0, KRS_DTYPE_F32);
    check_attend_rows(3, 3, 7, 2, 0, KRS_DTYPE_F32);
    check_attend_rows(2, 1, 20, 16, 0, KRS_DTYPE_F32); /* wider than the text */
    check_attend_rows(4, 4, 32, 0, 8, KRS_DTYPE_F32);
    check_attend_rows(5, 5, 12, 3, 16, KRS_DTYPE_BF16);
}

enum { LONG = 700, LONG_VOCAB = 24 };

/* Sizes so that every op of a long prefill is worth a fork: see KRS_CPU_FORK_ELEMENTS. */
static void long_decoder(tiny_decoder *tiny, int32_t window)
{
    tiny_shape shape = tiny_shape_default();
    shape.vocab = LONG_VOCAB;
    shape.hidden = 128;
    shape.ffn = 96;
    shape.n_layers = 1;
    shape.n_heads = 4;
    shape.n_kv_heads = 4;
    shape.head_dim = 32;
    shape.window = window;
    tiny_decoder_init(tiny, &shape);
}

/* Several parts, block boundaries and windows: a sequence of 700 tokens, whole and in chunks, on 1, 2
 * and 3 threads. */
static void check_long(const char *isa, const krs_program *program, krs_dtype kv_dtype,
                       const float *want)
{
    static const uint32_t chunks[] = {255, 1, 1, 243, 12, 1, 187}; /* 700 in all */
    const size_t n = (size_t)LONG * LONG_VOCAB;
    float *first = parity_rows(LONG, LONG_VOCAB);
    float *got = parity_rows(LONG, LONG_VOCAB);
    for (int32_t n_threads = 1; n_threads <= PARITY_THREADS; n_threads++) {
        parity_runner run;
        parity_open(&run, program, (parity_machine){isa, n_threads, kv_dtype});
        parity_step(&run, LONG_VOCAB, 0, LONG, got);
        if (n_threads == 1) {
            const double tol = kv_dtype == KRS_DTYPE_F32   ? 1e-5
                               : kv_dtype == KRS_DTYPE_F16 ? TOL_KV_F16
                                                           : TOL_KV_I8;
            assert_true(parity_rms(got, want, n) <= tol);
            memcpy(first, got, n * sizeof(*first));
        }
        assert_memory_equal(got, first, n * sizeof(*got));
        memset(got, 0, n * sizeof(*got));
        uint32_t at = 0;
        for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
            parity_step(&run, LONG_VOCAB, at, chunks[i], got + (size_t)at * LONG_VOCAB);
            at += chunks[i];
        }
        assert_int_equal(at, LONG);
        assert_memory_equal(got, first, n * sizeof(*got));
        parity_close(&run);
    }
    krs_alloc_free(NULL, first);
    krs_alloc_free(NULL, got);
}

static void long_sequences_agree_and_do_not_depend_on_chunks_or_threads(void **state)
{
    (void)state;
    static const struct {
        int32_t window;
        krs_dtype kv_dtype;
    } cases[] = {{0, KRS_DTYPE_F32}, {300, KRS_DTYPE_F16}, {0, KRS_DTYPE_I8}, {300, KRS_DTYPE_I8}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        tiny_decoder tiny;
        parity_runner run;
        long_decoder(&tiny, cases[c].window);
        float *want = parity_rows(LONG, LONG_VOCAB);
        parity_open(&run, &tiny.program, (parity_machine){NULL, 1, KRS_DTYPE_F32});
        parity_step(&run, LONG_VOCAB, 0, LONG, want);
        parity_close(&run);
        for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
            if (krs_cpu_isa_is_here(krs_cpu_isa_name(i))) {
                check_long(krs_cpu_isa_name(i), &tiny.program, cases[c].kv_dtype, want);
            } else {
                print_message("skipped: no %s here\n", krs_cpu_isa_name(i));
            }
        }
        krs_alloc_free(NULL, want);
        tiny_decoder_deinit(&tiny);
    }
}

static void wide_linears_do_not_depend_on_threads(void **state)
{
    (void)state;
    const tiny_shape shapes[] = {{.dtype = KRS_DTYPE_BF16},
                                 {.dtype = KRS_DTYPE_F16, .quant = {KRS_QUANT_AFFINE, 4, 64}},
                                 {.dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, 8, 32}}};
    for (size_t i = 0; i < 3; i++) {
        check_linear(&shapes[i], 320, 1001, true); /* 5 M products: forked */
    }
}

static void whole_decoders_agree(void **state)
{
    (void)state;
    tiny_shape shape = tiny_shape_default();
    shape.hidden = 64;
    shape.ffn = 96;
    shape.head_dim = 32;
    for (size_t i = 0; i < 4; i++) {
        tiny_decoder tiny;
        shape.dtype = dense[i % 3];
        shape.quant = i == 3 ? (krs_quant){KRS_QUANT_AFFINE, 4, 32} : shape.quant;
        shape.vocab = PARITY_ROWS;
        shape.act = i % 2 ? KRS_ACT_GELU_TANH : KRS_ACT_SILU;
        tiny_decoder_init(&tiny, &shape);
        parity_check(&tiny.program, KRS_DTYPE_F32, i == 3 ? 1.5e-2 : 1e-5, 1.5e-2, "decoder");
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_linears_agree_for_any_width),
        cmocka_unit_test(affine_linears_agree_for_every_group),
        cmocka_unit_test(norms_agree),
        cmocka_unit_test(activations_agree),
        cmocka_unit_test(embeddings_agree),
        cmocka_unit_test(attention_agrees),
        cmocka_unit_test(attention_over_rows_agrees),
        cmocka_unit_test(long_sequences_agree_and_do_not_depend_on_chunks_or_threads),
        cmocka_unit_test(wide_linears_do_not_depend_on_threads),
        cmocka_unit_test(whole_decoders_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
