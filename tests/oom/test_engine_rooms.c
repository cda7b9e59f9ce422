/* tests/oom/test_engine_rooms.c - kv, sample and sched with every allocation failing once: a status, and
 * nothing left behind. */
#include "sample/sampler.h"
#include "sample/stop_match.h"
#include "sched/sched.h"
#include "support/oom.h"

static krs_status use_kv(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_kv_pool *pool = NULL;
    krs_kv_table table;
    krs_status status = krs_kv_pool_new(8, alloc, &pool, NULL);
    if (status == KRS_OK) {
        status = krs_kv_table_init(&table, 8, alloc);
    }
    if (status == KRS_OK) {
        status = krs_kv_table_grow(&table, pool, 5);
        krs_kv_table_clear(&table, pool);
        krs_kv_table_deinit(&table);
    }
    krs_kv_pool_free(pool);
    return status;
}

static krs_status use_sampler(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_sampler *sampler = NULL;
    krs_status status = krs_sampler_new(3, alloc, &sampler);
    if (status == KRS_OK) {
        const float logits[3] = {0.0f, 1.0f, 2.0f};
        const krs_sampling sampling = KRS_SAMPLING_INIT;
        const krs_sample_input in = {.logits = logits, .sampling = &sampling};
        krs_sample out;
        status = krs_sampler_pick(sampler, &in, &out);
    }
    krs_sampler_free(sampler);
    return status;
}

static krs_status use_stop_match(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    const krs_str stop = KRS_STR("end");
    krs_stop_match *match = NULL;
    krs_buf out;
    krs_buf_init(&out, alloc, 100);
    krs_status status = krs_stop_match_new(&stop, 1, false, alloc, &match);
    bool is_stopped = false;
    if (status == KRS_OK) {
        status = krs_stop_match_push(match, KRS_STR("text e"), true, &out, &is_stopped);
    }
    if (status == KRS_OK) {
        status = krs_stop_match_finish(match, &out);
    }
    krs_stop_match_free(match);
    krs_buf_deinit(&out);
    return status;
}

static krs_status plan_and_finish(krs_sched *sched, const krs_alloc *alloc)
{
    krs_sched_seq seq = {.n_tokens = 5, .credit = KRS_SCHED_UNLIMITED, .deadline_ns = UINT64_MAX};
    const krs_status status = krs_sched_add(sched, &seq, alloc);
    if (status == KRS_OK) {
        krs_sched_step step;
        krs_sched_plan(sched, 0, &step);
        krs_sched_finish(sched, &seq);
    }
    return status;
}

static krs_status use_sched(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    const krs_sched_limits limits = {.max_running = 2,
                                     .max_waiting = 2,
                                     .max_waiting_tokens = 100,
                                     .max_step_tokens = 8,
                                     .max_seq_tokens = 16,
                                     .block_tokens = 4};
    krs_kv_pool *pool = NULL;
    krs_sched *sched = NULL;
    krs_status status = krs_kv_pool_new(8, alloc, &pool, NULL);
    if (status == KRS_OK) {
        status = krs_sched_new(&limits, pool, NULL, alloc, &sched, NULL);
    }
    if (status == KRS_OK) {
        status = plan_and_finish(sched, alloc);
    }
    krs_sched_free(sched);
    krs_kv_pool_free(pool);
    return status;
}

static void every_room_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_int_equal(krs_oom_sweep(use_kv, NULL), 3);
    assert_true(krs_oom_sweep(use_sampler, NULL) > 4);
    assert_true(krs_oom_sweep(use_stop_match, NULL) > 1);
    assert_int_equal(krs_oom_sweep(use_sched, NULL), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_room_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
