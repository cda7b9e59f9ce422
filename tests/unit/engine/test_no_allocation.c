/* tests/unit/engine/test_no_allocation.c - a token costs no memory, on any thread.
 *
 * The allocator parameter shows what our own code asks for; this shows what libraries ask for, too: the
 * executable's own malloc, calloc, realloc and aligned_alloc stand before the C library's and count. After
 * warm-up, 1,000 steps of 32 streams with metrics and a log on must ask for nothing.
 *
 * Not under sanitizers, whose runtimes bring their own malloc. */
#include "support/engine_fixture.h"
#include "support/malloc_count.h"
#include "support/synth_folder.h"

#include <stdatomic.h>

#define N_STREAMS    32
#define N_WARM_STEPS 20   /* with all streams in them */
#define N_STEPS      1000 /* counted */
#define MAX_TOKENS   (N_WARM_STEPS + N_STEPS + 40)
/* What it computes does not matter here, so it is small. */
#define MODEL                                                                                      \
    "{\"model_type\": \"llama\", \"vocab_size\": 2048, \"hidden_size\": 32,"                       \
    "\"intermediate_size\": 64, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"             \
    "\"num_key_value_heads\": 1, \"max_position_embeddings\": 2048, \"rms_norm_eps\": 1e-06,"      \
    "\"hidden_act\": \"silu\", \"eos_token_id\": 2029, \"tie_word_embeddings\": true,"             \
    "\"torch_dtype\": \"bfloat16\"}"
#define MAX_LOG_LINES 200 /* a record a request at most, and the start's */

/* All on the engine thread. Each stream may say one token until every one has said it: they go on together,
 * however long the machine took to open them. */
typedef struct listener {
    krs_runtime *runtime;
    uint64_t ids[N_STREAMS];
    uint32_t n_begun;
    uint32_t n_full; /* steps that brought something to every stream */
    _Atomic uint32_t n_ended;
} listener;

static void begin(listener *l, uint64_t id)
{
    assert_true(l->n_begun < N_STREAMS);
    l->ids[l->n_begun++] = id;
    for (uint32_t i = 0; l->n_begun == N_STREAMS && i < N_STREAMS; i++) {
        krs_runtime_grant(l->runtime, l->ids[i], MAX_TOKENS);
    }
}

static void listen_to(void *ctx, const krs_stream_event *events, uint32_t n)
{
    listener *l = ctx;
    uint32_t n_ended = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_ended += events[i].is_end;
        if (l->n_begun < N_STREAMS) {
            begin(l, events[i].stream_id);
        }
    }
    if (n == N_STREAMS && n_ended == 0) {
        l->n_full++;
        if (l->n_full == N_WARM_STEPS) {
            atomic_store(&is_counting, true);
        } else if (l->n_full == N_WARM_STEPS + N_STEPS) {
            atomic_store(&is_counting, false);
        }
    }
    (void)atomic_fetch_add(&l->n_ended, n_ended);
}

typedef struct line_counter {
    _Atomic uint32_t n;
} line_counter;

static void keep_line(void *ctx, krs_log_level level, krs_str line)
{
    line_counter *counter = ctx;
    (void)level;
    (void)line;
    (void)atomic_fetch_add(&counter->n, 1);
}

static krs_request *long_answer(uint32_t i)
{
    static const krs_str stop = {"never said by anybody", 21};
    krs_request *r = question(i % 2 ? "Tell me a story about a fox." : "What is 12 + 7?");
    r->sampling.temperature = i % 4 == 0 ? 0.0 : 0.8;
    r->sampling.top_p = i % 4 == 1 ? 0.9 : 1.0;
    r->sampling.top_k = i % 4 == 2 ? 40 : 0;
    r->sampling.repetition_penalty = i % 8 == 3 ? 1.1 : 1.0;
    r->sampling.n_logprobs = i % 8 == 5 ? 5 : -1;
    r->sampling.seed = i;
    r->stopping.is_eos_ignored = true;
    r->stopping.max_tokens = MAX_TOKENS;
    r->stopping.stops = i % 3 == 0 ? &stop : NULL;
    r->stopping.n_stops = i % 3 == 0;
    r->credit = 1;
    return r;
}

static void a_thousand_steps_of_32_streams_allocate_nothing(void **state)
{
    (void)state;
    if (!has_interposed) {
        skip();
    }
    line_counter lines = {0};
    const krs_log log = {
        .ctx = &lines, .sink = keep_line, .wall_ns = krs_os_wall_ns, .min_level = KRS_LOG_DEBUG};
    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    char dir[KRS_OS_PATH_BYTES];
    krs_synth_folder_make(MODEL, dir);
    krs_engine_options options = fixture_options();
    options.model_dir = dir;
    options.max_context_tokens = 2048;
    options.kv_tokens = (uint64_t)N_STREAMS * 1344; /* no preemption: everybody is in every step */
    options.max_seqs = N_STREAMS;
    options.metrics = metrics;
    options.log = &log;
    engine_fixture f = fixture_open(&options);
    listener l = {.runtime = f.runtime};
    const krs_sink sink = {&l, listen_to};
    uint64_t id = 0;
    for (uint32_t i = 0; i < N_STREAMS; i++) {
        assert_int_equal(krs_runtime_open(f.runtime, long_answer(i), &sink, NULL, &id, NULL),
                         KRS_OK);
    }
    while (atomic_load(&l.n_ended) < N_STREAMS) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    fixture_close(&f);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    assert_true(l.n_full >= N_WARM_STEPS + N_STEPS);
    assert_int_equal(atomic_load(&n_allocations), 0);
    assert_true(atomic_load(&lines.n) > 0 && atomic_load(&lines.n) < MAX_LOG_LINES);
    assert_true(krs_metrics_read(metrics, KRS_METRIC_STEPS) >= N_STEPS);
    krs_metrics_free(metrics);
}

/* The counter counts, or the test above says nothing. */
static void an_allocation_is_seen(void **state)
{
    (void)state;
    if (!has_interposed) {
        skip();
    }
    const uint64_t before = atomic_load(&n_allocations);
    atomic_store(&is_counting, true);
    void *volatile a = malloc(3);
    void *volatile b = realloc(NULL, 3);
    void *volatile c = calloc(1, 3);
    atomic_store(&is_counting, false);
    free(a);
    free(b);
    free(c);
    assert_int_equal(atomic_load(&n_allocations), before + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_steps_of_32_streams_allocate_nothing),
        cmocka_unit_test(an_allocation_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
