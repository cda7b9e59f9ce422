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

int krs_tree_chars(int tree)
{
    static const int chars[KRS_N_TREES] = {0, 6, 12, KRS_SLICE_ENOUGH_CHARS, KRS_SLICE_MAX_CHARS};
    return chars[tree];
}

int krs_plain_chars(krs_str bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes.len; n++) {
        const size_t length = krs_utf8_length(bytes.ptr + i, bytes.len - i);
        if (length == 0 || !krs_is_plain_byte((uint8_t)bytes.ptr[i])) {
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
    v->lengthy = take(v, v->n_words, sizeof(*v->lengthy));
    v->twins = take(v, v->n_tokens, sizeof(*v->twins));
    const bool has_room = v->bytes && v->offsets && v->ends && v->lengthy && v->twins;
    return has_room ? KRS_OK : KRS_ENOMEM;
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

static krs_status find_lengthy(krs_grammar_vocab *v, const sorted_token *sorted, uint32_t n,
                               uint32_t *order)
{
    uint32_t n_order = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t len = (uint32_t)sorted[i].bytes.len;
        v->longest = len > v->longest ? len : v->longest;
        if (len > KRS_LENGTHY_BYTES) {
            v->lengthy[sorted[i].id / 64] |= 1ull << sorted[i].id % 64;
            order[n_order++] = sorted[i].id;
        }
    }
    for (uint32_t i = 0; i < v->n_twins; i++) { /* not in a tree, but not to be forgotten */
        const krs_vocab_twin twin = v->twins[i];
        const uint64_t is_lengthy = v->lengthy[twin.first / 64] >> twin.first % 64 & 1;
        v->lengthy[twin.token / 64] |= is_lengthy << twin.token % 64;
    }
    const krs_status status = krs_vocab_tree_new(v, order, n_order, &v->lengthy_tree);
    v->n_bytes += v->lengthy_tree.n_nodes * sizeof(uint64_t);
    return status;
}

/* The slices' masks; twins come by themselves, at the end of a walk. */
static krs_status make_slices(krs_grammar_vocab *v, const sorted_token *sorted, uint32_t n)
{
    v->slices = take(v, KRS_N_SLICES * v->n_words, sizeof(uint64_t));
    if (!v->slices) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = sorted[i].id;
        for (int slice = sorted[i].plain_chars - 1; slice >= 0 && slice < KRS_N_SLICES; slice++) {
            v->slices[(size_t)slice * v->n_words + id / 64] |= 1ull << id % 64;
        }
        if (sorted[i].plain_chars > KRS_N_SLICES) {
            v->slices[(KRS_N_SLICES - 1) * v->n_words + id / 64] |= 1ull << id % 64;
        }
    }
    return KRS_OK;
}

/* order: scratch, [n]. */
static krs_status make_trees(krs_grammar_vocab *v, const sorted_token *sorted, uint32_t n,
                             uint32_t *order)
{
    krs_status status = KRS_OK;
    for (int tree = 0; tree < KRS_N_TREES && status == KRS_OK; tree++) {
        uint32_t n_order = 0;
        for (uint32_t i = 0; i < n; i++) {
            const int n_chars = sorted[i].plain_chars;
            if (n_chars < 0 || n_chars > krs_tree_chars(tree)) {
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
        if (status == KRS_OK) {
            status = find_lengthy(v, sorted, n, order);
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
    for (int tree = 0; tree < KRS_N_TREES; tree++) {
        krs_alloc_free(v->alloc, v->trees[tree].nodes);
    }
    krs_alloc_free(v->alloc, v->slices);
    krs_alloc_free(v->alloc, v->lengthy_tree.nodes);
    krs_alloc_free(v->alloc, v->lengthy);
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
