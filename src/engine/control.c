/* engine/control.c - see control.h.
 *
 * Memory order: whoever asks writes the word, then the slot's bit, then is_changed, each with release;
 * the engine thread reads them in the opposite order with acquire. So a bit it sees has its word, and a
 * change it does not see yet sets is_changed again after it was cleared. */
#include "engine/control.h"

#include "base/check.h"

#define CREDIT_MASK      UINT64_C(0xFFFFFFFF)
#define GRANTED_BIT      (UINT64_C(1) << 32)
#define CANCELLED_BIT    (UINT64_C(1) << 33)
#define GENERATION_SHIFT 34
#define GENERATION_MASK  ((UINT64_C(1) << 30) - 1)
#define MAX_GRANTED      (KRS_CREDIT_UNLIMITED - 1) /* a sum of grants stops here */
#define SLOTS_PER_WORD   64

static uint64_t generation_of(uint64_t id)
{
    return id >> 32;
}

static uint32_t n_changed_words(const krs_controls *controls)
{
    return controls->n / SLOTS_PER_WORD + (controls->n % SLOTS_PER_WORD != 0);
}

static krs_status fill(krs_controls *controls)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < controls->n; i++) {
        atomic_init(&controls->words[i], 0);
        status = krs_os_queue_push(controls->free, (void *)((uintptr_t)i + 1));
    }
    for (uint32_t i = 0; i < n_changed_words(controls); i++) {
        atomic_init(&controls->changed[i], 0);
    }
    return status;
}

krs_status krs_controls_init(krs_controls *controls, uint32_t n, const krs_alloc *alloc)
{
    *controls = (krs_controls){.alloc = alloc, .n = n};
    if (n == 0) {
        return KRS_EINVAL;
    }
    controls->words = krs_alloc_array(alloc, n, sizeof(*controls->words));
    controls->changed =
        krs_alloc_array(alloc, n_changed_words(controls), sizeof(*controls->changed));
    krs_status status = controls->words && controls->changed
                            ? krs_os_queue_new(n, alloc, &controls->free)
                            : KRS_ENOMEM;
    if (status == KRS_OK) {
        status = fill(controls);
    }
    if (status != KRS_OK) {
        krs_controls_deinit(controls);
    }
    return status;
}

void krs_controls_deinit(krs_controls *controls)
{
    krs_os_queue_free(controls->free);
    krs_alloc_free(controls->alloc, controls->changed);
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
    const uint32_t slot = krs_controls_slot(id);
    /* One generation is spent on "nobody": a word without owner matches no id handed out. */
    const uint64_t next = (generation_of(id) + 1) & GENERATION_MASK;
    atomic_store_explicit(&controls->words[slot], next << GENERATION_SHIFT, memory_order_release);
    KRS_CHECK(krs_os_queue_push(controls->free, (void *)((uintptr_t)slot + 1)) == KRS_OK);
}

/* The word of a live id; false when it is not alive. */
static bool load_word(const krs_controls *controls, uint64_t id, uint64_t *word)
{
    const uint32_t slot = krs_controls_slot(id);
    if (slot >= controls->n) {
        return false;
    }
    *word = atomic_load_explicit(&controls->words[slot], memory_order_acquire);
    return *word >> GENERATION_SHIFT == generation_of(id);
}

/* Replace the word that was read; false when somebody else was quicker: read again. */
static bool swap_word(krs_controls *controls, uint64_t id, uint64_t *word, uint64_t wanted)
{
    return atomic_compare_exchange_weak_explicit(&controls->words[krs_controls_slot(id)], word,
                                                 wanted, memory_order_acq_rel,
                                                 memory_order_relaxed);
}

static void mark(krs_controls *controls, uint64_t id)
{
    const uint32_t slot = krs_controls_slot(id);
    (void)atomic_fetch_or_explicit(&controls->changed[slot / SLOTS_PER_WORD],
                                   UINT64_C(1) << slot % SLOTS_PER_WORD, memory_order_release);
    atomic_store_explicit(&controls->is_changed, true, memory_order_release);
}

bool krs_controls_cancel(krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    while (load_word(controls, id, &word)) {
        if (swap_word(controls, id, &word, word | CANCELLED_BIT)) {
            mark(controls, id);
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
        const uint64_t granted = sum > MAX_GRANTED ? MAX_GRANTED : sum;
        if (swap_word(controls, id, &word, (word & ~CREDIT_MASK) | GRANTED_BIT | granted)) {
            mark(controls, id);
            return true;
        }
    }
    return false;
}

bool krs_controls_is_cancelled(const krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    KRS_CHECK(load_word(controls, id, &word));
    return (word & CANCELLED_BIT) != 0;
}

bool krs_controls_next(krs_controls *controls, uint32_t *slot)
{
    if (controls->bits == 0 && controls->at == 0 &&
        (!atomic_load_explicit(&controls->is_changed, memory_order_relaxed) ||
         !atomic_exchange_explicit(&controls->is_changed, false, memory_order_acq_rel))) {
        return false;
    }
    while (controls->bits == 0) {
        if (controls->at == n_changed_words(controls)) {
            controls->at = 0; /* the round is over */
            return false;
        }
        controls->bits =
            atomic_exchange_explicit(&controls->changed[controls->at], 0, memory_order_acq_rel);
        controls->at++;
    }
    const uint32_t bit = (uint32_t)__builtin_ctzll(controls->bits);
    controls->bits &= controls->bits - 1;
    *slot = (controls->at - 1) * SLOTS_PER_WORD + bit;
    return true;
}

krs_control krs_controls_collect(krs_controls *controls, uint64_t id)
{
    uint64_t word = 0;
    do {
        KRS_CHECK(load_word(controls, id, &word));
    } while (!swap_word(controls, id, &word, word & ~(CREDIT_MASK | GRANTED_BIT)));
    return (krs_control){(word & CANCELLED_BIT) != 0, (word & GRANTED_BIT) != 0,
                         (uint32_t)(word & CREDIT_MASK)};
}
