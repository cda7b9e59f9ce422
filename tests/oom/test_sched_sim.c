/* tests/oom/test_sched_sim.c - state slots and the simulator with every allocation failing once: a status, and
 * nothing left behind. */
#include "kv/state.h"
#include "sched/sim.h"
#include "support/oom.h"

static krs_status use_states(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_kv_state *states = NULL;
    uint32_t slot = 0;
    krs_status status = krs_kv_state_new(2, alloc, &states, NULL);
    if (status == KRS_OK) {
        status = krs_kv_state_take(states, &slot);
        krs_kv_state_give(states, slot);
    }
    krs_kv_state_free(states);
    return status;
}

static krs_status use_simulator(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    const krs_sim_options options = {.limits = {.max_running = 2,
                                                .max_waiting = 2,
                                                .max_waiting_tokens = 100,
                                                .max_step_tokens = 8,
                                                .max_seq_tokens = 16,
                                                .block_tokens = 4},
                                     .n_blocks = 8,
                                     .has_prefix_cache = true,
                                     .cost = {.base_ns = 1}};
    krs_sim_request requests[3];
    for (int i = 0; i < 3; i++) {
        requests[i] = (krs_sim_request){.cancel_ns = KRS_SIM_NEVER,
                                        .deadline_ns = KRS_SIM_NEVER,
                                        .prompt_tokens = 9,
                                        .answer_tokens = 3};
    }
    krs_sim *sim = NULL;
    krs_status status = krs_sim_new(&options, requests, 3, alloc, &sim, NULL);
    bool is_over = false;
    bool is_refused = false;
    while (status == KRS_OK && !is_over) {
        status = krs_sim_step(sim, &is_over, NULL);
    }
    for (int i = 0; status == KRS_OK && i < 3; i++) {
        is_refused |= krs_sim_results(sim)[i].end == KRS_ENOMEM; /* its block table */
    }
    krs_sim_free(sim);
    return is_refused ? KRS_ENOMEM : status;
}

static void no_failed_allocation_leaves_anything(void **state)
{
    (void)state;
    krs_oom_sweep(use_states, NULL);
    krs_oom_sweep(use_simulator, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failed_allocation_leaves_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
