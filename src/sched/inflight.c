/* sched/inflight.c - see inflight.h. Open addressing; the step number in a slot saves clearing the table.
 *
 * Thread: the scheduler's.  Memory: see inflight.h. */
#include "sched/inflight.h"

#include "base/check.h"

krs_status krs_sched_inflight_init(sched_inflight *inflight, uint32_t max_blocks,
                                   const krs_alloc *alloc)
{
    KRS_CHECK(max_blocks <= KRS_KV_POOL_MAX_BLOCKS);
    uint32_t n_slots = 2;
    while (n_slots < 2 * max_blocks) {
        n_slots *= 2;
    }
    *inflight = (sched_inflight){.n_slots = n_slots};
    inflight->slots = krs_alloc_array(alloc, n_slots, sizeof(*inflight->slots));
    return inflight->slots ? KRS_OK : KRS_ENOMEM;
}

void krs_sched_inflight_deinit(sched_inflight *inflight, const krs_alloc *alloc)
{
    krs_alloc_free(alloc, inflight->slots);
    inflight->slots = NULL;
}

void krs_sched_inflight_clear(sched_inflight *inflight, uint64_t step)
{
    inflight->step = step;
    inflight->n = 0;
}

/* The slot of this hash, or the empty one where it belongs. */
static sched_inflight_slot *slot_of(const sched_inflight *inflight, krs_kv_hash hash)
{
    uint32_t i = (uint32_t)hash.lo & (inflight->n_slots - 1);
    while (inflight->slots[i].step == inflight->step &&
           !krs_kv_hash_is_equal(inflight->slots[i].hash, hash)) {
        i = (i + 1) & (inflight->n_slots - 1);
    }
    return &inflight->slots[i];
}

void krs_sched_inflight_add(sched_inflight *inflight, krs_kv_hash hash)
{
    sched_inflight_slot *slot = slot_of(inflight, hash);
    if (slot->step != inflight->step) {
        inflight->n++;
        KRS_CHECK(inflight->n <= inflight->n_slots / 2);
        *slot = (sched_inflight_slot){hash, inflight->step};
    }
}

bool krs_sched_inflight_has(const sched_inflight *inflight, krs_kv_hash hash)
{
    return inflight->n > 0 && slot_of(inflight, hash)->step == inflight->step;
}
