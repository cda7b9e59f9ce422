/* compute/cpu/kernels.h - the inner loops of the cpu backend, one table per instruction set.
 *
 *   portable -> avx2 -> avx512 -> avx512vnni -> avx512bf16        each a superset of the one before
 *   portable -> neon -> neondot -> neoni8mm -> neonbf16
 *
 * Kernels see rows and pointers, never programs or steps; the C files beside this one cut the work and call them. They are
 * written once in template/ over a small vector type (<isa>/vec.h) and compiled once per instruction
 * set with that set's flags, so no flag leaks into code that must run anywhere.
 *
 * The order of every sum is fixed by the shape: element i of a row is always added in lane
 * i' % lanes of one accumulator, lanes are then folded in a fixed tree. How many rows or outputs a
 * kernel handles at once changes which sums are in flight together, never the order inside one.
 *
 * Thread: pure functions; tables are immutable. */
#pragma once

#include "compute/cpu/attend.h"
#include "tensor/codes.h"

#define KRS_CPU_INLINE       static inline __attribute__((always_inline))
#define KRS_CPU_VECTOR_BYTES 64 /* of the widest instruction set: scratch is padded to this */
#define KRS_CPU_MAX_LANES    (KRS_CPU_VECTOR_BYTES / 4)
#define KRS_CPU_MAX_TILE     8 /* outputs a linear kernel handles at once, at most */

/* What a matrix looks like to a linear kernel. */
typedef enum krs_cpu_layout {
    KRS_CPU_F32,
    KRS_CPU_F16,
    KRS_CPU_BF16,
    KRS_CPU_LAYOUT_COUNT
} krs_cpu_layout;

/* How a kernel wants rows of x, so that it may load weights as they lie: a row is padded with zeros to
 * whole blocks; inside a block, vector k holds elements k, k + n_vectors, k + 2 n_vectors, ... */
typedef struct krs_cpu_packing {
    int32_t block;     /* elements */
    int32_t n_vectors; /* per block */
} krs_cpu_packing;

/* One linear op over some rows: out[r][o] = sum_i w[o][i] x[r][i] + bias[o]. */
typedef struct krs_cpu_linear {
    const unsigned char *w; /* rows as stored, any alignment */
    size_t w_row_bytes;
    int64_t n_blocks;       /* whole blocks of a row */
    size_t tail_bytes;      /* of w in a last, partial block; 0: none */
    const unsigned char *x; /* packed rows */
    size_t x_row_bytes;
    float *out;
    int64_t out_stride;
    const float *bias; /* NULL: none */
} krs_cpu_linear;

/* A rectangle of the output. */
typedef void (*krs_cpu_linear_fn)(const krs_cpu_linear *op, int64_t row_begin, int64_t n_rows,
                                  int64_t out_begin, int64_t n_outs);

typedef struct krs_cpu_linear_kernel {
    krs_cpu_packing packing;
    krs_cpu_linear_fn run;
} krs_cpu_linear_kernel;

/* Rows of x times some tiles of a repacked matrix (tile.h): out[r][o] = sum_i w[o][i] x[r][i] + bias[o]. */
typedef struct krs_cpu_tile_op {
    krs_codes codes;        /* of a matrix of codes; not looked at for bf16 */
    const unsigned char *w; /* tile 0 */
    size_t tile_bytes;
    int64_t n_steps;        /* groups of a row of codes; pairs of columns of bf16 */
    const unsigned char *x; /* rows as krs_tile_rows lays them out, n_terms to each row of out */
    size_t x_row_bytes;
    size_t x_term_bytes; /* from a row's first term to its second */
    size_t x_scales_at;  /* of a row, f32 [n_steps]; codes only */
    size_t x_sums_at;    /* behind them: see krs_tile_sums */
    int32_t n_terms;     /* 1, or 2: x is the sum of two rows */
    float *out;
    int64_t out_stride;
    int64_t n_outs;    /* of the matrix: the last tile may be padded */
    const float *bias; /* [n_outs], NULL: none */
} krs_cpu_tile_op;

/* Rows [row, row + n_rows) of out, tiles [tile, tile + n_tiles). */
typedef void (*krs_cpu_tile_fn)(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows,
                                int64_t tile, int64_t n_tiles);

/* What a norm does after dividing. */
typedef struct krs_cpu_norm {
    const float *weight; /* NULL: 1, whatever the offset */
    const float *bias;   /* NULL: none; RMS norm has none */
    float offset;        /* added to the weight */
    float eps;
} krs_cpu_norm;

/* One row of a short convolution, before its activation. */
typedef struct krs_cpu_conv {
    int32_t kernel;
    const float *weights;     /* [kernel][n] */
    const float *bias;        /* [n], NULL: none */
    const float *const *rows; /* [kernel] of [n], oldest first */
} krs_cpu_conv;

/* One head of one row of the gated delta rule (KRS_OP_DELTA). */
typedef struct krs_cpu_delta {
    float *state;   /* [k_dim][v_dim] */
    const float *q; /* [k_dim], normalised */
    const float *k;
    const float *v; /* [v_dim] */
    float decay;
    float beta;
    int64_t k_dim;
    int64_t v_dim;
    float *out; /* [v_dim] */
} krs_cpu_delta;

/* n rounds of KRS_CPU_DOT_CHAINS independent multiply-adds in registers, for measuring the ceiling;
 * the result depends on all of them. */
typedef float (*krs_cpu_dot_fn)(int64_t n, float x);

#define KRS_CPU_DOT_CHAINS 12 /* latency times throughput of the machines we know, with room */

typedef struct krs_tile_rows krs_tile_rows; /* tile.h */

typedef struct krs_cpu_kernels {
    const char *isa;
    krs_dtype kv_dtype; /* what the attention kernel likes best */
    krs_cpu_linear_kernel linear[KRS_CPU_LAYOUT_COUNT];
    krs_cpu_tile_fn tile_codes; /* NULL: codes are read as they lie in the file */
    krs_cpu_tile_fn tile_bf16;  /* the same of bf16 */
    int32_t n_terms;            /* of a row of x that meets tiles: 1, or 2 for one kept whole */
    /* x[n] into a packed row. */
    void (*pack)(const krs_cpu_packing *packing, const float *x, int64_t n, unsigned char *out);
    /* One group of a row; out may be x. */
    void (*rms_norm)(const krs_cpu_norm *op, const float *x, int64_t n, float *out);
    void (*layer_norm)(const krs_cpu_norm *op, const float *x, int64_t n, float *out);
    /* One head: pairs (i, i + n); or (2 i, 2 i + 1). */
    void (*rope)(float *head, const float *cosines, const float *sines, int64_t n);
    void (*rope_pairs)(float *head, const float *cosines, const float *sines, int64_t n);
    /* Elements each on their own; out may be x, or up. */
    void (*glu)(const krs_gate *gate, const float *x, const float *up, int64_t n, float *out);
    void (*activate)(krs_activation act, const float *x, int64_t n, float *out);
    void (*scale)(float factor, float softcap, const float *x, int64_t n, float *out);
    void (*add)(const float *a, const float *b, float factor, int64_t n,
                float *out); /* a + factor b */
    /* x[n] as F32, F16 or BF16, rounded to nearest even. */
    void (*narrow)(krs_dtype dtype, const float *x, int64_t n, void *out);
    float (*quantise)(const float *x, int64_t n, int8_t *codes); /* krs_kv_quantise */
    /* Groups [begin, end) of a row into out, where the whole row lies; x begins with group begin. All
     * terms. */
    void (*code_row)(const krs_tile_rows *rows, const float *x, int64_t begin, int64_t end,
                     unsigned char *out);
    krs_cpu_attention_kernel attention;
    /* e^(x - top); out may be x. */
    void (*exps)(const float *x, float top, int64_t n, float *out);
    void (*conv)(const krs_cpu_conv *op, int64_t n, float *out);
    void (*delta)(const krs_cpu_delta *op);
    /* factor * x / sqrt(sum x^2 + eps) */
    void (*unit)(const float *x, int64_t n, float eps, float factor, float *out);
    krs_cpu_dot_fn dot_f32;
    double dot_f32_ops;      /* operations of one round */
    krs_cpu_dot_fn dot_bf16; /* NULL: no such instruction */
    double dot_bf16_ops;
} krs_cpu_kernels;

extern const krs_cpu_kernels krs_cpu_portable;
extern const krs_cpu_kernels krs_cpu_avx2;
extern const krs_cpu_kernels krs_cpu_avx512;
extern const krs_cpu_kernels krs_cpu_neon;
/* Tiles of codes, and of bf16. */
void krs_cpu_portable_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                            int64_t n_tiles);
void krs_cpu_avx2_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                        int64_t n_tiles);
void krs_cpu_avx512_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                          int64_t n_tiles);
void krs_cpu_avx512vnni_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                              int64_t n_tiles);
void krs_cpu_avx512amx_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                             int64_t n_tiles);
void krs_cpu_avx512amx_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                             int64_t n_tiles);
void krs_cpu_avx512bf16_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                              int64_t n_tiles);
void krs_cpu_neon_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                        int64_t n_tiles);
void krs_cpu_neondot_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                           int64_t n_tiles);
void krs_cpu_neoni8mm_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                            int64_t n_tiles);
void krs_cpu_neonbf16_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                            int64_t n_tiles);
extern const krs_cpu_attention_kernel krs_cpu_avx512bf16_attention;
float krs_cpu_avx512bf16_dot(int64_t n, float x);
#define KRS_CPU_AVX512BF16_DOT_OPS (KRS_CPU_DOT_CHAINS * 64.0) /* of one round */
float krs_cpu_neonbf16_dot(int64_t n, float x);
#define KRS_CPU_NEONBF16_DOT_OPS (KRS_CPU_DOT_CHAINS * 32.0)
