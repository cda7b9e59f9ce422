/* compute/cpu/weights.c - see weights.h. */
#include "compute/cpu/weights.h"

#include "os/file.h"

krs_tiles krs_cpu_tiles_for(const krs_cpu_kernels *kernels, const krs_program *program,
                            const krs_op *op, uint32_t index)
{
    const krs_matrix *matrix = &program->matrices[index];
    const bool is_headed = op->kind == KRS_OP_HEAD_LINEAR;
    if (is_headed && matrix->n_out / op->head_linear.n_heads % KRS_TILE_OUTS != 0) {
        return (krs_tiles){.kind = KRS_TILE_NONE}; /* a tile would have outputs of two heads */
    }
    return krs_tiles_of(kernels, matrix);
}

/* Called for each matrix that an op multiplies rows with. */
typedef void (*visit_fn)(void *arg, const krs_op *op, uint32_t index);

static void visit_list(const krs_op *op, uint32_t first, visit_fn visit, void *arg)
{
    for (int32_t e = 0; first != KRS_NO_MATRIX && e < op->experts.n_experts; e++) {
        visit(arg, op, first + (uint32_t)e);
    }
}

static void visit_matrices(const krs_program *program, visit_fn visit, void *arg)
{
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const krs_op *op = &program->ops[i];
        if (op->kind == KRS_OP_LINEAR || op->kind == KRS_OP_HEAD_LINEAR) {
            visit(arg, op, op->matrix);
        } else if (op->kind == KRS_OP_EXPERTS) {
            visit_list(op, op->experts.gate, visit, arg);
            visit_list(op, op->experts.up, visit, arg);
            visit_list(op, op->experts.down, visit, arg);
        }
    }
}

static size_t padded(size_t n_bytes)
{
    return (n_bytes + KRS_HOST_ALIGN_BYTES - 1) / KRS_HOST_ALIGN_BYTES * KRS_HOST_ALIGN_BYTES;
}

typedef struct sum_task {
    const krs_cpu_kernels *kernels;
    const krs_program *program;
    size_t n_bytes;
} sum_task;

static void add_bytes(void *arg, const krs_op *op, uint32_t index)
{
    sum_task *t = arg;
    const krs_tiles tiles = krs_cpu_tiles_for(t->kernels, t->program, op, index);
    t->n_bytes += padded(krs_tiles_bytes(&tiles));
}

size_t krs_cpu_weights_bytes(const krs_cpu_kernels *kernels, const krs_program *program)
{
    sum_task task = {kernels, program, 0};
    visit_matrices(program, add_bytes, &task);
    return task.n_bytes;
}

static bool is_embedding(const krs_program *program, uint32_t index)
{
    for (uint32_t i = 0; i < program->n_ops; i++) {
        if (program->ops[i].kind == KRS_OP_EMBED && program->ops[i].matrix == index) {
            return true;
        }
    }
    return false;
}

/* A stack of experts is no embedding: not asked, since there are thousands. */
static void add_replaced(void *arg, const krs_op *op, uint32_t index)
{
    sum_task *t = arg;
    const krs_matrix *m = &t->program->matrices[index];
    const krs_tiles tiles = krs_cpu_tiles_for(t->kernels, t->program, op, index);
    const bool is_read = op->kind != KRS_OP_EXPERTS && is_embedding(t->program, index);
    if (tiles.kind != KRS_TILE_NONE && !is_read) {
        t->n_bytes += krs_matrix_data_bytes(m) + krs_matrix_scale_bytes(m);
    }
}

size_t krs_cpu_weights_replaced(const krs_cpu_kernels *kernels, const krs_program *program)
{
    sum_task task = {kernels, program, 0};
    visit_matrices(program, add_replaced, &task);
    return task.n_bytes;
}

/* The file's bytes of a matrix that has become tiles. An embedding's come back row by row. */
static void forget_matrix(const krs_program *program, const krs_matrix *m)
{
    const size_t table_bytes =
        krs_matrix_scale_bytes(m) / (krs_quant_has_biases(m->quant.kind) ? 2 : 1);
    krs_os_map_forget(program->maps, program->n_maps, m->data, krs_matrix_data_bytes(m));
    krs_os_map_forget(program->maps, program->n_maps, m->scales, table_bytes);
    krs_os_map_forget(program->maps, program->n_maps, m->biases, table_bytes);
}

typedef struct fill_task {
    krs_cpu_backend *backend;
    const krs_program *program;
    krs_tiles *tiles;
    unsigned char *at; /* where the next matrix goes */
    uint32_t index;    /* of the one under way */
    unsigned char *data;
} fill_task;

static void fill_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const fill_task *t = arg;
    const krs_tiles *tiles = &t->tiles[t->index];
    int64_t begin;
    int64_t end;
    /* As the products will be cut: pages lie where they are first written. */
    krs_cpu_team_share(krs_tiles_n(tiles), 1, index, n_threads, &begin, &end);
    krs_tiles_fill(tiles, &t->program->matrices[t->index], begin, end, t->data);
}

static void fill_matrix(void *arg, const krs_op *op, uint32_t index)
{
    fill_task *t = arg;
    krs_tiles *tiles = &t->tiles[index];
    if (tiles->kind != KRS_TILE_NONE) {
        return; /* another op has it too */
    }
    *tiles = krs_cpu_tiles_for(&t->backend->kernels, t->program, op, index);
    if (tiles->kind == KRS_TILE_NONE) {
        return;
    }
    t->index = index;
    t->data = t->at;
    krs_cpu_team_run(t->backend->team, fill_share, t);
    tiles->data = t->data;
    forget_matrix(t->program, &t->program->matrices[index]);
    t->at += padded(krs_tiles_bytes(tiles));
}

krs_status krs_cpu_weights_new(krs_cpu_backend *backend, const krs_program *program,
                               krs_tiles *tiles, krs_os_pages **pages, krs_error *err)
{
    const size_t n_bytes = krs_cpu_weights_bytes(&backend->kernels, program);
    *pages = NULL;
    if (n_bytes == 0) {
        return KRS_OK;
    }
    const krs_status status =
        krs_os_pages_new(n_bytes, KRS_OS_PLACE_FIRST_TOUCH, backend->base.alloc, pages, err);
    if (status == KRS_OK) {
        fill_task task = {
            .backend = backend,
            .program = program,
            .tiles = tiles,
            .at = krs_os_pages_data(*pages),
        };
        visit_matrices(program, fill_matrix, &task);
    }
    return status;
}
