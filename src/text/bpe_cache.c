/* text/bpe_cache.c - see bpe_cache.h. */
#include "text/bpe_cache.h"

#define LINE_BYTES 64 /* of the processor's cache */
#define N_SETS     ((size_t)1 << KRS_BPE_SET_BITS)
#define N_LONGS    ((size_t)1 << KRS_BPE_LONG_BITS)
#define HASH_SEED  0x627065u

krs_status krs_bpe_cache_init(krs_bpe_cache *cache, const krs_alloc *alloc)
{
    const size_t n_sets = N_SETS * sizeof(cache->sets[0]);
    const size_t n_longs = N_LONGS * sizeof(cache->longs[0]);
    *cache = (krs_bpe_cache){.block = krs_alloc_zero(alloc, n_sets + n_longs + LINE_BYTES)};
    if (!cache->block) {
        return KRS_ENOMEM;
    }
    char *start = cache->block;
    start += LINE_BYTES - (uintptr_t)start % LINE_BYTES;
    cache->sets = (void *)start;
    cache->longs = (void *)(start + n_sets);
    return KRS_OK;
}

void krs_bpe_cache_deinit(krs_bpe_cache *cache, const krs_alloc *alloc)
{
    krs_alloc_free(alloc, cache->block);
    *cache = (krs_bpe_cache){0};
}

void krs_bpe_cache_keep(krs_bpe_word *set, krs_bpe_key key, const uint32_t *ids, size_t n)
{
    set[1] = set[0];
    set[0] = (krs_bpe_word){.key = key};
    memcpy(set[0].ids, ids, n * sizeof(ids[0]));
    set[0].ids[0] |= (uint32_t)n << KRS_BPE_COUNT_SHIFT;
}

krs_bpe_long_word *krs_bpe_cache_long(const krs_bpe_cache *cache, krs_str word, bool is_part,
                                      uint64_t *hash, bool *is_there)
{
    *is_there = false;
    if (word.len > KRS_BPE_LONG_WORD_BYTES || word.len <= KRS_BPE_WORD_IDS) {
        return NULL; /* so few bytes have as few ids, and such a word is kept with the short ones */
    }
    *hash = (krs_str_hash(word, HASH_SEED) & ~UINT64_C(1)) | is_part; /* the lowest bit: which */
    krs_bpe_long_word *line = &cache->longs[*hash & (N_LONGS - 1)];
    *is_there = line->n_ids > 0 && line->hash == *hash &&
                krs_str_equal((krs_str){line->key, line->n_key}, word);
    return line;
}

void krs_bpe_cache_keep_long(krs_bpe_long_word *line, krs_str word, uint64_t hash,
                             const uint32_t *ids, size_t n)
{
    line->hash = hash;
    line->n_ids = (uint8_t)n;
    line->n_key = (uint8_t)word.len;
    memcpy(line->key, word.ptr, word.len);
    memcpy(line->ids, ids, n * sizeof(ids[0]));
}
