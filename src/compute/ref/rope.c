/* compute/ref/rope.c - rotary positions. In the "half" layout of Hugging Face checkpoints element i of a
 * head turns with element i + n_freqs; in the interleaved one elements 2 i and 2 i + 1 turn together.
 * The angle is position * inv_freq rounded to f32, because that is what models were trained and are
 * judged with; its cosine and sine are then taken in double.
 * Source: Su et al. 2021, RoFormer, arXiv:2104.09864; the layout of transformers' rotate_half. */
#include "compute/ref/ref.h"

#include <math.h>

/* head: its first rotated element. */
static void rotate_head(float *head, const float *freqs, const krs_op *op, uint32_t position)
{
    const int64_t n_freqs = op->rope.n_freqs;
    const double scale = (double)op->rope.scale;
    for (int64_t i = 0; i < n_freqs; i++) {
        const float angle = (float)position * freqs[i];
        const double c = (double)(float)(cos((double)angle) * scale);
        const double s = (double)(float)(sin((double)angle) * scale);
        float *first = op->rope.is_interleaved ? head + 2 * i : head + i;
        float *second = op->rope.is_interleaved ? first + 1 : first + n_freqs;
        const double a = (double)*first;
        const double b = (double)*second;
        *first = (float)(a * c - b * s);
        *second = (float)(b * c + a * s);
    }
}

void krs_ref_rope(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const float *freqs = host->program->floats + op->rope.freqs;
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        float *row = krs_host_row(host, op->in, r) + op->rope.offset;
        for (int32_t h = 0; h < op->rope.n_heads; h++) {
            rotate_head(row + (int64_t)h * op->rope.head_dim, freqs, op, host->positions[r]);
        }
    }
}
