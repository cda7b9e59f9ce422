/* sample/sampler.c - see sampler.h.
 *
 * Weights are exp(x - max) in float, sums in double: the largest weight is 1, so nothing overflows, and
 * what underflows to 0 could not have been drawn in 2^53 tries.
 *
 * Thread: one owner.  Memory: work[vocab], candidates[vocab], counts[vocab + 1]. */
#include "sample/sampler.h"

#include "sample/philox.h"
#include "sample/select.h"

#include <float.h>
#include <math.h>

struct krs_sampler {
    const krs_alloc *alloc;
    uint32_t vocab;
    float *work;               /* [vocab] logits after penalties and bias */
    krs_candidate *candidates; /* [vocab] */
    krs_candidate *scratch;    /* [vocab], permuted by selection */
    uint32_t *counts;          /* [vocab + 1], all 0 between calls */
};

krs_status krs_sampler_new(uint32_t vocab, const krs_alloc *alloc, krs_sampler **out)
{
    *out = NULL;
    if (vocab == 0) {
        return KRS_EINVAL;
    }
    krs_sampler *s = krs_alloc_zero(alloc, sizeof(*s));
    if (!s) {
        return KRS_ENOMEM;
    }
    s->alloc = alloc;
    s->vocab = vocab;
    s->work = krs_alloc_array(alloc, vocab, sizeof(*s->work));
    s->candidates = krs_alloc_array(alloc, vocab, sizeof(*s->candidates));
    s->scratch = krs_alloc_array(alloc, vocab, sizeof(*s->scratch));
    s->counts = krs_alloc_array(alloc, (size_t)vocab + 1, sizeof(*s->counts));
    if (!s->work || !s->candidates || !s->scratch || !s->counts) {
        krs_sampler_free(s);
        return KRS_ENOMEM;
    }
    *out = s;
    return KRS_OK;
}

void krs_sampler_free(krs_sampler *s)
{
    if (s) {
        krs_alloc_free(s->alloc, s->counts);
        krs_alloc_free(s->alloc, s->scratch);
        krs_alloc_free(s->alloc, s->candidates);
        krs_alloc_free(s->alloc, s->work);
        krs_alloc_free(s->alloc, s);
    }
}

uint64_t krs_sampler_bytes(uint32_t vocab)
{
    return sizeof(krs_sampler) +
           (uint64_t)vocab * (sizeof(float) + 2 * sizeof(krs_candidate) + sizeof(uint32_t));
}

/* What every comparison below can rely on: no NaN, +inf cut to a number, -inf kept (cannot come). */
static inline float clean(float x)
{
    if (isnan(x)) {
        return -INFINITY;
    }
    return x > FLT_MAX ? FLT_MAX : x;
}

static float penalised(float x, uint32_t n_answer, const krs_sampling *p)
{
    double y = (double)x;
    if (p->repetition_penalty != 1.0) {
        y = y > 0 ? y / p->repetition_penalty : y * p->repetition_penalty;
    }
    if (n_answer > 0) {
        y -= p->presence_penalty + (double)n_answer * p->frequency_penalty;
    }
    return clean((float)y);
}

/* The high bit of a count marks a token as done, so each is changed once however often it came. */
#define COUNT_DONE 0x80000000u

static void apply_penalties(krs_sampler *s, const krs_sample_input *in)
{
    /* _new made counts one longer than the vocabulary: every id beyond it is counted there. */
    const uint32_t none = s->vocab;
    for (uint32_t i = in->n_prompt; i < in->n_tokens; i++) {
        s->counts[in->tokens[i] < none ? in->tokens[i] : none]++;
    }
    s->counts[none] = COUNT_DONE;
    for (uint32_t i = 0; i < in->n_tokens; i++) {
        const uint32_t id = in->tokens[i] < none ? in->tokens[i] : none;
        if ((s->counts[id] & COUNT_DONE) == 0) {
            s->work[id] = penalised(s->work[id], s->counts[id], in->sampling);
            s->counts[id] |= COUNT_DONE;
        }
    }
    for (uint32_t i = 0; i < in->n_tokens; i++) {
        s->counts[in->tokens[i] < none ? in->tokens[i] : none] = 0;
    }
    s->counts[none] = 0;
}

static bool has_penalties(const krs_sampling *p)
{
    return p->repetition_penalty != 1.0 || p->presence_penalty != 0.0 ||
           p->frequency_penalty != 0.0;
}

/* Fill work[]. */
static void prepare(krs_sampler *s, const krs_sample_input *in)
{
    for (uint32_t i = 0; i < s->vocab; i++) {
        s->work[i] = clean(in->logits[i]);
    }
    const krs_sampling *p = in->sampling;
    if (has_penalties(p)) {
        apply_penalties(s, in);
    }
    for (uint32_t i = 0; i < p->n_bias; i++) {
        if (p->bias[i].token < s->vocab) {
            s->work[p->bias[i].token] = clean(s->work[p->bias[i].token] + p->bias[i].bias);
        }
    }
    for (uint32_t i = 0; i < in->n_banned; i++) {
        if (in->banned[i] < s->vocab) {
            s->work[in->banned[i]] = -INFINITY;
        }
    }
}

/* Index of the largest, smallest id first. */
static uint32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (x[i] > x[best]) {
            best = i;
        }
    }
    return best;
}

/* The top-k in id order with weights of the tempered distribution; returns how many. The best weighs
 * 1; one whose weight is 0 in float is left out, as it could not be drawn. */
static uint32_t collect(krs_sampler *s, float max, const krs_sampling *p)
{
    krs_candidate last = {-INFINITY, 0.0f, UINT32_MAX}; /* after everything */
    if (p->top_k > 0 && (uint32_t)p->top_k < s->vocab) {
        last = krs_select_kth(s->work, s->vocab, (uint32_t)p->top_k, s->scratch);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        krs_candidate c = {s->work[i], 0.0f, i};
        if (krs_candidate_is_before(last, c)) {
            continue;
        }
        c.weight = expf((float)(((double)c.logit - (double)max) / p->temperature));
        if (c.weight > 0.0f) {
            s->candidates[n++] = c;
        }
    }
    return n;
}

/* Keep, in place and in order, what is not after `last`; returns how many. */
static uint32_t keep_until(krs_candidate *c, uint32_t n, krs_candidate last)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!krs_candidate_is_before(last, c[i])) {
            c[kept++] = c[i];
        }
    }
    return kept;
}

static double sum_weights(const krs_candidate *c, uint32_t n)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)c[i].weight;
    }
    return sum;
}

static krs_candidate *scratch_of(krs_sampler *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        s->scratch[i] = s->candidates[i];
    }
    return s->scratch;
}

/* Keep, in place and in order, what weighs at least `floor`; returns how many. */
static uint32_t keep_heavy(krs_candidate *c, uint32_t n, double floor)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if ((double)c[i].weight >= floor) {
            c[kept++] = c[i];
        }
    }
    return kept;
}

/* The last one in and all after it weigh at least (1 - top_p) of the total together, so it weighs at
 * least that over n itself: what is lighter need not be looked at, which is most of a vocabulary. The
 * margin covers the rounding of the sums. */
static uint32_t filter_top_p(krs_sampler *s, uint32_t n, double top_p)
{
    const double total = sum_weights(s->candidates, n);
    const double margin = 1.0 - 1e-6;
    n = keep_heavy(s->candidates, n, (1.0 - top_p) * total / n * margin);
    return keep_until(s->candidates, n, krs_select_mass(scratch_of(s, n), n, top_p * total));
}

static uint32_t filter(krs_sampler *s, uint32_t n, const krs_sampling *p)
{
    if (p->top_p < 1.0) {
        n = filter_top_p(s, n, p->top_p);
    }
    return p->min_p > 0.0 ? keep_heavy(s->candidates, n, p->min_p) : n;
}

/* n >= 1. */
static uint32_t draw(const krs_candidate *c, uint32_t n, double u)
{
    const double target = u * sum_weights(c, n);
    double sum = 0.0;
    for (uint32_t i = 0; i + 1 < n; i++) {
        sum += (double)c[i].weight;
        if (sum > target) {
            return c[i].id;
        }
    }
    return c[n - 1].id;
}

/* Insert into top[0 .. *n), kept best first, at most max long. */
static void insert_top(krs_logprob *top, uint32_t *n, uint32_t max, krs_logprob item)
{
    if (*n == max && !(item.logprob > top[max - 1].logprob)) {
        return; /* ids come ascending, so an equal one is after */
    }
    uint32_t at = *n < max ? (*n)++ : max - 1;
    while (at > 0 && item.logprob > top[at - 1].logprob) {
        top[at] = top[at - 1];
        at--;
    }
    top[at] = item;
}

static void fill_logprobs(const krs_sampler *s, const float *logits, uint32_t n_wanted,
                          krs_sample *out)
{
    float max = -INFINITY;
    for (uint32_t i = 0; i < s->vocab; i++) {
        const float x = clean(logits[i]);
        max = x > max ? x : max;
    }
    double sum = 0.0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        const float x = clean(logits[i]);
        sum += (double)expf(x - max);
        if (n_wanted > 0) {
            insert_top(out->top, &out->n_top, n_wanted, (krs_logprob){.token = i, .logprob = x});
        }
    }
    const double norm = (double)max + log(sum);
    out->logprob = (float)((double)clean(logits[out->token]) - norm);
    for (uint32_t i = 0; i < out->n_top; i++) {
        out->top[i].logprob = (float)((double)out->top[i].logprob - norm);
    }
}

krs_status krs_sampler_pick(krs_sampler *s, const krs_sample_input *in, krs_sample *out)
{
    const krs_sampling *p = in->sampling;
    prepare(s, in);
    uint32_t token = argmax(s->work, s->vocab);
    const float max = s->work[token];
    if (max == -INFINITY) {
        return KRS_EFORMAT;
    }
    if (p->temperature > 0.0 && p->top_k != 1) {
        const uint32_t n = filter(s, collect(s, max, p), p);
        token = draw(s->candidates, n, krs_philox_real(p->seed, in->n_tokens - in->n_prompt));
    }
    out->token = token;
    out->logprob = 0.0f;
    out->n_top = 0;
    if (p->n_logprobs >= 0) {
        fill_logprobs(s, in->logits, (uint32_t)p->n_logprobs, out);
    }
    return KRS_OK;
}
