/* sched/state.c - the state of recurrent layers: who holds which slot, and which states are kept.
 *
 * Keys and values of any prefix are there as long as its blocks are; a state is overwritten by every token.
 * So a sequence can share a prefix only up to a place where somebody's state was copied in time. Three places
 * are worth a copy: the last full block of a prompt (the same prompt again, and a conversation that goes on
 * with its last answer written differently); the block where a prompt left a cached one that had no
 * checkpoint (the second with the same beginning leaves it for the third); and behind the last block of an
 * answer (a conversation that goes on), where one slot trails along.
 *
 * A checkpoint is registered when its copy is planned: whoever matches it in the same plan copies after it,
 * since copies run in list order and before all rows.
 *
 * Invariant: a running sequence holds one slot; every other held slot is about to be read.
 *
 * Thread: one owner.  Memory: none taken here.  Source: the idea of keeping states where prompts branch is
 * from Pan et al. 2024, Marconi, arXiv:2411.19379. */
#include "sched/sched_priv.h"

#include "base/check.h"

krs_status krs_sched_use_states(krs_sched *sched, krs_kv_state *states, krs_error *err)
{
    KRS_CHECK(sched->next_arrival == 0);
    /* Who starts holds the state it goes on from for a moment, beside all that run. */
    if (krs_kv_state_n_slots(states) <= sched->limits.max_running) {
        return krs_fail(err, KRS_EINVAL, "scheduler: %u states, want more than its %u sequences",
                        krs_kv_state_n_slots(states), sched->limits.max_running);
    }
    sched->states = states;
    return KRS_OK;
}

static void add_copy(krs_sched *sched, uint32_t from, uint32_t to, krs_sched_step *out)
{
    KRS_CHECK(out->n_copies < 2 * sched->limits.max_running);
    sched->copies[out->n_copies++] = (krs_sched_copy){from, to};
}

/* The last place of its known tokens where another with the same could go on. */
static uint32_t last_boundary(const krs_sched *sched, const krs_sched_seq *seq)
{
    const uint32_t block_tokens = sched->limits.block_tokens;
    return (seq->n_tokens - 1) / block_tokens * block_tokens;
}

/* Where its state is wanted beyond n tokens, 0: nowhere. branch: tokens that were cached without a
 * checkpoint. */
static uint32_t next_checkpoint(const krs_sched *sched, const krs_sched_seq *seq, uint32_t n,
                                uint32_t branch)
{
    if (!sched->prefix || !seq->tokens) {
        return 0;
    }
    const uint32_t last = last_boundary(sched, seq);
    if (branch > n && branch < last) {
        return branch;
    }
    return last > n ? last : 0;
}

void krs_sched_take_slot(krs_sched *sched, krs_sched_seq *seq, const krs_kv_match *match,
                         krs_sched_step *out)
{
    if (!sched->states) {
        return;
    }
    KRS_CHECK(krs_kv_state_take(sched->states, &seq->slot) == KRS_OK);
    if (match->state != KRS_KV_NO_STATE) {
        add_copy(sched, match->state, seq->slot, out);
        krs_kv_state_drop_hold(sched->states, match->state);
    }
    const uint32_t block_tokens = sched->limits.block_tokens;
    seq->trail_slot = KRS_KV_NO_STATE;
    seq->next_checkpoint =
        next_checkpoint(sched, seq, match->n_blocks * block_tokens, match->n_seen * block_tokens);
}

/* Does its state belong behind the last registered block? */
static bool is_at_chain(const krs_sched *sched, const krs_sched_seq *seq)
{
    return sched->prefix && seq->tokens && seq->n_computed > 0 &&
           seq->chain.n_blocks * sched->limits.block_tokens == seq->n_computed;
}

void krs_sched_give_slot(krs_sched *sched, krs_sched_seq *seq)
{
    if (!sched->states) {
        return;
    }
    if (is_at_chain(sched, seq)) {
        krs_kv_prefix_checkpoint(sched->prefix, &seq->chain, &seq->table, seq->slot);
    } else {
        krs_kv_state_give(sched->states, seq->slot);
    }
    seq->slot = KRS_KV_NO_STATE;
}

uint32_t krs_sched_rows_to_checkpoint(const krs_sched *sched, const krs_sched_seq *seq, uint32_t n)
{
    if (!sched->states || seq->next_checkpoint <= seq->n_computed) {
        return n;
    }
    const uint32_t n_to = seq->next_checkpoint - seq->n_computed;
    return n < n_to ? n : n_to;
}

/* A slot to copy to: the one that trails, or another. */
static bool take_trail(krs_sched *sched, krs_sched_seq *seq, uint32_t *slot)
{
    if (seq->trail_slot != KRS_KV_NO_STATE &&
        krs_kv_prefix_take_checkpoint(sched->prefix, seq->trail_block, seq->trail_slot)) {
        *slot = seq->trail_slot;
        return true;
    }
    return krs_kv_state_take(sched->states, slot) == KRS_OK;
}

/* Copy its state to be the checkpoint of the last registered block. */
static void keep_state(krs_sched *sched, krs_sched_seq *seq, bool is_trail, krs_sched_step *out)
{
    uint32_t slot = KRS_KV_NO_STATE;
    const bool has_slot = is_trail ? take_trail(sched, seq, &slot)
                                   : krs_kv_state_take(sched->states, &slot) == KRS_OK;
    if (!has_slot) {
        return;
    }
    add_copy(sched, seq->slot, slot, out);
    krs_kv_prefix_checkpoint(sched->prefix, &seq->chain, &seq->table, slot);
    if (is_trail) {
        seq->trail_slot = slot;
        seq->trail_block = seq->table.blocks[seq->chain.n_blocks - 1];
    }
}

void krs_sched_checkpoint(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    if (!sched->states || !is_at_chain(sched, seq)) {
        return;
    }
    const bool is_wanted = seq->n_computed == seq->next_checkpoint;
    const bool is_trail = !is_wanted && seq->n_computed + 1 == seq->n_tokens;
    if (is_wanted) {
        seq->next_checkpoint = next_checkpoint(sched, seq, seq->n_computed, 0);
    }
    if ((is_wanted || is_trail) &&
        !krs_kv_prefix_has_checkpoint(sched->prefix, &seq->chain, &seq->table)) {
        keep_state(sched, seq, is_trail, out);
    }
}
