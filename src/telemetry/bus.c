/* telemetry/bus.c - see bus.h. Subscribers are plain data written before the seal; the seal's release
 * and the acquire in publish make them visible to every thread that publishes. */
#include "telemetry/bus.h"

#include "base/check.h"

#include <stdatomic.h>

typedef struct event_row {
    const char *name;
    krs_log_level level;
} event_row;

#define LEVEL(name) KRS_LOG_##name

static const event_row event_rows[KRS_EVENT_COUNT] = {
#define KRS_EVENT(id, name, level, what) {name, LEVEL(level)},
#include "telemetry/events.def"
#undef KRS_EVENT
};

struct krs_bus {
    const krs_alloc *alloc;
    krs_metrics *metrics;
    _Atomic uint64_t n_published;
    atomic_bool is_sealed;
    uint32_t n_subscribers;
    krs_subscriber subscribers[KRS_BUS_MAX_SUBSCRIBERS];
};

krs_status krs_bus_new(const krs_alloc *alloc, krs_metrics *metrics, krs_bus **out)
{
    krs_bus *bus = krs_alloc_zero(alloc, sizeof(*bus));
    *out = bus;
    if (!bus) {
        return KRS_ENOMEM;
    }
    bus->alloc = alloc;
    bus->metrics = metrics;
    return KRS_OK;
}

void krs_bus_free(krs_bus *bus)
{
    if (bus) {
        krs_alloc_free(bus->alloc, bus);
    }
}

const char *krs_event_name(krs_event_kind kind)
{
    KRS_CHECK((unsigned)kind < KRS_EVENT_COUNT);
    return event_rows[kind].name;
}

bool krs_event_matches(krs_event_kind kind, const char *topic)
{
    const krs_str name = krs_str_of(krs_event_name(kind));
    const krs_str wanted = krs_str_of(topic);
    if (krs_str_equal(wanted, KRS_STR("*"))) {
        return true;
    }
    if (krs_str_ends_with(wanted, KRS_STR(".*"))) {
        return krs_str_starts_with(name, (krs_str){wanted.ptr, wanted.len - 1});
    }
    return krs_str_equal(name, wanted);
}

krs_log_level krs_event_level(krs_event_kind kind)
{
    KRS_CHECK((unsigned)kind < KRS_EVENT_COUNT);
    return event_rows[kind].level;
}

bool krs_event_is_topic(const char *topic)
{
    bool is_known = false;
    for (unsigned i = 0; i < KRS_EVENT_COUNT; i++) {
        is_known = is_known || krs_event_matches((krs_event_kind)i, topic);
    }
    return is_known;
}

krs_status krs_bus_subscribe(krs_bus *bus, const krs_subscriber *subscriber, krs_error *err)
{
    if (!subscriber->name || !subscriber->handle || !subscriber->topic) {
        return krs_fail(err, KRS_EINVAL, "subscriber: name, topic and handler are required");
    }
    if (!krs_event_is_topic(subscriber->topic)) {
        return krs_fail(err, KRS_EINVAL, "subscriber %s: no event is called %s", subscriber->name,
                        subscriber->topic);
    }
    if (atomic_load_explicit(&bus->is_sealed, memory_order_relaxed)) {
        return krs_fail(err, KRS_EBUSY, "subscriber %s: the bus is sealed", subscriber->name);
    }
    for (uint32_t i = 0; i < bus->n_subscribers; i++) {
        if (krs_str_equal(krs_str_of(bus->subscribers[i].name), krs_str_of(subscriber->name))) {
            return KRS_OK;
        }
    }
    if (bus->n_subscribers == KRS_BUS_MAX_SUBSCRIBERS) {
        return krs_fail(err, KRS_ETOOLARGE, "subscriber %s: there are %d already", subscriber->name,
                        KRS_BUS_MAX_SUBSCRIBERS);
    }
    bus->subscribers[bus->n_subscribers++] = *subscriber;
    return KRS_OK;
}

void krs_bus_seal(krs_bus *bus)
{
    /* Pairs with the acquire in _publish: the list is whole before it is read. */
    atomic_store_explicit(&bus->is_sealed, true, memory_order_release);
}

void krs_bus_publish(krs_bus *bus, krs_event_kind kind, const char *correlation_id,
                     const krs_log_field *fields, size_t n_fields)
{
    if (!bus) {
        return;
    }
    /* Pairs with the release in _seal. */
    KRS_CHECK(atomic_load_explicit(&bus->is_sealed, memory_order_acquire));
    const krs_event event = {
        .kind = kind,
        /* Relaxed: only the number's uniqueness matters. */
        .number = atomic_fetch_add_explicit(&bus->n_published, 1, memory_order_relaxed) + 1,
        .name = krs_event_name(kind),
        .correlation_id = correlation_id ? correlation_id : "",
        .fields = fields,
        .n_fields = n_fields,
    };
    krs_metrics_add(bus->metrics, KRS_METRIC_EVENTS, 1);
    for (uint32_t i = 0; i < bus->n_subscribers; i++) {
        const krs_subscriber *subscriber = &bus->subscribers[i];
        if (krs_event_matches(kind, subscriber->topic)) {
            subscriber->handle(subscriber->ctx, &event);
        }
    }
}

void krs_bus_tell(krs_bus *bus, const krs_log *log, krs_event_kind kind, const char *correlation_id,
                  const krs_log_field *fields, size_t n_fields)
{
    if (bus) {
        krs_bus_publish(bus, kind, correlation_id, fields, n_fields);
    } else {
        krs_log_write(log, krs_event_level(kind), krs_event_name(kind), correlation_id, fields,
                      n_fields);
    }
}

static void write_to_log(void *ctx, const krs_event *event)
{
    const krs_log *log = ctx;
    krs_log_write(log, event_rows[event->kind].level, event->name, event->correlation_id,
                  event->fields, event->n_fields);
}

krs_subscriber krs_bus_log_subscriber(const krs_log *log)
{
    /* A krs_log is only read; ctx is shared with subscribers that write. */
    return (krs_subscriber){"log", "*", (void *)(uintptr_t)log, write_to_log};
}
