/* tests/unit/model/test_rope.c - rotary tables against closed forms, and against values computed from the
 * papers' formulas in double precision by another program (in turns over the original context, not in
 * wavelengths as rope.c does it). */
#include "model/rope.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>

#define MAX_PAIRS 64
/* f32 with a power, a division and, at the edges of a ramp, a cancellation of a few bits. */
#define TOLERANCE 3e-6

typedef struct expected {
    int pair;
    double freq;
} expected;

static void assert_close(double got, double want, int pair)
{
    if (fabs(got - want) > TOLERANCE * fabs(want)) {
        fail_msg("pair %d: %.9e, want %.9e", pair, got, want);
    }
}

static void assert_table(const krs_rope_config *config, int32_t head_dim, const expected *want,
                         size_t n, double scale)
{
    float freqs[MAX_PAIRS];
    float got_scale = 0;
    krs_rope_fill(config, head_dim, 4096, freqs, &got_scale);
    for (size_t i = 0; i < n; i++) {
        assert_close((double)freqs[want[i].pair], want[i].freq, want[i].pair);
    }
    assert_close((double)got_scale, scale, -1);
}

static void default_is_a_geometric_series(void **state)
{
    (void)state;
    const krs_rope_config config = {.kind = KRS_ROPE_DEFAULT, .theta = 10000, .factor = 1};
    float freqs[MAX_PAIRS];
    float scale = 0;
    krs_rope_fill(&config, 128, 4096, freqs, &scale);
    for (int i = 0; i < 64; i++) {
        assert_close((double)freqs[i], pow(10000, -i / 64.0), i);
    }
    assert_true(scale == 1.0f);
}

static void linear_divides_every_frequency(void **state)
{
    (void)state;
    const krs_rope_config config = {.kind = KRS_ROPE_LINEAR, .theta = 10000, .factor = 2.5};
    float freqs[MAX_PAIRS];
    float scale = 0;
    krs_rope_fill(&config, 64, 4096, freqs, &scale);
    for (int i = 0; i < 32; i++) {
        assert_close((double)freqs[i], pow(10000, -i / 32.0) / 2.5, i);
    }
    assert_true(scale == 1.0f);
}

static void llama3_keeps_short_waves_and_stretches_long_ones(void **state)
{
    (void)state;
    const krs_rope_config llama31 = {.kind = KRS_ROPE_LLAMA3,
                                     .theta = 500000,
                                     .factor = 8,
                                     .low_freq_factor = 1,
                                     .high_freq_factor = 4,
                                     .original_max_positions = 8192};
    static const expected want31[] = {
        {0, 1.0},
        {1, 8.146172339e-01},
        {20, 1.656044008e-02},
        {28, 3.211445995e-03}, /* the last one kept */
        {29, 2.166570764e-03}, /* blended from here */
        {30, 1.371893568e-03},
        {32, 5.248461610e-04},
        {34, 1.785078128e-04},
        {35, 9.556212354e-05},
        {36, 7.784655274e-05}, /* divided by 8 from here */
        {40, 3.428102196e-05},
        {63, 3.068925989e-07},
    };
    assert_table(&llama31, 128, want31, sizeof(want31) / sizeof(want31[0]), 1);

    krs_rope_config llama32 = llama31;
    llama32.factor = 32;
    static const expected want32[] = {
        {13, 4.839421346e-03}, {14, 3.211445995e-03}, {15, 1.290547928e-03}, {16, 4.295567966e-04},
        {17, 9.708287803e-05}, {18, 1.946163818e-05}, {31, 9.418306725e-08},
    };
    assert_table(&llama32, 64, want32, sizeof(want32) / sizeof(want32[0]), 1);
}

static void llama3_with_equal_bounds_has_no_blend(void **state)
{
    (void)state;
    const krs_rope_config config = {.kind = KRS_ROPE_LLAMA3,
                                    .theta = 500000,
                                    .factor = 8,
                                    .low_freq_factor = 2,
                                    .high_freq_factor = 2,
                                    .original_max_positions = 8192};
    float freqs[MAX_PAIRS];
    float scale = 0;
    krs_rope_fill(&config, 128, 4096, freqs, &scale);
    for (int i = 0; i < 64; i++) {
        const double freq = pow(500000, -i / 64.0);
        const double turns = 8192 * freq / (2 * 3.14159265358979323846);
        assert_close((double)freqs[i], turns < 2 ? freq / 8 : freq, i);
    }
}

static krs_rope_config yarn(void)
{
    return (krs_rope_config){.kind = KRS_ROPE_YARN,
                             .theta = 1000000,
                             .factor = 4,
                             .beta_fast = 32,
                             .beta_slow = 1,
                             .is_truncated = true,
                             .original_max_positions = 32768};
}

static void yarn_ramps_between_whole_pairs(void **state)
{
    (void)state;
    const krs_rope_config config = yarn();
    static const expected want[] = {
        {0, 1.0},
        {1, 8.058421878e-01},
        {23, 6.978305849e-03}, /* the last one kept */
        {24, 5.375321491e-03},
        {30, 1.064360981e-03},
        {35, 2.462584069e-04},
        {39, 6.490394321e-05},
        {40, 4.445698525e-05}, /* divided by 4 from here */
        {41, 3.582531426e-05},
        {63, 3.102344402e-07},
    };
    assert_table(&config, 128, want, sizeof(want) / sizeof(want[0]), 1.138629436111989);
}

static void yarn_without_truncation_ramps_between_fractions(void **state)
{
    (void)state;
    krs_rope_config config = yarn();
    config.theta = 150000;
    config.factor = 32;
    config.original_max_positions = 4096;
    config.is_truncated = false;
    static const expected want[] = {
        {0, 1.0},
        {8, 5.081327482e-02},
        {9, 3.170569618e-02},
        {12, 6.794959490e-03},
        {15, 1.052602101e-03},
        {17, 1.293187012e-04},
        {18, 3.830881237e-05},
        {31, 3.023511428e-07},
    };
    assert_table(&config, 64, want, sizeof(want) / sizeof(want[0]), 1.3465735902799727);
}

static void yarn_scale_is_given_or_derived(void **state)
{
    (void)state;
    krs_rope_config config = yarn();
    config.factor = 40;
    config.mscale = 1.5;
    config.mscale_all_dim = 0.7;
    assert_table(&config, 128, NULL, 0, 1.2345456200176328);
    config.mscale_all_dim = config.mscale;
    assert_table(&config, 128, NULL, 0, 1);
    config.mscale_all_dim = 0; /* one alone counts for nothing */
    assert_table(&config, 128, NULL, 0, 0.1 * log(40) + 1);
    config.attention_factor = 0.75;
    assert_table(&config, 128, NULL, 0, 0.75);
    config.attention_factor = 0;
    config.factor = 1;
    assert_table(&config, 128, NULL, 0, 1);
}

/* The table is chosen by the longest context there can be, not by the position. */
static void longrope_has_a_table_for_short_and_one_for_long_contexts(void **state)
{
    (void)state;
    static const double factors[] = {1, 2, 4, 8, 3, 5, 7, 9};
    const krs_rope_config config = {.kind = KRS_ROPE_LONGROPE,
                                    .theta = 10000,
                                    .factor = 4,
                                    .original_max_positions = 1024,
                                    .short_factors = factors,
                                    .long_factors = factors + 4};
    for (int is_long = 0; is_long < 2; is_long++) {
        float freqs[4];
        float scale = 0;
        krs_rope_fill(&config, 8, is_long ? 1025 : 1024, freqs, &scale);
        for (int i = 0; i < 4; i++) {
            assert_close((double)freqs[i], pow(10000, -i / 4.0) / factors[4 * is_long + i], i);
        }
        assert_close((double)scale, sqrt(1 + log(4) / log(1024)), 0);
    }
}

static void dynamic_raises_the_base_beyond_the_original_context(void **state)
{
    (void)state;
    const krs_rope_config config = {
        .kind = KRS_ROPE_DYNAMIC, .theta = 10000, .factor = 2, .original_max_positions = 1024};
    float freqs[MAX_PAIRS];
    float scale = 0;
    krs_rope_fill(&config, 64, 1024, freqs, &scale);
    assert_close((double)freqs[5], pow(10000, -5 / 32.0), 5);
    krs_rope_fill(&config, 64, 2048, freqs, &scale);
    const double theta = 10000 * pow(2.0 * 2048 / 1024 - 1, 64.0 / 62);
    assert_close((double)freqs[5], pow(theta, -5 / 32.0), 5);
    assert_true(scale == 1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_is_a_geometric_series),
        cmocka_unit_test(linear_divides_every_frequency),
        cmocka_unit_test(llama3_keeps_short_waves_and_stretches_long_ones),
        cmocka_unit_test(llama3_with_equal_bounds_has_no_blend),
        cmocka_unit_test(yarn_ramps_between_whole_pairs),
        cmocka_unit_test(yarn_without_truncation_ramps_between_fractions),
        cmocka_unit_test(yarn_scale_is_given_or_derived),
        cmocka_unit_test(longrope_has_a_table_for_short_and_one_for_long_contexts),
        cmocka_unit_test(dynamic_raises_the_base_beyond_the_original_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
