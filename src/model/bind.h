/* model/bind.h - from a role to the bytes that play it, or a line that says why not.
 *
 * Every tensor is looked up by the family's name, checked against the shape config.json implies and
 * the layouts the kernels know, and added to the program as a matrix that points into the file. The
 * file decides whether a module is quantised (a U32 weight with scales and biases is, as in MLX);
 * config.json must then say how.
 *
 * Both spellings of the hub are taken: "model.layers.0..." (a model with its head) and "layers.0..."
 * (the bare network). Head weights never carry the prefix.
 *
 * Thread: one owner.  Memory: none of its own. */
#pragma once

#include "model/family.h"
#include "model/model.h"

#define KRS_BIND_NAME_BYTES                                                                        \
    (KRS_FAMILY_NAME_BYTES + 16) /* a module and its longest suffix, ".weight" */

typedef struct krs_binder {
    const krs_family *family;
    const krs_model_config *config;
    const krs_tensor_dir *tensors;
    const char *prefix; /* "model." or "" */
    krs_program *program;
    krs_model_stats *stats;
    uint32_t embed_matrix; /* bound already, for a tied head; KRS_NO_MATRIX before */
} krs_binder;

typedef struct krs_bound {
    uint32_t matrix; /* index into program->matrices */
    uint32_t bias;   /* the same, or KRS_NO_MATRIX */
} krs_bound;

/* All arguments borrowed for the binder's life. */
void krs_binder_init(krs_binder *binder, const krs_family *family, const krs_model_config *config,
                     const krs_tensor_dir *tensors, krs_program *program, krs_model_stats *stats);

/* Does the family have this weight? */
bool krs_binder_has(const krs_binder *binder, krs_role role);

/* Bind one weight and its bias, and count them in stats. layer: ignored by roles outside the layers.
 * Errors: KRS_ENOENT (missing tensor), KRS_EFORMAT (shape, vocabulary, a layout config.json denies),
 * KRS_EUNSUPPORTED (dtype, quantisation), KRS_ENOMEM, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_binder_bind(krs_binder *binder, krs_role role, int32_t layer,
                                        krs_bound *out, krs_error *err);
