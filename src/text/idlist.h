/* text/idlist.h - a growable list of token ids with a ceiling.
 *
 * krs_buf would do, but a push per token is the innermost act of encoding, so it is inline and typed.
 * A failed push leaves the list as it was.
 *
 * Thread: one owner.  Memory: one block, doubled; reset keeps it. */
#pragma once

#include "base/alloc.h"

#include <string.h>

typedef struct krs_idlist {
    uint32_t *ids; /* [cap] or NULL */
    size_t n;
    size_t cap;
    size_t max_ids;
    const krs_alloc *alloc;
} krs_idlist;

static inline void krs_idlist_init(krs_idlist *list, const krs_alloc *alloc, size_t max_ids)
{
    *list = (krs_idlist){NULL, 0, 0, max_ids, alloc};
}

static inline void krs_idlist_deinit(krs_idlist *list)
{
    krs_alloc_free(list->alloc, list->ids);
    *list = (krs_idlist){NULL, 0, 0, list->max_ids, list->alloc};
}

/* Room for n more. Errors: KRS_ETOOLARGE, KRS_ENOMEM; same for the pushes. */
KRS_MUST_USE krs_status krs_idlist_reserve(krs_idlist *list, size_t n);

KRS_MUST_USE static inline krs_status krs_idlist_push(krs_idlist *list, uint32_t id)
{
    if (list->n == list->cap) {
        const krs_status status = krs_idlist_reserve(list, 1);
        if (status != KRS_OK) {
            return status;
        }
    }
    list->ids[list->n++] = id;
    return KRS_OK;
}

KRS_MUST_USE static inline krs_status krs_idlist_append(krs_idlist *list, const uint32_t *ids,
                                                        size_t n)
{
    const krs_status status = krs_idlist_reserve(list, n);
    if (status == KRS_OK && n > 0) {
        memcpy(list->ids + list->n, ids, n * sizeof(ids[0]));
        list->n += n;
    }
    return status;
}
