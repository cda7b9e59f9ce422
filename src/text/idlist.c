/* text/idlist.c - see idlist.h. */
#include "text/idlist.h"

#define MIN_IDS 64 /* first block: most prompts fit after a few doublings */

krs_status krs_idlist_reserve(krs_idlist *list, size_t n)
{
    if (n > list->max_ids - list->n) {
        return KRS_ETOOLARGE;
    }
    const size_t want = list->n + n;
    if (want <= list->cap) {
        return KRS_OK;
    }
    size_t cap = list->cap > list->max_ids / 2 ? list->max_ids : list->cap * 2;
    cap = cap < MIN_IDS ? MIN_IDS : cap;
    cap = cap < want ? want : cap;
    uint32_t *ids = krs_alloc_resize(list->alloc, list->ids, cap, sizeof(ids[0]));
    if (!ids) {
        return KRS_ENOMEM;
    }
    list->ids = ids;
    list->cap = cap;
    return KRS_OK;
}
