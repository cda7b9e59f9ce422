/* engine/embed.c - see embed.h. */
#include "engine/embed.h"

#include "base/check.h"

#include <math.h>

krs_status krs_embedding_init(krs_embedding *embedding, krs_pooling pooling, uint32_t n,
                              const krs_alloc *alloc)
{
    KRS_CHECK(pooling == KRS_POOLING_LAST || pooling == KRS_POOLING_MEAN);
    *embedding = (krs_embedding){.alloc = alloc, .pooling = pooling, .n = n};
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
    embedding->n_rows++;
    for (uint32_t i = 0; i < embedding->n; i++) {
        embedding->sums[i] += (double)row[i];
    }
}

krs_status krs_embedding_finish(krs_embedding *embedding)
{
    KRS_CHECK(embedding->n_rows > 0);
    /* Scaling to length 1 makes dividing by the number of rows needless. */
    double squares = 0.0;
    for (uint32_t i = 0; i < embedding->n; i++) {
        squares += embedding->sums[i] * embedding->sums[i];
    }
    const double length = sqrt(squares);
    if (!isfinite(length) || !(length > 0.0)) {
        return KRS_EFORMAT;
    }
    for (uint32_t i = 0; i < embedding->n; i++) {
        embedding->vector[i] = (float)(embedding->sums[i] / length);
    }
    return KRS_OK;
}
