/* compute/cpu/template/linear.h - rows times matrix, register-blocked; included once per instruction set.
 *
 *   for each tile of outputs:            scales of its rows widened once (affine)
 *     for each tile of rows:             tile_rows x tile_outs accumulators in registers
 *       for each block of K:             steps: decode a vector of each output's weights, multiply_add
 *
 * Before it come <isa>/vec.h and an operand header with: operand (a decoded vector of weights),
 * steps_of(layout) (vectors of weights per block), x_vectors_of and x_vector_of (of packed x, per
 * block and for a step), block_bytes_of(layout), decode, multiply_add. A packed vector of x and a block
 * of weights are LANES words of 32 bits (f16: half).
 *
 * Affine: w = s q + b, so a row's product is sum_g s_g (sum q x) + b_g (sum_g x). The inner sums of a
 * block stay in lanes, each lane's words belong to one group, so the scale is one FMA per block; the
 * second term needs only the group sums of x, made once when x was packed.
 *
 * Thread: pure.  Source: the tiling of Goto & van de Geijn 2008, without packing the weights. */

typedef struct tile_rows {
    const unsigned char *w[KRS_CPU_MAX_TILE]; /* rows of the tile's outputs */
    const unsigned char *x[KRS_CPU_MAX_TILE]; /* packed rows */
    const float *scales[KRS_CPU_MAX_TILE];    /* of the outputs, affine only */
} tile_rows;

/* What a tile is; every field is a constant at every call, so the loops over them vanish. */
typedef struct tile_shape {
    krs_cpu_layout layout;
    int n_rows;
    int n_outs;
} tile_shape;

/* Where a block starts: bytes into a row of weights and of packed x, and its first group. */
typedef struct block_at {
    size_t w;
    size_t x;
    int64_t group;
} block_at;

/* sums[r][o] += the products of one block. The weights of all outputs are decoded before the rows pass
 * by, so that each vector of x is loaded once and not once for each output: loads, one vector a cycle
 * on Zen 4, would be the limit otherwise. */
KRS_CPU_INLINE void add_block(tile_shape s, const tile_rows *t, block_at at,
                              vf sums[][KRS_CPU_MAX_TILE])
{
#pragma GCC unroll 8
    for (int step = 0; step < steps_of(s.layout); step++) {
        const size_t x_step = at.x + (size_t)x_vector_of(s.layout, step) * LANES * 4;
        operand w[KRS_CPU_MAX_TILE];
#pragma GCC unroll 8
        for (int o = 0; o < s.n_outs; o++) {
            w[o] = decode(s.layout, t->w[o] + at.w, step);
        }
#pragma GCC unroll 8
        for (int r = 0; r < s.n_rows; r++) {
#pragma GCC unroll 8
            for (int o = 0; o < s.n_outs; o++) {
                sums[r][o] = multiply_add(w[o], t->x[r] + x_step, sums[r][o]);
            }
        }
    }
}

/* Ask for the block that lies PREFETCH_BYTES further on. With few rows a kernel waits for memory, and
 * hardware follows rows of 1 KiB badly: measured cold on Zen 4, one row times a 4-bit matrix ran at 6.5
 * GB/s without, at 12.5 with (and with one output at a time; four rows at once got 8.5). Dense rows are
 * long enough not to need it. Past the end of the weights a prefetch does nothing. */
enum { PREFETCH_BYTES = 2048 };

KRS_CPU_INLINE void prefetch_block(const tile_rows *t, size_t w_at, int n_outs)
{
#pragma GCC unroll 8
    for (int o = 0; o < n_outs; o++) {
        __builtin_prefetch((const void *)((uintptr_t)t->w[o] + w_at + PREFETCH_BYTES));
    }
}

KRS_CPU_INLINE bool is_affine(krs_cpu_layout layout)
{
    return layout == KRS_CPU_AFFINE4 || layout == KRS_CPU_AFFINE8;
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

/* One block into the tile's sums; affine: through a fresh sum, scaled on its way. */
KRS_CPU_INLINE void add_scaled_block(tile_shape s, const tile_rows *t, block_at at,
                                     vi group_of_lane, vf sums[][KRS_CPU_MAX_TILE])
{
    if (!is_affine(s.layout)) {
        add_block(s, t, at, sums);
        return;
    }
    vf products[KRS_CPU_MAX_TILE][KRS_CPU_MAX_TILE];
    clear_sums(s, products);
    add_block(s, t, at, products);
#pragma GCC unroll 8
    for (int o = 0; o < s.n_outs; o++) {
        const vf scale = vf_spread(group_of_lane, t->scales[o] + at.group);
#pragma GCC unroll 8
        for (int r = 0; r < s.n_rows; r++) {
            sums[r][o] = vf_fma(products[r][o], scale, sums[r][o]);
        }
    }
}

/* The last, partial block: weights copied into zeros, so that nothing past a row is read. x is padded. */
KRS_CPU_INLINE void add_tail(tile_shape s, const krs_cpu_linear *op, const tile_rows *t,
                             block_at at, vi group_of_lane, vf sums[][KRS_CPU_MAX_TILE])
{
    unsigned char copy[KRS_CPU_MAX_TILE][KRS_CPU_VECTOR_BYTES] = {{0}};
    tile_rows tail = *t;
    for (int o = 0; o < s.n_outs; o++) {
        memcpy(copy[o], t->w[o] + at.w, op->tail_bytes);
        tail.w[o] = copy[o];
    }
    at.w = 0;
    add_scaled_block(s, &tail, at, group_of_lane, sums);
}

/* Floats from one output's scales to the next one's, and from all scales to the biases. */
KRS_CPU_INLINE int64_t scale_stride(const krs_cpu_linear *op)
{
    return op->n_groups + 2 * KRS_CPU_MAX_LANES;
}

KRS_CPU_INLINE int64_t biases_at(const krs_cpu_linear *op)
{
    return KRS_CPU_MAX_TILE * scale_stride(op);
}

/* sum over groups of bias * sum of x, in lanes. biases and sums are padded with zeros. */
KRS_CPU_INLINE vf bias_term(const krs_cpu_linear *op, const float *biases, int64_t row)
{
    const float *x_sums = op->x_sums + row * op->x_sums_stride;
    vf sum = vf_set(0);
    for (int64_t g = 0; g < op->n_groups; g += LANES) {
        sum = vf_fma(vf_load(biases + g), vf_load(x_sums + g), sum);
    }
    return sum;
}

KRS_CPU_INLINE void store_tile(tile_shape s, const krs_cpu_linear *op, const float *scratch,
                               int64_t row, int64_t out, vf sums[][KRS_CPU_MAX_TILE])
{
    const float *biases = scratch + biases_at(op);
#pragma GCC unroll 8
    for (int r = 0; r < s.n_rows; r++) {
#pragma GCC unroll 8
        for (int o = 0; o < s.n_outs; o++) {
            vf sum = sums[r][o];
            if (is_affine(s.layout)) {
                sum = sum + bias_term(op, biases + o * scale_stride(op), row + r);
            }
            const float y = vf_sum(sum);
            op->out[(row + r) * op->out_stride + out + o] = op->bias ? y + op->bias[out + o] : y;
        }
    }
}

KRS_CPU_INLINE tile_rows rows_of_tile(tile_shape s, const krs_cpu_linear *op, int64_t row,
                                      int64_t out, const float *scales)
{
    tile_rows t;
#pragma GCC unroll 8
    for (int r = 0; r < s.n_rows; r++) {
        t.x[r] = op->x + (size_t)(row + r) * op->x_row_bytes;
    }
#pragma GCC unroll 8
    for (int o = 0; o < s.n_outs; o++) {
        t.w[o] = op->w + (size_t)(out + o) * op->w_row_bytes;
        t.scales[o] = scales + o * scale_stride(op);
    }
    return t;
}

/* scratch: of widen_tile for these outputs. */
KRS_CPU_INLINE void linear_tile(tile_shape s, const krs_cpu_linear *op, int64_t row, int64_t out,
                                const float *scratch)
{
    const tile_rows t = rows_of_tile(s, op, row, out, scratch);
    vf sums[KRS_CPU_MAX_TILE][KRS_CPU_MAX_TILE];
    clear_sums(s, sums);
    const vi group_of_lane = vi_group_of_lane(op->groups_per_block);
    const size_t w_step = block_bytes_of(s.layout);
    const size_t x_step = (size_t)x_vectors_of(s.layout) * LANES * 4;
    block_at at = {0, 0, 0};
    for (int64_t b = 0; b < op->n_blocks; b++) {
        if (is_affine(s.layout) && s.n_rows <= 2) {
            prefetch_block(&t, at.w, s.n_outs);
        }
        add_scaled_block(s, &t, at, group_of_lane, sums);
        at.w += w_step;
        at.x += x_step;
        at.group = (b + 1) * op->groups_per_block / op->blocks_per_group;
    }
    if (op->tail_bytes > 0) {
        add_tail(s, op, &t, at, group_of_lane, sums);
    }
    store_tile(s, op, scratch, row, out, sums);
}

/* All rows for s.n_outs outputs: s.n_rows at a time, the rest by two and one. */
KRS_CPU_INLINE void linear_rows(tile_shape s, const krs_cpu_linear *op, int64_t row, int64_t n_rows,
                                int64_t out, const float *scratch)
{
    const tile_shape two = {s.layout, 2, s.n_outs};
    const tile_shape one = {s.layout, 1, s.n_outs};
    for (; n_rows >= s.n_rows; row += s.n_rows, n_rows -= s.n_rows) {
        linear_tile(s, op, row, out, scratch);
    }
    if (s.n_rows > 2) {
        for (; n_rows >= 2; row += 2, n_rows -= 2) {
            linear_tile(two, op, row, out, scratch);
        }
    }
    for (; n_rows > 0; row++, n_rows--) {
        linear_tile(one, op, row, out, scratch);
    }
}

/* values[n] as f32 and then two vectors of zeros, so that whole vectors may be read from any group. */
static void widen_scales(krs_dtype dtype, const unsigned char *values, int64_t n, float *out)
{
    const size_t item_bytes = krs_dtype_bytes(dtype);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const unsigned char *at = values + (size_t)i * item_bytes;
        vf_store(out + i, dtype == KRS_DTYPE_F32   ? vf_load(at)
                          : dtype == KRS_DTYPE_F16 ? vf_load_f16(at)
                                                   : vf_load_bf16(at));
    }
    if (i < n) {
        (void)krs_f32_of_any(dtype, values + (size_t)i * item_bytes, (size_t)(n - i), out + i);
    }
    memset(out + n, 0, 2 * KRS_CPU_MAX_LANES * sizeof(*out));
}

enum {
    SCALES_AHEAD = 16
}; /* outputs: a tile's products wait for its scales, so those come early */

/* scratch: the scales of the tile's outputs, then their biases. */
static void widen_tile(const krs_cpu_linear *op, int64_t out, int n_outs, float *scratch)
{
    const int64_t stride = scale_stride(op);
    const size_t row_bytes = (size_t)op->n_groups * krs_dtype_bytes(op->scale_dtype);
    float *biases = scratch + biases_at(op);
    for (int o = 0; o < n_outs; o++) {
        const size_t at = (size_t)(out + o) * row_bytes;
        const size_t ahead = at + SCALES_AHEAD * row_bytes;
        for (size_t line = 0; line < row_bytes; line += KRS_CPU_VECTOR_BYTES) {
            __builtin_prefetch((const void *)((uintptr_t)op->scales + ahead + line));
            __builtin_prefetch((const void *)((uintptr_t)op->biases + ahead + line));
        }
        widen_scales(op->scale_dtype, op->scales + at, op->n_groups, scratch + o * stride);
        widen_scales(op->scale_dtype, op->biases + at, op->n_groups, biases + o * stride);
    }
}

/* All outputs, s.n_outs at a time and the rest one by one, with s.n_rows rows at once. */
KRS_CPU_INLINE void linear_tiles(tile_shape s, const krs_cpu_linear *op, int64_t row,
                                 int64_t n_rows, int64_t out, int64_t n_outs, float *scratch)
{
    const tile_shape single = {s.layout, s.n_rows, 1};
    for (; n_outs >= s.n_outs; out += s.n_outs, n_outs -= s.n_outs) {
        if (is_affine(s.layout)) {
            widen_tile(op, out, s.n_outs, scratch);
        }
        linear_rows(s, op, row, n_rows, out, scratch);
    }
    for (; n_outs > 0; out++, n_outs--) {
        if (is_affine(s.layout)) {
            widen_tile(op, out, 1, scratch);
        }
        linear_rows(single, op, row, n_rows, out, scratch);
    }
}

KRS_CPU_INLINE void linear(krs_cpu_layout layout, const krs_cpu_linear *op, int64_t row,
                           int64_t n_rows, int64_t out, int64_t n_outs, float *scratch)
{
    const tile_shape dense = {layout, TILE_ROWS, TILE_OUTS};
    const tile_shape affine = {layout, AFFINE_TILE_ROWS, AFFINE_TILE_OUTS};
    const tile_shape affine_few = {layout, 2, 1};
    if (!is_affine(layout)) {
        linear_tiles(dense, op, row, n_rows, out, n_outs, scratch);
    } else if (n_rows < AFFINE_TILE_ROWS) {
        linear_tiles(affine_few, op, row, n_rows, out, n_outs, scratch);
    } else {
        linear_tiles(affine, op, row, n_rows, out, n_outs, scratch);
    }
}
