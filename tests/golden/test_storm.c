/* tests/golden/test_storm.c - the same bytes whatever the load.
 *
 * Each of 64 mixed requests is answered alone, once. Then storms: all of them at once, in random order
 * and at random moments, with random limits (rows of a step, sequences, threads, KV so small that
 * sequences are preempted), prefixes shared and evicted, tenants and priorities, readers that take a few
 * tokens at a time, and decoys that begin the same way and are cancelled or never read; some with speculation from n-grams or the
 * draft model, some without. Text, ids, log
 * probabilities, vectors and ends must be equal bit for bit.
 * Source: support/storm_weather.h has the storm, and what the environment chooses; test_storm_blocks.c the other models. */
#include "support/storm_weather.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_SEEDS    2
#define INT8_SEEDS 1
#else
#define N_SEEDS    100
#define INT8_SEEDS 20
#endif

static void the_demo_model_says_the_same_in_a_storm(void **state)
{
    (void)state;
    const subject model = {KRS_SOURCE_DIR "/models/demo", KRS_DTYPE_COUNT,
                           KRS_SOURCE_DIR "/models/demo-draft"};
    storms_of(&model, N_SEEDS);
}

static void keys_and_values_in_int8_say_the_same_in_a_storm(void **state)
{
    (void)state;
    const subject model = {KRS_SOURCE_DIR "/models/demo", KRS_DTYPE_I8,
                           KRS_SOURCE_DIR "/models/demo-draft"};
    storms_of(&model, INT8_SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_model_says_the_same_in_a_storm),
        cmocka_unit_test(keys_and_values_in_int8_say_the_same_in_a_storm),
    };
    return storms_run(tests, sizeof(tests) / sizeof(tests[0]));
}
