/* engine/embed.h - the hidden states of a text to one vector.
 *
 *   begin -> add, once for every row that counts, in the order of the text -> finish
 *
 * Sums are kept in double and grow one row at a time by position, so the vector does not depend on how
 * the text was cut into steps. A text that has lost its KV begins anew.
 *
 * Thread: one owner, as its stream.  Memory: all in _init. */
#pragma once

#include "api/generate.h"

typedef struct krs_embedding {
    const krs_alloc *alloc;
    krs_pooling pooling; /* LAST, MEAN or CLS */
    bool is_normalised;
    uint32_t n;      /* elements; 0: nothing is held */
    uint32_t n_rows; /* added since begin */
    double *sums;    /* [n] */
    float *vector;   /* [n], after finish */
} krs_embedding;

/* pooling: LAST, MEAN or CLS. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_embedding_init(krs_embedding *embedding, krs_pooling pooling,
                                           bool is_normalised, uint32_t n, const krs_alloc *alloc);
void krs_embedding_deinit(krs_embedding *embedding);

/* Forget the rows added so far. */
void krs_embedding_begin(krs_embedding *embedding);

/* Are rows other than the last wanted? */
static inline bool krs_embedding_wants_all(const krs_embedding *embedding)
{
    return embedding->pooling != KRS_POOLING_LAST;
}

/* Row of a text, [n]; with LAST only that of its last token is added, with CLS rows after the first count
 * nothing. */
void krs_embedding_add(krs_embedding *embedding, const float *row);

/* Pool into vector, scaled to length 1 when is_normalised. Errors: KRS_EFORMAT (length 0 or not finite: the weights
 * are not those of a sound model). */
KRS_MUST_USE krs_status krs_embedding_finish(krs_embedding *embedding);
