/* grammar/vocab.h - a model's tokens as a tree of bytes, for masks.
 *
 * A mask asks of every token whether its bytes may come next. Tokens share beginnings, so the question is
 * asked of a tree in depth-first order, where a beginning that may not come skips all that start with it.
 *
 * Most tokens are plain text: whole UTF-8 characters without quote, backslash or control character. Inside
 * a JSON string all of those are allowed, so there is a ready mask of them (a slice), by their length in
 * characters, and beside it a tree of only the other tokens, which is small.
 *
 * Thread: immutable after _new; any thread.  Memory: about 20 bytes a token and its bytes once or twice. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

#define KRS_GRAMMAR_VOCAB_MAX_TOKENS                                                               \
    (1u << 21)                          /* the largest public vocabulary is about 262 thousand */
#define KRS_GRAMMAR_MAX_TOKEN_BYTES 255 /* longer tokens (runs of 256 blanks) are never offered */

typedef enum krs_token_kind {
    KRS_TOKEN_TEXT,    /* stands for its bytes; with none it is never allowed */
    KRS_TOKEN_SPECIAL, /* never allowed by a grammar */
    KRS_TOKEN_END,     /* ends an answer: allowed where the text may end */
} krs_token_kind;

typedef struct krs_grammar_token {
    krs_str bytes; /* as krs_tokenizer_token_bytes gives them; need not be whole characters */
    krs_token_kind kind;
} krs_grammar_token;

typedef struct krs_grammar_vocab krs_grammar_vocab;

/* tokens[n_tokens] by id; their bytes are copied. Several tokens may have the same bytes. Ids at and above
 * n_tokens (rows of a padded logits matrix) are never allowed.
 * Errors: KRS_ETOOLARGE (n_tokens), KRS_ENOMEM.  Cost: about 50 ms for 128 thousand tokens. */
KRS_MUST_USE krs_status krs_grammar_vocab_new(const krs_grammar_token *tokens, uint32_t n_tokens,
                                              const krs_alloc *alloc, krs_grammar_vocab **out,
                                              krs_error *err);
void krs_grammar_vocab_free(krs_grammar_vocab *vocab);

uint32_t krs_grammar_vocab_n_tokens(const krs_grammar_vocab *vocab);
/* Words of 64 bits in a mask of this vocabulary: n_tokens / 64, rounded up. */
size_t krs_grammar_vocab_n_words(const krs_grammar_vocab *vocab);
size_t krs_grammar_vocab_n_bytes(const krs_grammar_vocab *vocab);
/* The bytes of a token (empty for special and end tokens). Borrowed from the vocabulary. */
krs_str krs_grammar_vocab_token(const krs_grammar_vocab *vocab, uint32_t id);
