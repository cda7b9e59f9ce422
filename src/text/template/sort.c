/* text/template/sort.c - the one sort of template values; see krs_tsort.
 *
 * Bottom-up merging of index numbers: stable as Python's, n log n for any input, no recursion, and a
 * comparison that fails (a str against an int) can leave at once.
 *
 * Thread: see run.h. */
#include "text/template/run.h"

typedef struct sorting {
    krs_trun *run;
    const krs_tval *keys;
    size_t n;
    bool is_reverse;
} sorting;

/* Must b, which stands behind a, come first? */
static krs_status comes_first(const sorting *s, size_t a, size_t b, bool *out)
{
    krs_status status = krs_trun_spend(s->run, 1);
    if (status != KRS_OK) {
        return status;
    }
    return s->is_reverse ? krs_top_less(s->run, &s->keys[a], &s->keys[b], out)
                         : krs_top_less(s->run, &s->keys[b], &s->keys[a], out);
}

/* Merge from[low, mid) and from[mid, high) into to. */
static krs_status merge(const sorting *s, const size_t *from, size_t *to, const size_t cut[3])
{
    size_t a = cut[0];
    size_t b = cut[1];
    for (size_t i = cut[0]; i < cut[2]; i++) {
        bool is_b = a >= cut[1];
        if (a < cut[1] && b < cut[2]) {
            krs_status status = comes_first(s, from[a], from[b], &is_b);
            if (status != KRS_OK) {
                return status;
            }
        }
        to[i] = is_b ? from[b++] : from[a++];
    }
    return KRS_OK;
}

static krs_status merge_all(const sorting *s, const size_t *from, size_t *to, size_t width)
{
    krs_status status = KRS_OK;
    for (size_t low = 0; low < s->n && status == KRS_OK; low += 2 * width) {
        const size_t mid = s->n - low > width ? low + width : s->n;
        const size_t high = s->n - mid > width ? mid + width : s->n;
        const size_t cut[3] = {low, mid, high};
        status = merge(s, from, to, cut);
    }
    return status;
}

krs_status krs_tsort(krs_trun *run, const krs_tval *keys, size_t n, bool is_reverse,
                     const size_t **order)
{
    const sorting s = {run, keys, n, is_reverse};
    size_t *now = krs_arena_array(&run->values, 2 * n + 1, sizeof(*now));
    if (!now) {
        return krs_trun_no_memory(run);
    }
    size_t *next = now + n;
    for (size_t i = 0; i < n; i++) {
        now[i] = i;
    }
    krs_status status = KRS_OK;
    for (size_t width = 1; width < n && status == KRS_OK; width *= 2) {
        status = merge_all(&s, now, next, width);
        size_t *swap = now;
        now = next;
        next = swap;
    }
    *order = now;
    return status;
}
