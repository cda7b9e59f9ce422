/* kv/lru.h - a doubly linked list over the numbers 0 .. n - 1, oldest first, in the caller's arrays.
 *
 * Blocks and state slots are numbers, so a list of them needs two arrays and no nodes. Only for this folder.
 *
 * Thread: the owner's.  Memory: links[n], the caller's. */
#pragma once

#include <stdint.h>

#define KRS_KV_NONE UINT32_MAX

typedef struct krs_kv_link {
    uint32_t prev;
    uint32_t next;
} krs_kv_link;

typedef struct krs_kv_lru {
    krs_kv_link *links;
    uint32_t oldest;
    uint32_t newest;
    uint32_t n;
} krs_kv_lru;

static inline void krs_kv_lru_init(krs_kv_lru *lru, krs_kv_link *links)
{
    *lru = (krs_kv_lru){links, KRS_KV_NONE, KRS_KV_NONE, 0};
}

static inline void krs_kv_lru_push(krs_kv_lru *lru, uint32_t i)
{
    lru->links[i] = (krs_kv_link){lru->newest, KRS_KV_NONE};
    if (lru->newest != KRS_KV_NONE) {
        lru->links[lru->newest].next = i;
    } else {
        lru->oldest = i;
    }
    lru->newest = i;
    lru->n++;
}

/* i must be in the list. */
static inline void krs_kv_lru_remove(krs_kv_lru *lru, uint32_t i)
{
    const krs_kv_link link = lru->links[i];
    if (link.prev != KRS_KV_NONE) {
        lru->links[link.prev].next = link.next;
    } else {
        lru->oldest = link.next;
    }
    if (link.next != KRS_KV_NONE) {
        lru->links[link.next].prev = link.prev;
    } else {
        lru->newest = link.prev;
    }
    lru->n--;
}
