/* front/rpc_figures.c - see rpc_figures.h. */
#include "front/rpc_figures.h"

#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>

void krs_rpc_latency_add(krs_rpc_latency *latency, uint64_t ns)
{
    const double ms = (double)ns / KRS_NS_PER_MS;
    latency->min_ms = latency->n == 0 || ms < latency->min_ms ? ms : latency->min_ms;
    latency->max_ms = ms > latency->max_ms ? ms : latency->max_ms;
    latency->last_ms[latency->n++ % KRS_RPC_SAMPLES] = (float)ms;
    latency->sum_ms += ms;
}

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return (x > y) - (x < y);
}

double krs_rpc_latency_quantile(const krs_rpc_latency *latency, double q)
{
    float sorted[KRS_RPC_SAMPLES];
    const size_t n = latency->n < KRS_RPC_SAMPLES ? (size_t)latency->n : KRS_RPC_SAMPLES;
    if (n == 0) {
        return 0;
    }
    memcpy(sorted, latency->last_ms, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare);
    return (double)sorted[(size_t)(q * (double)(n - 1) + 0.5)];
}

double krs_rpc_latency_mean(const krs_rpc_latency *latency)
{
    return latency->n == 0 ? 0 : latency->sum_ms / (double)latency->n;
}

krs_rpc_batcher *krs_rpc_batcher_of(const krs_rpc_figures *figures, const char *model)
{
    for (uint32_t i = 0; i < figures->n_batchers; i++) {
        if (strcmp(figures->batchers[i]->model, model) == 0) {
            return figures->batchers[i];
        }
    }
    return NULL;
}

krs_rpc_batcher *krs_rpc_batcher_take(krs_rpc_figures *figures, const char *model,
                                      const krs_alloc *alloc)
{
    krs_rpc_batcher *batcher = krs_rpc_batcher_of(figures, model);
    if (batcher || figures->n_batchers == KRS_SERVICE_MAX_MODELS) {
        return batcher;
    }
    batcher = krs_alloc_zero(alloc, sizeof(*batcher));
    if (batcher) {
        (void)snprintf(batcher->model, sizeof(batcher->model), "%s", model);
        figures->batchers[figures->n_batchers++] = batcher;
    }
    return batcher;
}

void krs_rpc_batcher_start(krs_rpc_batcher *batcher)
{
    const uint32_t n = ++batcher->n_active;
    batcher->n_started++;
    batcher->n_batches++;
    batcher->n_in_batch += n;
    batcher->by_size[n < KRS_RPC_MAX_BATCH ? n : KRS_RPC_MAX_BATCH]++;
    batcher->min_size = batcher->min_size == 0 || n < batcher->min_size ? n : batcher->min_size;
    batcher->max_size = n > batcher->max_size ? n : batcher->max_size;
}

static void count_second(krs_rpc_batcher *batcher, uint32_t n_tokens, uint64_t now_ns)
{
    const uint64_t second = now_ns / KRS_NS_PER_S;
    krs_rpc_second *slot = &batcher->seconds[second % KRS_RPC_RATE_SECONDS];
    if (slot->second != second) {
        *slot = (krs_rpc_second){.second = second};
    }
    slot->n_tokens += n_tokens;
    slot->n_requests++;
}

void krs_rpc_batcher_end(krs_rpc_batcher *batcher, const krs_stream_event *event, uint64_t now_ns)
{
    batcher->n_active--;
    batcher->n_completed++;
    batcher->n_failed += event->finish == KRS_FINISH_ERROR;
    batcher->n_prefix_hits += event->usage.n_cached_tokens > 0;
    krs_rpc_latency_add(&batcher->latency, event->usage.total_ns);
    count_second(batcher, event->usage.n_answer_tokens, now_ns);
}

double krs_rpc_batcher_rate(const krs_rpc_batcher *batcher, bool is_tokens, uint32_t n_seconds,
                            uint64_t now_ns)
{
    const uint64_t now = now_ns / KRS_NS_PER_S;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KRS_RPC_RATE_SECONDS; i++) {
        const krs_rpc_second *slot = &batcher->seconds[i];
        if (slot->second + n_seconds > now) {
            sum += is_tokens ? slot->n_tokens : slot->n_requests;
        }
    }
    return (double)sum / n_seconds;
}

void krs_rpc_figures_free(krs_rpc_figures *figures, const krs_alloc *alloc)
{
    for (uint32_t i = 0; i < figures->n_batchers; i++) {
        krs_alloc_free(alloc, figures->batchers[i]);
    }
    figures->n_batchers = 0;
}
