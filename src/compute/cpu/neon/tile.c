/* compute/cpu/neon/tile.c - tiles of codes on SMLAL, sums exact.
 * See template/tile_codes.h for the loops, dot.h for the products. */
#include "compute/cpu/neon/dot.h"

#include "compute/cpu/template/tile_codes.h"

void krs_cpu_neon_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                        int64_t n_tiles)
{
    tile_codes(op, row, n_rows, tile, n_tiles);
}
