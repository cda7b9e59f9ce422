/* model/copies.h - weights that could not be used where they lie, rearranged once at load.
 *
 * A chain of blocks, because a model has few of them and they are freed together. The file's own bytes of
 * such a tensor are never touched again, so the system may drop their pages.
 *
 * Thread: one owner while a model is built, immutable after.  Memory: the blocks. */
#pragma once

#include "base/alloc.h"

typedef struct krs_copy krs_copy;

typedef struct krs_copies {
    const krs_alloc *alloc;
    krs_copy *last;
    uint64_t n_bytes; /* of all blocks */
} krs_copies;

void krs_copies_init(krs_copies *copies, const krs_alloc *alloc);
void krs_copies_deinit(krs_copies *copies);

/* n_bytes > 0 that live as long as copies; NULL when there is no memory. Aligned for any number. */
KRS_MUST_USE void *krs_copies_take(krs_copies *copies, size_t n_bytes);
