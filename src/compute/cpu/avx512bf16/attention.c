/* compute/cpu/avx512bf16/attention.c - attention on VDPBF16PS: q and K, weights and V in bf16, two products a
 * lane, sums in f32.
 *
 *   scores: words of two elements of the head, one position a lane
 *   values: words of two positions (2 i, 2 i + 1), one element a lane
 *
 * Twice the rate of f32 for a rounding of q (times the scale), of K and V where the cache is f16, and of
 * weights after their sum was taken: docs/numerics.md. int8 codes are exact in bf16. A cache in f32 asks for
 * exactness and has avx512's kernel, as have families whose rows must not be rounded (krs_op.is_exact).
 *
 * A word of two positions is added as a whole. Where a query sees one of the two, the other's V and weight
 * are put to zero: what lies there, V or its scale, may be no number. A head of odd length has a zero
 * beside its last element.
 *
 * See template/attention.h for the rest.  Thread: pure.
 * Source: Intel Architecture Instruction Set Extensions reference, VDPBF16PS, VCVTNE2PS2BF16. */
#include "compute/cpu/avx512/vec.h"

#include <math.h>
#include <string.h>

#include "compute/cpu/template/math.h"

#include "compute/cpu/template/attend_jobs.h"

/* Chunks made beforehand hold words, as wide as f32. */
static const krs_dtype wide_dtype = KRS_DTYPE_F32;

#define HIGH_HALVES ((int32_t)0xFFFF0000)
#define LOW_HALVES  0x0000FFFF
#define BOTH_HALVES (-1)

KRS_CPU_INLINE vf load_wide(krs_dtype dtype, const unsigned char *memory, int64_t index)
{
    return dtype == KRS_DTYPE_F16  ? vf_load_f16(memory + index * 2)
           : dtype == KRS_DTYPE_I8 ? vf_load_i8(memory + index)
                                   : vf_load_bf16(memory + index * 2);
}

/* Words of a (low halves) and b (high halves), rounded to nearest even. */
KRS_CPU_INLINE vi pair_up(vf a, vf b)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* Words of what lies LANES elements from `index` on, and `step` elements further. */
KRS_CPU_INLINE vi load_pair(krs_dtype dtype, const unsigned char *memory, int64_t index,
                            int64_t step)
{
    const vf a = load_wide(dtype, memory, index);
    const vf b = load_wide(dtype, memory, index + step);
    if (dtype == KRS_DTYPE_F16) {
        return pair_up(a, b);
    }
    return _mm512_or_si512(_mm512_srli_epi32((vi)a, 16), (vi)b); /* nothing to round */
}

/* The word of elements 2 j and 2 j + 1 of LANES positions, dim elements in all. */
KRS_CPU_INLINE vi load_k(krs_dtype dtype, const unsigned char *k, int64_t j, int64_t dim)
{
    if (dtype == wide_dtype) {
        return _mm512_loadu_si512(k + j * KRS_CPU_VECTOR_BYTES);
    }
    if (2 * j + 1 < dim) {
        return load_pair(dtype, k, 2 * j * BLOCK, BLOCK);
    }
    return pair_up(load_wide(dtype, k, 2 * j * BLOCK), vf_set(0));
}

static void pack_run(const krs_cpu_query *queries, int n, const score_job *job, float *out)
{
    const vf scale = vf_set(job->scale);
    for (int h = 0; h < n; h++) {
        for (int64_t d = 0; d < job->dim; d += LANES) {
            const int64_t left = job->dim - d;
            const __mmask16 mask = _cvtu32_mask16(left < LANES ? (1u << left) - 1 : 0xFFFFu);
            const vf x = _mm512_maskz_loadu_ps(mask, queries[h].q + d) * scale;
            float words[LANES / 2];
            _mm256_storeu_si256((__m256i *)words, (__m256i)_mm512_cvtneps_pbh(x));
            for (int64_t j = 0; j < LANES / 2 && d + 2 * j < job->dim; j++) {
                out[(d / 2 + j) * n + h] = words[j];
            }
        }
    }
}

/* In the row's place: what is written lies before what is still to be read. */
KRS_CPU_INLINE void put_weights(float *row, int64_t i, vf weights)
{
    _mm256_storeu_si256((__m256i *)(row + i / 2), (__m256i)_mm512_cvtneps_pbh(weights));
}

KRS_CPU_INLINE void make_k(krs_dtype dtype, const unsigned char *k, int64_t dim, float *out)
{
    for (int64_t j = 0; 2 * j < dim; j++) {
        _mm512_storeu_si512(out + j * LANES, load_k(dtype, k, j, dim));
    }
}

KRS_CPU_INLINE void make_v(krs_dtype dtype, const unsigned char *v, int64_t stride, int64_t n,
                           float *out)
{
    for (int p = 0; p < BLOCK; p += 2) {
        for (int64_t i = 0; i < n; i += LANES, out += LANES) {
            _mm512_storeu_si512(out, load_pair(dtype, v, p * stride + i, stride));
        }
    }
}

static void widen_k(krs_dtype dtype, const unsigned char *k, int64_t dim, float *out)
{
    switch (dtype) {
    case KRS_DTYPE_F16:
        make_k(KRS_DTYPE_F16, k, dim, out);
        break;
    case KRS_DTYPE_I8:
        make_k(KRS_DTYPE_I8, k, dim, out);
        break;
    default:
        make_k(KRS_DTYPE_BF16, k, dim, out);
        break;
    }
}

static void widen_v(krs_dtype dtype, const unsigned char *v, int64_t stride, int64_t n, float *out)
{
    switch (dtype) {
    case KRS_DTYPE_F16:
        make_v(KRS_DTYPE_F16, v, stride, n, out);
        break;
    case KRS_DTYPE_I8:
        make_v(KRS_DTYPE_I8, v, stride, n, out);
        break;
    default:
        make_v(KRS_DTYPE_BF16, v, stride, n, out);
        break;
    }
}

/* Where positions may be cut: between words. */
KRS_CPU_INLINE int64_t whole_pairs_from(int64_t position)
{
    return (position + 1) / 2 * 2;
}

KRS_CPU_INLINE int64_t whole_pairs_to(int64_t position)
{
    return position / 2 * 2;
}

/* A word everywhere, of which only `halves` is kept. */
KRS_CPU_INLINE __m512bh spread_word(const float *word, int32_t halves)
{
    int32_t bits;
    memcpy(&bits, word, sizeof(bits));
    return (__m512bh)_mm512_set1_epi32(bits & halves);
}

/* As attend_f32.h's. */
KRS_CPU_INLINE void score_tile(krs_dtype dtype, int n, int n_blocks, const score_job *job,
                               int first, int64_t position, const unsigned char *const *k)
{
    const float *q = job->q + first * job->q_stride;
    vf sums[MAX_RUN][MAX_SUMS];
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks; i++) {
            sums[h][i] = vf_set(0);
        }
    }
    for (int64_t j = 0; 2 * j < job->dim; j++, q += n) {
        vi columns[MAX_SUMS];
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks; i++) {
            columns[i] = load_k(dtype, k[i], j, job->dim);
        }
#pragma GCC unroll 8
        for (int h = 0; h < n; h++) {
            const __m512bh word = spread_word(q + h, BOTH_HALVES);
#pragma GCC unroll 16
            for (int i = 0; i < n_blocks; i++) {
                sums[h][i] = _mm512_dpbf16_ps(sums[h][i], word, (__m512bh)columns[i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int h = 0; h < n; h++) {
#pragma GCC unroll 16
        for (int i = 0; i < n_blocks; i++) {
            vf_store(job->scores + (first + h) * PART + position + i * LANES, sums[h][i]);
        }
    }
}

typedef struct value_sums {
    vf of[MAX_RUN][MAX_VALUE_VECTORS];
} value_sums;

/* Positions [from, to) of one block, both even; halves: which of each word's two are seen. */
typedef struct word_span {
    int64_t from;
    int64_t to;
    int32_t halves;
} word_span;

/* sums += weights * V of the words of a span, from element d on. */
KRS_CPU_INLINE void add_words(krs_dtype dtype, tile_of_values tile, const value_job *job, int64_t d,
                              word_span span, value_sums *sums)
{
    const unsigned char *v = job->v[span.from / BLOCK];
    const float *const weights = job->weights + tile.first * PART;
    for (int64_t p = span.from; p < span.to; p += 2) {
        vi row[MAX_VALUE_VECTORS];
#pragma GCC unroll 4
        for (int i = 0; i < tile.n_vectors; i++) {
            const int64_t at = d - job->v_from + i * LANES;
            row[i] = dtype == wide_dtype
                         ? _mm512_loadu_si512(v + (p % BLOCK / 2 * job->v_stride + at) * 4)
                         : load_pair(dtype, v, p % BLOCK * job->v_stride + at, job->v_stride);
            row[i] = span.halves == BOTH_HALVES
                         ? row[i]
                         : _mm512_and_si512(row[i], _mm512_set1_epi32(span.halves));
        }
#pragma GCC unroll 8
        for (int h = 0; h < tile.n; h++) {
            const __m512bh word = spread_word(weights + h * PART + p / 2, span.halves);
#pragma GCC unroll 4
            for (int i = 0; i < tile.n_vectors; i++) {
                sums->of[h][i] = _mm512_dpbf16_ps(sums->of[h][i], word, (__m512bh)row[i]);
            }
        }
    }
}

/* sums = what lies in out, and back. */
KRS_CPU_INLINE void load_sums(tile_of_values tile, const float *out, int64_t stride,
                              value_sums *sums)
{
#pragma GCC unroll 8
    for (int h = 0; h < tile.n; h++) {
#pragma GCC unroll 4
        for (int i = 0; i < tile.n_vectors; i++) {
            sums->of[h][i] = vf_load(out + h * stride + i * LANES);
        }
    }
}

KRS_CPU_INLINE void store_sums(tile_of_values tile, const value_sums *sums, int64_t stride,
                               float *out)
{
#pragma GCC unroll 8
    for (int h = 0; h < tile.n; h++) {
#pragma GCC unroll 4
        for (int i = 0; i < tile.n_vectors; i++) {
            vf_store(out + h * stride + i * LANES, sums->of[h][i]);
        }
    }
}

/* As attend_f32.h's. from and to may be odd when n is 1: then the words they cut count half. */
KRS_CPU_INLINE void value_tile(krs_dtype dtype, tile_of_values tile, const value_job *job,
                               int64_t d, int64_t from, int64_t to)
{
    value_sums sums;
    float *const out = job->sums + tile.first * job->sums_stride + d;
    load_sums(tile, out, job->sums_stride, &sums);
    if (tile.n == 1 && from % 2 == 1 && from < to) {
        add_words(dtype, tile, job, d, (word_span){from - 1, from, HIGH_HALVES}, &sums);
        from++;
    }
    const int64_t whole_to = tile.n == 1 ? whole_pairs_to(to) : to;
    for (int64_t p = from; p < whole_to; p = p / BLOCK * BLOCK + BLOCK) {
        const int64_t block_end = p / BLOCK * BLOCK + BLOCK;
        const int64_t end = block_end < whole_to ? block_end : whole_to;
        add_words(dtype, tile, job, d, (word_span){p, end, BOTH_HALVES}, &sums);
    }
    if (tile.n == 1 && from < to && whole_to < to) {
        add_words(dtype, tile, job, d, (word_span){whole_to, to, LOW_HALVES}, &sums);
    }
    store_sums(tile, &sums, job->sums_stride, out);
}

#include "compute/cpu/template/attention.h"

/* A cache in f32 is multiplied as it is. */
static void part_of_any(const krs_cpu_attention *op, int64_t part, const krs_cpu_softmax *state,
                        float *scratch)
{
    if (op->kv_dtype == KRS_DTYPE_F32) {
        krs_cpu_avx512.attention.part(op, part, state, scratch);
    } else {
        attend_part(op, part, state, scratch);
    }
}

const krs_cpu_attention_kernel krs_cpu_avx512bf16_attention = {part_of_any, merge_part,
                                                               finish_queries};
