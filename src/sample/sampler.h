/* sample/sampler.h - one row of logits to one token.
 *
 *   logits -> penalties -> bias, bans, mask -> greedy, or
 *             temperature -> top-k -> top-p (of what top-k left) -> min-p -> one draw
 *
 * The tokens so far are the only state: penalties count them anew each time, which costs less than the
 * pass over the vocabulary and makes a replayed sequence equal to the first run by construction.
 * The draw walks the remaining candidates in id order with krs_philox_real(seed, position of the
 * answer), so it depends on the distribution, not on how the candidates were found.
 *
 * A mask says which tokens a grammar lets come next. All others are out before anything is compared, so
 * top-k, top-p and min-p are of what is allowed. A mask of few tokens, which is the usual one inside of JSON,
 * makes a short row of them, and choosing costs next to nothing.
 *
 * Log probabilities are of the model's own distribution: before penalties, bias, mask and temperature.
 * NaN counts as minus infinity; a row without one finite logit is an error.
 *
 * Thread: one owner per sampler.  Memory: scratch in _new, none per token.
 * Source: Holtzman et al. 2020 (top-p); Keskar et al. 2019 (repetition penalty); Nguyen et al. 2024
 * (min-p); OpenAI API reference (presence and frequency penalties). */
#pragma once

#include "api/generate.h"

typedef struct krs_sampler krs_sampler;

/* vocab: logits of a row that are looked at, >= 1. alloc: borrowed, NULL = heap.
 * Errors: KRS_EINVAL, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sampler_new(uint32_t vocab, const krs_alloc *alloc, krs_sampler **out);
void krs_sampler_free(krs_sampler *sampler);

/* Bytes _new takes: for the memory plan. */
uint64_t krs_sampler_bytes(uint32_t vocab);

typedef struct krs_sample_input {
    const float *logits;          /* [vocab] */
    const krs_sampling *sampling; /* checked by krs_request_check */
    const uint32_t *tokens;       /* [n_tokens], prompt then answer */
    uint32_t n_prompt;
    uint32_t n_tokens;
    const uint32_t *banned; /* [n_banned] ids that may not come now */
    uint32_t n_banned;
    /* [n_allowed_words] bit t % 64 of word t / 64: may token t come? Beyond them none may. NULL: all may. */
    const uint64_t *allowed;
    size_t n_allowed_words;
} krs_sample_input;

typedef struct krs_sample {
    uint32_t token;
    float logprob; /* 0 unless sampling.n_logprobs >= 0 */
    uint32_t n_top;
    krs_logprob top[KRS_MAX_TOP_LOGPROBS]; /* [n_top], best first, ties by smaller id */
} krs_sample;

/* Choose. Ids at or above vocab in tokens, banned and bias are ignored.
 * Errors: KRS_EFORMAT (no token left: every logit is NaN, minus infinity, banned or not allowed; weights of a
 * sound model do not do that). */
KRS_MUST_USE krs_status krs_sampler_pick(krs_sampler *sampler, const krs_sample_input *in,
                                         krs_sample *out);

/* The token is known: only its log probabilities, when they are asked for. token: below vocab, or it has
 * none. */
void krs_sampler_take(krs_sampler *sampler, const krs_sample_input *in, uint32_t token,
                      krs_sample *out);
