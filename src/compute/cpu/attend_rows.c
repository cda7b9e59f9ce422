/* compute/cpu/attend_rows.c - encoders' attention: a text's rows look at each other, both ways.
 *
 *   scratch:  [K, V of the step's rows, as in kv_layout.h, f32 | block numbers | bias by distance]
 *
 * K and V are laid out as one layer of a paged cache that lives for this op, so the kernel is the one that
 * decoders use and has been tested with them. A tile's queries are neighbouring rows of one head; row i + 1
 * reads the bias by distance one element earlier than row i.
 *
 * Sequence s of the step has the blocks from row_begin / 16 + s on: disjoint, since rounding a text up to
 * whole blocks costs it less than one more.
 *
 * Thread: the exec's owner and its team.  Memory: the exec's scratch. */
#include "compute/cpu/attend_rows.h"

#include "compute/cpu/attention.h"
#include "compute/relative.h"

#define UNITS_PER_THREAD 4 /* texts of a step differ in length; units are dealt out in turn */

typedef struct attend_task {
    const krs_cpu_exec *exec;
    const krs_op *op;
    krs_kv_layout kv;
    float *k;
    float *v;
    const uint32_t *blocks; /* [n_blocks] 0, 1, 2 ... */
    const float
        *bias; /* [n_heads][bias_stride]; of a key at the query's place at `reach`; or NULL */
    int64_t bias_stride;
    int64_t reach;
    int64_t tile; /* rows that share a pass over K and V */
} attend_task;

static int64_t n_blocks_of(const krs_exec_limits *limits)
{
    return limits->max_rows / KRS_KV_BLOCK_TOKENS + (int64_t)limits->max_seqs + 1;
}

/* Both ways from any row to any other, and a block that begins before the end. */
static int64_t bias_stride_of(int64_t reach)
{
    return 2 * reach + KRS_KV_BLOCK_TOKENS;
}

static krs_kv_layout layout_of(const krs_exec_limits *limits, const krs_op *op)
{
    const int64_t dim = op->attention.head_dim;
    const int64_t padded = (dim + KRS_KV_LANES - 1) / KRS_KV_LANES * KRS_KV_LANES;
    return (krs_kv_layout){
        .element_bytes = sizeof(float),
        .head_dim = dim,
        .value_dim = dim,
        .padded_dim = padded,
        .k_head_elements = dim * KRS_KV_BLOCK_TOKENS,
        .v_head_elements = padded * KRS_KV_BLOCK_TOKENS,
        .n_heads = op->attention.n_kv_heads,
        .n_blocks = n_blocks_of(limits),
        .n_layers = 1,
    };
}

size_t krs_cpu_attend_rows_bytes(const krs_exec_limits *limits, const krs_op *op)
{
    const krs_kv_layout kv = layout_of(limits, op);
    const size_t n_kv = (size_t)(krs_kv_layout_k_elements(&kv) + krs_kv_layout_v_elements(&kv));
    /* A row of the table is read into the place behind the last head's. */
    const size_t n_bias =
        op->matrix == KRS_NO_MATRIX
            ? 0
            : (size_t)op->attention.n_heads * (size_t)(bias_stride_of(limits->max_rows) + 1);
    return (n_kv + n_bias) * sizeof(float) + (size_t)kv.n_blocks * sizeof(uint32_t);
}

int64_t krs_cpu_attend_rows_floats(const krs_exec_limits *limits, const krs_op *op)
{
    const krs_kv_layout kv = layout_of(limits, op);
    return krs_cpu_attention_floats(&kv);
}

static int64_t first_block(const krs_step_seq *seqs, uint32_t s)
{
    return seqs[s].row_begin / KRS_KV_BLOCK_TOKENS + s;
}

static void pack_row(const attend_task *t, uint32_t s, int64_t r)
{
    const krs_host_exec *host = &t->exec->host;
    const krs_kv_layout *kv = &t->kv;
    const int64_t p = r - host->step->seqs[s].row_begin;
    const int64_t block = first_block(host->step->seqs, s) + p / KRS_KV_BLOCK_TOKENS;
    const float *k_row = krs_host_row(host, t->op->in2, r);
    const float *v_row = krs_host_row(host, t->op->in3, r);
    for (int64_t h = 0; h < kv->n_heads; h++) {
        float *k = t->k + krs_kv_layout_k(kv, 0, block, h) + p % KRS_KV_BLOCK_TOKENS;
        float *v =
            t->v + krs_kv_layout_v(kv, 0, block, h) + p % KRS_KV_BLOCK_TOKENS * kv->padded_dim;
        for (int64_t d = 0; d < kv->head_dim; d++) {
            k[d * KRS_KV_BLOCK_TOKENS] = k_row[h * kv->head_dim + d];
        }
        memcpy(v, v_row + h * kv->head_dim, (size_t)kv->head_dim * sizeof(float));
        memset(v + kv->head_dim, 0, (size_t)(kv->padded_dim - kv->head_dim) * sizeof(float));
    }
}

static void pack_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const attend_task *t = arg;
    const krs_host_exec *host = &t->exec->host;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(host->step->n_rows, KRS_KV_BLOCK_TOKENS, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        pack_row(t, host->row_seqs[r], r);
    }
}

/* Row p of sequence s, one head: with a window it sees the rows about it, without one all of them. */
static krs_cpu_query query_at(const attend_task *t, uint32_t s, int64_t p, int64_t head)
{
    const krs_host_exec *host = &t->exec->host;
    const krs_step_seq *seq = &host->step->seqs[s];
    const int64_t window = t->op->attention.window;
    const int64_t at = head * t->kv.head_dim;
    return (krs_cpu_query){
        .q = krs_host_row(host, t->op->in, seq->row_begin + p) + at,
        .out = krs_host_row(host, t->op->out, seq->row_begin + p) + at,
        .begin = window > 0 && p > window ? p - window : 0,
        .end = window > 0 && p + window + 1 < seq->n_rows ? p + window + 1 : seq->n_rows,
        .bias = t->bias ? t->bias + head * t->bias_stride + t->reach - p : NULL,
    };
}

/* A unit of work: up to a tile of rows of one sequence, one head. */
static void attend_unit(const attend_task *t, uint32_t s, int64_t p, int64_t head, float *scratch)
{
    const krs_host_exec *host = &t->exec->host;
    const int64_t left = host->step->seqs[s].n_rows - p;
    const int32_t n = (int32_t)(left < t->tile ? left : t->tile);
    krs_cpu_query queries[KRS_CPU_MAX_TILE_QUERIES];
    for (int32_t i = 0; i < n; i++) {
        queries[i] = query_at(t, s, p + i, head);
    }
    const krs_cpu_attention unit = {
        .kv = &t->kv,
        .kv_dtype = KRS_DTYPE_F32,
        .k = (const unsigned char *)t->k,
        .v = (const unsigned char *)t->v,
        .kv_head = head / (t->op->attention.n_heads / t->op->attention.n_kv_heads),
        .blocks = t->blocks + first_block(host->step->seqs, s),
        .scale = t->op->attention.scale,
        .n_queries = n,
        .queries = queries,
    };
    krs_cpu_attend(&t->exec->exact->attention, &unit, scratch);
}

static void attend_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const attend_task *t = arg;
    const krs_step *step = t->exec->host.step;
    const int64_t n_heads = t->op->attention.n_heads;
    float *scratch = t->exec->thread_scratch + index * t->exec->thread_floats;
    int64_t unit = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const int64_t n_tiles = (step->seqs[s].n_rows + t->tile - 1) / t->tile;
        for (int64_t i = 0; i < n_tiles * n_heads; i++, unit++) {
            if (unit % n_threads == index) {
                attend_unit(t, s, i / n_heads * t->tile, i % n_heads, scratch);
            }
        }
    }
}

/* The bias of every distance there is in this step, head by head; row: room for one of the table's. */
static void fill_bias(attend_task *t, float *bias, float *row)
{
    const krs_matrix *table = &t->exec->host.program->matrices[t->op->matrix];
    const int64_t n_heads = t->op->attention.n_heads;
    for (int64_t i = 0; i < t->bias_stride; i++) {
        const int32_t bucket =
            krs_relative_bucket(i - t->reach, (int32_t)table->n_out, t->op->attention.max_distance);
        krs_matrix_row(table, bucket, row);
        for (int64_t h = 0; h < n_heads; h++) {
            bias[h * t->bias_stride + i] = row[h];
        }
    }
}

static void cut_scratch(attend_task *t)
{
    const krs_host_exec *host = &t->exec->host;
    float *at = t->exec->attend;
    t->k = at;
    t->v = t->k + krs_kv_layout_k_elements(&t->kv);
    uint32_t *blocks = (uint32_t *)(void *)(t->v + krs_kv_layout_v_elements(&t->kv));
    for (int64_t b = 0; b < t->kv.n_blocks; b++) {
        blocks[b] = (uint32_t)b;
    }
    t->blocks = blocks;
    if (t->op->matrix != KRS_NO_MATRIX) {
        float *bias = (float *)(void *)(blocks + t->kv.n_blocks);
        for (uint32_t s = 0; s < host->step->n_seqs; s++) {
            const int64_t n_rows = host->step->seqs[s].n_rows;
            t->reach = n_rows > t->reach ? n_rows : t->reach;
        }
        t->bias_stride = bias_stride_of(t->reach);
        fill_bias(t, bias, bias + t->op->attention.n_heads * t->bias_stride);
        t->bias = bias;
    }
}

/* Products of the step, to judge whether a fork pays: two per pair of rows and element. */
static int64_t n_products_of(const krs_host_exec *host, const krs_op *op)
{
    int64_t n_pairs = 0;
    for (uint32_t s = 0; s < host->step->n_seqs; s++) {
        const int64_t n_rows = host->step->seqs[s].n_rows;
        const int64_t window = op->attention.window;
        n_pairs += n_rows * (window > 0 && 2 * window + 1 < n_rows ? 2 * window + 1 : n_rows);
    }
    return 2 * n_pairs * host->program->slots[op->in].width;
}

/* Tiles as large as they may be, but some for every thread. */
static int64_t tile_of(const attend_task *t)
{
    const int64_t most = krs_cpu_tile_queries(&t->kv);
    const int64_t n_units = UNITS_PER_THREAD * (int64_t)krs_cpu_team_n_threads(t->exec->team);
    const int64_t n_queries = t->exec->host.step->n_rows * (int64_t)t->op->attention.n_heads;
    const int64_t tile = (n_queries / n_units + 1 + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS *
                         KRS_KV_BLOCK_TOKENS;
    return tile < most ? tile : most;
}

void krs_cpu_attend_rows(krs_cpu_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    attend_task task = {.exec = exec, .op = op, .kv = layout_of(&host->limits, op)};
    task.tile = tile_of(&task);
    cut_scratch(&task);
    krs_cpu_fork(exec, host->step->n_rows * host->program->slots[op->in2].width, pack_share, &task);
    krs_cpu_fork(exec, n_products_of(host, op) / KRS_CPU_PRODUCTS_PER_ELEMENT, attend_share, &task);
}
