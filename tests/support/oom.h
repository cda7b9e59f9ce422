/* support/oom.h - an allocator that fails on purpose and counts what is left.
 *
 *     static krs_status build_and_drop(const krs_alloc *alloc, void *ctx) { ... }
 *     krs_oom_sweep(build_and_drop, NULL);
 *
 * The sweep runs the body once for every allocation it makes, failing the 1st, the 2nd, ... until a
 * run needs no failed allocation. After each run nothing may be held: a leak on an error path shows
 * up with the number of the allocation that failed. It also fails when the body allocates nothing,
 * because then it would test nothing.
 *
 * Thread: any; the counters are atomic, so code under test may allocate on its own threads.
 * Memory: the heap; every block is scribbled over before it is given back. */
#pragma once

#include "base/alloc.h"
#include "support/cmocka.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KRS_OOM_MAX_RUNS     20000 /* a body that still fails after so many never gets there */
#define KRS_OOM_HEADER_BYTES 16    /* in front of each block: its size, alignment kept */
#define KRS_OOM_DIRT         ((int)0xA5) /* what fresh and returned memory holds */

typedef struct krs_oom {
    krs_alloc alloc;
    uint64_t fail_at;          /* 1 = the first allocation; 0 = none */
    bool is_failing_onward;    /* every allocation from fail_at on fails, not only that one */
    _Atomic uint64_t n_takes;  /* allocations asked for, resizes included */
    _Atomic uint64_t n_failed; /* of them, failed on purpose */
    _Atomic int64_t n_live;    /* blocks held */
    _Atomic int64_t live_bytes;
} krs_oom;

static inline bool krs_oom_must_fail(krs_oom *oom)
{
    const uint64_t nth = atomic_fetch_add(&oom->n_takes, 1) + 1;
    const bool fails =
        oom->fail_at != 0 && (oom->is_failing_onward ? nth >= oom->fail_at : nth == oom->fail_at);
    if (fails) {
        atomic_fetch_add(&oom->n_failed, 1);
    }
    return fails;
}

static inline size_t krs_oom_block_bytes(const void *ptr)
{
    size_t n_bytes;
    memcpy(&n_bytes, (const unsigned char *)ptr - KRS_OOM_HEADER_BYTES, sizeof(n_bytes));
    return n_bytes;
}

static inline void *krs_oom_take(void *ctx, size_t n_bytes)
{
    krs_oom *oom = ctx;
    if (krs_oom_must_fail(oom) || n_bytes > SIZE_MAX - KRS_OOM_HEADER_BYTES) {
        return NULL;
    }
    unsigned char *block = malloc(n_bytes + KRS_OOM_HEADER_BYTES);
    if (!block) {
        return NULL;
    }
    memcpy(block, &n_bytes, sizeof(n_bytes));
    memset(block + KRS_OOM_HEADER_BYTES, KRS_OOM_DIRT, n_bytes);
    atomic_fetch_add(&oom->n_live, 1);
    atomic_fetch_add(&oom->live_bytes, (int64_t)n_bytes);
    return block + KRS_OOM_HEADER_BYTES;
}

static inline void krs_oom_give(void *ctx, void *ptr)
{
    krs_oom *oom = ctx;
    if (!ptr) {
        return;
    }
    const size_t n_bytes = krs_oom_block_bytes(ptr);
    memset(ptr, KRS_OOM_DIRT, n_bytes);
    atomic_fetch_sub(&oom->n_live, 1);
    atomic_fetch_sub(&oom->live_bytes, (int64_t)n_bytes);
    free((unsigned char *)ptr - KRS_OOM_HEADER_BYTES);
}

/* Always moves the block, so a pointer kept across a resize is caught. */
static inline void *krs_oom_resize(void *ctx, void *ptr, size_t n_bytes)
{
    void *moved = krs_oom_take(ctx, n_bytes);
    if (moved && ptr) {
        const size_t before = krs_oom_block_bytes(ptr);
        memcpy(moved, ptr, before < n_bytes ? before : n_bytes);
        krs_oom_give(ctx, ptr);
    }
    return moved;
}

/* fail_at: which allocation fails, 1 = the first; 0 only counts. oom must stay where it is. */
static inline void krs_oom_init(krs_oom *oom, uint64_t fail_at)
{
    memset(oom, 0, sizeof(*oom));
    oom->alloc = (krs_alloc){oom, krs_oom_take, krs_oom_resize, krs_oom_give};
    oom->fail_at = fail_at;
}

static inline const krs_alloc *krs_oom_alloc(krs_oom *oom)
{
    return &oom->alloc;
}

/* Run body with every allocation failing once. It must free everything it made before returning,
 * return KRS_ENOMEM when a failure stopped it (KRS_OK if it got by without), and KRS_OK when nothing
 * failed. Returns the number of runs. */
static inline uint64_t krs_oom_sweep(krs_status (*body)(const krs_alloc *alloc, void *ctx),
                                     void *ctx)
{
    for (uint64_t nth = 1; nth <= KRS_OOM_MAX_RUNS; nth++) {
        krs_oom oom;
        krs_oom_init(&oom, nth);
        const krs_status status = body(krs_oom_alloc(&oom), ctx);
        if (atomic_load(&oom.n_live) != 0) {
            (void)fprintf(stderr, "allocation %llu fails: %lld blocks leak\n",
                          (unsigned long long)nth, (long long)atomic_load(&oom.n_live));
        }
        assert_int_equal(atomic_load(&oom.n_live), 0);
        if (atomic_load(&oom.n_failed) == 0) {
            assert_int_equal(status, KRS_OK);
            assert_true(atomic_load(&oom.n_takes) > 0);
            return nth;
        }
        if (status != KRS_OK && status != KRS_ENOMEM) {
            (void)fprintf(stderr, "allocation %llu fails: answered %s\n", (unsigned long long)nth,
                          krs_status_name(status));
        }
        assert_true(status == KRS_OK || status == KRS_ENOMEM);
    }
    fail_msg("still failing after %d runs", KRS_OOM_MAX_RUNS);
    return 0;
}
