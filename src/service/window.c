/* service/window.c - see window.h. A time is kept in 32 bits of milliseconds and wraps after 49 days: what
 * is that old to the second reads as fresh, one value among hundreds, once. */
#include "service/window.h"

#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

void krs_window_add(krs_window *window, uint64_t value_ns, uint64_t now_ns)
{
    const uint64_t us = value_ns / NS_PER_US + 1;
    const uint64_t cell =
        (now_ns / NS_PER_MS) << 32 | (us < UINT32_MAX ? us : (uint64_t)UINT32_MAX);
    const uint32_t at = atomic_fetch_add_explicit(&window->n_added, 1, memory_order_relaxed);
    atomic_store_explicit(&window->cells[at % KRS_WINDOW_VALUES], cell, memory_order_relaxed);
}

/* The values of the last age_ns, in microseconds, into out; returns how many. *oldest_ms: age of the oldest. */
static uint32_t copy_recent(krs_window *window, uint64_t age_ns, uint64_t now_ns,
                            uint32_t out[KRS_WINDOW_VALUES], uint32_t *oldest_ms)
{
    uint32_t n = 0;
    *oldest_ms = 0;
    for (uint32_t i = 0; i < KRS_WINDOW_VALUES; i++) {
        const uint64_t cell = atomic_load_explicit(&window->cells[i], memory_order_relaxed);
        const uint32_t age_ms = (uint32_t)(now_ns / NS_PER_MS) - (uint32_t)(cell >> 32);
        if (cell != 0 && age_ms <= age_ns / NS_PER_MS) {
            out[n++] = (uint32_t)cell;
            *oldest_ms = age_ms > *oldest_ms ? age_ms : *oldest_ms;
        }
    }
    return n;
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint64_t krs_window_quantile(krs_window *window, double q, uint64_t age_ns, uint64_t now_ns)
{
    uint32_t values[KRS_WINDOW_VALUES];
    uint32_t oldest_ms;
    const uint32_t n = copy_recent(window, age_ns, now_ns, values, &oldest_ms);
    if (n == 0) {
        return 0;
    }
    qsort(values, n, sizeof(*values), compare);
    const double rank = q < 0 ? 0 : q * (double)n;
    const uint32_t i = (uint32_t)rank;
    return (uint64_t)values[i < n ? i : n - 1] * NS_PER_US;
}

double krs_window_rate(krs_window *window, uint64_t age_ns, uint64_t now_ns)
{
    uint32_t values[KRS_WINDOW_VALUES];
    uint32_t oldest_ms;
    const uint32_t n = copy_recent(window, age_ns, now_ns, values, &oldest_ms);
    if (n == 0) {
        return 0;
    }
    /* A full ring reaches back only as far as its oldest; otherwise the whole time counts. */
    const uint64_t span_ms =
        n == KRS_WINDOW_VALUES ? (uint64_t)oldest_ms + 1 : age_ns / NS_PER_MS + 1;
    return (double)n * 1000.0 / (double)span_ms;
}
