/* tests/unit/sample/test_mask.c - choosing under a mask: as from a row in which nothing else is. */
#include "sample/mask.h"
#include "sample/sampler.h"
#include "support/cmocka.h"

#include <math.h>

#define VOCAB  5003u /* no multiple of a word; masks of more than the sampler copies out */
#define WORDS  ((VOCAB + 63) / 64)
#define ROUNDS 1500

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double next_real(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* One token of so many is allowed. */
static void fill_mask(uint64_t *words, uint64_t one_of, uint64_t *seed)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        words[i] = 0;
        for (uint32_t b = 0; b < 64; b++) {
            words[i] |= (uint64_t)(next_random(seed) % one_of == 0) << b;
        }
    }
    words[WORDS - 1] |= UINT64_C(1) << 63; /* of no token */
}

static bool is_allowed(const uint64_t *words, uint32_t n_words, uint32_t token)
{
    return token / 64 < n_words && (words[token / 64] >> (token % 64) & 1) != 0;
}

static krs_sampling random_sampling(uint64_t *seed, const krs_logit_bias *bias)
{
    krs_sampling s = KRS_SAMPLING_INIT;
    s.temperature = next_random(seed) % 4 ? 2.0 * next_real(seed) : 0.0;
    s.seed = next_random(seed);
    s.top_k = next_random(seed) % 2 ? (int32_t)(next_random(seed) % 50) : 0;
    s.top_p = next_random(seed) % 2 ? 0.01 + 0.99 * next_real(seed) : 1.0;
    s.min_p = next_random(seed) % 2 ? 0.5 * next_real(seed) : 0.0;
    s.repetition_penalty = next_random(seed) % 2 ? 0.5 + next_real(seed) : 1.0;
    s.frequency_penalty = next_random(seed) % 2 ? 4.0 * next_real(seed) - 2.0 : 0.0;
    s.n_logprobs = 3;
    s.bias = bias;
    s.n_bias = (uint32_t)(next_random(seed) % 3);
    return s;
}

static void a_mask_leaves_what_a_row_without_the_others_would(void **state)
{
    (void)state;
    static float logits[VOCAB];
    static float masked[VOCAB];
    static uint64_t words[WORDS];
    static const uint64_t densities[] = {1, 2, 3, 10, 200, 2000};
    const krs_logit_bias bias[2] = {{3, 2.5f}, {700, -40.0f}};
    uint64_t seed = 4711;
    printf("seed %llu\n", (unsigned long long)seed);
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(VOCAB, NULL, &sampler), KRS_OK);
    int n_empty = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t n_words = round % 7 == 0 ? WORDS / 2 : WORDS;
        fill_mask(words, densities[round % 6], &seed);
        for (uint32_t t = 0; t < VOCAB; t++) {
            logits[t] = (float)((int)(next_random(&seed) % 97) - 48) / 8.0f;
            masked[t] = is_allowed(words, n_words, t) ? logits[t] : -INFINITY;
        }
        const uint32_t tokens[4] = {(uint32_t)(next_random(&seed) % VOCAB), 5, 3, 700};
        const uint32_t banned[1] = {(uint32_t)(next_random(&seed) % VOCAB)};
        const krs_sampling s = random_sampling(&seed, bias);
        krs_sample_input in = {.logits = masked,
                               .sampling = &s,
                               .tokens = tokens,
                               .n_prompt = 2,
                               .n_tokens = 4,
                               .banned = banned,
                               .n_banned = round % 2};
        krs_sample want;
        const krs_status status = krs_sampler_pick(sampler, &in, &want);
        in.logits = logits;
        in.allowed = words;
        in.n_allowed_words = n_words;
        krs_sample out;
        assert_int_equal(krs_sampler_pick(sampler, &in, &out), status);
        if (status != KRS_OK) {
            n_empty++;
            continue;
        }
        assert_int_equal(out.token, want.token);
        assert_true(is_allowed(words, n_words, out.token));
    }
    krs_sampler_free(sampler);
    assert_in_range(n_empty, 1, ROUNDS / 10); /* both ends were met */
}

static void log_probabilities_do_not_know_of_the_mask(void **state)
{
    (void)state;
    const float logits[5] = {1.0f, 4.0f, 2.0f, 3.0f, 0.0f};
    const uint64_t words[1] = {1u << 2 | 1u << 4};
    krs_sampling s = KRS_SAMPLING_INIT;
    s.temperature = 0.0;
    s.n_logprobs = 2;
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(5, NULL, &sampler), KRS_OK);
    krs_sample_input in = {
        .logits = logits, .sampling = &s, .allowed = words, .n_allowed_words = 1};
    krs_sample out;
    assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_OK);
    double sum = 0.0;
    for (int i = 0; i < 5; i++) {
        sum += exp((double)logits[i]);
    }
    assert_int_equal(out.token, 2);
    assert_true(fabs((double)out.logprob - (2.0 - log(sum))) < 1e-5);
    assert_int_equal(out.n_top, 2);
    assert_int_equal(out.top[0].token, 1); /* the model's best, though it may not come */
    krs_sample taken;
    krs_sampler_take(sampler, &in, 4, &taken); /* known beforehand: the same numbers */
    assert_int_equal(taken.token, 4);
    assert_true(fabs((double)taken.logprob + log(sum)) < 1e-5);
    assert_int_equal(taken.top[1].token, 3);
    krs_sampler_take(sampler, &in, 5, &taken); /* no row of it */
    assert_int_equal(taken.n_top, 0);
    krs_sampler_free(sampler);
}

static void gathering_stops_when_it_is_too_many(void **state)
{
    (void)state;
    const uint64_t words[3] = {UINT64_MAX, 0, 5};
    uint32_t ids[66];
    krs_row_mask mask = krs_row_mask_of(words, 3, 130);
    assert_int_equal(krs_row_mask_gather(&mask, 66, ids), 65); /* token 130 is none of this row */
    assert_int_equal(ids[63], 63);
    assert_int_equal(ids[64], 128);
    assert_true(krs_row_mask_gather(&mask, 64, ids) > 64);
    mask = krs_row_mask_of(words, 3, 64); /* more words than the row has */
    assert_int_equal(krs_row_mask_gather(&mask, 66, ids), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_leaves_what_a_row_without_the_others_would),
        cmocka_unit_test(log_probabilities_do_not_know_of_the_mask),
        cmocka_unit_test(gathering_stops_when_it_is_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
