/* service/access.h - who is asking, and what they may do: API keys, tenants, rates.
 *
 * Keys stand in a file, one a line, as "name sha256-of-the-key" and limits; the key itself is nowhere. A
 * key is compared by its digest in constant time. Without a key file everyone is tenant 0 and may do
 * what the listener lets them; with one every route but liveness needs a key, and administration needs
 * an admin key. The file is read again on reload; tenants keep their numbers by name.
 *
 * Thread: any.  Memory: the service's.
 * Source: keys are 256 random bits, so one round of SHA-256 is as hard to turn back as many. */
#pragma once

#include "service/service.h"

#define KRS_TENANT_NAME_BYTES 64

typedef struct krs_access {
    uint32_t tenant; /* 0: nobody in particular */
    bool is_admin;
    krs_priority best_priority; /* the most urgent it may ask for */
    char name[KRS_TENANT_NAME_BYTES];
} krs_access;

/* Is a key needed at all? */
bool krs_service_has_keys(krs_service *service);

/* Whose key is this? key: as in "Authorization: Bearer <key>" or "X-Api-Key"; empty: none was given.
 * Errors: KRS_EAUTH (none, or not a known one: the message does not tell which). */
KRS_MUST_USE krs_status krs_service_authenticate(krs_service *service, krs_str key, krs_access *out,
                                                 krs_error *err);

/* Read the key file again. On failure the old keys stay. Errors: KRS_EFORMAT (line), KRS_EIO, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_reload_keys(krs_service *service, krs_error *err);

/* One call of this tenant, of any kind, at now: counts against its request rate.
 * Errors: KRS_EBUSY with err->retry_after_ms. */
KRS_MUST_USE krs_status krs_service_spend_call(krs_service *service, uint32_t tenant,
                                               krs_error *err);
