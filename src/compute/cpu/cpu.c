/* compute/cpu/cpu.c - see cpu.h: the backend object and the running of a step. Memory is in exec.c. */
#include "compute/cpu/attend_rows.h"
#include "compute/cpu/exec.h"
#include "compute/cpu/isa.h"

#include "os/cpu.h"

#include <stdio.h>

void krs_cpu_fork(const krs_cpu_exec *exec, int64_t n_elements, krs_cpu_task task, void *arg)
{
    if (n_elements < KRS_CPU_FORK_ELEMENTS) {
        task(arg, 0, 1);
    } else {
        krs_cpu_team_run(exec->team, task, arg);
    }
}

/* The slot an op writes; ROPE turns its input in place. */
static krs_slot written_slot(const krs_op *op)
{
    return op->kind == KRS_OP_ROPE ? op->in : op->out;
}

static void linear_alone(krs_cpu_exec *exec, const krs_op *op)
{
    (void)krs_cpu_linear_ops(exec, op, 1);
}

/* NULL: this backend does not have it. */
static void (*const ops[KRS_OP_KIND_COUNT])(krs_cpu_exec *exec, const krs_op *op) = {
    [KRS_OP_EMBED] = krs_cpu_embed,
    [KRS_OP_RMS_NORM] = krs_cpu_norm_op,
    [KRS_OP_LINEAR] = linear_alone,
    [KRS_OP_ROPE] = krs_cpu_rope,
    [KRS_OP_KV_WRITE] = krs_cpu_kv_write,
    [KRS_OP_ATTENTION] = krs_cpu_attention_op,
    [KRS_OP_GLU] = krs_cpu_glu,
    [KRS_OP_ADD] = krs_cpu_add,
    [KRS_OP_TAKE_ROWS] = krs_cpu_take_rows,
    [KRS_OP_ROUTE] = krs_cpu_route,
    [KRS_OP_EXPERTS] = krs_cpu_experts,
    [KRS_OP_CONV] = krs_cpu_conv_op,
    [KRS_OP_DELTA] = krs_cpu_delta_op,
    [KRS_OP_LAYER_NORM] = krs_cpu_norm_op,
    [KRS_OP_SCALE] = krs_cpu_scale_op,
    [KRS_OP_ACTIVATE] = krs_cpu_activate,
    [KRS_OP_ADD_POSITION] = krs_cpu_add_position,
    [KRS_OP_ADD_VECTOR] = krs_cpu_add_vector,
    [KRS_OP_COPY] = krs_cpu_copy,
    [KRS_OP_HEAD_LINEAR] = linear_alone,
    [KRS_OP_ATTEND_ROWS] = krs_cpu_attend_rows,
};

/* ops[0], or all that can run at once with it; returns how many. */
static uint32_t run_next(krs_cpu_exec *exec, const krs_op *next, uint32_t n_left)
{
    if (next->kind == KRS_OP_LINEAR || next->kind == KRS_OP_HEAD_LINEAR) {
        return krs_cpu_linear_ops(exec, next, n_left);
    }
    ops[next->kind](exec, next);
    return 1;
}

static void run(krs_host_exec *host)
{
    krs_cpu_exec *exec = (krs_cpu_exec *)host;
    const krs_program *program = host->program;
    exec->has_packed = false;
    krs_cpu_fill_ropes(exec);
    for (uint32_t i = 0; i < program->n_ops;) {
        const uint32_t end = i + run_next(exec, &program->ops[i], program->n_ops - i);
        for (; i < end; i++) {
            const krs_op *op = &program->ops[i];
            if (op->kind != KRS_OP_KV_WRITE && written_slot(op) == exec->packed_slot) {
                exec->has_packed = false;
            }
        }
    }
}

/* Refuse what is not here by name, before anything is sized. */
static krs_status check_ops(const krs_program *program, krs_error *err)
{
    for (uint32_t i = 0; i < program->n_ops; i++) {
        if (!ops[program->ops[i].kind]) {
            return krs_fail(err, KRS_EUNSUPPORTED, "cpu: program op %u (%s) is not implemented", i,
                            krs_op_name(program->ops[i].kind));
        }
    }
    return KRS_OK;
}

static krs_status plan_of(krs_backend *backend, const krs_program *program,
                          const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err)
{
    const krs_status status = check_ops(program, err);
    return status == KRS_OK
               ? krs_cpu_exec_plan((krs_cpu_backend *)backend, program, limits, out, err)
               : status;
}

static krs_status exec_new(krs_backend *backend, const krs_program *program,
                           const krs_exec_limits *limits, krs_exec **out, krs_error *err)
{
    krs_cpu_exec *exec;
    krs_status status = check_ops(program, err);
    if (status == KRS_OK) {
        status = krs_cpu_exec_new((krs_cpu_backend *)backend, program, limits, &exec, err);
    }
    if (status == KRS_OK) {
        exec->host.run = run;
        *out = &exec->host.base;
    }
    return status;
}

static void close_cpu(krs_backend *base)
{
    krs_cpu_backend *backend = (krs_cpu_backend *)base;
    krs_cpu_team_free(backend->team);
    krs_alloc_free(base->alloc, backend);
}

/* As many threads as wanted, or one for each core, and pinned to the cores when that is wanted. */
static krs_status start_team(const krs_backend_options *options, krs_cpu_backend *backend,
                             bool *is_pinned, krs_error *err)
{
    uint32_t cores[KRS_BACKEND_MAX_THREADS];
    const uint32_t n_cores = krs_os_core_cpus(cores, KRS_BACKEND_MAX_THREADS);
    const uint32_t n = options->n_threads > 0 ? (uint32_t)options->n_threads : n_cores;
    const krs_status status = krs_cpu_team_new(n, backend->base.alloc, &backend->team, err);
    *is_pinned =
        status == KRS_OK && options->is_pinned && krs_cpu_team_pin(backend->team, cores, n_cores);
    return status;
}

krs_status krs_cpu_open(const krs_backend_options *options, const krs_alloc *alloc,
                        krs_backend **out, krs_error *err)
{
    static const krs_backend_ops table = {
        .close = close_cpu,
        .plan_of = plan_of,
        .exec_new = exec_new,
        .exec_free = krs_cpu_exec_free,
        .submit = krs_host_submit,
        .collect = krs_host_collect,
    };
    krs_cpu_backend *backend = krs_alloc_zero(alloc, sizeof(*backend));
    if (!backend) {
        return krs_fail(err, KRS_ENOMEM, "backend cpu: out of memory");
    }
    backend->base.alloc = alloc;
    bool is_pinned = false;
    krs_status status = krs_cpu_isa_kernels(options->isa, &backend->kernels, &backend->exact, err);
    if (status == KRS_OK) {
        status = start_team(options, backend, &is_pinned, err);
    }
    if (status != KRS_OK) {
        krs_alloc_free(alloc, backend);
        return status;
    }
    if (options->is_exact) {
        backend->kernels.n_terms = backend->exact.n_terms;
        backend->kernels.attention = backend->exact.attention;
    }
    backend->base.ops = &table;
    backend->base.kv_dtype = backend->kernels.kv_dtype;
    const uint32_t n_threads = krs_cpu_team_n_threads(backend->team);
    (void)snprintf(backend->base.description, sizeof(backend->base.description),
                   "cpu: %u thread%s%s, %s%s", n_threads, n_threads == 1 ? "" : "s",
                   is_pinned ? " pinned" : "", backend->kernels.isa,
                   options->is_exact ? ", exact rows" : "");
    *out = &backend->base;
    return KRS_OK;
}
