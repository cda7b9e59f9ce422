/* compute/cpu/portable/tile.c - tiles of codes on products of i16, sums exact.
 * See template/tile_codes.h for the loops, dot.h for the products. */
#include "compute/cpu/portable/dot.h"

#include "compute/cpu/template/tile_codes.h"

void krs_cpu_portable_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                            int64_t n_tiles)
{
    tile_codes(op, row, n_rows, tile, n_tiles);
}
