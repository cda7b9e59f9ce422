/* compute/cpu/team.c - see team.h.
 *
 * Orderings, complete in here:
 * 1. task and arg are written before the release of `generation`, read after its acquire.
 * 2. A worker's results are written before its release of `n_busy`, read after the owner's acquire.
 * 3. Sleeping: a worker counts itself in `n_sleeping` and then reads `generation`; the owner bumps
 *    `generation` and then reads `n_sleeping`. Both sequentially consistent, so at least one sees the
 *    other; the worker does both under the lock that the owner takes to wake it. The same for the
 *    owner's sleep on `n_busy`. */
#include "compute/cpu/team.h"

#include "base/ring.h"
#include "os/clock.h"
#include "os/thread.h"

#include <stdio.h>

#define SPINS_PER_CLOCK 64 /* looks at the generation between two looks at the clock */

typedef struct member {
    krs_cpu_team *team;
    krs_os_thread *thread;
    uint32_t index;
} member;

struct krs_cpu_team {
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint64_t generation;
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint32_t n_busy;
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint32_t n_sleeping;
    _Atomic bool is_owner_asleep;
    _Atomic bool is_stopping;
    krs_cpu_task task;
    void *arg;
    const krs_alloc *alloc;
    void *block; /* as allocated; this struct lies in it, aligned */
    krs_os_mutex *mutex;
    krs_os_cond *wake; /* workers wait for a generation */
    krs_os_cond *done; /* the owner waits for n_busy 0 */
    uint32_t n_threads;
    member members[]; /* [n_threads - 1] */
};

#if defined(__x86_64__) || defined(__i386__)
static void relax(void)
{
    __builtin_ia32_pause();
}
#else
static void relax(void)
{
}
#endif

/* Look at the condition for a while; true as soon as it holds. */
static bool spin_for_generation(krs_cpu_team *team, uint64_t seen)
{
    const uint64_t end_ns = krs_os_now_ns() + KRS_CPU_TEAM_SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&team->generation, memory_order_acquire) != seen) {
                return true;
            }
            relax();
        }
    } while (krs_os_now_ns() < end_ns);
    return false;
}

static void sleep_for_generation(krs_cpu_team *team, uint64_t seen)
{
    krs_os_mutex_lock(team->mutex);
    atomic_fetch_add(&team->n_sleeping, 1); /* pairs with the owner's read in _run: ordering 3 */
    while (atomic_load(&team->generation) == seen) {
        krs_os_cond_wait(team->wake, team->mutex);
    }
    atomic_fetch_sub(&team->n_sleeping, 1);
    krs_os_mutex_unlock(team->mutex);
}

static void finish_share(krs_cpu_team *team)
{
    /* Sequentially consistent: releases the results (2) and orders the read below (3). */
    if (atomic_fetch_sub(&team->n_busy, 1) != 1 || !atomic_load(&team->is_owner_asleep)) {
        return;
    }
    krs_os_mutex_lock(team->mutex);
    krs_os_cond_signal(team->done);
    krs_os_mutex_unlock(team->mutex);
}

static void work(void *arg)
{
    const member *self = arg;
    krs_cpu_team *team = self->team;
    for (uint64_t seen = 0;; seen++) {
        if (!spin_for_generation(team, seen)) {
            sleep_for_generation(team, seen);
        }
        if (atomic_load_explicit(&team->is_stopping, memory_order_relaxed)) {
            return; /* written before the generation that woke us */
        }
        team->task(team->arg, self->index, team->n_threads);
        finish_share(team);
    }
}

static void next_generation(krs_cpu_team *team)
{
    atomic_fetch_add(&team->generation, 1);
    if (atomic_load(&team->n_sleeping) > 0) {
        krs_os_mutex_lock(team->mutex);
        krs_os_cond_broadcast(team->wake);
        krs_os_mutex_unlock(team->mutex);
    }
}

static void wait_for_all(krs_cpu_team *team)
{
    const uint64_t end_ns = krs_os_now_ns() + KRS_CPU_TEAM_SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&team->n_busy, memory_order_acquire) == 0) {
                return;
            }
            relax();
        }
    } while (krs_os_now_ns() < end_ns);
    /* Somebody else has the cores; give ours away rather than burn it. */
    krs_os_mutex_lock(team->mutex);
    atomic_store(&team->is_owner_asleep, true);
    while (atomic_load(&team->n_busy) != 0) {
        krs_os_cond_wait(team->done, team->mutex);
    }
    atomic_store(&team->is_owner_asleep, false);
    krs_os_mutex_unlock(team->mutex);
}

void krs_cpu_team_run(krs_cpu_team *team, krs_cpu_task task, void *arg)
{
    if (team->n_threads == 1) {
        task(arg, 0, 1);
        return;
    }
    team->task = task;
    team->arg = arg;
    atomic_store_explicit(&team->n_busy, team->n_threads - 1, memory_order_relaxed);
    next_generation(team);
    task(arg, 0, team->n_threads);
    wait_for_all(team);
}

uint32_t krs_cpu_team_n_threads(const krs_cpu_team *team)
{
    return team->n_threads;
}

static krs_status start_members(krs_cpu_team *team, krs_error *err)
{
    krs_status status = krs_os_mutex_new(&team->mutex);
    status = status == KRS_OK ? krs_os_cond_new(&team->wake) : status;
    status = status == KRS_OK ? krs_os_cond_new(&team->done) : status;
    if (status != KRS_OK) {
        return krs_fail(err, status, "cpu team: no lock");
    }
    for (uint32_t i = 0; i + 1 < team->n_threads && status == KRS_OK; i++) {
        char name[16]; /* what Linux keeps */
        (void)snprintf(name, sizeof(name), "krs-cpu-%u", (i + 1) % 10000);
        team->members[i].team = team;
        team->members[i].index = i + 1;
        status = krs_os_thread_start(name, work, &team->members[i], &team->members[i].thread, err);
    }
    return status;
}

krs_status krs_cpu_team_new(uint32_t n_threads, const krs_alloc *alloc, krs_cpu_team **out,
                            krs_error *err)
{
    *out = NULL;
    const size_t n_bytes =
        sizeof(krs_cpu_team) + (n_threads - 1) * sizeof(member) + KRS_CACHE_LINE_BYTES;
    unsigned char *block = krs_alloc_zero(alloc, n_bytes);
    if (!block) {
        return krs_fail(err, KRS_ENOMEM, "cpu team: %zu bytes", n_bytes);
    }
    const uintptr_t misfit = (uintptr_t)block % KRS_CACHE_LINE_BYTES;
    krs_cpu_team *team =
        (krs_cpu_team *)(void *)(block + (misfit ? KRS_CACHE_LINE_BYTES - misfit : 0));
    team->block = block;
    team->alloc = alloc;
    team->n_threads = n_threads;
    const krs_status status = start_members(team, err);
    if (status != KRS_OK) {
        krs_cpu_team_free(team);
        return status;
    }
    *out = team;
    return KRS_OK;
}

void krs_cpu_team_free(krs_cpu_team *team)
{
    if (!team) {
        return;
    }
    atomic_store_explicit(&team->is_stopping, true, memory_order_relaxed);
    if (team->mutex && team->wake) {
        next_generation(team); /* releases is_stopping */
    }
    for (uint32_t i = 0; i + 1 < team->n_threads; i++) {
        krs_os_thread_join(team->members[i].thread);
    }
    krs_os_cond_free(team->done);
    krs_os_cond_free(team->wake);
    krs_os_mutex_free(team->mutex);
    krs_alloc_free(team->alloc, team->block);
}
