/* tests/unit/sched/test_sim.c - the simulator: time passes as its formula says, every request of a trace comes
 * to an end, and an invented day of traffic keeps priorities and leaves nothing behind. */
#include "sched/sim.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

static krs_sim_options options_of(uint32_t n_blocks)
{
    return (krs_sim_options){.limits = {.max_running = 8,
                                        .max_waiting = 64,
                                        .max_parked = 16,
                                        .max_tenants = 4,
                                        .max_waiting_tokens = 100000,
                                        .max_step_tokens = 64,
                                        .max_seq_tokens = 512,
                                        .block_tokens = 16},
                             .n_blocks = n_blocks,
                             .has_prefix_cache = true,
                             .cost = {.base_ns = 10 * MS, .row_ns = MS / 10}};
}

static krs_sim_request request_at(uint64_t arrival_ns, uint32_t n_prompt, uint32_t n_answer)
{
    return (krs_sim_request){.arrival_ns = arrival_ns,
                             .cancel_ns = KRS_SIM_NEVER,
                             .deadline_ns = KRS_SIM_NEVER,
                             .prompt_tokens = n_prompt,
                             .answer_tokens = n_answer,
                             .priority = KRS_PRIORITY_NORMAL};
}

static krs_sim *run(const krs_sim_options *options, const krs_sim_request *requests, uint32_t n)
{
    krs_sim *sim = NULL;
    assert_int_equal(krs_sim_new(options, requests, n, NULL, &sim, NULL), KRS_OK);
    bool is_over = false;
    while (!is_over) {
        assert_int_equal(krs_sim_step(sim, &is_over, NULL), KRS_OK);
    }
    return sim;
}

static void time_passes_as_the_formula_says(void **state)
{
    (void)state;
    const krs_sim_options options = options_of(64);
    const krs_sim_request request = request_at(5 * MS, 100, 3);
    krs_sim *sim = run(&options, &request, 1);
    /* 64 rows, 36 rows with the first token, then two rows one by one. */
    const krs_sim_result *result = krs_sim_results(sim);
    assert_int_equal(result->end, KRS_OK);
    assert_int_equal(result->first_ns, 5 * MS + 2 * 10 * MS + 100 * MS / 10);
    assert_int_equal(result->end_ns, result->first_ns + 2 * (10 * MS + MS / 10));
    assert_int_equal(result->n_answer, 3);
    assert_int_equal(krs_sim_totals_of(sim).n_steps, 4);
    krs_sim_free(sim);
}

static void every_kind_of_end_is_told(void **state)
{
    (void)state;
    const krs_sim_options options = options_of(64);
    krs_sim_request requests[6];
    for (int i = 0; i < 6; i++) {
        requests[i] = request_at(0, 40, 50);
    }
    requests[1].cancel_ns = 100 * MS;
    requests[2].deadline_ns = 200 * MS;
    requests[3].prompt_tokens = 600;
    requests[4].read_ns = 100 * MS; /* slower than the device, but to the end */
    requests[5].answer_tokens = 0;
    krs_sim *sim = run(&options, requests, 6);
    const krs_sim_result *results = krs_sim_results(sim);
    const krs_status ends[] = {KRS_OK,        KRS_ECANCELLED, KRS_EDEADLINE,
                               KRS_ETOOLARGE, KRS_OK,         KRS_OK};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(results[i].end, ends[i]);
    }
    assert_int_equal(results[4].n_answer, 50);
    assert_true(results[4].end_ns >= 49 * 100 * MS);
    assert_int_equal(results[5].n_answer, 0);
    assert_int_not_equal(results[5].first_ns, KRS_SIM_NEVER);
    krs_sim_free(sim);
}

static void a_common_beginning_is_computed_once(void **state)
{
    (void)state;
    const krs_sim_options options = options_of(256);
    krs_sim_request requests[16];
    for (uint32_t i = 0; i < 16; i++) {
        requests[i] = request_at(i * MS, 200, 4);
        requests[i].prefix_id = 9;
        requests[i].prefix_tokens = 192;
    }
    krs_sim *sim = run(&options, requests, 16);
    /* 200 rows of the first, 8 of each of the others, 3 more of each for its answer. */
    assert_int_equal(krs_sim_totals_of(sim).n_rows, 200 + 15 * 8 + 16 * 3);
    krs_sim_free(sim);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The median time to the first token of a priority. */
static uint64_t median_wait(const krs_sim *sim, const krs_sim_request *requests, uint32_t n,
                            krs_priority priority)
{
    uint64_t *waits = calloc(n, sizeof(*waits));
    assert_non_null(waits);
    uint32_t n_waits = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t first_ns = krs_sim_results(sim)[i].first_ns;
        if (requests[i].priority == priority && first_ns != KRS_SIM_NEVER) {
            waits[n_waits++] = first_ns - requests[i].arrival_ns;
        }
    }
    qsort(waits, n_waits, sizeof(*waits), by_number);
    const uint64_t median = waits[n_waits / 2];
    free(waits);
    return median;
}

static void a_busy_day_keeps_priorities_and_leaves_nothing(void **state)
{
    (void)state;
    enum { N = 2000 };
    krs_sim_request *requests = calloc(N, sizeof(*requests));
    assert_non_null(requests);
    uint64_t seed = 4711;
    printf("seed %llu\n", (unsigned long long)seed);
    uint64_t t = 0;
    for (uint32_t i = 0; i < N; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const uint32_t r = (uint32_t)(seed >> 33);
        t += r % (100 * MS);
        requests[i] = request_at(t, 1 + r % 300, 1 + r / 300 % 60);
        requests[i].priority = (krs_priority)(r / 7 % 3);
        requests[i].tenant = r / 21 % 4;
        requests[i].prefix_tokens = requests[i].prompt_tokens / 2;
        requests[i].prefix_id = r / 84 % 5;
        requests[i].cancel_ns = r % 11 == 0 ? t + 500 * MS : KRS_SIM_NEVER;
    }
    const krs_sim_options options = options_of(100);
    krs_sim *sim = run(&options, requests, N);
    const uint64_t urgent = median_wait(sim, requests, N, KRS_PRIORITY_URGENT);
    const uint64_t background = median_wait(sim, requests, N, KRS_PRIORITY_BACKGROUND);
    printf("median wait: urgent %llu ms, background %llu ms\n", (unsigned long long)(urgent / MS),
           (unsigned long long)(background / MS));
    assert_true(2 * urgent < background);
    const krs_sim_totals totals = krs_sim_totals_of(sim);
    assert_int_equal(totals.sched.n_running + totals.sched.n_waiting + totals.sched.n_parked, 0);
    assert_true(totals.sched.n_found_tokens > 0 && totals.n_preempted > 0);
    krs_sim_free(sim);
    free(requests);
}

static void a_trace_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const krs_sim_options options = options_of(64);
    krs_sim_request requests[2] = {request_at(5, 10, 1), request_at(4, 10, 1)};
    krs_sim *sim = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_sim_new(&options, requests, 2, NULL, &sim, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "request 1 arrives before request 0"));
    requests[0].prefix_tokens = 11;
    assert_int_equal(krs_sim_new(&options, requests, 1, NULL, &sim, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "11 tokens of a prompt of 10"));
    assert_int_equal(krs_sim_new(&options, requests, 0, NULL, &sim, &err), KRS_EINVAL);
    assert_null(sim);
    krs_sim_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_as_the_formula_says),
        cmocka_unit_test(every_kind_of_end_is_told),
        cmocka_unit_test(a_common_beginning_is_computed_once),
        cmocka_unit_test(a_busy_day_keeps_priorities_and_leaves_nothing),
        cmocka_unit_test(a_trace_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
