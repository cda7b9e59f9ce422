/* os/pages.h - large memory of our own: what weights are copied or repacked into.
 *
 * The heap is the wrong place for gigabytes that every step streams through: it promises neither huge
 * pages (a 4 KiB page costs a TLB miss every 4 KiB) nor where on a machine of several memory nodes the
 * bytes lie. These pages are an anonymous mapping, so a full disk or a truncated file cannot take them
 * away: once the call has succeeded, the kernel owes the memory (no MAP_NORESERVE, no hugetlbfs, whose
 * pool may be empty at the first touch and then kills with SIGBUS).
 *
 * Huge pages and interleaving are requests. A kernel or a container that refuses them (THP off, mbind
 * blocked by a seccomp filter, one node) gives plain pages where they are first touched, and nothing
 * else changes. A page gets its memory when it is first written, on the node of the thread that writes
 * unless interleaved; so let the threads that will read write, or interleave when all threads read all
 * of it.
 *
 * Thread: any; an object has one owner, its bytes follow the owner's rules.
 * Memory: the pages, and one small record from alloc, so that failing-allocation sweeps meet it.
 * Source: Linux mmap(2), madvise(2), mbind(2); the kernel's admin-guide/mm/transhuge. */
#pragma once

#include "base/alloc.h"

#define KRS_OS_HUGE_PAGE_BYTES ((size_t)2 << 20) /* x86-64, and arm64 with 4 KiB pages */

typedef struct krs_os_pages krs_os_pages;

typedef enum krs_os_place {
    KRS_OS_PLACE_FIRST_TOUCH, /* each page on the node of the thread that first writes to it */
    KRS_OS_PLACE_INTERLEAVED, /* pages dealt out over all memory nodes this process may use */
} krs_os_place;

/* n_bytes of zeros (0 is treated as 1), aligned to KRS_OS_HUGE_PAGE_BYTES when they are that many or
 * more, else to a page. *out: NULL on failure. Errors: KRS_ENOMEM (also with fault memory.map). */
KRS_MUST_USE krs_status krs_os_pages_new(size_t n_bytes, krs_os_place place, const krs_alloc *alloc,
                                         krs_os_pages **out, krs_error *err);
/* Give the memory back; NULL is a no-op. */
void krs_os_pages_free(krs_os_pages *pages);

/* [n_bytes], readable and writable until krs_os_pages_free. */
void *krs_os_pages_data(const krs_os_pages *pages);
