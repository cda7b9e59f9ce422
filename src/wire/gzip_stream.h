/* wire/gzip_stream.h - packing a stream of text as it is made, so that its reader can follow it.
 *
 *   bytes --krs_gzip_stream_add--> packed bytes, flushed: what was added can be unpacked at once
 *
 * A server-sent event is worth something only now, so each addition ends with a sync flush. That costs
 * some five bytes a time; tokens repeat their surroundings so much that a stream still shrinks to a fifteenth.
 * The window is small (8 KiB): what repeats in such a stream is near, and a thousand streams must fit.
 *
 * Thread: one owner.  Memory: some 50 KiB of zlib's from the given allocator in _new, none after it but in
 * the caller's buffer.  Source: RFC 1952; zlib.h, deflate(). */
#pragma once

#include "base/buf.h"

typedef struct krs_gzip_stream krs_gzip_stream;

/* Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_gzip_stream_new(const krs_alloc *alloc, krs_gzip_stream **out);
void krs_gzip_stream_free(krs_gzip_stream *stream);

/* Append in, packed, to out. is_last: write the end of the gzip file too; nothing may be added after.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM (out); the stream is useless after either. */
KRS_MUST_USE krs_status krs_gzip_stream_add(krs_gzip_stream *stream, krs_str in, bool is_last,
                                            krs_buf *out);
