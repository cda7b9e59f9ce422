/* service/access_priv.h - tenants and keys inside a service. For this folder only.
 *
 * A tenant is made by the first key file that names it and never moves: its number is in requests that are
 * under way. Its limits may change under it, so each is an atomic read alone.
 *
 * Thread: keys under the mutex; tenants any. */
#pragma once

#include "os/thread.h"
#include "service/access.h"

#include <stdatomic.h>

typedef struct krs_tenant {
    char name[KRS_TENANT_NAME_BYTES]; /* immutable */
    _Atomic uint64_t calls_rate;      /* per_minute << 32 | burst */
    _Atomic uint64_t tokens_rate;
    _Atomic uint32_t max_in_flight; /* 0: no limit */
    _Atomic uint32_t weight;
    krs_bucket calls;
    krs_bucket tokens;
    _Atomic uint32_t n_in_flight;
    _Atomic uint64_t n_requests; /* let in */
    _Atomic uint64_t n_refused;  /* by its own limits */
    _Atomic uint64_t n_tokens;   /* of prompts and answers */
} krs_tenant;

typedef struct krs_keys {
    krs_os_mutex *mutex;
    char *path;         /* NULL: no key file */
    krs_keyfile file;   /* under the mutex */
    uint32_t *tenants;  /* [file.n_rows] the row's tenant; under the mutex */
    uint32_t n_tenants; /* under the mutex; tenants[0 .. n_tenants) are set */
    krs_tenant *_Atomic table[KRS_MAX_TENANTS];
} krs_keys;

/* Reads the key file of the options. */
KRS_MUST_USE krs_status krs_keys_init(krs_service *service, krs_error *err);
void krs_keys_deinit(krs_service *service);

/* Tenant 0 for a number nobody has. */
krs_tenant *krs_keys_tenant(krs_service *service, uint32_t number);

/* An answer of this tenant begins: its concurrency and tokens are asked.
 * Errors: KRS_EBUSY with err->retry_after_ms. */
KRS_MUST_USE krs_status krs_tenant_enter(krs_tenant *tenant, uint64_t now_ns, krs_error *err);
void krs_tenant_leave(krs_tenant *tenant);

/* It has used n tokens, of prompt or answer. */
void krs_tenant_charge(krs_tenant *tenant, uint32_t n_tokens, uint64_t now_ns);
