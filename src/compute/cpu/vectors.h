/* compute/cpu/vectors.h - small matrices that kernels read as f32, whatever the file has.
 *
 * Norm weights, biases, sinks: a few MiB in all, read element by element beside rows of f32. They are
 * widened once, when the exec is made. A convolution's kernels [channels][kernel] are turned as well, so
 * that channels lie along vectors.
 *
 * Thread: pure. */
#pragma once

#include "compute/program.h"

/* Elements of matrix `index` when an op of the program reads it so; 0: none does. */
size_t krs_cpu_vector_floats(const krs_program *program, uint32_t index);

/* Those elements into out. */
void krs_cpu_widen_vector(const krs_program *program, uint32_t index, float *out);
