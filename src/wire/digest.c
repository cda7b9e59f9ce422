/* wire/digest.c - see digest.h. */
#include "wire/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

void krs_sha256(krs_str bytes, uint8_t out[KRS_SHA256_BYTES])
{
    (void)SHA256((const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len, out);
}

void krs_sha256_write(const uint8_t digest[KRS_SHA256_BYTES], char out[KRS_SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KRS_SHA256_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[2 * (size_t)KRS_SHA256_BYTES] = '\0';
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
