/* compute/cpu/template/attention.h - a part of softmax attention for a tile of queries: see cpu/attend.h.
 *
 *   scores   q K^T of the part's blocks, in int8 of codes
 *   weights  exp(score - top of the part), their sum; in int8 a score is multiplied by its position's K
 *            scale first, and a weight by V's afterwards
 *   values   weighted sum of V rows
 *
 * A few queries (decode) read K and V as they lie, and ask for what comes next: blocks lie anywhere, so
 * hardware sees the next one too late. Many (prefill) have a chunk widened once and share it.
 *
 * Queries of a tile see different positions. Scores are computed for whole blocks and those outside
 * become weights of 0; but a sum of values never meets a position its query does not see, since 0 times
 * what may lie there (nothing, or an infinity) is no 0. So a run sums what all its queries see together, and
 * each its own ends alone.
 *
 * Included after template/math.h and the products (attend_f32.h).  Thread: pure. */

enum { DIRECT_QUERIES = 8 }; /* so few read the cache as it lies */

/* One part, as a tile sees it. */
typedef struct part_view {
    const krs_cpu_attention *op;
    int64_t origin; /* first position */
    int first;      /* queries [first, last) see something of it */
    int last;
    int first_block; /* of the part's blocks, those that are seen */
    int last_block;
    const unsigned char *k[PART_BLOCKS];
    const unsigned char *v[PART_BLOCKS];
    const unsigned char *next_k[PART_BLOCKS]; /* of the next part; NULL: not seen */
    bool is_wide;                             /* read chunks widened beforehand */
    score_job scores;
    value_job values;
    float *k_chunk;
    float *v_chunk;
    float *k_scales; /* [PART], in int8 */
    float *v_scales;
} part_view;

/* Positions of the part that a query sees, from its first one. */
KRS_CPU_INLINE int64_t seen_from(const part_view *p, int query)
{
    const int64_t from = p->op->queries[query].begin - p->origin;
    return from > 0 ? from : 0;
}

KRS_CPU_INLINE int64_t seen_to(const part_view *p, int query)
{
    const int64_t to = p->op->queries[query].end - p->origin;
    return to < PART ? to : PART;
}

KRS_CPU_INLINE bool is_seen(const part_view *p, int query)
{
    return seen_from(p, query) < seen_to(p, query);
}

/* The queries from `at` on that go together. */
KRS_CPU_INLINE int run_length(int at, int last)
{
    int n = MAX_RUN;
    while (n > last - at) {
        n /= 2;
    }
    return n;
}

static void find_queries(part_view *p)
{
    p->first = 0;
    p->last = p->op->n_queries;
    while (p->first < p->last && !is_seen(p, p->first)) {
        p->first++;
    }
    while (p->last > p->first && !is_seen(p, p->last - 1)) {
        p->last--;
    }
    if (p->first < p->last) {
        p->first_block = (int)(seen_from(p, p->first) / BLOCK);
        p->last_block = (int)((seen_to(p, p->last - 1) + BLOCK - 1) / BLOCK);
    }
}

static void find_blocks(part_view *p)
{
    const krs_cpu_attention *op = p->op;
    const size_t size = op->kv->element_bytes;
    const int64_t last_seen = (op->queries[p->last - 1].end - 1) / BLOCK;
    for (int b = 0; b < PART_BLOCKS; b++) {
        p->k[b] = p->v[b] = p->next_k[b] = NULL;
        const int64_t at = p->origin / BLOCK + b;
        if (b >= p->first_block && b < p->last_block) {
            const int64_t k_at = krs_kv_layout_k(op->kv, op->layer, op->blocks[at], op->kv_head);
            const int64_t v_at = krs_kv_layout_v(op->kv, op->layer, op->blocks[at], op->kv_head);
            p->k[b] = op->k + (size_t)k_at * size;
            p->v[b] = op->v + (size_t)v_at * size;
        }
        if (at + PART_BLOCKS <= last_seen) {
            const uint32_t block = op->blocks[at + PART_BLOCKS];
            p->next_k[b] =
                op->k + (size_t)krs_kv_layout_k(op->kv, op->layer, block, op->kv_head) * size;
        }
    }
}

/* Ask for one head of a block, its scales included. */
KRS_CPU_INLINE void prefetch_head(const krs_kv_layout *kv, const unsigned char *head,
                                  int64_t n_elements)
{
    const unsigned char *from = head - (size_t)kv->scale_elements * kv->element_bytes;
    for (size_t i = 0; i < (size_t)n_elements * kv->element_bytes; i += KRS_CPU_VECTOR_BYTES) {
        __builtin_prefetch(from + i, 0, 2);
    }
}

/* Cut scratch and pack q. */
static void start_part(part_view *p, const krs_cpu_softmax *state, float *scratch)
{
    const krs_cpu_attention *op = p->op;
    const krs_kv_layout *kv = op->kv;
    const int64_t q_stride = krs_cpu_padded_floats(kv->head_dim);
    float *scores = scratch + op->n_queries * q_stride;
    p->scores = (score_job){scratch, q_stride, kv->head_dim, op->scale, scores};
    p->k_chunk = scores + (int64_t)op->n_queries * PART;
    p->v_chunk = p->k_chunk + q_stride * CHUNK_BLOCKS * BLOCK;
    p->k_scales = p->v_chunk + PART * CHUNK_VALUES;
    p->v_scales = p->k_scales + PART;
    p->is_wide = op->kv_dtype != wide_dtype && p->last - p->first > DIRECT_QUERIES;
    p->values = (value_job){scores, p->v, kv->padded_dim, 0, state->values, kv->padded_dim};
    for (int q = p->first; q < p->last;) {
        const int n = run_length(q, p->last);
        pack_run(op->queries + q, n, &p->scores, scratch + q * q_stride);
        q += n;
    }
}

/* Scores of a run for the blocks [from, to) of a chunk. */
KRS_CPU_INLINE void score_blocks(krs_dtype dtype, int n, const score_job *job, int first, int from,
                                 int to, const unsigned char *const *k)
{
    int b = from;
    for (; b + blocks_of(n) <= to; b += blocks_of(n)) {
        score_tile(dtype, n, blocks_of(n), job, first, b * BLOCK, k + b);
    }
    for (; b < to; b++) {
        score_tile(dtype, n, 1, job, first, b * BLOCK, k + b);
    }
}

/* n of a run as a constant. */
KRS_CPU_INLINE void score_run(krs_dtype dtype, const part_view *p, int first, int n, int from,
                              int to, const unsigned char *const *k)
{
    const int seen_first = (int)(seen_from(p, first) / BLOCK);
    const int seen_last = (int)((seen_to(p, first + n - 1) + BLOCK - 1) / BLOCK);
    from = from > seen_first ? from : seen_first;
    to = to < seen_last ? to : seen_last;
    if (n == MAX_RUN) {
        score_blocks(dtype, MAX_RUN, &p->scores, first, from, to, k);
    } else if (n == 4) {
        score_blocks(dtype, MAX_RUN > 4 ? 4 : 1, &p->scores, first, from, to, k);
    } else if (n == 2) {
        score_blocks(dtype, MAX_RUN > 2 ? 2 : 1, &p->scores, first, from, to, k);
    } else {
        score_blocks(dtype, 1, &p->scores, first, from, to, k);
    }
}

/* All scores of a part, a chunk of blocks for all queries at a time. dtype: of what is read. */
KRS_CPU_INLINE void score_part(krs_dtype dtype, part_view *p)
{
    const krs_kv_layout *kv = p->op->kv;
    const int64_t wide_floats = p->scores.q_stride * BLOCK;
    for (int c = p->first_block; c < p->last_block; c += CHUNK_BLOCKS) {
        const int end = c + CHUNK_BLOCKS < p->last_block ? c + CHUNK_BLOCKS : p->last_block;
        const unsigned char *k[PART_BLOCKS];
        for (int b = c; b < end; b++) {
            k[b] = p->k[b];
            if (p->is_wide) {
                float *wide = p->k_chunk + (b - c) * wide_floats;
                widen_k(p->op->kv_dtype, p->k[b], kv->head_dim, wide);
                k[b] = (const unsigned char *)wide;
            }
            prefetch_head(kv, p->v[b], kv->v_head_elements);
        }
        for (int q = p->first; q < p->last;) {
            const int n = run_length(q, p->last);
            score_run(dtype, p, q, n, c, end, k);
            q += n;
        }
    }
}

/* The scales of the part's positions, of K or V. */
static void load_scales(const part_view *p, const unsigned char *const *heads, float *scales)
{
    const size_t n_bytes = BLOCK * sizeof(float);
    for (int b = p->first_block; b < p->last_block; b++) {
        memcpy(scales + b * BLOCK, heads[b] - n_bytes, n_bytes);
    }
}

/* What a score goes through before its exponential. */
KRS_CPU_INLINE void finish_scores(const part_view *p, int query, int64_t from, int64_t to)
{
    float *scores = p->scores.scores + query * PART;
    const float *bias = p->op->queries[query].bias;
    for (int64_t i = from; p->op->kv_dtype == KRS_DTYPE_I8 && i < to; i += LANES) {
        vf_store(scores + i, vf_load(scores + i) * vf_load(p->k_scales + i));
    }
    for (int64_t i = from; bias && i < to; i += LANES) {
        vf_store(scores + i, vf_load(scores + i) + vf_load(bias + p->origin + i));
    }
    for (int64_t i = from; p->op->softcap > 0 && i < to; i += LANES) {
        vf_store(scores + i, vf_softcap(vf_load(scores + i), vf_set(p->op->softcap)));
    }
}

/* Scores of a query become weights; those of positions it does not see become 0. */
KRS_CPU_INLINE void weigh_query(const part_view *p, int query, const krs_cpu_softmax *state)
{
    float *scores = p->scores.scores + query * PART;
    const int64_t seen = seen_from(p, query);
    const int64_t end = seen_to(p, query);
    const int64_t from = seen / BLOCK * BLOCK;
    const int64_t to = (end + BLOCK - 1) / BLOCK * BLOCK;
    finish_scores(p, query, from, to);
    for (int64_t i = from; i < seen; i++) {
        scores[i] = -INFINITY;
    }
    for (int64_t i = end; i < to; i++) {
        scores[i] = -INFINITY;
    }
    vf tops = vf_load(scores + from);
    for (int64_t i = from + LANES; i < to; i += LANES) {
        tops = vf_max(tops, vf_load(scores + i));
    }
    const float top = vf_top(tops);
    vf sum = vf_set(0);
    for (int64_t i = from; i < to; i += LANES) {
        vf w = vf_exp(vf_load(scores + i) - vf_set(top));
        sum = sum + w;
        if (p->op->kv_dtype == KRS_DTYPE_I8) {
            w = w * vf_load(p->v_scales + i);
        }
        put_weights(scores, i, w);
    }
    state->top[query] = top;
    state->weight[query] = vf_sum(sum);
}

/* The positions [from, to) of a span for a run of n: in tiles of vectors, then vector by vector. */
KRS_CPU_INLINE void value_vectors(krs_dtype dtype, int n, const value_span *s, int first,
                                  int64_t from, int64_t to)
{
    const int step = vectors_of(n) * LANES;
    int64_t d = s->d;
    for (; d + step <= s->d_end; d += step) {
        value_tile(dtype, (tile_of_values){n, vectors_of(n), first}, s->job, d, from, to);
    }
    for (; d < s->d_end; d += LANES) {
        value_tile(dtype, (tile_of_values){n, 1, first}, s->job, d, from, to);
    }
}

/* n of a run as a constant. */
KRS_CPU_INLINE void value_run(krs_dtype dtype, const value_span *s, int first, int n, int64_t from,
                              int64_t to)
{
    if (n == MAX_RUN) {
        value_vectors(dtype, MAX_RUN, s, first, from, to);
    } else if (n == 4) {
        value_vectors(dtype, MAX_RUN > 4 ? 4 : 1, s, first, from, to);
    } else if (n == 2) {
        value_vectors(dtype, MAX_RUN > 2 ? 2 : 1, s, first, from, to);
    } else {
        value_vectors(dtype, 1, s, first, from, to);
    }
}

static int64_t larger_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Some queries and the positions they are given at once. */
typedef struct value_piece {
    int first;
    int n;
    int64_t from;
    int64_t to;
} value_piece;

/* The positions of a span for a run of n come in 2 n + 1 pieces, in this order: of each query alone what
 * comes before all see it, what all see together, of each alone what comes after. Many are empty. */
static value_piece piece_of(const part_view *p, const value_span *s, int first, int n, int index)
{
    const int64_t all_from = whole_pairs_from(seen_from(p, first + n - 1));
    const int64_t all_to = whole_pairs_to(seen_to(p, first));
    const int64_t together = larger_of(s->from, all_from);
    const int64_t apart = larger_of(together, smaller_of(s->to, all_to));
    if (index == n) {
        return (value_piece){first, n, together, apart};
    }
    const int query = first + (index < n ? index : index - n - 1);
    const int64_t from = larger_of(s->from, seen_from(p, query));
    const int64_t to = smaller_of(s->to, seen_to(p, query));
    return index < n ? (value_piece){query, 1, from, smaller_of(together, to)}
                     : (value_piece){query, 1, larger_of(apart, from), to};
}

/* One call of value_run for all pieces: each is a copy of every tile there is. */
KRS_CPU_INLINE void value_queries(krs_dtype dtype, const part_view *p, const value_span *s,
                                  int first, int n)
{
    for (int i = 0; i <= 2 * n; i++) {
        const value_piece piece = piece_of(p, s, first, n, i);
        if (piece.from < piece.to) {
            value_run(dtype, s, piece.first, piece.n, piece.from, piece.to);
        }
    }
}

KRS_CPU_INLINE void value_runs(krs_dtype dtype, const part_view *p, const value_span *s)
{
    for (int q = p->first; q < p->last;) {
        const int n = run_length(q, p->last);
        value_queries(dtype, p, s, q, n);
        q += n;
    }
}

/* All elements, some blocks at a time, as they lie; K of the next part is asked for on the way. */
KRS_CPU_INLINE void value_part_direct(krs_dtype dtype, const part_view *p)
{
    const krs_kv_layout *kv = p->op->kv;
    for (int c = 0; c < PART_BLOCKS; c += CHUNK_BLOCKS) {
        for (int b = c; b < c + CHUNK_BLOCKS; b++) {
            if (p->next_k[b]) {
                prefetch_head(kv, p->next_k[b], kv->k_head_elements);
            }
        }
        const value_span span = {&p->values, 0, kv->padded_dim, c * BLOCK,
                                 (c + CHUNK_BLOCKS) * BLOCK};
        value_runs(dtype, p, &span);
    }
}

/* All positions, some elements at a time, widened. */
KRS_CPU_INLINE void value_part_wide(krs_dtype dtype, const part_view *p)
{
    const krs_kv_layout *kv = p->op->kv;
    const unsigned char *v[PART_BLOCKS] = {0};
    value_job job = p->values;
    job.v = v;
    for (int64_t d = 0; d < kv->padded_dim; d += CHUNK_VALUES) {
        const int64_t d_end = smaller_of(d + CHUNK_VALUES, kv->padded_dim);
        job.v_stride = d_end - d;
        for (int b = p->first_block; b < p->last_block; b++) {
            if (d == 0 && p->next_k[b]) {
                prefetch_head(kv, p->next_k[b], kv->k_head_elements);
            }
            float *wide = p->v_chunk + b * BLOCK * CHUNK_VALUES;
            widen_v(p->op->kv_dtype, p->v[b] + (size_t)d * kv->element_bytes, kv->padded_dim,
                    d_end - d, wide);
            v[b] = (const unsigned char *)wide;
        }
        job.v_from = d;
        const value_span span = {&job, d, d_end, 0, PART};
        value_runs(dtype, p, &span);
    }
}

/* dtype: of what is read. */
KRS_CPU_INLINE void attend_part_of(krs_dtype dtype, part_view *p, const krs_cpu_softmax *state)
{
    const int64_t dim = p->op->kv->padded_dim;
    score_part(dtype, p);
    if (p->op->kv_dtype == KRS_DTYPE_I8) {
        load_scales(p, p->k, p->k_scales);
        load_scales(p, p->v, p->v_scales);
    }
    for (int q = p->first; q < p->last; q++) {
        weigh_query(p, q, state);
    }
    memset(state->values + p->first * dim, 0,
           (size_t)(p->last - p->first) * (size_t)dim * sizeof(float));
    if (dtype == wide_dtype && p->is_wide) {
        value_part_wide(wide_dtype, p);
    } else {
        value_part_direct(dtype, p);
    }
}

static void attend_part_as(krs_dtype dtype, part_view *p, const krs_cpu_softmax *state)
{
    switch (dtype) {
    case KRS_DTYPE_F32:
        attend_part_of(KRS_DTYPE_F32, p, state);
        break;
    case KRS_DTYPE_F16:
        attend_part_of(KRS_DTYPE_F16, p, state);
        break;
    case KRS_DTYPE_I8:
        attend_part_of(KRS_DTYPE_I8, p, state);
        break;
    default:
        attend_part_of(KRS_DTYPE_BF16, p, state);
        break;
    }
}

static void attend_part(const krs_cpu_attention *op, int64_t part, const krs_cpu_softmax *state,
                        float *scratch)
{
    part_view p = {.op = op, .origin = part * PART};
    find_queries(&p);
    if (p.first == p.last) {
        return;
    }
    find_blocks(&p);
    start_part(&p, state, scratch);
    attend_part_as(p.is_wide ? wide_dtype : op->kv_dtype, &p, state);
}

#include "compute/cpu/template/attend_merge.h"
