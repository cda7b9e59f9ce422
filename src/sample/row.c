/* sample/row.c - see row.h. */
#include "sample/row.h"

#include <float.h>
#include <math.h>

#define LANES 16u /* a cache line of floats, and a divisor of the block */

void krs_row_clean(const float *x, float *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const float low = x[i] >= -FLT_MAX ? x[i] : -INFINITY; /* NaN compares as false */
        out[i] = low > FLT_MAX ? FLT_MAX : low;
    }
}

/* Of a whole block. */
static float block_max(const float *x)
{
    float lanes[LANES];
    for (uint32_t j = 0; j < LANES; j++) {
        lanes[j] = x[j] >= -FLT_MAX ? x[j] : -INFINITY;
    }
    for (uint32_t i = LANES; i < KRS_ROW_BLOCK; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
        }
    }
    for (uint32_t half = LANES / 2; half > 0; half /= 2) {
        for (uint32_t j = 0; j < half; j++) {
            lanes[j] = lanes[j + half] > lanes[j] ? lanes[j + half] : lanes[j];
        }
    }
    return lanes[0];
}

float krs_row_max(const float *x, uint32_t n, uint32_t *at)
{
    float best = -INFINITY;
    uint32_t first = 0; /* of the block, or the rest, that holds the best */
    uint32_t i = 0;
    for (; i + KRS_ROW_BLOCK <= n; i += KRS_ROW_BLOCK) {
        const float max = block_max(x + i);
        first = max > best ? i : first;
        best = max > best ? max : best;
    }
    for (; i < n; i++) {
        first = x[i] > best ? i : first;
        best = x[i] > best ? x[i] : best;
    }
    while (first + 1 < n && !(x[first] >= best)) {
        first++;
    }
    if (at) {
        *at = first;
    }
    return best;
}

/* Fixed order: lanes first, then across them. count: at most a block. */
static double block_sum(const float *w, uint32_t count)
{
    double lanes[LANES] = {0.0};
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            lanes[j] += (double)w[i + j];
        }
    }
    for (uint32_t j = 0; i + j < count; j++) {
        lanes[j] += (double)w[i + j];
    }
    for (uint32_t half = LANES / 2; half > 0; half /= 2) {
        for (uint32_t j = 0; j < half; j++) {
            lanes[j] += lanes[j + half];
        }
    }
    return lanes[0];
}

double krs_row_weigh(const float *x, uint32_t n, float max, float scale, float *w, double *sums)
{
    double total = 0.0;
    for (uint32_t begin = 0, b = 0; begin < n; begin += KRS_ROW_BLOCK, b++) {
        const uint32_t count = n - begin < KRS_ROW_BLOCK ? n - begin : KRS_ROW_BLOCK;
        for (uint32_t i = begin; i < begin + count; i++) {
            w[i] = krs_row_exp((x[i] - max) * scale);
        }
        sums[b] = block_sum(w + begin, count);
        total += sums[b];
    }
    return total;
}

uint32_t krs_row_gather(const float *x, uint32_t n, float floor, uint32_t *out)
{
    uint32_t n_out = 0;
    for (uint32_t begin = 0; begin < n; begin += KRS_ROW_BLOCK) {
        const uint32_t count = n - begin < KRS_ROW_BLOCK ? n - begin : KRS_ROW_BLOCK;
        if (count == KRS_ROW_BLOCK && block_max(x + begin) < floor) {
            continue; /* most blocks have nothing */
        }
        for (uint32_t i = begin; i < begin + count; i++) {
            out[n_out] = i;
            n_out += x[i] >= floor;
        }
    }
    return n_out;
}
