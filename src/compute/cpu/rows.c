/* compute/cpu/rows.c - the ops on single rows: norms, rope, activations, additions, copies, embeddings;
 * cut by rows.
 * A decode step has few rows and these ops few elements, so they mostly run on the owner's thread. */
#include "compute/cpu/cpu.h"

#include <math.h>

typedef struct rows_task {
    krs_cpu_exec *exec;
    const krs_op *op;
    int64_t n_rows;
    void (*row)(krs_cpu_exec *exec, const krs_op *op, int64_t r);
} rows_task;

static void rows_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const rows_task *t = arg;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        t->row(t->exec, t->op, r);
    }
}

/* row(op, r) for all rows of `slot`, on the team when that is worth it. */
static void for_rows(krs_cpu_exec *exec, const krs_op *op, krs_slot slot,
                     void (*row)(krs_cpu_exec *exec, const krs_op *op, int64_t r))
{
    rows_task task = {exec, op, krs_host_n_rows(&exec->host, slot), row};
    const int64_t width = exec->host.program->slots[slot].width;
    krs_cpu_fork(exec, task.n_rows > 1 ? task.n_rows * width : 0, rows_share, &task);
}

/* Values of a norm's vector for the part of a row that begins at `at`: that part's own, or the one
 * there is. NULL: there is no vector. */
static const float *norm_part(const krs_cpu_exec *exec, uint32_t index, int64_t at)
{
    if (index == KRS_NO_MATRIX) {
        return NULL;
    }
    const bool is_whole_row = exec->host.program->matrices[index].n_in > at;
    return exec->vectors[index] + (is_whole_row ? at : 0);
}

static void norm_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const float *in = krs_host_row(&exec->host, op->in, r);
    float *out = krs_host_row(&exec->host, op->out, r);
    const int64_t width = exec->host.program->slots[op->in].width;
    const int64_t part = width / op->norm.n_groups;
    const bool has_mean = op->kind == KRS_OP_LAYER_NORM;
    for (int64_t at = 0; at < width; at += part) {
        const krs_cpu_norm norm = {
            .weight = norm_part(exec, op->matrix, at),
            .bias = has_mean ? norm_part(exec, op->bias, at) : NULL,
            .offset = op->norm.weight_offset,
            .eps = op->norm.eps,
        };
        (has_mean ? exec->kernels->layer_norm : exec->kernels->rms_norm)(&norm, in + at, part,
                                                                         out + at);
    }
}

/* RMS_NORM and LAYER_NORM. */
void krs_cpu_norm_op(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, norm_row);
}

static const krs_cpu_rope_table *rope_table(const krs_cpu_exec *exec, const krs_op *op)
{
    const krs_cpu_rope_table *table = exec->ropes;
    while (table->freqs != op->rope.freqs || table->n_freqs != op->rope.n_freqs ||
           table->scale != op->rope.scale) {
        table++; /* exec.c made one for every rotation */
    }
    return table;
}

static void rope_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const krs_cpu_rope_table *table = rope_table(exec, op);
    const float *cosines = table->values + r * 2 * table->n_freqs;
    float *row = krs_host_row(&exec->host, op->in, r) + op->rope.offset;
    void (*const turn)(float *head, const float *cosines, const float *sines, int64_t n) =
        op->rope.is_interleaved ? exec->kernels->rope_pairs : exec->kernels->rope;
    for (int32_t h = 0; h < op->rope.n_heads; h++) {
        turn(row + (int64_t)h * op->rope.head_dim, cosines, cosines + table->n_freqs,
             table->n_freqs);
    }
}

void krs_cpu_rope(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, rope_row);
}

/* Angles as HF models have them: position * inv_freq rounded to f32, cosine and sine of that. */
static void fill_rope_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    (void)op;
    const float position = (float)exec->host.positions[r];
    for (uint32_t i = 0; i < exec->n_ropes; i++) {
        const krs_cpu_rope_table *table = &exec->ropes[i];
        const float *freqs = exec->host.program->floats + table->freqs;
        float *values = table->values + r * 2 * table->n_freqs;
        for (int32_t k = 0; k < table->n_freqs; k++) {
            const float angle = position * freqs[k];
            values[k] = cosf(angle) * table->scale;
            values[table->n_freqs + k] = sinf(angle) * table->scale;
        }
    }
}

void krs_cpu_fill_ropes(krs_cpu_exec *exec)
{
    /* A sine costs some 50 elements of other ops; a row of a table is 64 to 256 of them. */
    enum { ROW_COST = 8192 };
    rows_task task = {exec, NULL, exec->host.step->n_rows, fill_rope_row};
    krs_cpu_fork(exec, task.n_rows * ROW_COST, rows_share, &task);
}

static void glu_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    exec->kernels->glu(
        &op->glu, krs_host_row(&exec->host, op->in, r), krs_host_row(&exec->host, op->in2, r),
        exec->host.program->slots[op->in].width, krs_host_row(&exec->host, op->out, r));
}

void krs_cpu_glu(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, glu_row);
}

static void add_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    exec->kernels->add(krs_host_row(&exec->host, op->in, r), krs_host_row(&exec->host, op->in2, r),
                       op->add.scale, exec->host.program->slots[op->in].width,
                       krs_host_row(&exec->host, op->out, r));
}

void krs_cpu_add(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, add_row);
}

static void scale_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    exec->kernels->scale(op->scale.factor, op->scale.softcap, krs_host_row(&exec->host, op->in, r),
                         exec->host.program->slots[op->in].width,
                         krs_host_row(&exec->host, op->out, r));
}

void krs_cpu_scale_op(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, scale_row);
}

static void activate_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    exec->kernels->activate(op->activate.act, krs_host_row(&exec->host, op->in, r),
                            exec->host.program->slots[op->in].width,
                            krs_host_row(&exec->host, op->out, r));
}

void krs_cpu_activate(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, activate_row);
}

static void add_vector_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    exec->kernels->add(krs_host_row(&exec->host, op->in, r), exec->vectors[op->matrix], 1.0f,
                       exec->host.program->slots[op->in].width,
                       krs_host_row(&exec->host, op->out, r));
}

void krs_cpu_add_vector(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, add_vector_row);
}

static void copy_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const krs_slot_shape *slots = exec->host.program->slots;
    const int64_t in_part = slots[op->in].width / op->copy.n_groups;
    const int64_t out_part = slots[op->out].width / op->copy.n_groups;
    const float *in = krs_host_row(&exec->host, op->in, r) + op->copy.in_at;
    float *out = krs_host_row(&exec->host, op->out, r) + op->copy.out_at;
    for (int64_t g = 0; g < op->copy.n_groups; g++) {
        memcpy(out + g * out_part, in + g * in_part, (size_t)op->copy.n * sizeof(*out));
    }
}

void krs_cpu_copy(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->in, copy_row);
}

static void take_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const krs_slot_shape *shape = &exec->host.program->slots[op->out];
    memcpy(krs_host_row(&exec->host, op->out, r),
           krs_host_row(&exec->host, op->in, krs_step_rows_of(exec->host.step, shape->rows)[r]),
           (size_t)shape->width * sizeof(float));
}

void krs_cpu_take_rows(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->out, take_row);
}

static void embed_row(krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const krs_matrix *matrix = &exec->host.program->matrices[op->matrix];
    float *out = krs_host_row(&exec->host, op->out, r);
    krs_matrix_row(matrix, exec->host.step->tokens[r], out);
    for (int64_t i = 0; i < matrix->n_in; i++) {
        out[i] *= op->embed.scale;
    }
}

void krs_cpu_embed(krs_cpu_exec *exec, const krs_op *op)
{
    for_rows(exec, op, op->out, embed_row);
}

/* Not a row function: in may be out, so the row of positions waits in the thread's scratch. */
static void add_position_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const rows_task *t = arg;
    const krs_host_exec *host = &t->exec->host;
    const krs_matrix *matrix = &host->program->matrices[t->op->matrix];
    float *values = t->exec->thread_scratch + index * t->exec->thread_floats;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        krs_matrix_row(matrix, (int64_t)host->positions[r] + t->op->embed.offset, values);
        t->exec->kernels->add(krs_host_row(host, t->op->in, r), values, 1.0f, matrix->n_in,
                              krs_host_row(host, t->op->out, r));
    }
}

void krs_cpu_add_position(krs_cpu_exec *exec, const krs_op *op)
{
    rows_task task = {exec, op, krs_host_n_rows(&exec->host, op->in), NULL};
    const int64_t width = exec->host.program->slots[op->in].width;
    krs_cpu_fork(exec, task.n_rows > 1 ? task.n_rows * width : 0, add_position_share, &task);
}
