/* sched/plan.c - see sched.h. The rules, one function each, in the order they apply.
 *
 * Invariants: a running sequence holds the blocks of all its computed tokens, and from admission on of
 * all tokens it had then, so prefill never waits for a block; only a decode can need one more. */
#include "sched/sched_priv.h"

#include "base/check.h"

/* Rule 1. */
static void end_due(krs_sched *sched, sched_queue *queue, uint64_t now_ns, krs_sched_step *out)
{
    krs_sched_seq *next = NULL;
    for (krs_sched_seq *seq = queue->head; seq; seq = next) {
        next = seq->next;
        if (!seq->is_cancelled && now_ns < seq->deadline_ns) {
            continue;
        }
        krs_sched_finish(sched, seq);
        seq->end = seq->is_cancelled ? KRS_ECANCELLED : KRS_EDEADLINE;
        seq->next = out->ended;
        out->ended = seq;
    }
}

static void add_item(krs_sched *sched, krs_sched_seq *seq, uint32_t n_rows, krs_sched_step *out)
{
    KRS_CHECK(out->n_items < sched->limits.max_running);
    const bool is_last_known = seq->n_computed + n_rows == seq->n_tokens;
    sched->items[out->n_items++] = (krs_sched_item){.seq = seq,
                                                    .n_past = seq->n_computed,
                                                    .n_rows = n_rows,
                                                    .n_wanted = is_last_known,
                                                    .is_last_known = is_last_known};
    out->n_rows += n_rows;
    out->n_samples += is_last_known;
    seq->n_computed += n_rows;
}

static bool is_decode(const krs_sched_seq *seq)
{
    return seq->n_computed > 0 && seq->n_computed + 1 == seq->n_tokens;
}

/* The youngest running sequence without credit, or NULL. What is in this plan has credit, so it is never
 * this one. */
static krs_sched_seq *youngest_paused(const krs_sched *sched)
{
    for (krs_sched_seq *seq = sched->running.tail; seq; seq = seq->prev) {
        if (seq->credit == 0) {
            return seq;
        }
    }
    return NULL;
}

static void preempt(krs_sched *sched, krs_sched_seq *victim, krs_sched_step *out)
{
    krs_sched_preempt(sched, victim);
    out->n_preempted++;
}

/* Make seq's table cover its tokens; false when seq itself had to give way. */
static bool make_room(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens);
    while (krs_kv_table_grow(&seq->table, sched->pool, n_blocks) != KRS_OK) {
        krs_sched_seq *paused = youngest_paused(sched);
        krs_sched_seq *victim = paused ? paused : sched->running.tail;
        preempt(sched, victim, out);
        if (victim == seq) {
            return false;
        }
    }
    return true;
}

/* Rule 2. Victims are paused or younger than the sequence they make room for, so what has been planned
 * stays; a sequence that had to give way itself was the youngest, so nothing follows it. */
static void plan_decodes(krs_sched *sched, krs_sched_step *out)
{
    for (krs_sched_seq *seq = sched->running.head; seq; seq = seq->next) {
        if (seq->credit == 0 || !is_decode(seq)) {
            continue;
        }
        if (!make_room(sched, seq, out)) {
            return;
        }
        add_item(sched, seq, 1, out);
    }
}

/* Rule 3, running ones. */
static void plan_prefills(krs_sched *sched, krs_sched_step *out)
{
    for (krs_sched_seq *seq = sched->running.head; seq; seq = seq->next) {
        const uint32_t budget = sched->limits.max_step_tokens - out->n_rows;
        const uint32_t missing = seq->n_tokens - seq->n_computed;
        if (budget == 0) {
            return;
        }
        if (seq->credit > 0 && missing > 0 && !is_decode(seq)) {
            add_item(sched, seq, missing < budget ? missing : budget, out);
        }
    }
}

/* Does the whole known sequence fit, with room to go on? One free block for each running sequence is
 * asked for on top, or the newcomer would be thrown out again by the next decode that needs one. */
static bool has_place(const krs_sched *sched, const krs_sched_seq *seq)
{
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens);
    const uint64_t wanted = (uint64_t)n_blocks + sched->running.n;
    return sched->running.n < sched->limits.max_running &&
           wanted <= krs_kv_pool_n_free(sched->pool);
}

/* The same, once readers that take nothing have lost their places: one slow client must not keep the
 * others waiting. */
static bool find_place(krs_sched *sched, const krs_sched_seq *seq, krs_sched_step *out)
{
    while (!has_place(sched, seq)) {
        krs_sched_seq *paused = youngest_paused(sched);
        if (!paused) {
            return false;
        }
        preempt(sched, paused, out);
    }
    return true;
}

static void start(krs_sched *sched, krs_sched_seq *seq)
{
    krs_sched_queue_remove(&sched->waiting, seq);
    sched->waiting_tokens -= seq->n_tokens;
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens);
    KRS_CHECK(krs_kv_table_grow(&seq->table, sched->pool, n_blocks) == KRS_OK);
    seq->state = KRS_SCHED_RUNNING;
    krs_sched_queue_insert(&sched->running, seq);
}

/* Rule 3, waiting ones. */
static void admit(krs_sched *sched, krs_sched_step *out)
{
    krs_sched_seq *seq = sched->waiting.head;
    while (seq && out->n_rows < sched->limits.max_step_tokens) {
        if (seq->credit == 0) {
            seq = seq->next;
            continue;
        }
        if (!find_place(sched, seq, out)) {
            return;
        }
        krs_sched_seq *next = seq->next; /* read late: find_place may have put one there */
        start(sched, seq);
        const uint32_t budget = sched->limits.max_step_tokens - out->n_rows;
        add_item(sched, seq, seq->n_tokens < budget ? seq->n_tokens : budget, out);
        seq = next;
    }
}

void krs_sched_plan(krs_sched *sched, uint64_t now_ns, krs_sched_step *out)
{
    *out = (krs_sched_step){.items = sched->items};
    end_due(sched, &sched->running, now_ns, out);
    end_due(sched, &sched->waiting, now_ns, out);
    plan_decodes(sched, out);
    plan_prefills(sched, out);
    admit(sched, out);
}
