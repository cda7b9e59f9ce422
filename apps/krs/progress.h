/* apps/krs/progress.h - a bar on standard error for work that takes longer than a blink; nothing when
 * standard error is no terminal, or with --quiet.
 *
 * Thread: main.  Memory: none. */
#pragma once

#include "api/config.h"

typedef struct krs_progress {
    const char *label; /* borrowed */
    uint64_t total;
    uint64_t started_ns;
    uint64_t shown_ns; /* last redraw */
    bool is_shown;
} krs_progress;

/* total: units of work, at least 1. */
void krs_progress_start(krs_progress *progress, const krs_config *config, const char *label,
                        uint64_t total);

/* done: 0 .. total. Redraws at most ten times a second. */
void krs_progress_set(krs_progress *progress, uint64_t done);

/* Wipe the bar. */
void krs_progress_end(krs_progress *progress);
