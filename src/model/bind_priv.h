/* model/bind_priv.h - between the files of the binder: a tensor that was found, and the part of it that
 * a role is.
 *
 * Thread: one owner.  Memory: borrows the file's bytes. */
#pragma once

#include "model/bind.h"

#define KRS_TENSOR_NAME_BYTES                                                                      \
    (KRS_FAMILY_NAME_BYTES + 16) /* a module and its longest suffix, ".weight" */

/* The name of one tensor of a module; the suffix is exchanged in place. */
typedef struct krs_tensor_name {
    char text[KRS_TENSOR_NAME_BYTES];
    size_t len; /* of the module */
} krs_tensor_name;

/* What is looked for. */
typedef struct krs_wanted {
    krs_role role;
    const krs_weight_form *form;
    int64_t rows;    /* of the whole tensor, seen as a matrix the right way round */
    int64_t columns; /* of the same */
    int32_t expert;
} krs_wanted;

/* A tensor, or one expert of a stack, as the file has it. */
typedef struct krs_whole {
    krs_matrix matrix;
    bool is_transposed; /* matrix is [columns, rows] */
} krs_whole;

/* The dimensions a tensor should have. */
typedef struct krs_tensor_shape {
    int32_t rank;
    int64_t dims[KRS_TENSOR_MAX_RANK];
} krs_tensor_shape;

/* module + suffix, or NULL. name->text is the tensor's name afterwards. */
const krs_tensor *krs_binder_find(const krs_binder *binder, krs_tensor_name *name,
                                  const char *suffix);

/* KRS_ENOENT for the tensor that name says. */
krs_status krs_tensor_missing(const krs_tensor_name *name, krs_role role, krs_error *err);

/* [experts,] rows, [1,] columns. */
krs_tensor_shape krs_tensor_shape_of(const krs_binder *binder, const krs_weight_form *form,
                                     int64_t rows, int64_t columns);
/* KRS_EFORMAT with both shapes; KRS_EUNSUPPORTED unless F32, F16 or BF16. */
KRS_MUST_USE krs_status krs_tensor_check_shape(const krs_tensor *tensor,
                                               const krs_tensor_shape *want, krs_error *err);
KRS_MUST_USE krs_status krs_tensor_check_float(const krs_tensor *tensor, krs_error *err);
/* The bytes of one expert of a stack; of the only one otherwise. */
const void *krs_tensor_expert(const krs_tensor *tensor, const krs_wanted *wanted);

/* The codes of a module that is stored quantised, in any way quantised.c knows; NULL: it is dense, or not
 * there. name->text is the tensor's name afterwards. */
const krs_tensor *krs_tensor_find_codes(const krs_binder *binder, krs_tensor_name *name,
                                        const krs_weight_form *form);
/* Is the module in the file, dense or quantised? */
bool krs_tensor_is_stored(const krs_binder *binder, krs_tensor_name *name,
                          const krs_weight_form *form);
/* The matrix of a quantised module; codes: found above. Errors: as krs_binder_bind. */
KRS_MUST_USE krs_status krs_tensor_quantised(krs_binder *binder, const krs_tensor *codes,
                                             krs_tensor_name *name, const krs_wanted *wanted,
                                             krs_matrix *out, krs_error *err);

/* The weight of a module. Errors: as krs_binder_bind. */
KRS_MUST_USE krs_status krs_tensor_weight(krs_binder *binder, krs_tensor_name *name,
                                          const krs_wanted *wanted, krs_whole *out, krs_error *err);

/* A vector of n floats (one dimension in the file; of an expert, one row of two). */
KRS_MUST_USE krs_status krs_tensor_vector(const krs_binder *binder, const krs_tensor *tensor,
                                          const krs_wanted *wanted, int64_t n, krs_matrix *out,
                                          krs_error *err);

/* The role's rows of a whole, as a view where they lie together and the right way round, and as a copy
 * otherwise. rows: of the role; at and groups as in krs_weight_form, in numbers. Errors: KRS_ENOMEM. */
typedef struct krs_part_of {
    int64_t rows;
    int64_t at;
    int64_t groups; /* >= 1, divides rows and the whole's rows */
} krs_part_of;

KRS_MUST_USE krs_status krs_part_take(krs_copies *copies, const krs_whole *whole,
                                      const krs_part_of *part, krs_matrix *out, krs_error *err);
/* Each group's n_in rows from `at` on, turned: out has part->rows rows of n_in, part->rows / part->groups of
 * each group, one for each column of the whole. */
KRS_MUST_USE krs_status krs_part_turn(krs_copies *copies, const krs_matrix *whole,
                                      const krs_part_of *part, int64_t n_in, krs_matrix *out,
                                      krs_error *err);
/* krs_part_take of a vector, whose elements are the rows. */
KRS_MUST_USE krs_status krs_part_take_vector(krs_copies *copies, const krs_matrix *whole,
                                             const krs_part_of *part, krs_matrix *out,
                                             krs_error *err);
