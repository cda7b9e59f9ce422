/* text/bpe_scores.h - byte-pair encoding by scores, as SentencePiece does it.
 *
 * SentencePiece keeps no list of merges: any two neighbours that make a token may merge, and the pair
 * whose token has the best score goes first, the leftmost of equals. A list of merges is the same
 * thing spelled out: every way to cut a token into two tokens is a merge, and its rank is the token's
 * place among the scores. All cuts of one token share its rank, which keeps "the leftmost of equals".
 *
 * GGUF files carry vocabularies so (format/gguf_folder.h); in their documents "scores" stands in for
 * "merges": a list with a number for each id, or null for a token that merges do not make.
 *
 * Thread: any; pure.  Memory: scratch from the allocator, given back.
 * Source: google/sentencepiece bpe_model.cc. */
#pragma once

#include "text/bpe.h"

/* scores: [vocab->n_ids], NAN: no merge makes this token. The rest as krs_bpe_new.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM. Cost: two look-ups for each character of the vocabulary, twice. */
KRS_MUST_USE krs_status krs_bpe_new_scored(const krs_vocab *vocab, const krs_bpe_options *options,
                                           const double *scores, const krs_alloc *alloc,
                                           krs_bpe **out, krs_error *err);
