/* grammar/sort_priv.h - small numbers in order, each once.
 *
 * The lists here are short or nearly sorted (two sorted lists, one after the other), and the C library's
 * qsort may allocate. Shell's method does neither harm.
 *
 * Thread: any; pure.  Source: gaps of Ciura, Best Increments for the Average Case of Shellsort, 2001. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Sort items[n] and drop what is there twice; returns how many are left. */
static inline size_t krs_sort_unique(uint64_t *items, size_t n)
{
    static const size_t gaps[] = {1750000, 510774, 155000, 45333, 13239, 3867, 1750, 701,
                                  301,     132,    57,     23,    10,    4,    1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
        const size_t gap = gaps[g];
        for (size_t i = gap; i < n; i++) {
            const uint64_t item = items[i];
            size_t at = i;
            while (at >= gap && items[at - gap] > item) {
                items[at] = items[at - gap];
                at -= gap;
            }
            items[at] = item;
        }
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_left == 0 || items[n_left - 1] != items[i]) {
            items[n_left++] = items[i];
        }
    }
    return n_left;
}
