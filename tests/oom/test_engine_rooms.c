/* tests/oom/test_engine_rooms.c - kv, sample, sched and the parts of engine with every allocation failing
 * once: a status, and nothing left behind. A whole engine and whole requests: tests/unit/engine/test_open.c. */
#include "engine/control.h"
#include "engine/draft.h"
#include "engine/embed.h"
#include "engine/stream.h"
#include "kv/prefix.h"
#include "sample/sampler.h"
#include "sample/stop_match.h"
#include "sched/sched.h"
#include "support/oom.h"

/* Most of a draft's allocations are of loading a model and a tokenizer, which have sweeps of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DRAFT_SWEEP_STEP 97
#else
#define DRAFT_SWEEP_STEP 11
#endif

/* What a stream is made for. */
typedef struct stream_case {
    krs_task task;
    krs_tokenizer *tokenizer;
    krs_speculation speculation;
    krs_draft *draft;
} stream_case;

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
    static const uint32_t tokens[5] = {1, 2, 3, 4, 5};
    krs_sched_seq seq = {
        .tokens = tokens, .n_tokens = 5, .credit = KRS_SCHED_UNLIMITED, .deadline_ns = UINT64_MAX};
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
    const krs_kv_prefix_options options = {.block_tokens = 4};
    krs_kv_pool *pool = NULL;
    krs_kv_prefix *prefix = NULL;
    krs_sched *sched = NULL;
    krs_status status = krs_kv_pool_new(8, alloc, &pool, NULL);
    if (status == KRS_OK) {
        status = krs_kv_prefix_new(pool, &options, alloc, &prefix, NULL);
    }
    if (status == KRS_OK) {
        status = krs_sched_new(&limits, pool, prefix, alloc, &sched, NULL);
    }
    if (status == KRS_OK) {
        status = plan_and_finish(sched, alloc);
    }
    krs_sched_free(sched);
    krs_kv_prefix_free(prefix);
    krs_kv_pool_free(pool);
    return status;
}

static krs_status use_controls(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_controls controls;
    uint64_t id = 0;
    krs_status status = krs_controls_init(&controls, 100, alloc);
    if (status == KRS_OK) {
        status = krs_controls_take(&controls, &id);
        krs_controls_give(&controls, id);
        krs_controls_deinit(&controls);
    }
    return status;
}

static krs_status use_embedding(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    const float row[3] = {1.0f, 2.0f, 2.0f};
    krs_embedding embedding;
    krs_status status = krs_embedding_init(&embedding, KRS_POOLING_MEAN, true, 3, alloc);
    if (status == KRS_OK) {
        krs_embedding_begin(&embedding);
        krs_embedding_add(&embedding, row);
        status = krs_embedding_finish(&embedding);
        krs_embedding_deinit(&embedding);
    }
    return status;
}

/* A stream of the task that ctx points to, as a prep thread makes it. */
static krs_status use_stream(const krs_alloc *alloc, void *ctx)
{
    static const uint32_t ids[3] = {1, 2, 3};
    const stream_case *c = ctx;
    const krs_stream_limits limits = {.max_context_tokens = 16,
                                      .vocab = 10,
                                      .n_embedding = 4,
                                      .pooling = KRS_POOLING_LAST,
                                      .speculation = {KRS_SPECULATION_OFF, 0},
                                      .draft = c->draft};
    krs_request *request = NULL;
    krs_stream *stream = NULL;
    krs_status status = krs_request_new(alloc, &request);
    if (status == KRS_OK) {
        request->task = c->task;
        request->speculation = c->speculation;
        status = krs_stream_new(request, NULL, NULL, 0, alloc, &stream);
    }
    if (status == KRS_OK) {
        status = krs_stream_prepare(stream, c->tokenizer, (krs_ids){ids, 3}, &limits, NULL);
    } else {
        krs_request_free(request);
    }
    krs_stream_free(stream);
    return status;
}

/* What a draft is opened beside. */
typedef struct draft_case {
    krs_model *target;
    krs_tokenizer *tokenizer;
    krs_backend *backend;
} draft_case;

static krs_status use_draft(const krs_alloc *alloc, void *ctx)
{
    const draft_case *c = ctx;
    krs_draft *draft = NULL;
    krs_lane *lane = NULL;
    krs_exec_plan plan;
    krs_status status = krs_draft_open(KRS_SOURCE_DIR "/models/demo-draft", KRS_OS_MAP_SHARED_PAGES,
                                       c->target, c->tokenizer, alloc, &draft, NULL);
    if (status == KRS_OK) {
        status = krs_draft_plan(draft, c->backend, KRS_DTYPE_F32, 8, &plan, NULL);
    }
    if (status == KRS_OK) {
        status = krs_draft_start(draft, 1, NULL);
    }
    if (status == KRS_OK) {
        status = krs_lane_new(draft, 64, alloc, &lane);
    }
    if (status == KRS_OK) {
        static const uint32_t ids[3] = {1, 2, 3};
        status = krs_lane_reserve(lane, 0, ids, 3, 4);
    }
    krs_lane_free(lane);
    krs_draft_close(draft);
    return status;
}

static void a_draft_survives_every_failed_allocation(void **state)
{
    (void)state;
    draft_case c = {NULL, NULL, NULL};
    const char *dir = KRS_SOURCE_DIR "/models/demo";
    assert_int_equal(krs_tokenizer_load(dir, NULL, &c.tokenizer, NULL), KRS_OK);
    assert_int_equal(krs_model_open(dir, NULL, NULL, &c.target, NULL), KRS_OK);
    assert_int_equal(krs_backend_open("ref", NULL, NULL, &c.backend, NULL), KRS_OK);
    uint64_t nth = 1;
    bool is_over = false;
    while (!is_over) {
        krs_oom oom;
        krs_oom_init(&oom, nth);
        const krs_status status = use_draft(krs_oom_alloc(&oom), &c);
        is_over = atomic_load(&oom.n_failed) == 0;
        assert_int_equal(status, is_over ? KRS_OK : KRS_ENOMEM);
        assert_int_equal(atomic_load(&oom.n_live), 0);
        nth += DRAFT_SWEEP_STEP;
    }
    assert_true(nth > 20);
    krs_backend_close(c.backend);
    krs_model_close(c.target);
    krs_tokenizer_free(c.tokenizer);
}

static void a_stream_survives_every_failed_allocation(void **state)
{
    (void)state;
    krs_draft draft = {.vocab = 10};
    stream_case c = {.task = KRS_TASK_GENERATE};
    assert_int_equal(krs_tokenizer_load(KRS_SOURCE_DIR "/models/demo", NULL, &c.tokenizer, NULL),
                     KRS_OK);
    const uint64_t n_plain = krs_oom_sweep(use_stream, &c);
    assert_true(n_plain > 6);
    c.speculation.mode = KRS_SPECULATION_NGRAM;
    assert_true(krs_oom_sweep(use_stream, &c) == n_plain + 1);
    c.speculation.mode = KRS_SPECULATION_DRAFT;
    c.draft = &draft;
    assert_true(krs_oom_sweep(use_stream, &c) == n_plain + 2);
    c.task = KRS_TASK_EMBED;
    assert_true(krs_oom_sweep(use_stream, &c) > 5);
    krs_tokenizer_free(c.tokenizer);
}

static void every_room_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_int_equal(krs_oom_sweep(use_kv, NULL), 3);
    assert_true(krs_oom_sweep(use_sampler, NULL) > 4);
    assert_true(krs_oom_sweep(use_stop_match, NULL) > 1);
    assert_true(krs_oom_sweep(use_sched, NULL) > 6);
    assert_true(krs_oom_sweep(use_controls, NULL) > 2);
    assert_int_equal(krs_oom_sweep(use_embedding, NULL), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_room_survives_every_failed_allocation),
        cmocka_unit_test(a_stream_survives_every_failed_allocation),
        cmocka_unit_test(a_draft_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
