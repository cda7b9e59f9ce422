/* wire/digest.h - SHA-256, Git's name of a file, and comparing secrets.
 *
 * Thin over libcrypto: a hash is not what this program exists for, and OpenSSL's uses the CPU's own
 * instructions.
 *
 * Thread: any.  Memory: none.  Source: FIPS 180-4; git hash-object. */
#pragma once

#include "base/status.h"
#include "base/str.h"

#define KRS_SHA256_BYTES     32
#define KRS_SHA256_HEX_BYTES 65 /* with the NUL */

void krs_sha256(krs_str bytes, uint8_t out[KRS_SHA256_BYTES]);

/* 64 lower-case hexadecimal digits and a NUL. */
void krs_sha256_write(const uint8_t digest[KRS_SHA256_BYTES], char out[KRS_SHA256_HEX_BYTES]);

/* The reverse, either case; false unless hex is exactly 64 digits. */
bool krs_sha256_read(krs_str hex, uint8_t out[KRS_SHA256_BYTES]);

#define KRS_GIT_BLOB_HEX_BYTES 41 /* with the NUL */
/* The name Git gives a file with these bytes: SHA-1 over "blob N", a NUL and the bytes, in lower-case
 * hexadecimal. A checksum against accidents; SHA-1 keeps nobody out who means harm. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_git_blob_name(krs_str bytes, char out[KRS_GIT_BLOB_HEX_BYTES]);

/* Equal? In a time that depends on n alone, so that an answer's delay tells nothing about a secret. */
bool krs_secret_equal(const uint8_t *a, const uint8_t *b, size_t n);

/* Overwrite a secret that is no longer needed; not left out by the compiler. */
void krs_secret_wipe(void *bytes, size_t n);
