/* support/malloc_count.h - what every thread asks of malloc, libraries included.
 *
 * The executable's own malloc, calloc, realloc and aligned_alloc stand before the C library's and count while
 * is_counting. Defines those functions: for one source file of an executable.
 *
 * Not under sanitizers, whose runtimes bring their own malloc: has_interposed is false there.
 *
 * Thread: any.  Memory: none. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static _Atomic bool is_counting;
static _Atomic uint64_t n_allocations;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool has_interposed = false;
#else
static const bool has_interposed = true;

/* The C library's own, under the names it keeps for this. */
extern void *__libc_malloc(size_t n_bytes);
extern void *__libc_calloc(size_t n, size_t n_bytes);
extern void *__libc_realloc(void *ptr, size_t n_bytes);
extern void *__libc_memalign(size_t alignment, size_t n_bytes);

static void count(void)
{
    if (atomic_load_explicit(&is_counting, memory_order_relaxed)) {
        (void)atomic_fetch_add(&n_allocations, 1);
    }
}

void *malloc(size_t n_bytes)
{
    count();
    return __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t n_bytes)
{
    count();
    return __libc_calloc(n, n_bytes);
}

void *realloc(void *ptr, size_t n_bytes)
{
    count();
    return __libc_realloc(ptr, n_bytes);
}

void *aligned_alloc(size_t alignment, size_t n_bytes)
{
    count();
    return __libc_memalign(alignment, n_bytes);
}
#endif
