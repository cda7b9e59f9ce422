/* compute/cpu/experts.c - experts over the rows that chose them.
 *
 *   pairs (row, choice), sorted by expert     each expert's rows lie together
 *     pack x        each pair's row, as the matrices want it
 *     gate, up      each expert's matrices times its rows, outputs cut over the team
 *     act           gated, and packed for down
 *     down          the same again
 *   out = sum of weight * down over a row's pairs, in the order of its routing
 *
 * So an expert's weights are read once for all rows that chose it, threads stream different parts of
 * them, and a row's sum does not know who else chose the same. A step of many rows goes in parts, so
 * that scratch is bounded; a pair's numbers do not depend on its part.
 *
 * Thread: cut over the team.  Memory: exec->experts, of krs_cpu_experts_bytes. */
#include "compute/cpu/experts.h"

#include "compute/cpu/product.h"
#include "compute/cpu/weights.h"

/* Bytes of one pair's scratch, each padded to KRS_HOST_ALIGN_BYTES as a whole region is. */
typedef struct pair_sizes {
    size_t x;    /* packed, the larger of gate's and up's form */
    size_t gate; /* f32 [ffn], or [2 * ffn] of gate and up in turn */
    size_t up;   /* f32 [ffn] */
    size_t inner;
    size_t out; /* f32 [width] */
    size_t tables;
} pair_sizes;

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows for a list of matrices: its first speaks for all. */
static krs_cpu_row_form form_of(const krs_cpu_kernels *kernels, const krs_program *program,
                                const krs_op *op, uint32_t first)
{
    const krs_tiles tiles = krs_cpu_tiles_for(kernels, program, op, first);
    return krs_cpu_row_form_of(kernels, &program->matrices[first], &tiles);
}

static pair_sizes sizes_of(const krs_cpu_kernels *kernels, const krs_program *program,
                           const krs_op *op)
{
    const bool is_fused = op->experts.up == KRS_NO_MATRIX;
    const krs_matrix *down = &program->matrices[op->experts.down];
    const krs_matrix *gate = &program->matrices[op->experts.gate];
    const uint32_t up = is_fused ? op->experts.gate : op->experts.up;
    const krs_cpu_row_form g = form_of(kernels, program, op, op->experts.gate);
    const krs_cpu_row_form u = form_of(kernels, program, op, up);
    const krs_cpu_row_form d = form_of(kernels, program, op, op->experts.down);
    return (pair_sizes){
        .x = larger(g.row_bytes, u.row_bytes),
        .gate = (size_t)gate->n_out * sizeof(float),
        .up = (size_t)down->n_in * sizeof(float),
        .inner = d.row_bytes,
        .out = (size_t)down->n_out * sizeof(float),
        .tables = 2 * sizeof(uint32_t),
    };
}

static size_t pair_bytes(const pair_sizes *s)
{
    return s->x + s->gate + s->up + s->inner + s->out + s->tables;
}

enum { N_REGIONS = 7 };

/* Rows of a step that are done at once. */
static size_t rows_at_once(const pair_sizes *s, size_t top_k, size_t max_rows)
{
    const size_t n = KRS_CPU_EXPERTS_BYTES / (pair_bytes(s) * top_k);
    const size_t at_least = n > 0 ? n : 1;
    return at_least < max_rows ? at_least : max_rows;
}

size_t krs_cpu_experts_bytes(const krs_cpu_kernels *kernels, const krs_program *program,
                             const krs_op *op, size_t max_rows)
{
    const pair_sizes s = sizes_of(kernels, program, op);
    const size_t top_k = (size_t)program->slots[op->in2].width / 2;
    const size_t n_pairs = rows_at_once(&s, top_k, max_rows) * top_k;
    return n_pairs * pair_bytes(&s) + N_REGIONS * KRS_HOST_ALIGN_BYTES;
}

/* Rows [row, row + n_rows) of the step, their pairs in the order of experts. */
typedef struct experts_part {
    const krs_cpu_exec *exec;
    const krs_cpu_kernels *kernels;
    const krs_op *op;
    int64_t row;
    int64_t n_rows;
    int64_t top_k;
    int64_t n_pairs;
    int64_t width;
    int64_t ffn;
    uint32_t begins[KRS_ROUTE_MAX_EXPERTS + 1]; /* first pair of each expert */
    uint32_t *rows;                             /* [n_pairs] whose pair it is, within the part */
    uint32_t *pairs;                            /* [n_rows][top_k] where a row's choices are */
    unsigned char *x;
    float *gate;
    float *up;
    unsigned char *inner;
    float *out;
    krs_cpu_row_form x_form;
    krs_cpu_row_form inner_form;
    uint32_t first; /* matrices of the products under way, and their biases */
    uint32_t first_bias;
    krs_cpu_product_rows to; /* their rows, from pair 0 on; n not looked at */
} experts_part;

static const krs_matrix *matrix_of(const experts_part *p, uint32_t index)
{
    return &p->exec->host.program->matrices[index];
}

static const float *routing_of(const experts_part *p, int64_t row)
{
    return krs_host_row(&p->exec->host, p->op->in2, p->row + row);
}

static unsigned char *cut(unsigned char **at, size_t n_bytes)
{
    unsigned char *region = *at;
    *at += (n_bytes + KRS_HOST_ALIGN_BYTES - 1) / KRS_HOST_ALIGN_BYTES * KRS_HOST_ALIGN_BYTES;
    return region;
}

static void cut_scratch(experts_part *p, const pair_sizes *s, size_t n_pairs)
{
    unsigned char *at = p->exec->experts;
    p->x = cut(&at, n_pairs * s->x);
    p->gate = (float *)(void *)cut(&at, n_pairs * s->gate);
    p->up = (float *)(void *)cut(&at, n_pairs * s->up);
    p->inner = cut(&at, n_pairs * s->inner);
    p->out = (float *)(void *)cut(&at, n_pairs * s->out);
    p->rows = (uint32_t *)(void *)cut(&at, n_pairs * sizeof(uint32_t));
    p->pairs = (uint32_t *)(void *)cut(&at, n_pairs * sizeof(uint32_t));
}

/* Counting sort: stable, so an expert's rows stay in their order. */
static void sort_pairs(experts_part *p)
{
    memset(p->begins, 0, sizeof(p->begins));
    for (int64_t i = 0; i < p->n_pairs; i++) {
        p->begins[(size_t)routing_of(p, i / p->top_k)[i % p->top_k] + 1]++;
    }
    for (int32_t e = 0; e < p->op->experts.n_experts; e++) {
        p->begins[e + 1] += p->begins[e];
    }
    uint32_t next[KRS_ROUTE_MAX_EXPERTS];
    memcpy(next, p->begins, sizeof(next));
    for (int64_t i = 0; i < p->n_pairs; i++) {
        const uint32_t pair = next[(size_t)routing_of(p, i / p->top_k)[i % p->top_k]]++;
        p->rows[pair] = (uint32_t)(i / p->top_k);
        p->pairs[i] = pair;
    }
}

static void pack_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const experts_part *p = arg;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_pairs, 1, index, n_threads, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        krs_cpu_pack_row(p->kernels, &p->x_form,
                         krs_host_row(&p->exec->host, p->op->in, p->row + p->rows[i]),
                         p->x + (size_t)i * p->x_form.row_bytes);
    }
}

/* One list of matrices times the rows of each expert. */
static void products_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const experts_part *p = arg;
    const krs_cpu_row_form form =
        krs_cpu_row_form_of(p->kernels, matrix_of(p, p->first), &p->exec->tiles[p->first]);
    for (uint32_t e = 0; e < (uint32_t)p->op->experts.n_experts; e++) {
        const uint32_t begin = p->begins[e];
        if (p->begins[e + 1] == begin) {
            continue;
        }
        const float *bias =
            p->first_bias == KRS_NO_MATRIX ? NULL : p->exec->vectors[p->first_bias + e];
        const krs_cpu_product_rows rows = {
            .x = p->to.x + begin * form.row_bytes,
            .n = p->begins[e + 1] - begin,
            .out = p->to.out + begin * p->to.out_stride,
            .out_stride = p->to.out_stride,
        };
        const krs_cpu_weights weights = {matrix_of(p, p->first + e), &p->exec->tiles[p->first + e],
                                         bias};
        const krs_cpu_product product = krs_cpu_product_of(p->kernels, &weights, &rows);
        krs_cpu_product_share(p->exec, &product, index, n_threads);
    }
}

static void multiply(experts_part *p, uint32_t first, uint32_t first_bias,
                     const krs_cpu_product_rows *to)
{
    const krs_matrix *matrix = matrix_of(p, first);
    p->first = first;
    p->first_bias = first_bias;
    p->to = *to;
    const int64_t n_products = p->n_pairs * matrix->n_out * matrix->n_in;
    krs_cpu_fork(p->exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, products_share, p);
}

/* gate and up in turn, taken apart: gate into the first half of itself. */
static void take_apart(float *both, int64_t ffn, float *up)
{
    for (int64_t f = 0; f < ffn; f++) {
        const float gate = both[2 * f];
        up[f] = both[2 * f + 1];
        both[f] = gate; /* at or before what is still to be read */
    }
}

static void gate_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const experts_part *p = arg;
    const bool is_fused = p->op->experts.up == KRS_NO_MATRIX;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_pairs, 1, index, n_threads, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        float *gate = p->gate + i * (is_fused ? 2 * p->ffn : p->ffn);
        float *up = p->up + i * p->ffn;
        if (is_fused) {
            take_apart(gate, p->ffn, up);
        }
        p->kernels->glu(&p->op->experts.gated, gate, up, p->ffn, gate);
        krs_cpu_pack_row(p->kernels, &p->inner_form, gate,
                         p->inner + (size_t)i * p->inner_form.row_bytes);
    }
}

static void sum_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const experts_part *p = arg;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        float *out = krs_host_row(&p->exec->host, p->op->out, p->row + r);
        const float *weights = routing_of(p, r) + p->top_k;
        memset(out, 0, (size_t)p->width * sizeof(*out));
        for (int64_t k = 0; k < p->top_k; k++) {
            const float *y = p->out + p->pairs[r * p->top_k + k] * p->width;
            p->kernels->add(out, y, weights[k], p->width, out);
        }
    }
}

/* The part's rows as matrix `first` and its like want them. */
static void pack_for(experts_part *p, uint32_t first)
{
    p->x_form = krs_cpu_row_form_of(p->kernels, matrix_of(p, first), &p->exec->tiles[first]);
    krs_cpu_fork(p->exec, p->n_pairs > 1 ? p->n_pairs * p->width : 0, pack_share, p);
}

static void run_part(experts_part *p)
{
    const krs_op *op = p->op;
    const bool is_fused = op->experts.up == KRS_NO_MATRIX;
    sort_pairs(p);
    pack_for(p, op->experts.gate);
    multiply(p, op->experts.gate, op->experts.gate_bias,
             &(krs_cpu_product_rows){
                 .x = p->x, .out = p->gate, .out_stride = is_fused ? 2 * p->ffn : p->ffn});
    if (!is_fused) {
        const krs_cpu_row_form form = krs_cpu_row_form_of(p->kernels, matrix_of(p, op->experts.up),
                                                          &p->exec->tiles[op->experts.up]);
        if (!krs_cpu_row_form_is(&form, &p->x_form)) {
            pack_for(p, op->experts.up);
        }
        multiply(p, op->experts.up, op->experts.up_bias,
                 &(krs_cpu_product_rows){.x = p->x, .out = p->up, .out_stride = p->ffn});
    }
    krs_cpu_fork(p->exec, p->n_pairs > 1 ? p->n_pairs * p->ffn : 0, gate_share, p);
    multiply(p, op->experts.down, op->experts.down_bias,
             &(krs_cpu_product_rows){.x = p->inner, .out = p->out, .out_stride = p->width});
    krs_cpu_fork(p->exec, p->n_rows > 1 ? p->n_pairs * p->width : 0, sum_share, p);
}

void krs_cpu_experts(krs_cpu_exec *exec, const krs_op *op)
{
    const krs_program *program = exec->host.program;
    const krs_matrix *down = &program->matrices[op->experts.down];
    const krs_cpu_kernels *kernels = op->is_exact ? exec->exact : exec->kernels;
    const pair_sizes s = sizes_of(kernels, program, op);
    const int64_t n_rows = krs_host_n_rows(&exec->host, op->in);
    experts_part p = {
        .exec = exec,
        .kernels = kernels,
        .op = op,
        .top_k = program->slots[op->in2].width / 2,
        .width = down->n_out,
        .ffn = down->n_in,
        .inner_form = krs_cpu_row_form_of(kernels, down, &exec->tiles[op->experts.down]),
    };
    const size_t max_rows = krs_exec_max_rows_of(&exec->host.limits, program->slots[op->in].rows);
    const int64_t at_once = (int64_t)rows_at_once(&s, (size_t)p.top_k, max_rows);
    cut_scratch(&p, &s, (size_t)(at_once * p.top_k));
    for (; p.row < n_rows; p.row += at_once) {
        p.n_rows = n_rows - p.row < at_once ? n_rows - p.row : at_once;
        p.n_pairs = p.n_rows * p.top_k;
        run_part(&p);
    }
}
