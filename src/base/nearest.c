/* base/nearest.c - see nearest.h. Three rows of the table of distances are kept: a swap looks two back. */
#include "base/nearest.h"

#define ROW (KRS_NEAREST_MAX_BYTES + 1)

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* rows[2] from rows[1] and rows[0]: distances of a[0 .. i] to every start of b. */
static void fill_row(size_t rows[3][ROW], krs_str a, krs_str b, size_t i)
{
    rows[2][0] = i + 1;
    for (size_t j = 0; j < b.len; j++) {
        const size_t change = rows[1][j] + (a.ptr[i] != b.ptr[j]);
        size_t d = least(change, least(rows[1][j + 1], rows[2][j]) + 1);
        if (i > 0 && j > 0 && a.ptr[i] == b.ptr[j - 1] && a.ptr[i - 1] == b.ptr[j]) {
            d = least(d, rows[0][j - 1] + 1);
        }
        rows[2][j + 1] = d;
    }
}

size_t krs_nearest_distance(krs_str a, krs_str b)
{
    if (a.len > KRS_NEAREST_MAX_BYTES || b.len > KRS_NEAREST_MAX_BYTES) {
        return SIZE_MAX;
    }
    size_t rows[3][ROW] = {{0}};
    for (size_t j = 0; j <= b.len; j++) {
        rows[1][j] = j;
    }
    for (size_t i = 0; i < a.len; i++) {
        fill_row(rows, a, b, i);
        memcpy(rows[0], rows[1], sizeof(rows[0]));
        memcpy(rows[1], rows[2], sizeof(rows[1]));
    }
    return rows[1][b.len];
}

void krs_nearest_offer(krs_nearest *nearest, krs_str candidate)
{
    const size_t allowed = (nearest->word.len + 2) / 3;
    const size_t distance = krs_nearest_distance(nearest->word, candidate);
    if (distance <= allowed && (nearest->best.len == 0 || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
