/* service/pressure.h - one number for how loaded a server is: 0 idle, 1 full.
 *
 * Admission, readiness, metrics and whoever batches calls read this one signal, computed here, so that they
 * cannot disagree. It is the worst of four parts, for any one of them alone makes a client wait:
 *
 *   queue    the fuller of its two bounds, requests and prompt tokens
 *   places   answers in flight over what admission lets in
 *   latency  the worse of time to first token and queue wait: 0.5 on its objective, 1 at twice that
 *   kv       blocks that are held, above four fifths; half as bad while nobody waits for them
 *
 * Thread: pure functions of values.  Memory: none. */
#pragma once

#include "api/runtime.h"

typedef struct krs_pressure_input {
    krs_runtime_health runtime; /* summed over the models */
    uint32_t n_in_flight;
    uint32_t max_in_flight; /* in force now */
    uint64_t ttft_ns;       /* 95 % of late began sooner; 0: nothing began */
    uint64_t wait_ns;
    uint64_t slo_ttft_ns; /* 0: there is no objective, latency is no part of it */
} krs_pressure_input;

typedef struct krs_pressure {
    double queue;
    double places;
    double latency;
    double kv;
    double value; /* the worst of them */
} krs_pressure;

krs_pressure krs_pressure_of(const krs_pressure_input *input);
