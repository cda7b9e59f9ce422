/* base/buf.h - a growable run of bytes that cannot grow without bound.
 *
 * Every buffer has a ceiling, given at init with a named constant, because every unbounded buffer
 * is a denial of service waiting for its peer. A failed append leaves the buffer as it was.
 *
 * Thread: one owner.  Memory: one block, doubled; reset keeps it, so a reused buffer stops
 * allocating after warm-up. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

typedef struct krs_buf {
    char *data; /* [cap] or NULL; data[len] is NUL whenever data is not NULL */
    size_t len;
    size_t cap;
    size_t max_bytes; /* ceiling on len */
    const krs_alloc *alloc;
} krs_buf;

/* Empty, allocating nothing yet. alloc: borrowed, NULL = heap. */
void krs_buf_init(krs_buf *buf, const krs_alloc *alloc, size_t max_bytes);
void krs_buf_deinit(krs_buf *buf);

/* len = 0, memory kept. */
void krs_buf_reset(krs_buf *buf);

/* Room for n more bytes without another allocation.
 * Errors: KRS_ETOOLARGE (ceiling), KRS_ENOMEM. Same for every append. */
KRS_MUST_USE krs_status krs_buf_reserve(krs_buf *buf, size_t n);
KRS_MUST_USE krs_status krs_buf_append(krs_buf *buf, const void *bytes, size_t n);
KRS_MUST_USE krs_status krs_buf_append_str(krs_buf *buf, krs_str s);
KRS_MUST_USE krs_status krs_buf_append_char(krs_buf *buf, char c);
KRS_MUST_USE krs_status krs_buf_printf(krs_buf *buf, const char *format, ...) KRS_PRINTF(2, 3);

/* Remove the first n bytes (n <= len). Cost: O(len). */
void krs_buf_consume(krs_buf *buf, size_t n);

/* The bytes, valid until the next call that changes buf. */
static inline krs_str krs_buf_view(const krs_buf *buf)
{
    return (krs_str){buf->data, buf->len};
}

/* Give the bytes (NUL-terminated, from buf->alloc) to the caller; buf is empty after. An empty
 * buffer gives NULL. */
char *krs_buf_take(krs_buf *buf);
