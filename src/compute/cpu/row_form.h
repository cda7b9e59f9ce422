/* compute/cpu/row_form.h - rows of x as the kernel of a matrix wants them: made once, met by every output.
 *
 * A matrix that has become tiles (tile.h) meets rows in bytes or bf16; one that is read as it lies in its
 * file, or widened to f32 a few rows at a time, meets rows reordered for that layout's kernel.
 * Matrices with the same form share the rows: q, k and v; gate and up.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/tile.h"

/* What rows look like to the kernel of a matrix. */
typedef struct krs_cpu_row_form {
    krs_tile_rows tile; /* kind NONE: the matrix is read as it lies, and the following hold */
    const krs_cpu_packing *packing;
    int64_t n_in;
    size_t row_bytes; /* of a packed row, all terms */
} krs_cpu_row_form;

/* tiles: of the matrix, filled or not; kind NONE when it has none. */
krs_cpu_row_form krs_cpu_row_form_of(const krs_cpu_kernels *kernels, const krs_matrix *matrix,
                                     const krs_tiles *tiles);
/* May rows packed for one be read as the other? */
bool krs_cpu_row_form_is(const krs_cpu_row_form *a, const krs_cpu_row_form *b);

/* x[n_in] into out[row_bytes]. */
void krs_cpu_pack_row(const krs_cpu_kernels *kernels, const krs_cpu_row_form *form, const float *x,
                      unsigned char *out);

/* Is this a matrix no kernel reads as it lies, so that without tiles its rows are widened to f32 first? */
bool krs_cpu_is_widened(const krs_matrix *matrix);
/* Which kernel a matrix takes: f32 when it is widened. */
krs_cpu_layout krs_cpu_layout_of(const krs_matrix *matrix);
/* Bytes of one packed row. */
size_t krs_cpu_packed_row_bytes(const krs_cpu_packing *packing, int64_t n_in);
