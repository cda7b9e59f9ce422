/* tests/prop/test_sched_fair.c - crowds that never go away: shares of tenants that always have work waiting
 * stay within krs_sched_fair_bound, also for one that comes back from idle; a background request gets its
 * rows within krs_sched_wait_bound beside a flood of urgent ones; readers that take nothing cost their
 * neighbours not one step.
 *
 * The seed is printed; KRS_PROP_SEED runs other crowds. */
#include "sched/sched.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CROWDS 8
#else
#define CROWDS 60
#endif
#define CROWD_STEPS  20000
#define MAX_TENANTS  8
#define BACKLOG      8 /* requests a tenant always has waiting: more than one plan can admit */
#define MAX_SEQS     96
#define BLOCK_TOKENS 4
#define SEQ_TOKENS   64

typedef struct client {
    krs_sched_seq seq; /* first */
    uint32_t n_left;   /* answer tokens */
} client;

typedef struct crowd {
    uint64_t seed;
    uint64_t step;
    krs_sched_limits limits;
    krs_kv_pool *pool;
    krs_sched *sched;
    client clients[MAX_SEQS];
    uint32_t n_tenants;
    uint32_t weights[MAX_TENANTS];
    uint32_t max_prompt[MAX_TENANTS]; /* tenants differ in what they ask for */
    uint32_t max_answer[MAX_TENANTS];
    uint64_t base[MAX_TENANTS]; /* service when everybody was there */
    uint64_t elder_base[MAX_TENANTS];
} crowd;

static uint64_t draw(crowd *c, uint64_t n)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (c->seed >> 11) % n;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("KRS_PROP_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static void crowd_init(crowd *c, uint64_t seed)
{
    memset(c, 0, sizeof(*c));
    c->seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    const uint32_t max_running = 2 + (uint32_t)draw(c, 5);
    c->limits = (krs_sched_limits){.max_running = max_running,
                                   .max_waiting = MAX_SEQS,
                                   .max_tenants = MAX_TENANTS,
                                   .max_waiting_tokens = UINT64_MAX,
                                   .max_step_tokens = max_running + (uint32_t)draw(c, 30),
                                   .max_seq_tokens = SEQ_TOKENS,
                                   .block_tokens = BLOCK_TOKENS};
    const uint32_t least = SEQ_TOKENS / BLOCK_TOKENS;
    const uint32_t n_blocks = least + (uint32_t)draw(c, 4 * least);
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &c->pool, NULL), KRS_OK);
    assert_int_equal(krs_sched_new(&c->limits, c->pool, NULL, NULL, &c->sched, NULL), KRS_OK);
    c->n_tenants = 2 + (uint32_t)draw(c, MAX_TENANTS - 1);
    for (uint32_t t = 0; t < c->n_tenants; t++) {
        c->weights[t] = 1 + (uint32_t)draw(c, 4);
        c->max_prompt[t] = 1 + (uint32_t)draw(c, SEQ_TOKENS / 2);
        c->max_answer[t] = 1 + (uint32_t)draw(c, SEQ_TOKENS / 2);
        assert_int_equal(krs_sched_set_weight(c->sched, t, c->weights[t]), KRS_OK);
    }
}

static void crowd_end(crowd *c)
{
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        if (c->clients[i].seq.state != KRS_SCHED_OUT) {
            krs_sched_finish(c->sched, &c->clients[i].seq);
        }
    }
    assert_int_equal(krs_kv_pool_n_free(c->pool), krs_kv_pool_n_blocks(c->pool));
    krs_sched_free(c->sched);
    krs_kv_pool_free(c->pool);
}

static client *come(crowd *c, uint32_t tenant, krs_priority priority, uint32_t n_prompt,
                    uint32_t n_answer)
{
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        client *one = &c->clients[i];
        if (one->seq.state == KRS_SCHED_OUT) {
            *one = (client){.seq = {.n_tokens = n_prompt,
                                    .credit = KRS_SCHED_UNLIMITED,
                                    .deadline_ns = UINT64_MAX,
                                    .priority = priority,
                                    .tenant = tenant,
                                    .is_sampling = true},
                            .n_left = n_answer};
            assert_int_equal(krs_sched_add(c->sched, &one->seq, NULL), KRS_OK);
            return one;
        }
    }
    fail_msg("the crowd is larger than its room");
    return NULL;
}

static uint32_t n_waiting_of(const crowd *c, uint32_t tenant)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        const krs_sched_seq *seq = &c->clients[i].seq;
        n += seq->state == KRS_SCHED_WAITING && seq->tenant == tenant;
    }
    return n;
}

static void fill(crowd *c, uint32_t tenant, krs_priority priority)
{
    while (n_waiting_of(c, tenant) < BACKLOG) {
        (void)come(c, tenant, priority, 1 + (uint32_t)draw(c, c->max_prompt[tenant]),
                   1 + (uint32_t)draw(c, c->max_answer[tenant]));
    }
}

static uint32_t run_step(crowd *c)
{
    krs_sched_step plan;
    c->step++;
    krs_sched_plan(c->sched, c->step, &plan);
    for (uint32_t i = 0; i < plan.n_items; i++) {
        client *one = (client *)plan.items[i].seq;
        if (!plan.items[i].is_last_known) {
            continue;
        }
        if (--one->n_left == 0) {
            krs_sched_finish(c->sched, &one->seq);
        } else {
            krs_sched_append(c->sched, &one->seq, 1);
        }
    }
    return plan.n_items;
}

/* ---- shares ---- */

static void start_counting(crowd *c)
{
    for (uint32_t t = 0; t < c->n_tenants; t++) {
        c->base[t] = krs_sched_tenant_service(c->sched, t);
        c->elder_base[t] = krs_sched_tenant_elder_service(c->sched, t);
    }
}

/* By how much of the bound the best served is ahead of the worst, elders' turns of the former aside. */
static double worst_lead(const crowd *c)
{
    double most = -1.0;
    double least = 1e300;
    for (uint32_t t = 0; t < c->n_tenants; t++) {
        const double service = (double)(krs_sched_tenant_service(c->sched, t) - c->base[t]);
        const double by_elders =
            (double)(krs_sched_tenant_elder_service(c->sched, t) - c->elder_base[t]);
        const double share = service / c->weights[t];
        const double ahead = (service - by_elders) / c->weights[t];
        most = ahead > most ? ahead : most;
        least = share < least ? share : least;
    }
    return (most - least) / (double)krs_sched_fair_bound(&c->limits);
}

static void tenants_with_work_waiting_get_shares_by_weight(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t seed = first_seed(); seed < first_seed() + CROWDS; seed++) {
        static crowd c;
        crowd_init(&c, seed);
        for (uint32_t step = 0; step < CROWD_STEPS; step++) {
            for (uint32_t t = 0; t < c.n_tenants; t++) {
                fill(&c, t, KRS_PRIORITY_NORMAL);
            }
            assert_true(run_step(&c) > 0);
            if (step % 8 == 0) {
                const double lead = worst_lead(&c);
                worst = lead > worst ? lead : worst;
                assert_true(lead <= 1.0);
            }
        }
        crowd_end(&c);
    }
    printf("seeds from %llu: at most %.2f of the bound\n", (unsigned long long)first_seed(), worst);
    assert_true(worst > 0.02); /* else nothing was measured */
}

static void idle_time_earns_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed(); seed < first_seed() + CROWDS; seed++) {
        static crowd c;
        crowd_init(&c, seed + 1000);
        for (uint32_t step = 0; step < CROWD_STEPS / 4; step++) { /* tenant 0 stays away */
            for (uint32_t t = 1; t < c.n_tenants; t++) {
                fill(&c, t, KRS_PRIORITY_NORMAL);
            }
            (void)run_step(&c);
        }
        start_counting(&c);
        for (uint32_t step = 0; step < CROWD_STEPS / 4; step++) {
            for (uint32_t t = 0; t < c.n_tenants; t++) {
                fill(&c, t, KRS_PRIORITY_NORMAL);
            }
            (void)run_step(&c);
            assert_true(worst_lead(&c) <= 1.0);
        }
        crowd_end(&c);
    }
}

/* ---- starvation ---- */

static uint32_t steps_until_row(crowd *c, const client *one, uint64_t bound)
{
    uint32_t n = 0;
    while (one->seq.state == KRS_SCHED_WAITING) {
        for (uint32_t t = 1; t < c->n_tenants; t++) {
            fill(c, t, KRS_PRIORITY_URGENT);
        }
        (void)run_step(c);
        n++;
        assert_true(n <= bound);
    }
    return n;
}

static void a_background_request_gets_through_a_flood_of_urgent_ones(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t seed = first_seed(); seed < first_seed() + CROWDS; seed++) {
        static crowd c;
        crowd_init(&c, seed + 2000);
        for (uint32_t t = 1; t < c.n_tenants; t++) {
            fill(&c, t, KRS_PRIORITY_URGENT);
        }
        for (uint32_t i = 0; i < 10; i++) {
            const client *one = come(&c, 0, KRS_PRIORITY_BACKGROUND, 1 + c.max_prompt[0], 1);
            const uint64_t bound = krs_sched_wait_bound(c.sched, &one->seq);
            const uint32_t n = steps_until_row(&c, one, bound);
            worst = (double)n / (double)bound > worst ? (double)n / (double)bound : worst;
            while (one->seq.state != KRS_SCHED_OUT) { /* it keeps its place in the room till then */
                (void)run_step(&c);                   /* the flood drains */
            }
        }
        crowd_end(&c);
    }
    printf("waited at most %.3f of the bound\n", worst);
}

/* ---- readers that take nothing ---- */

/* The plans after which each of a fixed set of clients has its answer, beside n_paused that read one token
 * and no more. */
static void run_beside(uint64_t seed, uint32_t n_paused, uint64_t *ends, uint32_t n_clients)
{
    static crowd c;
    memset(&c, 0, sizeof(c));
    c.seed = seed + 7;
    c.limits = (krs_sched_limits){.max_running = 4,
                                  .max_waiting = MAX_SEQS,
                                  .max_parked = MAX_SEQS,
                                  .max_tenants = MAX_TENANTS,
                                  .max_waiting_tokens = UINT64_MAX,
                                  .max_step_tokens = 24,
                                  .max_seq_tokens = SEQ_TOKENS,
                                  .block_tokens = BLOCK_TOKENS};
    assert_int_equal(krs_kv_pool_new(5 * SEQ_TOKENS / BLOCK_TOKENS, NULL, &c.pool, NULL), KRS_OK);
    assert_int_equal(krs_sched_new(&c.limits, c.pool, NULL, NULL, &c.sched, NULL), KRS_OK);
    for (uint32_t i = 0; i < n_paused; i++) {
        client *one = come(&c, 0, KRS_PRIORITY_NORMAL, 8, 40);
        krs_sched_set_credit(c.sched, &one->seq, 1);
    }
    while (run_step(&c) > 0) {
    }
    c.step = 0;
    client *clients[16];
    uint32_t n_there = 0;
    uint32_t n_done = 0;
    while (n_done < n_clients) {
        if (n_there < n_clients && c.step % 3 == 0) {
            clients[n_there++] = come(&c, 1, KRS_PRIORITY_NORMAL, 1 + (uint32_t)draw(&c, 30),
                                      1 + (uint32_t)draw(&c, 30));
        }
        (void)run_step(&c);
        for (uint32_t i = 0; i < n_there; i++) {
            if (ends[i] == 0 && clients[i]->seq.state == KRS_SCHED_OUT) {
                ends[i] = c.step;
                clients[i]->seq.state = KRS_SCHED_PARKED; /* keep its place in the room */
                n_done++;
            }
        }
    }
    for (uint32_t i = 0; i < n_clients; i++) {
        clients[i]->seq.state = KRS_SCHED_OUT;
    }
    crowd_end(&c);
}

static void readers_that_take_nothing_cost_their_neighbours_no_step(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed(); seed < first_seed() + CROWDS; seed++) {
        uint64_t alone[16] = {0};
        uint64_t beside[16] = {0};
        run_beside(seed, 0, alone, 16);
        run_beside(seed, 20, beside, 16);
        assert_memory_equal(alone, beside, sizeof(alone));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_with_work_waiting_get_shares_by_weight),
        cmocka_unit_test(idle_time_earns_nothing),
        cmocka_unit_test(a_background_request_gets_through_a_flood_of_urgent_ones),
        cmocka_unit_test(readers_that_take_nothing_cost_their_neighbours_no_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
