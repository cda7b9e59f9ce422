/* text/bpe_cache.h - words seen before and their ids, per encoder.
 *
 * Natural text repeats its words, so most pieces never reach the merging. Nine pieces of ten have at
 * most 15 bytes and 4 ids, and one line of 32 bytes holds such a word:
 *
 *   key   15 bytes of the word, padded with zeros, then its length    (two 64-bit words to compare)
 *         and, in the top bit, whether it is a part of a piece
 *   ids   4, the count in the top byte of the first one               (one 16-byte copy, always all four)
 *
 * Two lines make a set, and a set is one cache line: the newer word is first, the older one is lost. The
 * rest, up to 30 bytes and 6 ids, has lines of 64 bytes of its own, direct-mapped. What is in the cache
 * cannot change a result, only when it comes.
 *
 * Thread: one owner.  Memory: 2.25 MiB from alloc at creation, none later. Half of it cost 15 to 30 % on
 * English, twice as much gained 10 to 20 %. */
#pragma once

#include "text/idlist.h"

#include "base/str.h"

#define KRS_BPE_WORD_BYTES      15
#define KRS_BPE_WORD_IDS        4
#define KRS_BPE_LONG_WORD_BYTES 30
#define KRS_BPE_LONG_WORD_IDS   6
#define KRS_BPE_SET_BITS        15 /* 2^15 sets of 2 words: 2 MiB */
#define KRS_BPE_LONG_BITS       12 /* 2^12 long words: 256 KiB */
#define KRS_BPE_COUNT_SHIFT     24 /* ids stay below 2^22 */

typedef struct krs_bpe_key {
    uint64_t part[2];
} krs_bpe_key;

typedef struct krs_bpe_word {
    krs_bpe_key key; /* all zero: empty */
    uint32_t ids[KRS_BPE_WORD_IDS];
} krs_bpe_word;

typedef struct krs_bpe_long_word {
    uint64_t hash;
    uint32_t ids[KRS_BPE_LONG_WORD_IDS];
    uint8_t n_ids; /* 0: empty */
    uint8_t n_key;
    char key[KRS_BPE_LONG_WORD_BYTES];
} krs_bpe_long_word;

typedef struct krs_bpe_cache {
    void *block;              /* what alloc gave */
    krs_bpe_word (*sets)[2];  /* [2^KRS_BPE_SET_BITS], on a cache line each */
    krs_bpe_long_word *longs; /* [2^KRS_BPE_LONG_BITS], the same */
} krs_bpe_cache;

_Static_assert(sizeof(krs_bpe_word) == 32 && sizeof(krs_bpe_long_word) == 64, "lines");

/* Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bpe_cache_init(krs_bpe_cache *cache, const krs_alloc *alloc);
void krs_bpe_cache_deinit(krs_bpe_cache *cache, const krs_alloc *alloc);

/* The key of a word of 1 .. KRS_BPE_WORD_BYTES bytes. n_readable: bytes from word on that may be read,
 * at least n; from 16 on, the key takes two loads and no branch on the length. is_part: another key than
 * that of the same bytes without it. */
static inline krs_bpe_key krs_bpe_key_of(const char *word, size_t n, size_t n_readable,
                                         bool is_part)
{
    krs_bpe_key key = {{0, 0}};
    if (n_readable >= sizeof(key)) {
        memcpy(&key, word, sizeof(key));
        const unsigned n_bits = (unsigned)n * 8; /* 8 .. 120 */
        const uint64_t low = n_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << n_bits) - 1;
        const uint64_t high = n_bits >= 64 ? (UINT64_C(1) << (n_bits - 64)) - 1 : 0;
        key.part[0] &= low;
        key.part[1] &= high;
    } else {
        memcpy(&key, word, n);
    }
    key.part[1] |= (uint64_t)n << 56 | (uint64_t)is_part << 63;
    return key;
}

/* The set where a word is, if it is anywhere. */
static inline krs_bpe_word *krs_bpe_cache_set(const krs_bpe_cache *cache, krs_bpe_key key)
{
    const uint64_t hash = key.part[0] * 0x9E3779B97F4A7C15u + key.part[1] * 0xC2B2AE3D27D4EB4Fu;
    return cache->sets[(hash ^ hash << 29) >> (64 - KRS_BPE_SET_BITS)];
}

static inline bool krs_bpe_key_equal(krs_bpe_key a, krs_bpe_key b)
{
    return ((a.part[0] ^ b.part[0]) | (a.part[1] ^ b.part[1])) == 0;
}

/* The word of key in set, or NULL. */
static inline const krs_bpe_word *krs_bpe_cache_find(const krs_bpe_word *set, krs_bpe_key key)
{
    if (krs_bpe_key_equal(set[0].key, key)) {
        return &set[0];
    }
    return krs_bpe_key_equal(set[1].key, key) ? &set[1] : NULL;
}

/* Append the word's ids. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE static inline krs_status krs_bpe_word_append(const krs_bpe_word *word, krs_idlist *out)
{
    const size_t n = word->ids[0] >> KRS_BPE_COUNT_SHIFT;
    if (out->cap - out->n < KRS_BPE_WORD_IDS) {
        const krs_status status = krs_idlist_reserve(out, n);
        if (status != KRS_OK) {
            return status;
        }
    }
    const uint32_t first = word->ids[0] & ((1u << KRS_BPE_COUNT_SHIFT) - 1);
    if (out->cap - out->n >= KRS_BPE_WORD_IDS) {
        memcpy(out->ids + out->n, word->ids, sizeof(word->ids));
    } else {
        memcpy(out->ids + out->n, word->ids, n * sizeof(word->ids[0]));
    }
    out->ids[out->n] = first;
    out->n += n;
    return KRS_OK;
}

/* Keep a word of 1 .. KRS_BPE_WORD_IDS ids in its set. */
void krs_bpe_cache_keep(krs_bpe_word *set, krs_bpe_key key, const uint32_t *ids, size_t n);

/* The line of a longer word: the word if it is there (*is_there), else what is to be overwritten. NULL:
 * longer than a line holds, or so short that it is never kept here. */
krs_bpe_long_word *krs_bpe_cache_long(const krs_bpe_cache *cache, krs_str word, bool is_part,
                                      uint64_t *hash, bool *is_there);
void krs_bpe_cache_keep_long(krs_bpe_long_word *line, krs_str word, uint64_t hash,
                             const uint32_t *ids, size_t n);
