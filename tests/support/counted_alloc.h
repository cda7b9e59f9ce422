/* support/counted_alloc.h - an allocator that counts what is asked of it, to hold a plan to what is taken.
 *
 *     counted c = {.n_bytes = 0};
 *     const krs_alloc alloc = counted_alloc(&c);
 *
 * Thread: one at a time.  Memory: the heap's. */
#pragma once

#include "base/alloc.h"

#include <stdlib.h>

typedef struct counted {
    size_t n_bytes; /* asked for since the counter was reset */
    uint32_t n_takes;
} counted;

static inline void *count_take(void *ctx, size_t n_bytes)
{
    counted *c = ctx;
    c->n_bytes += n_bytes;
    c->n_takes++;
    return malloc(n_bytes);
}

static inline void *count_resize(void *ctx, void *ptr, size_t n_bytes)
{
    counted *c = ctx;
    c->n_bytes += n_bytes;
    c->n_takes++;
    return realloc(ptr, n_bytes);
}

static inline void count_give(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

/* c: borrowed for the allocator's life. */
static inline krs_alloc counted_alloc(counted *c)
{
    return (krs_alloc){c, count_take, count_resize, count_give};
}
