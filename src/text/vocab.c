/* text/vocab.c - see vocab.h. */
#include "text/vocab.h"

#include "base/check.h"

#define HASH_SEED 0x766F636162u /* any constant: the table is never written out */

krs_status krs_vocab_init(krs_vocab *vocab, const krs_alloc *alloc, size_t n_ids, size_t n_texts,
                          size_t n_bytes)
{
    *vocab = (krs_vocab){.alloc = alloc};
    if (n_ids > KRS_VOCAB_MAX_IDS || n_texts > KRS_VOCAB_MAX_IDS) {
        return KRS_ETOOLARGE;
    }
    size_t n_slots = 16;
    while (n_slots < 2 * n_texts) {
        n_slots *= 2;
    }
    vocab->texts = krs_alloc_array(alloc, n_ids, sizeof(vocab->texts[0]));
    vocab->slots = krs_alloc_array(alloc, n_slots, sizeof(vocab->slots[0]));
    vocab->pool = krs_alloc_bytes(alloc, n_bytes);
    if (!vocab->texts || !vocab->slots || !vocab->pool) {
        krs_vocab_deinit(vocab);
        return KRS_ENOMEM;
    }
    vocab->n_ids = (uint32_t)n_ids;
    vocab->mask = n_slots - 1;
    vocab->pool_bytes = n_bytes;
    return KRS_OK;
}

void krs_vocab_deinit(krs_vocab *vocab)
{
    krs_alloc_free(vocab->alloc, vocab->texts);
    krs_alloc_free(vocab->alloc, vocab->slots);
    krs_alloc_free(vocab->alloc, vocab->pool);
    *vocab = (krs_vocab){.alloc = vocab->alloc};
}

static uint32_t tag_of(uint64_t entry)
{
    return (uint32_t)(entry >> 32);
}

static uint32_t id_of(uint64_t entry)
{
    return (uint32_t)entry - 1;
}

/* The slot of text, or the empty one where it would go. */
static size_t slot_of(const krs_vocab *vocab, krs_str text, uint32_t *tag)
{
    const uint64_t hash = krs_str_hash(text, HASH_SEED);
    size_t slot = (size_t)hash & vocab->mask;
    *tag = (uint32_t)(hash >> 32);
    for (uint64_t entry; (entry = vocab->slots[slot]) != 0; slot = (slot + 1) & vocab->mask) {
        if (tag_of(entry) == *tag && krs_str_equal(vocab->texts[id_of(entry)], text)) {
            break;
        }
    }
    return slot;
}

static void put(krs_vocab *vocab, size_t slot, uint32_t tag, uint32_t id, krs_str text)
{
    char *copy = vocab->pool + vocab->pool_used;
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    vocab->pool_used += text.len;
    vocab->texts[id] = (krs_str){copy, text.len};
    vocab->slots[slot] = (uint64_t)tag << 32 | (id + 1);
}

bool krs_vocab_add(krs_vocab *vocab, uint32_t id, krs_str text)
{
    KRS_CHECK(id < vocab->n_ids && text.len <= vocab->pool_bytes - vocab->pool_used);
    uint32_t tag;
    const size_t slot = slot_of(vocab, text, &tag);
    if (vocab->slots[slot] != 0 || vocab->texts[id].ptr) {
        return false;
    }
    put(vocab, slot, tag, id, text);
    return true;
}

void krs_vocab_add_again(krs_vocab *vocab, uint32_t id, krs_str text)
{
    KRS_CHECK(id < vocab->n_ids && text.len <= vocab->pool_bytes - vocab->pool_used);
    KRS_CHECK(!vocab->texts[id].ptr);
    uint32_t tag;
    const size_t slot = slot_of(vocab, text, &tag);
    put(vocab, slot, tag, id, text);
}

int64_t krs_vocab_find(const krs_vocab *vocab, krs_str text)
{
    if (!vocab->slots) {
        return -1;
    }
    uint32_t tag;
    const uint64_t entry = vocab->slots[slot_of(vocab, text, &tag)];
    return entry != 0 ? (int64_t)id_of(entry) : -1;
}
