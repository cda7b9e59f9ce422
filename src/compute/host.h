/* compute/host.h - what the backends that run on the CPU share: memory, row tables, queueing.
 *
 *   one scratch block:  [exec struct | row tables | slots ... | logits and hidden states 0, 1 | the backend's own]
 *   one KV block:       [K of all layers | V of all layers]        (kv_layout.h)
 *   one state block:    [slot 0 | slot 1 | ...], each f32 [state_floats]; none without state
 *
 * `ref` and `cpu` differ in how they compute, not in what surrounds computing; so the surroundings are
 * here once, and a backend adds a function that runs all ops of the current step. Sizes come from one
 * layout function that both the plan and the allocation use: the plan is exact by construction.
 * Work is done inside submit, yet up to KRS_EXEC_MAX_IN_FLIGHT results wait to be collected, so
 * callers written for an asynchronous device behave the same here.
 *
 * Thread: one owner per exec.  Memory: two or three allocations in _new, none after. */
#pragma once

#include "compute/backend_priv.h"
#include "compute/kv_layout.h"

#define KRS_HOST_ALIGN_BYTES 64 /* a cache line and a 512-bit vector */

typedef struct krs_host_exec krs_host_exec;

/* Byte offsets into the scratch block; total_bytes includes what alignment may cost. */
typedef struct krs_host_layout {
    size_t positions;
    size_t row_seqs;
    size_t slots[KRS_PROGRAM_MAX_SLOTS];
    size_t logits[KRS_EXEC_MAX_IN_FLIGHT];
    size_t hidden[KRS_EXEC_MAX_IN_FLIGHT];
    size_t extra;
    size_t total_bytes;
    size_t kv_bytes;
    size_t state_bytes; /* 0: no state */
    krs_kv_layout kv;
} krs_host_layout;

struct krs_host_exec {
    krs_exec base;
    const krs_program *program;
    krs_exec_limits limits;
    krs_kv_layout kv;
    void *scratch_block; /* as allocated; this struct lies in it */
    void *kv_block;
    float *states; /* [n_state_slots][state_floats], or NULL */
    unsigned char *k;
    unsigned char *v;
    void *extra;                         /* the backend's own scratch, aligned */
    uint32_t *positions;                 /* [max_rows] of the step's rows */
    uint32_t *row_seqs;                  /* [max_rows] index of the row's sequence in the step */
    float *slots[KRS_PROGRAM_MAX_SLOTS]; /* logits and hidden: the result being written */
    float *logits[KRS_EXEC_MAX_IN_FLIGHT];
    float *hidden[KRS_EXEC_MAX_IN_FLIGHT];
    uint32_t n_logit_rows[KRS_EXEC_MAX_IN_FLIGHT];
    uint32_t n_hidden_rows[KRS_EXEC_MAX_IN_FLIGHT];
    uint64_t n_submitted;
    uint64_t n_collected;
    uint32_t vocab;       /* tokens must be below it */
    const krs_step *step; /* while submit runs */
    void (*run)(krs_host_exec *exec);
};

/* struct_bytes: of the backend's exec struct, which begins with a krs_host_exec; extra_bytes: of its
 * own scratch. Errors: KRS_ETOOLARGE (sizes that do not fit the address space). */
KRS_MUST_USE krs_status krs_host_layout_of(const krs_program *program,
                                           const krs_exec_limits *limits, size_t struct_bytes,
                                           size_t extra_bytes, krs_host_layout *out,
                                           krs_error *err);

/* The plan of a layout, except copied_bytes, which only the backend knows. */
krs_exec_plan krs_host_plan_of(const krs_program *program, const krs_host_layout *layout);

/* Allocate and wire up; *out begins a zeroed struct of struct_bytes. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_host_exec_new(krs_backend *backend, const krs_program *program,
                                          const krs_exec_limits *limits,
                                          const krs_host_layout *layout, size_t struct_bytes,
                                          krs_host_exec **out, krs_error *err);
void krs_host_exec_free(krs_exec *exec);

/* As backend.h. */
KRS_MUST_USE krs_status krs_host_submit(krs_exec *exec, const krs_step *step, krs_error *err);
KRS_MUST_USE krs_status krs_host_collect(krs_exec *exec, krs_step_result *out, krs_error *err);

/* The states of a step, before its ops: copies made in their order, then zeros for new sequences. */
void krs_host_prepare_states(krs_host_exec *exec, const krs_step *step);
/* After a CONV over a sequence's rows: its last inputs into the state. */
void krs_host_keep_inputs(const krs_host_exec *exec, const krs_op *op, const krs_step_seq *seq);

/* State slot `slot` from element `first` on. */
static inline float *krs_host_state(const krs_host_exec *exec, uint32_t slot, int64_t first)
{
    return exec->states + (int64_t)slot * exec->program->state_floats + first;
}

/* Rows of a slot in the current step. */
static inline int64_t krs_host_n_rows(const krs_host_exec *exec, krs_slot slot)
{
    return krs_step_n_rows_of(exec->step, exec->program->slots[slot].rows);
}

/* Row r of a slot, [width] f32. */
static inline float *krs_host_row(const krs_host_exec *exec, krs_slot slot, int64_t r)
{
    return exec->slots[slot] + r * exec->program->slots[slot].width;
}
