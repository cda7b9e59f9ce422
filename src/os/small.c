/* os/small.c - see small_priv.h. */
#include "os/small_priv.h"

#include "os/file.h"

#include <stdio.h>
#include <string.h>

void krs_os_read_small(const char *root, const char *path, char out[KRS_OS_SMALL_BYTES])
{
    char full[KRS_OS_PATH_BYTES];
    krs_buf buf;
    out[0] = '\0';
    const int n = snprintf(full, sizeof(full), "%s%s", root, path);
    if (n < 0 || (size_t)n >= sizeof(full)) {
        return;
    }
    krs_buf_init(&buf, NULL, KRS_OS_SMALL_BYTES - 1);
    if (krs_os_file_read(full, &buf, NULL) == KRS_OK && buf.len > 0) {
        memcpy(out, buf.data, buf.len);
        out[buf.len] = '\0';
    }
    krs_buf_deinit(&buf);
}
