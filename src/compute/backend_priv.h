/* compute/backend_priv.h - what a backend must provide to stand behind backend.h.
 *
 * A backend and an exec begin with the structs below; the table does the rest. backend.c checks what
 * all backends need checked (limits, the program, the in-flight rules are the exec's own business),
 * so a new device starts from facts.
 *
 * Thread: as backend.h. */
#pragma once

#include "compute/backend.h"

#define KRS_BACKEND_DESCRIPTION_BYTES 96

typedef struct krs_backend_ops {
    void (*close)(krs_backend *backend);
    /* program and limits have been checked, here and in exec_new. */
    krs_status (*plan_of)(krs_backend *backend, const krs_program *program,
                          const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err);
    krs_status (*exec_new)(krs_backend *backend, const krs_program *program,
                           const krs_exec_limits *limits, krs_exec **out, krs_error *err);
    void (*exec_free)(krs_exec *exec);
    krs_status (*submit)(krs_exec *exec, const krs_step *step, krs_error *err);
    krs_status (*collect)(krs_exec *exec, krs_step_result *out, krs_error *err);
} krs_backend_ops;

struct krs_backend {
    const krs_backend_ops *ops;
    const krs_alloc *alloc;
    krs_dtype kv_dtype;
    char description[KRS_BACKEND_DESCRIPTION_BYTES];
};

struct krs_exec {
    krs_backend *backend;
};

/* The most rows of a kind that a step may have. */
static inline uint32_t krs_exec_max_rows_of(const krs_exec_limits *limits, krs_rows rows)
{
    return rows == KRS_ROWS_ALL      ? limits->max_rows
           : rows == KRS_ROWS_LOGITS ? limits->max_logit_rows
                                     : limits->max_hidden_rows;
}

/* Rows of a kind in a step. */
static inline uint32_t krs_step_n_rows_of(const krs_step *step, krs_rows rows)
{
    return rows == KRS_ROWS_ALL      ? step->n_rows
           : rows == KRS_ROWS_LOGITS ? step->n_logit_rows
                                     : step->n_hidden_rows;
}

/* Which rows of the step a slot of that kind has; rows is not KRS_ROWS_ALL. */
static inline const uint32_t *krs_step_rows_of(const krs_step *step, krs_rows rows)
{
    return rows == KRS_ROWS_LOGITS ? step->logit_rows : step->hidden_rows;
}
