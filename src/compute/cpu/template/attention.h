/* compute/cpu/template/attention.h - softmax attention of one row over the paged cache.
 *
 *   for each part of 256 positions, counted from position 0:
 *     scores   16 positions to a run of lanes (K is transposed inside a block), no horizontal sums
 *     weights  exp(score - top of the part), their sum
 *     values   weighted sum of V rows
 *     in int8, sums run over codes: a score is multiplied by its position's K scale, a weight by V's
 *   parts are merged in order: whichever top is larger rescales the other's sums; a sink comes last,
 *   as a part of one position whose value is zero
 *
 * A decoded token and a row of a long prefill take the same path with the same parts, so they agree to
 * the last bit; parts outside the window are skipped in both. Heads that share a KV head run
 * together, up to 4, to share the loads of K and V.
 *
 * Included after <isa>/vec.h and template/math.h.  Thread: pure.
 * Source: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022, FlashAttention. */

enum { BLOCK = KRS_KV_BLOCK_TOKENS, PART = KRS_CPU_PART_TOKENS, MAX_HEADS = 4 };
enum { SCORE_VECTORS = BLOCK / LANES };

_Static_assert(BLOCK % LANES == 0 && PART % BLOCK == 0, "parts are whole blocks of whole vectors");

/* What is known of some heads after some positions: sums relative to the largest score seen. */
typedef struct softmax_state {
    float top[MAX_HEADS];
    float weight[MAX_HEADS];
    float values[MAX_HEADS][KRS_PROGRAM_MAX_HEAD_DIM];
} softmax_state;

KRS_CPU_INLINE vf load_kv(krs_dtype dtype, const unsigned char *memory, int64_t index)
{
    return dtype == KRS_DTYPE_F32   ? vf_load(memory + index * 4)
           : dtype == KRS_DTYPE_F16 ? vf_load_f16(memory + index * 2)
           : dtype == KRS_DTYPE_I8  ? vf_load_i8(memory + index)
                                    : vf_load_bf16(memory + index * 2);
}

/* Ask for one head of a block, `elements` of it from index at. Blocks lie anywhere, so hardware sees the
 * next one too late; asked for while this one is computed, it is there. */
KRS_CPU_INLINE void prefetch_head(const krs_cpu_attention *op, const unsigned char *memory,
                                  int64_t at, int64_t elements)
{
    const size_t size = op->kv->element_bytes;
    const unsigned char *from = memory + (size_t)(at - op->kv->scale_elements) * size;
    for (size_t i = 0; i < (size_t)elements * size; i += KRS_CPU_VECTOR_BYTES) {
        __builtin_prefetch(from + i);
    }
}

typedef struct score_sums {
    vf even[MAX_HEADS][SCORE_VECTORS]; /* over even elements of the head, and odd ones */
    vf odd[MAX_HEADS][SCORE_VECTORS];
} score_sums;

KRS_CPU_INLINE void add_element(krs_dtype dtype, const unsigned char *k, int64_t k_at,
                                const float *q, int64_t stride, int n_heads,
                                vf sums[][SCORE_VECTORS])
{
#pragma GCC unroll 8
    for (int i = 0; i < SCORE_VECTORS; i++) {
        const vf column = load_kv(dtype, k, k_at + i * LANES);
#pragma GCC unroll 8
        for (int h = 0; h < n_heads; h++) {
            sums[h][i] = vf_fma(vf_set(q[h * stride]), column, sums[h][i]);
        }
    }
}

/* scores[h][0 .. BLOCK) of one block; even and odd elements of a head run in two sums. */
KRS_CPU_INLINE void score_block(krs_dtype dtype, const krs_cpu_attention *op, const float *q,
                                int64_t k_at, int n_heads, float scores[][PART], int64_t at)
{
    const int64_t dim = op->kv->head_dim;
    const int64_t stride = op->q_stride;
    const int64_t scales_at = k_at;
    score_sums sums;
#pragma GCC unroll 8
    for (int h = 0; h < n_heads; h++) {
#pragma GCC unroll 8
        for (int i = 0; i < SCORE_VECTORS; i++) {
            sums.even[h][i] = sums.odd[h][i] = vf_set(0);
        }
    }
    int64_t d = 0;
    for (; d + 1 < dim; d += 2, k_at += 2 * BLOCK) {
        add_element(dtype, op->k, k_at, q + d, stride, n_heads, sums.even);
        add_element(dtype, op->k, k_at + BLOCK, q + d + 1, stride, n_heads, sums.odd);
    }
    if (d < dim) {
        add_element(dtype, op->k, k_at, q + d, stride, n_heads, sums.even);
    }
#pragma GCC unroll 8
    for (int h = 0; h < n_heads; h++) {
#pragma GCC unroll 8
        for (int i = 0; i < SCORE_VECTORS; i++) {
            vf score = (sums.even[h][i] + sums.odd[h][i]) * vf_set(op->scale);
            if (dtype == KRS_DTYPE_I8) {
                score = score * vf_load(op->k + krs_kv_layout_scale(scales_at, i * LANES));
            }
            vf_store(&scores[h][at + i * LANES], score);
        }
    }
}

/* scores[h][p - origin] += bias of position p, for the blocks from `first` to end. */
KRS_CPU_INLINE void add_bias(const krs_cpu_attention *op, int first_head, int64_t first,
                             int64_t end, int n_heads, float scores[][PART])
{
    for (int h = 0; h < n_heads; h++) {
        const float *bias = op->bias + (first_head + h) * op->bias_stride;
        for (int64_t p = first; p < end; p += LANES) {
            float *score = &scores[h][p % PART];
            vf_store(score, vf_load(score) + vf_load(bias + p));
        }
    }
}

/* scores[0 .. n), n whole blocks, become weights; those outside [first, last) become 0. */
static void weigh_part(float *scores, int64_t n, int64_t first, int64_t last, float *top,
                       float *weight)
{
    for (int64_t i = 0; i < first; i++) {
        scores[i] = -INFINITY;
    }
    for (int64_t i = last; i < n; i++) {
        scores[i] = -INFINITY;
    }
    vf tops = vf_load(scores);
    for (int64_t i = LANES; i < n; i += LANES) {
        tops = vf_max(tops, vf_load(scores + i));
    }
    *top = vf_top(tops);
    vf sum = vf_set(0);
    for (int64_t i = 0; i < n; i += LANES) {
        const vf w = vf_exp(vf_load(scores + i) - vf_set(*top));
        vf_store(scores + i, w);
        sum = sum + w;
    }
    *weight = vf_sum(sum);
}

/* What sum_values sums; dtype and the counts are constants at every call. */
typedef struct value_sum {
    krs_dtype dtype;
    int n_heads;
    int n_vectors;
    int64_t d; /* first element of the head */
} value_sum;

/* sums[h][i] += weight * V of the positions [from, to) of one block, at v_at. */
KRS_CPU_INLINE void add_values(value_sum s, const krs_cpu_attention *op, int64_t v_at, int64_t from,
                               int64_t to, float weights[][PART], vf sums[][VALUE_VECTORS])
{
    for (int64_t p = from; p < to; p++) {
        const int64_t row = v_at + p % BLOCK * op->kv->padded_dim;
#pragma GCC unroll 8
        for (int i = 0; i < s.n_vectors; i++) {
            const vf v = load_kv(s.dtype, op->v, row + i * LANES);
#pragma GCC unroll 8
            for (int h = 0; h < s.n_heads; h++) {
                sums[h][i] = vf_fma(vf_set(weights[h][p % PART]), v, sums[h][i]);
            }
        }
    }
}

/* values[h][d ..] = sum over positions [begin, end) of one part of weight * V. */
KRS_CPU_INLINE void sum_values(value_sum s, const krs_cpu_attention *op, int64_t begin, int64_t end,
                               float weights[][PART], softmax_state *part)
{
    vf sums[MAX_HEADS][VALUE_VECTORS];
#pragma GCC unroll 8
    for (int h = 0; h < s.n_heads; h++) {
#pragma GCC unroll 8
        for (int i = 0; i < s.n_vectors; i++) {
            sums[h][i] = vf_set(0);
        }
    }
    for (int64_t p = begin; p < end; p = p / BLOCK * BLOCK + BLOCK) {
        const int64_t v_at =
            krs_kv_layout_v(op->kv, op->layer, op->blocks[p / BLOCK], op->kv_head) + s.d;
        const int64_t block_end = p / BLOCK * BLOCK + BLOCK;
        if (s.d == 0 && block_end < end) { /* all of it: the later elements' turn comes soon */
            const uint32_t next = op->blocks[block_end / BLOCK];
            prefetch_head(op, op->v, krs_kv_layout_v(op->kv, op->layer, next, op->kv_head),
                          op->kv->v_head_elements);
        }
        add_values(s, op, v_at, p, block_end < end ? block_end : end, weights, sums);
    }
#pragma GCC unroll 8
    for (int h = 0; h < s.n_heads; h++) {
#pragma GCC unroll 8
        for (int i = 0; i < s.n_vectors; i++) {
            vf_store(&part->values[h][s.d + i * LANES], sums[h][i]);
        }
    }
}

/* weights[h][p - origin] *= V's scale of position p, for the blocks from `first` to end. Positions
 * outside of what is seen get nonsense, which nobody reads. */
KRS_CPU_INLINE void scale_weights(const krs_cpu_attention *op, int64_t first, int64_t end,
                                  int n_heads, float weights[][PART])
{
    for (int64_t p = first; p < end; p += BLOCK) {
        const int64_t v_at = krs_kv_layout_v(op->kv, op->layer, op->blocks[p / BLOCK], op->kv_head);
        for (int i = 0; i < BLOCK; i += LANES) {
            const vf scales = vf_load(op->v + krs_kv_layout_scale(v_at, i));
            for (int h = 0; h < n_heads; h++) {
                float *weight = &weights[h][p % PART + i];
                vf_store(weight, vf_load(weight) * scales);
            }
        }
    }
}

/* scores[0 .. n), n whole blocks: cap * tanh(score / cap). */
static void cap_scores(float *scores, int64_t n, float cap)
{
    for (int64_t i = 0; i < n; i += LANES) {
        vf_store(scores + i, vf_softcap(vf_load(scores + i), vf_set(cap)));
    }
}

/* The positions [begin, end) of one part, as if they were all there is. */
KRS_CPU_INLINE void attend_part(krs_dtype dtype, const krs_cpu_attention *op, int first_head,
                                int64_t begin, int64_t end, int n_heads, softmax_state *part)
{
    const float *q = op->q + first_head * op->q_stride;
    float scores[MAX_HEADS][PART];
    const int64_t origin = begin / PART * PART;
    const int64_t first_block = begin / BLOCK * BLOCK;
    for (int64_t p = first_block; p < end; p += BLOCK) {
        const int64_t k_at = krs_kv_layout_k(op->kv, op->layer, op->blocks[p / BLOCK], op->kv_head);
        if (p + BLOCK < end) {
            const uint32_t next = op->blocks[p / BLOCK + 1];
            prefetch_head(op, op->k, krs_kv_layout_k(op->kv, op->layer, next, op->kv_head),
                          op->kv->k_head_elements);
        }
        score_block(dtype, op, q, k_at, n_heads, scores, p - origin);
    }
    const int64_t n = (end - first_block + BLOCK - 1) / BLOCK * BLOCK;
    if (op->bias) {
        add_bias(op, first_head, first_block, first_block + n, n_heads, scores);
    }
    for (int h = 0; h < n_heads; h++) {
        if (op->softcap > 0) {
            cap_scores(&scores[h][first_block - origin], n, op->softcap);
        }
        weigh_part(&scores[h][first_block - origin], n, begin - first_block, end - first_block,
                   &part->top[h], &part->weight[h]);
    }
    if (dtype == KRS_DTYPE_I8) {
        scale_weights(op, first_block, end, n_heads, scores);
    }
    value_sum s = {dtype, n_heads, VALUE_VECTORS, 0};
    for (; s.d + VALUE_VECTORS * LANES <= op->kv->padded_dim; s.d += VALUE_VECTORS * LANES) {
        sum_values(s, op, begin, end, scores, part);
    }
    value_sum one = {dtype, n_heads, 1, s.d};
    for (; one.d < op->kv->padded_dim; one.d += LANES) {
        sum_values(one, op, begin, end, scores, part);
    }
}

static float exp_of(float x)
{
    float lanes[LANES];
    vf_store(lanes, vf_exp(vf_set(x)));
    return lanes[0];
}

/* all becomes what all and part know together. */
static void merge_part(softmax_state *all, const softmax_state *part, int n_heads, int64_t dim)
{
    for (int h = 0; h < n_heads; h++) {
        const float top = all->top[h] > part->top[h] ? all->top[h] : part->top[h];
        const float old_factor = exp_of(all->top[h] - top);
        const float new_factor = exp_of(part->top[h] - top);
        all->top[h] = top;
        all->weight[h] = all->weight[h] * old_factor + part->weight[h] * new_factor;
        for (int64_t d = 0; d < dim; d++) {
            all->values[h][d] = all->values[h][d] * old_factor + part->values[h][d] * new_factor;
        }
    }
}

/* The weight of all, once a sink is in it; *factor: what the values have shrunk by. */
static float weight_with_sink(const softmax_state *all, int h, float sink, float *factor)
{
    const float top = all->top[h] > sink ? all->top[h] : sink;
    *factor = exp_of(all->top[h] - top);
    return all->weight[h] * *factor + exp_of(sink - top);
}

/* out = what `all` has come to. */
KRS_CPU_INLINE void write_heads(const krs_cpu_attention *op, const softmax_state *all,
                                int first_head, int n_heads)
{
    const int64_t dim = op->kv->value_dim;
    for (int h = 0; h < n_heads; h++) {
        float *out = op->out + (first_head + h) * op->out_stride;
        float factor = 1;
        const float weight = op->sinks
                                 ? weight_with_sink(all, h, op->sinks[first_head + h], &factor)
                                 : all->weight[h];
        for (int64_t d = 0; d < dim; d++) {
            out[d] = all->values[h][d] * factor / weight;
        }
    }
}

KRS_CPU_INLINE void attend(krs_dtype dtype, const krs_cpu_attention *op, int first_head,
                           int n_heads)
{
    const int64_t dim = op->kv->value_dim;
    softmax_state all;
    softmax_state part;
    for (int h = 0; h < n_heads; h++) {
        all.top[h] = -INFINITY;
        all.weight[h] = 0;
        memset(all.values[h], 0, (size_t)dim * sizeof(float));
    }
    for (int64_t p = op->begin; p < op->end; p = p / PART * PART + PART) {
        const int64_t part_end = p / PART * PART + PART;
        attend_part(dtype, op, first_head, p, part_end < op->end ? part_end : op->end, n_heads,
                    &part);
        merge_part(&all, &part, n_heads, dim);
    }
    write_heads(op, &all, first_head, n_heads);
}

KRS_CPU_INLINE void attention_of(krs_dtype dtype, const krs_cpu_attention *op)
{
    int h = 0;
    for (; h + 4 <= op->n_heads; h += 4) {
        attend(dtype, op, h, 4);
    }
    for (; h + 2 <= op->n_heads; h += 2) {
        attend(dtype, op, h, 2);
    }
    for (; h < op->n_heads; h++) {
        attend(dtype, op, h, 1);
    }
}

static void attention(const krs_cpu_attention *op)
{
    switch (op->kv_dtype) {
    case KRS_DTYPE_F32:
        attention_of(KRS_DTYPE_F32, op);
        break;
    case KRS_DTYPE_F16:
        attention_of(KRS_DTYPE_F16, op);
        break;
    case KRS_DTYPE_I8:
        attention_of(KRS_DTYPE_I8, op);
        break;
    default:
        attention_of(KRS_DTYPE_BF16, op);
        break;
    }
}
