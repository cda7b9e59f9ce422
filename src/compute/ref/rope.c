/* compute/ref/rope.c - rotary positions, the "half" layout of Hugging Face checkpoints: element i of a
 * head turns with element i + n_freqs.
 * The angle is position * inv_freq rounded to f32, because that is what models were trained and are
 * judged with; its cosine and sine are then taken in double.
 * Source: Su et al. 2021, RoFormer, arXiv:2104.09864; the layout of transformers' rotate_half. */
#include "compute/ref/ref.h"

#include <math.h>

static void rotate_head(float *head, const float *freqs, int32_t n_freqs, uint32_t position,
                        double scale)
{
    for (int32_t i = 0; i < n_freqs; i++) {
        const float angle = (float)position * freqs[i];
        const double c = (double)(float)(cos((double)angle) * scale);
        const double s = (double)(float)(sin((double)angle) * scale);
        const double a = (double)head[i];
        const double b = (double)head[i + n_freqs];
        head[i] = (float)(a * c - b * s);
        head[i + n_freqs] = (float)(b * c + a * s);
    }
}

void krs_ref_rope(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const float *freqs = host->program->floats + op->rope.freqs;
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        float *row = krs_host_row(host, op->in, r);
        for (int32_t h = 0; h < op->rope.n_heads; h++) {
            rotate_head(row + (int64_t)h * op->rope.head_dim, freqs, op->rope.n_freqs,
                        host->positions[r], (double)op->rope.scale);
        }
    }
}
