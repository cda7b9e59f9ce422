/* apps/krs/bench_speculation.c - see bench_speculation.h. Runs with and without alternate, so that a machine that
 * is slow for a while is slow for both; figures are medians. */
#include "bench_speculation.h"

#include "answer.h"
#include "bench.h"
#include "command.h"
#include "local.h"

#define PASSAGE_TOKENS 32u /* of the prompt that is said again and again */
#define BENCH_WORDS    4u  /* tokens that a copied answer is made of */

static const char *const questions[] = {
    "Tell me a story about a fox.", "Write a story with an old map.",
    "Tell me a story about a bear, a boat and a long day.", "What is the capital of Norway?"};

typedef struct side {
    double tokens_ps[KRS_BENCH_MAX_RUNS];
    uint64_t n_accepted;
    uint64_t n_rejected;
    uint64_t n_tokens;
} side;

static krs_status out_of_memory(krs_error *err)
{
    return krs_fail(err, KRS_ENOMEM, "bench: out of memory");
}

/* The passage as often as it takes; only its first words may come. */
static krs_status ask_copy(const krs_config *config, uint32_t vocab, krs_request *request)
{
    const uint32_t n = (uint32_t)krs_config_int(config, KRS_OPTION_PROMPT_TOKENS);
    uint32_t *ids = krs_arena_array(&request->arena, n, sizeof(*ids));
    krs_logit_bias *bias = krs_arena_array(&request->arena, BENCH_WORDS, sizeof(*bias));
    if (!ids || !bias) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = (uint32_t)((i % PASSAGE_TOKENS + 1) * UINT64_C(2654435761) % vocab);
    }
    for (uint32_t i = 0; i < BENCH_WORDS; i++) {
        bias[i] = (krs_logit_bias){(uint32_t)((i + 1) * UINT64_C(2654435761) % vocab),
                                   (float)KRS_MAX_BIAS};
    }
    request->prompt.kind = KRS_PROMPT_TOKENS;
    request->prompt.tokens = ids;
    request->prompt.n_tokens = n;
    request->sampling.bias = bias;
    request->sampling.n_bias = BENCH_WORDS;
    request->stopping.is_eos_ignored = true;
    return KRS_OK;
}

static krs_status ask_question(uint32_t i, krs_request *request)
{
    const char *text = questions[i % (sizeof(questions) / sizeof(questions[0]))];
    request->prompt.kind = KRS_PROMPT_CHAT;
    request->prompt.chat =
        json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", text);
    return request->prompt.chat ? KRS_OK : KRS_ENOMEM;
}

static krs_status make_request(const krs_config *config, uint32_t vocab, uint32_t i,
                               krs_speculation speculation, krs_request **out, krs_error *err)
{
    const bool is_copy = krs_local_speculation(config).mode == KRS_SPECULATION_NGRAM;
    if (krs_request_new(NULL, out) != KRS_OK) {
        return out_of_memory(err);
    }
    (*out)->sampling.temperature = 0.0;
    (*out)->stopping.max_tokens = (uint32_t)krs_config_int(config, KRS_OPTION_GEN_TOKENS);
    (*out)->speculation = speculation;
    const krs_status status = is_copy ? ask_copy(config, vocab, *out) : ask_question(i, *out);
    if (status != KRS_OK) {
        krs_request_free(*out);
        return out_of_memory(err);
    }
    return KRS_OK;
}

/* One answer; at: its place in the figures, or KRS_BENCH_MAX_RUNS: it only warms up. */
static krs_status run_one(krs_runtime *runtime, const krs_os_signals *signals, krs_request *request,
                          side *s, uint32_t at, krs_error *err)
{
    krs_answer answer;
    krs_answer_init(&answer);
    const krs_status status = krs_answer_run(runtime, request, signals, NULL, &answer, err);
    const krs_usage *u = &answer.usage;
    if (status == KRS_OK && answer.finish == KRS_FINISH_CANCELLED) {
        krs_answer_deinit(&answer);
        return krs_fail(err, KRS_ECANCELLED, "bench: stopped");
    }
    if (status == KRS_OK && at < KRS_BENCH_MAX_RUNS) {
        const double decode_s = (double)(u->total_ns - u->first_token_ns) / 1e9;
        s->tokens_ps[at] = decode_s > 0.0 ? (u->n_answer_tokens - 1) / decode_s : 0.0;
        s->n_accepted += u->n_accepted;
        s->n_rejected += u->n_rejected;
        s->n_tokens += u->n_answer_tokens;
    }
    krs_answer_deinit(&answer);
    return status;
}

/* Without at sides[0], with at sides[1]. */
static krs_status run_all(const krs_config *config, krs_runtime *runtime,
                          const krs_os_signals *signals, uint32_t n_runs, side sides[2],
                          krs_error *err)
{
    krs_model_info info;
    (void)krs_runtime_models(runtime, &info, 1);
    const krs_speculation with = krs_local_speculation(config);
    const krs_speculation modes[2] = {{KRS_SPECULATION_OFF, 0}, with};
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < 2 * (n_runs + 1); i++) {
        krs_request *request = NULL;
        const uint32_t run = i / 2;
        status = make_request(config, info.vocab, run, modes[i % 2], &request, err);
        if (status == KRS_OK) {
            status = run_one(runtime, signals, request, &sides[i % 2],
                             run == 0 ? KRS_BENCH_MAX_RUNS : run - 1, err);
        }
    }
    return status;
}

static int print_report(const krs_config *config, const side sides[2], uint32_t n_runs)
{
    const side *with = &sides[1];
    double ratios[KRS_BENCH_MAX_RUNS];
    for (uint32_t i = 0; i < n_runs; i++) {
        ratios[i] = sides[0].tokens_ps[i] > 0.0 ? with->tokens_ps[i] / sides[0].tokens_ps[i] : 0.0;
    }
    const double a = krs_bench_median(sides[0].tokens_ps, n_runs);
    const double b = krs_bench_median(with->tokens_ps, n_runs);
    const double ratio = krs_bench_median(ratios, n_runs);
    const char *mode = krs_config_text(config, KRS_OPTION_SPECULATION);
    const double share = with->n_tokens ? (double)with->n_accepted / (double)with->n_tokens : 0.0;
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        return krs_say_json(json_pack("{s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:i}", "speculation",
                                      mode, "decode_tokens_per_s", a, "speculating_tokens_per_s", b,
                                      "ratio", ratio, "tokens", (json_int_t)with->n_tokens,
                                      "accepted", (json_int_t)with->n_accepted, "rejected",
                                      (json_int_t)with->n_rejected, "runs", (int)n_runs));
    }
    (void)printf("without    %.1f tokens/s\n", a);
    (void)printf("%-10s %.1f tokens/s, %.2f times (median of pairs)\n", mode, b, ratio);
    (void)printf("accepted   %.0f %% of the answers' tokens; %llu proposals were refused\n",
                 100 * share, (unsigned long long)with->n_rejected);
    (void)printf("runs       %u pairs after one to warm up, medians\n", n_runs);
    return krs_say_flush();
}

int krs_bench_speculation(const krs_config *config)
{
    static side sides[2];
    krs_error err = KRS_ERROR_INIT;
    krs_runtime *runtime = NULL;
    krs_os_signals signals = {-1};
    const krs_engine_options options = krs_local_options(config, config->positionals[0]);
    const uint32_t n_runs = (uint32_t)krs_config_int(config, KRS_OPTION_REPEAT);
    krs_status status = krs_os_signals_open(&signals, &err);
    if (status == KRS_OK) {
        status = krs_local_open(config, &options, &runtime, &err);
    }
    if (status == KRS_OK) {
        status = run_all(config, runtime, &signals, n_runs, sides, &err);
    }
    const int code =
        status == KRS_OK ? print_report(config, sides, n_runs) : krs_say_error(config, &err);
    krs_runtime_free(runtime);
    krs_os_signals_close(&signals);
    return code;
}
