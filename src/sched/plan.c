/* sched/plan.c - see sched.h. The rules, one function each, in the order they apply.
 *
 * Whoever has rows in a plan keeps its blocks in it: room for decodes and for higher priorities is made
 * before any row is given out, and what loses its place after that has no credit, so no rows.
 *
 * Thread: one owner.  Memory: none taken here. */
#include "sched/sched_priv.h"

#include "base/check.h"

/* ---- rule 1 ---- */

static void end_due_of(krs_sched *sched, sched_list *list, uint64_t now_ns, krs_sched_step *out)
{
    krs_sched_seq *next = NULL;
    for (krs_sched_seq *seq = list->head; seq; seq = next) {
        next = seq->next;
        if (!seq->is_cancelled && now_ns < seq->deadline_ns) {
            if (seq->deadline_ns < sched->next_deadline_ns) {
                sched->next_deadline_ns = seq->deadline_ns;
            }
            continue;
        }
        const bool is_cancelled = seq->is_cancelled;
        krs_sched_finish(sched, seq);
        seq->end = is_cancelled ? KRS_ECANCELLED : KRS_EDEADLINE;
        seq->next = out->ended;
        out->ended = seq;
    }
}

/* Looks at everybody, but only when somebody is cancelled or the earliest deadline may have come. */
static void end_due(krs_sched *sched, uint64_t now_ns, krs_sched_step *out)
{
    if (sched->n_cancelled == 0 && now_ns < sched->next_deadline_ns) {
        return;
    }
    sched->next_deadline_ns = UINT64_MAX;
    end_due_of(sched, &sched->running, now_ns, out);
    end_due_of(sched, &sched->parked, now_ns, out);
    end_due_of(sched, &sched->thawing, now_ns, out);
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        end_due_of(sched, &sched->classes[c].list, now_ns, out);
    }
}

/* ---- rows ---- */

/* A token is charged once, whatever its sequence goes through. */
static void charge(krs_sched *sched, krs_sched_seq *seq, uint32_t n_rows, uint32_t cost)
{
    const uint32_t end = seq->n_computed + n_rows;
    if (end > seq->n_charged) {
        const uint32_t begin = seq->n_computed > seq->n_charged ? seq->n_computed : seq->n_charged;
        seq->n_charged = end;
        krs_sched_charge(sched, seq, (uint64_t)(end - begin) * cost);
    }
}

static void add_item(krs_sched *sched, krs_sched_seq *seq, uint32_t n_rows, krs_sched_step *out)
{
    KRS_CHECK(out->n_items < sched->limits.max_running);
    krs_sched_checkpoint(sched, seq, out);
    const bool is_last_known = seq->n_computed + n_rows == seq->n_tokens;
    const uint32_t n_wanted = seq->wants_all ? n_rows : is_last_known;
    sched->items[out->n_items++] = (krs_sched_item){.seq = seq,
                                                    .n_past = seq->n_computed,
                                                    .n_rows = n_rows,
                                                    .n_wanted = n_wanted,
                                                    .is_last_known = is_last_known};
    out->n_rows += n_rows;
    out->n_wanted += n_wanted;
    out->n_samples += is_last_known && seq->is_sampling;
    seq->n_computed += n_rows;
    seq->last_row_step = sched->step;
}

/* The full blocks of its known tokens that these rows touch. */
static void announce(krs_sched *sched, const krs_sched_seq *seq, uint32_t n_rows)
{
    if (!sched->prefix || !seq->tokens || sched->stats.n_waiting == 0) {
        return;
    }
    const uint32_t block_tokens = sched->limits.block_tokens;
    const uint32_t end = krs_kv_blocks_for(seq->n_computed + n_rows, block_tokens);
    krs_kv_hash hash = seq->chain.hash;
    const uint32_t n_full = seq->n_tokens / block_tokens;
    for (uint32_t i = seq->chain.n_blocks; i < end && i < n_full; i++) {
        hash = krs_kv_prefix_hash(sched->prefix, hash, seq->tokens + (size_t)i * block_tokens);
        krs_sched_inflight_add(&sched->inflight, hash);
    }
}

/* Rule 6. A whole sequence has computed all of its rows, or none. */
static bool fits(const krs_sched *sched, const krs_sched_seq *seq, const krs_sched_step *out)
{
    return !seq->is_whole || seq->n_tokens <= sched->limits.max_step_tokens - out->n_rows;
}

static void add_prompt_rows(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    const uint32_t max_rows = seq->is_whole ? sched->limits.max_step_tokens : sched->plan_rows;
    const uint32_t budget = max_rows - out->n_rows;
    const uint32_t missing = seq->n_tokens - seq->n_computed;
    const uint32_t n_rows =
        krs_sched_rows_to_checkpoint(sched, seq, missing < budget ? missing : budget);
    out->n_prompt_rows += n_rows;
    charge(sched, seq, n_rows, KRS_SCHED_PREFILL_COST);
    announce(sched, seq, n_rows);
    add_item(sched, seq, n_rows, out);
}

/* ---- rule 2 ---- */

static bool is_decode(const krs_sched_seq *seq)
{
    return seq->n_computed > 0 && seq->n_computed + 1 == seq->n_tokens;
}

/* Who has waited for a row for too long goes first, longest wait first; else by priority and age. */
static sched_rank prompt_rank(const krs_sched *sched, krs_sched_seq *seq)
{
    if (sched->step - seq->last_row_step >= krs_sched_patience(seq->priority)) {
        return (sched_rank){0, seq->last_row_step, seq};
    }
    return (sched_rank){1 + (uint64_t)seq->priority, seq->arrival, seq};
}

/* Sort the running sequences into decodes and prompts. Returns how many blocks the decodes need. */
static uint32_t survey(krs_sched *sched)
{
    uint32_t n_blocks = 0;
    sched->n_decodes = 0;
    sched->prompts.n = 0;
    for (krs_sched_seq *seq = sched->running.head; seq; seq = seq->next) {
        krs_sched_extend(sched, seq);
        if (seq->credit == 0 || seq->n_computed == seq->n_tokens) {
            continue;
        }
        if (is_decode(seq)) {
            sched->decodes[sched->n_decodes++] = seq;
            n_blocks += krs_sched_needs_block(sched, seq);
        } else {
            krs_sched_heap_push(&sched->prompts, prompt_rank(sched, seq));
        }
    }
    return n_blocks;
}

static void plan_decodes(krs_sched *sched, krs_sched_step *out)
{
    const uint32_t block_tokens = sched->limits.block_tokens;
    for (uint32_t i = 0; i < sched->n_decodes; i++) {
        krs_sched_seq *seq = sched->decodes[i];
        if (seq->state != KRS_SCHED_RUNNING) {
            continue; /* has just lost its place */
        }
        const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens, block_tokens);
        KRS_CHECK(krs_kv_table_grow(&seq->table, sched->pool, n_blocks) == KRS_OK);
        charge(sched, seq, 1, KRS_SCHED_DECODE_COST);
        add_item(sched, seq, 1, out);
    }
}

/* ---- rules 3 to 6 ---- */

/* Ranked before room was made: some have lost their place since, and may even be back with rows. */
static bool is_stale(const krs_sched *sched, const krs_sched_seq *seq)
{
    return seq->state != KRS_SCHED_RUNNING || seq->last_row_step == sched->step;
}

/* The first running prompt without rows in this plan, NULL when there is none; *rank is its rank. */
static krs_sched_seq *first_prompt(krs_sched *sched, uint64_t *rank)
{
    while (sched->prompts.n > 0 && is_stale(sched, sched->prompts.items[0].seq)) {
        (void)krs_sched_heap_pop(&sched->prompts);
    }
    if (sched->prompts.n == 0) {
        return NULL;
    }
    *rank = sched->prompts.items[0].a;
    return sched->prompts.items[0].seq;
}

/* At equal priority what is begun is finished first: it holds blocks, and its reader waits longer. */
static bool goes_before(const krs_sched *sched, const krs_sched_seq *waiting, uint64_t rank)
{
    return rank > 0 && (krs_sched_is_elder_turn(sched) || 1 + (uint64_t)waiting->priority < rank);
}

/* False when no other waiting sequence may be looked at in this plan. */
static bool try_next(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out)
{
    if (!fits(sched, seq, out)) {
        return false;
    }
    const sched_admission admission = krs_sched_admit(sched, seq, out);
    if (admission == SCHED_ADMITTED) {
        add_prompt_rows(sched, seq, out);
        return true;
    }
    return admission == SCHED_HELD && ++sched->n_held < KRS_SCHED_MAX_HELD;
}

static uint32_t rows_beside(const krs_sched *sched, uint32_t n_decode_rows)
{
    const uint32_t max_rows = sched->limits.max_step_tokens;
    const bool is_limited = n_decode_rows > 0 && sched->prompt_rows < max_rows - n_decode_rows;
    return is_limited ? n_decode_rows + sched->prompt_rows : max_rows;
}

static void plan_prompts(krs_sched *sched, krs_sched_step *out)
{
    bool is_open = true;
    sched->n_held = 0;
    sched->plan_rows = rows_beside(sched, out->n_rows);
    while (out->n_rows < sched->plan_rows) {
        uint64_t rank = 0;
        krs_sched_seq *begun = first_prompt(sched, &rank);
        krs_sched_seq *next = is_open ? krs_sched_next(sched) : NULL;
        if (next && (!begun || goes_before(sched, next, rank))) {
            is_open = try_next(sched, next, out);
        } else if (begun) {
            (void)krs_sched_heap_pop(&sched->prompts);
            if (fits(sched, begun, out)) { /* else it is among the first of the next plan */
                add_prompt_rows(sched, begun, out);
            }
        } else {
            break;
        }
    }
    krs_sched_end_holds(sched);
}

/* ---- rule 7 ---- */

/* A sequence's state cannot go back behind a row, so with states no guess is tried. */
static bool wants_drafts(const krs_sched *sched, const krs_sched_item *item, bool is_sure)
{
    return item->seq->n_draft > 0 && item->seq->is_draft_sure == is_sure && item->is_last_known &&
           item->n_rows == 1 && item->seq->is_sampling && (is_sure || !sched->states);
}

/* Tokens to the end of its block, where a step has to end for its state to be kept. */
static uint32_t room_in_block(const krs_sched *sched, const krs_sched_seq *seq)
{
    const uint32_t n_past = seq->n_computed % sched->limits.block_tokens;
    return n_past > 0 ? sched->limits.block_tokens - n_past : 0;
}

/* How many of n proposed tokens its length, its credit and the blocks allow; the blocks are taken. */
static uint32_t fit_drafts(krs_sched *sched, krs_sched_seq *seq, uint32_t n)
{
    const uint32_t block_tokens = sched->limits.block_tokens;
    if (sched->states && n > room_in_block(sched, seq)) {
        n = room_in_block(sched, seq);
    }
    const uint32_t n_credit = seq->credit - 1; /* a row has been given, so there is one */
    const uint32_t n_left = sched->limits.max_seq_tokens - seq->n_tokens;
    n = n < n_credit ? n : n_credit;
    n = n < n_left ? n : n_left;
    const uint32_t n_blocks = krs_kv_blocks_for(seq->n_tokens + n, block_tokens);
    if (n_blocks <= seq->table.n_blocks) {
        return n;
    }
    if (n_blocks - seq->table.n_blocks + sched->running.n <= krs_kv_pool_n_free(sched->pool)) {
        KRS_CHECK(krs_kv_table_grow(&seq->table, sched->pool, n_blocks) == KRS_OK);
        return n;
    }
    return seq->table.n_blocks * block_tokens - seq->n_tokens;
}

static void add_drafts(krs_sched *sched, krs_sched_item *item, uint32_t n, krs_sched_step *out)
{
    item->n_draft = fit_drafts(sched, item->seq, n);
    const uint32_t n_wanted = item->seq->is_draft_sure ? 0 : item->n_draft;
    item->n_rows += item->n_draft;
    item->n_wanted += n_wanted;
    item->seq->n_computed += item->n_draft;
    out->n_rows += item->n_draft;
    out->n_drafts += item->n_draft;
    out->n_wanted += n_wanted;
}

/* Rows for one kind of proposals, as long as the step has fewer than max_rows. */
static void plan_drafts(krs_sched *sched, bool is_sure, uint32_t max_rows, krs_sched_step *out)
{
    uint32_t n_items = 0;
    for (uint32_t i = 0; i < out->n_items; i++) {
        n_items += wants_drafts(sched, &sched->items[i], is_sure);
    }
    for (uint32_t i = 0; i < out->n_items && out->n_rows < max_rows; i++) {
        krs_sched_item *item = &sched->items[i];
        if (wants_drafts(sched, item, is_sure)) {
            const uint32_t share = (max_rows - out->n_rows + n_items - 1) / n_items;
            add_drafts(sched, item, item->seq->n_draft < share ? item->seq->n_draft : share, out);
            n_items--;
        }
    }
}

void krs_sched_plan(krs_sched *sched, uint64_t now_ns, krs_sched_step *out)
{
    *out = (krs_sched_step){.items = sched->items, .copies = sched->copies};
    sched->step++;
    krs_sched_inflight_clear(&sched->inflight, sched->step);
    end_due(sched, now_ns, out);
    krs_sched_thaw(sched);
    krs_sched_make_room(sched, survey(sched), out);
    krs_sched_displace(sched, out);
    plan_decodes(sched, out);
    plan_prompts(sched, out);
    const krs_sched_limits *l = &sched->limits;
    plan_drafts(sched, true, sched->plan_rows, out);
    plan_drafts(sched, false,
                l->max_draft_rows < l->max_step_tokens ? l->max_draft_rows : l->max_step_tokens,
                out);
    sched->n_items = out->n_items;
}

void krs_sched_revert(krs_sched *sched)
{
    for (uint32_t i = 0; i < sched->n_items; i++) {
        sched->items[i].seq->n_computed = sched->items[i].n_past;
    }
    sched->n_items = 0;
}
