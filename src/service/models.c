/* service/models.c - see models.h and models_priv.h. */
#include "service/models_priv.h"

#include "base/check.h"
#include "service/breakers.h"
#include "service/service_priv.h"

#include <string.h>

#define LOADING_RETRY_MS                                                                           \
    1000u /* a small model is there by then, a large one answers the same again */

const char *krs_model_state_name(krs_model_state state)
{
    static const char *const names[] = {"loading", "ready", "draining", "failed"};
    const unsigned i = (unsigned)state;
    return i < KRS_MODEL_STATE_COUNT ? names[i] : "unknown";
}

/* --- the table; every function here runs under the mutex --- */

static krs_model *find(krs_models *models, const char *id, krs_slot_state state)
{
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state == state && strcmp(slot->id, id) == 0) {
            return slot;
        }
    }
    return NULL;
}

/* The READY slot after `order`; NULL: no more. */
static krs_model *next_ready(krs_models *models, uint64_t order)
{
    krs_model *best = NULL;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        const bool is_later = slot->state == KRS_SLOT_READY && slot->order > order;
        if (is_later && (!best || slot->order < best->order)) {
            best = slot;
        }
    }
    return best;
}

static uint32_t count(const krs_models *models, krs_slot_state state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        n += models->slots[i].state == state;
    }
    return n;
}

void krs_models_clear(krs_service *service, krs_model *slot)
{
    KRS_CHECK(slot->n_leases == 0 && !slot->waits);
    krs_alloc_free(service->alloc, slot->path);
    *slot = (krs_model){.state = KRS_SLOT_FREE};
}

/* A FREE slot, or the oldest remembered failure; NULL: all are in use. */
static krs_model *take_slot(krs_service *service)
{
    krs_models *models = &service->models;
    krs_model *oldest = NULL;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state == KRS_SLOT_FREE) {
            return slot;
        }
        if (slot->state == KRS_SLOT_FAILED && (!oldest || slot->ticket < oldest->ticket)) {
            oldest = slot;
        }
    }
    if (oldest) {
        krs_models_clear(service, oldest);
    }
    return oldest;
}

/* --- leases --- */

static krs_status fail_absent(krs_service *service, const char *id, krs_error *err)
{
    if (find(&service->models, id, KRS_SLOT_LOADING)) {
        const krs_status status = krs_fail_field(
            err, KRS_EUNAVAILABLE, "model", "model: %.100s is being loaded; try again soon.", id);
        if (err) {
            err->retry_after_ms = LOADING_RETRY_MS;
        }
        return status;
    }
    const krs_model *failed = find(&service->models, id, KRS_SLOT_FAILED);
    if (failed) {
        return krs_fail_field(err, KRS_ENOTLOADED, "model", "model: %.60s could not be loaded: %s",
                              id, krs_status_sentence(failed->error.status));
    }
    return id[0] ? krs_fail_field(err, KRS_ENOTLOADED, "model", "model: %.100s is not loaded", id)
                 : krs_fail_field(err, KRS_ENOTLOADED, "model", "model: none is loaded");
}

krs_status krs_models_lease(krs_service *service, const char *id, krs_model **out, krs_error *err)
{
    krs_models *models = &service->models;
    krs_os_mutex_lock(models->mutex);
    krs_model *slot = id[0] ? find(models, id, KRS_SLOT_READY) : next_ready(models, 0);
    krs_status status = KRS_OK;
    if (slot) {
        slot->n_leases++;
    } else {
        status = fail_absent(service, id, err);
    }
    krs_os_mutex_unlock(models->mutex);
    *out = slot;
    return status;
}

void krs_models_release(krs_service *service, krs_model *model)
{
    krs_models *models = &service->models;
    krs_os_mutex_lock(models->mutex);
    KRS_CHECK(model->n_leases > 0);
    model->n_leases--;
    if (model->n_leases == 0 && model->state == KRS_SLOT_DRAINING) {
        if (model->is_owned) {
            krs_os_cond_signal(models->cond); /* the loader thread frees it */
        } else {
            krs_models_clear(service, model);
        }
    }
    krs_os_mutex_unlock(models->mutex);
}

uint32_t krs_models_lease_all(krs_service *service, krs_model *out[KRS_SERVICE_MAX_MODELS])
{
    krs_models *models = &service->models;
    uint32_t n = 0;
    krs_os_mutex_lock(models->mutex);
    for (krs_model *slot = next_ready(models, 0); slot && n < KRS_SERVICE_MAX_MODELS;
         slot = next_ready(models, slot->order)) {
        slot->n_leases++;
        out[n++] = slot;
    }
    krs_os_mutex_unlock(models->mutex);
    return n;
}

bool krs_models_is_loading(krs_service *service)
{
    krs_os_mutex_lock(service->models.mutex);
    const bool is_loading = count(&service->models, KRS_SLOT_LOADING) > 0;
    krs_os_mutex_unlock(service->models.mutex);
    return is_loading;
}

/* --- asking --- */

krs_status krs_service_model(krs_service *service, const char *id, krs_model_info *out,
                             krs_error *err)
{
    krs_model *model = NULL;
    const krs_status status = krs_models_lease(service, id, &model, err);
    if (status == KRS_OK) {
        *out = model->info;
        krs_models_release(service, model);
    }
    return status;
}

uint32_t krs_service_models(krs_service *service, krs_model_info *out, uint32_t max)
{
    krs_models *models = &service->models;
    uint32_t n = 0;
    krs_os_mutex_lock(models->mutex);
    for (const krs_model *slot = next_ready(models, 0); slot && n < max;
         slot = next_ready(models, slot->order)) {
        out[n++] = slot->info;
    }
    krs_os_mutex_unlock(models->mutex);
    return n;
}

static bool is_before(const krs_model *a, const krs_model *b)
{
    return a->order != b->order ? a->order < b->order : a->ticket < b->ticket;
}

/* The used slot after `last` (NULL: the first) by name, then by opening; NULL: no more. */
static const krs_model *next_used(const krs_models *models, const krs_model *last)
{
    const krs_model *best = NULL;
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        const krs_model *slot = &models->slots[i];
        const bool is_later = slot->state != KRS_SLOT_FREE && (!last || is_before(last, slot));
        if (is_later && (!best || is_before(slot, best))) {
            best = slot;
        }
    }
    return best;
}

static krs_model_status status_of(const krs_model *slot)
{
    static const krs_model_state states[] = {
        [KRS_SLOT_LOADING] = KRS_MODEL_LOADING,
        [KRS_SLOT_READY] = KRS_MODEL_READY,
        [KRS_SLOT_DRAINING] = KRS_MODEL_DRAINING,
        [KRS_SLOT_FAILED] = KRS_MODEL_FAILED,
    };
    krs_model_status status = {.state = states[slot->state],
                               .n_in_flight = slot->n_leases,
                               .info = slot->info,
                               .error = slot->error};
    memcpy(status.info.id, slot->id, sizeof(status.info.id));
    return status;
}

uint32_t krs_service_list_models(krs_service *service, krs_model_status *out, uint32_t max)
{
    krs_models *models = &service->models;
    uint32_t n = 0;
    krs_os_mutex_lock(models->mutex);
    for (const krs_model *slot = next_used(models, NULL); slot && n < max;
         slot = next_used(models, slot)) {
        out[n++] = status_of(slot);
    }
    krs_os_mutex_unlock(models->mutex);
    return n;
}

/* --- loading and unloading --- */

/* A name that URLs, logs and metrics carry as it is. */
static bool is_plain_id(const char id[KRS_MODEL_ID_BYTES])
{
    bool is_plain = id[0] != '\0' && memchr(id, '\0', KRS_MODEL_ID_BYTES);
    for (const char *c = id; is_plain && *c; c++) {
        is_plain = (unsigned char)*c > ' ' && *c != 0x7F && !strchr("\"'\\", *c);
    }
    return is_plain;
}

static krs_status check_spec(const krs_service *service, const krs_model_spec *spec, krs_error *err)
{
    if (!is_plain_id(spec->id)) {
        return krs_fail_field(err, KRS_EINVAL, "model_id",
                              "model_id: want 1..%d characters without blanks, quotes and "
                              "backslashes",
                              KRS_MODEL_ID_BYTES - 1);
    }
    if (!spec->path || !spec->path[0]) {
        return krs_fail_field(err, KRS_EINVAL, "local_path", "local_path: a folder is required");
    }
    if (!service->options.opener.open) {
        return krs_fail(err, KRS_EUNSUPPORTED, "models cannot be loaded while this runs");
    }
    if (atomic_load_explicit(&service->is_draining, memory_order_relaxed)) {
        return krs_fail(err, KRS_EUNAVAILABLE, "The server is shutting down.");
    }
    return KRS_OK;
}

/* Put a new LOADING slot into the table; takes path. NULL: too many. */
static krs_model *begin_load(krs_service *service, const krs_model_spec *spec, char *path)
{
    krs_models *models = &service->models;
    const krs_model *old = find(models, spec->id, KRS_SLOT_READY);
    const uint32_t n_names = count(models, KRS_SLOT_READY) + count(models, KRS_SLOT_LOADING);
    krs_model *slot = n_names < KRS_SERVICE_MAX_MODELS + (old != NULL) ? take_slot(service) : NULL;
    if (slot) {
        const uint64_t ticket = ++models->last_ticket;
        *slot = (krs_model){.state = KRS_SLOT_LOADING,
                            .is_owned = true,
                            .order = old ? old->order : ticket,
                            .ticket = ticket,
                            .path = path,
                            .context_tokens = spec->context_tokens};
        memcpy(slot->id, spec->id, sizeof(slot->id));
    }
    return slot;
}

/* Under the mutex: join the running load of that name, or begin one. Takes path and wait on success;
 * *path is NULL when it was not needed. */
static krs_status queue_load(krs_service *service, const krs_model_spec *spec, char **path,
                             krs_model_wait *wait, krs_error *err)
{
    krs_models *models = &service->models;
    if (models->n_waits == KRS_MODELS_MAX_WAITS) {
        return krs_fail(err, KRS_EBUSY, "%d loads are waited for, which is the limit",
                        KRS_MODELS_MAX_WAITS);
    }
    krs_model *slot = find(models, spec->id, KRS_SLOT_LOADING);
    if (slot && (slot->is_cancelled || strcmp(slot->path, spec->path) != 0 ||
                 slot->context_tokens != spec->context_tokens)) {
        return krs_fail_field(err, KRS_EBUSY, "model_id",
                              "model_id: %.100s is being loaded another way; try again", spec->id);
    }
    if (!slot) {
        slot = begin_load(service, spec, *path);
        if (!slot) {
            return krs_fail(err, KRS_EBUSY,
                            "%d models are loaded or being loaded, the most there are",
                            KRS_SERVICE_MAX_MODELS);
        }
        *path = NULL;
    }
    wait->next = slot->waits;
    slot->waits = wait;
    models->n_waits++;
    krs_os_cond_signal(models->cond);
    return KRS_OK;
}

krs_status krs_service_load_model(krs_service *service, const krs_model_spec *spec,
                                  krs_model_loaded done, void *ctx, krs_error *err)
{
    krs_status status = check_spec(service, spec, err);
    if (status == KRS_OK) {
        status = krs_breakers_look(service, KRS_BREAKER_LOAD, spec->id, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    char *path = krs_alloc_text(service->alloc, spec->path, strlen(spec->path));
    krs_model_wait *wait = krs_alloc_zero(service->alloc, sizeof(*wait));
    if (path && wait) {
        *wait = (krs_model_wait){.done = done, .ctx = ctx};
        krs_os_mutex_lock(service->models.mutex);
        status = queue_load(service, spec, &path, wait, err);
        krs_os_mutex_unlock(service->models.mutex);
    } else {
        status = krs_fail(err, KRS_ENOMEM, "no memory to load a model");
    }
    if (status != KRS_OK) {
        krs_alloc_free(service->alloc, wait);
    }
    krs_alloc_free(service->alloc, path);
    return status;
}

/* Under the mutex. */
static bool unload_slot(krs_service *service, krs_model *slot)
{
    switch (slot->state) {
    case KRS_SLOT_LOADING:
        slot->is_cancelled = true;
        return true;
    case KRS_SLOT_READY:
        slot->state = KRS_SLOT_DRAINING;
        if (slot->n_leases == 0 && !slot->is_owned) {
            krs_models_clear(service, slot);
        }
        return true;
    case KRS_SLOT_FAILED:
        krs_models_clear(service, slot);
        return true;
    default:
        return false;
    }
}

krs_status krs_service_unload_model(krs_service *service, const char *id, krs_error *err)
{
    krs_models *models = &service->models;
    bool is_known = false;
    bool is_gone = false; /* it was borrowed and idle: nobody else will tell */
    krs_os_mutex_lock(models->mutex);
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state != KRS_SLOT_FREE && strcmp(slot->id, id) == 0) {
            const bool was_ready = slot->state == KRS_SLOT_READY;
            is_known = unload_slot(service, slot) || is_known;
            is_gone = is_gone || (was_ready && slot->state == KRS_SLOT_FREE);
        }
    }
    krs_os_cond_signal(models->cond);
    krs_os_mutex_unlock(models->mutex);
    if (is_gone) {
        const krs_log_field field = krs_log_text("model", id);
        krs_service_publish(service, KRS_EVENT_MODEL_UNLOADED, NULL, &field, 1);
    }
    return is_known
               ? KRS_OK
               : krs_fail_field(err, KRS_ENOTLOADED, "model", "model: %.100s is not loaded", id);
}

/* --- life --- */

/* The runtime that came with the options, by its own name. */
static void adopt_first(krs_service *service)
{
    krs_model *slot = &service->models.slots[0];
    const uint64_t ticket = ++service->models.last_ticket;
    *slot = (krs_model){.state = KRS_SLOT_READY,
                        .is_owned = service->options.is_runtime_given,
                        .order = ticket,
                        .ticket = ticket,
                        .runtime = service->options.runtime};
    (void)krs_runtime_models(slot->runtime, &slot->info, 1);
    memcpy(slot->id, slot->info.id, sizeof(slot->id));
}

krs_status krs_models_init(krs_service *service, krs_error *err)
{
    krs_models *models = &service->models;
    if (krs_os_mutex_new(&models->mutex) != KRS_OK || krs_os_cond_new(&models->cond) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "service: no memory for a lock");
    }
    if (service->options.runtime) {
        adopt_first(service);
    }
    if (!service->options.opener.open && !service->options.is_runtime_given) {
        return KRS_OK;
    }
    return krs_os_thread_start("krs-load", krs_models_run_loader, service, &models->loader, err);
}

/* A load nobody will run: its waiters are told. */
static void abandon_load(krs_service *service, krs_model *slot)
{
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_fail(&err, KRS_EUNAVAILABLE, "The server is shutting down.");
    krs_model_wait *waits = slot->waits;
    slot->waits = NULL;
    krs_models_clear(service, slot);
    krs_models_tell(service, waits, status, NULL, &err);
}

void krs_models_stop(krs_service *service)
{
    krs_models *models = &service->models;
    if (models->loader) {
        krs_os_mutex_lock(models->mutex);
        models->is_stopping = true;
        krs_os_cond_signal(models->cond);
        krs_os_mutex_unlock(models->mutex);
        krs_os_thread_join(models->loader);
        models->loader = NULL;
    }
    for (uint32_t i = 0; i < KRS_MODELS_SLOTS; i++) {
        krs_model *slot = &models->slots[i];
        if (slot->state == KRS_SLOT_LOADING) {
            abandon_load(service, slot);
        } else if (slot->state != KRS_SLOT_FREE && slot->is_owned) {
            krs_runtime_free(slot->runtime); /* NULL for a failure that is remembered */
            slot->runtime = NULL;
            slot->is_owned = false;
            slot->state = KRS_SLOT_DRAINING; /* end events may still be shown to us */
            if (slot->n_leases == 0) {
                krs_models_clear(service, slot);
            }
        }
    }
}

void krs_models_deinit(krs_service *service)
{
    krs_os_cond_free(service->models.cond);
    krs_os_mutex_free(service->models.mutex);
}
