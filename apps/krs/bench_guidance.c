/* apps/krs/bench_guidance.c - see bench_guidance.h. Rounds with and without alternate, so that a machine that is
 * slow for a while is slow for both; figures are medians of pairs. Tokens are drawn at temperature 1 with a
 * seed for each stream, so streams of a model of random weights do not all say the same.
 *
 * Forced tokens come several a step, which would hide what a mask costs: beside tokens a second stands the time
 * of a step, and what of it was choosing. */
#include "bench_guidance.h"

#include "answer.h"
#include "bench.h"
#include "command.h"
#include "local.h"
#include "os/clock.h"
#include "os/thread.h"

#define SPARE_CONTEXT 16u /* of a sequence, beyond its prompt and answer */

typedef struct meter {
    krs_os_mutex *lock;
    krs_os_cond *changed;
    uint32_t n_ended;
    uint64_t n_tokens;
    krs_error error; /* of the first stream that failed */
} meter;

typedef struct side {
    double tokens_ps[KRS_BENCH_MAX_RUNS];
    double sampling_share[KRS_BENCH_MAX_RUNS]; /* of the steps' time */
    uint64_t n_tokens;
    uint64_t n_forced; /* of them */
    uint64_t n_steps;
} side;

typedef struct bench {
    const krs_config *config;
    krs_metrics *metrics;
    krs_runtime *runtime;
    krs_os_signals signals;
    uint32_t n_streams;
    uint32_t vocab;
    meter meter;
    side sides[2]; /* without, with */
} bench;

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    meter *m = ctx;
    krs_os_mutex_lock(m->lock);
    for (uint32_t i = 0; i < n; i++) {
        m->n_tokens += events[i].n_tokens;
        m->n_ended += events[i].is_end;
        if (events[i].is_end && events[i].finish == KRS_FINISH_ERROR && m->error.status == KRS_OK) {
            m->error = events[i].error;
        }
    }
    krs_os_cond_signal(m->changed);
    krs_os_mutex_unlock(m->lock);
}

static krs_status make_request(const bench *b, uint64_t seed, bool is_guided, krs_request **out,
                               krs_error *err)
{
    const uint32_t n = (uint32_t)krs_config_int(b->config, KRS_OPTION_PROMPT_TOKENS);
    krs_status status = krs_request_new(NULL, out);
    uint32_t *ids = status == KRS_OK ? krs_arena_array(&(*out)->arena, n, sizeof(*ids)) : NULL;
    if (!ids) {
        krs_request_free(*out);
        return krs_fail(err, KRS_ENOMEM, "bench: out of memory");
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = (uint32_t)((i + 1) * UINT64_C(2654435761) % b->vocab);
    }
    (*out)->prompt = (krs_prompt){.kind = KRS_PROMPT_TOKENS, .tokens = ids, .n_tokens = n};
    (*out)->sampling.seed = seed;
    (*out)->stopping.max_tokens = (uint32_t)krs_config_int(b->config, KRS_OPTION_GEN_TOKENS);
    (*out)->stopping.is_eos_ignored = true;
    if (is_guided) {
        status = krs_answer_read_schema(krs_config_text(b->config, KRS_OPTION_SCHEMA), *out, err);
    }
    if (status != KRS_OK) {
        krs_request_free(*out);
    }
    return status;
}

/* Open all streams; *n_open: so many will end. */
static krs_status open_all(bench *b, uint64_t seed, bool is_guided, const krs_sink *sink,
                           uint32_t *n_open, krs_error *err)
{
    krs_status status = KRS_OK;
    for (*n_open = 0; status == KRS_OK && *n_open < b->n_streams;) {
        krs_request *request = NULL;
        uint64_t id;
        status = make_request(b, seed + *n_open, is_guided, &request, err);
        if (status == KRS_OK) {
            status = krs_runtime_open(b->runtime, request, sink, NULL, &id, err);
            if (status != KRS_OK) {
                krs_request_free(request);
            }
        }
        *n_open += status == KRS_OK;
    }
    return status;
}

static void wait_all(meter *m, uint32_t n)
{
    krs_os_mutex_lock(m->lock);
    while (m->n_ended < n) {
        krs_os_cond_wait(m->changed, m->lock);
    }
    krs_os_mutex_unlock(m->lock);
}

static double seconds_in(const bench *b, krs_metric histogram)
{
    krs_histogram view;
    krs_metrics_read_histogram(b->metrics, histogram, &view);
    return (double)view.sum / 1e9;
}

/* One round; at: its place in the figures, or KRS_BENCH_MAX_RUNS: it only warms up. */
static krs_status run_round(bench *b, uint64_t seed, bool is_guided, uint32_t at, krs_error *err)
{
    const krs_sink sink = {&b->meter, deliver};
    side *s = &b->sides[is_guided];
    uint32_t n_open = 0;
    b->meter.n_ended = 0;
    b->meter.n_tokens = 0;
    const double sampling_s = seconds_in(b, KRS_METRIC_STEP_SAMPLING);
    const int64_t n_steps = krs_metrics_read(b->metrics, KRS_METRIC_STEPS);
    const int64_t n_forced = krs_metrics_read(b->metrics, KRS_METRIC_GUIDANCE_FORCED);
    const uint64_t begin_ns = krs_os_now_ns();
    krs_status status = open_all(b, seed, is_guided, &sink, &n_open, err);
    wait_all(&b->meter, n_open);
    const double total_s = (double)(krs_os_now_ns() - begin_ns) / 1e9;
    if (status == KRS_OK && b->meter.error.status != KRS_OK) {
        *err = b->meter.error;
        return err->status;
    }
    if (status == KRS_OK && at < KRS_BENCH_MAX_RUNS) {
        s->tokens_ps[at] = (double)b->meter.n_tokens / total_s;
        s->sampling_share[at] = (seconds_in(b, KRS_METRIC_STEP_SAMPLING) - sampling_s) / total_s;
        s->n_tokens += b->meter.n_tokens;
        s->n_forced +=
            (uint64_t)(krs_metrics_read(b->metrics, KRS_METRIC_GUIDANCE_FORCED) - n_forced);
        s->n_steps += (uint64_t)(krs_metrics_read(b->metrics, KRS_METRIC_STEPS) - n_steps);
    }
    return status;
}

static krs_status run_all(bench *b, uint32_t n_runs, krs_error *err)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < 2 * (n_runs + 1); i++) {
        const uint32_t run = i / 2;
        if (krs_os_signals_take(&b->signals)) {
            return krs_fail(err, KRS_ECANCELLED, "bench: stopped");
        }
        status = run_round(b, (uint64_t)run * b->n_streams, i % 2 == 1,
                           run == 0 ? KRS_BENCH_MAX_RUNS : run - 1, err);
    }
    return status;
}

static double tokens_a_step(const side *s)
{
    return s->n_steps > 0 ? (double)s->n_tokens / (double)s->n_steps : 0.0;
}

static int print_report(const bench *b, uint32_t n_runs)
{
    const side *plain = &b->sides[0];
    const side *guided = &b->sides[1];
    double ratios[KRS_BENCH_MAX_RUNS];
    for (uint32_t i = 0; i < n_runs; i++) {
        ratios[i] = guided->tokens_ps[i] / plain->tokens_ps[i];
    }
    const double ratio = krs_bench_median(ratios, n_runs);
    if (krs_config_bool(b->config, KRS_OPTION_JSON)) {
        return krs_say_json(json_pack(
            "{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:i}", "streams", (int)b->n_streams,
            "tokens_per_s", krs_bench_median(plain->tokens_ps, n_runs), "guided_tokens_per_s",
            krs_bench_median(guided->tokens_ps, n_runs), "ratio", ratio, "sampling_share",
            krs_bench_median(plain->sampling_share, n_runs), "guided_sampling_share",
            krs_bench_median(guided->sampling_share, n_runs), "tokens_per_step",
            tokens_a_step(plain), "guided_tokens_per_step", tokens_a_step(guided), "forced_tokens",
            (json_int_t)guided->n_forced, "runs", (int)n_runs));
    }
    (void)printf("without    %.1f tokens/s, %.1f a step, %.1f %% of the time choosing\n",
                 krs_bench_median(plain->tokens_ps, n_runs), tokens_a_step(plain),
                 100 * krs_bench_median(plain->sampling_share, n_runs));
    (void)printf("schema     %.1f tokens/s, %.1f a step, %.1f %% of the time choosing\n",
                 krs_bench_median(guided->tokens_ps, n_runs), tokens_a_step(guided),
                 100 * krs_bench_median(guided->sampling_share, n_runs));
    (void)printf("ratio      %.3f (median of pairs); %llu forced tokens of %llu\n", ratio,
                 (unsigned long long)guided->n_forced, (unsigned long long)guided->n_tokens);
    (void)printf("runs       %u pairs of %u streams after one to warm up, medians\n", n_runs,
                 b->n_streams);
    return krs_say_flush();
}

static krs_status open_bench(bench *b, krs_error *err)
{
    krs_model_info info;
    krs_status status = krs_os_mutex_new(&b->meter.lock);
    if (status == KRS_OK) {
        status = krs_os_cond_new(&b->meter.changed);
    }
    if (status == KRS_OK) {
        status = krs_metrics_new(NULL, &b->metrics);
    }
    if (status != KRS_OK) {
        return krs_fail(err, status, "bench: out of memory");
    }
    krs_engine_options options = krs_local_options(b->config, b->config->positionals[0]);
    options.metrics = b->metrics;
    options.max_seqs = b->n_streams;
    options.max_context_tokens = (uint32_t)(krs_config_int(b->config, KRS_OPTION_PROMPT_TOKENS) +
                                            krs_config_int(b->config, KRS_OPTION_GEN_TOKENS)) +
                                 SPARE_CONTEXT;
    options.kv_tokens = (uint64_t)options.max_context_tokens * (b->n_streams + 1);
    status = krs_local_open(b->config, &options, &b->runtime, err);
    if (status == KRS_OK) {
        (void)krs_runtime_models(b->runtime, &info, 1);
        b->vocab = info.vocab;
    }
    return status;
}

int krs_bench_guidance(const krs_config *config)
{
    static bench b;
    krs_error err = KRS_ERROR_INIT;
    const uint32_t n_runs = (uint32_t)krs_config_int(config, KRS_OPTION_REPEAT);
    b = (bench){.config = config,
                .signals = {-1},
                .n_streams = (uint32_t)krs_config_int(config, KRS_OPTION_STREAMS)};
    krs_status status = krs_os_signals_open(&b.signals, &err);
    if (status == KRS_OK) {
        status = open_bench(&b, &err);
    }
    if (status == KRS_OK) {
        status = run_all(&b, n_runs, &err);
    }
    const int code = status == KRS_OK ? print_report(&b, n_runs) : krs_say_error(config, &err);
    krs_runtime_free(b.runtime);
    krs_metrics_free(b.metrics);
    krs_os_cond_free(b.meter.changed);
    krs_os_mutex_free(b.meter.lock);
    krs_os_signals_close(&b.signals);
    return code;
}
