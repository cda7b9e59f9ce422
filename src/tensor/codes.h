/* tensor/codes.h - every quantised matrix as unsigned codes under scales: what integer kernels need to know.
 *
 *   w = scale * (value(code) - zero) + bias         value: the code itself, or its entry in `table`
 *
 * Files have a dozen layouts (quant.h, gguf_block.h); integer arithmetic sees only the five facts in
 * krs_codes. A matrix that has this form is read in blocks of 32 columns of a row and in groups of
 * columns under one scale; the identity above holds to the last bit with krs_matrix_row, but for the
 * rounding of its two operations. Kinds without it (fp8 codes are no integers; act order permutes
 * columns) say so.
 *
 * Scales of K-quants are products of two numbers and are handed out as such: a byte for each group under
 * an f16 for each 256 columns (KRS_CODES_SUPER), so that nothing is rounded and nothing grows.
 *
 * Thread: any; pure. */
#pragma once

#include "tensor/quant.h"

#define KRS_CODES_BLOCK   32  /* columns read at once; the last of a row may be padded with zeros */
#define KRS_CODES_SUPER   256 /* columns under one pair of super scales */
#define KRS_CODES_LEVELS  16  /* entries of a table: of 4-bit codes only */
#define KRS_CODES_MAX_BITS 8

typedef enum krs_code_scale {
    KRS_CODE_SCALE_BF16,
    KRS_CODE_SCALE_F16,
    KRS_CODE_SCALE_F32,
    KRS_CODE_SCALE_SUPER, /* scale = d * s, bias = -dmin * m: d, dmin f16 per 256 columns, s, m i8 per group */
} krs_code_scale;

typedef struct krs_codes {
    int32_t bits;         /* 2, 3, 4, 5, 6 or 8 */
    int32_t group;        /* columns under one scale: 16, 32, 64 or 128; a wider group of the file is cut */
    krs_code_scale scale; /* of scales and biases */
    bool has_bias;
    int32_t zero;         /* 0 .. 255; 0 with a bias */
    const uint8_t *table; /* [KRS_CODES_LEVELS] values 0 .. 255, or NULL: a code is its value */
} krs_codes;

/* False: the matrix has no such form, *out is not written. Dense matrices have none. */
bool krs_codes_of(const krs_matrix *m, krs_codes *out);

/* Groups of a row: n_in / group, rounded up; columns past the last are code `0` under scale 0. */
static inline int64_t krs_codes_n_groups(const krs_codes *codes, int64_t n_in)
{
    return (n_in + codes->group - 1) / codes->group;
}

/* Codes of columns [32 * block, 32 * block + 32) of a row, a byte each, below 2^bits. Columns past the
 * row's end: 0. */
void krs_codes_read(const krs_matrix *m, int64_t row, int64_t block,
                    uint8_t out[KRS_CODES_BLOCK]);

/* Scales, and biases when there are any, of groups [first, first + n) of a row, in the type codes->scale
 * says (2 or 4 bytes; SUPER: 1 byte, the s and m above). A group past the row's end: zeros. */
void krs_codes_scales(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                      void *biases);

/* SUPER: d and dmin (f16 as stored; dmin 0 without a bias) of super block `block` of a row. */
void krs_codes_super(const krs_matrix *m, int64_t row, int64_t block, uint16_t *d, uint16_t *dmin);
