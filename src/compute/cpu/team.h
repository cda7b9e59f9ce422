/* compute/cpu/team.h - a fork-join team: one function, run by all threads at once, then done.
 *
 *   owner    run: publish task, bump generation -> own share -> wait for the others
 *   worker   spin on generation, then sleep -> share -> count down -> again
 *
 * A decode step forks more than a hundred times, a few microseconds apart, so workers spin for a short
 * while before they sleep; between steps they sleep and cost nothing. The function is given its index
 * and the team's size and cuts its work by them; results must not depend on either.
 *
 * Thread: one owner calls run; never from inside a task.  Memory: one allocation per team and what
 * threads take, all in _new. */
#pragma once

#include "base/alloc.h"

#define KRS_CPU_TEAM_SPIN_NS UINT64_C(50000) /* longer than the gaps between ops of one step */

typedef struct krs_cpu_team krs_cpu_team;

/* index: 0 .. n_threads - 1; 0 is the owner's own thread. */
typedef void (*krs_cpu_task)(void *arg, uint32_t index, uint32_t n_threads);

/* n_threads: 1 .. KRS_BACKEND_MAX_THREADS, the owner counted.
 * Errors: KRS_ENOMEM, KRS_EAGAIN (the system has no more threads). */
KRS_MUST_USE krs_status krs_cpu_team_new(uint32_t n_threads, const krs_alloc *alloc,
                                         krs_cpu_team **out, krs_error *err);
void krs_cpu_team_free(krs_cpu_team *team);

uint32_t krs_cpu_team_n_threads(const krs_cpu_team *team);

/* Run task on every thread and return when all have. */
void krs_cpu_team_run(krs_cpu_team *team, krs_cpu_task task, void *arg);

/* The share of thread `index` of n items, in steps of `grain` items: [*begin, *end), maybe empty. */
static inline void krs_cpu_team_share(int64_t n, int64_t grain, uint32_t index, uint32_t n_threads,
                                      int64_t *begin, int64_t *end)
{
    const int64_t n_grains = (n + grain - 1) / grain;
    const int64_t first = n_grains * index / n_threads * grain;
    const int64_t last = n_grains * (index + 1) / n_threads * grain;
    *begin = first < n ? first : n;
    *end = last < n ? last : n;
}
