/* base/alloc.c - the heap behind krs_alloc, and the checked forms over any allocator. */
#include "base/alloc.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static void *heap_take(void *ctx, size_t n_bytes)
{
    (void)ctx;
    return malloc(n_bytes);
}

static void *heap_resize(void *ctx, void *ptr, size_t n_bytes)
{
    (void)ctx;
    return realloc(ptr, n_bytes);
}

static void heap_give(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const krs_alloc heap = {NULL, heap_take, heap_resize, heap_give};

const krs_alloc *krs_alloc_heap(void)
{
    return &heap;
}

static const krs_alloc *or_heap(const krs_alloc *a)
{
    return a ? a : &heap;
}

void *krs_alloc_bytes(const krs_alloc *a, size_t n_bytes)
{
    a = or_heap(a);
    return a->take(a->ctx, n_bytes ? n_bytes : 1);
}

void *krs_alloc_zero(const krs_alloc *a, size_t n_bytes)
{
    void *ptr = krs_alloc_bytes(a, n_bytes);
    if (ptr) {
        memset(ptr, 0, n_bytes);
    }
    return ptr;
}

void *krs_alloc_array(const krs_alloc *a, size_t n, size_t item_bytes)
{
    size_t n_bytes;
    return krs_size_mul(n, item_bytes, &n_bytes) ? krs_alloc_zero(a, n_bytes) : NULL;
}

void *krs_alloc_resize(const krs_alloc *a, void *ptr, size_t n, size_t item_bytes)
{
    size_t n_bytes;
    if (!krs_size_mul(n, item_bytes, &n_bytes)) {
        return NULL;
    }
    a = or_heap(a);
    return a->resize(a->ctx, ptr, n_bytes ? n_bytes : 1);
}

char *krs_alloc_text(const krs_alloc *a, const char *text, size_t n_bytes)
{
    size_t with_nul;
    if (!krs_size_add(n_bytes, 1, &with_nul)) {
        return NULL;
    }
    char *copy = krs_alloc_bytes(a, with_nul);
    if (copy) {
        if (n_bytes) {
            memcpy(copy, text, n_bytes);
        }
        copy[n_bytes] = '\0';
    }
    return copy;
}

void krs_alloc_free(const krs_alloc *a, void *ptr)
{
    a = or_heap(a);
    a->give(a->ctx, ptr);
}
