/* service/governor.c - see governor.h. */
#include "service/governor.h"

#include <math.h>

#define NS_PER_S     1e9
#define MAX_STEP     0.4  /* windows; nobody asked for longer: decide as if this much had passed */
#define MAX_MOVE     1.25 /* of the output in a window: with one of 5 s, from end to end in 4 s */
#define LEAST_ERROR  (-1.0) /* nothing is late at all */
#define MAX_GAIN     100.0
#define MAX_INTEGRAL 1e6
#define MOST_ERROR                                                                                 \
    3.0 /* four times the objective: the proportional part alone gives everything up */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static bool is_within(double x, double max)
{
    return isfinite(x) && x >= 0 && x <= max;
}

static bool are_gains(const krs_governor_options *o)
{
    return is_within(o->kp, MAX_GAIN) && is_within(o->ki, MAX_GAIN) && is_within(o->kd, MAX_GAIN) &&
           is_within(o->integral_max, MAX_INTEGRAL);
}

krs_status krs_governor_check(const krs_governor_options *o, krs_error *err)
{
    if (o->min_limit == 0 || o->min_limit > o->max_limit || o->max_limit > KRS_GOVERNOR_MAX_LIMIT) {
        return krs_fail_field(err, KRS_EINVAL, "admission-min",
                              "admission-min %u, admission-max %u: want 1 <= min <= max <= %u",
                              o->min_limit, o->max_limit, KRS_GOVERNOR_MAX_LIMIT);
    }
    if (o->slo_ttft_ns == 0 || o->sample_ns == 0 || o->window_ns < o->sample_ns) {
        return krs_fail_field(err, KRS_EINVAL, "slo-ttft-ms",
                              "slo-ttft-ms: the objective and the sampling time must be above 0, "
                              "and the window no shorter than that");
    }
    if (!are_gains(o)) {
        return krs_fail_field(err, KRS_EINVAL, "admission-kp",
                              "admission-kp, -ki, -kd: want numbers from 0 to 100");
    }
    return KRS_OK;
}

void krs_governor_init(krs_governor *governor, const krs_governor_options *options, uint64_t now_ns)
{
    *governor = (krs_governor){
        .options = *options, .error = LEAST_ERROR, .last_ns = now_ns, .limit = options->max_limit};
}

/* How far the worse of the two is from the objective, as a share of it. */
static double error_of(const krs_governor_options *options, const krs_governor_sample *sample)
{
    const uint64_t worst_ns = sample->ttft_ns > sample->wait_ns ? sample->ttft_ns : sample->wait_ns;
    return clamp((double)worst_ns / (double)options->slo_ttft_ns - 1.0, LEAST_ERROR, MOST_ERROR);
}

/* The integral never pushes below "give up nothing" and never holds more than "give up all". */
static void integrate(krs_governor *governor, double error, double n_windows)
{
    const krs_governor_options *o = &governor->options;
    const double end_to_end = o->ki > 0 ? 1.0 / o->ki : 0.0;
    const double most = end_to_end < o->integral_max ? end_to_end : o->integral_max;
    governor->integral = clamp(governor->integral + error * n_windows, 0.0, most);
}

/* A first-order low pass over a window; returns how far it moved. */
static double smooth(krs_governor *governor, double error, double n_windows)
{
    const double move = (error - governor->error) * n_windows / (1.0 + n_windows);
    governor->error += move;
    return move;
}

uint32_t krs_governor_step(krs_governor *governor, const krs_governor_sample *sample,
                           uint64_t now_ns)
{
    const krs_governor_options *o = &governor->options;
    if (now_ns < governor->last_ns + o->sample_ns) {
        return governor->limit;
    }
    const double window_s = (double)o->window_ns / NS_PER_S;
    const double n_windows =
        clamp((double)(now_ns - governor->last_ns) / (double)o->window_ns, 1e-9, MAX_STEP);
    governor->last_ns = now_ns;
    const double error = error_of(o, sample);
    integrate(governor, error, n_windows);
    const double slope = smooth(governor, error, n_windows) / (n_windows * window_s);
    const double wanted =
        clamp(o->kp * governor->error + o->ki * governor->integral + o->kd * slope, 0.0, 1.0);
    const double move = MAX_MOVE * n_windows;
    governor->given_up = clamp(wanted, governor->given_up - move, governor->given_up + move);
    const double least = o->min_limit;
    const double most = o->max_limit;
    governor->limit = (uint32_t)lround(most * pow(least / most, governor->given_up));
    return governor->limit;
}
