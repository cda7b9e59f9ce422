/* compute/cpu/exec.c - see exec.h: what an exec needs beyond the host's, sized once and cut once.
 *
 *   extra scratch:  [vector pointers | tiles | packed rows | rope tables | per-thread scratch |
 *                   ATTEND_ROWS | EXPERTS]
 *   vectors:        [f32 values of every norm weight and bias the ops name]
 *
 * `sizes` below is computed from the program alone, for the plan and for the allocation alike. */
#include "compute/cpu/exec.h"

#include "compute/cpu/attend_rows.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/experts.h"
#include "compute/cpu/vectors.h"
#include "compute/cpu/weights.h"

#include "base/check.h"

typedef struct sizes {
    size_t pointers; /* bytes of each region, padded to KRS_HOST_ALIGN_BYTES */
    size_t tiles;
    size_t packed;
    size_t rope_row_floats; /* of all tables, for one row */
    size_t ropes;
    size_t thread_floats;
    size_t threads;
    size_t attend;  /* of the ATTENTION or ATTEND_ROWS op that takes most */
    size_t experts; /* of the EXPERTS op that takes most */
    size_t vectors; /* bytes of vector values, an allocation of its own; 0: none */
    size_t weights; /* bytes of tiles, likewise */
} sizes;

static size_t padded(size_t n_bytes)
{
    return (n_bytes + KRS_HOST_ALIGN_BYTES - 1) / KRS_HOST_ALIGN_BYTES * KRS_HOST_ALIGN_BYTES;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What a matrix without tiles wants of a thread. */
static void add_thread_scratch(const krs_cpu_backend *backend, const krs_program *program,
                               const krs_op *op, uint32_t index, sizes *s)
{
    const krs_matrix *matrix = &program->matrices[index];
    const krs_tiles tiles = krs_cpu_tiles_for(&backend->kernels, program, op, index);
    if (tiles.kind == KRS_TILE_NONE && krs_cpu_is_widened(matrix)) {
        s->thread_floats = larger(s->thread_floats, KRS_CPU_WIDENED_OUTS * (size_t)matrix->n_in);
    }
}

/* max_rows: of packed x, which for HEAD_LINEAR are heads of rows. */
static void add_linear(const krs_cpu_backend *backend, const krs_program *program, const krs_op *op,
                       size_t max_rows, sizes *s)
{
    const krs_matrix *matrix = &program->matrices[op->matrix];
    const krs_cpu_kernels *kernels = op->is_exact ? &backend->exact : &backend->kernels;
    const krs_tiles tiles = krs_cpu_tiles_for(kernels, program, op, op->matrix);
    const krs_cpu_row_form form = krs_cpu_row_form_of(kernels, matrix, &tiles);
    s->packed = larger(s->packed, max_rows * form.row_bytes);
    add_thread_scratch(backend, program, op, op->matrix, s);
}

static void add_attention(const krs_cpu_backend *backend, const krs_program *program,
                          const krs_exec_limits *limits, sizes *s)
{
    const krs_kv_layout kv = krs_kv_layout_of(program, limits);
    const uint32_t n_threads = krs_cpu_team_n_threads(backend->team);
    const size_t n_shared = (size_t)krs_cpu_attention_shared_floats(&kv, n_threads);
    s->thread_floats = larger(s->thread_floats, (size_t)krs_cpu_attention_floats(&kv));
    s->attend = larger(s->attend, n_shared * sizeof(float));
}

/* The matrices of a list have one layout: the first speaks for all. */
static void add_experts(const krs_cpu_backend *backend, const krs_program *program,
                        const krs_op *op, size_t max_rows, sizes *s)
{
    const size_t n_bytes = krs_cpu_experts_bytes(op->is_exact ? &backend->exact : &backend->kernels,
                                                 program, op, max_rows);
    s->experts = larger(s->experts, n_bytes);
    add_thread_scratch(backend, program, op, op->experts.gate, s);
    add_thread_scratch(backend, program, op, op->experts.down, s);
    if (op->experts.up != KRS_NO_MATRIX) {
        add_thread_scratch(backend, program, op, op->experts.up, s);
    }
}

/* The table an op's rotation has, or n_ropes when it is a new one. */
static uint32_t find_rope(const krs_cpu_rope_table *ropes, uint32_t n_ropes, const krs_op *op)
{
    uint32_t i = 0;
    while (i < n_ropes &&
           (ropes[i].freqs != op->rope.freqs || ropes[i].n_freqs != op->rope.n_freqs ||
            ropes[i].scale != op->rope.scale)) {
        i++;
    }
    return i;
}

static krs_status collect_ropes(const krs_program *program, krs_cpu_rope_table *ropes,
                                uint32_t *n_ropes, krs_error *err)
{
    *n_ropes = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const krs_op *op = &program->ops[i];
        if (op->kind != KRS_OP_ROPE || find_rope(ropes, *n_ropes, op) < *n_ropes) {
            continue;
        }
        if (*n_ropes == KRS_CPU_MAX_ROPES) {
            return krs_fail(err, KRS_EUNSUPPORTED, "program op %u: more than %d rotations", i,
                            KRS_CPU_MAX_ROPES);
        }
        ropes[(*n_ropes)++] =
            (krs_cpu_rope_table){op->rope.freqs, op->rope.n_freqs, op->rope.scale, NULL};
    }
    return KRS_OK;
}

static void add_op(const krs_cpu_backend *backend, const krs_program *program,
                   const krs_exec_limits *limits, const krs_op *op, sizes *s)
{
    if (op->kind == KRS_OP_LINEAR || op->kind == KRS_OP_HEAD_LINEAR) {
        const size_t max_rows = krs_exec_max_rows_of(limits, program->slots[op->in].rows);
        const size_t n_heads = op->kind == KRS_OP_HEAD_LINEAR ? (size_t)op->head_linear.n_heads : 1;
        add_linear(backend, program, op, max_rows * n_heads, s);
    } else if (op->kind == KRS_OP_EXPERTS) {
        add_experts(backend, program, op, krs_exec_max_rows_of(limits, program->slots[op->in].rows),
                    s);
    } else if (op->kind == KRS_OP_ADD_POSITION) {
        s->thread_floats = larger(s->thread_floats, (size_t)program->slots[op->in].width);
    } else if (op->kind == KRS_OP_ATTENTION) {
        add_attention(backend, program, limits, s);
    } else if (op->kind == KRS_OP_ATTEND_ROWS) {
        s->attend = larger(s->attend, krs_cpu_attend_rows_bytes(limits, op));
        s->thread_floats = larger(s->thread_floats, (size_t)krs_cpu_attend_rows_floats(limits, op));
    }
}

static krs_status sizes_of(const krs_cpu_backend *backend, const krs_program *program,
                           const krs_exec_limits *limits, sizes *out, krs_error *err)
{
    krs_cpu_rope_table ropes[KRS_CPU_MAX_ROPES];
    uint32_t n_ropes;
    *out = (sizes){.pointers = program->n_matrices * sizeof(float *)};
    const krs_status status = collect_ropes(program, ropes, &n_ropes, err);
    if (status != KRS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const krs_op *op = &program->ops[i];
        add_op(backend, program, limits, op, out);
    }
    for (uint32_t i = 0; i < n_ropes; i++) {
        out->rope_row_floats += 2 * (size_t)ropes[i].n_freqs;
    }
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        out->vectors += krs_cpu_vector_floats(program, i) * sizeof(float);
    }
    out->weights = krs_cpu_weights_bytes(&backend->kernels, program);
    out->pointers = padded(out->pointers);
    out->tiles = padded(program->n_matrices * sizeof(krs_tiles));
    out->packed = padded(out->packed);
    out->attend = padded(out->attend);
    out->ropes = padded(limits->max_rows * out->rope_row_floats * sizeof(float));
    /* Each thread's share begins on a cache line. */
    out->thread_floats = padded(out->thread_floats * sizeof(float)) / sizeof(float);
    out->threads =
        padded(out->thread_floats * sizeof(float) * krs_cpu_team_n_threads(backend->team));
    return KRS_OK;
}

static krs_status layout_of(const krs_cpu_backend *backend, const krs_program *program,
                            const krs_exec_limits *limits, sizes *s, krs_host_layout *layout,
                            krs_error *err)
{
    const krs_status status = sizes_of(backend, program, limits, s, err);
    if (status != KRS_OK) {
        return status;
    }
    const size_t extra =
        s->pointers + s->tiles + s->packed + s->ropes + s->threads + s->attend + s->experts;
    return krs_host_layout_of(program, limits, sizeof(krs_cpu_exec), extra, layout, err);
}

krs_status krs_cpu_exec_plan(const krs_cpu_backend *backend, const krs_program *program,
                             const krs_exec_limits *limits, krs_exec_plan *out, krs_error *err)
{
    sizes s;
    krs_host_layout layout;
    const krs_status status = layout_of(backend, program, limits, &s, &layout, err);
    if (status == KRS_OK) {
        const uint64_t replaced = krs_cpu_weights_replaced(&backend->kernels, program);
        *out = krs_host_plan_of(program, &layout);
        out->weight_bytes -= replaced < out->weight_bytes ? replaced : out->weight_bytes;
        out->copied_bytes = s.vectors + s.weights;
    }
    return status;
}

static void cut_extra(krs_cpu_exec *exec, const sizes *s)
{
    unsigned char *at = exec->host.extra;
    exec->vectors = (const float **)(void *)at;
    at += s->pointers;
    exec->tiles = (krs_tiles *)(void *)at;
    at += s->tiles;
    exec->packed = at;
    at += s->packed;
    float *values = (float *)(void *)at;
    for (uint32_t i = 0; i < exec->n_ropes; i++) {
        exec->ropes[i].values = values;
        values += 2 * (size_t)exec->ropes[i].n_freqs * exec->host.limits.max_rows;
    }
    at += s->ropes;
    exec->thread_scratch = (float *)(void *)at;
    exec->thread_floats = s->thread_floats;
    at += s->threads;
    exec->attend = (float *)(void *)at;
    exec->experts = at + s->attend;
}

static void widen_vectors(krs_cpu_exec *exec)
{
    const krs_program *program = exec->host.program;
    float *values = exec->vector_values;
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        const size_t n = krs_cpu_vector_floats(program, i);
        exec->vectors[i] = n > 0 ? values : NULL;
        if (n > 0) {
            krs_cpu_widen_vector(program, i, values);
            values += n;
        }
    }
}

krs_status krs_cpu_exec_new(krs_cpu_backend *backend, const krs_program *program,
                            const krs_exec_limits *limits, krs_cpu_exec **out, krs_error *err)
{
    sizes s;
    krs_host_layout layout;
    krs_host_exec *host;
    *out = NULL;
    krs_status status = layout_of(backend, program, limits, &s, &layout, err);
    if (status == KRS_OK) {
        status = krs_host_exec_new(&backend->base, program, limits, &layout, sizeof(krs_cpu_exec),
                                   &host, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_cpu_exec *exec = (krs_cpu_exec *)host;
    exec->vector_values = s.vectors ? krs_alloc_bytes(backend->base.alloc, s.vectors) : NULL;
    if (s.vectors && !exec->vector_values) {
        krs_host_exec_free(&host->base);
        return krs_fail(err, KRS_ENOMEM, "%zu bytes of norm weights and biases", s.vectors);
    }
    exec->kernels = &backend->kernels;
    exec->exact = &backend->exact;
    exec->team = backend->team;
    /* layout_of has been through the same program: it has no rotation too many. */
    KRS_CHECK(collect_ropes(program, exec->ropes, &exec->n_ropes, NULL) == KRS_OK);
    cut_extra(exec, &s);
    widen_vectors(exec);
    memset(exec->tiles, 0, program->n_matrices * sizeof(krs_tiles));
    status = krs_cpu_weights_new(backend, program, exec->tiles, &exec->tile_pages, err);
    if (status != KRS_OK) {
        krs_cpu_exec_free(&host->base);
        return status;
    }
    *out = exec;
    return KRS_OK;
}

void krs_cpu_exec_free(krs_exec *base)
{
    krs_cpu_exec *exec = (krs_cpu_exec *)base;
    krs_os_pages_free(exec->tile_pages);
    krs_alloc_free(base->backend->alloc, exec->vector_values);
    krs_host_exec_free(base);
}
