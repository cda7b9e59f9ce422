/* compute/cpu/team.h - a fork-join team: one function, its shares dealt over threads, then done.
 *
 *   owner    run: publish shares, wake who sleeps -> own shares -> those nobody has begun -> wait
 *   worker   spin on its lane, then sleep -> own shares -> others' -> say how many -> again
 *
 * A decode step forks more than a hundred times, a few microseconds apart, so workers spin for a short
 * while before they sleep; between steps they sleep and cost nothing. A share belongs to a thread until
 * another has nothing left to do: a thread that sleeps, or whose core another process has taken, holds
 * up only what it has begun. The function is given a share's index and their number and cuts its work by
 * them; results must not depend on either, and no share may wait for another.
 *
 * Thread: one owner calls run; never from inside a task.  Memory: one allocation per team and what
 * threads take, all in _new. */
#pragma once

#include "base/alloc.h"

#define KRS_CPU_TEAM_SPIN_NS UINT64_C(50000) /* longer than the gaps between ops of one step */

typedef struct krs_cpu_team krs_cpu_team;

/* index: 0 .. n_shares - 1, each run once by some thread of the team; what lies in memory per index is
 * therefore touched by one thread at a time. */
typedef void (*krs_cpu_task)(void *arg, uint32_t index, uint32_t n_shares);

/* n_threads: 1 .. KRS_BACKEND_MAX_THREADS, the owner counted.
 * Errors: KRS_ENOMEM, KRS_EAGAIN (the system has no more threads). */
KRS_MUST_USE krs_status krs_cpu_team_new(uint32_t n_threads, const krs_alloc *alloc,
                                         krs_cpu_team **out, krs_error *err);
void krs_cpu_team_free(krs_cpu_team *team);

/* Keep each worker on a CPU of its own, worker i on cpus[i], so that it goes on reading from the node where
 * it wrote; the owner, which cpus[0] is left for, stays where the system puts it. False, with nothing
 * changed, when there are fewer CPUs than threads. One that refuses leaves its thread free. */
bool krs_cpu_team_pin(krs_cpu_team *team, const uint32_t *cpus, uint32_t n_cpus);

uint32_t krs_cpu_team_n_threads(const krs_cpu_team *team);

/* Run task in one share per thread and return when all are done. */
void krs_cpu_team_run(krs_cpu_team *team, krs_cpu_task task, void *arg);

/* The same in n_shares shares, at least one: several per thread even out what threads of unequal speed
 * get done, and each costs its claim, some tens of nanoseconds. */
void krs_cpu_team_run_shares(krs_cpu_team *team, uint32_t n_shares, krs_cpu_task task, void *arg);

/* The part of share `index` in n items, in steps of `grain` items: [*begin, *end), maybe empty. */
static inline void krs_cpu_team_share(int64_t n, int64_t grain, uint32_t index, uint32_t n_shares,
                                      int64_t *begin, int64_t *end)
{
    const int64_t n_grains = (n + grain - 1) / grain;
    const int64_t first = n_grains * index / n_shares * grain;
    const int64_t last = n_grains * (index + 1) / n_shares * grain;
    *begin = first < n ? first : n;
    *end = last < n ? last : n;
}
