/* tests/prop/test_sched.c - the scheduler in a random world under virtual time: requests of all priorities
 * come from a few tenants, many with a common beginning, some again after they gave up; they read at their
 * own pace, run late, are cancelled; the device fails now and then. Whatever happens, in every plan:
 *
 *   - no bound is passed (rows, sequences, queues, blocks), and a plan allocates nothing;
 *   - every row finds in its blocks, and in every other world in its state, what its own tokens would have
 *     put there: sharing mixes nothing up;
 *   - the pool counts each block as often as it is held, and the index agrees with the pool;
 *   - who has credit and lacks one token gets it, who has none gets nothing;
 *   - a cancelled or late sequence is gone with the next plan;
 *   - nobody waits longer than krs_sched_wait_bound said;
 *   - proposed tokens, some right and some wrong, cost nobody a row, and what the wrong ones left is never read;
 *   - work is never stuck, and at the end everybody has had an answer or an end, and every block is free.
 *
 * The seed is printed; KRS_PROP_SEED runs other worlds. */
#include "support/sched_world.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORLDS 150
#else
#define WORLDS 4000 /* more than a million plans */
#endif
#define MAX_STEPS 200000 /* a world that needs more is stuck */

typedef struct tally {
    uint64_t n_steps;
    uint64_t n_preempted;
    uint64_t n_parked;
    uint64_t n_found;
    uint64_t n_swapped;
    uint64_t n_evicted;
    uint64_t n_copies;
    uint64_t n_accepted;
    uint64_t n_rejected;
    uint64_t n_sure; /* steps with sure proposals beyond the ceiling of guesses */
} tally;

/* ---- what visitors do ---- */

static void check_queues(const world *w, uint32_t n_waiting_before)
{
    const krs_sched_stats stats = krs_sched_stats_of(w->sched);
    const krs_sched_limits *l = &w->limits;
    assert_true(n_waiting_before == 0 || stats.n_waiting <= l->max_waiting);
    assert_true(n_waiting_before == 0 || stats.n_waiting_tokens <= l->max_waiting_tokens);
    assert_true(stats.n_running + stats.n_waiting + stats.n_parked <=
                l->max_running + l->max_waiting + l->max_parked);
}

static void come(world *w, visitor *v)
{
    const uint32_t n_before = krs_sched_n_waiting(w->sched);
    const krs_status status = krs_sched_add(w->sched, &v->seq, krs_oom_alloc(&w->oom));
    assert_true(status == KRS_OK || status == KRS_EBUSY);
    if (status == KRS_OK) {
        v->is_added = true;
        if (v->seq.state == KRS_SCHED_WAITING) {
            check_queues(w, n_before);
        }
    } else {
        v->arrives = w->now + 1 + draw(w, 10); /* tries again, as clients do */
    }
}

static void let_visitors_act(world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        visitor *v = &w->visitors[i];
        if (!v->is_added && v->arrives <= w->now) {
            come(w, v);
        }
        if (!v->is_added || v->is_done) {
            continue;
        }
        if (v->is_slow && draw(w, 5) == 0) {
            krs_sched_set_credit(w->sched, &v->seq, v->seq.credit + (uint32_t)draw(w, 4));
        }
        if (draw(w, 400) == 0) {
            krs_sched_cancel(w->sched, &v->seq);
        }
    }
}

/* Gone: but one of three asks again later, with the same prompt. */
static void leave(world *w, visitor *v)
{
    assert_false(v->is_done);
    v->is_done = true;
    if (v->seq.end != KRS_OK && draw(w, 3) == 0) {
        const visitor before = *v;
        memset(v, 0, sizeof(*v));
        make_visitor(w, v, w->now + draw(w, 40));
        memcpy(v->tokens, before.tokens, sizeof(v->tokens));
        v->seq.n_tokens = before.seq.n_tokens - before.n_got;
        v->seq.cache_salt = before.seq.cache_salt;
        v->n_answer = before.n_answer;
    }
}

/* ---- what must hold ---- */

static void check_ended(world *w, const krs_sched_step *plan)
{
    krs_sched_seq *next = NULL;
    for (krs_sched_seq *seq = plan->ended; seq; seq = next) {
        next = seq->next;
        assert_int_equal(seq->state, KRS_SCHED_OUT);
        assert_true(seq->is_cancelled || seq->deadline_ns <= w->now);
        assert_int_equal(seq->end, seq->is_cancelled ? KRS_ECANCELLED : KRS_EDEADLINE);
        leave(w, (visitor *)seq);
    }
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const visitor *v = &w->visitors[i];
        if (v->is_added && !v->is_done) {
            assert_false(v->seq.is_cancelled || v->seq.deadline_ns <= w->now);
        }
    }
}

static void check_blocks(world *w)
{
    const uint32_t n_blocks = krs_kv_pool_n_blocks(w->pool);
    memset(w->holders, 0, sizeof(w->holders));
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const krs_sched_seq *seq = &w->visitors[i].seq;
        assert_true(seq->state == KRS_SCHED_RUNNING || seq->table.n_blocks == 0);
        assert_true(seq->table.n_blocks * BLOCK_TOKENS >= seq->n_computed);
        for (uint32_t b = 0; b < seq->table.n_blocks; b++) {
            w->holders[seq->table.blocks[b]]++;
        }
    }
    uint32_t n_held = 0;
    for (uint32_t b = 0; b < n_blocks; b++) {
        assert_int_equal(w->holders[b], krs_kv_pool_n_refs(w->pool, b));
        n_held += w->holders[b] > 0;
    }
    assert_int_equal(n_held + krs_kv_pool_n_free(w->pool), n_blocks);
    if (w->prefix && w->step % 16 == 0) {
        krs_kv_prefix_check(w->prefix);
    }
}

static void check_stats(const world *w)
{
    krs_sched_stats seen = {0};
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const krs_sched_seq *seq = &w->visitors[i].seq;
        seen.n_running += seq->state == KRS_SCHED_RUNNING;
        seen.n_paused += seq->state == KRS_SCHED_RUNNING && seq->credit == 0;
        seen.n_waiting += seq->state == KRS_SCHED_WAITING;
        seen.n_waiting_tokens += seq->state == KRS_SCHED_WAITING ? seq->n_tokens : 0;
        seen.n_parked += seq->state == KRS_SCHED_PARKED;
    }
    const krs_sched_stats stats = krs_sched_stats_of(w->sched);
    assert_int_equal(stats.n_running, seen.n_running);
    assert_int_equal(stats.n_paused, seen.n_paused);
    assert_int_equal(stats.n_waiting, seen.n_waiting);
    assert_int_equal(stats.n_waiting_tokens, seen.n_waiting_tokens);
    assert_int_equal(stats.n_parked, seen.n_parked);
}

static bool is_decode(const krs_sched_seq *seq)
{
    return seq->state == KRS_SCHED_RUNNING && seq->credit > 0 && seq->n_computed > 0 &&
           seq->n_computed + 1 == seq->n_tokens;
}

/* Before a plan: who must be in it, and how long everybody may still wait at most. */
static void note_promises(world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        visitor *v = &w->visitors[i];
        v->is_due = is_decode(&v->seq);
        const uint64_t bound = krs_sched_wait_bound(w->sched, &v->seq);
        if (bound == UINT64_MAX) {
            v->last_step = UINT64_MAX;
        } else if (w->step + bound < v->last_step) {
            v->last_step = w->step + bound;
        }
    }
}

static void check_promises(world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        visitor *v = &w->visitors[i];
        if (v->seq.n_preempted != v->seen_preempted) {
            v->last_step = UINT64_MAX; /* waits anew; may even be back with part of its prompt */
        } else if (v->is_due && v->seq.state == KRS_SCHED_RUNNING) {
            assert_true(v->seq.n_computed >= v->seq.n_tokens);
        }
        assert_true(w->step <= v->last_step);
    }
}

/* Of how many of its rows are the results wanted? */
static uint32_t n_wanted_of(const krs_sched_item *item)
{
    const uint32_t n_known = item->n_rows - item->n_draft;
    const uint32_t n_read = item->seq->is_draft_sure ? 0 : item->n_draft;
    return item->seq->wants_all ? n_known : item->is_last_known + n_read;
}

static void check_item(world *w, const krs_sched_item *item)
{
    visitor *v = (visitor *)item->seq;
    if (v->seen_preempted != item->seq->n_preempted || v->expected == 0) {
        v->seen_preempted = item->seq->n_preempted;
        v->expected = item->n_past; /* what the cache had */
        assert_int_equal(item->n_past % BLOCK_TOKENS, 0);
        assert_true(item->n_past == 0 || (w->prefix && !item->seq->wants_all));
    }
    assert_int_equal(item->n_past, v->expected);
    assert_true(item->n_rows > 0 && item->seq->credit > 0);
    assert_true(item->n_rows > item->n_draft && item->n_draft < item->seq->credit);
    assert_true(item->n_draft == 0 ||
                (item->is_last_known && (!w->states || item->seq->is_draft_sure)));
    const uint32_t n_known = item->n_rows - item->n_draft;
    assert_int_equal(item->is_last_known, item->n_past + n_known == item->seq->n_tokens);
    assert_int_equal(item->n_wanted, n_wanted_of(item));
    assert_true(item->seq->n_cached < item->seq->n_tokens);
    v->last_step = UINT64_MAX; /* the promise is kept */
}

/* Say tokens while they are those proposed. Returns how many were said. */
static uint32_t say(visitor *v, uint32_t n_draft)
{
    uint32_t n = 0;
    bool is_right = true;
    while (is_right && v->n_got < v->n_answer) {
        const uint32_t at = v->seq.n_tokens + n;
        const uint32_t token = token_after(v, at);
        is_right = n < n_draft && v->tokens[at] == token;
        v->tokens[at] = token;
        v->n_got++;
        n++;
    }
    return n;
}

static void run_item(world *w, const krs_sched_item *item, tally *sum)
{
    visitor *v = (visitor *)item->seq;
    v->expected += item->n_rows - item->n_draft;
    sched_device_run(&w->device, item);
    if (!item->is_last_known) {
        return;
    }
    const uint32_t n = item->seq->is_sampling ? say(v, item->n_draft) : 0;
    assert_true(!item->seq->is_draft_sure || n == item->n_draft + 1 || v->n_got == v->n_answer);
    const bool is_over = v->n_got == v->n_answer || n == 0;
    if (n > 0 && !(is_over && draw(w, 2))) { /* an engine that fails to choose says nothing */
        krs_sched_append(w->sched, item->seq, n);
        v->expected += n - 1;
        sum->n_accepted += n - 1;
        sum->n_rejected += item->n_draft - (n - 1);
    }
    if (is_over) {
        krs_sched_finish(w->sched, item->seq);
        leave(w, v);
    } else {
        propose(w, v);
    }
}

static bool somebody_could_run(const world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const visitor *v = &w->visitors[i];
        if (v->is_added && !v->is_done && v->seq.credit > 0) {
            return true;
        }
    }
    return false;
}

static void check_plan(world *w, const krs_sched_step *plan, tally *sum)
{
    assert_true(plan->n_rows <= w->limits.max_step_tokens);
    assert_true(plan->n_items <= w->limits.max_running);
    assert_true(krs_sched_n_running(w->sched) <= w->limits.max_running);
    assert_true(plan->n_items > 0 || !somebody_could_run(w));
    uint32_t n_rows = 0;
    uint32_t n_samples = 0;
    uint32_t n_wanted = 0;
    uint32_t n_drafts = 0;
    uint32_t n_guesses = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        n_drafts += plan->items[i].n_draft;
        n_guesses += plan->items[i].seq->is_draft_sure ? 0 : plan->items[i].n_draft;
        check_item(w, &plan->items[i]);
        n_rows += plan->items[i].n_rows;
        n_samples += plan->items[i].is_last_known && plan->items[i].seq->is_sampling;
        n_wanted += plan->items[i].n_wanted;
    }
    assert_int_equal(n_rows, plan->n_rows);
    assert_true(plan->n_prompt_rows <= n_rows);
    assert_true(plan->n_prompt_rows == n_rows || plan->n_prompt_rows <= w->prompt_rows);
    assert_int_equal(n_samples, plan->n_samples);
    assert_int_equal(n_wanted, plan->n_wanted);
    assert_int_equal(n_drafts, plan->n_drafts);
    assert_true(n_guesses == 0 || n_rows <= w->limits.max_draft_rows);
    sum->n_sure += n_drafts > 0 && n_rows > w->limits.max_draft_rows;
}

/* The next plan says the same again. With states, whoever ran has lost its own: all end, as an engine does it. */
static void fail_device(world *w)
{
    krs_sched_revert(w->sched);
    for (uint32_t i = 0; i < WORLD_SEQS && w->states; i++) {
        visitor *v = &w->visitors[i];
        if (v->is_added && !v->is_done) {
            krs_sched_finish(w->sched, &v->seq);
            leave(w, v);
        }
    }
    if (w->states) {
        krs_kv_pool_flush(w->pool);
        sched_device_init(&w->device, true);
    }
}

static void run_step(world *w, tally *sum)
{
    krs_sched_step plan;
    w->step++;
    if (w->seed % 3 == 0 && draw(w, 8) == 0) {
        w->prompt_rows = KRS_SCHED_MIN_PROMPT_ROWS + (uint32_t)draw(w, 12);
        krs_sched_set_prompt_rows(w->sched, w->prompt_rows);
    }
    note_promises(w);
    const uint64_t n_takes = w->oom.n_takes;
    krs_sched_plan(w->sched, w->now, &plan);
    assert_int_equal(w->oom.n_takes, n_takes);
    check_ended(w, &plan);
    check_blocks(w);
    check_promises(w);
    check_stats(w);
    check_plan(w, &plan, sum);
    if (draw(w, 64) == 0) {
        fail_device(w);
        return;
    }
    sched_device_copy(&w->device, &plan);
    sum->n_copies += plan.n_copies;
    for (uint32_t i = 0; i < plan.n_items; i++) {
        run_item(w, &plan.items[i], sum);
    }
}

static bool is_over(const world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        if (!w->visitors[i].is_done) {
            return false;
        }
    }
    return true;
}

static void run_world(uint64_t seed, tally *sum)
{
    static world w;
    world_init(&w, seed);
    while (!is_over(&w)) {
        let_visitors_act(&w);
        run_step(&w, sum);
        w.now += 1 + draw(&w, 3);
        assert_true(w.step < MAX_STEPS);
        sum->n_parked += krs_sched_stats_of(w.sched).n_parked > 0;
    }
    sum->n_steps += w.step;
    sum->n_found += krs_sched_stats_of(w.sched).n_found_tokens;
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        sum->n_preempted += w.visitors[i].seq.n_preempted;
    }
    assert_int_equal(krs_kv_pool_n_free(w.pool), krs_kv_pool_n_blocks(w.pool));
    krs_sched_free(w.sched);
    assert_int_equal(w.oom.n_live, 0);
    if (w.prefix) {
        const krs_kv_prefix_stats stats = krs_kv_prefix_stats_of(w.prefix);
        sum->n_swapped += stats.n_swapped;
        sum->n_evicted += stats.n_evicted;
    }
    krs_kv_prefix_free(w.prefix);
    krs_kv_state_free(w.states); /* aborts when a slot is held */
    krs_kv_pool_free(w.pool);
}

static void random_worlds_keep_every_promise(void **state)
{
    (void)state;
    const char *text = getenv("KRS_PROP_SEED");
    const uint64_t first = text ? strtoull(text, NULL, 10) : 1;
    tally sum = {0};
    for (uint64_t seed = first; seed < first + WORLDS; seed++) {
        if (seed % 50 == 1 || seed == first) {
            printf("seeds from %llu\n", (unsigned long long)seed);
        }
        run_world(seed, &sum);
    }
    printf(
        "%llu plans, %llu preemptions, %llu plans with parked ones, %llu tokens found, %llu blocks "
        "swapped, %llu evicted, %llu states copied, %llu proposals accepted, %llu rejected, %llu "
        "plans with sure ones beyond\n",
        (unsigned long long)sum.n_steps, (unsigned long long)sum.n_preempted,
        (unsigned long long)sum.n_parked, (unsigned long long)sum.n_found,
        (unsigned long long)sum.n_swapped, (unsigned long long)sum.n_evicted,
        (unsigned long long)sum.n_copies, (unsigned long long)sum.n_accepted,
        (unsigned long long)sum.n_rejected, (unsigned long long)sum.n_sure);
    /* Else the worlds are too easy. */
    assert_true(sum.n_preempted > WORLDS && sum.n_found > 100 * WORLDS);
    assert_true(sum.n_swapped > WORLDS && sum.n_evicted > 100 * WORLDS && sum.n_parked > WORLDS);
    assert_true(sum.n_copies > 50 * WORLDS);
    assert_true(sum.n_accepted > 50 * WORLDS && sum.n_rejected > 50 * WORLDS);
    assert_true(sum.n_sure > WORLDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_worlds_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
