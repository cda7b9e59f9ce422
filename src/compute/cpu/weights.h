/* compute/cpu/weights.h - which matrices of a program become tiles, and making them.
 *
 *   krs_cpu_tiles_for    a matrix as an op uses it: tiles, or as it lies in the file
 *   krs_cpu_weights_new  all of a program, repacked by the team into pages of their own
 *
 * Matrices that only EMBED reads, norm weights and biases stay where they are; a tied head becomes tiles
 * while its embedding is read from the file.
 *
 * Thread: the exec's owner.  Memory: one mapping (os/pages.h), freed with the exec. */
#pragma once

#include "compute/cpu/cpu.h"

/* Matrix `index` as op uses it; not filled. kind NONE: no tiles. */
krs_tiles krs_cpu_tiles_for(const krs_cpu_kernels *kernels, const krs_program *program,
                            const krs_op *op, uint32_t index);

/* Bytes of all tiles of a program; a matrix that two ops use counts twice. */
size_t krs_cpu_weights_bytes(const krs_cpu_kernels *kernels, const krs_program *program);

/* Bytes of the file's matrices that nothing reads once they are tiles: all but embeddings. One that two
 * ops use counts twice, as its tiles do above. */
size_t krs_cpu_weights_replaced(const krs_cpu_kernels *kernels, const krs_program *program);

/* Each matrix's pages of a mapped file are forgotten as soon as it is tiles, so that memory never holds the
 * model twice. tiles: [n_matrices] zeros. *pages: NULL when there are none. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_cpu_weights_new(krs_cpu_backend *backend, const krs_program *program,
                                            krs_tiles *tiles, krs_os_pages **pages, krs_error *err);
