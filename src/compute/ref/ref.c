/* compute/ref/ref.c - see ref.h: the backend around the reference ops. */
#include "compute/ref/ref.h"

#include "base/checked.h"

#include <stdio.h>

/* Elements of the widest weight row. */
static size_t widest_row(const krs_program *program)
{
    int64_t widest = 1;
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        widest = program->matrices[i].n_in > widest ? program->matrices[i].n_in : widest;
    }
    return (size_t)widest;
}

/* Rows one row can see: positions the model and the cache can hold, or a whole step. */
static size_t longest_sequence(const krs_program *program, const krs_exec_limits *limits)
{
    const uint64_t in_cache = (uint64_t)limits->n_kv_blocks * KRS_KV_BLOCK_TOKENS;
    const uint64_t in_model = (uint64_t)program->max_positions;
    const uint64_t in_both = in_cache < in_model ? in_cache : in_model;
    return (size_t)(in_both > limits->max_rows ? in_both : limits->max_rows);
}

static krs_status layout_of(const krs_program *program, const krs_exec_limits *limits,
                            krs_host_layout *out, krs_error *err)
{
    const size_t each = 2 * sizeof(float) + 2 * sizeof(double);
    const size_t extra =
        widest_row(program) * each + longest_sequence(program, limits) * sizeof(double);
    return krs_host_layout_of(program, limits, sizeof(krs_ref_exec), extra, out, err);
}

static krs_status plan_of(krs_backend *backend, const krs_program *program,
                          const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err)
{
    (void)backend;
    krs_host_layout layout;
    const krs_status status = layout_of(program, limits, &layout, err);
    if (status == KRS_OK) {
        *out = krs_host_plan_of(program, &layout);
    }
    return status;
}

static void run(krs_host_exec *host)
{
    static void (*const ops[])(krs_ref_exec * exec, const krs_op *op) = {
        [KRS_OP_EMBED] = krs_ref_embed,
        [KRS_OP_RMS_NORM] = krs_ref_rms_norm,
        [KRS_OP_LINEAR] = krs_ref_linear,
        [KRS_OP_ROPE] = krs_ref_rope,
        [KRS_OP_KV_WRITE] = krs_ref_kv_write,
        [KRS_OP_ATTENTION] = krs_ref_attention,
        [KRS_OP_GLU] = krs_ref_glu,
        [KRS_OP_ADD] = krs_ref_add,
        [KRS_OP_TAKE_ROWS] = krs_ref_take_rows,
        [KRS_OP_LAYER_NORM] = krs_ref_layer_norm,
        [KRS_OP_SCALE] = krs_ref_scale,
        [KRS_OP_ACTIVATE] = krs_ref_activate,
        [KRS_OP_ADD_POSITION] = krs_ref_add_position,
        [KRS_OP_ADD_VECTOR] = krs_ref_add_vector,
        [KRS_OP_COPY] = krs_ref_copy,
        [KRS_OP_HEAD_LINEAR] = krs_ref_head_linear,
        [KRS_OP_ROUTE] = krs_ref_route,
        [KRS_OP_EXPERTS] = krs_ref_experts,
        [KRS_OP_CONV] = krs_ref_conv,
        [KRS_OP_DELTA] = krs_ref_delta,
        [KRS_OP_ATTEND_ROWS] = krs_ref_attend_rows,
    };
    for (uint32_t i = 0; i < host->program->n_ops; i++) {
        const krs_op *op = &host->program->ops[i];
        ops[op->kind]((krs_ref_exec *)host, op);
    }
}

static krs_status exec_new(krs_backend *backend, const krs_program *program,
                           const krs_exec_limits *limits, krs_exec **out, krs_error *err)
{
    krs_host_layout layout;
    krs_status status = layout_of(program, limits, &layout, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_host_exec *host;
    status = krs_host_exec_new(backend, program, limits, &layout, sizeof(krs_ref_exec), &host, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_ref_exec *exec = (krs_ref_exec *)host;
    exec->scores = host->extra;
    exec->inner = exec->scores + longest_sequence(program, limits);
    exec->sums = exec->inner + widest_row(program);
    exec->row = (float *)(exec->sums + widest_row(program));
    exec->bias_row = exec->row + widest_row(program);
    host->run = run;
    *out = &host->base;
    return KRS_OK;
}

static void close_ref(krs_backend *backend)
{
    krs_alloc_free(backend->alloc, backend);
}

krs_status krs_ref_open(const krs_backend_options *options, const krs_alloc *alloc,
                        krs_backend **out, krs_error *err)
{
    static const krs_backend_ops table = {
        .close = close_ref,
        .plan_of = plan_of,
        .exec_new = exec_new,
        .exec_free = krs_host_exec_free,
        .submit = krs_host_submit,
        .collect = krs_host_collect,
    };
    (void)options; /* one thread, no instruction sets to choose from */
    krs_backend *backend = krs_alloc_zero(alloc, sizeof(*backend));
    if (!backend) {
        return krs_fail(err, KRS_ENOMEM, "backend ref: out of memory");
    }
    backend->ops = &table;
    backend->alloc = alloc;
    backend->kv_dtype = KRS_DTYPE_F32;
    (void)snprintf(backend->description, sizeof(backend->description),
                   "ref: 1 thread, scalar reference");
    *out = backend;
    return KRS_OK;
}
