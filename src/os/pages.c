/* os/pages.c - see pages.h. mmap aligns to 4 KiB only, so a large mapping is taken with room for one huge
 * page more and its ends are cut off: an unaligned mapping would have its first and last megabytes in
 * small pages, and matrices placed in it by 2 MiB would each straddle one page more. */
#define _GNU_SOURCE /* syscall, MAP_ANONYMOUS, madvise */
#include "os/pages.h"

#include "base/checked.h"
#include "base/fault.h"

#include <linux/mempolicy.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_NODES 1024 /* CONFIG_NODES_SHIFT is at most 10 */
#define WORD_BITS (8 * sizeof(unsigned long))

struct krs_os_pages {
    const krs_alloc *alloc;
    unsigned char *data;
    size_t n_mapped; /* from data on, whole pages */
};

/* Ask for pages dealt out over the nodes this process may use. A refusal leaves them to first touch. */
static void interleave(void *data, size_t n_bytes)
{
    unsigned long nodes[MAX_NODES / WORD_BITS] = {0};
    if (syscall(SYS_get_mempolicy, NULL, nodes, MAX_NODES, NULL, MPOL_F_MEMS_ALLOWED) == 0) {
        (void)syscall(SYS_mbind, data, n_bytes, MPOL_INTERLEAVE, nodes, MAX_NODES, 0);
    }
}

/* Cut [from, from + n_room) down to the aligned [result, result + n_bytes). */
static unsigned char *cut_to_alignment(unsigned char *from, size_t n_room, size_t n_bytes)
{
    const size_t misfit = (uintptr_t)from % KRS_OS_HUGE_PAGE_BYTES;
    const size_t n_head = misfit ? KRS_OS_HUGE_PAGE_BYTES - misfit : 0;
    const size_t n_tail = n_room - n_head - n_bytes;
    /* A cut can fail only for want of a record in the kernel; the ends then stay, untouched and free of
     * memory, until the process ends. */
    if (n_head > 0) {
        (void)munmap(from, n_head);
    }
    if (n_tail > 0) {
        (void)munmap(from + n_head + n_bytes, n_tail);
    }
    return from + n_head;
}

/* n_bytes: whole pages. NULL when the system has none. */
static unsigned char *map_aligned(size_t n_bytes)
{
    const bool is_large = n_bytes >= KRS_OS_HUGE_PAGE_BYTES;
    size_t n_room = n_bytes;
    if (is_large && !krs_size_add(n_bytes, KRS_OS_HUGE_PAGE_BYTES, &n_room)) {
        return NULL;
    }
    void *from = mmap(NULL, n_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (from == MAP_FAILED) {
        return NULL;
    }
    return is_large ? cut_to_alignment(from, n_room, n_bytes) : from;
}

static krs_status map_pages(krs_os_pages *pages, size_t n_bytes, krs_os_place place, krs_error *err)
{
    const long page_bytes = sysconf(_SC_PAGESIZE);
    if (!krs_size_round_up(n_bytes ? n_bytes : 1, (size_t)page_bytes, &pages->n_mapped)) {
        return krs_fail(err, KRS_ENOMEM, "pages: %zu bytes", n_bytes);
    }
    pages->data = krs_fault_hit(KRS_FAULT_MEMORY_MAP) ? NULL : map_aligned(pages->n_mapped);
    if (!pages->data) {
        return krs_fail(err, KRS_ENOMEM, "pages: %zu bytes", n_bytes);
    }
    /* Both are requests: see pages.h. */
    (void)madvise(pages->data, pages->n_mapped, MADV_HUGEPAGE);
    if (place == KRS_OS_PLACE_INTERLEAVED) {
        interleave(pages->data, pages->n_mapped);
    }
    return KRS_OK;
}

krs_status krs_os_pages_new(size_t n_bytes, krs_os_place place, const krs_alloc *alloc,
                            krs_os_pages **out, krs_error *err)
{
    *out = NULL;
    krs_os_pages *pages = krs_alloc_zero(alloc, sizeof(*pages));
    if (!pages) {
        return krs_fail(err, KRS_ENOMEM, "pages: %zu bytes", n_bytes);
    }
    pages->alloc = alloc;
    const krs_status status = map_pages(pages, n_bytes, place, err);
    if (status != KRS_OK) {
        krs_alloc_free(alloc, pages);
        return status;
    }
    *out = pages;
    return KRS_OK;
}

void krs_os_pages_free(krs_os_pages *pages)
{
    if (pages) {
        (void)munmap(pages->data, pages->n_mapped);
        krs_alloc_free(pages->alloc, pages);
    }
}

void *krs_os_pages_data(const krs_os_pages *pages)
{
    return pages->data;
}
