/* tensor/gguf_block_priv.h - one block of each type to f32: the definitions.
 *
 * block: as long as the type's row in gguf_block.c says; out: [n_elements]. All arithmetic is in f32, in
 * the order ggml does it, so that a row here is a row there to the last bit.
 *
 * Thread: any; pure. */
#pragma once

#include <stdint.h>

typedef void (*krs_gguf_block_read)(const unsigned char *block, float *out);

void krs_gguf_read_q4_0(const unsigned char *block, float *out);
void krs_gguf_read_q4_1(const unsigned char *block, float *out);
void krs_gguf_read_q5_0(const unsigned char *block, float *out);
void krs_gguf_read_q5_1(const unsigned char *block, float *out);
void krs_gguf_read_q8_0(const unsigned char *block, float *out);
void krs_gguf_read_iq4_nl(const unsigned char *block, float *out);
void krs_gguf_read_mxfp4(const unsigned char *block, float *out);
void krs_gguf_read_q2_k(const unsigned char *block, float *out);
void krs_gguf_read_q3_k(const unsigned char *block, float *out);
void krs_gguf_read_q4_k(const unsigned char *block, float *out);
void krs_gguf_read_q5_k(const unsigned char *block, float *out);
void krs_gguf_read_q6_k(const unsigned char *block, float *out);
void krs_gguf_read_iq4_xs(const unsigned char *block, float *out);

/* Blocks of 32 codes that index a table of levels; the IQ4 types share theirs. */
extern const int8_t krs_gguf_iq4_levels[16];
void krs_gguf_read_levels(const unsigned char *q, float d, const int8_t levels[16], float *out);
