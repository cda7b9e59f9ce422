/* service/pressure.c - see pressure.h. */
#include "service/pressure.h"

#define KV_EASY 0.8 /* share of the blocks held below which memory limits nobody */

static double share(double part, double whole)
{
    if (whole <= 0) {
        return 0;
    }
    const double x = part / whole;
    return x > 1 ? 1 : x;
}

static double worse(double a, double b)
{
    return a > b ? a : b;
}

static double kv_of(const krs_runtime_health *runtime)
{
    const double held = (double)runtime->n_kv_blocks - (double)runtime->n_kv_blocks_free;
    const double used = share(held, (double)runtime->n_kv_blocks);
    const double tight = used > KV_EASY ? (used - KV_EASY) / (1.0 - KV_EASY) : 0.0;
    return runtime->n_waiting > 0 ? tight : tight / 2;
}

krs_pressure krs_pressure_of(const krs_pressure_input *input)
{
    const krs_runtime_health *runtime = &input->runtime;
    const double worst_ns =
        (double)(input->ttft_ns > input->wait_ns ? input->ttft_ns : input->wait_ns);
    krs_pressure p = {
        .queue =
            worse(share(runtime->n_waiting, runtime->max_waiting),
                  share((double)runtime->n_waiting_tokens, (double)runtime->max_waiting_tokens)),
        .places = share(input->n_in_flight, input->max_in_flight),
        .latency = share(worst_ns, 2.0 * (double)input->slo_ttft_ns),
        .kv = kv_of(runtime),
    };
    p.value = worse(worse(p.queue, p.places), worse(p.latency, p.kv));
    return p;
}
