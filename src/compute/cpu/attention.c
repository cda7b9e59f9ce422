/* compute/cpu/attention.c - attention over the paged cache: the queries of a step as tiles, dealt to the team.
 *
 *   unit    a tile: queries of one sequence that read one KV head (attend.h); long sequences have many
 *   whole   a thread takes a unit and goes through its parts: as long as there are units enough
 *   split   else: threads take single parts of units, whose states are merged afterwards, in order. What
 *           the states may take is bounded, so a long context is done in waves of parts.
 *
 * Threads claim work by a counter, because units differ: later rows see more positions, sequences more or
 * fewer. Of a sequence the last tile, the longest, comes first, so that what is left over at the end is short. Neither the size
 * of tiles, nor who does what, nor the way, changes a byte (attend.h).
 *
 * Thread: the exec's owner and its team.  Memory: the exec's scratch. */
#include "compute/cpu/attention.h"

#include "base/check.h"

#include <stdatomic.h>

#define UNITS_PER_THREAD 3  /* fewer leave threads idle while the last ones are at work */
#define MIN_TILE_QUERIES 16 /* smaller ones would read and widen K and V too often */

typedef struct attention_task {
    const krs_cpu_exec *exec;
    const krs_op *op;
    const krs_cpu_attention_kernel *kernel;
    int64_t group; /* query heads of a KV head */
    int64_t tile;  /* queries */
    int64_t n_units;
    /* Of a wave, when units are split: */
    int64_t first_part;
    int64_t n_parts;
    bool is_last;
    int64_t state_floats;
    /* Next unit or part to take. Relaxed: what its taker works on was published by the fork. */
    _Atomic int64_t next;
} attention_task;

/* A place in the list of units: those of sequence `seq` begin at `begin`. */
typedef struct cursor {
    uint32_t seq;
    int64_t begin;
} cursor;

static int64_t n_tiles_of(const attention_task *t, const krs_step_seq *seq)
{
    return ((int64_t)seq->n_rows * t->group + t->tile - 1) / t->tile;
}

static int64_t n_units_of(const attention_task *t)
{
    const krs_step *step = t->exec->host.step;
    int64_t n = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        n += n_tiles_of(t, &step->seqs[s]) * t->op->attention.n_kv_heads;
    }
    return n;
}

static krs_cpu_query query_at(const attention_task *t, const krs_step_seq *seq, int64_t kv_head,
                              int64_t index)
{
    const krs_host_exec *host = &t->exec->host;
    const int64_t r = seq->row_begin + index / t->group;
    const int64_t head = kv_head * t->group + index % t->group;
    const int64_t window = t->op->attention.window;
    const int64_t end = (int64_t)host->positions[r] + 1;
    return (krs_cpu_query){
        .q = krs_host_row(host, t->op->in, r) + head * host->kv.head_dim,
        .out = krs_host_row(host, t->op->out, r) + head * host->kv.value_dim,
        .begin = window > 0 && end > window ? end - window : 0,
        .end = end,
        .sink = t->op->matrix == KRS_NO_MATRIX ? 0 : t->exec->vectors[t->op->matrix][head],
    };
}

/* Unit number u, not before the one `at` was used for last; its queries into queries[]. */
static krs_cpu_attention unit_at(const attention_task *t, int64_t u, cursor *at,
                                 krs_cpu_query *queries)
{
    const krs_host_exec *host = &t->exec->host;
    const int64_t n_heads = t->op->attention.n_kv_heads;
    const krs_step_seq *seq = &host->step->seqs[at->seq];
    int64_t n_tiles = n_tiles_of(t, seq);
    while (u >= at->begin + n_tiles * n_heads) {
        at->begin += n_tiles * n_heads;
        seq = &host->step->seqs[++at->seq];
        n_tiles = n_tiles_of(t, seq);
    }
    const int64_t kv_head = (u - at->begin) / n_tiles;
    const int64_t first = (n_tiles - 1 - (u - at->begin) % n_tiles) * t->tile;
    const int64_t left = (int64_t)seq->n_rows * t->group - first;
    const int32_t n = (int32_t)(left < t->tile ? left : t->tile);
    KRS_DCHECK(n > 0);
    for (int32_t i = 0; i < n; i++) {
        queries[i] = query_at(t, seq, kv_head, first + i);
    }
    return (krs_cpu_attention){
        .kv = &host->kv,
        .kv_dtype = host->limits.kv_dtype,
        .k = host->k,
        .v = host->v,
        .layer = t->op->attention.layer,
        .kv_head = kv_head,
        .blocks = seq->blocks,
        .scale = t->op->attention.scale,
        .softcap = t->op->attention.softcap,
        .has_sinks = t->op->matrix != KRS_NO_MATRIX,
        .n_queries = n,
        .queries = queries,
    };
}

static int64_t first_part_of(const krs_cpu_attention *unit)
{
    return unit->queries[0].begin / KRS_CPU_PART_TOKENS;
}

static int64_t end_part_of(const krs_cpu_attention *unit)
{
    return (unit->queries[unit->n_queries - 1].end - 1) / KRS_CPU_PART_TOKENS + 1;
}

void krs_cpu_attend(const krs_cpu_attention_kernel *kernel, const krs_cpu_attention *unit,
                    float *scratch)
{
    const int64_t n = unit->n_queries;
    float *floats = scratch + krs_cpu_part_floats(unit->kv, n);
    const krs_cpu_softmax state = krs_cpu_state_at(unit->kv, n, floats);
    const krs_cpu_softmax all =
        krs_cpu_state_at(unit->kv, n, floats + krs_cpu_state_floats(unit->kv, n));
    for (int64_t part = first_part_of(unit); part < end_part_of(unit); part++) {
        kernel->part(unit, part, &state, scratch);
        kernel->merge(unit, part, &state, &all);
    }
    kernel->finish(unit, &all);
}

static float *scratch_of(const krs_cpu_exec *exec, uint32_t index)
{
    return exec->thread_scratch + index * exec->thread_floats;
}

static void whole_share(void *arg, uint32_t index, uint32_t n_threads)
{
    (void)n_threads;
    attention_task *t = arg;
    krs_cpu_query queries[KRS_CPU_MAX_TILE_QUERIES];
    cursor at = {0, 0};
    for (;;) {
        const int64_t u = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (u >= t->n_units) {
            return;
        }
        const krs_cpu_attention unit = unit_at(t, u, &at, queries);
        krs_cpu_attend(t->kernel, &unit, scratch_of(t->exec, index));
    }
}

/* What all parts of unit u have come to; and, behind those of all units, part `part` of the wave. */
static krs_cpu_softmax state_of(const attention_task *t, const krs_cpu_attention *unit, int64_t u)
{
    return krs_cpu_state_at(unit->kv, unit->n_queries, t->exec->attend + u * t->state_floats);
}

static krs_cpu_softmax state_of_part(const attention_task *t, const krs_cpu_attention *unit,
                                     int64_t u, int64_t part)
{
    return state_of(t, unit, t->n_units + u * t->n_parts + part);
}

static void split_share(void *arg, uint32_t index, uint32_t n_threads)
{
    (void)n_threads;
    attention_task *t = arg;
    krs_cpu_query queries[KRS_CPU_MAX_TILE_QUERIES];
    cursor at = {0, 0};
    for (;;) {
        const int64_t i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (i >= t->n_units * t->n_parts) {
            return;
        }
        const krs_cpu_attention unit = unit_at(t, i / t->n_parts, &at, queries);
        const int64_t part = t->first_part + i % t->n_parts;
        if (part >= first_part_of(&unit) && part < end_part_of(&unit)) {
            const krs_cpu_softmax state = state_of_part(t, &unit, i / t->n_parts, i % t->n_parts);
            t->kernel->part(&unit, part, &state, scratch_of(t->exec, index));
        }
    }
}

static void merge_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const attention_task *t = arg;
    krs_cpu_query queries[KRS_CPU_MAX_TILE_QUERIES];
    cursor at = {0, 0};
    for (int64_t u = index; u < t->n_units; u += n_threads) {
        const krs_cpu_attention unit = unit_at(t, u, &at, queries);
        const krs_cpu_softmax all = state_of(t, &unit, u);
        for (int64_t i = 0; i < t->n_parts; i++) {
            const int64_t part = t->first_part + i;
            if (part >= first_part_of(&unit) && part < end_part_of(&unit)) {
                const krs_cpu_softmax state = state_of_part(t, &unit, u, i);
                t->kernel->merge(&unit, part, &state, &all);
            }
        }
        if (t->is_last) {
            t->kernel->finish(&unit, &all);
        }
    }
}

/* The parts that any row of the step sees: [*first, *end). */
static void parts_of(const attention_task *t, int64_t *first, int64_t *end)
{
    const krs_host_exec *host = &t->exec->host;
    *first = INT64_MAX;
    *end = 0;
    for (uint32_t s = 0; s < host->step->n_seqs; s++) {
        const krs_step_seq *seq = &host->step->seqs[s];
        const int64_t begin = query_at(t, seq, 0, 0).begin / KRS_CPU_PART_TOKENS;
        const int64_t last = ((int64_t)seq->n_past + seq->n_rows - 1) / KRS_CPU_PART_TOKENS;
        *first = begin < *first ? begin : *first;
        *end = last + 1 > *end ? last + 1 : *end;
    }
}

int64_t krs_cpu_attention_shared_floats(const krs_kv_layout *kv, uint32_t n_threads)
{
    const int64_t n_units = UNITS_PER_THREAD * (int64_t)n_threads;
    return n_threads == 1 ? 0 : 2 * n_units * krs_cpu_state_floats(kv, krs_cpu_tile_queries(kv));
}

static void attend_split(attention_task *t, int64_t first, int64_t end)
{
    const krs_kv_layout *kv = &t->exec->host.kv;
    const uint32_t n_threads = krs_cpu_team_n_threads(t->exec->team);
    t->state_floats = krs_cpu_state_floats(kv, t->tile);
    const int64_t n_states = krs_cpu_attention_shared_floats(kv, n_threads) / t->state_floats;
    const int64_t most = n_states / t->n_units - 1; /* parts of each unit that have room */
    for (t->first_part = first; t->first_part < end; t->first_part += t->n_parts) {
        t->n_parts = end - t->first_part < most ? end - t->first_part : most;
        t->is_last = t->first_part + t->n_parts == end;
        atomic_store_explicit(&t->next, 0, memory_order_relaxed);
        krs_cpu_team_run(t->exec->team, split_share, t);
        krs_cpu_fork(t->exec, t->n_units * t->n_parts * t->state_floats, merge_share, t);
    }
}

/* The size of tiles: as large as they may be, unless threads would then go without one. */
static void set_tile(attention_task *t, int64_t n_wanted)
{
    t->tile = krs_cpu_tile_queries(&t->exec->host.kv);
    t->n_units = n_units_of(t);
    if (t->n_units < n_wanted && n_wanted > 0) {
        const int64_t n_queries = t->exec->host.step->n_rows * (int64_t)t->op->attention.n_heads;
        const int64_t share = (n_queries / n_wanted + MIN_TILE_QUERIES - 1) / MIN_TILE_QUERIES;
        const int64_t tile = (share > 0 ? share : 1) * MIN_TILE_QUERIES;
        t->tile = tile < t->tile ? tile : t->tile;
        t->n_units = n_units_of(t);
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
    const krs_slot_shape *slots = exec->host.program->slots;
    const krs_cpu_kernels *kernels = op->is_exact ? exec->exact : exec->kernels;
    attention_task task = {
        .exec = exec,
        .op = op,
        .kernel = &kernels->attention,
        .group = op->attention.n_heads / op->attention.n_kv_heads,
    };
    const int64_t n_threads = krs_cpu_team_n_threads(exec->team);
    /* An element of q meets one of K, one of out one of V. */
    const int64_t cost = cost_of(&exec->host, slots[op->in].width + slots[op->out].width) /
                         KRS_CPU_PRODUCTS_PER_ELEMENT;
    const int64_t n_wanted =
        n_threads > 1 && cost >= KRS_CPU_FORK_ELEMENTS ? UNITS_PER_THREAD * n_threads : 0;
    set_tile(&task, n_wanted);
    int64_t first;
    int64_t end;
    parts_of(&task, &first, &end);
    if (task.n_units < n_wanted && end - first > 1) {
        attend_split(&task, first, end);
    } else {
        krs_cpu_fork(exec, cost, whole_share, &task);
    }
}
