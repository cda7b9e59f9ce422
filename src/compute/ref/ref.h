/* compute/ref/ref.h - the reference backend: the meaning of every op, one thread, no tricks.
 *
 * This is what every other backend is compared with, so it is written to be read and believed: sums
 * in double, weights through krs_matrix_row, one loop per index, results rounded to f32 once per op.
 * It takes 1 to 2 ns per weight and row; fine for tests and small models, not for serving.
 *
 * Thread: one owner per exec.  Memory: as compute/host.h. */
#pragma once

#include "compute/host.h"

typedef struct krs_ref_exec {
    krs_host_exec host;
    float *row;      /* [widest matrix] one row of weights */
    float *bias_row; /* [widest matrix] the bias beside it */
    double *inner;   /* [widest matrix] an expert's gated row */
    double *sums;    /* [widest matrix] of experts */
    double *scores;  /* [rows one row can see] of one head of one token */
} krs_ref_exec;

/* As krs_backend_open. */
KRS_MUST_USE krs_status krs_ref_open(const krs_backend_options *options, const krs_alloc *alloc,
                                     krs_backend **out, krs_error *err);

/* One op of program.h each, over all rows of the current step. */
void krs_ref_embed(krs_ref_exec *exec, const krs_op *op);
void krs_ref_take_rows(krs_ref_exec *exec, const krs_op *op);
void krs_ref_rms_norm(krs_ref_exec *exec, const krs_op *op);
void krs_ref_linear(krs_ref_exec *exec, const krs_op *op);
void krs_ref_rope(krs_ref_exec *exec, const krs_op *op);
void krs_ref_kv_write(krs_ref_exec *exec, const krs_op *op);
void krs_ref_attention(krs_ref_exec *exec, const krs_op *op);
void krs_ref_glu(krs_ref_exec *exec, const krs_op *op);
void krs_ref_add(krs_ref_exec *exec, const krs_op *op);
void krs_ref_layer_norm(krs_ref_exec *exec, const krs_op *op);
void krs_ref_scale(krs_ref_exec *exec, const krs_op *op);
void krs_ref_activate(krs_ref_exec *exec, const krs_op *op);
void krs_ref_add_position(krs_ref_exec *exec, const krs_op *op);
void krs_ref_add_vector(krs_ref_exec *exec, const krs_op *op);
void krs_ref_copy(krs_ref_exec *exec, const krs_op *op);
void krs_ref_head_linear(krs_ref_exec *exec, const krs_op *op);
void krs_ref_route(krs_ref_exec *exec, const krs_op *op);
void krs_ref_experts(krs_ref_exec *exec, const krs_op *op);
void krs_ref_conv(krs_ref_exec *exec, const krs_op *op);
void krs_ref_delta(krs_ref_exec *exec, const krs_op *op);
void krs_ref_attend_rows(krs_ref_exec *exec, const krs_op *op);

/* Element o of a stored vector. */
double krs_ref_vector_at(const krs_matrix *vector, int64_t o);
