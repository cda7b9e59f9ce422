/* base/fault.c - see fault.h. */
#include "base/fault.h"

#include "base/str.h"

#include <stdatomic.h>
#include <stdlib.h>

static const char *const fault_names[KRS_FAULT_COUNT] = {
#define KRS_FAULT(id, name, what) name,
#include "base/fault.def"
#undef KRS_FAULT
};

/* Hits left until failure; 0 = disarmed. */
static _Atomic uint32_t fault_left[KRS_FAULT_COUNT];

bool krs_fault_hit(krs_fault fault)
{
    /* Relaxed throughout: a count, nothing is published through it. */
    uint32_t left = atomic_load_explicit(&fault_left[fault], memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak_explicit(&fault_left[fault], &left, left - 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return left == 1;
        }
    }
    return false;
}

void krs_fault_arm(krs_fault fault, uint32_t nth)
{
    atomic_store_explicit(&fault_left[fault], nth, memory_order_relaxed);
}

static krs_status arm_one(krs_str part, krs_error *err)
{
    const size_t equals = krs_str_find(part, KRS_STR("="), 0);
    if (equals != SIZE_MAX && part.len - equals - 1 > 0 && part.len - equals - 1 <= 9) {
        uint32_t nth = 0;
        size_t i = equals + 1;
        while (i < part.len && part.ptr[i] >= '0' && part.ptr[i] <= '9') {
            nth = nth * 10 + (uint32_t)(part.ptr[i++] - '0');
        }
        for (unsigned f = 0; i == part.len && f < KRS_FAULT_COUNT; f++) {
            if (krs_str_equal((krs_str){part.ptr, equals}, krs_str_of(fault_names[f]))) {
                krs_fault_arm((krs_fault)f, nth);
                return KRS_OK;
            }
        }
    }
    return krs_fail(err, KRS_EINVAL, "KRS_FAULTS: \"%.*s\", want name=count with a known name",
                    KRS_STR_ARGS(part));
}

krs_status krs_fault_arm_all(const char *spec, krs_error *err)
{
    krs_str rest = krs_str_of(spec);
    while (rest.len > 0) {
        const size_t comma = krs_str_find(rest, KRS_STR(","), 0);
        const size_t n = comma == SIZE_MAX ? rest.len : comma;
        const krs_status status = arm_one((krs_str){rest.ptr, n}, err);
        if (status != KRS_OK) {
            return status;
        }
        const size_t skip = comma == SIZE_MAX ? n : n + 1;
        rest = (krs_str){rest.ptr + skip, rest.len - skip};
    }
    return KRS_OK;
}
