/* model/bind.h - from a role to the bytes that play it, or a line that says why not.
 *
 * Every tensor is looked up by the family's name, checked against the shape config.json implies and
 * the layouts the kernels know, and added to the program as a matrix that points into the file. The
 * file decides whether a module is quantised (quantised.c); config.json must then say how.
 *
 * A role may be a part of a tensor (fused projections), one expert of a stack, or lie the other way round.
 * Parts whose rows are contiguous stay views; the rest is copied once, into memory that the model owns and
 * stats count (part.c).
 *
 * All spellings of the hub are taken: "model.layers.0..." (a model with its head), "layers.0..." (the bare
 * network), "language_model.model.layers.0..." (the text part of a larger model).
 *
 *   bind.c        roles, names, books      tensor.c   one tensor, checked
 *   quantised.c   a quantised one          part.c     the role's part of it
 *
 * Thread: one owner.  Memory: what it copies goes to the model's copies. */
#pragma once

#include "model/copies.h"
#include "model/family.h"
#include "model/model.h"

typedef struct krs_binder {
    const krs_family *family;
    const krs_model_config *config;
    const krs_tensor_dir *tensors;
    const char *prefix;      /* of the network: "model.", "", ... */
    const char *head_prefix; /* of what stands outside of it: "", "language_model." */
    krs_program *program;
    krs_model_stats *stats;
    krs_copies *copies;
    uint32_t embed_matrix; /* bound already, for a tied head; KRS_NO_MATRIX before */
    /* The last weight that was rewritten as a whole, for the roles that are parts of it. */
    const krs_tensor *rewritten_from; /* its codes; NULL: none yet */
    krs_matrix rewritten;
} krs_binder;

typedef struct krs_bound {
    uint32_t matrix; /* index into program->matrices */
    uint32_t bias;   /* the same, or KRS_NO_MATRIX */
} krs_bound;

/* What of a weight to bind. */
typedef enum krs_weight_half {
    KRS_HALF_BOTH,
    KRS_HALF_MATRIX, /* its bias is checked, and left for later */
    KRS_HALF_BIAS,
} krs_weight_half;

/* One weight of the network. */
typedef struct krs_weight_key {
    krs_role role;
    int32_t layer;  /* ignored by roles outside of the layers */
    int32_t expert; /* ignored by roles without experts */
    krs_weight_half half;
} krs_weight_key;

/* All arguments borrowed for the binder's life. */
void krs_binder_init(krs_binder *binder, const krs_family *family, const krs_model_config *config,
                     const krs_tensor_dir *tensors, krs_program *program, krs_model_stats *stats,
                     krs_copies *copies);

/* Bind one weight and its bias, and count them in stats.
 * Errors: KRS_ENOENT (missing tensor), KRS_EFORMAT (shape, vocabulary, a layout config.json denies),
 * KRS_EUNSUPPORTED (dtype, quantisation), KRS_ENOMEM, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_binder_bind(krs_binder *binder, const krs_weight_key *key,
                                        krs_bound *out, krs_error *err);

/* Has the file this weight, by any of its names? */
bool krs_binder_has(const krs_binder *binder, const krs_weight_key *key);
/* How many experts of a role the file has, where each has a tensor of its own; -1 where they are a stack,
 * whose shape says it. Counting ends at one more than the configuration has. */
int32_t krs_binder_count_experts(const krs_binder *binder, const krs_weight_key *key);
/* Has the weight a bias, as the family and the configuration say? */
bool krs_binder_has_bias(const krs_binder *binder, const krs_weight_key *key);
/* Is this convolution's kernel stored as MLX turns it, [channels, kernel, 1]? */
bool krs_binder_is_turned_kernel(const krs_binder *binder, const krs_weight_key *key);
