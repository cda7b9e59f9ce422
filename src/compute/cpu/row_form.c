/* compute/cpu/row_form.c - see row_form.h. */
#include "compute/cpu/row_form.h"

bool krs_cpu_is_widened(const krs_matrix *matrix)
{
    const krs_quant *quant = &matrix->quant;
    const bool has_kernel =
        quant->kind == KRS_QUANT_AFFINE && (quant->bits == 4 || quant->bits == 8);
    return quant->kind != KRS_QUANT_NONE && !has_kernel;
}

krs_cpu_layout krs_cpu_layout_of(const krs_matrix *matrix)
{
    if (krs_cpu_is_widened(matrix)) {
        return KRS_CPU_F32;
    }
    if (matrix->quant.kind == KRS_QUANT_AFFINE) {
        return matrix->quant.bits == 4 ? KRS_CPU_AFFINE4 : KRS_CPU_AFFINE8;
    }
    return matrix->dtype == KRS_DTYPE_F32   ? KRS_CPU_F32
           : matrix->dtype == KRS_DTYPE_F16 ? KRS_CPU_F16
                                            : KRS_CPU_BF16;
}

size_t krs_cpu_packed_row_bytes(const krs_cpu_packing *packing, int64_t n_in)
{
    const int64_t n_blocks = (n_in + packing->block - 1) / packing->block;
    const size_t item_bytes = packing->is_bf16 ? sizeof(uint16_t) : sizeof(float);
    return (size_t)(n_blocks * packing->block) * item_bytes;
}

size_t krs_cpu_packed_sums(const krs_matrix *matrix)
{
    const krs_cpu_layout layout = krs_cpu_layout_of(matrix);
    if (layout != KRS_CPU_AFFINE4 && layout != KRS_CPU_AFFINE8) {
        return 0;
    }
    const size_t n_groups = (size_t)(matrix->n_in / matrix->quant.group);
    return n_groups + KRS_CPU_MAX_LANES;
}

static bool has_groups(const krs_matrix *matrix)
{
    const krs_cpu_layout layout = krs_cpu_layout_of(matrix);
    return layout == KRS_CPU_AFFINE4 || layout == KRS_CPU_AFFINE8;
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
        .group = has_groups(matrix) ? matrix->quant.group : 0,
        .n_in = matrix->n_in,
        .row_bytes = krs_cpu_packed_row_bytes(packing, matrix->n_in),
        .row_sums = krs_cpu_packed_sums(matrix),
    };
}

bool krs_cpu_row_form_is(const krs_cpu_row_form *a, const krs_cpu_row_form *b)
{
    if (a->tile.kind != KRS_TILE_NONE || b->tile.kind != KRS_TILE_NONE) {
        return krs_tile_rows_are(&a->tile, &b->tile);
    }
    return a->group == b->group && a->n_in == b->n_in && a->packing->block == b->packing->block &&
           a->packing->n_vectors == b->packing->n_vectors &&
           a->packing->is_bf16 == b->packing->is_bf16;
}

void krs_cpu_pack_row(const krs_cpu_kernels *kernels, const krs_cpu_row_form *form, const float *x,
                      unsigned char *out, float *sums)
{
    if (form->tile.kind != KRS_TILE_NONE) {
        krs_tile_row_fill(kernels, &form->tile, x, out);
        return;
    }
    kernels->pack(form->packing, x, form->n_in, form->group, out, form->group ? sums : NULL);
    if (form->group) { /* the kernel reads whole vectors of sums */
        const size_t n_groups = (size_t)(form->n_in / form->group);
        memset(sums + n_groups, 0, (form->row_sums - n_groups) * sizeof(*sums));
    }
}
