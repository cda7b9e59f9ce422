/* service/access.c - see access.h and access_priv.h. */
#include "service/access_priv.h"

#include "os/clock.h"
#include "os/file.h"
#include "service/service_priv.h"

/* When an answer of one's own must end first, nobody knows when: ask again soon. */
#define CONCURRENT_RETRY_MS 1000u
#define NS_TO_MS(ns)        ((uint32_t)((ns) / KRS_NS_PER_MS) + 1)

static krs_bucket_rate rate_of(_Atomic uint64_t *word)
{
    const uint64_t both = atomic_load_explicit(word, memory_order_relaxed);
    return (krs_bucket_rate){(uint32_t)(both >> 32), (uint32_t)both};
}

static void set_rate(_Atomic uint64_t *word, krs_bucket_rate rate)
{
    atomic_store_explicit(word, (uint64_t)rate.per_minute << 32 | rate.burst, memory_order_relaxed);
}

krs_tenant *krs_keys_tenant(krs_service *service, uint32_t number)
{
    krs_keys *keys = &service->keys;
    /* Acquire pairs with the release in add_tenant: the tenant is whole. */
    krs_tenant *tenant = number < KRS_MAX_TENANTS
                             ? atomic_load_explicit(&keys->table[number], memory_order_acquire)
                             : NULL;
    return tenant ? tenant : atomic_load_explicit(&keys->table[0], memory_order_acquire);
}

const char *krs_service_tenant_name(krs_service *service, uint32_t tenant)
{
    return krs_keys_tenant(service, tenant)->name;
}

uint32_t krs_service_tenant_weight(krs_service *service, uint32_t tenant)
{
    return atomic_load_explicit(&krs_keys_tenant(service, tenant)->weight, memory_order_relaxed);
}

/* --- rates --- */

/* Of no field: the request itself is right. */
static krs_status refuse(krs_tenant *tenant, krs_error *err, const char *what, uint32_t limit,
                         uint32_t retry_after_ms)
{
    (void)atomic_fetch_add_explicit(&tenant->n_refused, 1, memory_order_relaxed);
    const krs_status status =
        krs_fail(err, KRS_EBUSY, "This key is at its limit of %u %s; try again in %u ms.", limit,
                 what, retry_after_ms);
    if (err) {
        err->retry_after_ms = retry_after_ms;
    }
    return status;
}

krs_status krs_service_spend_call(krs_service *service, uint32_t number, krs_error *err)
{
    krs_tenant *tenant = krs_keys_tenant(service, number);
    const krs_bucket_rate rate = rate_of(&tenant->calls_rate);
    uint64_t retry_ns;
    if (krs_bucket_take(&tenant->calls, rate, 1, krs_os_now_ns(), &retry_ns)) {
        return KRS_OK;
    }
    krs_metrics_add(service->options.metrics, KRS_METRIC_TENANT_REFUSED, 1);
    return refuse(tenant, err, "requests a minute", rate.per_minute, NS_TO_MS(retry_ns));
}

krs_status krs_tenant_enter(krs_tenant *tenant, uint64_t now_ns, krs_error *err)
{
    const krs_bucket_rate rate = rate_of(&tenant->tokens_rate);
    uint64_t retry_ns;
    if (!krs_bucket_has_any(&tenant->tokens, rate, now_ns, &retry_ns)) {
        return refuse(tenant, err, "tokens a minute", rate.per_minute, NS_TO_MS(retry_ns));
    }
    const uint32_t max = atomic_load_explicit(&tenant->max_in_flight, memory_order_relaxed);
    const uint32_t n = atomic_fetch_add_explicit(&tenant->n_in_flight, 1, memory_order_relaxed) + 1;
    if (max > 0 && n > max) {
        krs_tenant_leave(tenant);
        return refuse(tenant, err, "answers at once", max, CONCURRENT_RETRY_MS);
    }
    return KRS_OK;
}

void krs_tenant_leave(krs_tenant *tenant)
{
    (void)atomic_fetch_sub_explicit(&tenant->n_in_flight, 1, memory_order_relaxed);
}

void krs_tenant_charge(krs_tenant *tenant, uint32_t n_tokens, uint64_t now_ns)
{
    (void)atomic_fetch_add_explicit(&tenant->n_tokens, n_tokens, memory_order_relaxed);
    krs_bucket_charge(&tenant->tokens, rate_of(&tenant->tokens_rate), n_tokens, now_ns);
}

/* --- keys --- */

bool krs_service_has_keys(krs_service *service)
{
    return service->keys.path != NULL;
}

/* Every row is compared, also after the one that fits: the time tells nothing about where it stands. */
static uint32_t find_row(const krs_keyfile *file, const uint8_t digest[KRS_SHA256_BYTES])
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < file->n_rows; i++) {
        const uint32_t is_same =
            krs_secret_equal(file->rows[i].digest, digest, KRS_SHA256_BYTES) ? UINT32_MAX : 0;
        found = (found & ~is_same) | (i & is_same);
    }
    return found;
}

/* Fills out when the key is a known one. */
static bool look_up(krs_service *service, krs_str key, krs_access *out)
{
    krs_keys *keys = &service->keys;
    uint8_t digest[KRS_SHA256_BYTES];
    krs_sha256(key, digest);
    krs_os_mutex_lock(keys->mutex);
    const uint32_t i = find_row(&keys->file, digest);
    const bool is_known = i != UINT32_MAX && key.len > 0;
    if (is_known) {
        const krs_key_row *row = &keys->file.rows[i];
        out->tenant = keys->tenants[i];
        out->is_admin = row->is_admin;
        out->best_priority = row->best_priority;
        memcpy(out->name, row->name, sizeof(out->name));
    }
    krs_os_mutex_unlock(keys->mutex);
    krs_secret_wipe(digest, sizeof(digest));
    return is_known;
}

bool krs_service_knows_key(krs_service *service, krs_str key)
{
    krs_access access;
    return !service->keys.path || look_up(service, key, &access);
}

krs_status krs_service_authenticate(krs_service *service, krs_str key, krs_access *out,
                                    krs_error *err)
{
    *out = (krs_access){.is_admin = true, .best_priority = KRS_PRIORITY_URGENT};
    if (service->keys.path && !look_up(service, key, out)) {
        *out = (krs_access){.best_priority = KRS_PRIORITY_BACKGROUND};
        krs_metrics_add(service->options.metrics, KRS_METRIC_AUTH_FAILURES, 1);
        return krs_fail(err, KRS_EAUTH, "A valid API key is required.");
    }
    return KRS_OK;
}

/* --- the table of tenants; under the mutex --- */

static void set_limits(krs_tenant *tenant, const krs_tenant_limits *limits)
{
    set_rate(&tenant->calls_rate, limits->calls);
    set_rate(&tenant->tokens_rate, limits->tokens);
    atomic_store_explicit(&tenant->max_in_flight, limits->max_in_flight, memory_order_relaxed);
    atomic_store_explicit(&tenant->weight, limits->weight, memory_order_relaxed);
}

static krs_status add_tenant(krs_service *service, const char *name, uint32_t *number,
                             krs_error *err)
{
    krs_keys *keys = &service->keys;
    if (keys->n_tenants == KRS_MAX_TENANTS) {
        return krs_fail(err, KRS_ETOOLARGE, "more than %d names since the start",
                        KRS_MAX_TENANTS - 1);
    }
    krs_tenant *tenant = krs_alloc_zero(service->alloc, sizeof(*tenant));
    if (!tenant) {
        return krs_fail(err, KRS_ENOMEM, "no memory for a tenant");
    }
    memcpy(tenant->name, name, strlen(name) + 1);
    atomic_store_explicit(&tenant->weight, 1, memory_order_relaxed);
    *number = keys->n_tenants++;
    atomic_store_explicit(&keys->table[*number], tenant, memory_order_release);
    return KRS_OK;
}

/* The tenant of a name, made when it is new. */
static krs_status number_of(krs_service *service, const char *name, uint32_t *number,
                            krs_error *err)
{
    krs_keys *keys = &service->keys;
    for (uint32_t i = 1; i < keys->n_tenants; i++) {
        if (strcmp(krs_keys_tenant(service, i)->name, name) == 0) {
            *number = i;
            return KRS_OK;
        }
    }
    return add_tenant(service, name, number, err);
}

/* Number every row. On failure some tenants may be new, without a key that leads to them: harmless. */
static krs_status number_rows(krs_service *service, const krs_keyfile *file, uint32_t *tenants,
                              krs_error *err)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < file->n_rows; i++) {
        status = number_of(service, file->rows[i].name, &tenants[i], err);
    }
    return status;
}

/* Put file in the place of the old one; takes it on success. */
static krs_status install(krs_service *service, krs_keyfile *file, krs_error *err)
{
    krs_keys *keys = &service->keys;
    uint32_t *tenants =
        krs_alloc_array(service->alloc, file->n_rows ? file->n_rows : 1, sizeof(*tenants));
    if (!tenants) {
        return krs_fail(err, KRS_ENOMEM, "no memory for %u keys", file->n_rows);
    }
    krs_os_mutex_lock(keys->mutex);
    const krs_status status = number_rows(service, file, tenants, err);
    if (status == KRS_OK) {
        for (uint32_t i = 0; i < file->n_rows; i++) {
            if (file->rows[i].is_first) {
                set_limits(krs_keys_tenant(service, tenants[i]), &file->rows[i].limits);
            }
        }
        const krs_keyfile old_file = keys->file;
        uint32_t *old_tenants = keys->tenants;
        keys->file = *file;
        keys->tenants = tenants;
        *file = old_file;
        tenants = old_tenants;
    }
    krs_os_mutex_unlock(keys->mutex);
    krs_alloc_free(service->alloc, tenants);
    return status;
}

static krs_status read_keys(krs_service *service, uint32_t *n_keys, krs_error *err)
{
    krs_buf text;
    krs_buf_init(&text, service->alloc, KRS_KEYFILE_MAX_BYTES);
    krs_keyfile file = {.alloc = service->alloc};
    krs_status status = krs_os_file_read(service->keys.path, &text, err);
    if (status == KRS_OK) {
        status = krs_keyfile_parse(krs_buf_view(&text), service->alloc, &file, err);
    }
    *n_keys = file.n_rows;
    if (status == KRS_OK) {
        status = install(service, &file, err);
    }
    krs_keyfile_deinit(&file);
    krs_buf_deinit(&text);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "the key file");
}

krs_status krs_service_reload_keys(krs_service *service, krs_error *err)
{
    if (!service->keys.path) {
        return KRS_OK;
    }
    krs_error why = KRS_ERROR_INIT;
    uint32_t n_keys = 0;
    const krs_status status = read_keys(service, &n_keys, &why);
    if (status != KRS_OK) {
        const krs_log_field fields[] = {krs_log_text("status", krs_status_name(status)),
                                        krs_log_text("message", why.message)};
        krs_service_publish(service, KRS_EVENT_KEYS_REFUSED, NULL, fields, 2);
        if (err) {
            *err = why;
        }
        return status;
    }
    const krs_log_field field = krs_log_int("keys", n_keys);
    krs_service_publish(service, KRS_EVENT_KEYS_LOADED, NULL, &field, 1);
    return KRS_OK;
}

krs_status krs_keys_init(krs_service *service, krs_error *err)
{
    krs_keys *keys = &service->keys;
    const char *path = service->options.key_file;
    uint32_t nobody = 0;
    if (krs_os_mutex_new(&keys->mutex) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "service: no memory for a lock");
    }
    const krs_status status = add_tenant(service, "", &nobody, err);
    if (status != KRS_OK || !path) {
        return status;
    }
    keys->path = krs_alloc_text(service->alloc, path, strlen(path));
    return keys->path ? krs_service_reload_keys(service, err)
                      : krs_fail(err, KRS_ENOMEM, "no memory for a path");
}

void krs_keys_deinit(krs_service *service)
{
    krs_keys *keys = &service->keys;
    for (uint32_t i = 0; i < keys->n_tenants; i++) {
        krs_alloc_free(service->alloc, atomic_load_explicit(&keys->table[i], memory_order_relaxed));
    }
    krs_keyfile_deinit(&keys->file);
    krs_alloc_free(service->alloc, keys->tenants);
    krs_alloc_free(service->alloc, keys->path);
    krs_os_mutex_free(keys->mutex);
}
