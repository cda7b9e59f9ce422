/* grammar/vocab.c - a vocabulary's tokens, sorted, in trees and slices; see vocab.h and vocab_priv.h. */
#include "grammar/vocab_priv.h"

#include "base/utf8.h"

#include <stdlib.h>

/* A token to be sorted. */
typedef struct sorted_token {
    krs_str bytes;
    uint32_t id;
    int16_t plain_chars;
} sorted_token;

int krs_slice_chars(int slice)
{
    static const int chars[KRS_N_SLICES] = {6, 12, KRS_SLICE_ENOUGH_CHARS, KRS_SLICE_MAX_CHARS};
    return chars[slice];
}

static bool is_plain_byte(uint8_t c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F;
}

int krs_plain_chars(krs_str bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes.len; n++) {
        const size_t length = krs_utf8_length(bytes.ptr + i, bytes.len - i);
        if (length == 0 || !is_plain_byte((uint8_t)bytes.ptr[i])) {
            return -1;
        }
        i += length;
    }
    return n;
}

static int compare_tokens(const void *x, const void *y)
{
    const sorted_token *a = x;
    const sorted_token *b = y;
    const size_t n = a->bytes.len < b->bytes.len ? a->bytes.len : b->bytes.len;
    const int order = memcmp(a->bytes.ptr, b->bytes.ptr, n);
    if (order != 0) {
        return order;
    }
    if (a->bytes.len != b->bytes.len) {
        return a->bytes.len < b->bytes.len ? -1 : 1;
    }
    return (a->id > b->id) - (a->id < b->id);
}

/* An array of the vocabulary, counted. */
static void *take(krs_grammar_vocab *v, size_t n, size_t item_bytes)
{
    v->n_bytes += n * item_bytes;
    return krs_alloc_array(v->alloc, n ? n : 1, item_bytes);
}

/* The bytes of a token that a mask offers for them. */
static krs_str text_of(const krs_grammar_token *token)
{
    return token->kind == KRS_TOKEN_TEXT ? token->bytes : (krs_str){NULL, 0};
}

static krs_status take_room(krs_grammar_vocab *v, const krs_grammar_token *tokens)
{
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        n_bytes += text_of(&tokens[i]).len;
    }
    if (n_bytes > UINT32_MAX) {
        return KRS_ETOOLARGE;
    }
    v->bytes = take(v, n_bytes, 1);
    v->offsets = take(v, (size_t)v->n_tokens + 1, sizeof(*v->offsets));
    v->ends = take(v, v->n_words, sizeof(*v->ends));
    v->twins = take(v, v->n_tokens, sizeof(*v->twins));
    return v->bytes && v->offsets && v->ends && v->twins ? KRS_OK : KRS_ENOMEM;
}

static void copy_tokens(krs_grammar_vocab *v, const krs_grammar_token *tokens)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        const krs_str text = text_of(&tokens[i]);
        v->offsets[i] = at;
        if (text.len > 0) {
            memcpy(v->bytes + at, text.ptr, text.len);
            at += (uint32_t)text.len;
        }
        v->ends[i / 64] |= tokens[i].kind == KRS_TOKEN_END ? 1ull << i % 64 : 0;
    }
    v->offsets[v->n_tokens] = at;
}

/* The tokens that a walk can reach, sorted; how many. */
static uint32_t sort_tokens(const krs_grammar_vocab *v, sorted_token *sorted)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        const krs_str bytes = krs_grammar_vocab_token(v, i);
        if (bytes.len > 0 && bytes.len <= KRS_GRAMMAR_MAX_TOKEN_BYTES) {
            sorted[n++] = (sorted_token){bytes, i, (int16_t)krs_plain_chars(bytes)};
        }
    }
    qsort(sorted, n, sizeof(*sorted), compare_tokens);
    return n;
}

/* Move tokens that have the bytes of the one before to the twins; how many are left. */
static uint32_t find_twins(krs_grammar_vocab *v, sorted_token *sorted, uint32_t n)
{
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (n_left > 0 && krs_str_equal(sorted[n_left - 1].bytes, sorted[i].bytes)) {
            v->twins[v->n_twins++] = (krs_vocab_twin){sorted[i].id, sorted[n_left - 1].id};
        } else {
            sorted[n_left++] = sorted[i];
        }
    }
    return n_left;
}

static bool is_in_slice(const sorted_token *token, int slice)
{
    return token->plain_chars >= 0 && token->plain_chars <= krs_slice_chars(slice);
}

/* The slices' masks; twins come by themselves, at the end of a walk. */
static krs_status make_slices(krs_grammar_vocab *v, const sorted_token *sorted, uint32_t n)
{
    for (int slice = 0; slice < KRS_N_SLICES; slice++) {
        v->slices[slice] = take(v, v->n_words, sizeof(uint64_t));
        if (!v->slices[slice]) {
            return KRS_ENOMEM;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (is_in_slice(&sorted[i], slice)) {
                v->slices[slice][sorted[i].id / 64] |= 1ull << sorted[i].id % 64;
            }
        }
    }
    return KRS_OK;
}

/* order: scratch, [n]. */
static krs_status make_trees(krs_grammar_vocab *v, const sorted_token *sorted, uint32_t n,
                             uint32_t *order)
{
    krs_status status = KRS_OK;
    for (int tree = 0; tree <= KRS_N_SLICES && status == KRS_OK; tree++) {
        uint32_t n_order = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (tree == 0 || !is_in_slice(&sorted[i], tree - 1)) {
                order[n_order++] = sorted[i].id;
            }
        }
        status = krs_vocab_tree_new(v, order, n_order, &v->trees[tree]);
        v->n_bytes += v->trees[tree].n_nodes * sizeof(uint64_t);
    }
    return status;
}

static krs_status make(krs_grammar_vocab *v, const krs_grammar_token *tokens)
{
    krs_status status = take_room(v, tokens);
    if (status != KRS_OK) {
        return status;
    }
    copy_tokens(v, tokens);
    sorted_token *sorted = krs_alloc_array(v->alloc, (size_t)v->n_tokens + 1, sizeof(*sorted));
    uint32_t *order = krs_alloc_array(v->alloc, (size_t)v->n_tokens + 1, sizeof(*order));
    status = sorted && order ? KRS_OK : KRS_ENOMEM;
    if (status == KRS_OK) {
        const uint32_t n = find_twins(v, sorted, sort_tokens(v, sorted));
        status = make_slices(v, sorted, n);
        if (status == KRS_OK) {
            status = make_trees(v, sorted, n, order);
        }
    }
    krs_alloc_free(v->alloc, sorted);
    krs_alloc_free(v->alloc, order);
    return status;
}

krs_status krs_grammar_vocab_new(const krs_grammar_token *tokens, uint32_t n_tokens,
                                 const krs_alloc *alloc, krs_grammar_vocab **out, krs_error *err)
{
    *out = NULL;
    if (n_tokens > KRS_GRAMMAR_VOCAB_MAX_TOKENS - KRS_SPARE_WORDS * 64) {
        return krs_fail(err, KRS_ETOOLARGE, "grammar: %u tokens, limit %u", n_tokens,
                        KRS_GRAMMAR_VOCAB_MAX_TOKENS - KRS_SPARE_WORDS * 64);
    }
    krs_grammar_vocab *v = krs_alloc_zero(alloc, sizeof(*v));
    if (!v) {
        return krs_fail(err, KRS_ENOMEM, "grammar: no memory for a vocabulary");
    }
    v->alloc = alloc;
    v->n_tokens = n_tokens;
    v->n_words = ((size_t)n_tokens + 63) / 64;
    const krs_status status = make(v, tokens);
    if (status != KRS_OK) {
        krs_grammar_vocab_free(v);
        return krs_fail(err, status, "grammar: no room for a vocabulary of %u tokens", n_tokens);
    }
    *out = v;
    return KRS_OK;
}

void krs_grammar_vocab_free(krs_grammar_vocab *v)
{
    if (!v) {
        return;
    }
    for (int tree = 0; tree <= KRS_N_SLICES; tree++) {
        krs_alloc_free(v->alloc, v->trees[tree].nodes);
    }
    for (int slice = 0; slice < KRS_N_SLICES; slice++) {
        krs_alloc_free(v->alloc, v->slices[slice]);
    }
    krs_alloc_free(v->alloc, v->twins);
    krs_alloc_free(v->alloc, v->ends);
    krs_alloc_free(v->alloc, v->offsets);
    krs_alloc_free(v->alloc, v->bytes);
    krs_alloc_free(v->alloc, v);
}

uint32_t krs_grammar_vocab_n_tokens(const krs_grammar_vocab *v)
{
    return v->n_tokens;
}

size_t krs_grammar_vocab_n_words(const krs_grammar_vocab *v)
{
    return v->n_words;
}

size_t krs_grammar_vocab_n_bytes(const krs_grammar_vocab *v)
{
    return v->n_bytes + sizeof(*v);
}

krs_str krs_grammar_vocab_token(const krs_grammar_vocab *v, uint32_t id)
{
    if (id >= v->n_tokens) {
        return (krs_str){NULL, 0};
    }
    return (krs_str){v->bytes + v->offsets[id], v->offsets[id + 1] - v->offsets[id]};
}
