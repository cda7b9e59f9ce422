/* compute/ref/attention.c - the KV cache and softmax attention, straight from the definition.
 * All scores of a head are kept, the maximum subtracted, sums in double. KV is rounded to the type the
 * exec was given (f32 by default) when it is written, nowhere else; in int8, a value is its code times
 * the scale of its token and head (kv_int8.h). A sink is one more score, whose value is zero.
 * Source: Vaswani et al. 2017; grouped queries as in Ainslie et al. 2023, arXiv:2305.13245. */
#include "compute/ref/ref.h"

#include "compute/kv_int8.h"

#include "base/check.h"

#include <math.h>

static void put(krs_dtype dtype, unsigned char *memory, int64_t index, float x)
{
    unsigned char *at = memory + (size_t)index * krs_dtype_bytes(dtype);
    if (dtype == KRS_DTYPE_F32) {
        memcpy(at, &x, sizeof(x));
        return;
    }
    const uint16_t half = dtype == KRS_DTYPE_F16 ? krs_f16_of_f32(x) : krs_bf16_of_f32(x);
    memcpy(at, &half, sizeof(half));
}

/* Where one head of one row goes: element d to index at + d * stride, in int8 its scale to byte
 * scale_at. */
typedef struct head_place {
    unsigned char *memory;
    int64_t at;
    int64_t stride;
    int64_t scale_at;
} head_place;

static void put_head(krs_dtype dtype, const float *x, int64_t n, head_place to)
{
    if (dtype != KRS_DTYPE_I8) {
        for (int64_t d = 0; d < n; d++) {
            put(dtype, to.memory, to.at + d * to.stride, x[d]);
        }
        return;
    }
    int8_t codes[KRS_PROGRAM_MAX_HEAD_DIM];
    const float scale = krs_kv_quantise(x, n, codes);
    memcpy(to.memory + to.scale_at, &scale, sizeof(scale));
    for (int64_t d = 0; d < n; d++) {
        memcpy(to.memory + to.at + d * to.stride, &codes[d], 1);
    }
}

/* scale: of the token and head in int8. */
static double get(krs_dtype dtype, const unsigned char *memory, int64_t index, double scale)
{
    if (dtype == KRS_DTYPE_I8) {
        int8_t code;
        memcpy(&code, memory + index, sizeof(code));
        return (double)code * scale;
    }
    float x;
    KRS_CHECK(krs_f32_of_any(dtype, memory + (size_t)index * krs_dtype_bytes(dtype), 1, &x));
    return (double)x;
}

/* Where row r's sequence keeps position p. */
static uint32_t block_of(const krs_host_exec *host, int64_t r, int64_t p)
{
    return host->step->seqs[host->row_seqs[r]].blocks[p / KRS_KV_BLOCK_TOKENS];
}

void krs_ref_kv_write(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_kv_layout *kv = &host->kv;
    for (int64_t r = 0; r < host->step->n_rows; r++) {
        const int64_t at = host->positions[r] % KRS_KV_BLOCK_TOKENS;
        const uint32_t block = block_of(host, r, host->positions[r]);
        const float *k_row = krs_host_row(host, op->in, r);
        const float *v_row = krs_host_row(host, op->in2, r);
        for (int64_t h = 0; h < kv->n_heads; h++) {
            const int64_t k = krs_kv_layout_k(kv, op->attention.layer, block, h);
            const int64_t v = krs_kv_layout_v(kv, op->attention.layer, block, h);
            put_head(
                host->limits.kv_dtype, k_row + h * kv->head_dim, kv->head_dim,
                (head_place){host->k, k + at, KRS_KV_BLOCK_TOKENS, krs_kv_layout_scale(k, at)});
            put_head(host->limits.kv_dtype, v_row + h * kv->value_dim, kv->value_dim,
                     (head_place){host->v, v + at * kv->padded_dim, 1, krs_kv_layout_scale(v, at)});
        }
    }
}

typedef struct head_view {
    const krs_host_exec *host;
    int64_t row;
    int64_t layer;
    int64_t kv_head;
    int64_t begin; /* first position seen */
    int64_t end;   /* one past the last */
} head_view;

/* The scale of position p, whose block's codes begin at index at; 1 where there is none. */
static double scale_of(const krs_host_exec *host, const unsigned char *memory, int64_t at,
                       int64_t p)
{
    float scale = 1.0f;
    if (host->limits.kv_dtype == KRS_DTYPE_I8) {
        memcpy(&scale, memory + krs_kv_layout_scale(at, p), sizeof(scale));
    }
    return (double)scale;
}

static double score(const head_view *view, const float *q, int64_t p)
{
    const krs_host_exec *host = view->host;
    const int64_t k =
        krs_kv_layout_k(&host->kv, view->layer, block_of(host, view->row, p), view->kv_head);
    const int64_t column = k + p % KRS_KV_BLOCK_TOKENS;
    const double scale = scale_of(host, host->k, k, p);
    double sum = 0;
    for (int64_t d = 0; d < host->kv.head_dim; d++) {
        sum += (double)q[d] *
               get(host->limits.kv_dtype, host->k, column + d * KRS_KV_BLOCK_TOKENS, scale);
    }
    return sum;
}

/* scores[n] become weights that, with the sink's, sum to 1. sink: -INFINITY when there is none. */
static void softmax(double *scores, int64_t n, double sink)
{
    double top = sink;
    for (int64_t i = 0; i < n; i++) {
        top = scores[i] > top ? scores[i] : top;
    }
    double sum = exp(sink - top);
    for (int64_t i = 0; i < n; i++) {
        scores[i] = exp(scores[i] - top);
        sum += scores[i];
    }
    for (int64_t i = 0; i < n; i++) {
        scores[i] /= sum;
    }
}

static void weigh_values(const head_view *view, const double *weights, float *out)
{
    const krs_host_exec *host = view->host;
    double sums[KRS_PROGRAM_MAX_HEAD_DIM] = {0};
    for (int64_t p = view->begin; p < view->end; p++) {
        const int64_t v =
            krs_kv_layout_v(&host->kv, view->layer, block_of(host, view->row, p), view->kv_head);
        const int64_t row = v + p % KRS_KV_BLOCK_TOKENS * host->kv.padded_dim;
        const double scale = scale_of(host, host->v, v, p);
        for (int64_t d = 0; d < host->kv.value_dim; d++) {
            sums[d] +=
                weights[p - view->begin] * get(host->limits.kv_dtype, host->v, row + d, scale);
        }
    }
    for (int64_t d = 0; d < host->kv.value_dim; d++) {
        out[d] = (float)sums[d];
    }
}

/* The score of position p as the softmax takes it. */
static double final_score(const head_view *view, const krs_op *op, const float *q, int64_t p)
{
    const double cap = (double)op->attention.softcap;
    const double x = score(view, q, p) * (double)op->attention.scale;
    return cap > 0 ? cap * tanh(x / cap) : x;
}

void krs_ref_attention(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_kv_layout *kv = &host->kv;
    const int64_t group = op->attention.n_heads / op->attention.n_kv_heads;
    const bool has_sinks = op->matrix != KRS_NO_MATRIX;
    if (has_sinks) {
        krs_matrix_row(&host->program->matrices[op->matrix], 0, exec->row);
    }
    for (int64_t r = 0; r < host->step->n_rows; r++) {
        const int64_t end = (int64_t)host->positions[r] + 1;
        const int64_t window = op->attention.window;
        const int64_t begin = window > 0 && end > window ? end - window : 0;
        for (int64_t h = 0; h < op->attention.n_heads; h++) {
            const head_view view = {host, r, op->attention.layer, h / group, begin, end};
            const float *q = krs_host_row(host, op->in, r) + h * kv->head_dim;
            for (int64_t p = begin; p < end; p++) {
                exec->scores[p - begin] = final_score(&view, op, q, p);
            }
            softmax(exec->scores, end - begin, has_sinks ? (double)exec->row[h] : -INFINITY);
            weigh_values(&view, exec->scores, krs_host_row(host, op->out, r) + h * kv->value_dim);
        }
    }
}
