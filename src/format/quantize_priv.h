/* format/quantize_priv.h - what is to be written, decided before anything is: one item per weight of the
 * output. See quantize.h.
 *
 * Thread: one owner.  Memory: the arena of the plan. */
#pragma once

#include "base/arena.h"
#include "format/quantize.h"

/* One weight of the output, and where its values come from. */
typedef struct krs_quantize_item {
    krs_str name;                  /* of the weight in the output */
    krs_str stem;                  /* what .scales and .biases follow */
    const krs_tensor *const *from; /* [n_from] of one shape; a stack when is_stack */
    uint32_t n_from;
    bool is_stack;     /* one dimension more in front, n_from long */
    bool is_turned;    /* [n_in, n_out] in the file */
    bool is_quantised; /* else copied */
    int64_t n_out;     /* rows of the output in all, experts counted; quantised ones only */
    int64_t n_in;
} krs_quantize_item;

typedef struct krs_quantize_plan {
    krs_arena arena;
    krs_quantize_item *items; /* [n_items] in order of the source's names */
    uint32_t n_items;
} krs_quantize_plan;

/* Errors: KRS_EFORMAT (a turned weight that does not divide), KRS_ENOMEM, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_quantize_plan_make(const krs_tensor_dir *dir,
                                               const krs_quantize_options *options,
                                               const krs_alloc *alloc, krs_quantize_plan *out,
                                               krs_error *err);
void krs_quantize_plan_free(krs_quantize_plan *plan);
