/* model/quantised_priv.h - between the files that bind quantised modules: one call's arguments, and the
 * look-ups that all makers' layouts need. See quantised.c.
 *
 * Thread: one owner.  Memory: borrows. */
#pragma once

#include "model/bind_priv.h"

typedef struct krs_quantised_job {
    krs_binder *binder;
    const krs_tensor *codes;
    krs_tensor_name *name;
    const krs_wanted *wanted;
    krs_matrix *out; /* n_out and n_in are set */
    krs_error *err;
} krs_quantised_job;

/* Is the tensor [rows, columns] (of each expert)? KRS_EFORMAT. */
KRS_MUST_USE krs_status krs_quantised_check_shape(const krs_quantised_job *j,
                                                  const krs_tensor *tensor, int64_t rows,
                                                  int64_t columns);
/* The module's tensor of this suffix, dtype and shape. */
KRS_MUST_USE krs_status krs_quantised_find_words(const krs_quantised_job *j, const char *suffix,
                                                 krs_dtype dtype, int64_t rows, int64_t columns,
                                                 const krs_tensor **out);
/* The same of floats of any width. */
KRS_MUST_USE krs_status krs_quantised_find_floats(const krs_quantised_job *j, const char *suffix,
                                                  int64_t rows, int64_t columns,
                                                  const krs_tensor **out);
/* A vector I32 of the group of each column; *out NULL when there is none. */
KRS_MUST_USE krs_status krs_quantised_find_index(const krs_quantised_job *j, const char *suffix,
                                                 const void **out);
/* Has config.json named the method? KRS_EFORMAT. */
KRS_MUST_USE krs_status krs_quantised_check_method(const krs_quantised_job *j,
                                                   krs_hub_method method);
/* Is it no stack of experts? KRS_EUNSUPPORTED. */
KRS_MUST_USE krs_status krs_quantised_check_single(const krs_quantised_job *j);
/* Is there no tensor of this suffix? KRS_EUNSUPPORTED, saying why there must not be. */
KRS_MUST_USE krs_status krs_quantised_check_absent(const krs_quantised_job *j, const char *suffix,
                                                   const char *why);
/* n values of item bytes of the model's own. KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_quantised_take(const krs_quantised_job *j, size_t n, size_t item,
                                           void **out);

/* The layouts. Each fills j->out. Errors: as krs_binder_bind. */
KRS_MUST_USE krs_status krs_quantised_columns(const krs_quantised_job *j); /* GPTQ, AWQ */
KRS_MUST_USE krs_status krs_quantised_packed(const krs_quantised_job *j);  /* compressed-tensors */
KRS_MUST_USE krs_status krs_quantised_int8(const krs_quantised_job *j);    /* the same */
KRS_MUST_USE krs_status krs_quantised_fp8(const krs_quantised_job *j); /* fp8, compressed-tensors */
