/* sample/ngram.h - what may follow, from the sequence's own words: the longest recent run of tokens that
 * ends it proposes what came after that run.
 *
 *   ... a b c d e ... x b c      proposes  d e ...      (the match is "b c", its source begins at d)
 *
 * Answers that quote, edit or continue their prompt repeat long runs of it, and so do lists, tables and code.
 * The rule, exactly: while the token that comes is the one its source proposed and the match is longer than
 * KRS_NGRAM_MAX, the source is followed. Else the longest run of KRS_NGRAM_MIN .. KRS_NGRAM_MAX tokens that
 * ends the sequence and has occurred before is looked up; of several places the most recent. A proposal
 * that reaches the end of the sequence goes on with itself, as a copy that overlaps does.
 *
 * The index holds the places of the last window / 2 .. window tokens: when it is full it is emptied and filled
 * with the newer half, so a token costs O(1) amortised and memory is bounded, whatever the context.
 *
 * Thread: one owner at a time.  Memory: one allocation in _new.
 * Source: Saxena 2023, prompt lookup decoding; Yang et al. 2023, LLMA, arXiv:2304.04487. */
#pragma once

#include "base/alloc.h"
#include "base/status.h"

#include <stdint.h>

#define KRS_NGRAM_MIN    2u     /* one token alone predicts too little */
#define KRS_NGRAM_MAX    4u     /* longer ones are reached by following */
#define KRS_NGRAM_WINDOW 16384u /* tokens; 256 KiB */

typedef struct krs_ngram krs_ngram;

/* For a sequence of at most max_tokens tokens, 1 .. 2^30. alloc: borrowed, NULL = heap.
 * Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_ngram_new(uint32_t max_tokens, const krs_alloc *alloc, krs_ngram **out);
void krs_ngram_free(krs_ngram *ngram);
/* Bytes _new takes: for the memory plan. */
uint64_t krs_ngram_bytes(uint32_t max_tokens);

/* The sequence is now tokens[n_tokens]: what came before must be as it was. Cost: O(1) amortised a token. */
void krs_ngram_extend(krs_ngram *ngram, const uint32_t *tokens, uint32_t n_tokens);

/* How many tokens before the end of the sequence have occurred before: 0, or KRS_NGRAM_MIN and more. */
uint32_t krs_ngram_n_matched(const krs_ngram *ngram);

/* Write n tokens that may follow; there must be a match. tokens: as given to extend; out may be its end. */
void krs_ngram_propose(const krs_ngram *ngram, const uint32_t *tokens, uint32_t n, uint32_t *out);
