/* engine/guide_vocab.h - a model's tokens as grammars see them.
 *
 * A grammar is about bytes, and the text of a special token is not what the token means. So to a grammar a
 * special token is the byte 0xFF, which no UTF-8 has, and then its text: only a guidance that asks for the token
 * itself can take it, and no other token can spell it.
 *
 * Thread: immutable after _init; any.  Memory: the tree of grammar/vocab.h, an id a special token, a mask. */
#pragma once

#include "grammar/vocab.h"
#include "text/tokenizer.h"

#define KRS_GUIDE_SPECIAL '\xFF' /* first byte of a special token */

typedef struct krs_guide_vocab {
    const krs_alloc *alloc;
    const krs_tokenizer *tokenizer; /* borrowed */
    krs_grammar_vocab *tree;
    uint32_t *specials; /* [n_specials] ids */
    uint32_t n_specials;
    uint64_t *ends; /* [krs_grammar_vocab_n_words] the bits of the tokens that end an answer */
} krs_guide_vocab;

typedef struct krs_guide_vocab_options {
    const krs_tokenizer *tokenizer; /* borrowed, outlives the vocabulary */
    uint32_t n_tokens;              /* that can be drawn */
    const uint32_t *eos;            /* [n_eos] tokens that end an answer */
    uint32_t n_eos;
} krs_guide_vocab_options;

/* Some 50 ms for 128 thousand tokens. Errors: KRS_ENOMEM, KRS_ETOOLARGE; what was taken is left to _deinit. */
KRS_MUST_USE krs_status krs_guide_vocab_init(krs_guide_vocab *vocab,
                                             const krs_guide_vocab_options *options,
                                             const krs_alloc *alloc, krs_error *err);
void krs_guide_vocab_deinit(krs_guide_vocab *vocab);

/* Bytes it holds. */
size_t krs_guide_vocab_bytes(const krs_guide_vocab *vocab);

/* The special token whose text `text` begins with, the longest; UINT32_MAX: none. */
uint32_t krs_guide_vocab_special_at(const krs_guide_vocab *vocab, krs_str text);
