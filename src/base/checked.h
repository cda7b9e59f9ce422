/* base/checked.h - arithmetic on numbers that came from outside.
 *
 * Sizes and counts read from a file or a peer pass through these before they size an allocation or
 * move a pointer. Bounds are then tested as "bytes left", never as sums of pointers.
 *
 * Thread: any; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a + b; false, with *out untouched, when the sum does not fit. */
static inline bool krs_size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

/* *out = a * b; false, with *out untouched, when the product does not fit. */
static inline bool krs_size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* Is [offset, offset + length) inside [0, total)? Cannot overflow. */
static inline bool krs_range_fits(uint64_t offset, uint64_t length, uint64_t total)
{
    return offset <= total && length <= total - offset;
}

/* Smallest multiple of `multiple` (a power of two) that is >= n; false on overflow. */
static inline bool krs_size_round_up(size_t n, size_t multiple, size_t *out)
{
    size_t padded;
    if (!krs_size_add(n, multiple - 1, &padded)) {
        return false;
    }
    *out = padded & ~(multiple - 1);
    return true;
}
