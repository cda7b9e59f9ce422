/* tests/unit/sample/test_select.c - selection without sorting equals sorting, in a seeded random run with
 * many equal logits, and in the orders that hurt careless partitions. */
#include "sample/select.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_N  300
#define ROUNDS 20000

static int compare(const void *a, const void *b)
{
    const krs_candidate x = *(const krs_candidate *)a;
    const krs_candidate y = *(const krs_candidate *)b;
    return krs_candidate_is_before(x, y) ? -1 : 1;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Weights are small whole numbers, so that sums are exact in any order. */
static uint32_t fill(krs_candidate *c, uint64_t *seed)
{
    const uint32_t n = 1 + (uint32_t)(next_random(seed) % MAX_N);
    const uint64_t n_values = 1 + next_random(seed) % 40;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t value = next_random(seed) % n_values;
        c[i] = (krs_candidate){(float)value - 10.0f, (float)(value + 1), i};
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t j = (uint32_t)(next_random(seed) % (i + 1));
        const krs_candidate t = c[i];
        c[i] = c[j];
        c[j] = t;
    }
    return n;
}

static void kth_equals_sorting(void **state)
{
    (void)state;
    uint64_t seed = 11;
    printf("seed %llu\n", (unsigned long long)seed);
    krs_candidate c[MAX_N];
    krs_candidate sorted[MAX_N];
    float logits[MAX_N];
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = fill(c, &seed);
        memcpy(sorted, c, sizeof(c));
        qsort(sorted, n, sizeof(*sorted), compare);
        const uint32_t k = 1 + (uint32_t)(next_random(&seed) % n);
        for (uint32_t i = 0; i < n; i++) {
            logits[c[i].id] = c[i].logit;
        }
        assert_int_equal(krs_select_kth(logits, n, k, c).id, sorted[k - 1].id);
    }
}

static void mass_equals_sorting(void **state)
{
    (void)state;
    uint64_t seed = 12;
    printf("seed %llu\n", (unsigned long long)seed);
    krs_candidate c[MAX_N];
    krs_candidate sorted[MAX_N];
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t n = fill(c, &seed);
        memcpy(sorted, c, sizeof(c));
        qsort(sorted, n, sizeof(*sorted), compare);
        const double mass = (double)(next_random(&seed) % (n * 20));
        double sum = 0.0;
        uint32_t last = 0;
        for (uint32_t i = 0; i < n; i++) {
            sum += (double)sorted[i].weight;
            last = i;
            if (sum >= mass) {
                break;
            }
        }
        assert_int_equal(krs_select_mass(c, n, mass).id, sorted[last].id);
    }
}

static void ordered_and_equal_input_is_fine(void **state)
{
    (void)state;
    enum { N = 20000 };
    krs_candidate *c = malloc(N * sizeof(*c));
    float *logits = malloc(N * sizeof(*logits));
    assert_true(c && logits);
    for (int shape = 0; shape < 3; shape++) {
        for (uint32_t i = 0; i < N; i++) {
            logits[i] = shape == 0 ? (float)i : shape == 1 ? -(float)i : 0.0f;
        }
        const uint32_t want = shape == 0 ? N - 100 : 99;
        assert_int_equal(krs_select_kth(logits, N, 100, c).id, want);
        for (uint32_t i = 0; i < N; i++) {
            c[i] = (krs_candidate){logits[i], 1.0f, i};
        }
        assert_int_equal(krs_select_mass(c, N, 100.0).id, want);
    }
    free(c);
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kth_equals_sorting),
        cmocka_unit_test(mass_equals_sorting),
        cmocka_unit_test(ordered_and_equal_input_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
