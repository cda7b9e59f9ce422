/* tests/parity/test_same_moe.c - rows of experts and of ops with a state have the same bytes whatever
 * else the device is doing, in the storms of support/row_storm.h. */
#include "support/row_storm.h"
#include "support/tiny_moe.h"

static void build_experts(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const tiny_mixture m = {
        .n_experts = 12,
        .top_k = 3,
        .ffn = 96,
        .score = KRS_ROUTE_SIGMOID,
        .is_normalised = true,
        .n_groups = 4,
        .top_groups = 2,
        .has_bias = true,
        .is_interleaved = c->quant.kind == KRS_QUANT_NONE,
        .limit = c->quant.kind == KRS_QUANT_NONE ? 2.0f : 0,
    };
    finish(tiny, tiny_experts(tiny, &shape, &m, start(tiny, 160)));
}

static void build_conv(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype};
    const krs_slot x = tiny_conv(tiny, &shape, start(tiny, 211), 4, true);
    finish(tiny, tiny_conv(tiny, &shape, x, 2, false));
}

static void build_delta(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype};
    finish(tiny, tiny_delta(tiny, &shape, &(tiny_heads){2, 6, 24, 21}, start(tiny, 80)));
}

#define DENSE(type)        .dtype = KRS_DTYPE_##type
#define AFFINE(bits, each) .dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, bits, each}

static const same_case cases[] = {
    {"experts_f32", build_experts, DENSE(F32)},
    {"experts_bf16", build_experts, DENSE(BF16)},
    {"experts_4_bits", build_experts, AFFINE(4, 32)},
    {"conv", build_conv, DENSE(BF16)},
    {"delta", build_delta, DENSE(F32), .is_long = true},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

int main(void)
{
    struct CMUnitTest tests[N_CASES];
    for (size_t i = 0; i < N_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, rows_have_the_same_bytes_alone_and_in_storms,
                                       NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
