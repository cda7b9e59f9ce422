/* sched/sched.c - see sched.h. The queues and the ways in and out; the policy is in plan.c. */
#include "sched/sched_priv.h"

#include "base/check.h"

static krs_status check_limits(const krs_sched_limits *l, const krs_kv_pool *pool, krs_error *err)
{
    if (l->max_running == 0 || l->max_waiting == 0 || l->block_tokens == 0) {
        return krs_fail(err, KRS_EINVAL,
                        "scheduler: %u running, %u waiting, %u tokens a block: want at least 1",
                        l->max_running, l->max_waiting, l->block_tokens);
    }
    if (l->max_step_tokens < l->max_running) {
        return krs_fail(err, KRS_EINVAL,
                        "scheduler: %u tokens a step, want at least the %u sequences of one",
                        l->max_step_tokens, l->max_running);
    }
    const uint32_t n_blocks = krs_kv_blocks_for(l->max_seq_tokens, l->block_tokens);
    if (l->max_seq_tokens < 2 || n_blocks > krs_kv_pool_n_blocks(pool)) {
        return krs_fail(
            err, KRS_EINVAL, "scheduler: sequences of %u tokens, want 2 .. %llu (%u blocks of %u)",
            l->max_seq_tokens, (unsigned long long)krs_kv_pool_n_blocks(pool) * l->block_tokens,
            krs_kv_pool_n_blocks(pool), l->block_tokens);
    }
    return KRS_OK;
}

krs_status krs_sched_new(const krs_sched_limits *limits, krs_kv_pool *pool, krs_kv_prefix *prefix,
                         const krs_alloc *alloc, krs_sched **out, krs_error *err)
{
    (void)prefix; /* not used yet: nothing is shared */
    *out = NULL;
    const krs_status status = check_limits(limits, pool, err);
    if (status != KRS_OK) {
        return status;
    }
    const size_t n_bytes = sizeof(krs_sched) + (size_t)limits->max_running * sizeof(krs_sched_item);
    krs_sched *sched = krs_alloc_zero(alloc, n_bytes);
    if (!sched) {
        return krs_fail(err, KRS_ENOMEM, "scheduler: %zu bytes", n_bytes);
    }
    sched->alloc = alloc;
    sched->limits = *limits;
    sched->pool = pool;
    *out = sched;
    return KRS_OK;
}

void krs_sched_free(krs_sched *sched)
{
    if (sched) {
        KRS_CHECK(sched->running.n == 0 && sched->waiting.n == 0);
        krs_alloc_free(sched->alloc, sched);
    }
}

void krs_sched_queue_insert(sched_queue *queue, krs_sched_seq *seq)
{
    krs_sched_seq *before = queue->tail;
    while (before && before->arrival > seq->arrival) {
        before = before->prev;
    }
    seq->prev = before;
    seq->next = before ? before->next : queue->head;
    if (seq->next) {
        seq->next->prev = seq;
    } else {
        queue->tail = seq;
    }
    if (before) {
        before->next = seq;
    } else {
        queue->head = seq;
    }
    queue->n++;
}

void krs_sched_queue_remove(sched_queue *queue, krs_sched_seq *seq)
{
    if (seq->prev) {
        seq->prev->next = seq->next;
    } else {
        queue->head = seq->next;
    }
    if (seq->next) {
        seq->next->prev = seq->prev;
    } else {
        queue->tail = seq->prev;
    }
    seq->prev = NULL;
    seq->next = NULL;
    queue->n--;
}

/* The bound on queued tokens is for the crowd: a single long prompt may pass it when it is alone. */
static bool has_room(const krs_sched *sched, const krs_sched_seq *seq)
{
    if (sched->waiting.n == 0) {
        return true;
    }
    return sched->waiting.n < sched->limits.max_waiting &&
           sched->waiting_tokens + seq->n_tokens <= sched->limits.max_waiting_tokens;
}

krs_status krs_sched_add(krs_sched *sched, krs_sched_seq *seq, const krs_alloc *alloc)
{
    KRS_CHECK(seq->state == KRS_SCHED_OUT);
    if (seq->n_tokens == 0) {
        return KRS_EINVAL;
    }
    if (seq->n_tokens >= sched->limits.max_seq_tokens) {
        return KRS_ETOOLARGE;
    }
    if (!has_room(sched, seq)) {
        return KRS_EBUSY;
    }
    const uint32_t max_blocks =
        krs_kv_blocks_for(sched->limits.max_seq_tokens, sched->limits.block_tokens);
    const krs_status status = krs_kv_table_init(&seq->table, max_blocks, alloc);
    if (status != KRS_OK) {
        return status;
    }
    seq->arrival = sched->next_arrival++;
    seq->state = KRS_SCHED_WAITING;
    seq->n_computed = 0;
    seq->n_preempted = 0;
    seq->end = KRS_OK;
    sched->waiting_tokens += seq->n_tokens;
    krs_sched_queue_insert(&sched->waiting, seq);
    return KRS_OK;
}

void krs_sched_append(krs_sched *sched, krs_sched_seq *seq)
{
    KRS_CHECK(seq->state == KRS_SCHED_RUNNING && seq->n_computed == seq->n_tokens);
    KRS_CHECK(seq->n_tokens < sched->limits.max_seq_tokens);
    seq->n_tokens++;
    if (seq->credit != KRS_SCHED_UNLIMITED && seq->credit > 0) {
        seq->credit--;
    }
}

void krs_sched_set_credit(krs_sched *sched, krs_sched_seq *seq, uint32_t credit)
{
    (void)sched;
    seq->credit = credit;
}

void krs_sched_cancel(krs_sched *sched, krs_sched_seq *seq)
{
    (void)sched;
    seq->is_cancelled = true;
}

void krs_sched_preempt(krs_sched *sched, krs_sched_seq *seq)
{
    krs_sched_queue_remove(&sched->running, seq);
    krs_kv_table_clear(&seq->table, sched->pool);
    seq->n_computed = 0;
    seq->n_preempted++;
    seq->state = KRS_SCHED_WAITING;
    sched->waiting_tokens += seq->n_tokens;
    krs_sched_queue_insert(&sched->waiting, seq);
}

void krs_sched_finish(krs_sched *sched, krs_sched_seq *seq)
{
    if (seq->state == KRS_SCHED_WAITING) {
        krs_sched_queue_remove(&sched->waiting, seq);
        sched->waiting_tokens -= seq->n_tokens;
    } else {
        KRS_CHECK(seq->state == KRS_SCHED_RUNNING);
        krs_sched_queue_remove(&sched->running, seq);
        krs_kv_table_clear(&seq->table, sched->pool);
    }
    seq->state = KRS_SCHED_OUT;
    krs_kv_table_deinit(&seq->table);
}

static uint64_t earliest(const sched_queue *queue, uint64_t so_far)
{
    for (const krs_sched_seq *seq = queue->head; seq; seq = seq->next) {
        so_far = seq->deadline_ns < so_far ? seq->deadline_ns : so_far;
    }
    return so_far;
}

uint64_t krs_sched_next_deadline(const krs_sched *sched)
{
    return earliest(&sched->waiting, earliest(&sched->running, UINT64_MAX));
}

uint32_t krs_sched_n_running(const krs_sched *sched)
{
    return sched->running.n;
}

uint32_t krs_sched_n_waiting(const krs_sched *sched)
{
    return sched->waiting.n;
}
