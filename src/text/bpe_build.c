/* text/bpe_build.c - building the pair table and what follows from it.
 *
 * Splitting at U+2581 (can_split) is exact when no merge makes a token in which U+2581 follows another
 * character: a symbol that spans such a place would have to come from a merge, and merges on the two
 * sides never look at each other. It also needs U+2581 itself to be a token, so that it ends a run of
 * unknown characters where it stands. */
#include "text/bpe_priv.h"

#include "text/bytelevel.h"
#include "text/unicode.h"

#include "base/check.h"

#include <stdio.h>

#define MIN_SLOTS 16 /* of the pair table beyond two per merge, so that one is always empty */

static int64_t byte_id(const krs_vocab *vocab, const krs_bpe_options *options, unsigned char byte)
{
    char text[8];
    size_t n = 0;
    if (options->is_byte_level) {
        n = krs_utf8_encode(krs_bytelevel_char(byte), text);
    } else if (options->has_byte_fallback) {
        n = (size_t)snprintf(text, sizeof(text), "<0x%02X>", byte);
    }
    return n > 0 ? krs_vocab_find(vocab, (krs_str){text, n}) : -1;
}

/* Own copies of the marks of a word's symbols. */
static krs_status keep_affixes(krs_bpe *bpe)
{
    krs_str *prefix = &bpe->options.continuing_prefix;
    krs_str *suffix = &bpe->options.word_suffix;
    KRS_CHECK(!bpe->options.is_byte_level || !krs_bpe_has_affixes(bpe));
    bpe->affixes = krs_alloc_bytes(bpe->alloc, prefix->len + suffix->len);
    if (!bpe->affixes) {
        return KRS_ENOMEM;
    }
    char *to = bpe->affixes;
    for (krs_str *s = prefix; s; s = s == prefix ? suffix : NULL) {
        if (s->len > 0) {
            memcpy(to, s->ptr, s->len);
        }
        s->ptr = to;
        to += s->len;
    }
    return KRS_OK;
}

/* A token in raw bytes, in bpe->joined or where it is; nothing for one that bytes cannot spell. */
static krs_str raw_text(void *ctx, uint32_t id)
{
    krs_bpe *bpe = ctx;
    const krs_str text = krs_vocab_text(bpe->vocab, id);
    if (!bpe->options.is_byte_level || !text.ptr) {
        return text;
    }
    krs_buf_reset(&bpe->joined);
    if (krs_buf_reserve(&bpe->joined, text.len) != KRS_OK) {
        return (krs_str){NULL, 0};
    }
    for (size_t i = 0, n = 0; i < text.len; i += n) {
        const int byte =
            krs_bytelevel_byte(krs_utf8_decode((krs_str){text.ptr + i, text.len - i}, &n));
        if (byte < 0) {
            return (krs_str){NULL, 0};
        }
        bpe->joined.data[bpe->joined.len++] = (char)byte;
    }
    return krs_buf_view(&bpe->joined);
}

/* Seams, if no character can be unknown, and what a symbol is does not depend on the word's ends. */
static krs_status add_seams(krs_bpe *bpe)
{
    if (krs_bpe_has_affixes(bpe)) {
        return KRS_OK;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        if (bpe->byte_ids[byte] < 0) {
            return KRS_OK;
        }
    }
    size_t n_longest = 0; /* so that raw_text need not grow its buffer, nor fail */
    for (uint32_t id = 0; id < bpe->vocab->n_ids; id++) {
        const krs_str text = krs_vocab_text(bpe->vocab, id);
        n_longest = text.len > n_longest ? text.len : n_longest;
    }
    const krs_status status = krs_buf_reserve(&bpe->joined, n_longest);
    return status == KRS_OK
               ? krs_bpe_seams_build(&bpe->seams, bpe->alloc, bpe->vocab->n_ids, raw_text, bpe)
               : status;
}

krs_status krs_bpe_new(const krs_vocab *vocab, const krs_bpe_options *options, size_t n_merges,
                       const krs_alloc *alloc, krs_bpe **out, krs_error *err)
{
    *out = NULL;
    if (n_merges > KRS_VOCAB_MAX_IDS) {
        return krs_fail(err, KRS_ETOOLARGE, "tokenizer: model.merges: %zu, limit %u", n_merges,
                        KRS_VOCAB_MAX_IDS);
    }
    const uint32_t n_slots = (uint32_t)(2 * n_merges + MIN_SLOTS);
    krs_bpe *bpe = krs_alloc_zero(alloc, sizeof(*bpe));
    krs_bpe_pair *pairs = krs_alloc_array(alloc, n_slots, sizeof(pairs[0]));
    if (!bpe || !pairs) {
        krs_alloc_free(alloc, bpe);
        krs_alloc_free(alloc, pairs);
        return krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory for %zu merges", n_merges);
    }
    for (size_t i = 0; i < n_slots; i++) {
        pairs[i].key = KRS_BPE_NO_PAIR;
    }
    *bpe = (krs_bpe){.alloc = alloc,
                     .vocab = vocab,
                     .options = *options,
                     .pairs = pairs,
                     .n_slots = n_slots,
                     .max_merges = n_merges};
    for (unsigned byte = 0; byte < 256; byte++) {
        bpe->byte_ids[byte] = byte_id(vocab, options, (unsigned char)byte);
    }
    bpe->can_split = !options->is_byte_level && krs_vocab_find(vocab, KRS_STR("\xE2\x96\x81")) >= 0;
    krs_buf_init(&bpe->joined, alloc, KRS_BPE_MAX_WORD_BYTES);
    if (keep_affixes(bpe) != KRS_OK || add_seams(bpe) != KRS_OK) {
        krs_bpe_free(bpe);
        return krs_fail(err, KRS_ENOMEM, "tokenizer: out of memory");
    }
    /* A symbol's marks depend on the whole word's ends, so such a word must not fall apart. */
    bpe->can_split = bpe->can_split && !krs_bpe_has_affixes(bpe);
    *out = bpe;
    return KRS_OK;
}

void krs_bpe_free(krs_bpe *bpe)
{
    if (bpe) {
        krs_buf_deinit(&bpe->joined);
        krs_bpe_seams_deinit(&bpe->seams, bpe->alloc);
        krs_alloc_free(bpe->alloc, bpe->pairs);
        krs_alloc_free(bpe->alloc, bpe->affixes);
        krs_alloc_free(bpe->alloc, bpe);
    }
}

/* Does U+2581 follow another character in text? */
static bool has_late_space(krs_str text)
{
    const krs_str space = KRS_STR("\xE2\x96\x81");
    size_t at = 0;
    while (krs_str_starts_with((krs_str){text.ptr + at, text.len - at}, space)) {
        at += space.len;
    }
    return krs_str_find(text, space, at) != SIZE_MAX;
}

/* "<0xE4>" of a vocabulary with byte fallback. A merge of such a token makes one whose text does not
 * show the characters it stands for, so their places cannot be told to be seams. */
static bool is_byte_token(const krs_bpe *bpe, krs_str text)
{
    return !bpe->options.is_byte_level && text.len == 6 &&
           krs_str_starts_with(text, KRS_STR("<0x"));
}

static void put_pair(krs_bpe *bpe, uint64_t key, uint32_t rank, uint32_t id)
{
    uint32_t slot = krs_bpe_slot(bpe, key);
    while (bpe->pairs[slot].key != KRS_BPE_NO_PAIR && bpe->pairs[slot].key != key) {
        slot = krs_bpe_next_slot(bpe, slot);
    }
    bpe->pairs[slot] = (krs_bpe_pair){key, rank, id};
}

/* left + right in bpe->joined. Errors: KRS_EFORMAT (right lacks the prefix), KRS_ENOMEM. */
static krs_status join(krs_bpe *bpe, krs_str left, krs_str right, krs_error *err)
{
    const size_t n_prefix = bpe->options.continuing_prefix.len;
    if (right.len < n_prefix) {
        return krs_fail(
            err, KRS_EFORMAT,
            "tokenizer: model.merges[%zu]: \"%.*s\" is shorter than the prefix \"%.*s\"",
            bpe->n_merges, KRS_STR_ARGS(right), KRS_STR_ARGS(bpe->options.continuing_prefix));
    }
    krs_buf_reset(&bpe->joined);
    krs_status status = krs_buf_append_str(&bpe->joined, left);
    if (status == KRS_OK) {
        status = krs_buf_append(&bpe->joined, right.ptr + n_prefix, right.len - n_prefix);
    }
    return status == KRS_OK
               ? status
               : krs_fail(err, status, "tokenizer: model.merges[%zu]: no room", bpe->n_merges);
}

/* The id of a sum. Most files list merges in order of what they make, so it is the last one or its
 * neighbour, and no search is needed. */
static int64_t find_sum(const krs_bpe *bpe, krs_str sum)
{
    for (uint32_t id = bpe->last_sum; id < bpe->last_sum + 2; id++) {
        const krs_str text = krs_vocab_text(bpe->vocab, id);
        if (text.ptr && krs_str_equal(text, sum)) {
            return id;
        }
    }
    return krs_vocab_find(bpe->vocab, sum);
}

krs_status krs_bpe_add_merge(krs_bpe *bpe, krs_str left, krs_str right, krs_error *err)
{
    return krs_bpe_add_ranked(bpe, left, right, (uint32_t)bpe->n_merges, err);
}

krs_status krs_bpe_add_ranked(krs_bpe *bpe, krs_str left, krs_str right, uint32_t rank,
                              krs_error *err)
{
    KRS_CHECK(bpe->n_merges < bpe->max_merges);
    const krs_status status = join(bpe, left, right, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_str sum = krs_buf_view(&bpe->joined);
    const int64_t left_id = krs_vocab_find(bpe->vocab, left);
    const int64_t right_id = krs_vocab_find(bpe->vocab, right);
    const int64_t sum_id = find_sum(bpe, sum);
    if (left_id < 0 || right_id < 0 || sum_id < 0) {
        const krs_str missing = left_id < 0 ? left : right_id < 0 ? right : sum;
        return krs_fail(err, KRS_EFORMAT, "tokenizer: model.merges[%zu]: \"%.*s\" is no token",
                        bpe->n_merges, KRS_STR_ARGS(missing));
    }
    put_pair(bpe, krs_bpe_key_of_pair((uint32_t)left_id, (uint32_t)right_id), rank,
             (uint32_t)sum_id);
    bpe->can_split = bpe->can_split && !has_late_space(sum);
    if (is_byte_token(bpe, left) || is_byte_token(bpe, right)) {
        krs_bpe_seams_deinit(&bpe->seams, bpe->alloc);
    }
    bpe->n_merges++;
    bpe->last_sum = (uint32_t)sum_id;
    return KRS_OK;
}
