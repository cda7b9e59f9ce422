/* wire/digest.c - see digest.h. */
#include "wire/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <stdio.h>

void krs_sha256(krs_str bytes, uint8_t out[KRS_SHA256_BYTES])
{
    (void)SHA256((const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len, out);
}

/* 2 * n digits and a NUL. */
static void write_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

void krs_sha256_write(const uint8_t digest[KRS_SHA256_BYTES], char out[KRS_SHA256_HEX_BYTES])
{
    write_hex(digest, KRS_SHA256_BYTES, out);
}

krs_status krs_git_blob_name(krs_str bytes, char out[KRS_GIT_BLOB_HEX_BYTES])
{
    char head[32];
    uint8_t digest[SHA_DIGEST_LENGTH];
    const int n = snprintf(head, sizeof(head), "blob %zu", bytes.len) + 1; /* and its NUL */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool is_done = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) &&
                         EVP_DigestUpdate(ctx, head, (size_t)n) &&
                         EVP_DigestUpdate(ctx, bytes.ptr ? bytes.ptr : "", bytes.len) &&
                         EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (!is_done) {
        return KRS_ENOMEM;
    }
    write_hex(digest, sizeof(digest), out);
    return KRS_OK;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool krs_sha256_read(krs_str hex, uint8_t out[KRS_SHA256_BYTES])
{
    if (hex.len != KRS_SHA256_HEX_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; i < KRS_SHA256_BYTES; i++) {
        const int high = digit_of(hex.ptr[2 * i]);
        const int low = digit_of(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

bool krs_secret_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void krs_secret_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}
