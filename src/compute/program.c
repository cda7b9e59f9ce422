/* compute/program.c - see program.h. The builders: bounded arrays that double, and nothing else. What a
 * program may contain is judged in program_check.c, once it is whole. */
#include "compute/program.h"

#include <string.h>

#define FIRST_CAPACITY 64u /* a small model's ops fit in two doublings */

void krs_program_init(krs_program *program, const krs_alloc *alloc)
{
    *program = (krs_program){.alloc = alloc, .logits = KRS_NO_SLOT, .hidden = KRS_NO_SLOT};
}

void krs_program_deinit(krs_program *program)
{
    krs_alloc_free(program->alloc, program->ops);
    krs_alloc_free(program->alloc, program->matrices);
    krs_alloc_free(program->alloc, program->floats);
    krs_program_init(program, program->alloc);
}

krs_status krs_program_add_slot(krs_program *program, int64_t width, krs_rows rows, krs_slot *out)
{
    if (program->n_slots == KRS_PROGRAM_MAX_SLOTS) {
        return KRS_ETOOLARGE;
    }
    program->slots[program->n_slots] = (krs_slot_shape){width, rows};
    *out = program->n_slots++;
    return KRS_OK;
}

/* A capacity that holds n + 1 items: cap itself, or the next doubling up to max. 0: over the ceiling. */
static uint32_t capacity_for(uint32_t n, uint32_t cap, uint32_t max)
{
    if (n < cap) {
        return cap;
    }
    if (n >= max) {
        return 0;
    }
    const uint32_t doubled = cap ? 2 * cap : FIRST_CAPACITY;
    return doubled < max ? doubled : max;
}

krs_status krs_program_add_matrix(krs_program *program, const krs_matrix *matrix, uint32_t *out)
{
    const uint32_t cap =
        capacity_for(program->n_matrices, program->cap_matrices, KRS_PROGRAM_MAX_MATRICES);
    if (cap == 0) {
        return KRS_ETOOLARGE;
    }
    if (cap != program->cap_matrices) {
        krs_matrix *grown =
            krs_alloc_resize(program->alloc, program->matrices, cap, sizeof(*grown));
        if (!grown) {
            return KRS_ENOMEM;
        }
        program->matrices = grown;
        program->cap_matrices = cap;
    }
    program->matrices[program->n_matrices] = *matrix;
    *out = program->n_matrices++;
    return KRS_OK;
}

krs_status krs_program_add_floats(krs_program *program, const float *values, uint32_t n,
                                  uint32_t *out)
{
    if (n > KRS_PROGRAM_MAX_FLOATS - program->n_floats) {
        return KRS_ETOOLARGE;
    }
    /* Rare and small (one table per kind of RoPE), so grown to fit each time. */
    const uint32_t total = program->n_floats + n;
    float *grown =
        krs_alloc_resize(program->alloc, program->floats, total ? total : 1, sizeof(*grown));
    if (!grown) {
        return KRS_ENOMEM;
    }
    if (n > 0) {
        memcpy(grown + program->n_floats, values, n * sizeof(*values));
    }
    program->floats = grown;
    *out = program->n_floats;
    program->n_floats = total;
    return KRS_OK;
}

krs_status krs_program_add_op(krs_program *program, const krs_op *op)
{
    const uint32_t cap = capacity_for(program->n_ops, program->cap_ops, KRS_PROGRAM_MAX_OPS);
    if (cap == 0) {
        return KRS_ETOOLARGE;
    }
    if (cap != program->cap_ops) {
        krs_op *grown = krs_alloc_resize(program->alloc, program->ops, cap, sizeof(*grown));
        if (!grown) {
            return KRS_ENOMEM;
        }
        program->ops = grown;
        program->cap_ops = cap;
    }
    program->ops[program->n_ops++] = *op;
    program->is_whole |= op->kind == KRS_OP_ATTEND_ROWS;
    return KRS_OK;
}

krs_status krs_program_add_state(krs_program *program, int64_t n, int64_t *first)
{
    if (n < 0 || n > KRS_PROGRAM_MAX_STATE - program->state_floats) {
        return KRS_ETOOLARGE;
    }
    *first = program->state_floats;
    program->state_floats += n;
    return KRS_OK;
}
