/* front/rpc_figures.h - what JSON-RPC's own methods report: runtime/telemetry and the get_* methods.
 *
 * The metrics of telemetry/ are the program's; these are the contract's, with windows and shapes of its own, kept
 * for the calls that came over JSON-RPC. Percentiles are exact over the last KRS_RPC_SAMPLES calls, rates over
 * whole seconds of the last minute.
 *
 * Thread: the desk's.  Memory: fixed, inside the desk. */
#pragma once

#include "api/generate.h"
#include "service/service.h"

#define KRS_RPC_SAMPLES      256u
#define KRS_RPC_RATE_SECONDS 60u
#define KRS_RPC_MAX_BATCH    64u /* of the distribution of batch sizes; more counts as this */

typedef struct krs_rpc_latency {
    uint64_t n;
    double sum_ms;
    double min_ms;
    double max_ms;
    float last_ms[KRS_RPC_SAMPLES]; /* a ring */
} krs_rpc_latency;

typedef struct krs_rpc_second {
    uint64_t second; /* of monotonic time */
    uint32_t n_tokens;
    uint32_t n_requests;
} krs_rpc_second;

/* continuous_generate and batch_generate_parallel for one model. */
typedef struct krs_rpc_batcher {
    char model[KRS_MODEL_ID_BYTES];
    krs_rpc_latency latency;
    krs_rpc_second seconds[KRS_RPC_RATE_SECONDS];
    uint64_t n_started;
    uint64_t n_completed;
    uint64_t n_failed;
    uint64_t n_prefix_hits;
    uint64_t n_batches;  /* starts, each with the streams that then ran */
    uint64_t n_in_batch; /* their sum */
    uint64_t by_size[KRS_RPC_MAX_BATCH + 1];
    uint32_t n_active;
    uint32_t min_size;
    uint32_t max_size;
} krs_rpc_batcher;

typedef struct krs_rpc_figures {
    krs_rpc_latency tokenize;
    krs_rpc_latency generate;
    uint64_t n_tokens;
    double busy_s; /* of all answers */
    uint64_t n_calls;
    uint64_t n_errors;
    uint64_t n_timeouts;
    krs_rpc_batcher *batchers[KRS_SERVICE_MAX_MODELS]; /* [n_batchers] */
    uint32_t n_batchers;
} krs_rpc_figures;

void krs_rpc_latency_add(krs_rpc_latency *latency, uint64_t ns);
/* q in 0 .. 1; 0 without samples. */
double krs_rpc_latency_quantile(const krs_rpc_latency *latency, double q);
double krs_rpc_latency_mean(const krs_rpc_latency *latency);

/* NULL when there is none by that name. */
krs_rpc_batcher *krs_rpc_batcher_of(const krs_rpc_figures *figures, const char *model);
/* The one by that name, made when it is new; NULL without memory or past the most models. */
krs_rpc_batcher *krs_rpc_batcher_take(krs_rpc_figures *figures, const char *model,
                                      const krs_alloc *alloc);
void krs_rpc_batcher_start(krs_rpc_batcher *batcher);
void krs_rpc_batcher_end(krs_rpc_batcher *batcher, const krs_stream_event *event, uint64_t now_ns);
/* Per second, over the last n whole seconds. */
double krs_rpc_batcher_rate(const krs_rpc_batcher *batcher, bool is_tokens, uint32_t n_seconds,
                            uint64_t now_ns);
void krs_rpc_figures_free(krs_rpc_figures *figures, const krs_alloc *alloc);
