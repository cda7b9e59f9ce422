/* tensor/codes.h - quantised matrices as unsigned codes under scales: what integer kernels need to know.
 *
 *   w = scale * (value(code) - zero) + bias         value: the code itself, or its entry in `table`
 *
 * Files have a dozen layouts (quant.h, gguf_block.h); integer arithmetic sees only the few facts in
 * krs_codes. A matrix that has this form is read in blocks of 32 columns of a row and in groups of
 * columns under one scale; the identity above holds to the last bit with krs_matrix_row, but for the
 * rounding of its two operations. Kinds without it (fp8 codes are no integers; act order permutes
 * columns) say so.
 *
 *   affine               bits and group as they are, with a bias
 *   mxfp4, nvfp4, GGUF's MXFP4   doubled e2m1 numbers + 12 under half the scale, in bf16: exact
 *   int8                 zero 128; groups cut to 128, 64 or 32 columns, no form where none divides
 *   Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL              f16 scales (and biases) of their blocks of 32
 *   Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS              SUPER, below
 *   dense, fp8, mxfp8, affine-indexed            no form
 *
 * Scales of K-quants are products of two numbers and are handed out as such: a byte for each group under
 * an f16 for each 256 columns (KRS_CODES_SUPER), so that nothing is rounded and nothing grows.
 *
 * Functions but krs_codes_of want a matrix that has passed krs_matrix_check and has the form.
 *
 * Thread: any; pure. */
#pragma once

#include "tensor/quant.h"

#define KRS_CODES_BLOCK    32  /* columns read at once */
#define KRS_CODES_SUPER    256 /* columns under one pair of super scales */
#define KRS_CODES_LEVELS   16  /* entries of a table: of 4-bit codes only */
#define KRS_CODES_MAX_BITS 8

typedef enum krs_code_scale {
    KRS_CODE_SCALE_BF16,
    KRS_CODE_SCALE_F16,
    KRS_CODE_SCALE_F32,
    /* scale = d * s, bias = -dmin * m: d, dmin f16 per 256 columns, s, m i8 per group */
    KRS_CODE_SCALE_SUPER,
} krs_code_scale;

typedef struct krs_codes {
    int32_t bits;         /* 2, 3, 4, 5, 6 or 8 */
    int32_t group;        /* columns under one scale: 16, 32, 64 or 128 */
    krs_code_scale scale; /* of scales and biases */
    bool has_bias;
    int32_t zero;         /* 0 .. 255; 0 with a bias */
    const uint8_t *table; /* [KRS_CODES_LEVELS] values 0 .. 255, or NULL: a code is its value */
} krs_codes;

/* False: the matrix has no such form, *out is not written. Dense matrices have none. */
bool krs_codes_of(const krs_matrix *m, krs_codes *out);

/* Groups of a row: n_in / group, rounded up. */
static inline int64_t krs_codes_n_groups(const krs_codes *codes, int64_t n_in)
{
    return (n_in + codes->group - 1) / codes->group;
}

/* Codes of columns [32 * first, 32 * (first + n)) of a row, a byte each, below 2^bits. Columns past the
 * row's end: 0, whatever `zero` is (an activation there must be 0, or its group's scale is). */
void krs_codes_read_run(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out);

/* The same of one block. */
static inline void krs_codes_read(const krs_matrix *m, int64_t row, int64_t block,
                                  uint8_t out[KRS_CODES_BLOCK])
{
    krs_codes_read_run(m, row, block, 1, out);
}

/* Scales, and biases when there are any, of groups [first, first + n) of a row, in the type codes->scale
 * says (2 or 4 bytes; SUPER: 1 byte, the s and m above). A group past the row's end: zeros. */
void krs_codes_scales(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                      void *biases);

/* SUPER: d and dmin (f16 as stored; dmin 0 without a bias) of super block `block` of a row; past the
 * row's end: zeros. */
void krs_codes_super(const krs_matrix *m, int64_t row, int64_t block, uint16_t *d, uint16_t *dmin);
