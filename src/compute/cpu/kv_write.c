/* compute/cpu/kv_write.c - K and V of a step's rows into the paged cache, narrowed to its type; rows cut over
 * the team. kv_layout.h says where they lie. */
#include "compute/cpu/cpu.h"

typedef struct kv_task {
    const krs_cpu_exec *exec;
    const krs_op *op;
} kv_task;

static const krs_step_seq *seq_of(const krs_host_exec *host, int64_t r)
{
    return &host->step->seqs[host->row_seqs[r]];
}

/* K of one head into its column of the transposed block. item_bytes: 1, 2 or 4. */
static void put_column(const void *from, int64_t n, size_t item_bytes, unsigned char *column)
{
    const unsigned char *in = from;
    for (int64_t d = 0; d < n; d++) {
        memcpy(column + (size_t)d * KRS_KV_BLOCK_TOKENS * item_bytes, in + (size_t)d * item_bytes,
               item_bytes);
    }
}

static void put_columns(const void *from, const krs_kv_layout *kv, unsigned char *column)
{
    switch (kv->element_bytes) { /* so that each copy is of a constant size */
    case sizeof(int8_t):
        put_column(from, kv->head_dim, sizeof(int8_t), column);
        break;
    case sizeof(uint16_t):
        put_column(from, kv->head_dim, sizeof(uint16_t), column);
        break;
    default:
        put_column(from, kv->head_dim, sizeof(float), column);
        break;
    }
}

/* x[n] as the cache's type. In int8 its scale goes to byte scale_at of memory. */
static void narrow_head(const krs_cpu_exec *exec, const float *x, int64_t n, void *out,
                        unsigned char *memory, int64_t scale_at)
{
    if (exec->host.limits.kv_dtype == KRS_DTYPE_I8) {
        const float scale = exec->kernels->quantise(x, n, out);
        memcpy(memory + scale_at, &scale, sizeof(scale));
    } else {
        exec->kernels->narrow(exec->host.limits.kv_dtype, x, n, out);
    }
}

static void write_head(const krs_cpu_exec *exec, const krs_op *op, int64_t r, int64_t head)
{
    const krs_host_exec *host = &exec->host;
    const krs_kv_layout *kv = &host->kv;
    const uint32_t position = host->positions[r];
    const uint32_t block = seq_of(host, r)->blocks[position / KRS_KV_BLOCK_TOKENS];
    const int64_t at = position % KRS_KV_BLOCK_TOKENS;
    const int64_t k_at = krs_kv_layout_k(kv, op->attention.layer, block, head);
    const int64_t v_at = krs_kv_layout_v(kv, op->attention.layer, block, head);
    float narrowed[KRS_PROGRAM_MAX_HEAD_DIM]; /* room for any of the types */
    narrow_head(exec, krs_host_row(host, op->in, r) + head * kv->head_dim, kv->head_dim, narrowed,
                host->k, krs_kv_layout_scale(k_at, at));
    put_columns(narrowed, kv, host->k + (size_t)(k_at + at) * kv->element_bytes);
    unsigned char *v = host->v + (size_t)(v_at + at * kv->padded_dim) * kv->element_bytes;
    narrow_head(exec, krs_host_row(host, op->in2, r) + head * kv->value_dim, kv->value_dim, v,
                host->v, krs_kv_layout_scale(v_at, at));
    memset(v + (size_t)kv->value_dim * kv->element_bytes, 0,
           (size_t)(kv->padded_dim - kv->value_dim) * kv->element_bytes);
}

static void kv_write_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const kv_task *t = arg;
    int64_t begin;
    int64_t end;
    /* Whole blocks of positions to one thread, roughly: neighbours in a block share cache lines. */
    krs_cpu_team_share(t->exec->host.step->n_rows, KRS_KV_BLOCK_TOKENS, index, n_threads, &begin,
                       &end);
    for (int64_t r = begin; r < end; r++) {
        for (int64_t h = 0; h < t->exec->host.kv.n_heads; h++) {
            write_head(t->exec, t->op, r, h);
        }
    }
}

void krs_cpu_kv_write(krs_cpu_exec *exec, const krs_op *op)
{
    kv_task task = {exec, op};
    const int64_t n_rows = exec->host.step->n_rows;
    const int64_t width = exec->host.program->slots[op->in].width;
    krs_cpu_fork(exec, n_rows > KRS_KV_BLOCK_TOKENS ? n_rows * width : 0, kv_write_share, &task);
}
