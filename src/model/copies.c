/* model/copies.c - see copies.h. */
#include "model/copies.h"

#include "base/checked.h"

#include <stdalign.h>

struct krs_copy {
    krs_copy *previous;
    alignas(max_align_t) unsigned char bytes[];
};

void krs_copies_init(krs_copies *copies, const krs_alloc *alloc)
{
    *copies = (krs_copies){.alloc = alloc};
}

void krs_copies_deinit(krs_copies *copies)
{
    while (copies->last) {
        krs_copy *copy = copies->last;
        copies->last = copy->previous;
        krs_alloc_free(copies->alloc, copy);
    }
    copies->n_bytes = 0;
}

void *krs_copies_take(krs_copies *copies, size_t n_bytes)
{
    size_t total;
    if (!krs_size_add(sizeof(krs_copy), n_bytes, &total)) {
        return NULL;
    }
    krs_copy *copy = krs_alloc_bytes(copies->alloc, total);
    if (!copy) {
        return NULL;
    }
    copy->previous = copies->last;
    copies->last = copy;
    copies->n_bytes += n_bytes;
    return copy->bytes;
}
