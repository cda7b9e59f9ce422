/* engine/guide_vocab.c - see guide_vocab.h. */
#include "engine/guide_vocab.h"

#include "base/buf.h"

static bool is_end(const krs_guide_vocab_options *o, uint32_t id)
{
    for (uint32_t i = 0; i < o->n_eos; i++) {
        if (o->eos[i] == id) {
            return true;
        }
    }
    return false;
}

/* A token with the byte that special tokens begin with could only forge one. */
static bool is_forged(krs_str bytes)
{
    return bytes.len > 0 && memchr(bytes.ptr, KRS_GUIDE_SPECIAL, bytes.len) != NULL;
}

/* room: for the bytes of special tokens, each with one before it. */
static krs_grammar_token describe(const krs_guide_vocab_options *o, uint32_t id, krs_buf *room)
{
    const krs_str bytes = krs_tokenizer_token_bytes(o->tokenizer, id);
    if (is_end(o, id)) {
        return (krs_grammar_token){.kind = KRS_TOKEN_END};
    }
    if (!krs_tokenizer_is_special(o->tokenizer, id)) {
        return (krs_grammar_token){bytes, is_forged(bytes) ? KRS_TOKEN_SPECIAL : KRS_TOKEN_TEXT};
    }
    const size_t at = room->len;
    const bool fits = bytes.len > 0 && bytes.len < KRS_GRAMMAR_MAX_TOKEN_BYTES &&
                      krs_buf_append_char(room, KRS_GUIDE_SPECIAL) == KRS_OK &&
                      krs_buf_append_str(room, bytes) == KRS_OK;
    if (!fits) {
        return (krs_grammar_token){.kind = KRS_TOKEN_SPECIAL};
    }
    return (krs_grammar_token){{krs_buf_view(room).ptr + at, room->len - at}, KRS_TOKEN_TEXT};
}

/* How many, and the room for their bytes. */
static uint32_t count_specials(const krs_guide_vocab_options *o, size_t *n_bytes)
{
    uint32_t n = 0;
    *n_bytes = 1;
    for (uint32_t id = 0; id < o->n_tokens; id++) {
        if (krs_tokenizer_is_special(o->tokenizer, id)) {
            *n_bytes += krs_tokenizer_token_bytes(o->tokenizer, id).len + 1;
            n++;
        }
    }
    return n;
}

static krs_status make_tree(krs_guide_vocab *vocab, const krs_guide_vocab_options *o,
                            krs_grammar_token *tokens, krs_buf *room, krs_error *err)
{
    for (uint32_t id = 0; id < o->n_tokens; id++) {
        tokens[id] = describe(o, id, room);
        if (krs_tokenizer_is_special(o->tokenizer, id)) {
            vocab->specials[vocab->n_specials++] = id;
        }
    }
    for (uint32_t i = 0; i < o->n_eos; i++) {
        if (o->eos[i] < o->n_tokens) {
            vocab->ends[o->eos[i] / 64] |= UINT64_C(1) << (o->eos[i] % 64);
        }
    }
    return krs_grammar_vocab_new(tokens, o->n_tokens, vocab->alloc, &vocab->tree, err);
}

krs_status krs_guide_vocab_init(krs_guide_vocab *vocab, const krs_guide_vocab_options *options,
                                const krs_alloc *alloc, krs_error *err)
{
    size_t n_bytes;
    krs_buf room;
    *vocab = (krs_guide_vocab){.alloc = alloc, .tokenizer = options->tokenizer};
    const uint32_t n_specials = count_specials(options, &n_bytes);
    krs_buf_init(&room, alloc, n_bytes);
    vocab->specials = krs_alloc_array(alloc, n_specials, sizeof(*vocab->specials));
    krs_grammar_token *tokens = krs_alloc_array(alloc, options->n_tokens, sizeof(*tokens));
    vocab->ends = krs_alloc_array(alloc, (size_t)options->n_tokens / 64 + 1, sizeof(*vocab->ends));
    const bool has_tables = tokens && vocab->specials && vocab->ends;
    /* All room at once: tokens point into it. */
    krs_status status = has_tables ? krs_buf_reserve(&room, n_bytes) : KRS_ENOMEM;
    status = status == KRS_OK ? make_tree(vocab, options, tokens, &room, err)
                              : krs_fail(err, status, "guidance: out of memory for %u tokens",
                                         options->n_tokens);
    krs_alloc_free(alloc, tokens);
    krs_buf_deinit(&room);
    return status;
}

void krs_guide_vocab_deinit(krs_guide_vocab *vocab)
{
    krs_grammar_vocab_free(vocab->tree);
    krs_alloc_free(vocab->alloc, vocab->ends);
    krs_alloc_free(vocab->alloc, vocab->specials);
    vocab->ends = NULL;
    vocab->tree = NULL;
    vocab->specials = NULL;
}

size_t krs_guide_vocab_bytes(const krs_guide_vocab *vocab)
{
    return krs_grammar_vocab_n_bytes(vocab->tree) +
           krs_grammar_vocab_n_words(vocab->tree) * sizeof(*vocab->ends) +
           vocab->n_specials * sizeof(*vocab->specials);
}

uint32_t krs_guide_vocab_special_at(const krs_guide_vocab *vocab, krs_str text)
{
    uint32_t best = UINT32_MAX;
    size_t best_len = 0;
    for (uint32_t i = 0; i < vocab->n_specials; i++) {
        const krs_str bytes = krs_tokenizer_token_bytes(vocab->tokenizer, vocab->specials[i]);
        if (bytes.len > best_len && krs_str_starts_with(text, bytes)) {
            best = vocab->specials[i];
            best_len = bytes.len;
        }
    }
    return best;
}
