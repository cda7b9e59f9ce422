/* support/sched_device.h - what a device would hold under the scheduler's plans, as numbers: each place of the
 * KV cache, and each state, is a hash of all the tokens it stands for. A row that finds another number than
 * its own tokens give has been shown somebody else's past.
 *
 * Thread: one owner.  Memory: fixed. */
#pragma once

#include "sched/sched.h"
#include "support/cmocka.h"

#include <string.h>

#define SCHED_DEVICE_BLOCK_TOKENS 4
#define SCHED_DEVICE_BLOCKS       64
#define SCHED_DEVICE_STATES       32

typedef struct sched_device {
    bool has_states;
    uint64_t cache[SCHED_DEVICE_BLOCKS][SCHED_DEVICE_BLOCK_TOKENS];
    uint64_t states[SCHED_DEVICE_STATES];
} sched_device;

static inline void sched_device_init(sched_device *device, bool has_states)
{
    memset(device, 0, sizeof(*device));
    device->has_states = has_states;
}

/* What position p of a sequence is on the device: a function of everything up to it. */
static inline uint64_t sched_device_after(const krs_sched_seq *seq, uint32_t p)
{
    uint64_t h = seq->cache_salt + 1;
    for (uint32_t i = 0; i <= p; i++) {
        h = (h ^ seq->tokens[i]) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 29;
    }
    return h;
}

/* Before the rows. */
static inline void sched_device_copy(sched_device *device, const krs_sched_step *plan)
{
    for (uint32_t i = 0; i < plan->n_copies; i++) {
        assert_in_range(plan->copies[i].from, 0, SCHED_DEVICE_STATES - 1);
        assert_in_range(plan->copies[i].to, 0, SCHED_DEVICE_STATES - 1);
        device->states[plan->copies[i].to] = device->states[plan->copies[i].from];
    }
}

/* Rows are computed from what the blocks and the state hold of the tokens before them, and leave their own
 * behind. */
static inline void sched_device_run(sched_device *device, const krs_sched_item *item)
{
    const krs_sched_seq *seq = item->seq;
    for (uint32_t p = 0; p < item->n_past + item->n_rows; p++) {
        const krs_kv_block block = seq->table.blocks[p / SCHED_DEVICE_BLOCK_TOKENS];
        uint64_t *at = &device->cache[block][p % SCHED_DEVICE_BLOCK_TOKENS];
        if (p < item->n_past) {
            assert_int_equal(*at, sched_device_after(seq, p));
        } else {
            *at = sched_device_after(seq, p);
        }
    }
    if (!device->has_states) {
        return;
    }
    if (item->n_past > 0) {
        assert_int_equal(device->states[seq->slot], sched_device_after(seq, item->n_past - 1));
    }
    device->states[seq->slot] = sched_device_after(seq, item->n_past + item->n_rows - 1);
}
