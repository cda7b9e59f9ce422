/* sched/place.c - places in the batch and the blocks that go with them: who gets one, who gives one up.
 *
 * Invariants: a running sequence holds the blocks of all its computed tokens, and from admission on of
 * all tokens it had then, so a prompt never waits for a block; only a decode can need one more.
 *
 * Victims are ranked once a plan: their order cannot change within it, and choosing k of n costs
 * n + k log n. What a victim loses are the tokens whose blocks nobody else holds; blocks along a table are
 * shared by fewer and fewer, so where that begins is found by halving.
 *
 * Thread: one owner.  Memory: none taken here. */
#include "sched/sched_priv.h"

#include "base/check.h"

static bool is_shared(const krs_sched *sched, const krs_sched_seq *seq)
{
    return sched->prefix && seq->tokens;
}

void krs_sched_extend(krs_sched *sched, krs_sched_seq *seq)
{
    if (is_shared(sched, seq) &&
        seq->chain.n_blocks < seq->n_computed / sched->limits.block_tokens) {
        krs_kv_prefix_extend(sched->prefix, seq->tokens, seq->n_computed, &seq->table, &seq->chain);
    }
}

void krs_sched_leave_place(krs_sched *sched, krs_sched_seq *seq)
{
    if (seq->n_computed > seq->n_tokens) {
        seq->n_computed = seq->n_tokens; /* ended in a step that had proposals */
    }
    krs_sched_extend(sched, seq);
    krs_sched_give_slot(sched, seq);
    krs_kv_table_clear(&seq->table, sched->pool);
    krs_sched_list_remove(&sched->running, seq);
    sched->n_running_of[seq->priority]--;
    sched->stats.n_running--;
    sched->stats.n_paused -= seq->credit == 0;
    seq->n_computed = 0;
    seq->n_draft = 0;
}

void krs_sched_preempt(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    krs_sched_leave_place(sched, seq);
    seq->n_preempted++;
    out->n_preempted++;
    if (seq->credit == 0) {
        krs_sched_park(sched, seq);
    } else {
        krs_sched_enqueue(sched, seq);
    }
}

/* ---- victims ---- */

/* Tokens that would have to be computed again if nobody asked for the cached blocks meanwhile. */
static uint32_t loss_of(const krs_sched *sched, const krs_sched_seq *seq)
{
    uint32_t n_shared = 0;
    uint32_t end = seq->n_computed / sched->limits.block_tokens;
    while (n_shared < end) {
        const uint32_t middle = n_shared + (end - n_shared) / 2;
        if (krs_kv_pool_n_refs(sched->pool, seq->table.blocks[middle]) > 1) {
            n_shared = middle + 1;
        } else {
            end = middle;
        }
    }
    return seq->n_computed - n_shared * sched->limits.block_tokens;
}

static bool is_in_quantum(const krs_sched_seq *seq)
{
    return seq->n_tokens < seq->quantum_end;
}

/* Without credit first; who has just come back from a preemption last, or two could throw each other out
 * for ever; then low priority, then the cheapest, then the youngest. */
static void push_victim(krs_sched *sched, krs_sched_seq *seq)
{
    const uint64_t has_credit = seq->credit > 0;
    const uint64_t is_back = seq->n_preempted > 0 && is_in_quantum(seq);
    const uint64_t rank = KRS_SCHED_CLASSES - 1 - (uint64_t)seq->priority;
    const uint64_t a = has_credit << 63 | is_back << 62 | rank << 60 | loss_of(sched, seq);
    krs_sched_heap_push(&sched->victims, (sched_rank){a, UINT64_MAX - seq->arrival, seq});
}

static krs_sched_seq *oldest_with_credit(const krs_sched *sched)
{
    krs_sched_seq *seq = sched->running.head;
    while (seq && seq->credit == 0) {
        seq = seq->next;
    }
    return seq;
}

bool krs_sched_needs_block(const krs_sched *sched, const krs_sched_seq *seq)
{
    return krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens) > seq->table.n_blocks;
}

void krs_sched_make_room(krs_sched *sched, uint32_t n_blocks, krs_sched_step *out)
{
    if (n_blocks <= krs_kv_pool_n_free(sched->pool)) {
        return;
    }
    const krs_sched_seq *oldest = oldest_with_credit(sched);
    sched->victims.n = 0;
    for (krs_sched_seq *seq = sched->running.head; seq; seq = seq->next) {
        if (seq != oldest) {
            push_victim(sched, seq);
        }
    }
    while (n_blocks > krs_kv_pool_n_free(sched->pool)) {
        KRS_CHECK(sched->victims.n > 0); /* the oldest alone fits: checked by _new */
        krs_sched_seq *victim = krs_sched_heap_pop(&sched->victims);
        n_blocks -= victim->credit > 0 && krs_sched_needs_block(sched, victim);
        krs_sched_preempt(sched, victim, out);
    }
}

/* ---- admission ---- */

/* Hold what is cached of its prompt. */
static krs_kv_match match(krs_sched *sched, krs_sched_seq *seq)
{
    const krs_kv_match none = {.state = KRS_KV_NO_STATE, .end = KRS_CACHE_END_OFF};
    if (!is_shared(sched, seq)) {
        return none;
    }
    seq->chain = krs_kv_prefix_root(sched->prefix, seq->cache_salt);
    if (seq->wants_all) {
        return none;
    }
    return krs_kv_prefix_match(sched->prefix, seq->tokens, seq->n_tokens, &seq->table, &seq->chain);
}

/* It is not admitted after all. */
static void unmatch(krs_sched *sched, krs_sched_seq *seq, const krs_kv_match *found)
{
    if (found->state != KRS_KV_NO_STATE) {
        krs_kv_state_drop_hold(sched->states, found->state);
    }
    krs_kv_table_clear(&seq->table, sched->pool);
    seq->chain.n_blocks = 0;
}

/* Does the whole known sequence fit behind what it matched, with room to go on? One free block for each
 * running sequence is asked for on top, or the newcomer would be thrown out again by the next decode that
 * needs one. */
static bool has_place(const krs_sched *sched, const krs_sched_seq *seq)
{
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens);
    const uint64_t wanted = (uint64_t)n_blocks - seq->table.n_blocks + sched->running.n;
    return sched->running.n < sched->limits.max_running &&
           wanted <= krs_kv_pool_n_free(sched->pool) &&
           (!sched->states || krs_kv_state_n_free(sched->states) > 0);
}

/* The same, once readers that take nothing have lost their places: one slow client must not keep the
 * others waiting. They have no rows in this plan. */
static bool find_place(krs_sched *sched, const krs_sched_seq *seq, krs_sched_step *out)
{
    if (has_place(sched, seq)) {
        return true;
    }
    if (sched->stats.n_paused == 0) {
        return false;
    }
    sched->victims.n = 0;
    for (krs_sched_seq *other = sched->running.head; other; other = other->next) {
        if (other->credit == 0) {
            push_victim(sched, other);
        }
    }
    while (sched->victims.n > 0 && !has_place(sched, seq)) {
        krs_sched_preempt(sched, krs_sched_heap_pop(&sched->victims), out);
    }
    return has_place(sched, seq);
}

static void start(krs_sched *sched, krs_sched_seq *seq, const krs_kv_match *found,
                  krs_sched_step *out)
{
    const uint32_t n_found = seq->table.n_blocks * sched->limits.block_tokens;
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens);
    KRS_CHECK(krs_kv_table_grow(&seq->table, sched->pool, n_blocks) == KRS_OK);
    krs_sched_take_slot(sched, seq, found, out);
    krs_sched_dequeue(sched, seq);
    seq->state = KRS_SCHED_RUNNING;
    seq->n_computed = n_found;
    seq->last_row_step = sched->step;
    seq->quantum_end = seq->n_tokens + KRS_SCHED_QUANTUM_TOKENS;
    if (seq->n_charged < n_found) {
        seq->n_charged = n_found;
    }
    if (seq->n_preempted == 0) {
        seq->n_cached = n_found;
        seq->cache_end = found->end;
    }
    krs_sched_list_insert(&sched->running, seq);
    sched->n_running_of[seq->priority]++;
    sched->stats.n_running++;
    sched->stats.n_admitted++;
    sched->stats.n_asked_tokens += seq->n_tokens;
    sched->stats.n_found_tokens += n_found;
}

/* Rule 5: is the block behind what it would find being computed in this step? How far it has been looked up
 * is kept in its chain, so that looking again costs only what is new. A block alone is no use to a model
 * with state. */
static bool should_wait(krs_sched *sched, krs_sched_seq *seq)
{
    if (sched->inflight.n == 0 || sched->states || !is_shared(sched, seq) || seq->wants_all ||
        seq->due_step <= sched->step) {
        return false;
    }
    krs_kv_chain *chain = &seq->chain;
    if (chain->n_blocks == 0) {
        *chain = krs_kv_prefix_root(sched->prefix, seq->cache_salt);
    }
    const uint32_t block_tokens = sched->limits.block_tokens;
    while (chain->n_blocks < (seq->n_tokens - 1) / block_tokens) {
        const uint32_t *tokens = seq->tokens + (size_t)chain->n_blocks * block_tokens;
        const krs_kv_hash hash = krs_kv_prefix_hash(sched->prefix, chain->hash, tokens);
        if (!krs_kv_prefix_has(sched->prefix, hash)) {
            return krs_sched_inflight_has(&sched->inflight, hash);
        }
        chain->hash = hash;
        chain->n_blocks++;
    }
    return false;
}

/* An admission while an elder waits: its turn comes nearer, or is over. */
static void count_turn(krs_sched *sched, krs_sched_seq *seq)
{
    const krs_sched_seq *elder = krs_sched_elder(sched);
    seq->is_elder = elder == seq && krs_sched_is_elder_turn(sched);
    if (elder == seq) {
        sched->n_since_elder = 0;
    } else if (elder) {
        sched->n_since_elder++;
    }
}

sched_admission krs_sched_admit(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    if (sched->stats.n_running - sched->stats.n_paused >= sched->limits.max_running) {
        return SCHED_BLOCKED; /* the usual case under load: do not look the prompt up for it */
    }
    if (should_wait(sched, seq)) {
        krs_sched_hold(sched, seq);
        return SCHED_HELD;
    }
    const krs_kv_match found = match(sched, seq);
    if (!find_place(sched, seq, out)) {
        unmatch(sched, seq, &found);
        return SCHED_BLOCKED;
    }
    count_turn(sched, seq);
    start(sched, seq, &found, out);
    return SCHED_ADMITTED;
}

/* ---- priority ---- */

static bool is_displaceable(const krs_sched_seq *seq, krs_priority by)
{
    return seq->credit > 0 && seq->priority > by && !is_in_quantum(seq);
}

/* Lower priorities than `by`, and how many blocks would be free if they and the paused ones had gone. */
static uint64_t collect_displaceable(krs_sched *sched, krs_priority by)
{
    uint64_t n_free = krs_kv_pool_n_free(sched->pool);
    sched->victims.n = 0;
    for (krs_sched_seq *seq = sched->running.head; seq; seq = seq->next) {
        const bool can_go = is_displaceable(seq, by);
        if (can_go) {
            push_victim(sched, seq);
        }
        if (can_go || seq->credit == 0) {
            const uint32_t loss = loss_of(sched, seq);
            n_free += seq->table.n_blocks - (seq->n_computed - loss) / sched->limits.block_tokens;
        }
    }
    return n_free;
}

static bool has_lower(const krs_sched *sched, krs_priority by)
{
    uint32_t n = 0;
    for (uint32_t c = (uint32_t)by + 1; c < KRS_SCHED_CLASSES; c++) {
        n += sched->n_running_of[c];
    }
    return n > 0;
}

void krs_sched_displace(krs_sched *sched, krs_sched_step *out)
{
    krs_sched_seq *seq = krs_sched_next(sched);
    if (!seq || !has_lower(sched, seq->priority)) {
        return;
    }
    const krs_kv_match found = match(sched, seq);
    if (!has_place(sched, seq)) {
        const uint64_t n_free = collect_displaceable(sched, seq->priority);
        const uint64_t wanted =
            krs_kv_blocks_for(seq->n_tokens, sched->limits.block_tokens) - seq->table.n_blocks;
        const bool can_help = wanted + sched->running.n - sched->victims.n <= n_free;
        while (can_help && sched->victims.n > 0 && !has_place(sched, seq)) {
            krs_sched_preempt(sched, krs_sched_heap_pop(&sched->victims), out);
        }
    }
    unmatch(sched, seq, &found);
}
