/* service/loader.c - the thread that opens and frees runtimes (see models_priv.h).
 *
 * Freeing comes before opening: it makes the room that opening needs. One load at a time, in the order they
 * were asked for: two at once would only fight for the disk and plan the same free memory twice.
 * What an opener says may quote the folder it was given; clients get the reason without it.
 *
 * Thread: the loader.  Memory: none of its own. */
#include "base/check.h"
#include "os/clock.h"
#include "service/breakers.h"
#include "service/models_priv.h"
#include "service/service_priv.h"

#include <string.h>

/* Under the mutex: a model whose last answer is out. */
static krs_model *find_drained(krs_models *models)
{
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state == KRS_SLOT_DRAINING && slot->n_leases == 0 && slot->is_owned) {
            return slot;
        }
    }
    return NULL;
}

/* Under the mutex: the load that waits longest. */
static krs_model *find_load(krs_models *models)
{
    krs_model *first = NULL;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state == KRS_SLOT_LOADING && (!first || slot->ticket < first->ticket)) {
            first = slot;
        }
    }
    return first;
}

/* Take every occurrence of path out of a message, with the slash or colon after it. A bare name tells nothing
 * about the host, and may be an ordinary word. */
static void hide_path(char *message, const char *path)
{
    if (!strchr(path, '/')) {
        return;
    }
    const size_t n = strlen(path);
    for (char *at = strstr(message, path); at; at = strstr(at, path)) {
        const size_t n_after = strspn(at + n, "/: ");
        memmove(at, at + n + n_after, strlen(at + n + n_after) + 1);
    }
}

void krs_models_tell(krs_service *service, krs_model_wait *waits, krs_status status,
                     const krs_model_info *info, const krs_error *err)
{
    uint32_t n = 0;
    while (waits) {
        krs_model_wait *wait = waits;
        waits = wait->next;
        if (wait->done) {
            wait->done(wait->ctx, status, status == KRS_OK ? info : NULL, err);
        }
        krs_alloc_free(service->alloc, wait);
        n++;
    }
    krs_os_mutex_lock(service->models.mutex);
    service->models.n_waits -= n;
    krs_os_mutex_unlock(service->models.mutex);
}

static void publish_loaded(krs_service *service, const krs_model_info *info, uint64_t took_ns)
{
    const krs_log_field fields[] = {
        krs_log_text("model", info->id),
        krs_log_text("family", info->family),
        krs_log_int("file_bytes", (int64_t)info->file_bytes),
        krs_log_int("load_ms", (int64_t)(took_ns / KRS_NS_PER_MS)),
    };
    krs_service_publish(service, KRS_EVENT_MODEL_LOADED, NULL, fields, 4);
}

static void publish_failed(krs_service *service, const char *id, const krs_error *err)
{
    const krs_log_field fields[] = {
        krs_log_text("model", id),
        krs_log_text("status", krs_status_name(err->status)),
        krs_log_text("message", err->message),
    };
    krs_service_publish(service, KRS_EVENT_MODEL_FAILED, NULL, fields, 3);
}

/* Under the mutex. READY: what answered by this name before drains, what failed by it is forgotten. */
static void make_ready(krs_service *service, krs_model *slot, krs_runtime *runtime)
{
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *other = &service->models.slots[i];
        if (other == slot || other->state == KRS_SLOT_FREE || strcmp(other->id, slot->id) != 0) {
            continue;
        }
        if (other->state == KRS_SLOT_READY) {
            other->state = KRS_SLOT_DRAINING;
        }
        const bool is_idle = other->state == KRS_SLOT_DRAINING && other->n_leases == 0;
        if (other->state == KRS_SLOT_FAILED || (is_idle && !other->is_owned)) {
            krs_models_clear(service, other);
        }
    }
    slot->state = KRS_SLOT_READY;
    slot->runtime = runtime;
    (void)krs_runtime_models(runtime, &slot->info, 1);
    memcpy(slot->info.id, slot->id, sizeof(slot->id));
}

/* Under the mutex. FAILED is remembered unless an older opening still answers. */
static void make_failed(krs_service *service, krs_model *slot, const krs_error *err)
{
    bool is_answered = false;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *other = &service->models.slots[i];
        const bool is_same = other != slot && strcmp(other->id, slot->id) == 0;
        is_answered = is_answered || (is_same && other->state == KRS_SLOT_READY);
        if (is_same && other->state == KRS_SLOT_FAILED) {
            krs_models_clear(service, other);
        }
    }
    if (is_answered || slot->is_cancelled) {
        krs_models_clear(service, slot);
        return;
    }
    slot->state = KRS_SLOT_FAILED;
    slot->error = *err;
}

/* What the opener gave becomes the slot's; the waiters are told outside the lock. */
static void finish_load(krs_service *service, krs_model *slot, krs_runtime *runtime, krs_error *err,
                        uint64_t took_ns)
{
    krs_models *models = &service->models;
    krs_model_info info = {.id = ""};
    char id[KRS_MODEL_ID_BYTES];
    krs_os_mutex_lock(models->mutex);
    memcpy(id, slot->id, sizeof(id));
    if (slot->is_cancelled) {
        (void)krs_fail(err, KRS_ECANCELLED, "model %.100s: unloaded while it was loading", id);
    }
    const krs_status status = err->status;
    krs_model_wait *waits = slot->waits;
    slot->waits = NULL;
    if (status == KRS_OK) {
        make_ready(service, slot, runtime);
        info = slot->info;
    } else {
        make_failed(service, slot, err);
    }
    krs_os_mutex_unlock(models->mutex);
    if (status == KRS_OK) {
        publish_loaded(service, &info, took_ns);
    } else {
        krs_runtime_free(runtime); /* of a load that was cancelled */
        publish_failed(service, id, err);
    }
    krs_models_tell(service, waits, status, &info, err);
}

static void run_load(krs_service *service, krs_model *slot)
{
    krs_model_spec spec = {.path = slot->path, .context_tokens = slot->context_tokens};
    memcpy(spec.id, slot->id, sizeof(spec.id));
    const krs_log_field field = krs_log_text("model", spec.id);
    krs_service_publish(service, KRS_EVENT_MODEL_LOADING, NULL, &field, 1);
    const uint64_t begin_ns = krs_os_now_ns();
    krs_runtime *runtime = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_status status = krs_breakers_enter(service, KRS_BREAKER_LOAD, spec.id, &err);
    if (status == KRS_OK) {
        const krs_opener *opener = &service->options.opener;
        status = opener->open(opener->ctx, &spec, &runtime, &err);
        krs_breakers_leave(service, KRS_BREAKER_LOAD, spec.id, status);
    }
    err.status = status;
    if (status == KRS_OK) {
        krs_breakers_reset(service, KRS_BREAKER_GENERATE, spec.id);
        if (atomic_load_explicit(&service->is_draining, memory_order_relaxed)) {
            krs_runtime_drain(runtime);
        }
    } else {
        hide_path(err.message, spec.path);
    }
    finish_load(service, slot, runtime, &err, krs_os_now_ns() - begin_ns);
}

static void run_free(krs_service *service, krs_model *slot)
{
    krs_runtime_free(slot->runtime);
    const krs_log_field field = krs_log_text("model", slot->id);
    krs_service_publish(service, KRS_EVENT_MODEL_UNLOADED, NULL, &field, 1);
    krs_os_mutex_lock(service->models.mutex);
    krs_models_clear(service, slot);
    krs_os_mutex_unlock(service->models.mutex);
}

void krs_models_run_loader(void *arg)
{
    krs_service *service = arg;
    krs_models *models = &service->models;
    krs_os_mutex_lock(models->mutex);
    while (!models->is_stopping) {
        krs_model *drained = find_drained(models);
        krs_model *load = drained ? NULL : find_load(models);
        if (!drained && !load) {
            krs_os_cond_wait(models->cond, models->mutex);
            continue;
        }
        krs_os_mutex_unlock(models->mutex);
        if (drained) {
            run_free(service, drained);
        } else {
            run_load(service, load);
        }
        krs_os_mutex_lock(models->mutex);
    }
    krs_os_mutex_unlock(models->mutex);
}
