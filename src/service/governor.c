/* service/governor.c - see governor.h. */
#include "service/governor.h"

#include <math.h>

#define NS_PER_S            1e9
#define MAX_STEP_S          2.0 /* nobody asked for longer: decide as if this much had passed */
#define DERIVATIVE_FILTER_S 1.0 /* measurements jump more often than the load does */
#define MAX_MOVE_PER_S                                                                             \
    0.25 /* of the span: end to end takes 4 s, longer than a measurement is old */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static bool is_gain(double x)
{
    return isfinite(x) && x >= 0 && x <= 100;
}

krs_status krs_governor_check(const krs_governor_options *o, krs_error *err)
{
    if (o->min_limit == 0 || o->min_limit > o->max_limit || o->max_limit > KRS_GOVERNOR_MAX_LIMIT) {
        return krs_fail_field(err, KRS_EINVAL, "admission-min",
                              "admission-min %u, admission-max %u: want 1 <= min <= max <= %u",
                              o->min_limit, o->max_limit, KRS_GOVERNOR_MAX_LIMIT);
    }
    if (o->slo_ttft_ns == 0 || o->sample_ns == 0) {
        return krs_fail_field(err, KRS_EINVAL, "slo-ttft-ms",
                              "slo-ttft-ms: the objective and the sampling time must be above 0");
    }
    if (!is_gain(o->kp) || !is_gain(o->ki) || !is_gain(o->kd) || !is_gain(o->integral_max)) {
        return krs_fail_field(err, KRS_EINVAL, "admission-kp",
                              "admission gains: want numbers from 0 to 100");
    }
    return KRS_OK;
}

void krs_governor_init(krs_governor *governor, const krs_governor_options *options, uint64_t now_ns)
{
    *governor = (krs_governor){.options = *options, .last_ns = now_ns, .limit = options->max_limit};
}

/* -1 .. 1: how far the worse of the two is from the objective. */
static double error_of(const krs_governor_options *options, const krs_governor_sample *sample)
{
    const uint64_t worst_ns = sample->ttft_ns > sample->wait_ns ? sample->ttft_ns : sample->wait_ns;
    return clamp((double)worst_ns / (double)options->slo_ttft_ns - 1.0, -1.0, 1.0);
}

/* The integral may hold what fills the span and no more; it never pushes below "give up nothing". */
static void integrate(krs_governor *governor, double error, double dt_s)
{
    const krs_governor_options *o = &governor->options;
    const double fills_span = o->ki > 0 ? 1.0 / o->ki : 0.0;
    const double most = fills_span < o->integral_max ? fills_span : o->integral_max;
    governor->integral = clamp(governor->integral + error * dt_s, 0.0, most);
}

static void differentiate(krs_governor *governor, double error, double dt_s)
{
    const double slope = governor->has_error ? (error - governor->last_error) / dt_s : 0.0;
    governor->derivative += (slope - governor->derivative) * dt_s / (DERIVATIVE_FILTER_S + dt_s);
    governor->last_error = error;
    governor->has_error = true;
}

uint32_t krs_governor_step(krs_governor *governor, const krs_governor_sample *sample,
                           uint64_t now_ns)
{
    const krs_governor_options *o = &governor->options;
    if (now_ns < governor->last_ns + o->sample_ns) {
        return governor->limit;
    }
    const double dt_s = clamp((double)(now_ns - governor->last_ns) / NS_PER_S, 1e-6, MAX_STEP_S);
    governor->last_ns = now_ns;
    const double error = error_of(o, sample);
    integrate(governor, error, dt_s);
    differentiate(governor, error, dt_s);
    const double wanted =
        clamp(o->kp * error + o->ki * governor->integral + o->kd * governor->derivative, 0.0, 1.0);
    const double move = MAX_MOVE_PER_S * dt_s;
    governor->given_up = clamp(wanted, governor->given_up - move, governor->given_up + move);
    const double span = (double)(o->max_limit - o->min_limit);
    governor->limit = o->max_limit - (uint32_t)lround(governor->given_up * span);
    return governor->limit;
}
