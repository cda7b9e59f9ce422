/* service/access.h - who is asking, and what they may do: API keys, tenants, rates.
 *
 * Keys stand in a file (keyfile.h), as the SHA-256 of each and its limits; the key itself is nowhere. A
 * key is compared by its digest, with every one there is and in constant time. Without a key file everyone
 * is tenant 0 and may do what the listener lets them; with one every route but liveness needs a key, and
 * administration needs an admin key. The file is read again on reload; tenants keep their numbers by name, and
 * what they have spent.
 *
 * Thread: any.  Memory: the service's; a tenant, once seen, stays until the service goes.
 * Source: keys are 256 random bits, so one round of SHA-256 is as hard to turn back as many. */
#pragma once

#include "service/keyfile.h"
#include "service/service.h"

typedef struct krs_access {
    uint32_t tenant; /* 0: nobody in particular */
    bool is_admin;
    krs_priority best_priority; /* the most urgent it may ask for */
    char name[KRS_TENANT_NAME_BYTES];
} krs_access;

/* Is a key needed at all? */
bool krs_service_has_keys(krs_service *service);

/* Whose key is this? key: as in "Authorization: Bearer <key>" or "X-Api-Key"; empty: none was given. Without a
 * key file: tenant 0, an admin, whatever the key.
 * Errors: KRS_EAUTH (none, or not a known one: the message does not tell which). */
KRS_MUST_USE krs_status krs_service_authenticate(krs_service *service, krs_str key, krs_access *out,
                                                 krs_error *err);

/* Would it be let in? Counts nothing: for a look before a large body is read. */
bool krs_service_knows_key(krs_service *service, krs_str key);

/* Read the key file again. On failure the old keys stay. KRS_OK and nothing done without a key file.
 * Errors: KRS_EFORMAT (line), KRS_ENOENT, KRS_EPERM, KRS_EIO, KRS_ETOOLARGE (KRS_MAX_TENANTS names since the
 * start), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_reload_keys(krs_service *service, krs_error *err);

/* One call of this tenant, of any kind, now: counts against its request rate.
 * Errors: KRS_EBUSY with err->retry_after_ms. */
KRS_MUST_USE krs_status krs_service_spend_call(krs_service *service, uint32_t tenant,
                                               krs_error *err);

/* The tenant's name, "" for 0 and for numbers nobody has; valid for the service's life. */
const char *krs_service_tenant_name(krs_service *service, uint32_t tenant);

/* Its share of the engine beside others; 1 for those without one. */
uint32_t krs_service_tenant_weight(krs_service *service, uint32_t tenant);
