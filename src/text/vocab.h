/* text/vocab.h - token texts by id, and ids by text.
 *
 * Built once from counts known beforehand, so it is three blocks and no growth; then only read. The
 * hash table holds ids, each with half of its text's hash, so that a text is looked at only where it is
 * almost surely the right one.
 *
 * Thread: immutable after the last add.  Memory: three blocks from alloc. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

#define KRS_VOCAB_MAX_IDS (1u << 22) /* the largest public vocabulary is about 262 thousand */

typedef struct krs_vocab {
    const krs_alloc *alloc;
    krs_str *texts;  /* [n_ids]; ptr NULL where an id has no token */
    uint32_t n_ids;  /* one past the largest id */
    uint64_t *slots; /* [mask + 1], tag << 32 | id + 1, 0 = empty; linear probing, half full */
    size_t mask;
    char *pool; /* the texts, end to end */
    size_t pool_used;
    size_t pool_bytes;
} krs_vocab;

/* Room for ids below n_ids and n_texts texts of n_bytes in all.
 * Errors: KRS_ETOOLARGE (n_ids), KRS_ENOMEM. On failure vocab is empty and deinit is harmless. */
KRS_MUST_USE krs_status krs_vocab_init(krs_vocab *vocab, const krs_alloc *alloc, size_t n_ids,
                                       size_t n_texts, size_t n_bytes);
void krs_vocab_deinit(krs_vocab *vocab);

/* Add one token; its text is copied. false when the id or the text is taken already. */
KRS_MUST_USE bool krs_vocab_add(krs_vocab *vocab, uint32_t id, krs_str text);

/* Add one token whose text another one may have: the later one is found by it, both ids have it.
 * The id must be free. */
void krs_vocab_add_again(krs_vocab *vocab, uint32_t id, krs_str text);

/* The id of a text, or -1. */
int64_t krs_vocab_find(const krs_vocab *vocab, krs_str text);

/* The text of an id, borrowed; ptr is NULL when there is none. */
static inline krs_str krs_vocab_text(const krs_vocab *vocab, uint32_t id)
{
    return id < vocab->n_ids ? vocab->texts[id] : (krs_str){NULL, 0};
}
