/* sched/waiting.c - who waits, and who is next.
 *
 *   class list   every waiting sequence of a priority, in the order in which their patience ends: elders
 *   queue        those of one tenant and one priority, in order of arrival
 *   heap         the tenants that have such a queue, least served (by weight) first
 *
 * A class's next is the head of the queue of its least served tenant; ties go to who came first.
 *
 * Thread: one owner.  Memory: none taken here.
 * Source: Sheng et al. 2024, Fairness in Serving Large Language Models, algorithm 2 (virtual token
 * counters with lift), here by weight and per class. */
#include "sched/sched_priv.h"

#include "base/check.h"

uint64_t krs_sched_patience(krs_priority priority)
{
    static const uint64_t plans[KRS_SCHED_CLASSES] = {
        [KRS_PRIORITY_URGENT] = KRS_SCHED_PATIENCE_URGENT,
        [KRS_PRIORITY_NORMAL] = KRS_SCHED_PATIENCE_NORMAL,
        [KRS_PRIORITY_BACKGROUND] = KRS_SCHED_PATIENCE_BACK,
    };
    return plans[priority];
}

/* ---- the heap of a class ---- */

static bool is_before(const krs_sched *sched, uint32_t c, uint32_t x, uint32_t y)
{
    const sched_tenant *a = &sched->tenants[x];
    const sched_tenant *b = &sched->tenants[y];
    return a->counter != b->counter ? a->counter < b->counter
                                    : a->queues[c].head->arrival < b->queues[c].head->arrival;
}

static void put(krs_sched *sched, uint32_t c, uint32_t i, uint32_t tenant)
{
    sched->classes[c].heap[i] = tenant;
    sched->tenants[tenant].queues[c].at = i;
}

/* The tenant at i may belong nearer to the top. Returns where it came to be. */
static uint32_t sift_up(krs_sched *sched, uint32_t c, uint32_t i)
{
    const uint32_t *heap = sched->classes[c].heap;
    const uint32_t tenant = heap[i];
    while (i > 0 && is_before(sched, c, tenant, heap[(i - 1) / 2])) {
        put(sched, c, i, heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(sched, c, i, tenant);
    return i;
}

static void sift_down(krs_sched *sched, uint32_t c, uint32_t i)
{
    const uint32_t *heap = sched->classes[c].heap;
    const uint32_t n = sched->classes[c].n_heap;
    const uint32_t tenant = heap[i];
    for (uint32_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        child += child + 1 < n && is_before(sched, c, heap[child + 1], heap[child]);
        if (!is_before(sched, c, heap[child], tenant)) {
            break;
        }
        put(sched, c, i, heap[child]);
        i = child;
    }
    put(sched, c, i, tenant);
}

static void leave_heap(krs_sched *sched, uint32_t c, uint32_t tenant)
{
    sched_class *class = &sched->classes[c];
    const uint32_t i = sched->tenants[tenant].queues[c].at;
    const uint32_t last = class->heap[--class->n_heap];
    sched->tenants[tenant].queues[c].at = SCHED_NO_TENANT;
    if (last != tenant) {
        put(sched, c, i, last);
        sift_down(sched, c, sift_up(sched, c, i));
    }
}

/* The tenant's queue or counter changed: put it where it belongs. */
static void fix_heap(krs_sched *sched, uint32_t c, uint32_t tenant)
{
    const sched_tenant *t = &sched->tenants[tenant];
    const uint32_t at = t->queues[c].at;
    if (!t->queues[c].head) {
        if (at != SCHED_NO_TENANT) {
            leave_heap(sched, c, tenant);
        }
        return;
    }
    uint32_t i = at;
    if (at == SCHED_NO_TENANT) {
        i = sched->classes[c].n_heap++;
        put(sched, c, i, tenant);
    }
    sift_down(sched, c, sift_up(sched, c, i));
}

/* ---- a tenant's queue ---- */

/* New ones belong at the tail, preempted ones near the head. */
static krs_sched_seq *place_before(const sched_tenant *t, const krs_sched_seq *seq)
{
    krs_sched_seq *before = t->queues[seq->priority].tail;
    if (!before || before->arrival < seq->arrival) {
        return before;
    }
    before = NULL;
    krs_sched_seq *at = t->queues[seq->priority].head;
    while (at && at->arrival < seq->arrival) {
        before = at;
        at = at->tenant_next;
    }
    return before;
}

static void queue_insert(krs_sched *sched, krs_sched_seq *seq)
{
    const uint32_t c = seq->priority;
    sched_tenant *t = &sched->tenants[seq->tenant];
    krs_sched_seq *before = place_before(t, seq);
    seq->tenant_prev = before;
    seq->tenant_next = before ? before->tenant_next : t->queues[c].head;
    *(before ? &before->tenant_next : &t->queues[c].head) = seq;
    *(seq->tenant_next ? &seq->tenant_next->tenant_prev : &t->queues[c].tail) = seq;
    fix_heap(sched, c, seq->tenant);
}

static void queue_remove(krs_sched *sched, krs_sched_seq *seq)
{
    const uint32_t c = seq->priority;
    sched_tenant *t = &sched->tenants[seq->tenant];
    *(seq->tenant_prev ? &seq->tenant_prev->tenant_next : &t->queues[c].head) = seq->tenant_next;
    *(seq->tenant_next ? &seq->tenant_next->tenant_prev : &t->queues[c].tail) = seq->tenant_prev;
    seq->tenant_prev = NULL;
    seq->tenant_next = NULL;
    fix_heap(sched, c, seq->tenant);
}

/* Idle time earns nothing: who comes back starts level with the least served that waits, or, when nobody
 * does, with the one whose work ran out last. */
static void lift(krs_sched *sched, const krs_sched_seq *seq)
{
    const sched_class *class = &sched->classes[seq->priority];
    const uint32_t level = class->n_heap > 0 ? class->heap[0] : class->last_tenant;
    sched_tenant *t = &sched->tenants[seq->tenant];
    if (level != SCHED_NO_TENANT && t->counter < sched->tenants[level].counter) {
        t->counter = sched->tenants[level].counter;
        for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
            fix_heap(sched, c, seq->tenant);
        }
    }
}

/* ---- operations ---- */

void krs_sched_enqueue(krs_sched *sched, krs_sched_seq *seq)
{
    sched_tenant *t = &sched->tenants[seq->tenant];
    if (t->queues[seq->priority].n == 0) {
        lift(sched, seq);
    }
    seq->state = KRS_SCHED_WAITING;
    seq->due_step = sched->step + krs_sched_patience(seq->priority);
    seq->chain.n_blocks = 0;
    krs_sched_list_append(&sched->classes[seq->priority].list, seq);
    queue_insert(sched, seq);
    t->queues[seq->priority].n++;
    t->n_waiting++;
    sched->stats.n_waiting++;
    sched->stats.n_waiting_tokens += seq->n_tokens;
}

void krs_sched_dequeue(krs_sched *sched, krs_sched_seq *seq)
{
    sched_tenant *t = &sched->tenants[seq->tenant];
    krs_sched_list_remove(&sched->classes[seq->priority].list, seq);
    queue_remove(sched, seq);
    t->n_waiting--;
    if (--t->queues[seq->priority].n == 0) {
        sched->classes[seq->priority].last_tenant = seq->tenant;
    }
    sched->stats.n_waiting--;
    sched->stats.n_waiting_tokens -= seq->n_tokens;
}

/* Its place in the thaw is kept: a reader that grants token by token is not put off for ever. */
void krs_sched_park(krs_sched *sched, krs_sched_seq *seq)
{
    const bool is_new = seq->state != KRS_SCHED_PARKED || seq->due_step == 0;
    seq->state = KRS_SCHED_PARKED;
    sched->stats.n_parked++;
    if (seq->credit == 0) {
        seq->due_step = 0;
        krs_sched_list_append(&sched->parked, seq);
    } else if (seq->credit >= KRS_SCHED_THAW_CREDIT || seq->n_preempted == 0) {
        sched->stats.n_parked--;
        krs_sched_enqueue(sched, seq);
    } else {
        seq->due_step = is_new ? sched->step + KRS_SCHED_THAW_PLANS : seq->due_step;
        krs_sched_seq *before = sched->thawing.tail;
        while (before && before->due_step > seq->due_step) {
            before = before->prev;
        }
        krs_sched_list_insert_after(&sched->thawing, before, seq);
    }
}

void krs_sched_unpark(krs_sched *sched, krs_sched_seq *seq)
{
    krs_sched_list_remove(seq->credit == 0 ? &sched->parked : &sched->thawing, seq);
    sched->stats.n_parked--;
}

static bool is_place_for_all(const krs_sched *sched)
{
    const krs_sched_stats *stats = &sched->stats;
    return stats->n_waiting == 0 && stats->n_running - stats->n_paused < sched->limits.max_running;
}

void krs_sched_thaw(krs_sched *sched)
{
    krs_sched_seq *seq = sched->thawing.head;
    while (seq && (seq->due_step <= sched->step || is_place_for_all(sched))) {
        krs_sched_unpark(sched, seq);
        krs_sched_enqueue(sched, seq);
        seq = sched->thawing.head;
    }
}

void krs_sched_hold(krs_sched *sched, krs_sched_seq *seq)
{
    queue_remove(sched, seq);
    seq->tenant_next = sched->held;
    sched->held = seq;
}

void krs_sched_end_holds(krs_sched *sched)
{
    while (sched->held) {
        krs_sched_seq *seq = sched->held;
        sched->held = seq->tenant_next;
        queue_insert(sched, seq);
    }
}

void krs_sched_charge(krs_sched *sched, const krs_sched_seq *seq, uint64_t cost)
{
    sched_tenant *t = &sched->tenants[seq->tenant];
    t->service += cost;
    t->elder_service += seq->is_elder ? cost : 0;
    t->counter += cost * SCHED_SERVICE_UNIT / t->weight;
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        if (t->queues[c].at != SCHED_NO_TENANT) {
            sift_down(sched, c, t->queues[c].at);
        }
    }
}

krs_sched_seq *krs_sched_elder(const krs_sched *sched)
{
    krs_sched_seq *elder = NULL;
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        krs_sched_seq *first = sched->classes[c].list.head;
        if (first && first->due_step <= sched->step &&
            (!elder || first->due_step < elder->due_step)) {
            elder = first;
        }
    }
    return elder;
}

bool krs_sched_is_elder_turn(const krs_sched *sched)
{
    return sched->n_since_elder + 1 >= KRS_SCHED_ELDER_TURN && krs_sched_elder(sched);
}

krs_sched_seq *krs_sched_next(const krs_sched *sched)
{
    if (krs_sched_is_elder_turn(sched)) {
        return krs_sched_elder(sched);
    }
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        const sched_class *class = &sched->classes[c];
        if (class->n_heap > 0) {
            return sched->tenants[class->heap[0]].queues[c].head;
        }
    }
    return NULL;
}
