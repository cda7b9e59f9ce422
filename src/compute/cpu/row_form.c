/* compute/cpu/row_form.c - see row_form.h. */
#include "compute/cpu/row_form.h"

bool krs_cpu_is_widened(const krs_matrix *matrix)
{
    return matrix->quant.kind != KRS_QUANT_NONE;
}

krs_cpu_layout krs_cpu_layout_of(const krs_matrix *matrix)
{
    const bool is_f32 = krs_cpu_is_widened(matrix) || matrix->dtype == KRS_DTYPE_F32;
    return is_f32 ? KRS_CPU_F32 : matrix->dtype == KRS_DTYPE_F16 ? KRS_CPU_F16 : KRS_CPU_BF16;
}

size_t krs_cpu_packed_row_bytes(const krs_cpu_packing *packing, int64_t n_in)
{
    const int64_t n_blocks = (n_in + packing->block - 1) / packing->block;
    return (size_t)(n_blocks * packing->block) * sizeof(float);
}

static krs_cpu_row_form tile_form_of(const krs_cpu_kernels *kernels, const krs_tiles *tiles)
{
    const krs_tile_rows rows = krs_tile_rows_of(tiles, kernels->n_terms);
    return (krs_cpu_row_form){
        .tile = rows,
        .n_in = tiles->n_in,
        .row_bytes = (size_t)rows.n_terms * rows.term_bytes,
    };
}

krs_cpu_row_form krs_cpu_row_form_of(const krs_cpu_kernels *kernels, const krs_matrix *matrix,
                                     const krs_tiles *tiles)
{
    if (tiles->kind != KRS_TILE_NONE) {
        return tile_form_of(kernels, tiles);
    }
    const krs_cpu_packing *packing = &kernels->linear[krs_cpu_layout_of(matrix)].packing;
    return (krs_cpu_row_form){
        .packing = packing,
        .n_in = matrix->n_in,
        .row_bytes = krs_cpu_packed_row_bytes(packing, matrix->n_in),
    };
}

bool krs_cpu_row_form_is(const krs_cpu_row_form *a, const krs_cpu_row_form *b)
{
    if (a->tile.kind != KRS_TILE_NONE || b->tile.kind != KRS_TILE_NONE) {
        return krs_tile_rows_are(&a->tile, &b->tile);
    }
    return a->n_in == b->n_in && a->packing->block == b->packing->block &&
           a->packing->n_vectors == b->packing->n_vectors;
}

void krs_cpu_pack_row(const krs_cpu_kernels *kernels, const krs_cpu_row_form *form, const float *x,
                      unsigned char *out)
{
    if (form->tile.kind != KRS_TILE_NONE) {
        krs_tile_row_fill(kernels, &form->tile, x, out);
    } else {
        kernels->pack(form->packing, x, form->n_in, out);
    }
}
