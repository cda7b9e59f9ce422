/* sched/sim.c - see sim.h.
 *
 * Requests are numbered by their place in the trace; those in the house form a list of slots, because
 * cancels and slow readers have to be looked at in every step.
 *
 * Thread: one owner.  Memory: a slot for each that may be in the house; its tokens while it is. */
#include "sched/sim.h"

#include "base/check.h"

typedef struct sim_slot {
    krs_sched_seq seq; /* first: the scheduler hands it back */
    uint32_t request;
    uint32_t next; /* in the house, or free; NO_SLOT */
    uint32_t n_answer;
    uint32_t *tokens; /* prompt and answer */
} sim_slot;

#define NO_SLOT UINT32_MAX

struct krs_sim {
    const krs_alloc *alloc;
    krs_sim_options options;
    const krs_sim_request *requests;
    uint32_t n_requests;
    uint32_t n_arrived;
    uint64_t now_ns;
    krs_kv_pool *pool;
    krs_kv_prefix *prefix;
    krs_sched *sched;
    sim_slot *slots; /* [n_slots] */
    uint32_t n_slots;
    uint32_t house;          /* list */
    uint32_t free;           /* list */
    krs_sim_result *results; /* [n_requests] */
    krs_sim_totals totals;
};

/* ---- life ---- */

static krs_status check_trace(const krs_sim_request *requests, uint32_t n, krs_error *err)
{
    if (n == 0 || n > KRS_SIM_MAX_REQUESTS) {
        return krs_fail(err, KRS_EINVAL, "simulator: %u requests, want 1 .. %u", n,
                        KRS_SIM_MAX_REQUESTS);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && requests[i].arrival_ns < requests[i - 1].arrival_ns) {
            return krs_fail(err, KRS_EINVAL, "simulator: request %u arrives before request %u", i,
                            i - 1);
        }
        if (requests[i].prefix_tokens > requests[i].prompt_tokens) {
            return krs_fail(err, KRS_EINVAL,
                            "simulator: request %u shares %u tokens of a prompt of %u", i,
                            requests[i].prefix_tokens, requests[i].prompt_tokens);
        }
    }
    return KRS_OK;
}

static krs_status take_rooms(krs_sim *sim, krs_error *err)
{
    const krs_sim_options *o = &sim->options;
    const krs_sched_limits *l = &o->limits;
    const krs_kv_prefix_options prefix = {.block_tokens = l->block_tokens, .seed = 1};
    krs_status status = krs_kv_pool_new(o->n_blocks, sim->alloc, &sim->pool, err);
    if (status == KRS_OK && o->has_prefix_cache) {
        status = krs_kv_prefix_new(sim->pool, &prefix, sim->alloc, &sim->prefix, err);
    }
    if (status == KRS_OK) {
        status = krs_sched_new(l, sim->pool, sim->prefix, sim->alloc, &sim->sched, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    sim->n_slots = l->max_running + l->max_waiting + l->max_parked;
    sim->slots = krs_alloc_array(sim->alloc, sim->n_slots, sizeof(*sim->slots));
    sim->results = krs_alloc_array(sim->alloc, sim->n_requests, sizeof(*sim->results));
    if (!sim->slots || !sim->results) {
        return krs_fail(err, KRS_ENOMEM, "simulator: %u requests", sim->n_requests);
    }
    for (uint32_t i = 0; i < sim->n_slots; i++) {
        sim->slots[i].next = i + 1 < sim->n_slots ? i + 1 : NO_SLOT;
    }
    return KRS_OK;
}

krs_status krs_sim_new(const krs_sim_options *options, const krs_sim_request *requests, uint32_t n,
                       const krs_alloc *alloc, krs_sim **out, krs_error *err)
{
    *out = NULL;
    krs_status status = check_trace(requests, n, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_sim *sim = krs_alloc_zero(alloc, sizeof(*sim));
    if (!sim) {
        return krs_fail(err, KRS_ENOMEM, "simulator: %zu bytes", sizeof(*sim));
    }
    sim->alloc = alloc;
    sim->options = *options;
    sim->requests = requests;
    sim->n_requests = n;
    sim->house = NO_SLOT;
    status = take_rooms(sim, err);
    if (status != KRS_OK) {
        krs_sim_free(sim);
        return status;
    }
    *out = sim;
    return KRS_OK;
}

void krs_sim_free(krs_sim *sim)
{
    if (!sim) {
        return;
    }
    for (uint32_t i = sim->house; i != NO_SLOT && sim->slots; i = sim->slots[i].next) {
        krs_sched_finish(sim->sched, &sim->slots[i].seq);
        krs_alloc_free(sim->alloc, sim->slots[i].tokens);
    }
    krs_alloc_free(sim->alloc, sim->results);
    krs_alloc_free(sim->alloc, sim->slots);
    krs_sched_free(sim->sched);
    krs_kv_prefix_free(sim->prefix);
    krs_kv_pool_free(sim->pool);
    krs_alloc_free(sim->alloc, sim);
}

/* ---- coming and going ---- */

static uint32_t invent(uint64_t who, uint32_t place)
{
    const uint64_t x = (who * UINT64_C(0x9E3779B97F4A7C15)) ^ place;
    return (uint32_t)((x * UINT64_C(0xBF58476D1CE4E5B9)) >> 33);
}

static void write_prompt(sim_slot *slot, const krs_sim_request *request)
{
    for (uint32_t i = 0; i < request->prompt_tokens; i++) {
        const bool is_common = i < request->prefix_tokens;
        const uint64_t own = (UINT64_C(1) << 40) + slot->request;
        slot->tokens[i] = invent(is_common ? request->prefix_id : own, i);
    }
}

/* What its reader takes at this moment, beyond what it has. */
static uint32_t credit_of(const krs_sim *sim, const sim_slot *slot)
{
    const krs_sim_request *request = &sim->requests[slot->request];
    if (request->read_ns == 0) {
        return KRS_SCHED_UNLIMITED;
    }
    const uint64_t taken = 1 + (sim->now_ns - request->arrival_ns) / request->read_ns;
    const uint64_t credit = taken > slot->n_answer ? taken - slot->n_answer : 0;
    return credit < KRS_SCHED_UNLIMITED ? (uint32_t)credit : KRS_SCHED_UNLIMITED - 1;
}

static void record(krs_sim *sim, uint32_t i, krs_status end)
{
    sim->results[i].end = end;
    sim->results[i].end_ns = sim->now_ns;
}

static krs_status enter(krs_sim *sim, uint32_t i, krs_error *err)
{
    const krs_sim_request *request = &sim->requests[i];
    sim->results[i].first_ns = KRS_SIM_NEVER;
    if (sim->free == NO_SLOT) {
        record(sim, i, KRS_EBUSY);
        return KRS_OK;
    }
    sim_slot *slot = &sim->slots[sim->free];
    const uint32_t next_free = slot->next;
    const size_t n_tokens = (size_t)request->prompt_tokens + request->answer_tokens;
    *slot = (sim_slot){.request = i, .next = next_free};
    slot->tokens = krs_alloc_array(sim->alloc, n_tokens + 1, sizeof(*slot->tokens));
    if (!slot->tokens) {
        return krs_fail(err, KRS_ENOMEM, "simulator: %zu tokens of request %u", n_tokens, i);
    }
    write_prompt(slot, request);
    slot->seq = (krs_sched_seq){.tokens = slot->tokens,
                                .n_tokens = request->prompt_tokens,
                                .credit = credit_of(sim, slot),
                                .deadline_ns = request->deadline_ns,
                                .priority = request->priority,
                                .tenant = request->tenant,
                                .is_sampling = request->answer_tokens > 0};
    const krs_status status = krs_sched_add(sim->sched, &slot->seq, sim->alloc);
    if (status != KRS_OK) {
        krs_alloc_free(sim->alloc, slot->tokens);
        record(sim, i, status);
        return KRS_OK;
    }
    const uint32_t at = sim->free;
    sim->free = next_free;
    slot->next = sim->house;
    sim->house = at;
    return KRS_OK;
}

/* It is out of the scheduler; its slot is taken back by sweep. */
static void leave(krs_sim *sim, sim_slot *slot, krs_status end)
{
    krs_sim_result *result = &sim->results[slot->request];
    record(sim, slot->request, end);
    result->n_answer = slot->n_answer;
    result->n_cached = slot->seq.n_cached;
    result->n_preempted = slot->seq.n_preempted;
    sim->totals.n_answer += slot->n_answer;
    krs_alloc_free(sim->alloc, slot->tokens);
    slot->tokens = NULL;
}

/* Take back the slots of who has left; tell the scheduler who cancels, and who takes how much. */
static void sweep(krs_sim *sim)
{
    uint32_t *link = &sim->house;
    while (*link != NO_SLOT) {
        const uint32_t at = *link;
        sim_slot *slot = &sim->slots[at];
        if (!slot->tokens) {
            *link = slot->next;
            slot->next = sim->free;
            sim->free = at;
            continue;
        }
        if (sim->requests[slot->request].cancel_ns <= sim->now_ns) {
            krs_sched_cancel(sim->sched, &slot->seq);
        }
        if (sim->requests[slot->request].read_ns > 0) {
            krs_sched_set_credit(sim->sched, &slot->seq, credit_of(sim, slot));
        }
        link = &slot->next;
    }
}

/* ---- a step ---- */

static uint64_t step_ns(const krs_sim *sim, const krs_sched_step *plan)
{
    const krs_sim_cost *cost = &sim->options.cost;
    uint64_t n_attended = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const krs_sched_item *item = &plan->items[i];
        n_attended += (uint64_t)item->n_rows * (item->n_past + item->n_rows / 2 + 1);
    }
    return cost->base_ns + cost->row_ns * plan->n_rows + cost->context_ps * n_attended / 1000;
}

static void advance(krs_sim *sim, sim_slot *slot)
{
    const krs_sim_request *request = &sim->requests[slot->request];
    krs_sim_result *result = &sim->results[slot->request];
    if (result->first_ns == KRS_SIM_NEVER) {
        result->first_ns = sim->now_ns;
    }
    slot->n_answer += request->answer_tokens > 0;
    const bool is_full = slot->seq.n_tokens >= sim->options.limits.max_seq_tokens;
    if (slot->n_answer >= request->answer_tokens || is_full) {
        krs_sched_finish(sim->sched, &slot->seq);
        leave(sim, slot, KRS_OK);
        return;
    }
    slot->tokens[slot->seq.n_tokens] = invent(slot->request, slot->seq.n_tokens);
    krs_sched_append(sim->sched, &slot->seq, 1);
}

static void run_plan(krs_sim *sim, const krs_sched_step *plan)
{
    const uint64_t took_ns = step_ns(sim, plan);
    sim->now_ns += took_ns;
    sim->totals.busy_ns += took_ns;
    sim->totals.n_steps++;
    sim->totals.n_rows += plan->n_rows;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (plan->items[i].is_last_known) {
            advance(sim, (sim_slot *)plan->items[i].seq);
        }
    }
}

/* When something may happen though nothing can be computed. */
static uint64_t next_event(const krs_sim *sim)
{
    uint64_t at = krs_sched_next_deadline(sim->sched);
    if (sim->n_arrived < sim->n_requests && sim->requests[sim->n_arrived].arrival_ns < at) {
        at = sim->requests[sim->n_arrived].arrival_ns;
    }
    for (uint32_t i = sim->house; i != NO_SLOT; i = sim->slots[i].next) {
        const krs_sim_request *request = &sim->requests[sim->slots[i].request];
        at = request->cancel_ns < at ? request->cancel_ns : at;
        if (request->read_ns > 0 && sim->now_ns + request->read_ns < at) {
            at = sim->now_ns + request->read_ns;
        }
    }
    return at;
}

static krs_status let_in(krs_sim *sim, krs_error *err)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && sim->n_arrived < sim->n_requests &&
           sim->requests[sim->n_arrived].arrival_ns <= sim->now_ns) {
        status = enter(sim, sim->n_arrived++, err);
    }
    return status;
}

static void plan_and_run(krs_sim *sim, krs_sched_step *plan)
{
    krs_sched_plan(sim->sched, sim->now_ns, plan);
    sim->totals.n_preempted += plan->n_preempted;
    for (krs_sched_seq *seq = plan->ended; seq; seq = seq->next) {
        leave(sim, (sim_slot *)seq, seq->end);
    }
    if (plan->n_items > 0) {
        run_plan(sim, plan);
    }
}

krs_status krs_sim_step(krs_sim *sim, bool *is_over, krs_error *err)
{
    const krs_status status = let_in(sim, err);
    if (status != KRS_OK) {
        return status;
    }
    sweep(sim);
    krs_sched_step plan;
    plan_and_run(sim, &plan);
    sweep(sim);
    *is_over = sim->house == NO_SLOT && sim->n_arrived == sim->n_requests;
    if (plan.n_items == 0 && !plan.ended && !*is_over) {
        const uint64_t next_ns = next_event(sim);
        KRS_CHECK(next_ns != UINT64_MAX && next_ns >= sim->now_ns);
        sim->now_ns = next_ns > sim->now_ns ? next_ns : sim->now_ns + 1;
    }
    return KRS_OK;
}

/* ---- looking ---- */

const krs_sim_result *krs_sim_results(const krs_sim *sim)
{
    return sim->results;
}

krs_sim_totals krs_sim_totals_of(const krs_sim *sim)
{
    krs_sim_totals totals = sim->totals;
    totals.end_ns = sim->now_ns;
    totals.sched = krs_sched_stats_of(sim->sched);
    if (sim->prefix) {
        totals.prefix = krs_kv_prefix_stats_of(sim->prefix);
    }
    return totals;
}

uint64_t krs_sim_now_ns(const krs_sim *sim)
{
    return sim->now_ns;
}

const krs_sched *krs_sim_sched(const krs_sim *sim)
{
    return sim->sched;
}
