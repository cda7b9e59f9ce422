/* sample/select.h - the best few of many candidates, without sorting the many.
 *
 * Order: larger logit first, equal logits by smaller id, so there is exactly one right answer to every
 * question here and it does not depend on the order the candidates stand in.
 * Selection partitions around a pivot and goes on in one half only: O(n) on average where a sort of a
 * vocabulary of 128k would take milliseconds of every token.
 *
 * Thread: any; pure.  Memory: in place.  Source: Hoare 1961, Algorithm 65 (Find). */
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

/* The k-th best (1 <= k <= n); permutes c[n]. */
krs_candidate krs_select_kth(krs_candidate *c, uint32_t n, uint32_t k);

/* The last of the shortest run of best candidates whose weights add up to at least `mass`; the worst
 * candidate when all of them do not. n >= 1; permutes c[n]. */
krs_candidate krs_select_mass(krs_candidate *c, uint32_t n, double mass);
