/* compute/cpu/avx512amx/unit.h - the matrix unit (Intel AMX) as tiles use it: what its registers hold.
 *
 * 32 rows of x by 32 outputs at once: four registers of sums, two of x by rows, two of weights by outputs. A line of a
 * tile (cpu/tile.h), the same 4 bytes of the sum for 32 outputs, is a row of both registers of weights.
 *
 * The unit must be configured before it is used and released after, or every switch of threads saves 8 KiB.
 * os/cpu.h asks the kernel for it once.
 *
 * Thread: pure, but for the unit's state, which no caller sees.
 * Source: Intel Architecture Instruction Set Extensions reference, AMX-TILE. */
#pragma once

#include "compute/cpu/avx512/vec.h"
#include "compute/cpu/tile.h"

enum { UNIT_ROWS = 16, UNIT_BYTES = 64, BLOCK_ROWS = 2 * UNIT_ROWS };

/* Registers: sums by halves of the rows and of the outputs; x by rows; weights by outputs. */
enum { SUMS = 0, X = 4, WEIGHTS = 6 };

/* What LDTILECFG reads: bytes of a row, and rows, of each of 8 registers. */
typedef struct unit_config {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t n_rows[16];
} unit_config;

_Static_assert(sizeof(unit_config) == 64, "as the instruction reads it");

/* For blocks of n_rows, at most BLOCK_ROWS, and n_bytes of each, at most UNIT_BYTES, a multiple of 4. */
KRS_CPU_INLINE void configure(int32_t n_bytes, int n_rows)
{
    const int n_first = n_rows < UNIT_ROWS ? n_rows : UNIT_ROWS;
    const int n_second = n_rows > UNIT_ROWS ? n_rows - UNIT_ROWS : n_first;
    unit_config config = {.palette = 1};
    for (int i = 0; i < 2; i++) {
        config.n_rows[SUMS + i] = config.n_rows[X] = (uint8_t)n_first;
        config.n_rows[SUMS + 2 + i] = config.n_rows[X + 1] = (uint8_t)n_second;
        config.n_rows[WEIGHTS + i] = (uint8_t)(n_bytes / 4);
        config.row_bytes[SUMS + i] = config.row_bytes[SUMS + 2 + i] = UNIT_BYTES;
        config.row_bytes[WEIGHTS + i] = UNIT_BYTES;
        config.row_bytes[X + i] = (uint16_t)n_bytes;
    }
    _tile_loadconfig(&config);
}
