/* compute/cpu/template/linear.h - rows times a dense matrix that lies as it does in its file, register-blocked;
 * included once per instruction set.
 *
 *   for each tile of outputs:
 *     for each tile of rows:             tile_rows x tile_outs accumulators in registers
 *       for each block of K:             steps: widen a vector of each output's weights, multiply_add
 *
 * f32, f16, and bf16 where no tiles are made of it; and rows of other kinds, widened to f32 beforehand. A
 * packed vector of x and a block of weights are LANES words of 32 bits (f16: half); a block of bf16 is the
 * even elements and then the odd ones.
 *
 * Thread: pure.  Source: the tiling of Goto & van de Geijn 2008, without packing the weights. */

typedef struct tile_rows {
    const unsigned char *w[KRS_CPU_MAX_TILE]; /* rows of the tile's outputs */
    const unsigned char *x[KRS_CPU_MAX_TILE]; /* packed rows */
} tile_rows;

/* What a tile is; every field is a constant at every call, so the loops over them vanish. */
typedef struct tile_shape {
    krs_cpu_layout layout;
    int n_rows;
    int n_outs;
} tile_shape;

/* Where a block starts: bytes into a row of weights and of packed x. */
typedef struct block_at {
    size_t w;
    size_t x;
} block_at;

/* Vectors of a block of weights, and of the x that meets it. */
KRS_CPU_INLINE int steps_of(krs_cpu_layout layout)
{
    return layout == KRS_CPU_BF16 ? 2 : 1;
}

KRS_CPU_INLINE size_t block_bytes_of(krs_cpu_layout layout)
{
    return layout == KRS_CPU_F16 ? LANES * 2 : LANES * 4;
}

KRS_CPU_INLINE vf weights_of(krs_cpu_layout layout, const unsigned char *w, int step)
{
    switch (layout) {
    case KRS_CPU_F16:
        return vf_load_f16(w);
    case KRS_CPU_BF16:
        return step == 0 ? vf_even_bf16(w) : vf_odd_bf16(w);
    default:
        return vf_load(w);
    }
}

/* sums[r][o] += the products of one block. The weights of all outputs are widened before the rows pass
 * by, so that each vector of x is loaded once and not once for each output: loads, one vector a cycle
 * on Zen 4, would be the limit otherwise. */
KRS_CPU_INLINE void add_block(tile_shape s, const tile_rows *t, block_at at,
                              vf sums[][KRS_CPU_MAX_TILE])
{
#pragma GCC unroll 8
    for (int step = 0; step < steps_of(s.layout); step++) {
        const size_t x_step = at.x + (size_t)step * LANES * 4;
        vf w[KRS_CPU_MAX_TILE];
#pragma GCC unroll 8
        for (int o = 0; o < s.n_outs; o++) {
            w[o] = weights_of(s.layout, t->w[o] + at.w, step);
        }
#pragma GCC unroll 8
        for (int r = 0; r < s.n_rows; r++) {
#pragma GCC unroll 8
            for (int o = 0; o < s.n_outs; o++) {
                sums[r][o] = vf_fma(vf_load(t->x[r] + x_step), w[o], sums[r][o]);
            }
        }
    }
}

KRS_CPU_INLINE void clear_sums(tile_shape s, vf sums[][KRS_CPU_MAX_TILE])
{
#pragma GCC unroll 8
    for (int r = 0; r < s.n_rows; r++) {
#pragma GCC unroll 8
        for (int o = 0; o < s.n_outs; o++) {
            sums[r][o] = vf_set(0);
        }
    }
}

/* The last, partial block: weights copied into zeros, so that nothing past a row is read. x is padded. */
KRS_CPU_INLINE void add_tail(tile_shape s, const krs_cpu_linear *op, const tile_rows *t,
                             block_at at, vf sums[][KRS_CPU_MAX_TILE])
{
    unsigned char copy[KRS_CPU_MAX_TILE][KRS_CPU_VECTOR_BYTES] = {{0}};
    tile_rows tail = *t;
    for (int o = 0; o < s.n_outs; o++) {
        memcpy(copy[o], t->w[o] + at.w, op->tail_bytes);
        tail.w[o] = copy[o];
    }
    at.w = 0;
    add_block(s, &tail, at, sums);
}

KRS_CPU_INLINE void store_tile(tile_shape s, const krs_cpu_linear *op, int64_t row, int64_t out,
                               vf sums[][KRS_CPU_MAX_TILE])
{
#pragma GCC unroll 8
    for (int r = 0; r < s.n_rows; r++) {
#pragma GCC unroll 8
        for (int o = 0; o < s.n_outs; o++) {
            const float y = vf_sum(sums[r][o]);
            op->out[(row + r) * op->out_stride + out + o] = op->bias ? y + op->bias[out + o] : y;
        }
    }
}

KRS_CPU_INLINE tile_rows rows_of_tile(tile_shape s, const krs_cpu_linear *op, int64_t row,
                                      int64_t out)
{
    tile_rows t;
#pragma GCC unroll 8
    for (int r = 0; r < s.n_rows; r++) {
        t.x[r] = op->x + (size_t)(row + r) * op->x_row_bytes;
    }
#pragma GCC unroll 8
    for (int o = 0; o < s.n_outs; o++) {
        t.w[o] = op->w + (size_t)(out + o) * op->w_row_bytes;
    }
    return t;
}

KRS_CPU_INLINE void linear_tile(tile_shape s, const krs_cpu_linear *op, int64_t row, int64_t out)
{
    const tile_rows t = rows_of_tile(s, op, row, out);
    vf sums[KRS_CPU_MAX_TILE][KRS_CPU_MAX_TILE];
    clear_sums(s, sums);
    const size_t w_step = block_bytes_of(s.layout);
    const size_t x_step = (size_t)steps_of(s.layout) * LANES * 4;
    block_at at = {0, 0};
    for (int64_t b = 0; b < op->n_blocks; b++) {
        add_block(s, &t, at, sums);
        at.w += w_step;
        at.x += x_step;
    }
    if (op->tail_bytes > 0) {
        add_tail(s, op, &t, at, sums);
    }
    store_tile(s, op, row, out, sums);
}

/* All rows for s.n_outs outputs: s.n_rows at a time, the rest by two and one. */
KRS_CPU_INLINE void linear_rows(tile_shape s, const krs_cpu_linear *op, int64_t row, int64_t n_rows,
                                int64_t out)
{
    const tile_shape two = {s.layout, 2, s.n_outs};
    const tile_shape one = {s.layout, 1, s.n_outs};
    for (; n_rows >= s.n_rows; row += s.n_rows, n_rows -= s.n_rows) {
        linear_tile(s, op, row, out);
    }
    if (s.n_rows > 2) {
        for (; n_rows >= 2; row += 2, n_rows -= 2) {
            linear_tile(two, op, row, out);
        }
    }
    for (; n_rows > 0; row++, n_rows--) {
        linear_tile(one, op, row, out);
    }
}

/* All outputs, TILE_OUTS at a time and the rest one by one, with TILE_ROWS rows at once. */
KRS_CPU_INLINE void linear(krs_cpu_layout layout, const krs_cpu_linear *op, int64_t row,
                           int64_t n_rows, int64_t out, int64_t n_outs)
{
    const tile_shape whole = {layout, TILE_ROWS, TILE_OUTS};
    const tile_shape single = {layout, TILE_ROWS, 1};
    for (; n_outs >= TILE_OUTS; out += TILE_OUTS, n_outs -= TILE_OUTS) {
        linear_rows(whole, op, row, n_rows, out);
    }
    for (; n_outs > 0; out++, n_outs--) {
        linear_rows(single, op, row, n_rows, out);
    }
}
