/* compute/cpu/template/tile_store.h - both ends of a tile: where rows of x lie; terms and bias added,
 * padding left out.
 * Included by tile_codes.h and by the tile kernels of bf16, after <isa>/vec.h and N_VECTORS, of outputs that a
 * row has at once, at most.
 *
 * Thread: pure. */

/* Row i of x, terms counted as rows. */
KRS_CPU_INLINE const unsigned char *x_row(const krs_cpu_tile_op *op, int64_t i)
{
    return op->x + (size_t)(i / op->n_terms) * op->x_row_bytes +
           (size_t)(i % op->n_terms) * op->x_term_bytes;
}

/* n of LANES values. */
KRS_CPU_INLINE void store_some(vf y, const float *bias, int64_t n, float *out)
{
    float values[LANES];
    vf_store(values, y);
    for (int64_t i = 0; i < n; i++) {
        out[i] = bias ? values[i] + bias[i] : values[i];
    }
}

/* y of outputs [out, out + LANES), as far as there are such. */
KRS_CPU_INLINE void store_vector(const krs_cpu_tile_op *op, vf y, int64_t out, float *to)
{
    const int64_t left = op->n_outs - out;
    const float *bias = op->bias ? op->bias + out : NULL;
    if (left >= LANES) {
        if (bias) {
            y = y + vf_load(bias);
        }
        vf_store(to, y);
    } else if (left > 0) {
        store_some(y, bias, left, to);
    }
}

/* totals of n_rows rows of x, those of a row of out together, to n_vectors of outputs from out on. */
KRS_CPU_INLINE void store_rows(const krs_cpu_tile_op *op, int n_rows, int n_vectors, int64_t row,
                               int64_t out, vf totals[][N_VECTORS])
{
    const int terms = op->n_terms;
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
        if (terms == 2 && r % 2 == 1) {
            continue;
        }
        float *to = op->out + (row + r) / terms * op->out_stride + out;
#pragma GCC unroll 8
        for (int v = 0; v < n_vectors; v++) {
            vf y = totals[r][v];
            if (terms == 2 && r + 1 < n_rows) {
                y = y + totals[r + 1][v];
            }
            store_vector(op, y, out + v * LANES, to + v * LANES);
        }
    }
}
