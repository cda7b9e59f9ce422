/* base/buf.c - see buf.h. */
#include "base/buf.h"

#include "base/check.h"
#include "base/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_MIN_BYTES 64 /* first allocation: most error texts and headers fit */

void krs_buf_init(krs_buf *buf, const krs_alloc *alloc, size_t max_bytes)
{
    *buf = (krs_buf){.max_bytes = max_bytes, .alloc = alloc};
}

void krs_buf_deinit(krs_buf *buf)
{
    krs_alloc_free(buf->alloc, buf->data);
    buf->data = NULL;
    buf->len = buf->cap = 0;
}

void krs_buf_reset(krs_buf *buf)
{
    buf->len = 0;
    if (buf->data) {
        buf->data[0] = '\0';
    }
}

krs_status krs_buf_reserve(krs_buf *buf, size_t n)
{
    size_t need;
    if (n > buf->max_bytes || buf->len > buf->max_bytes - n ||
        !krs_size_add(buf->len + n, 1, &need)) {
        return KRS_ETOOLARGE;
    }
    if (need <= buf->cap) {
        return KRS_OK;
    }
    size_t cap = buf->cap ? buf->cap : BUF_MIN_BYTES;
    while (cap < need) {
        size_t twice;
        cap = krs_size_mul(cap, 2, &twice) ? twice : need;
    }
    char *data = krs_alloc_resize(buf->alloc, buf->data, cap, 1);
    if (!data) {
        return KRS_ENOMEM;
    }
    buf->data = data;
    buf->cap = cap;
    buf->data[buf->len] = '\0';
    return KRS_OK;
}

krs_status krs_buf_append(krs_buf *buf, const void *bytes, size_t n)
{
    const krs_status status = krs_buf_reserve(buf, n);
    if (status != KRS_OK) {
        return status;
    }
    if (n) {
        memcpy(buf->data + buf->len, bytes, n);
    }
    buf->len += n;
    buf->data[buf->len] = '\0';
    return KRS_OK;
}

krs_status krs_buf_append_str(krs_buf *buf, krs_str s)
{
    return krs_buf_append(buf, s.ptr, s.len);
}

krs_status krs_buf_append_char(krs_buf *buf, char c)
{
    return krs_buf_append(buf, &c, 1);
}

krs_status krs_buf_printf(krs_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        return KRS_EINTERNAL;
    }
    const krs_status status = krs_buf_reserve(buf, (size_t)n);
    if (status != KRS_OK) {
        return status;
    }
    va_start(args, format);
    (void)vsnprintf(buf->data + buf->len, (size_t)n + 1, format, args);
    va_end(args);
    buf->len += (size_t)n;
    return KRS_OK;
}

void krs_buf_consume(krs_buf *buf, size_t n)
{
    KRS_CHECK(n <= buf->len);
    if (n == 0) {
        return;
    }
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
    buf->data[buf->len] = '\0';
}

char *krs_buf_take(krs_buf *buf)
{
    char *data = buf->data;
    buf->data = NULL;
    buf->len = buf->cap = 0;
    return data;
}
