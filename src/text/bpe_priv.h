/* text/bpe_priv.h - the pair table and the merging, shared by bpe.c and bpe_merge.c. */
#pragma once

#include "text/bpe.h"
#include "text/bpe_seam.h"

#include "base/buf.h"

#define KRS_BPE_NO_PAIR UINT64_MAX /* key of an empty slot: ids never reach 2^32 - 1 */
#define KRS_BPE_NO_RANK UINT32_MAX

typedef struct krs_bpe_pair {
    uint64_t key; /* left << 32 | right */
    uint32_t rank;
    uint32_t id; /* what the pair becomes */
} krs_bpe_pair;

struct krs_bpe {
    const krs_alloc *alloc;
    const krs_vocab *vocab;
    krs_bpe_options options;
    krs_bpe_pair *pairs; /* [n_slots], linear probing, at most half full */
    uint32_t n_slots;
    size_t n_merges; /* added so far: the next rank */
    size_t max_merges;
    uint32_t last_sum;     /* what the last merge made */
    int64_t byte_ids[256]; /* byte-level: the symbol of a byte; else "<0xXX>"; -1: none */
    bool can_split;        /* no merge makes "x U+2581" */
    krs_bpe_seams seams;
    char *affixes;  /* owned: what options.continuing_prefix and word_suffix point to */
    krs_buf joined; /* while adding: the sum of the two halves */
};

/* Scratch of the long-word merge; grows, and is given back after an unusually long word. */
typedef struct krs_bpe_room {
    const krs_alloc *alloc;
    uint64_t *heap; /* [2 * cap] rank << 32 | position; the smallest on top */
    uint32_t *next; /* [cap] position of the symbol to the right, or n */
    uint32_t *prev; /* [cap] to the left; the first has itself */
    size_t cap;
    size_t n_heap;
} krs_bpe_room;

static inline bool krs_bpe_has_affixes(const krs_bpe *bpe)
{
    return bpe->options.continuing_prefix.len + bpe->options.word_suffix.len > 0;
}

static inline uint64_t krs_bpe_key_of_pair(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

/* The upper half of the product depends on all of both ids; it is scaled to the table, whose size then
 * need not be a power of two. */
static inline uint32_t krs_bpe_slot(const krs_bpe *bpe, uint64_t key)
{
    return (uint32_t)((key * 0x9E3779B97F4A7C15u >> 32) * bpe->n_slots >> 32);
}

static inline uint32_t krs_bpe_next_slot(const krs_bpe *bpe, uint32_t slot)
{
    return slot + 1 == bpe->n_slots ? 0 : slot + 1;
}

/* The pair's merge, or NULL. */
static inline const krs_bpe_pair *krs_bpe_find(const krs_bpe *bpe, uint32_t left, uint32_t right)
{
    const uint64_t key = krs_bpe_key_of_pair(left, right);
    uint32_t slot = krs_bpe_slot(bpe, key);
    while (bpe->pairs[slot].key != key) {
        if (bpe->pairs[slot].key == KRS_BPE_NO_PAIR) {
            return NULL;
        }
        slot = krs_bpe_next_slot(bpe, slot);
    }
    return &bpe->pairs[slot];
}

/* Merge ids[*n] in place until no pair has a rank. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bpe_merge(const krs_bpe *bpe, krs_bpe_room *room, uint32_t *ids,
                                      size_t *n);
void krs_bpe_room_deinit(krs_bpe_room *room);
