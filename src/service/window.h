/* service/window.h - how long something took lately: the last few hundred durations with their times.
 *
 * The histograms of telemetry/ only grow and are for whoever scrapes them; deciding who is let in
 * needs what was true in the last seconds, and exactly. A value and its time are one word, so writers need no
 * lock; a reader sorts a copy, a few times a second.
 *
 * Thread: any, atomic; no clock in here.  Memory: none. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define KRS_WINDOW_VALUES 256 /* a p95 of fewer is a guess; more cost a longer sort */

/* All zero: empty. */
typedef struct krs_window {
    _Atomic uint32_t n_added;
    _Atomic uint64_t cells[KRS_WINDOW_VALUES]; /* ms of its time << 32 | microseconds, at least 1 */
} krs_window;

void krs_window_add(krs_window *window, uint64_t value_ns, uint64_t now_ns);

/* The value below which a share q (0..1) of those of the last age_ns lie; 0 when there are none. Exact
 * to a microsecond; values above 71 minutes read as that. */
uint64_t krs_window_quantile(krs_window *window, double q, uint64_t age_ns, uint64_t now_ns);

/* How many a second came in the last age_ns; 0 when none did. */
double krs_window_rate(krs_window *window, uint64_t age_ns, uint64_t now_ns);
