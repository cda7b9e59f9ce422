/* sample/select.c - see select.h. Pivots are the median of three fixed places: no randomness, so equal
 * input takes equal time, and ids are distinct, so equal logits do not degrade it. */
#include "sample/select.h"

#include "sample/row.h"

static void swap(krs_candidate *a, krs_candidate *b)
{
    const krs_candidate t = *a;
    *a = *b;
    *b = t;
}

/* Put the median of first, middle and last at c[0]. */
static void choose_pivot(krs_candidate *c, uint32_t n)
{
    krs_candidate *a = &c[0];
    krs_candidate *b = &c[n / 2];
    krs_candidate *d = &c[n - 1];
    if (krs_candidate_is_before(*a, *b)) {
        swap(a, b); /* now b is before a */
    }
    if (krs_candidate_is_before(*a, *d)) {
        return; /* b, a, d */
    }
    swap(a, krs_candidate_is_before(*b, *d) ? d : b);
}

/* Partition around a pivot; returns its final index: [0, i) are before it, (i, n) after. */
static uint32_t partition(krs_candidate *c, uint32_t n)
{
    choose_pivot(c, n);
    const krs_candidate pivot = c[0];
    uint32_t i = 0;
    uint32_t j = n;
    for (;;) {
        do {
            i++;
        } while (i < n && krs_candidate_is_before(c[i], pivot));
        do {
            j--;
        } while (krs_candidate_is_before(pivot, c[j]));
        if (i >= j) {
            break;
        }
        swap(&c[i], &c[j]);
    }
    swap(&c[0], &c[j]);
    return j;
}

/* heap[n] has its worst on top but for heap[at], which may be too good for its place. */
static void sift_down(krs_candidate *heap, uint32_t n, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n) {
            return;
        }
        if (child + 1 < n && krs_candidate_is_before(heap[child], heap[child + 1])) {
            child++;
        }
        if (krs_candidate_is_before(heap[child], heap[at])) {
            return;
        }
        swap(&heap[child], &heap[at]);
        at = child;
    }
}

/* Ids ascend, so an equal logit comes after those that are here. */
static void offer(krs_candidate *heap, uint32_t k, const float *logits, uint32_t begin,
                  uint32_t count)
{
    for (uint32_t i = begin; i < begin + count; i++) {
        if (logits[i] > heap[0].logit) {
            heap[0] = (krs_candidate){logits[i], 0.0f, i};
            sift_down(heap, k, 0);
        }
    }
}

krs_candidate krs_select_kth(const float *logits, uint32_t n, uint32_t k, krs_candidate *heap)
{
    for (uint32_t i = 0; i < k; i++) {
        heap[i] = (krs_candidate){logits[i], 0.0f, i};
    }
    for (uint32_t i = k / 2; i-- > 0;) {
        sift_down(heap, k, i);
    }
    for (uint32_t begin = k; begin < n; begin += KRS_ROW_BLOCK) {
        const uint32_t count = n - begin < KRS_ROW_BLOCK ? n - begin : KRS_ROW_BLOCK;
        if (krs_row_max(logits + begin, count, NULL) > heap[0].logit) {
            offer(heap, k, logits, begin, count);
        }
    }
    return heap[0];
}

krs_candidate krs_select_mass(krs_candidate *c, uint32_t n, double mass)
{
    double before = 0.0; /* weight of all that is known to be in the run */
    while (n > 1) {
        const uint32_t at = partition(c, n);
        double better = before;
        for (uint32_t i = 0; i < at; i++) {
            better += (double)c[i].weight;
        }
        if (at > 0 && better >= mass) {
            n = at;
            continue;
        }
        better += (double)c[at].weight;
        if (better >= mass || at + 1 == n) {
            return c[at];
        }
        before = better;
        c += at + 1;
        n -= at + 1;
    }
    return c[0];
}
