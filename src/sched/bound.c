/* sched/bound.c - what the scheduler promises, as numbers. tests/prop holds it to them.
 *
 * Why a waiting sequence gets its row within the bound. Its patience ends after P plans. From then on the
 * others whose patience ended no later are A, and nobody joins them: who comes, or comes back, has a later
 * end. Every KRS_SCHED_ELDER_TURN-th admission is an elder's, so after M = KRS_SCHED_ELDER_TURN * (A + 1)
 * admissions it has had its turn. How long can M admissions take? A plan that does not admit it is one of
 *
 *   1. rows ran out: prompts got at least Q: B - R + 1, since whoever is in its prompt does not decode, or
 *      what they are granted beside decodes;
 *   2. a prompt was finished in it: at most one such plan for each admission, and for each that ran;
 *   3. no place: without 1 and 2 all that run decode, and they are at least k, since fewer than k leave
 *      room for another of full length. Who has no credit loses its place first.
 *
 * A whole sequence ends in the plan that admits it, and every plan has rows for the first: for such a house
 * each admission takes at most one plan.
 *
 * Each of the R that ran, and of the M admitted, has at most L tokens, prompt and answer, replayed or not
 * (a victim that comes back is an admission again). So 1 and 3 take at most L / min(k, Q) plans for
 * each, and 2 one.
 *
 * Thread: one owner.  Memory: none. */
#include "sched/sched_priv.h"

uint64_t krs_sched_fair_bound(const krs_sched_limits *limits)
{
    const uint64_t batch =
        (uint64_t)KRS_SCHED_DECODE_COST * limits->max_running * limits->max_seq_tokens;
    const uint64_t prompt = (uint64_t)KRS_SCHED_PREFILL_COST * limits->max_seq_tokens;
    return 2 * (batch > prompt ? batch : prompt);
}

/* k: so many sequences of full length fit beside each other with the block that each newcomer asks for on
 * top for each that runs. */
static uint64_t min_parallel(const krs_sched *sched)
{
    const krs_sched_limits *l = &sched->limits;
    const uint64_t usable = krs_kv_pool_n_blocks(sched->pool) - krs_kv_pool_n_pinned(sched->pool);
    const uint64_t blocks = krs_kv_blocks_for(l->max_seq_tokens, l->block_tokens);
    const uint64_t k = (usable + 1) / (blocks + 1);
    if (k == 0) {
        return 1;
    }
    return k < l->max_running ? k : l->max_running;
}

/* A for one whose patience has ended. */
static uint64_t count_elders(const krs_sched *sched, const krs_sched_seq *seq)
{
    uint64_t n = 0;
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        const krs_sched_seq *other = sched->classes[c].list.head;
        for (; other && other->due_step <= seq->due_step; other = other->next) {
            n += other != seq;
        }
    }
    return n;
}

/* One that has patience plans left, and n_before whose patience ends no later. */
static uint64_t bound_of(const krs_sched *sched, uint64_t patience, uint64_t n_before)
{
    const krs_sched_limits *l = &sched->limits;
    const uint64_t n_admissions = KRS_SCHED_ELDER_TURN * (n_before + 1);
    const uint64_t n_free = l->max_step_tokens - l->max_running + 1;
    const uint64_t n_rows = n_free < sched->fewest_prompt_rows ? n_free : sched->fewest_prompt_rows;
    const uint64_t k = min_parallel(sched);
    const uint64_t slowest = k < n_rows ? k : n_rows;
    const uint64_t each = (l->max_seq_tokens + slowest - 1) / slowest + 1;
    return patience + (l->max_running + n_admissions) * each + 1;
}

uint64_t krs_sched_wait_bound(const krs_sched *sched, const krs_sched_seq *seq)
{
    const krs_sched_limits *l = &sched->limits;
    const uint64_t others = (uint64_t)l->max_running + l->max_waiting + l->max_parked - 1;
    if (seq->credit == 0 || seq->state == KRS_SCHED_OUT) {
        return UINT64_MAX;
    }
    const uint64_t left = seq->due_step > sched->step ? seq->due_step - sched->step : 0;
    if (seq->state == KRS_SCHED_PARKED) {
        return bound_of(sched, left + 1 + krs_sched_patience(seq->priority), others);
    }
    if (seq->state == KRS_SCHED_WAITING) {
        return bound_of(sched, left, left > 0 ? others : count_elders(sched, seq));
    }
    const bool is_prompt = seq->n_computed == 0 || seq->n_computed + 1 < seq->n_tokens;
    return is_prompt ? krs_sched_patience(seq->priority) + l->max_running : 1;
}
