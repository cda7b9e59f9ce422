/* sample/mask.h - the tokens that may come, as bits.
 *
 * A word of a mask has as many tokens as a block of row.h has entries, so both are skipped, or taken whole,
 * together.
 *
 * Thread: any; pure.  Memory: the caller's. */
#pragma once

#include "sample/row.h"

#include <stddef.h>

/* Over a row of `vocab` entries: bit t % 64 of word t / 64 for token t. */
typedef struct krs_row_mask {
    const uint64_t *words; /* [n_words] */
    uint32_t n_words;      /* no more than the row has blocks; beyond them nothing is allowed */
    uint32_t vocab;
} krs_row_mask;

/* words[n]: as many as there are; bits at and above vocab are never looked at. */
krs_row_mask krs_row_mask_of(const uint64_t *words, size_t n, uint32_t vocab);

/* The allowed tokens, ascending, into ids[max]. Returns how many there are; when more than max, at least
 * max + 1 and ids holds nothing of use. */
uint32_t krs_row_mask_gather(const krs_row_mask *mask, uint32_t max, uint32_t *ids);

/* x[vocab]: what is not allowed becomes minus infinity. */
void krs_row_mask_apply(const krs_row_mask *mask, float *x);
