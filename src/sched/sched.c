/* sched/sched.c - see sched.h. The ways in and out, and what may change between plans; see sched_priv.h for
 * where the rules are.
 *
 * Thread: one owner.  Memory: _new takes all there is; a sequence brings its own block table. */
#include "sched/sched_priv.h"

#include "base/check.h"

static krs_status check_counts(const krs_sched_limits *l, krs_error *err)
{
    if (l->max_running == 0 || l->max_waiting == 0 || l->block_tokens == 0) {
        return krs_fail(err, KRS_EINVAL,
                        "scheduler: %u running, %u waiting, %u tokens a block: want at least 1",
                        l->max_running, l->max_waiting, l->block_tokens);
    }
    if (l->max_tenants > KRS_MAX_TENANTS) {
        return krs_fail(err, KRS_EINVAL, "scheduler: %u tenants, want at most %u", l->max_tenants,
                        KRS_MAX_TENANTS);
    }
    if (l->max_step_tokens < l->max_running) {
        return krs_fail(err, KRS_EINVAL,
                        "scheduler: %u tokens a step, want at least the %u sequences of one",
                        l->max_step_tokens, l->max_running);
    }
    return KRS_OK;
}

static krs_status check_limits(const krs_sched_limits *l, const krs_kv_pool *pool, krs_error *err)
{
    const krs_status status = check_counts(l, err);
    if (status != KRS_OK) {
        return status;
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

static krs_status take_batch(krs_sched *sched)
{
    const krs_alloc *alloc = sched->alloc;
    const uint32_t n = sched->limits.max_running;
    sched->items = krs_alloc_array(alloc, n, sizeof(*sched->items));
    sched->copies = krs_alloc_array(alloc, 2 * (size_t)n, sizeof(*sched->copies));
    sched->decodes = krs_alloc_array(alloc, n, sizeof(krs_sched_seq *));
    sched->prompts.items = krs_alloc_array(alloc, n, sizeof(*sched->prompts.items));
    sched->victims.items = krs_alloc_array(alloc, n, sizeof(*sched->victims.items));
    if (!sched->items || !sched->copies || !sched->decodes || !sched->prompts.items ||
        !sched->victims.items) {
        return KRS_ENOMEM;
    }
    /* The blocks of all rows, and two that are touched in part for each sequence. */
    const uint32_t max_blocks = sched->limits.max_step_tokens / sched->limits.block_tokens + 2 * n;
    return krs_sched_inflight_init(&sched->inflight, max_blocks, alloc);
}

static krs_status take_tenants(krs_sched *sched)
{
    const uint32_t n = sched->limits.max_tenants;
    sched->tenants = krs_alloc_array(sched->alloc, n, sizeof(*sched->tenants));
    if (!sched->tenants) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        sched->tenants[i].weight = 1;
        for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
            sched->tenants[i].queues[c].at = SCHED_NO_TENANT;
        }
    }
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        sched->classes[c].last_tenant = SCHED_NO_TENANT;
        sched->classes[c].heap = krs_alloc_array(sched->alloc, n, sizeof(uint32_t));
        if (!sched->classes[c].heap) {
            return KRS_ENOMEM;
        }
    }
    return KRS_OK;
}

krs_status krs_sched_new(const krs_sched_limits *limits, krs_kv_pool *pool, krs_kv_prefix *prefix,
                         const krs_alloc *alloc, krs_sched **out, krs_error *err)
{
    *out = NULL;
    krs_status status = check_limits(limits, pool, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_sched *sched = krs_alloc_zero(alloc, sizeof(*sched));
    if (!sched) {
        return krs_fail(err, KRS_ENOMEM, "scheduler: %zu bytes", sizeof(*sched));
    }
    sched->alloc = alloc;
    sched->limits = *limits;
    sched->limits.max_tenants = limits->max_tenants ? limits->max_tenants : 1;
    sched->pool = pool;
    sched->prefix = prefix;
    sched->next_deadline_ns = UINT64_MAX;
    sched->prompt_rows = sched->fewest_prompt_rows = UINT32_MAX;
    status = take_batch(sched);
    if (status == KRS_OK) {
        status = take_tenants(sched);
    }
    if (status != KRS_OK) {
        krs_sched_free(sched);
        return krs_fail(err, status, "scheduler: tables of %u sequences, %u tenants",
                        limits->max_running, limits->max_tenants);
    }
    /* Whatever is pinned, the longest sequence fits beside it, so that work is never stuck. */
    krs_kv_pool_set_max_pinned(pool,
                               krs_kv_pool_n_blocks(pool) -
                                   krs_kv_blocks_for(limits->max_seq_tokens, limits->block_tokens));
    *out = sched;
    return KRS_OK;
}

void krs_sched_free(krs_sched *sched)
{
    if (!sched) {
        return;
    }
    const krs_alloc *alloc = sched->alloc;
    KRS_CHECK(sched->running.n + sched->stats.n_parked + sched->stats.n_waiting == 0);
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        krs_alloc_free(alloc, sched->classes[c].heap);
    }
    krs_alloc_free(alloc, sched->tenants);
    krs_sched_inflight_deinit(&sched->inflight, alloc);
    krs_alloc_free(alloc, sched->victims.items);
    krs_alloc_free(alloc, sched->prompts.items);
    krs_alloc_free(alloc, sched->decodes);
    krs_alloc_free(alloc, sched->copies);
    krs_alloc_free(alloc, sched->items);
    krs_alloc_free(alloc, sched);
}

/* ---- lists ---- */

void krs_sched_list_insert_after(sched_list *list, krs_sched_seq *before, krs_sched_seq *seq)
{
    seq->prev = before;
    seq->next = before ? before->next : list->head;
    *(before ? &before->next : &list->head) = seq;
    *(seq->next ? &seq->next->prev : &list->tail) = seq;
    list->n++;
}

void krs_sched_list_append(sched_list *list, krs_sched_seq *seq)
{
    krs_sched_list_insert_after(list, list->tail, seq);
}

/* Searching from the tail, where new ones belong. */
void krs_sched_list_insert(sched_list *list, krs_sched_seq *seq)
{
    krs_sched_seq *before = list->tail;
    while (before && before->arrival > seq->arrival) {
        before = before->prev;
    }
    krs_sched_list_insert_after(list, before, seq);
}

void krs_sched_list_remove(sched_list *list, krs_sched_seq *seq)
{
    *(seq->prev ? &seq->prev->next : &list->head) = seq->next;
    *(seq->next ? &seq->next->prev : &list->tail) = seq->prev;
    seq->prev = NULL;
    seq->next = NULL;
    list->n--;
}

/* ---- in ---- */

krs_status krs_sched_set_weight(krs_sched *sched, uint32_t tenant, uint32_t weight)
{
    if (tenant >= sched->limits.max_tenants || weight == 0 || weight > KRS_SCHED_MAX_WEIGHT) {
        return KRS_EINVAL;
    }
    sched->tenants[tenant].weight = weight;
    return KRS_OK;
}

/* The bound on queued tokens is for the crowd: a single long prompt may pass it when it is alone. */
static bool has_room(const krs_sched *sched, const krs_sched_seq *seq)
{
    const krs_sched_limits *l = &sched->limits;
    const krs_sched_stats *s = &sched->stats;
    const uint64_t max_house = (uint64_t)l->max_running + l->max_waiting + l->max_parked;
    if ((uint64_t)s->n_running + s->n_waiting + s->n_parked >= max_house) {
        return false;
    }
    if (s->n_waiting == 0) {
        return true;
    }
    const uint32_t max_own = l->max_tenant_waiting ? l->max_tenant_waiting : l->max_waiting;
    return s->n_waiting < l->max_waiting && sched->tenants[seq->tenant].n_waiting < max_own &&
           s->n_waiting_tokens + seq->n_tokens <= l->max_waiting_tokens;
}

static krs_status check_seq(const krs_sched *sched, const krs_sched_seq *seq)
{
    if (seq->n_tokens == 0 || seq->tenant >= sched->limits.max_tenants ||
        (unsigned)seq->priority >= KRS_SCHED_CLASSES) {
        return KRS_EINVAL;
    }
    if (seq->n_tokens + (uint64_t)seq->is_sampling > sched->limits.max_seq_tokens) {
        return KRS_ETOOLARGE;
    }
    if (seq->is_whole && seq->n_tokens > sched->limits.max_step_tokens) {
        return KRS_ETOOLARGE;
    }
    return has_room(sched, seq) ? KRS_OK : KRS_EBUSY;
}

krs_status krs_sched_add(krs_sched *sched, krs_sched_seq *seq, const krs_alloc *alloc)
{
    KRS_CHECK(seq->state == KRS_SCHED_OUT);
    KRS_CHECK(!seq->is_whole || (!seq->is_sampling && !seq->tokens));
    krs_status status = check_seq(sched, seq);
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t max_blocks =
        krs_kv_blocks_for(sched->limits.max_seq_tokens, sched->limits.block_tokens);
    status = krs_kv_table_init(&seq->table, max_blocks, alloc);
    if (status != KRS_OK) {
        return status;
    }
    seq->arrival = sched->next_arrival++;
    seq->n_computed = 0;
    seq->n_cached = 0;
    seq->n_charged = 0;
    seq->n_preempted = 0;
    seq->cache_end = KRS_CACHE_END_OFF;
    seq->end = KRS_OK;
    sched->n_cancelled += seq->is_cancelled;
    if (seq->deadline_ns < sched->next_deadline_ns) {
        sched->next_deadline_ns = seq->deadline_ns;
    }
    if (seq->credit > 0) {
        krs_sched_enqueue(sched, seq);
    } else {
        krs_sched_park(sched, seq);
    }
    return KRS_OK;
}

/* ---- between plans ---- */

void krs_sched_set_credit(krs_sched *sched, krs_sched_seq *seq, uint32_t credit)
{
    const bool was_paused = seq->credit == 0;
    const bool is_paused = credit == 0;
    if (seq->state == KRS_SCHED_PARKED) {
        krs_sched_unpark(sched, seq); /* its list depends on its credit */
        seq->credit = credit;
        krs_sched_park(sched, seq);
        return;
    }
    seq->credit = credit;
    if (was_paused == is_paused) {
        return;
    }
    if (seq->state == KRS_SCHED_RUNNING) {
        sched->stats.n_paused += is_paused ? 1 : UINT32_MAX; /* or one less */
    } else if (seq->state == KRS_SCHED_WAITING) {
        krs_sched_dequeue(sched, seq);
        krs_sched_park(sched, seq);
    }
}

void krs_sched_set_prompt_rows(krs_sched *sched, uint32_t n_rows)
{
    const uint32_t floor = KRS_SCHED_MIN_PROMPT_ROWS;
    sched->prompt_rows = n_rows > floor ? n_rows : floor;
    if (sched->prompt_rows < sched->fewest_prompt_rows) {
        sched->fewest_prompt_rows = sched->prompt_rows;
    }
}

void krs_sched_cancel(krs_sched *sched, krs_sched_seq *seq)
{
    if (seq->state != KRS_SCHED_OUT && !seq->is_cancelled) {
        seq->is_cancelled = true;
        sched->n_cancelled++;
    }
}

void krs_sched_append(krs_sched *sched, krs_sched_seq *seq, uint32_t n_tokens)
{
    KRS_CHECK(seq->state == KRS_SCHED_RUNNING && seq->n_computed >= seq->n_tokens);
    KRS_CHECK(n_tokens > 0 && n_tokens <= seq->n_computed - seq->n_tokens + 1);
    KRS_CHECK(n_tokens <= sched->limits.max_seq_tokens - seq->n_tokens);
    seq->n_tokens += n_tokens;
    seq->n_computed = seq->n_tokens - 1;
    seq->n_draft = 0;
    if (seq->n_charged < seq->n_computed) { /* proposals that were accepted */
        krs_sched_charge(sched, seq,
                         (uint64_t)(seq->n_computed - seq->n_charged) * KRS_SCHED_DECODE_COST);
        seq->n_charged = seq->n_computed;
    }
    if (seq->credit != KRS_SCHED_UNLIMITED && seq->credit > 0) {
        krs_sched_set_credit(sched, seq, seq->credit > n_tokens ? seq->credit - n_tokens : 0);
    }
}

void krs_sched_finish(krs_sched *sched, krs_sched_seq *seq)
{
    KRS_CHECK(seq->state != KRS_SCHED_OUT);
    if (seq->state == KRS_SCHED_RUNNING) {
        krs_sched_leave_place(sched, seq);
    } else if (seq->state == KRS_SCHED_WAITING) {
        krs_sched_dequeue(sched, seq);
    } else {
        krs_sched_unpark(sched, seq);
    }
    sched->n_cancelled -= seq->is_cancelled;
    seq->state = KRS_SCHED_OUT;
    krs_kv_table_deinit(&seq->table);
}

/* ---- numbers ---- */

uint64_t krs_sched_next_deadline(const krs_sched *sched)
{
    return sched->next_deadline_ns;
}

krs_sched_stats krs_sched_stats_of(const krs_sched *sched)
{
    return sched->stats;
}

uint64_t krs_sched_tenant_service(const krs_sched *sched, uint32_t tenant)
{
    KRS_CHECK(tenant < sched->limits.max_tenants);
    return sched->tenants[tenant].service;
}

uint64_t krs_sched_tenant_elder_service(const krs_sched *sched, uint32_t tenant)
{
    KRS_CHECK(tenant < sched->limits.max_tenants);
    return sched->tenants[tenant].elder_service;
}

uint32_t krs_sched_n_running(const krs_sched *sched)
{
    return sched->stats.n_running;
}

uint32_t krs_sched_n_waiting(const krs_sched *sched)
{
    return sched->stats.n_waiting;
}
