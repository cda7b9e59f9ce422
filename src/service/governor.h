/* service/governor.h - how many answers may be in flight, found by feedback from what clients feel.
 *
 *   time to first token, queue wait  --error--> low pass --> PID --> share given up --> limit
 *
 * The error is relative (0 on the objective, 1 at twice it, clamped to -1 .. 3), the output is a share u in
 * 0 .. 1, and the limit is max * (min / max)^u: so one set of gains fits an objective of 50 ms and one of 5 s, a
 * small error moves the limit a little, and a place more or less weighs alike at 16 and at 80. (A
 * controller in raw milliseconds and places jumps from end to end.) What is measured is as old as the
 * window it comes from, so that window is the unit of time: the error is smoothed over one, and the
 * integral grows by one error in one. The integral can hold no more than what drives the output from end
 * to end, so it never winds up: however long an overload was, the limit begins to rise with the first
 * good measurements. The output moves at a bounded rate.
 *
 * Thread: a value with one owner; no clock in here.  Memory: none.
 * Source: Astrom, Hagglund, "Advanced PID Control", 2006, chapters 3.3 (filtering), 3.5 (windup). */
#pragma once

#include "base/status.h"

#define KRS_GOVERNOR_MAX_LIMIT 65536u

typedef struct krs_governor_options {
    uint32_t min_limit; /* never below: an answer in flight is how anything is measured */
    uint32_t max_limit;
    uint64_t slo_ttft_ns; /* objective: time to first token, and the wait in the queue */
    double kp;
    double ki;           /* per window */
    double kd;           /* seconds */
    double integral_max; /* errors times windows; never more than what drives from end to end */
    uint64_t sample_ns;  /* between two decisions */
    uint64_t window_ns;  /* how far back is measured: long enough for a p95 */
} krs_governor_options;

#define KRS_GOVERNOR_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .min_limit = 16, .max_limit = 80, .slo_ttft_ns = UINT64_C(550000000), .kp = 0.35,          \
        .ki = 0.08, .kd = 0.15, .integral_max = 200.0, .sample_ns = UINT64_C(200000000),           \
        .window_ns = UINT64_C(5000000000)                                                          \
    }

typedef struct krs_governor {
    krs_governor_options options;
    double error;    /* smoothed */
    double integral; /* of the error, 0 .. what drives the output from end to end */
    double given_up; /* the output, 0 .. 1 */
    uint64_t last_ns;
    uint32_t limit;
} krs_governor;

/* What was measured since the last decision; a time of 0: nobody waited, nothing to say. */
typedef struct krs_governor_sample {
    uint64_t ttft_ns;
    uint64_t wait_ns;
} krs_governor_sample;

/* Are the options sane? Errors: KRS_EINVAL naming the one that is not (err->field: the option of krs). */
KRS_MUST_USE krs_status krs_governor_check(const krs_governor_options *options, krs_error *err);

/* Start at the upper limit: nothing is known against it. options: checked. */
void krs_governor_init(krs_governor *governor, const krs_governor_options *options,
                       uint64_t now_ns);

/* Decide anew when sample_ns has passed since the last decision; returns the limit in force. */
uint32_t krs_governor_step(krs_governor *governor, const krs_governor_sample *sample,
                           uint64_t now_ns);
