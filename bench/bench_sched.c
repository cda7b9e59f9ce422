/* bench/bench_sched.c - what the scheduler costs, and what it does with a trace.
 *
 *     bench_sched plan                    ns of a plan at 1, 32, 256 and 1024 sequences
 *     bench_sched trace FILE [KEY=VALUE..]  replay a recorded trace under virtual time
 *     bench_sched synth [KEY=VALUE..]     the same with an invented one
 *
 * A trace has a line for each request, in order of arrival; what is left out at the end is 0 or never:
 *
 *     arrival_ms prompt_tokens answer_tokens priority tenant prefix_id prefix_tokens cancel_ms deadline_ms
 *     read_ms_per_token
 *
 * priority: 0 urgent, 1 normal, 2 background; answer_tokens 0: an embedding; cancel_ms and deadline_ms count
 * from the arrival, 0 is never; # begins a comment. Prints throughput, and for each tenant and priority how
 * many came to which end, the time to the first token, and the share of the service. */
#include "os/clock.h"
#include "sched/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TENANTS 64u /* of a trace: a table of more is no help */
#define N_ENDS      3   /* done, cancelled or late, refused */

typedef struct setting {
    const char *key;
    uint64_t value;
    const char *meaning;
} setting;

enum {
    S_SEQS,
    S_WAITING,
    S_ROWS,
    S_CONTEXT,
    S_BLOCKS,
    S_PREFIX,
    S_BASE_US,
    S_ROW_US,
    S_CONTEXT_NS,
    S_REQUESTS,
    S_PER_S,
    S_TENANTS,
    S_SEED,
    S_COUNT
};

static void default_settings(setting *s)
{
    const setting defaults[S_COUNT] = {
        [S_SEQS] = {"seqs", 32, "sequences of a step"},
        [S_WAITING] = {"waiting", 1024, "requests queued"},
        [S_ROWS] = {"rows", 256, "tokens of a step"},
        [S_CONTEXT] = {"context", 4096, "longest sequence"},
        [S_BLOCKS] = {"blocks", 4096, "KV blocks of 16 tokens"},
        [S_PREFIX] = {"prefix", 1, "prefix cache: 0 or 1"},
        [S_BASE_US] = {"base_us", 20000, "of a step"},
        [S_ROW_US] = {"row_us", 200, "of a row"},
        [S_CONTEXT_NS] = {"context_ns", 20, "of a row for each token it attends to"},
        [S_REQUESTS] = {"requests", 20000, "synth: how many"},
        [S_PER_S] = {"per_s", 6, "synth: arrivals a second"},
        [S_TENANTS] = {"tenants", 4, "synth: tenants; the first asks half of all"},
        [S_SEED] = {"seed", 1, "synth"},
    };
    memcpy(s, defaults, sizeof(defaults));
}

static bool read_settings(setting *s, char **args, int n)
{
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(args[i], '=');
        int k = 0;
        while (equals && k < S_COUNT &&
               (strncmp(s[k].key, args[i], (size_t)(equals - args[i])) != 0 ||
                s[k].key[equals - args[i]] != '\0')) {
            k++;
        }
        if (!equals || k == S_COUNT) {
            (void)fprintf(stderr, "bench_sched: %s: want one of\n", args[i]);
            for (k = 0; k < S_COUNT; k++) {
                (void)fprintf(stderr, "  %s=%llu  %s\n", s[k].key, (unsigned long long)s[k].value,
                              s[k].meaning);
            }
            return false;
        }
        s[k].value = strtoull(equals + 1, NULL, 10);
    }
    return true;
}

static krs_sim_options sim_options(const setting *s)
{
    return (krs_sim_options){
        .limits = {.max_running = (uint32_t)s[S_SEQS].value,
                   .max_waiting = (uint32_t)s[S_WAITING].value,
                   .max_parked = (uint32_t)s[S_SEQS].value,
                   .max_tenants = MAX_TENANTS,
                   .max_waiting_tokens = UINT64_MAX,
                   .max_step_tokens = (uint32_t)s[S_ROWS].value,
                   .max_seq_tokens = (uint32_t)s[S_CONTEXT].value,
                   .block_tokens = 16},
        .n_blocks = (uint32_t)s[S_BLOCKS].value,
        .has_prefix_cache = s[S_PREFIX].value != 0,
        .cost = {.base_ns = s[S_BASE_US].value * KRS_NS_PER_US,
                 .row_ns = s[S_ROW_US].value * KRS_NS_PER_US,
                 .context_ps = s[S_CONTEXT_NS].value * 1000},
    };
}

/* ---- traces ---- */

typedef struct trace {
    krs_sim_request *requests;
    uint32_t n;
} trace;

static krs_sim_request *next_request(trace *t)
{
    if ((t->n & (t->n - 1)) == 0) { /* grows by doubling */
        const size_t n = t->n ? 2 * (size_t)t->n : 1;
        krs_sim_request *grown = krs_alloc_resize(NULL, t->requests, n, sizeof(*grown));
        if (!grown || n > KRS_SIM_MAX_REQUESTS) {
            return NULL;
        }
        t->requests = grown;
    }
    return &t->requests[t->n++];
}

static uint64_t after(uint64_t arrival_ns, unsigned long long ms)
{
    return ms > 0 ? arrival_ns + ms * KRS_NS_PER_MS : KRS_SIM_NEVER;
}

static bool read_line(const char *line, krs_sim_request *r)
{
    unsigned long long v[10] = {0};
    const int n = sscanf(line, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1],
                         &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9]);
    if (n < 3 || v[3] >= KRS_SCHED_CLASSES || v[4] >= MAX_TENANTS || v[1] > UINT32_MAX ||
        v[2] > UINT32_MAX || v[5] > UINT32_MAX || v[6] > v[1]) {
        return false;
    }
    const uint64_t arrival_ns = v[0] * KRS_NS_PER_MS;
    *r = (krs_sim_request){.arrival_ns = arrival_ns,
                           .prompt_tokens = (uint32_t)v[1],
                           .answer_tokens = (uint32_t)v[2],
                           .priority = (krs_priority)v[3],
                           .tenant = (uint32_t)v[4],
                           .prefix_id = (uint32_t)v[5],
                           .prefix_tokens = (uint32_t)v[6],
                           .cancel_ns = after(arrival_ns, v[7]),
                           .deadline_ns = after(arrival_ns, v[8]),
                           .read_ns = v[9] * KRS_NS_PER_MS};
    return true;
}

static bool read_trace(const char *path, trace *t)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        (void)fprintf(stderr, "bench_sched: %s: cannot be read\n", path);
        return false;
    }
    char line[512];
    bool is_good = true;
    for (uint32_t i = 1; is_good && fgets(line, sizeof(line), file); i++) {
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        krs_sim_request *request = next_request(t);
        is_good = request && read_line(line, request);
        if (!is_good) {
            (void)fprintf(stderr, "bench_sched: %s:%u: want numbers as in the head of %s\n", path,
                          i, __FILE__);
        }
    }
    (void)fclose(file);
    return is_good;
}

static uint64_t draw(uint64_t *seed, uint64_t n)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (*seed >> 11) % n;
}

static krs_priority invented_priority(uint64_t one_of_ten)
{
    if (one_of_ten == 0) {
        return KRS_PRIORITY_URGENT;
    }
    return one_of_ten < 7 ? KRS_PRIORITY_NORMAL : KRS_PRIORITY_BACKGROUND;
}

/* Chats: most prompts begin with one of eight system prompts; lengths have a long tail; one of ten is urgent,
 * three of ten are background; one of fifty gives up after two seconds; one of twenty reads slowly. */
static bool invent_trace(const setting *s, trace *t)
{
    uint64_t seed = s[S_SEED].value * UINT64_C(0x9E3779B97F4A7C15) + 1;
    const uint64_t n_tenants = s[S_TENANTS].value < MAX_TENANTS ? s[S_TENANTS].value : MAX_TENANTS;
    const uint64_t gap_us = s[S_PER_S].value ? 2000000 / s[S_PER_S].value : 1;
    uint64_t at_ns = 0;
    for (uint64_t i = 0; i < s[S_REQUESTS].value; i++) {
        krs_sim_request *r = next_request(t);
        if (!r) {
            return false;
        }
        at_ns += draw(&seed, gap_us + 1) * KRS_NS_PER_US;
        const uint32_t prompt = 16 + (uint32_t)(draw(&seed, 40) * draw(&seed, 40));
        const bool is_first = n_tenants < 2 || draw(&seed, 2) == 0;
        *r = (krs_sim_request){.arrival_ns = at_ns,
                               .cancel_ns =
                                   draw(&seed, 50) == 0 ? at_ns + 2 * KRS_NS_PER_S : KRS_SIM_NEVER,
                               .deadline_ns = KRS_SIM_NEVER,
                               .read_ns = draw(&seed, 20) == 0 ? 200 * KRS_NS_PER_MS : 0,
                               .prompt_tokens = prompt,
                               .answer_tokens = 1 + (uint32_t)(draw(&seed, 20) * draw(&seed, 20)),
                               .tenant = is_first ? 0 : 1 + (uint32_t)draw(&seed, n_tenants - 1),
                               .priority = invented_priority(draw(&seed, 10)),
                               .prefix_id = (uint32_t)draw(&seed, 8),
                               .prefix_tokens = prompt / 2};
    }
    return true;
}

/* ---- results ---- */

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint32_t kind_of_end(krs_status end)
{
    if (end == KRS_OK) {
        return 0;
    }
    return end == KRS_ECANCELLED || end == KRS_EDEADLINE ? 1 : 2;
}

static bool is_of(const krs_sim_request *r, uint32_t tenant, uint32_t priority)
{
    return (tenant >= MAX_TENANTS || r->tenant == tenant) &&
           (priority >= KRS_SCHED_CLASSES || (uint32_t)r->priority == priority);
}

/* One row of the table: all requests of this tenant (or any: MAX_TENANTS) and priority (or any). */
static void print_row(const trace *t, const krs_sim *sim, uint32_t tenant, uint32_t priority,
                      uint64_t *waits)
{
    const krs_sim_result *results = krs_sim_results(sim);
    uint32_t n_waits = 0;
    uint32_t n[N_ENDS] = {0};
    uint64_t n_tokens = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const krs_sim_request *r = &t->requests[i];
        if (!is_of(r, tenant, priority)) {
            continue;
        }
        n[kind_of_end(results[i].end)]++;
        n_tokens += results[i].n_answer;
        if (results[i].first_ns != KRS_SIM_NEVER) {
            waits[n_waits++] = results[i].first_ns - r->arrival_ns;
        }
    }
    if (n[0] + n[1] + n[2] == 0) {
        return;
    }
    qsort(waits, n_waits, sizeof(*waits), by_number);
    const double ms = 1e-6;
    const double p50 = n_waits ? (double)waits[n_waits / 2] * ms : 0;
    const double p99 = n_waits ? (double)waits[(uint64_t)n_waits * 99 / 100] * ms : 0;
    (void)printf("%8u %8u %8u %10.0f %10.0f %10.0f %10llu\n", n[0], n[1], n[2], p50, p99,
                 n_waits ? (double)waits[n_waits - 1] * ms : 0, (unsigned long long)n_tokens);
}

static void print_table(const trace *t, const krs_sim *sim, uint64_t *waits)
{
    static const char *const names[] = {"urgent", "normal", "background"};
    uint64_t all = 0;
    for (uint32_t i = 0; i < MAX_TENANTS; i++) {
        all += krs_sched_tenant_service(krs_sim_sched(sim), i);
    }
    (void)printf("%-18s %8s %8s %8s %10s %10s %10s %10s\n", "", "done", "ended", "refused",
                 "TTFT p50", "p99", "max ms", "tokens");
    for (uint32_t c = 0; c < KRS_SCHED_CLASSES; c++) {
        (void)printf("%-18s ", names[c]);
        print_row(t, sim, MAX_TENANTS, c, waits);
    }
    for (uint32_t i = 0; i < MAX_TENANTS; i++) {
        const uint64_t service = krs_sched_tenant_service(krs_sim_sched(sim), i);
        if (service > 0) {
            (void)printf("tenant %-3u %5.1f %% ", i, 100.0 * (double)service / (double)all);
            print_row(t, sim, i, KRS_SCHED_CLASSES, waits);
        }
    }
}

static void print_totals(const trace *t, const krs_sim *sim, double wall_s)
{
    const krs_sim_totals totals = krs_sim_totals_of(sim);
    const double s = (double)totals.end_ns * 1e-9;
    (void)printf(
        "%u requests, %.0f s of virtual time in %.2f s: %llu steps of %.1f rows, busy %.0f %%\n",
        t->n, s, wall_s, (unsigned long long)totals.n_steps,
        (double)totals.n_rows / (double)totals.n_steps,
        100.0 * (double)totals.busy_ns / (double)totals.end_ns);
    (void)printf("answers %.1f tokens/s; of prompts %.1f %% found in the cache; %llu preemptions\n",
                 (double)totals.n_answer / s,
                 100.0 * (double)totals.sched.n_found_tokens /
                     (double)(totals.sched.n_asked_tokens ? totals.sched.n_asked_tokens : 1),
                 (unsigned long long)totals.n_preempted);
}

static krs_status replay(const setting *s, const trace *t)
{
    krs_error err = KRS_ERROR_INIT;
    const krs_sim_options options = sim_options(s);
    krs_sim *sim = NULL;
    krs_status status = krs_sim_new(&options, t->requests, t->n, NULL, &sim, &err);
    const uint64_t start_ns = krs_os_now_ns();
    bool is_over = false;
    while (status == KRS_OK && !is_over) {
        status = krs_sim_step(sim, &is_over, &err);
    }
    uint64_t *waits = krs_alloc_array(NULL, t->n, sizeof(*waits));
    if (status == KRS_OK && waits) {
        print_totals(t, sim, (double)(krs_os_now_ns() - start_ns) * 1e-9);
        print_table(t, sim, waits);
    } else {
        (void)fprintf(stderr, "bench_sched: %s\n", err.message);
    }
    krs_alloc_free(NULL, waits);
    krs_sim_free(sim);
    return status;
}

/* ---- cost of a plan ---- */

#define PLAN_CONTEXT 2048u
#define PLAN_PROMPT  512u
#define PLAN_ROUNDS  400u

typedef struct house {
    krs_kv_pool *pool;
    krs_kv_prefix *prefix;
    krs_sched *sched;
    krs_sched_seq *seqs;
    uint32_t *tokens; /* [n, PLAN_CONTEXT] */
    uint32_t n;
} house;

static krs_status house_open(house *h, uint32_t n, bool has_waiting, krs_error *err)
{
    const uint32_t n_seqs = has_waiting ? 2 * n : n;
    *h = (house){.n = n_seqs};
    const krs_sched_limits limits = {.max_running = n,
                                     .max_waiting = n_seqs,
                                     .max_tenants = 256,
                                     .max_waiting_tokens = UINT64_MAX,
                                     .max_step_tokens = n + 256,
                                     .max_seq_tokens = PLAN_CONTEXT,
                                     .block_tokens = 16};
    const krs_kv_prefix_options options = {.block_tokens = 16, .seed = 1};
    h->seqs = krs_alloc_array(NULL, n_seqs, sizeof(*h->seqs));
    h->tokens = krs_alloc_array(NULL, (size_t)n_seqs * PLAN_CONTEXT, sizeof(*h->tokens));
    krs_status status = h->seqs && h->tokens ? KRS_OK : KRS_ENOMEM;
    if (status == KRS_OK) {
        status = krs_kv_pool_new((n + 2) * (PLAN_CONTEXT / 16), NULL, &h->pool, err);
    }
    if (status == KRS_OK) {
        status = krs_kv_prefix_new(h->pool, &options, NULL, &h->prefix, err);
    }
    if (status == KRS_OK) {
        status = krs_sched_new(&limits, h->pool, h->prefix, NULL, &h->sched, err);
    }
    for (uint32_t i = 0; status == KRS_OK && i < n_seqs; i++) {
        uint32_t *tokens = h->tokens + (size_t)i * PLAN_CONTEXT;
        for (uint32_t p = 0; p < PLAN_CONTEXT; p++) {
            tokens[p] = i * 7919 + p;
        }
        h->seqs[i] = (krs_sched_seq){.tokens = tokens,
                                     .n_tokens = PLAN_PROMPT + i % 16,
                                     .credit = KRS_SCHED_UNLIMITED,
                                     .deadline_ns = UINT64_MAX - 1,
                                     .priority = KRS_PRIORITY_NORMAL,
                                     .tenant = i % 256,
                                     .is_sampling = true};
        status = krs_sched_add(h->sched, &h->seqs[i], NULL);
    }
    return status;
}

static void house_close(house *h)
{
    for (uint32_t i = 0; i < h->n && h->seqs; i++) {
        if (h->seqs[i].state != KRS_SCHED_OUT) {
            krs_sched_finish(h->sched, &h->seqs[i]);
        }
    }
    krs_sched_free(h->sched);
    krs_kv_prefix_free(h->prefix);
    krs_kv_pool_free(h->pool);
    krs_alloc_free(NULL, h->seqs);
    krs_alloc_free(NULL, h->tokens);
}

/* Plan and play the engine; the time of plan and append goes to *ns. */
static uint32_t timed_step(house *h, uint64_t *ns)
{
    krs_sched_step plan;
    const uint64_t start_ns = krs_os_now_ns();
    krs_sched_plan(h->sched, 1, &plan);
    for (uint32_t i = 0; i < plan.n_items; i++) {
        if (plan.items[i].is_last_known) {
            krs_sched_append(h->sched, plan.items[i].seq, 1);
        }
    }
    *ns = krs_os_now_ns() - start_ns;
    return plan.n_items;
}

static krs_status measure_plan(uint32_t n, bool has_waiting, krs_error *err)
{
    static uint64_t times[PLAN_ROUNDS];
    house h;
    const krs_status status = house_open(&h, n, has_waiting, err);
    if (status == KRS_OK) {
        uint64_t ns = 0;
        while (krs_sched_n_running(h.sched) < n || timed_step(&h, &ns) < n ||
               h.seqs[n - 1].n_tokens < PLAN_PROMPT + 17) {
            (void)timed_step(&h, &ns); /* until all decode */
        }
        for (uint32_t i = 0; i < PLAN_ROUNDS; i++) {
            (void)timed_step(&h, &times[i]);
        }
        qsort(times, PLAN_ROUNDS, sizeof(*times), by_number);
        const double median = (double)times[PLAN_ROUNDS / 2];
        (void)printf("%5u decode%s: %8.0f ns a step, %6.1f ns a token; p99 %8llu ns\n", n,
                     has_waiting ? ", as many wait" : "                ", median, median / n,
                     (unsigned long long)times[PLAN_ROUNDS * 99 / 100]);
    }
    house_close(&h);
    return status;
}

static krs_status measure_plans(void)
{
    static const uint32_t counts[] = {1, 32, 256, 1024};
    krs_error err = KRS_ERROR_INIT;
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < 2 * sizeof(counts) / sizeof(*counts); i++) {
        status = measure_plan(counts[i / 2], i % 2 == 1, &err);
    }
    if (status != KRS_OK) {
        (void)fprintf(stderr, "bench_sched: %s\n", err.message);
    }
    return status;
}

int main(int argc, char **argv)
{
    setting settings[S_COUNT];
    default_settings(settings);
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "plan") == 0) {
        return krs_status_exit_code(measure_plans());
    }
    const bool is_trace = strcmp(what, "trace") == 0 && argc > 2;
    if (!is_trace && strcmp(what, "synth") != 0) {
        (void)fprintf(stderr, "usage: %s plan | trace FILE [KEY=VALUE..] | synth [KEY=VALUE..]\n",
                      argv[0]);
        return krs_status_exit_code(KRS_EINVAL);
    }
    const int first = is_trace ? 3 : 2;
    if (!read_settings(settings, argv + first, argc - first)) {
        return krs_status_exit_code(KRS_EINVAL);
    }
    trace t = {NULL, 0};
    const bool is_read = is_trace ? read_trace(argv[2], &t) : invent_trace(settings, &t);
    const krs_status status = is_read ? replay(settings, &t) : KRS_EINVAL;
    krs_alloc_free(NULL, t.requests);
    return krs_status_exit_code(status);
}
