/* compute/program_check.h - what the checks of single ops share. See krs_program_check in program.h.
 *
 *   program_check.c     the frame, the table of ops, the results
 *   check_matrix.c      ops with weights          check_attention.c  rotation, KV, attention
 *   check_rows.c        ops of activations alone         check_moe.c        routing and experts
 *   check_recurrent.c   ops with a state             check_attend_rows.c  attention over a step's rows
 *
 * A new kind of op is one check function, declared below, and one row of the table in program_check.c.
 * A check says what kernels may then rely on: that slots exist, are written, and are as wide as the
 * op's numbers and matrices ask; and that no number is one the arithmetic cannot use.
 *
 * Thread: any; pure. */
#pragma once

#include "compute/program.h"

typedef struct krs_checker {
    const krs_program *program;
    uint32_t index;   /* of the op under test */
    uint64_t written; /* bit s: slot s has been written */
    krs_error *err;
} krs_checker;

_Static_assert(KRS_PROGRAM_MAX_SLOTS <= 64, "krs_checker.written has a bit per slot");

static inline const krs_op *krs_checked_op(const krs_checker *c)
{
    return &c->program->ops[c->index];
}

static inline int64_t krs_checked_width(const krs_checker *c, krs_slot slot)
{
    return c->program->slots[slot].width;
}

static inline krs_rows krs_checked_rows(const krs_checker *c, krs_slot slot)
{
    return c->program->slots[slot].rows;
}

static inline bool krs_is_slot(const krs_checker *c, krs_slot slot)
{
    return slot < c->program->n_slots;
}

/* Has slot been written by an op before this one? */
static inline bool krs_is_written(const krs_checker *c, krs_slot slot)
{
    return krs_is_slot(c, slot) && (c->written >> slot & 1u);
}

/* KRS_EINTERNAL: "program op 7 (linear): <what>". */
krs_status krs_check_fail(const krs_checker *c, const char *what);

/* in is written, out a slot of the same rows: what most ops share. */
krs_status krs_check_in_out(const krs_checker *c);
/* The same, and as wide as each other. */
krs_status krs_check_same_width(const krs_checker *c);

/* Is matrix `index` sound, and of this shape? */
bool krs_is_matrix(const krs_checker *c, uint32_t index, int64_t n_out, int64_t n_in);
/* A dense vector of n elements? */
bool krs_is_vector(const krs_checker *c, uint32_t index, int64_t n);
/* Finite and not negative: what limits, caps and epsilons must be. */
bool krs_is_bound(float x);
bool krs_is_activation(krs_activation act);
/* Act known; limit a bound; with a limit, SILU and a usable alpha. */
bool krs_is_gate(const krs_gate *gate);
/* Do the COPYs into out of the op under test, this one included, cover it? */
bool krs_is_covered(const krs_checker *c);

krs_status krs_check_embed(const krs_checker *c);
krs_status krs_check_norm(const krs_checker *c);
krs_status krs_check_linear(const krs_checker *c);
krs_status krs_check_head_linear(const krs_checker *c);
krs_status krs_check_add_position(const krs_checker *c);
krs_status krs_check_add_vector(const krs_checker *c);
krs_status krs_check_rope(const krs_checker *c);
krs_status krs_check_kv_write(const krs_checker *c);
krs_status krs_check_attention(const krs_checker *c);
krs_status krs_check_glu(const krs_checker *c);
krs_status krs_check_add(const krs_checker *c);
krs_status krs_check_take_rows(const krs_checker *c);
krs_status krs_check_scale(const krs_checker *c);
krs_status krs_check_activate(const krs_checker *c);
krs_status krs_check_copy(const krs_checker *c);
krs_status krs_check_route(const krs_checker *c);
krs_status krs_check_experts(const krs_checker *c);
krs_status krs_check_conv(const krs_checker *c);
krs_status krs_check_delta(const krs_checker *c);
krs_status krs_check_attend_rows(const krs_checker *c);
