/* engine/control.c - see control.h.
 *
 * Memory order: a word carries no other data, so relaxed would do for it alone; acquire and release
 * are used so that what the canceller wrote before is visible to the engine thread that sees it. */
#include "engine/control.h"

#include "base/check.h"

#define CREDIT_MASK      UINT64_C(0xFFFFFFFF)
#define LIMITED_BIT      (UINT64_C(1) << 32)
#define CANCELLED_BIT    (UINT64_C(1) << 33)
#define GENERATION_SHIFT 34
#define GENERATION_MASK  ((UINT64_C(1) << 30) - 1)
#define MAX_LIMITED      (KRS_CREDIT_UNLIMITED - 1) /* a sum of grants stops here */

static uint32_t slot_of(uint64_t id)
{
    return (uint32_t)id;
}

static uint64_t generation_of(uint64_t id)
{
    return id >> 32;
}

krs_status krs_controls_init(krs_controls *controls, uint32_t n, const krs_alloc *alloc)
{
    *controls = (krs_controls){.alloc = alloc, .n = n};
    if (n == 0) {
        return KRS_EINVAL;
    }
    controls->words = krs_alloc_array(alloc, n, sizeof(*controls->words));
    krs_status status = controls->words ? krs_os_queue_new(n, alloc, &controls->free) : KRS_ENOMEM;
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        atomic_init(&controls->words[i], 0);
        status = krs_os_queue_push(controls->free, (void *)((uintptr_t)i + 1));
    }
    if (status != KRS_OK) {
        krs_controls_deinit(controls);
    }
    return status;
}

void krs_controls_deinit(krs_controls *controls)
{
    krs_os_queue_free(controls->free);
    krs_alloc_free(controls->alloc, controls->words);
    *controls = (krs_controls){0};
}

krs_status krs_controls_take(krs_controls *controls, uint64_t *id)
{
    void *item = NULL;
    if (krs_os_queue_try_pop(controls->free, &item) != KRS_OK) {
        return KRS_EBUSY;
    }
    const uint32_t slot = (uint32_t)((uintptr_t)item - 1);
    const uint64_t before = atomic_load_explicit(&controls->words[slot], memory_order_acquire);
    uint64_t generation = ((before >> GENERATION_SHIFT) + 1) & GENERATION_MASK;
    generation = generation ? generation : 1; /* so that no id is 0 */
    atomic_store_explicit(&controls->words[slot], generation << GENERATION_SHIFT,
                          memory_order_release);
    *id = generation << 32 | slot;
    return KRS_OK;
}

void krs_controls_give(krs_controls *controls, uint64_t id)
{
    const uint32_t slot = slot_of(id);
    /* One generation is spent on "nobody": a word without owner matches no id handed out. */
    const uint64_t next = (generation_of(id) + 1) & GENERATION_MASK;
    atomic_store_explicit(&controls->words[slot], next << GENERATION_SHIFT, memory_order_release);
    KRS_CHECK(krs_os_queue_push(controls->free, (void *)((uintptr_t)slot + 1)) == KRS_OK);
}

/* The word of a live id; false when it is not alive. */
static bool load_word(const krs_controls *controls, uint64_t id, uint64_t *word)
{
    if (slot_of(id) >= controls->n) {
        return false;
    }
    *word = atomic_load_explicit(&controls->words[slot_of(id)], memory_order_acquire);
    return *word >> GENERATION_SHIFT == generation_of(id);
}

bool krs_controls_cancel(krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    while (load_word(controls, id, &word)) {
        if (atomic_compare_exchange_weak_explicit(&controls->words[slot_of(id)], &word,
                                                  word | CANCELLED_BIT, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

bool krs_controls_grant(krs_controls *controls, uint64_t id, uint32_t n_tokens)
{
    uint64_t word = 0;
    while (load_word(controls, id, &word)) {
        const uint64_t sum = (word & CREDIT_MASK) + n_tokens;
        const uint64_t credit = sum > MAX_LIMITED ? MAX_LIMITED : sum;
        const uint64_t wanted = (word & ~CREDIT_MASK) | LIMITED_BIT | credit;
        if (atomic_compare_exchange_weak_explicit(&controls->words[slot_of(id)], &word, wanted,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

krs_control krs_controls_read(const krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    KRS_CHECK(load_word(controls, id, &word));
    const bool is_limited = (word & LIMITED_BIT) != 0;
    return (krs_control){(word & CANCELLED_BIT) != 0,
                         is_limited ? (uint32_t)(word & CREDIT_MASK) : KRS_CREDIT_UNLIMITED};
}

void krs_controls_spend(krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    while (load_word(controls, id, &word)) {
        const bool is_counted = (word & LIMITED_BIT) != 0 && (word & CREDIT_MASK) > 0;
        if (!is_counted ||
            atomic_compare_exchange_weak_explicit(&controls->words[slot_of(id)], &word, word - 1,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
            return;
        }
    }
}
