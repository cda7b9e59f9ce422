/* Buckets of relative positions: every distance near by has its own, the rest grow with the logarithm, and
 * the two sides do not meet. The table is what transformers' relative_position_bucket gives for MPNet. */
#include "compute/relative.h"

#include "support/cmocka.h"

enum { BUCKETS = 32, FAR = 128 };

static void distances_fall_into_the_buckets_the_models_were_trained_with(void **state)
{
    (void)state;
    static const struct {
        int64_t distance;
        int32_t bucket;
    } all[] = {{0, 0},   {1, 1},   {7, 7},   {8, 8},   {11, 8},   {12, 9},   {15, 9},
               {16, 10}, {22, 10}, {23, 11}, {31, 11}, {32, 12},  {45, 12},  {46, 13},
               {63, 13}, {64, 14}, {90, 14}, {91, 15}, {127, 15}, {128, 15}, {8191, 15}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(krs_relative_bucket(-all[i].distance, BUCKETS, FAR), all[i].bucket);
        if (all[i].distance > 0) {
            assert_int_equal(krs_relative_bucket(all[i].distance, BUCKETS, FAR),
                             BUCKETS / 2 + all[i].bucket);
        }
    }
}

static void buckets_never_fall_and_stay_in_the_table(void **state)
{
    (void)state;
    for (int32_t n_buckets = 4; n_buckets <= 64; n_buckets += 4) {
        for (int32_t far = n_buckets / 4 + 1; far < 300; far += 13) {
            int32_t before = 0;
            for (int64_t distance = 0; distance < 400; distance++) {
                const int32_t bucket = krs_relative_bucket(-distance, n_buckets, far);
                assert_true(bucket >= before && bucket < n_buckets / 2);
                before = bucket;
            }
            assert_int_equal(before, n_buckets / 2 - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_fall_into_the_buckets_the_models_were_trained_with),
        cmocka_unit_test(buckets_never_fall_and_stay_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
