/* compute/cpu/attention.c - filling the paged cache, and attention over it; cut over the team.
 * Units of attention are (row, KV head) pairs dealt out in turn, because later rows of a prefill see
 * more positions: contiguous shares would leave the last thread most of the work. All rows of one head
 * come before the next head: rows of a prefill see the same K and V, and those of one head, unlike
 * those of all, may still lie in a cache when the next row asks. Each head begins a row later than the
 * one before, so that a thread does not get the same rows, long or short, of every head. */
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

static void attend_unit(const krs_cpu_exec *exec, const krs_op *op, int64_t r, int64_t kv_head)
{
    const krs_host_exec *host = &exec->host;
    const int32_t group = op->attention.n_heads / op->attention.n_kv_heads;
    const int64_t end = (int64_t)host->positions[r] + 1;
    const int64_t window = op->attention.window;
    const int64_t first = kv_head * group; /* head */
    const krs_cpu_attention unit = {
        .kv = &host->kv,
        .kv_dtype = host->limits.kv_dtype,
        .k = host->k,
        .v = host->v,
        .layer = op->attention.layer,
        .kv_head = kv_head,
        .blocks = seq_of(host, r)->blocks,
        .begin = window > 0 && end > window ? end - window : 0,
        .end = end,
        .scale = op->attention.scale,
        .softcap = op->attention.softcap,
        .n_heads = group,
        .q = krs_host_row(host, op->in, r) + first * host->kv.head_dim,
        .q_stride = host->kv.head_dim,
        .sinks = op->matrix == KRS_NO_MATRIX ? NULL : exec->vectors[op->matrix] + first,
        .out = krs_host_row(host, op->out, r) + first * host->kv.value_dim,
        .out_stride = host->kv.value_dim,
    };
    exec->kernels->attention(&unit);
}

static void attention_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const kv_task *t = arg;
    const int64_t n_rows = t->exec->host.step->n_rows;
    const int64_t n_units = n_rows * t->op->attention.n_kv_heads;
    for (int64_t u = index; u < n_units; u += n_threads) {
        const int64_t head = u / n_rows;
        attend_unit(t->exec, t->op, (u + head) % n_rows, head);
    }
}

/* Products of a step's attention, to judge whether a fork pays; width: those of one position. */
static int64_t cost_of(const krs_host_exec *host, int64_t width)
{
    int64_t n_positions = 0;
    for (uint32_t i = 0; i < host->step->n_seqs; i++) {
        const krs_step_seq *seq = &host->step->seqs[i];
        n_positions += (int64_t)seq->n_rows * ((int64_t)seq->n_past + seq->n_rows);
    }
    return n_positions * width;
}

void krs_cpu_attention_op(krs_cpu_exec *exec, const krs_op *op)
{
    kv_task task = {exec, op};
    const krs_slot_shape *slots = exec->host.program->slots;
    /* An element of q meets one of K, one of out one of V. */
    const int64_t n_products = cost_of(&exec->host, slots[op->in].width + slots[op->out].width);
    krs_cpu_fork(exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, attention_share, &task);
}
