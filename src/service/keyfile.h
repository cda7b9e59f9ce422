/* service/keyfile.h - the file of API keys: one key a line, as the digest of it.
 *
 *   # name     the key's SHA-256                 what it may do
 *   alice      sha256:9f86d081884c7d65...        rpm=60 tpm=100000/200000 concurrent=8 weight=2
 *   alice      sha256:60303ae22b998861...        (a second key of alice: to change it without a gap)
 *   ops        sha256:fd61a03af4f77d87...        admin best=urgent
 *
 * rpm, tpm: requests and tokens a minute, hard or hard/burst; without a burst a whole minute's worth may come at
 * once. concurrent: answers at once. weight: share of the engine beside others, 1 without. best:
 * the most urgent priority it may ask for, urgent without. Limits belong to the name and stand on its
 * first line only; admin and best belong to the key.
 *
 * Thread: pure.  Memory: rows from the caller's allocator. */
#pragma once

#include "api/generate.h"
#include "service/bucket.h"
#include "wire/digest.h"

#define KRS_TENANT_NAME_BYTES   64         /* with the NUL */
#define KRS_KEYFILE_MAX_BYTES   (1u << 20) /* of the file: 4096 lines of 256 */
#define KRS_KEYFILE_MAX_KEYS    4096       /* every key is compared with each one given */
#define KRS_KEYFILE_MAX_WEIGHT  1000
#define KRS_KEYFILE_MAX_AT_ONCE 65536

typedef struct krs_tenant_limits {
    krs_bucket_rate calls;  /* requests a minute */
    krs_bucket_rate tokens; /* prompt and answer */
    uint32_t max_in_flight; /* 0: no limit */
    uint32_t weight;        /* 1 .. KRS_KEYFILE_MAX_WEIGHT */
} krs_tenant_limits;

typedef struct krs_key_row {
    char name[KRS_TENANT_NAME_BYTES];
    uint8_t digest[KRS_SHA256_BYTES];
    bool is_admin;
    krs_priority best_priority;
    bool is_first; /* of its name; limits count */
    krs_tenant_limits limits;
    uint32_t line; /* from 1 */
} krs_key_row;

typedef struct krs_keyfile {
    const krs_alloc *alloc;
    krs_key_row *rows; /* [n_rows], in the order of the file */
    uint32_t n_rows;
} krs_keyfile;

/* Read a whole file. On failure *out is empty.
 * Errors: KRS_EFORMAT ("line 3: ..."; never quotes a digest), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_keyfile_parse(krs_str text, const krs_alloc *alloc, krs_keyfile *out,
                                          krs_error *err);
void krs_keyfile_deinit(krs_keyfile *file);
