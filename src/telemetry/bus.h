/* telemetry/bus.h - what happened, told to whoever asked beforehand.
 *
 *   krs_bus_subscribe(...) x n  ->  krs_bus_seal  ->  krs_bus_publish from any thread
 *
 * Domain events have names area.action from one table (events.def) and carry typed fields. Subscribers
 * are few, known at start, and called in the order they subscribed, on the publishing thread. Sealing
 * the list is what makes publishing lock-free. Hooks are idempotent by construction: subscribing twice
 * under one name keeps one subscription, and each event has a number that never repeats, by which a
 * hook that forwards events can tell one it has seen.
 *
 * Deliberately absent: queues (a hook that needs one owns it), unsubscribing while the program runs,
 * veto by a hook.
 *
 * Thread: subscribe and seal: one owner; publish: any thread after the seal.
 * Memory: one allocation in _new. */
#pragma once

#include "base/alloc.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define KRS_BUS_MAX_SUBSCRIBERS 16 /* log, metrics, tracing, hooks of the configuration */

typedef enum krs_event_kind {
#define KRS_EVENT(id, name, level, what) KRS_EVENT_##id,
#include "telemetry/events.def"
#undef KRS_EVENT
    KRS_EVENT_COUNT
} krs_event_kind;

typedef struct krs_event {
    krs_event_kind kind;
    uint64_t number;  /* 1, 2, ... in the order of publishing; never repeats in a process */
    const char *name; /* "model.loaded" */
    const char *correlation_id; /* "" when none */
    const krs_log_field *fields;
    size_t n_fields;
} krs_event;

typedef struct krs_subscriber {
    const char *name;  /* unique; a constant */
    const char *topic; /* "model.loaded", "model.*" or "*"; a constant */
    void *ctx;
    /* event is valid during the call. Must not block and must not publish. */
    void (*handle)(void *ctx, const krs_event *event);
} krs_subscriber;

typedef struct krs_bus krs_bus;

/* metrics: counts events, borrowed, may be NULL. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bus_new(const krs_alloc *alloc, krs_metrics *metrics, krs_bus **out);
void krs_bus_free(krs_bus *bus);

/* Again under the same name: KRS_OK, nothing changes. Errors: KRS_EINVAL (no name, no handler, a topic
 * that no event has), KRS_ETOOLARGE (KRS_BUS_MAX_SUBSCRIBERS), KRS_EBUSY (sealed). */
KRS_MUST_USE krs_status krs_bus_subscribe(krs_bus *bus, const krs_subscriber *subscriber,
                                          krs_error *err);

/* No more subscribers from now on; publishing may begin. */
void krs_bus_seal(krs_bus *bus);

/* Tell every subscriber of kind. correlation_id may be NULL. A NULL bus is legal: nothing happens. */
void krs_bus_publish(krs_bus *bus, krs_event_kind kind, const char *correlation_id,
                     const krs_log_field *fields, size_t n_fields);

/* As _publish; without a bus the event goes to log (may be NULL) at the level of its row. For rooms that run under
 * a service and, as on the command line, without one. */
void krs_bus_tell(krs_bus *bus, const krs_log *log, krs_event_kind kind, const char *correlation_id,
                  const krs_log_field *fields, size_t n_fields);

/* Does topic ("a.b", "a.*", "*") cover the event's name? */
bool krs_event_matches(krs_event_kind kind, const char *topic);

/* Is there any event that topic covers? */
bool krs_event_is_topic(const char *topic);

/* At what level it is logged; kind must be below KRS_EVENT_COUNT. */
krs_log_level krs_event_level(krs_event_kind kind);

/* "model.loaded"; kind must be below KRS_EVENT_COUNT. */
const char *krs_event_name(krs_event_kind kind);

/* A subscriber that writes every event to log (borrowed) at the level its row names. */
krs_subscriber krs_bus_log_subscriber(const krs_log *log);
