/* engine/embed.c - see embed.h. */
#include "engine/embed.h"

#include "base/check.h"

#include <math.h>

krs_status krs_embedding_init(krs_embedding *embedding, krs_pooling pooling, bool is_normalised,
                              uint32_t n, const krs_alloc *alloc)
{
    KRS_CHECK(pooling > KRS_POOLING_MODEL && pooling <= KRS_POOLING_CLS);
    *embedding =
        (krs_embedding){.alloc = alloc, .pooling = pooling, .is_normalised = is_normalised, .n = n};
    embedding->sums = krs_alloc_array(alloc, n, sizeof(*embedding->sums));
    embedding->vector = krs_alloc_array(alloc, n, sizeof(*embedding->vector));
    if (!embedding->sums || !embedding->vector) {
        krs_embedding_deinit(embedding);
        return KRS_ENOMEM;
    }
    return KRS_OK;
}

void krs_embedding_deinit(krs_embedding *embedding)
{
    krs_alloc_free(embedding->alloc, embedding->vector);
    krs_alloc_free(embedding->alloc, embedding->sums);
    *embedding = (krs_embedding){0};
}

void krs_embedding_begin(krs_embedding *embedding)
{
    embedding->n_rows = 0;
    for (uint32_t i = 0; i < embedding->n; i++) {
        embedding->sums[i] = 0.0;
    }
}

void krs_embedding_add(krs_embedding *embedding, const float *row)
{
    if (embedding->pooling == KRS_POOLING_CLS && embedding->n_rows > 0) {
        return;
    }
    embedding->n_rows++;
    for (uint32_t i = 0; i < embedding->n; i++) {
        embedding->sums[i] += (double)row[i];
    }
}

krs_status krs_embedding_finish(krs_embedding *embedding)
{
    KRS_CHECK(embedding->n_rows > 0);
    double squares = 0.0;
    for (uint32_t i = 0; i < embedding->n; i++) {
        squares += embedding->sums[i] * embedding->sums[i];
    }
    const double length = sqrt(squares);
    if (!isfinite(length) || !(length > 0.0)) {
        return KRS_EFORMAT;
    }
    /* Scaling to length 1 makes dividing by the number of rows needless. */
    const double divisor = embedding->is_normalised ? length : (double)embedding->n_rows;
    for (uint32_t i = 0; i < embedding->n; i++) {
        embedding->vector[i] = (float)(embedding->sums[i] / divisor);
    }
    return KRS_OK;
}
