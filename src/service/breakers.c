/* service/breakers.c - see breakers.h. */
#include "service/breakers.h"

#include "os/clock.h"
#include "service/service_priv.h"

#include <string.h>

static const char *const method_names[KRS_BREAKER_METHOD_COUNT] = {"generate", "load_model"};

krs_status krs_breakers_init(krs_breakers *breakers, krs_error *err)
{
    const krs_status status = krs_os_mutex_new(&breakers->mutex);
    return status == KRS_OK ? status : krs_fail(err, status, "service: no memory for a lock");
}

void krs_breakers_deinit(krs_breakers *breakers)
{
    krs_os_mutex_free(breakers->mutex);
}

/* Under the mutex. */
static krs_breaker_entry *find(krs_breakers *breakers, krs_breaker_method method, const char *id)
{
    for (uint32_t i = 0; i < KRS_BREAKERS_MAX; i++) {
        krs_breaker_entry *entry = &breakers->entries[i];
        if (entry->is_used && entry->method == method && strcmp(entry->id, id) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Under the mutex: a place for a pair that fails for the first time. */
static krs_breaker_entry *add(krs_breakers *breakers, krs_breaker_method method, const char *id)
{
    krs_breaker_entry *place = &breakers->entries[0];
    for (uint32_t i = 1; i < KRS_BREAKERS_MAX && place->is_used; i++) {
        krs_breaker_entry *entry = &breakers->entries[i];
        if (!entry->is_used || entry->used_ns < place->used_ns) {
            place = entry;
        }
    }
    if (!place->is_used) {
        /* Relaxed: whoever reads 0 only misses a breaker that is being made. */
        atomic_fetch_add_explicit(&breakers->n_used, 1, memory_order_relaxed);
    }
    *place = (krs_breaker_entry){.is_used = true, .method = method};
    const size_t n = strlen(id);
    memcpy(place->id, id, n < sizeof(place->id) ? n : sizeof(place->id) - 1);
    return place;
}

static bool is_empty(krs_breakers *breakers)
{
    return atomic_load_explicit(&breakers->n_used, memory_order_relaxed) == 0;
}

static krs_status refuse(krs_service *service, krs_breaker_method method, const char *id,
                         uint64_t retry_after_ns, krs_error *err)
{
    const uint32_t retry_ms = (uint32_t)(retry_after_ns / KRS_NS_PER_MS) + 1;
    krs_metrics_add(service->options.metrics, KRS_METRIC_BREAKER_REFUSED, 1);
    const krs_status status = krs_fail_field(
        err, KRS_EUNAVAILABLE, "model", "model: %s of %.100s failed too often; try again in %u ms.",
        method_names[method], id, retry_ms);
    if (err) {
        err->retry_after_ms = retry_ms;
    }
    return status;
}

static krs_status ask(krs_service *service, krs_breaker_method method, const char *id,
                      bool (*question)(krs_breaker *, uint64_t, uint64_t *), krs_error *err)
{
    krs_breakers *breakers = &service->breakers;
    if (is_empty(breakers)) {
        return KRS_OK;
    }
    const uint64_t now_ns = krs_os_now_ns();
    uint64_t retry_after_ns = 0;
    bool may_pass = true;
    krs_os_mutex_lock(breakers->mutex);
    krs_breaker_entry *entry = find(breakers, method, id);
    if (entry) {
        entry->used_ns = now_ns;
        may_pass = question(&entry->breaker, now_ns, &retry_after_ns);
    }
    krs_os_mutex_unlock(breakers->mutex);
    return may_pass ? KRS_OK : refuse(service, method, id, retry_after_ns, err);
}

static bool only_look(krs_breaker *breaker, uint64_t now_ns, uint64_t *retry_after_ns)
{
    return krs_breaker_look(breaker, now_ns, retry_after_ns);
}

krs_status krs_breakers_look(krs_service *service, krs_breaker_method method, const char *id,
                             krs_error *err)
{
    return ask(service, method, id, only_look, err);
}

krs_status krs_breakers_enter(krs_service *service, krs_breaker_method method, const char *id,
                              krs_error *err)
{
    return ask(service, method, id, krs_breaker_enter, err);
}

static void tell(krs_service *service, krs_breaker_method method, const char *id,
                 krs_breaker_state state)
{
    const krs_log_field fields[] = {krs_log_text("method", method_names[method]),
                                    krs_log_text("model", id)};
    const bool is_open = state == KRS_BREAKER_OPEN;
    if (is_open) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_BREAKER_OPENED, 1);
    }
    krs_service_publish(service, is_open ? KRS_EVENT_BREAKER_OPENED : KRS_EVENT_BREAKER_CLOSED,
                        NULL, fields, 2);
}

void krs_breakers_leave(krs_service *service, krs_breaker_method method, const char *id,
                        krs_status status)
{
    krs_breakers *breakers = &service->breakers;
    const krs_breaker_outcome outcome = krs_breaker_outcome_of(status);
    if (outcome != KRS_BREAKER_BAD && is_empty(breakers)) {
        return;
    }
    const uint64_t now_ns = krs_os_now_ns();
    bool has_changed = false;
    krs_breaker_state state = KRS_BREAKER_CLOSED;
    krs_os_mutex_lock(breakers->mutex);
    krs_breaker_entry *entry = find(breakers, method, id);
    if (!entry && outcome == KRS_BREAKER_BAD) {
        entry = add(breakers, method, id);
    }
    if (entry) {
        entry->used_ns = now_ns;
        has_changed = krs_breaker_leave(&entry->breaker, outcome, now_ns);
        state = entry->breaker.state;
    }
    krs_os_mutex_unlock(breakers->mutex);
    if (has_changed) {
        tell(service, method, id, state);
    }
}

void krs_breakers_reset(krs_service *service, krs_breaker_method method, const char *id)
{
    krs_breakers *breakers = &service->breakers;
    bool was_open = false;
    krs_os_mutex_lock(breakers->mutex);
    krs_breaker_entry *entry = find(breakers, method, id);
    if (entry) {
        was_open = entry->breaker.state != KRS_BREAKER_CLOSED;
        *entry = (krs_breaker_entry){.is_used = false};
        atomic_fetch_sub_explicit(&breakers->n_used, 1, memory_order_relaxed);
    }
    krs_os_mutex_unlock(breakers->mutex);
    if (was_open) {
        tell(service, method, id, KRS_BREAKER_CLOSED);
    }
}

uint32_t krs_breakers_count_open(krs_service *service)
{
    krs_breakers *breakers = &service->breakers;
    uint32_t n = 0;
    krs_os_mutex_lock(breakers->mutex);
    for (uint32_t i = 0; i < KRS_BREAKERS_MAX; i++) {
        const krs_breaker_entry *entry = &breakers->entries[i];
        n += entry->is_used && entry->breaker.state != KRS_BREAKER_CLOSED;
    }
    krs_os_mutex_unlock(breakers->mutex);
    return n;
}
