/* compute/cpu/team.c - see team.h.
 *
 * Each thread has a lane: a cache line with all it needs for a fork, the job and the range of shares that
 * nobody has claimed, and one with the number of shares it has done so far. While threads spin, a fork
 * of two threads is the one line going there and the other coming back. There is no barrier: the owner waits until as many
 * shares are done as were issued, so a thread that comes late finds nothing and harms nothing.
 *
 * Orderings, complete in here:
 * 1. The job is written before the release of the lane's range, read after the acquire of a claim from
 *    that range, and not written again before the owner has seen that share done. A claim made late,
 *    from the range of the next fork, is a claim like any other: it reads that fork's job.
 * 2. What a share wrote comes before the release of its thread's n_done, which the owner acquires.
 * 3. Sleeping workers: one counts itself in n_sleeping, then the kernel compares `generation`; the owner
 *    changes `generation`, then reads n_sleeping. Sequentially consistent, so one sees the other.
 * 4. The sleeping owner: it sets is_owner_asleep, then adds up n_done; a worker stores n_done, then reads
 *    is_owner_asleep. As 3. */
#include "compute/cpu/team.h"

#include "base/ring.h"
#include "os/clock.h"
#include "os/park.h"
#include "os/thread.h"

#include <stdio.h>

#define SPINS_PER_CLOCK 64 /* looks at a lane between two looks at the clock */
#define LANE_BYTES      (2 * KRS_CACHE_LINE_BYTES) /* processors fetch lines in pairs */
#define WAKE_FANOUT     2 /* each thread woken wakes two more: a call is a microsecond or more */

typedef struct lane {
    alignas(LANE_BYTES) _Atomic uint64_t range; /* unclaimed shares: first | end << 32 */
    _Atomic uint32_t generation;                /* forks so far: news for the lane's thread */
    krs_cpu_task task;
    void *arg;
    uint32_t n_shares;
    alignas(LANE_BYTES) _Atomic uint32_t n_done; /* by this lane's thread, ever; wraps */
} lane;

typedef struct member {
    krs_cpu_team *team;
    krs_os_thread *thread;
    uint32_t index;
} member;

struct krs_cpu_team {
    alignas(LANE_BYTES) _Atomic uint32_t generation; /* as the lanes', for those who sleep */
    uint32_t n_issued;                               /* shares of all forks so far; the owner's */
    alignas(LANE_BYTES) _Atomic uint32_t
        n_sleeping; /* written only by who goes to sleep or wakes */
    _Atomic uint32_t is_owner_asleep;
    _Atomic uint32_t n_owner_wakes; /* the word the owner sleeps on */
    _Atomic bool is_stopping;
    uint32_t n_threads; /* from here on immutable */
    const krs_alloc *alloc;
    void *block;     /* as allocated; this struct lies in it, aligned */
    member *members; /* [n_threads - 1] */
    lane lanes[];    /* [n_threads]; 0 is the owner's */
};

#if defined(__x86_64__) || defined(__i386__)
static void relax(void)
{
    __builtin_ia32_pause();
}
#elif defined(__aarch64__)
static void relax(void)
{
    __asm__ volatile("isb"); /* YIELD does nothing on most cores; this waits a little */
}
#else
static void relax(void)
{
}
#endif

static uint32_t first_of(uint64_t range)
{
    return (uint32_t)range;
}

static uint32_t end_of(uint64_t range)
{
    return (uint32_t)(range >> 32);
}

static uint64_t range_of(uint32_t first, uint32_t end)
{
    return (uint64_t)end << 32 | first;
}

/* Claim a share of the lane: its own thread from the front, in the order of memory, others from the end. */
static bool claim(lane *from, bool is_own, uint32_t *share)
{
    uint64_t seen = atomic_load_explicit(&from->range, memory_order_relaxed);
    while (first_of(seen) < end_of(seen)) {
        const uint64_t left = is_own ? range_of(first_of(seen) + 1, end_of(seen))
                                     : range_of(first_of(seen), end_of(seen) - 1);
        /* Acquire: pairs with the release in publish, ordering 1. */
        if (atomic_compare_exchange_weak_explicit(&from->range, &seen, left, memory_order_acquire,
                                                  memory_order_relaxed)) {
            *share = is_own ? first_of(seen) : end_of(left);
            return true;
        }
    }
    return false;
}

/* Run what can be claimed from a lane; says how many shares, and whether the fork has several a thread. */
static uint32_t run_from(const krs_cpu_team *team, lane *from, bool is_own, bool *has_more)
{
    uint32_t n_done = 0;
    for (uint32_t share; claim(from, is_own, &share); n_done++) {
        *has_more = from->n_shares > team->n_threads;
        from->task(from->arg, share, from->n_shares);
    }
    return n_done;
}

/* Only the lane's thread writes n_done. */
static void add_done(krs_cpu_team *team, lane *self, uint32_t n)
{
    if (n == 0) {
        return;
    }
    const uint32_t before = atomic_load_explicit(&self->n_done, memory_order_relaxed);
    atomic_store(&self->n_done, before + n); /* orderings 2 and 4 */
    if (atomic_load(&team->is_owner_asleep)) {
        atomic_fetch_add(&team->n_owner_wakes, 1);
        krs_os_unpark(&team->n_owner_wakes, 1);
    }
}

/* Own shares, then others'. With one share a thread only the owner looks at other lanes: every thread
 * reading every lane for what one of them may have left would cost more than it brings. */
static void take_part(krs_cpu_team *team, uint32_t index)
{
    lane *self = &team->lanes[index];
    bool has_more = index == 0;
    add_done(team, self, run_from(team, self, true, &has_more));
    has_more = has_more || index == 0;
    for (uint32_t i = 1; i < team->n_threads && has_more; i++) {
        lane *other = &team->lanes[(index + i) % team->n_threads];
        add_done(team, self, run_from(team, other, false, &has_more));
        has_more = has_more || index == 0;
    }
}

/* Look for the fork after `seen` for a while; true as soon as it is there. */
static bool spin_for_fork(const lane *self, uint32_t seen)
{
    const uint64_t end_ns = krs_os_now_ns() + KRS_CPU_TEAM_SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(&self->generation, memory_order_acquire) != seen) {
                return true;
            }
            relax();
        }
    } while (krs_os_now_ns() < end_ns);
    return false;
}

static void wake_some(krs_cpu_team *team)
{
    if (atomic_load(&team->n_sleeping) > 0) { /* ordering 3 */
        krs_os_unpark(&team->generation, WAKE_FANOUT);
    }
}

static void sleep_for_fork(krs_cpu_team *team, const lane *self, uint32_t seen)
{
    atomic_fetch_add(&team->n_sleeping, 1); /* ordering 3 */
    while (atomic_load_explicit(&self->generation, memory_order_acquire) == seen) {
        krs_os_park(&team->generation, seen);
    }
    atomic_fetch_sub(&team->n_sleeping, 1);
    wake_some(team);
}

static void work(void *arg)
{
    const member *me = arg;
    krs_cpu_team *team = me->team;
    const lane *self = &team->lanes[me->index];
    for (uint32_t seen = 0;;) {
        if (!spin_for_fork(self, seen)) {
            sleep_for_fork(team, self, seen);
        }
        seen = atomic_load_explicit(&self->generation, memory_order_acquire);
        if (atomic_load_explicit(&team->is_stopping, memory_order_relaxed)) {
            return; /* written before the generation that woke us */
        }
        take_part(team, me->index);
    }
}

/* Hand out the shares of a fork. n_shares 0: only wake everybody. */
static void publish(krs_cpu_team *team, uint32_t n_shares, krs_cpu_task task, void *arg)
{
    const uint32_t next = atomic_load_explicit(&team->generation, memory_order_relaxed) + 1;
    team->n_issued += n_shares;
    for (uint32_t i = 0; i < team->n_threads; i++) {
        lane *to = &team->lanes[i];
        const uint64_t n = n_shares;
        to->task = task;
        to->arg = arg;
        to->n_shares = n_shares;
        atomic_store_explicit(&to->range,
                              range_of((uint32_t)(n * i / team->n_threads),
                                       (uint32_t)(n * (i + 1) / team->n_threads)),
                              memory_order_release); /* ordering 1 */
        atomic_store_explicit(&to->generation, next, memory_order_release);
    }
    atomic_store(&team->generation, next); /* ordering 3 */
    wake_some(team);
}

static bool is_all_done(const krs_cpu_team *team)
{
    uint32_t n_done = 0;
    for (uint32_t i = 0; i < team->n_threads; i++) {
        n_done += atomic_load(&team->lanes[i].n_done); /* orderings 2 and 4 */
    }
    return n_done == team->n_issued;
}

static void wait_for_all(krs_cpu_team *team)
{
    const uint64_t end_ns = krs_os_now_ns() + KRS_CPU_TEAM_SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (is_all_done(team)) {
                return;
            }
            relax();
        }
    } while (krs_os_now_ns() < end_ns);
    /* Somebody else has the cores; give ours away rather than burn it. */
    atomic_store(&team->is_owner_asleep, 1); /* ordering 4 */
    for (;;) {
        const uint32_t seen = atomic_load(&team->n_owner_wakes);
        if (is_all_done(team)) {
            break;
        }
        krs_os_park(&team->n_owner_wakes, seen);
    }
    atomic_store(&team->is_owner_asleep, 0);
}

void krs_cpu_team_run_shares(krs_cpu_team *team, uint32_t n_shares, krs_cpu_task task, void *arg)
{
    if (team->n_threads == 1) {
        for (uint32_t i = 0; i < n_shares; i++) {
            task(arg, i, n_shares);
        }
        return;
    }
    publish(team, n_shares, task, arg);
    take_part(team, 0);
    if (!is_all_done(team)) {
        wait_for_all(team);
    }
}

void krs_cpu_team_run(krs_cpu_team *team, krs_cpu_task task, void *arg)
{
    krs_cpu_team_run_shares(team, team->n_threads, task, arg);
}

bool krs_cpu_team_pin(krs_cpu_team *team, const uint32_t *cpus, uint32_t n_cpus)
{
    if (n_cpus < team->n_threads) {
        return false;
    }
    for (uint32_t i = 1; i < team->n_threads; i++) {
        const krs_status status = krs_os_thread_pin(team->members[i - 1].thread, cpus[i]);
        (void)status; /* a CPU that was taken away since is no reason not to compute */
    }
    return true;
}

uint32_t krs_cpu_team_n_threads(const krs_cpu_team *team)
{
    return team->n_threads;
}

static krs_status start_members(krs_cpu_team *team, krs_error *err)
{
    krs_status status = KRS_OK;
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
    const size_t n_team = sizeof(krs_cpu_team) + n_threads * sizeof(lane);
    const size_t n_bytes = n_team + (n_threads - 1) * sizeof(member) + LANE_BYTES;
    unsigned char *block = krs_alloc_zero(alloc, n_bytes);
    if (!block) {
        return krs_fail(err, KRS_ENOMEM, "cpu team: %zu bytes", n_bytes);
    }
    const uintptr_t misfit = (uintptr_t)block % LANE_BYTES;
    unsigned char *aligned = block + (misfit ? LANE_BYTES - misfit : 0);
    krs_cpu_team *team = (krs_cpu_team *)(void *)aligned;
    team->block = block;
    team->alloc = alloc;
    team->n_threads = n_threads;
    team->members = (member *)(void *)(aligned + n_team);
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
    publish(team, 0, NULL, NULL); /* releases is_stopping */
    for (uint32_t i = 0; i + 1 < team->n_threads; i++) {
        krs_os_thread_join(team->members[i].thread);
    }
    krs_alloc_free(team->alloc, team->block);
}
