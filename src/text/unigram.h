/* text/unigram.h - the likeliest way to cut one piece into tokens that have scores.
 *
 * Each token has a log probability; the best cut of a piece is the one with the largest sum, found from
 * left to right: the best cut that ends at a place is the best over all tokens that end there (Viterbi).
 * Sums are doubles added in the order of the text, so that ties and rounding fall as in the reference.
 *
 * A character that is no token costs less than any token and becomes part of a run of unknown ones,
 * which is said whole if that text is a token, else by its bytes ("<0x0A>"), else by the unknown token.
 *
 * Cost: linear in the piece, times the longest token that matches at each place.
 *
 * Thread: immutable after krs_unigram_seal; scratch has one owner.  Memory: see krs_unigram_new.
 * Source: Kudo 2018, arXiv:1804.10959; huggingface/tokenizers models/unigram. */
#pragma once

#include "text/model.h"
#include "text/vocab.h"

#define KRS_UNIGRAM_MAX_PIECE_BYTES                                                                \
    (8u << 20) /* one piece; its table of best cuts takes 16 times this */

typedef struct krs_unigram krs_unigram;

typedef struct krs_unigram_options {
    size_t size;
    int64_t unk_id; /* -1: none; a text that needs it is refused */
    bool has_byte_fallback;
} krs_unigram_options;

#define KRS_UNIGRAM_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(krs_unigram_options), .unk_id = -1                                          \
    }

/* vocab: borrowed, complete, outlives the model. scores: [vocab->n_ids], finite, copied. unk_id: below
 * n_ids. Errors: KRS_ETOOLARGE (a token), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_unigram_new(const krs_vocab *vocab, const double *scores,
                                        const krs_unigram_options *options, const krs_alloc *alloc,
                                        krs_unigram **out, krs_error *err);
void krs_unigram_free(krs_unigram *unigram);

/* The model interface over unigram, which it owns from now on. */
krs_text_model krs_unigram_seal(krs_unigram *unigram);

/* Steps down the tree of tokens that a scratch of this model has taken: what encoding cost, for tests. */
uint64_t krs_unigram_n_steps(const void *scratch);
