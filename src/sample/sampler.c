/* sample/sampler.c - see sampler.h.
 *
 * Weights are exp(x - max) in float, sums in double: the largest weight is 1, so nothing overflows, and
 * what underflows to 0 could not have been drawn in 2^53 tries. A whole row is only ever looked at by the
 * passes of row.h; what is done candidate by candidate is done for the few that are left.
 *
 * What is chosen from is a pool: the whole row, or, under a mask of few tokens, only those, with the ids that
 * they have in the row. Ids ascend in both, so ties and draws go the same way.
 *
 * Thread: one owner.  Memory: work[vocab], weights[vocab], chosen[vocab], candidates[vocab] twice,
 * counts[vocab + 1], few[MAX_FEW] twice. */
#include "sample/sampler.h"

#include "sample/mask.h"
#include "sample/philox.h"
#include "sample/row.h"
#include "sample/select.h"

#include <float.h>
#include <math.h>

/* Tokens of a mask that are copied out of the row: beyond so many the passes over all of it, which are made
 * of vectors, are as quick. */
#define MAX_FEW 2048u

/* What is chosen from. */
typedef struct pool {
    const float *x; /* [n] logits after penalties, bias and mask */
    uint32_t n;
    const uint32_t *ids; /* [n] tokens, or NULL: 0 .. n - 1 */
} pool;

struct krs_sampler {
    const krs_alloc *alloc;
    uint32_t vocab;
    float *work;               /* [vocab] logits after penalties and bias */
    float *weights;            /* [vocab] */
    double *sums;              /* [krs_row_blocks(vocab)] of weights */
    uint32_t *chosen;          /* [vocab] ids */
    krs_candidate *candidates; /* [vocab] */
    krs_candidate *scratch;    /* [vocab], permuted by selection */
    uint32_t *counts;          /* [vocab + 1], all 0 between calls */
    float few[MAX_FEW];        /* logits of a mask's tokens */
    uint32_t few_ids[MAX_FEW];
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
    s->weights = krs_alloc_array(alloc, vocab, sizeof(*s->weights));
    s->sums = krs_alloc_array(alloc, krs_row_blocks(vocab), sizeof(*s->sums));
    s->chosen =
        krs_alloc_array(alloc, (size_t)vocab + 1, sizeof(*s->chosen)); /* + a spare to write */
    s->candidates = krs_alloc_array(alloc, vocab, sizeof(*s->candidates));
    s->scratch = krs_alloc_array(alloc, vocab, sizeof(*s->scratch));
    s->counts = krs_alloc_array(alloc, (size_t)vocab + 1, sizeof(*s->counts));
    const bool has_rows = s->work && s->weights && s->sums && s->chosen;
    if (!has_rows || !s->candidates || !s->scratch || !s->counts) {
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
        krs_alloc_free(s->alloc, s->chosen);
        krs_alloc_free(s->alloc, s->sums);
        krs_alloc_free(s->alloc, s->weights);
        krs_alloc_free(s->alloc, s->work);
        krs_alloc_free(s->alloc, s);
    }
}

uint64_t krs_sampler_bytes(uint32_t vocab)
{
    return sizeof(krs_sampler) + krs_row_blocks(vocab) * sizeof(double) +
           (uint64_t)vocab * (2 * sizeof(float) + 2 * sizeof(krs_candidate) + 2 * sizeof(uint32_t));
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

/* Is there anything to do to the logits before the best of them is looked for? */
static bool has_changes(const krs_sample_input *in)
{
    return has_penalties(in->sampling) || in->sampling->n_bias > 0 || in->n_banned > 0;
}

/* Penalties, bias and bans in work[], by id; entries that are no candidates may hold anything. */
static void change(krs_sampler *s, const krs_sample_input *in)
{
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

/* The few tokens of a mask, n of them in few_ids. */
static pool prepare_few(krs_sampler *s, const krs_sample_input *in, uint32_t n)
{
    const bool is_changed = has_changes(in);
    for (uint32_t i = 0; i < n; i++) {
        s->few[i] = clean(in->logits[s->few_ids[i]]);
    }
    if (is_changed) { /* where penalties and bias find them */
        for (uint32_t i = 0; i < n; i++) {
            s->work[s->few_ids[i]] = s->few[i];
        }
        change(s, in);
        for (uint32_t i = 0; i < n; i++) {
            s->few[i] = s->work[s->few_ids[i]];
        }
    }
    return (pool){s->few, n, s->few_ids};
}

/* The row as the request wants it looked at. */
static pool prepare(krs_sampler *s, const krs_sample_input *in, bool is_greedy)
{
    if (in->allowed) {
        const krs_row_mask mask = krs_row_mask_of(in->allowed, in->n_allowed_words, s->vocab);
        const uint32_t n = krs_row_mask_gather(&mask, MAX_FEW, s->few_ids);
        if (n <= MAX_FEW) {
            return prepare_few(s, in, n);
        }
        krs_row_clean(in->logits, s->work, s->vocab);
        change(s, in);
        krs_row_mask_apply(&mask, s->work);
        return (pool){s->work, s->vocab, NULL};
    }
    if (is_greedy && !has_changes(in)) {
        return (pool){in->logits, s->vocab, NULL};
    }
    krs_row_clean(in->logits, s->work, s->vocab);
    change(s, in);
    return (pool){s->work, s->vocab, NULL};
}

/* What a difference of logits is multiplied with. A temperature near 0 must leave the best a weight of 1,
 * and 0 times infinity would not. */
static float scale_of(double temperature)
{
    const double scale = 1.0 / temperature;
    return scale < 1e30 ? (float)scale : 1e30f;
}

/* The candidate of an id; its weight may be 0. */
static krs_candidate weighed(const pool *from, uint32_t id, float max, float scale)
{
    return (krs_candidate){from->x[id], krs_row_exp((from->x[id] - max) * scale), id};
}

/* The top-k in id order with weights of the tempered distribution; returns how many. The best weighs
 * 1; one whose weight is 0 in float is left out, as it could not be drawn. */
static uint32_t collect_best(krs_sampler *s, const pool *from, float max, float scale, uint32_t k)
{
    const krs_candidate last = krs_select_kth(from->x, from->n, k, s->scratch);
    const uint32_t n_chosen = krs_row_gather(from->x, from->n, last.logit, s->chosen);
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_chosen; i++) {
        const krs_candidate c = weighed(from, s->chosen[i], max, scale);
        if (c.weight > 0.0f && !krs_candidate_is_before(last, c)) {
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

/* The last candidate of top-p and all after it weigh at least (1 - top_p) of the total together, so it
 * weighs at least that over n itself: what is lighter need not be looked at, which is most of a
 * vocabulary. What min-p leaves out need not either: both keep a run of the best. The margin covers the
 * rounding of the sums. */
static double lightest(const krs_sampling *p, uint32_t n, double total)
{
    const double margin = 1.0 - 1e-6;
    const double by_top_p = p->top_p < 1.0 ? (1.0 - p->top_p) * total / n * margin : 0.0;
    return by_top_p > p->min_p ? by_top_p : p->min_p;
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

/* All of the pool that top-p and min-p may leave; *total: the weight of all of it. */
static uint32_t collect_heavy(krs_sampler *s, const pool *from, float max, const krs_sampling *p,
                              double *total)
{
    const float scale = scale_of(p->temperature);
    *total = krs_row_weigh(from->x, from->n, max, scale, s->weights, s->sums);
    const double floor = lightest(p, from->n, *total);
    /* In float, never above the floor: rounding may only let one more in. */
    const uint32_t n =
        krs_row_gather(s->weights, from->n, (float)(floor * (1.0 - 1e-6)), s->chosen);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = s->chosen[i];
        s->candidates[i] = (krs_candidate){from->x[id], s->weights[id], id};
    }
    return keep_heavy(s->candidates, n, floor);
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

/* From the whole pool: block by block, then inside of one. */
static uint32_t draw_any(krs_sampler *s, const pool *from, float max, float scale, double u)
{
    const double total = krs_row_weigh(from->x, from->n, max, scale, s->weights, s->sums);
    const double target = u * total;
    double sum = 0.0;
    uint32_t b = 0;
    while (b + 1 < krs_row_blocks(from->n) && sum + s->sums[b] <= target) {
        sum += s->sums[b++];
    }
    uint32_t id = b * KRS_ROW_BLOCK;
    uint32_t last = id; /* with a weight */
    for (; id < from->n && sum <= target; id++) {
        sum += (double)s->weights[id];
        last = s->weights[id] > 0.0f ? id : last;
    }
    return last;
}

/* Temperature, filters and one draw: a place in the pool. */
static uint32_t sample(krs_sampler *s, const pool *from, float max, const krs_sampling *p, double u)
{
    const float scale = scale_of(p->temperature);
    const bool is_cut = p->top_p < 1.0 || p->min_p > 0.0;
    uint32_t n;
    double total;
    if (p->top_k > 0 && (uint32_t)p->top_k < from->n) {
        n = collect_best(s, from, max, scale, (uint32_t)p->top_k);
        total = sum_weights(s->candidates, n);
        n = is_cut ? keep_heavy(s->candidates, n, lightest(p, n, total)) : n;
    } else if (is_cut) {
        n = collect_heavy(s, from, max, p, &total);
    } else {
        return draw_any(s, from, max, scale, u);
    }
    if (p->top_p < 1.0) {
        const krs_candidate last = krs_select_mass(scratch_of(s, n), n, p->top_p * total);
        n = keep_until(s->candidates, n, last);
    }
    return draw(s->candidates, n, u);
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

/* The n_wanted best of x[vocab], best first, as bare logits. */
static void fill_top(krs_sampler *s, const float *x, uint32_t n_wanted, krs_sample *out)
{
    const uint32_t k = n_wanted < s->vocab ? n_wanted : s->vocab;
    if (k == 0) {
        return;
    }
    const krs_candidate last = krs_select_kth(x, s->vocab, k, s->scratch);
    const uint32_t n = krs_row_gather(x, s->vocab, last.logit, s->chosen);
    for (uint32_t i = 0; i < n; i++) {
        insert_top(out->top, &out->n_top, k,
                   (krs_logprob){.token = s->chosen[i], .logprob = x[s->chosen[i]]});
    }
}

/* Overwrites work[]. */
static void fill_logprobs(krs_sampler *s, const float *logits, uint32_t n_wanted, krs_sample *out)
{
    krs_row_clean(logits, s->work, s->vocab);
    const float max = krs_row_max(s->work, s->vocab, NULL);
    const double sum = krs_row_weigh(s->work, s->vocab, max, 1.0f, s->weights, s->sums);
    const double norm = (double)max + log(sum);
    fill_top(s, s->work, n_wanted, out);
    out->logprob = (float)((double)s->work[out->token] - norm);
    for (uint32_t i = 0; i < out->n_top; i++) {
        out->top[i].logprob = (float)((double)out->top[i].logprob - norm);
    }
}

void krs_sampler_take(krs_sampler *s, const krs_sample_input *in, uint32_t token, krs_sample *out)
{
    out->token = token;
    out->logprob = 0.0f;
    out->n_top = 0;
    if (in->sampling->n_logprobs >= 0 && token < s->vocab) {
        fill_logprobs(s, in->logits, (uint32_t)in->sampling->n_logprobs, out);
    }
}

krs_status krs_sampler_pick(krs_sampler *s, const krs_sample_input *in, krs_sample *out)
{
    const krs_sampling *p = in->sampling;
    const bool is_greedy = !(p->temperature > 0.0) || p->top_k == 1;
    const pool from = prepare(s, in, is_greedy);
    uint32_t at = 0;
    const float max = krs_row_max(from.x, from.n, &at);
    if (max == -INFINITY) {
        return KRS_EFORMAT;
    }
    if (!is_greedy) {
        at = sample(s, &from, max, p, krs_philox_real(p->seed, in->n_tokens - in->n_prompt));
    }
    krs_sampler_take(s, in, from.ids ? from.ids[at] : at, out);
    return KRS_OK;
}
