/* service/service_priv.h - the object behind service.h: its parts, each with a header of its own. For this
 * folder only.
 *
 * Thread: options are immutable after _new; is_draining is a one-way flag read alone (relaxed); each
 * part says for itself. */
#pragma once

#include "service/access_priv.h"
#include "service/admission_priv.h"
#include "service/breakers.h"
#include "service/feed_priv.h"
#include "service/models_priv.h"
#include "service/service.h"

#include <stdatomic.h>

struct krs_service {
    const krs_alloc *alloc;
    krs_service_options options;
    uint64_t opened_ns;
    krs_bus *bus;
    _Atomic bool is_draining;
    bool is_stopped;
    uint32_t rpc_calls; /* families of counters, a value for each method */
    uint32_t rpc_errors;
    krs_models models;
    krs_keys keys;
    krs_breakers breakers;
    krs_feeds feeds;
    krs_admission admission;
};
