/* service/governor.h - how many answers may be in flight, found by feedback from what clients feel.
 *
 *   time to first token, queue wait  --error--> PID --> share of the span to give up --> limit
 *
 * The error is relative (0 on the objective, +1 at twice it, clamped to one either way), the output is a
 * share of [min, max], and time is in seconds: so one set of gains fits an objective of 50 ms and one of 5 s,
 * and a small error moves the limit a little. (A controller in raw milliseconds and places jumps from end to
 * end.) The integral can hold no more than the whole span, so it never winds up: after an overload of any
 * length the limit begins to rise with the first good measurement. The derivative is low-passed and
 * the output moves at a bounded rate, since measurements are a few seconds old.
 *
 * Thread: a value with one owner; no clock in here.  Memory: none.
 * Source: Astrom, Hagglund, "Advanced PID Control", 2006, chapters 3.3 (derivative filter), 3.5 (windup). */
#pragma once

#include "base/status.h"

#define KRS_GOVERNOR_MAX_LIMIT 65536u

typedef struct krs_governor_options {
    uint32_t min_limit; /* never below: an answer in flight is how anything is measured */
    uint32_t max_limit;
    uint64_t
        slo_ttft_ns; /* the objective for the time to first token, and for the wait in the queue */
    double kp;
    double ki;           /* per second */
    double kd;           /* seconds */
    double integral_max; /* error times seconds; at most what drives the output from end to end */
    uint64_t sample_ns;  /* between two decisions */
} krs_governor_options;

/* integral_max: 200 samples of a whole error. */
#define KRS_GOVERNOR_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .min_limit = 16, .max_limit = 80, .slo_ttft_ns = UINT64_C(550000000), .kp = 0.35,          \
        .ki = 0.08, .kd = 0.15, .integral_max = 40.0, .sample_ns = UINT64_C(200000000)             \
    }

typedef struct krs_governor {
    krs_governor_options options;
    double integral;   /* of the error, 0 .. what fills the span */
    double derivative; /* filtered, per second */
    double last_error;
    double given_up; /* share of the span, 0 .. 1 */
    uint64_t last_ns;
    bool has_error;
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
