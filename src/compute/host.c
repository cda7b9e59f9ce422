/* compute/host.c - see host.h: layout, allocation, release. */
#include "compute/host.h"

#include "compute/step_check.h"

#include "base/checked.h"

#include <string.h>

/* Put n * item_bytes at the next aligned offset after *end; false when sizes overflow. */
static bool place(size_t *end, size_t n, size_t item_bytes, size_t *offset)
{
    size_t n_bytes;
    size_t padded;
    if (!krs_size_mul(n, item_bytes, &n_bytes) ||
        !krs_size_round_up(n_bytes, KRS_HOST_ALIGN_BYTES, &padded)) {
        return false;
    }
    *offset = *end;
    return krs_size_add(*end, padded, end);
}

/* Elements of a slot that steps hand out: it has a place per step in flight instead of a slot's. */
static size_t result_floats(const krs_program *program, const krs_exec_limits *limits,
                            krs_slot slot)
{
    if (slot == KRS_NO_SLOT) {
        return 0;
    }
    const krs_slot_shape *shape = &program->slots[slot];
    return (size_t)krs_exec_max_rows_of(limits, shape->rows) * (size_t)shape->width;
}

static bool place_slots(const krs_program *program, const krs_exec_limits *limits, size_t *end,
                        krs_host_layout *out)
{
    bool fits = true;
    for (uint32_t s = 0; s < program->n_slots && fits; s++) {
        const krs_slot_shape *slot = &program->slots[s];
        const bool is_result = s == program->logits || s == program->hidden;
        const size_t n_rows = is_result ? 0 : krs_exec_max_rows_of(limits, slot->rows);
        fits = place(end, n_rows * (size_t)slot->width, sizeof(float), &out->slots[s]);
    }
    const size_t n_logits = result_floats(program, limits, program->logits);
    const size_t n_hidden = result_floats(program, limits, program->hidden);
    for (int i = 0; i < KRS_EXEC_MAX_IN_FLIGHT && fits; i++) {
        fits = place(end, n_logits, sizeof(float), &out->logits[i]) &&
               place(end, n_hidden, sizeof(float), &out->hidden[i]);
    }
    return fits;
}

/* All factors are bounded by program_check and the limits except the number of blocks and layers. */
static bool kv_bytes_of(const krs_kv_layout *kv, size_t *out)
{
    size_t n;
    return krs_size_mul((size_t)kv->n_layers, (size_t)kv->n_blocks, &n) &&
           krs_size_mul(n, (size_t)kv->n_heads, &n) &&
           krs_size_mul(n, (size_t)(kv->k_head_elements + kv->v_head_elements), &n) &&
           krs_size_mul(n, kv->element_bytes, &n) && krs_size_add(n, KRS_HOST_ALIGN_BYTES, out) &&
           *out <= INT64_MAX;
}

/* n_state_slots is looked at only here, where there is a state. */
static bool state_bytes_of(const krs_program *program, const krs_exec_limits *limits, size_t *out)
{
    size_t n_slots = program->state_floats > 0 ? limits->n_state_slots : 0;
    return krs_size_mul(n_slots, (size_t)program->state_floats, out) &&
           krs_size_mul(*out, sizeof(float), out) && *out <= INT64_MAX;
}

krs_status krs_host_layout_of(const krs_program *program, const krs_exec_limits *limits,
                              size_t struct_bytes, size_t extra_bytes, krs_host_layout *out,
                              krs_error *err)
{
    *out = (krs_host_layout){.kv = krs_kv_layout_of(program, limits)};
    size_t end = 0;
    size_t self;
    const bool fits =
        place(&end, 1, struct_bytes, &self) &&
        place(&end, limits->max_rows, sizeof(uint32_t), &out->positions) &&
        place(&end, limits->max_rows, sizeof(uint32_t), &out->row_seqs) &&
        place_slots(program, limits, &end, out) && place(&end, 1, extra_bytes, &out->extra) &&
        krs_size_add(end, KRS_HOST_ALIGN_BYTES, &out->total_bytes) &&
        kv_bytes_of(&out->kv, &out->kv_bytes) && state_bytes_of(program, limits, &out->state_bytes);
    if (!fits) {
        return krs_fail(err, KRS_ETOOLARGE,
                        "a step of %u rows with %u KV blocks is larger than the address space",
                        limits->max_rows, limits->n_kv_blocks);
    }
    return KRS_OK;
}

krs_exec_plan krs_host_plan_of(const krs_program *program, const krs_host_layout *layout)
{
    krs_exec_plan plan = {
        .kv_bytes = layout->kv_bytes,
        .state_bytes = layout->state_bytes,
        .scratch_bytes = layout->total_bytes,
    };
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        plan.weight_bytes += krs_matrix_data_bytes(&program->matrices[i]);
        plan.weight_bytes += krs_matrix_scale_bytes(&program->matrices[i]);
    }
    return plan;
}

static unsigned char *aligned(void *block)
{
    const uintptr_t misfit = (uintptr_t)block % KRS_HOST_ALIGN_BYTES;
    return (unsigned char *)block + (misfit ? KRS_HOST_ALIGN_BYTES - misfit : 0);
}

static void wire_up(krs_host_exec *exec, unsigned char *scratch, const krs_host_layout *layout)
{
    exec->positions = (uint32_t *)(void *)(scratch + layout->positions);
    exec->row_seqs = (uint32_t *)(void *)(scratch + layout->row_seqs);
    for (uint32_t s = 0; s < exec->program->n_slots; s++) {
        exec->slots[s] = (float *)(void *)(scratch + layout->slots[s]);
    }
    for (int i = 0; i < KRS_EXEC_MAX_IN_FLIGHT; i++) {
        exec->logits[i] = (float *)(void *)(scratch + layout->logits[i]);
        exec->hidden[i] = (float *)(void *)(scratch + layout->hidden[i]);
    }
    exec->extra = scratch + layout->extra;
    exec->kv = layout->kv;
    exec->k = aligned(exec->kv_block);
    exec->v = exec->k + (size_t)krs_kv_layout_k_elements(&exec->kv) * exec->kv.element_bytes;
    exec->vocab = krs_step_vocab_of(exec->program);
}

krs_status krs_host_exec_new(krs_backend *backend, const krs_program *program,
                             const krs_exec_limits *limits, const krs_host_layout *layout,
                             size_t struct_bytes, krs_host_exec **out, krs_error *err)
{
    *out = NULL;
    /* No block is cleared: that would touch every page of a cache that may never fill. Kernels read
     * only what was written, or mask what they read; a state is cleared when its sequence begins. */
    void *block = krs_alloc_bytes(backend->alloc, layout->total_bytes);
    void *kv = block ? krs_alloc_bytes(backend->alloc, layout->kv_bytes) : NULL;
    void *states =
        kv && layout->state_bytes ? krs_alloc_bytes(backend->alloc, layout->state_bytes) : NULL;
    if (!kv || (layout->state_bytes && !states)) {
        krs_alloc_free(backend->alloc, kv);
        krs_alloc_free(backend->alloc, block);
        return krs_fail(err, KRS_ENOMEM,
                        "%zu bytes of scratch, %zu bytes of KV cache and %zu bytes of states",
                        layout->total_bytes, layout->kv_bytes, layout->state_bytes);
    }
    unsigned char *scratch = aligned(block);
    memset(scratch, 0, struct_bytes);
    krs_host_exec *exec = (krs_host_exec *)(void *)scratch;
    exec->base.backend = backend;
    exec->program = program;
    exec->limits = *limits;
    exec->scratch_block = block;
    exec->kv_block = kv;
    exec->states = states;
    wire_up(exec, scratch, layout);
    *out = exec;
    return KRS_OK;
}

void krs_host_exec_free(krs_exec *base)
{
    krs_host_exec *exec = (krs_host_exec *)base;
    const krs_alloc *alloc = base->backend->alloc;
    krs_alloc_free(alloc, exec->states);
    krs_alloc_free(alloc, exec->kv_block);
    krs_alloc_free(alloc, exec->scratch_block); /* exec lies in it */
}
