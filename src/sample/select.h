/* sample/select.h - the best few of many candidates, without sorting the many.
 *
 * Order: larger logit first, equal logits by smaller id, so there is exactly one right answer to every
 * question here and it does not depend on the order the candidates stand in.
 * The k-th best comes from a heap of k, the shortest run of a given mass from partitions around a pivot
 * that go on in one half only: a sort of a vocabulary of 128k would take milliseconds of every token.
 *
 * Thread: any; pure.  Memory: in place, or the caller's.  Source: Hoare 1961, Algorithm 65 (Find). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct krs_candidate {
    float logit;
    float weight; /* proportional to its probability */
    uint32_t id;
} krs_candidate;

/* Does a come before b? */
static inline bool krs_candidate_is_before(krs_candidate a, krs_candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* The k-th best (1 <= k <= n) of n logits, as candidate with its id; the weight is 0. heap[k]: scratch.
 * One pass, nearly as quick as looking for the best alone while k is small against n. */
krs_candidate krs_select_kth(const float *logits, uint32_t n, uint32_t k, krs_candidate *heap);

/* The last of the shortest run of best candidates whose weights add up to at least `mass`; the worst
 * candidate when all of them do not. n >= 1; permutes c[n]. */
krs_candidate krs_select_mass(krs_candidate *c, uint32_t n, double mass);
