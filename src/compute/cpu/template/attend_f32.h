/* compute/cpu/template/attend_f32.h - the two products of attention in f32: q with K, and weights with V.
 *
 *   scores: a run of queries x some blocks of 16 positions, one position a lane (K is transposed inside a
 *           block), elements of the head in order; no horizontal sums
 *   values: a run of queries x some vectors of V, positions in order
 *
 * Runs, blocks and vectors are constants at every call, as many as registers hold: MAX_SUMS sums. What a sum is
 * does not depend on them. K and V come from the cache, widened on the way, or,
 * when a tile has many queries, from chunks of it widened beforehand.
 *
 * Included after <isa>/vec.h; template/attention.h includes the rest.  Thread: pure. */

static const krs_dtype wide_dtype = KRS_DTYPE_F32; /* what chunks are widened to */

KRS_CPU_INLINE vf load_kv(krs_dtype dtype, const unsigned char *memory, int64_t index)
{
    return dtype == KRS_DTYPE_F32   ? vf_load(memory + index * 4)
           : dtype == KRS_DTYPE_F16 ? vf_load_f16(memory + index * 2)
           : dtype == KRS_DTYPE_I8  ? vf_load_i8(memory + index)
                                    : vf_load_bf16(memory + index * 2);
}

/* q of a run as score_tile wants it: [element][query], so that one pointer walks over all queries. */
static void pack_run(const krs_cpu_query *queries, int n, const score_job *job, float *out)
{
    for (int h = 0; h < n; h++) {
        for (int64_t d = 0; d < job->dim; d++) {
            out[d * n + h] = queries[h].q[d] * job->scale;
        }
    }
}

/* LANES weights from position i of a row on, as value_tile wants them. */

KRS_CPU_INLINE void put_weights(float *row, int64_t i, vf weights)
{
    vf_store(row + i, weights);
}

KRS_CPU_INLINE void widen_rows(krs_dtype dtype, const unsigned char *from, int64_t stride,
                               int64_t n_rows, int64_t n, float *out)
{
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t i = 0; i < n; i += LANES) {
            vf_store(out + r * n + i, load_kv(dtype, from, r * stride + i));
        }
    }
}

/* n elements, whole vectors, of n_rows rows `stride` elements apart, as f32 and without gaps. */
static void widen(krs_dtype dtype, const unsigned char *from, int64_t stride, int64_t n_rows,
                  int64_t n, float *out)
{
    switch (dtype) { /* so that each loop is of one type */
    case KRS_DTYPE_F16:
        widen_rows(KRS_DTYPE_F16, from, stride, n_rows, n, out);
        break;
    case KRS_DTYPE_I8:
        widen_rows(KRS_DTYPE_I8, from, stride, n_rows, n, out);
        break;
    default:
        widen_rows(KRS_DTYPE_BF16, from, stride, n_rows, n, out);
        break;
    }
}

/* One block of K, and some elements of one of V. */
static void widen_k(krs_dtype dtype, const unsigned char *k, int64_t dim, float *out)
{
    widen(dtype, k, BLOCK, dim, BLOCK, out);
}

static void widen_v(krs_dtype dtype, const unsigned char *v, int64_t stride, int64_t n, float *out)
{
    widen(dtype, v, stride, BLOCK, n, out);
}

/* Where positions may be cut: anywhere. */
KRS_CPU_INLINE int64_t whole_pairs_from(int64_t position)
{
    return position;
}

KRS_CPU_INLINE int64_t whole_pairs_to(int64_t position)
{
    return position;
}

/* scores[h][position ..] of n_blocks blocks, whose K is at k[], for the n queries of the run at `first`. */
KRS_CPU_INLINE void score_tile(krs_dtype dtype, int n, int n_blocks, const score_job *job,
                               int first, int64_t position, const unsigned char *const *k)
{
    const float *q = job->q + first * job->q_stride;
    vf sums[MAX_RUN][MAX_SUMS];
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks * VECTORS; i++) {
            sums[h][i] = vf_set(0);
        }
    }
    for (int64_t d = 0; d < job->dim; d++, q += n) {
        vf columns[MAX_SUMS];
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks * VECTORS; i++) {
            columns[i] = load_kv(dtype, k[i / VECTORS], d * BLOCK + i % VECTORS * LANES);
        }
#pragma GCC unroll 8
        for (int h = 0; h < n; h++) {
            const vf element = vf_set(q[h]);
#pragma GCC unroll 16
            for (int i = 0; i < n_blocks * VECTORS; i++) {
                sums[h][i] = vf_fma(element, columns[i], sums[h][i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks * VECTORS; i++) {
            vf_store(job->scores + (first + h) * PART + position + i * LANES, sums[h][i]);
        }
    }
}

/* One position: sums[h] += weights[h] * the vectors of V from element `at` of v on. */
KRS_CPU_INLINE void add_value(krs_dtype dtype, int n, int n_vectors, const unsigned char *v,
                              int64_t at, const float *weights, vf sums[][4])
{
    vf row[4];
#pragma GCC unroll 4
    for (int i = 0; i < n_vectors; i++) {
        row[i] = load_kv(dtype, v, at + i * LANES);
    }
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
        const vf weight = vf_set(weights[h * PART]);
#pragma GCC unroll 4
        for (int i = 0; i < n_vectors; i++) {
            sums[h][i] = vf_fma(weight, row[i], sums[h][i]);
        }
    }
}

/* sums[h][d ..] += weights[h][p] * V[p][d ..] for the positions [from, to) of the part. */
KRS_CPU_INLINE void value_tile(krs_dtype dtype, tile_of_values tile, const value_job *job,
                               int64_t d, int64_t from, int64_t to)
{
    const int n = tile.n;
    const int n_vectors = tile.n_vectors;
    const int first = tile.first;
    vf sums[MAX_RUN][4];
    float *const out = job->sums + first * job->sums_stride + d;
    const float *const weights = job->weights + first * PART;
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 4
        for (int i = 0; i < n_vectors; i++) {
            sums[h][i] = vf_load(out + h * job->sums_stride + i * LANES);
        }
    }
    for (int64_t p = from; p < to;) {
        const unsigned char *v = job->v[p / BLOCK];
        const int64_t block_end = p / BLOCK * BLOCK + BLOCK;
        const int64_t end = block_end < to ? block_end : to;
        int64_t at = p % BLOCK * job->v_stride + d - job->v_from;
        for (; p < end; p++, at += job->v_stride) {
            add_value(dtype, n, n_vectors, v, at, weights + p, sums);
        }
    }
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 4
        for (int i = 0; i < n_vectors; i++) {
            vf_store(out + h * job->sums_stride + i * LANES, sums[h][i]);
        }
    }
}
