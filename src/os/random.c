/* os/random.c - see random.h. */
#define _GNU_SOURCE /* getrandom */
#include "os/random.h"

#include "base/check.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

void krs_os_random_bytes(void *out, size_t n_bytes)
{
    unsigned char *at = out;
    while (n_bytes > 0) {
        const ssize_t got = getrandom(at, n_bytes, 0);
        KRS_CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            at += got;
            n_bytes -= (size_t)got;
        }
    }
}

uint64_t krs_os_random_u64(void)
{
    uint64_t value;
    krs_os_random_bytes(&value, sizeof(value));
    return value;
}
