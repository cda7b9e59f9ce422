/* compute/cpu/avx512vnni/tile.c - tiles of codes on VPDPBUSD: 64 products an instruction, sums exact.
 * See template/tile_codes.h for the loops. */
#include "compute/cpu/avx512vnni/dot.h"

#include "compute/cpu/template/tile_codes.h"

void krs_cpu_avx512vnni_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                              int64_t n_tiles)
{
    tile_codes(op, row, n_rows, tile, n_tiles);
}
