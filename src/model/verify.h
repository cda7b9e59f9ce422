/* model/verify.h - are a model's numbers numbers?
 *
 * Opening a model has compared names, shapes and layouts already; this reads every value once. NaN and
 * infinity have no business in weights: one of them makes every answer nonsense, and no error says so.
 * Tensors that the network does not use are read, too: they tell a damaged file.
 *
 * Thread: any; reads the model only.  Memory: one row. */
#pragma once

#include "model/model.h"

typedef struct krs_verify_fault {
    krs_str tensor; /* of the file; borrowed from the model */
    uint64_t n_nan;
    uint64_t n_infinite;
    int64_t
        first; /* index of the first, counted along the tensor; of a quantised one along its rows of weights */
} krs_verify_fault;

typedef struct krs_verify_sum {
    uint64_t n_tensors; /* read as what they are */
    uint64_t n_values;
    uint64_t n_faulty; /* tensors */
    uint64_t
        n_opaque; /* tensors that are no numbers by themselves, and belong to no weight in use */
} krs_verify_sum;

/* fault is valid during the call. */
typedef void (*krs_verify_tell)(void *ctx, const krs_verify_fault *fault);

/* Errors: KRS_ENOMEM. Faults are no errors: tell is called for each faulty tensor, *out counts them. */
KRS_MUST_USE krs_status krs_model_verify(const krs_model *model, const krs_alloc *alloc,
                                         krs_verify_tell tell, void *ctx, krs_verify_sum *out,
                                         krs_error *err);
