/* base/alloc.h - where memory comes from, as a parameter.
 *
 * Every constructor below engine/ takes a `const krs_alloc *`, so a test can fail the Nth allocation
 * and count that nothing leaks, and so that "no allocation per token" can be measured rather than
 * believed. NULL means the process heap.
 *
 * Thread: krs_alloc values are immutable; the heap allocator is internally locked. */
#pragma once

#include "base/status.h"

#include <stddef.h>

typedef struct krs_alloc {
    void *ctx;
    /* n_bytes > 0. NULL when there is none. Aligned for any scalar type. */
    void *(*take)(void *ctx, size_t n_bytes);
    /* ptr from take/resize, or NULL (then as take). On NULL result ptr is still owned by the caller. */
    void *(*resize)(void *ctx, void *ptr, size_t n_bytes);
    /* ptr may be NULL. */
    void (*give)(void *ctx, void *ptr);
} krs_alloc;

/* The process heap (malloc). */
const krs_alloc *krs_alloc_heap(void);

/* n_bytes (0 is treated as 1) or NULL. a may be NULL: the heap. */
KRS_MUST_USE void *krs_alloc_bytes(const krs_alloc *a, size_t n_bytes);

/* As krs_alloc_bytes, zeroed. */
KRS_MUST_USE void *krs_alloc_zero(const krs_alloc *a, size_t n_bytes);

/* n * item_bytes, zeroed; NULL when the product overflows or there is no memory. */
KRS_MUST_USE void *krs_alloc_array(const krs_alloc *a, size_t n, size_t item_bytes);

/* Grow or shrink to n * item_bytes; NULL (and ptr kept) on overflow or no memory. */
KRS_MUST_USE void *krs_alloc_resize(const krs_alloc *a, void *ptr, size_t n, size_t item_bytes);

/* A NUL-terminated copy of text[n_bytes]. */
KRS_MUST_USE char *krs_alloc_text(const krs_alloc *a, const char *text, size_t n_bytes);

/* ptr may be NULL. */
void krs_alloc_free(const krs_alloc *a, void *ptr);
