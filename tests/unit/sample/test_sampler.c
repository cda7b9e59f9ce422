/* tests/unit/sample/test_sampler.c - choosing a token: each rule alone on hand-made rows, draws that follow
 * the distribution, and a seeded run against a naive twin that sorts everything. */
#include "sample/philox.h"
#include "sample/sampler.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TWIN_VOCAB  257
#define TWIN_ROUNDS 4000

static krs_sampling sampling_of(double temperature)
{
    krs_sampling s = KRS_SAMPLING_INIT;
    s.temperature = temperature;
    return s;
}

static krs_sample pick(const float *logits, uint32_t vocab, const krs_sampling *sampling,
                       const uint32_t *tokens, uint32_t n_prompt, uint32_t n_tokens)
{
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(vocab, NULL, &sampler), KRS_OK);
    const krs_sample_input in = {.logits = logits,
                                 .sampling = sampling,
                                 .tokens = tokens,
                                 .n_prompt = n_prompt,
                                 .n_tokens = n_tokens};
    krs_sample out;
    assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_OK);
    krs_sampler_free(sampler);
    return out;
}

static void greedy_takes_the_best_and_the_smaller_id_of_equals(void **state)
{
    (void)state;
    const float logits[] = {1.0f, 3.0f, 3.0f, -INFINITY, NAN};
    const krs_sampling s = sampling_of(0.0);
    assert_int_equal(pick(logits, 5, &s, NULL, 0, 0).token, 1);
    krs_sampling one = sampling_of(1.5);
    one.top_k = 1;
    assert_int_equal(pick(logits, 5, &one, NULL, 0, 0).token, 1);
    krs_sampling cold = sampling_of(1e-300);
    assert_in_range(pick(logits, 5, &cold, NULL, 0, 0).token, 1, 2);
}

static void infinities_do_not_break_it(void **state)
{
    (void)state;
    const float logits[] = {INFINITY, 3.0e38f, NAN, -INFINITY};
    krs_sampling s = sampling_of(1.0);
    s.n_logprobs = 2;
    const krs_sample sample = pick(logits, 4, &s, NULL, 0, 0);
    assert_int_equal(sample.token, 0);
    assert_true(isfinite(sample.logprob));
}

static void no_finite_logit_is_an_error(void **state)
{
    (void)state;
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(3, NULL, &sampler), KRS_OK);
    const float broken[] = {NAN, -INFINITY, NAN};
    const float fine[] = {1.0f, 2.0f, 3.0f};
    const uint32_t all[] = {0, 1, 2, 77};
    const krs_sampling s = sampling_of(1.0);
    krs_sample out;
    krs_sample_input in = {.logits = broken, .sampling = &s};
    assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_EFORMAT);
    in = (krs_sample_input){.logits = fine, .sampling = &s, .banned = all, .n_banned = 4};
    assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_EFORMAT);
    in.n_banned = 2;
    assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_OK);
    assert_int_equal(out.token, 2);
    krs_sampler_free(sampler);
    assert_int_equal(krs_sampler_new(0, NULL, &sampler), KRS_EINVAL);
}

static void penalties_count_what_was_said(void **state)
{
    (void)state;
    const float logits[] = {2.0f, 1.9f, -1.0f, 1.0f};
    const uint32_t tokens[] = {0, 99, 1, 1}; /* prompt: 0 and an id beyond the row; answer: 1, 1 */
    krs_sampling s = sampling_of(0.0);
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 0);
    s.repetition_penalty = 1.5; /* 0: 1.33, 1: 1.27, over prompt and answer alike */
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 0);
    s.repetition_penalty = 2.5; /* 0: 0.8, 1: 0.76, so 3 leads */
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 3);
    s = sampling_of(0.0);
    s.presence_penalty = -0.2; /* only the answer's: 1 gains */
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 1);
    s.presence_penalty = 0.0;
    s.frequency_penalty = -0.06; /* twice: 1 gains 0.12 */
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 1);
    s.frequency_penalty = -0.04; /* 0.08 is not enough */
    assert_int_equal(pick(logits, 4, &s, tokens, 2, 4).token, 0);
}

static void bias_moves_a_logit(void **state)
{
    (void)state;
    const float logits[] = {2.0f, 1.0f, 0.0f};
    const krs_logit_bias bias[] = {{2, 5.0f}, {0, -100.0f}, {9, 50.0f}};
    krs_sampling s = sampling_of(0.0);
    s.bias = bias;
    s.n_bias = 3;
    assert_int_equal(pick(logits, 3, &s, NULL, 0, 0).token, 2);
}

static void logprobs_are_of_the_models_own_distribution(void **state)
{
    (void)state;
    const float logits[] = {0.0f, logf(2.0f), logf(4.0f), logf(4.0f), logf(5.0f)};
    const krs_logit_bias bias = {1, 100.0f};
    krs_sampling s = sampling_of(1.7);
    s.bias = &bias;
    s.n_bias = 1;
    s.top_p = 0.5;
    s.n_logprobs = 3;
    const krs_sample out = pick(logits, 5, &s, NULL, 0, 0);
    assert_int_equal(out.token, 1);
    assert_true(fabs(exp((double)out.logprob) - 2.0 / 16.0) < 1e-6);
    assert_int_equal(out.n_top, 3);
    assert_int_equal(out.top[0].token, 4);
    assert_int_equal(out.top[1].token, 2); /* equal to 3: the smaller id first */
    assert_int_equal(out.top[2].token, 3);
    assert_true(fabs(exp((double)out.top[0].logprob) - 5.0 / 16.0) < 1e-6);
    s.n_logprobs = 0;
    assert_int_equal(pick(logits, 5, &s, NULL, 0, 0).n_top, 0);
    s.n_logprobs = 20; /* more than there are */
    assert_int_equal(pick(logits, 5, &s, NULL, 0, 0).n_top, 5);
}

/* Draws at DRAWS positions; counts[vocab]. */
static void count_draws(const float *logits, uint32_t vocab, const krs_sampling *s,
                        uint32_t n_draws, uint32_t *counts)
{
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(vocab, NULL, &sampler), KRS_OK);
    for (uint32_t i = 0; i < n_draws; i++) {
        /* Without penalties the tokens are not read: only their number, the position, counts. */
        const krs_sample_input in = {.logits = logits, .sampling = s, .n_tokens = i};
        krs_sample out;
        assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_OK);
        counts[out.token]++;
    }
    krs_sampler_free(sampler);
}

static void draws_follow_the_tempered_distribution(void **state)
{
    (void)state;
    enum { VOCAB = 6, DRAWS = 60000 };
    const float logits[VOCAB] = {0.0f, 0.5f, 1.0f, -1.0f, 2.0f, -INFINITY};
    krs_sampling s = sampling_of(0.8);
    s.seed = 123;
    uint32_t counts[VOCAB] = {0};
    count_draws(logits, VOCAB, &s, DRAWS, counts);
    double sum = 0.0;
    double p[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        p[i] = exp((double)logits[i] / 0.8);
        sum += p[i];
    }
    double chi2 = 0.0;
    for (int i = 0; i + 1 < VOCAB; i++) {
        const double expected = DRAWS * p[i] / sum;
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_int_equal(counts[VOCAB - 1], 0);
    assert_true(chi2 < 18.5); /* 4 degrees of freedom, p = 0.001; the seed is fixed */
}

static void filters_leave_the_candidates_they_should(void **state)
{
    (void)state;
    enum { VOCAB = 5, DRAWS = 4000 };
    /* probabilities 0.4, 0.3, 0.15, 0.1, 0.05 */
    const float logits[VOCAB] = {logf(0.15f), logf(0.4f), logf(0.05f), logf(0.3f), logf(0.1f)};
    const struct {
        double top_p;
        double min_p;
        int32_t top_k;
        uint32_t want; /* bit i: token i can come */
    } cases[] = {
        {1.0, 0.0, 0, 0x1F}, {1.0, 0.0, 2, 0x0A},  {0.6, 0.0, 0, 0x0A}, {0.72, 0.0, 0, 0x0B},
        {1.0, 0.3, 0, 0x0B}, {1.0, 0.9, 0, 0x02},  {0.9, 0.0, 3, 0x0B}, {0.8, 0.0, 3, 0x0A},
        {1.0, 0.0, 9, 0x1F}, {1e-6, 0.0, 0, 0x02},
    };
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        krs_sampling s = sampling_of(1.0);
        s.seed = c;
        s.top_k = cases[c].top_k;
        s.top_p = cases[c].top_p;
        s.min_p = cases[c].min_p;
        uint32_t counts[VOCAB] = {0};
        count_draws(logits, VOCAB, &s, DRAWS, counts);
        uint32_t got = 0;
        for (uint32_t i = 0; i < VOCAB; i++) {
            got |= counts[i] > 0 ? 1u << i : 0;
        }
        assert_int_equal(got, cases[c].want);
    }
}

static void equal_seed_and_position_give_the_equal_token(void **state)
{
    (void)state;
    enum { VOCAB = 64 };
    float logits[VOCAB] = {0};
    uint32_t tokens[40] = {0};
    krs_sampling s = sampling_of(1.0);
    uint32_t n_changed = 0;
    for (uint32_t i = 0; i < 30; i++) {
        s.seed = 5;
        const uint32_t a = pick(logits, VOCAB, &s, tokens, 3, 3 + i).token;
        const uint32_t b = pick(logits, VOCAB, &s, tokens, 9, 9 + i).token; /* another prompt */
        assert_int_equal(a, b);
        s.seed = 6;
        n_changed += pick(logits, VOCAB, &s, tokens, 3, 3 + i).token != a;
    }
    assert_true(n_changed > 20);
}

/* ---- the naive twin: sort all, filter the sorted list, draw in id order */

typedef struct twin_token {
    double logit;
    double weight;
    uint32_t id;
} twin_token;

static int by_rank(const void *a, const void *b)
{
    const twin_token *x = a;
    const twin_token *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->id < y->id ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    const twin_token *x = a;
    const twin_token *y = b;
    return x->id < y->id ? -1 : 1;
}

/* The shortest run of the best with the mass of top_p; *is_close when a rounding could have decided. */
static uint32_t twin_top_p(const twin_token *t, uint32_t n, double top_p, bool *is_close)
{
    double total = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        total += t[i].weight;
    }
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        sum += t[i].weight;
        *is_close |= fabs(sum - top_p * total) < 1e-6 * total;
        if (sum >= top_p * total) {
            return i + 1;
        }
    }
    return n;
}

/* How many of the best remain. */
static uint32_t twin_filter(const twin_token *t, uint32_t n, const krs_sampling *s, bool *is_close)
{
    if (s->top_k > 0 && (uint32_t)s->top_k < n) {
        n = (uint32_t)s->top_k;
    }
    if (s->top_p < 1.0) {
        n = twin_top_p(t, n, s->top_p, is_close);
    }
    for (uint32_t i = 0; i < n && s->min_p > 0.0; i++) {
        *is_close |= fabs(t[i].weight - s->min_p) < 1e-6;
    }
    while (n > 1 && t[n - 1].weight < s->min_p) {
        n--;
    }
    return n;
}

static double twin_logit(double x, uint32_t id, const krs_sample_input *in)
{
    const krs_sampling *s = in->sampling;
    int n_all = 0;
    int n_answer = 0;
    for (uint32_t i = 0; i < in->n_tokens; i++) {
        n_all += in->tokens[i] == id;
        n_answer += in->tokens[i] == id && i >= in->n_prompt;
    }
    if (n_all) {
        x = x > 0 ? x / s->repetition_penalty : x * s->repetition_penalty;
    }
    x -= n_answer * s->frequency_penalty + (n_answer ? s->presence_penalty : 0.0);
    for (uint32_t i = 0; i < s->n_bias; i++) {
        x += s->bias[i].token == id ? (double)s->bias[i].bias : 0.0;
    }
    return (double)(float)x;
}

static uint32_t twin_draw(const twin_token *t, uint32_t n, double u, bool *is_close)
{
    double total = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        total += t[i].weight;
    }
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        sum += t[i].weight;
        *is_close |= fabs(sum - u * total) < 1e-6 * total;
        if (sum > u * total) {
            return t[i].id;
        }
    }
    return t[n - 1].id;
}

static uint32_t twin_pick(const krs_sample_input *in, bool *is_close)
{
    static twin_token t[TWIN_VOCAB];
    for (uint32_t id = 0; id < TWIN_VOCAB; id++) {
        t[id] = (twin_token){twin_logit((double)in->logits[id], id, in), 0.0, id};
    }
    qsort(t, TWIN_VOCAB, sizeof(*t), by_rank);
    for (uint32_t i = TWIN_VOCAB; i-- > 0;) {
        t[i].weight = exp((t[i].logit - t[0].logit) / in->sampling->temperature);
    }
    const uint32_t n = twin_filter(t, TWIN_VOCAB, in->sampling, is_close);
    qsort(t, n, sizeof(*t), by_id);
    return twin_draw(t, n, krs_philox_real(in->sampling->seed, in->n_tokens - in->n_prompt),
                     is_close);
}

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

static krs_sampling random_sampling(uint64_t *seed, const krs_logit_bias *bias)
{
    krs_sampling s = sampling_of(0.05 + 1.95 * next_real(seed));
    s.seed = next_random(seed);
    s.top_k = next_random(seed) % 2 ? (int32_t)(next_random(seed) % 50) : 0;
    s.top_p = next_random(seed) % 2 ? 0.01 + 0.99 * next_real(seed) : 1.0;
    s.min_p = next_random(seed) % 2 ? 0.5 * next_real(seed) : 0.0;
    s.repetition_penalty = next_random(seed) % 2 ? 0.5 + next_real(seed) : 1.0;
    s.presence_penalty = next_random(seed) % 2 ? 4.0 * next_real(seed) - 2.0 : 0.0;
    s.frequency_penalty = next_random(seed) % 2 ? 4.0 * next_real(seed) - 2.0 : 0.0;
    s.bias = bias;
    s.n_bias = (uint32_t)(next_random(seed) % 4);
    return s;
}

static void agrees_with_a_naive_twin(void **state)
{
    (void)state;
    uint64_t seed = 77;
    printf("seed %llu\n", (unsigned long long)seed);
    krs_sampler *sampler = NULL;
    assert_int_equal(krs_sampler_new(TWIN_VOCAB, NULL, &sampler), KRS_OK);
    int n_close = 0;
    for (int round = 0; round < TWIN_ROUNDS; round++) {
        float logits[TWIN_VOCAB];
        uint32_t tokens[60];
        for (int i = 0; i < TWIN_VOCAB; i++) {
            logits[i] = (float)((int)(next_random(&seed) % 97) - 48) / 8.0f; /* many equal ones */
        }
        for (int i = 0; i < 60; i++) {
            tokens[i] = (uint32_t)(next_random(&seed) % TWIN_VOCAB);
        }
        const uint32_t n_tokens = (uint32_t)(next_random(&seed) % 61);
        const uint32_t n_prompt = n_tokens / 2;
        const krs_logit_bias bias[3] = {{3, 2.5f}, {200, -4.0f}, {55, 1.0f}};
        const krs_sampling s = random_sampling(&seed, bias);
        const krs_sample_input in = {.logits = logits,
                                     .sampling = &s,
                                     .tokens = tokens,
                                     .n_prompt = n_prompt,
                                     .n_tokens = n_tokens};
        bool is_close = false;
        const uint32_t want = twin_pick(&in, &is_close);
        krs_sample out;
        assert_int_equal(krs_sampler_pick(sampler, &in, &out), KRS_OK);
        n_close += is_close;
        if (!is_close) {
            assert_int_equal(out.token, want);
        }
    }
    krs_sampler_free(sampler);
    assert_true(n_close < TWIN_ROUNDS / 20); /* else the comparison would be empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_best_and_the_smaller_id_of_equals),
        cmocka_unit_test(infinities_do_not_break_it),
        cmocka_unit_test(no_finite_logit_is_an_error),
        cmocka_unit_test(penalties_count_what_was_said),
        cmocka_unit_test(bias_moves_a_logit),
        cmocka_unit_test(logprobs_are_of_the_models_own_distribution),
        cmocka_unit_test(draws_follow_the_tempered_distribution),
        cmocka_unit_test(filters_leave_the_candidates_they_should),
        cmocka_unit_test(equal_seed_and_position_give_the_equal_token),
        cmocka_unit_test(agrees_with_a_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
