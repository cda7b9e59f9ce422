/* service/service_priv.h - the object behind service.h. For this folder only.
 *
 * Thread: fields are immutable after _new but for the two atomics, which order nothing else: n_in_flight
 * is a bounded count, is_draining a one-way flag, both read alone (relaxed). */
#pragma once

#include "service/service.h"

#include <stdatomic.h>

struct krs_service {
    const krs_alloc *alloc;
    krs_service_options options;
    uint64_t opened_ns;
    _Atomic uint32_t n_in_flight;
    _Atomic bool is_draining;
};
