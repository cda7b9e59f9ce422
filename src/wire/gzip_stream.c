/* wire/gzip_stream.c - see gzip_stream.h. */
#include "wire/gzip_stream.h"

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#define WINDOW_BITS (13 + 16)  /* 8 KiB, and a gzip header, as zlib.h wants it said */
#define MEMORY      5          /* 32 KiB of hash table beside the window */
#define ROOM_BYTES  512        /* output room asked for at a time: one step of a stream */
#define IN_BYTES    (1u << 30) /* input given to zlib at a time: its counters are 32 bits */

struct krs_gzip_stream {
    const krs_alloc *alloc;
    z_stream z;
};

static void *take(void *ctx, uInt n, uInt item_bytes)
{
    const krs_gzip_stream *stream = ctx;
    return krs_alloc_array(stream->alloc, n, item_bytes);
}

static void give(void *ctx, void *ptr)
{
    const krs_gzip_stream *stream = ctx;
    krs_alloc_free(stream->alloc, ptr);
}

krs_status krs_gzip_stream_new(const krs_alloc *alloc, krs_gzip_stream **out)
{
    *out = NULL;
    krs_gzip_stream *stream = krs_alloc_zero(alloc, sizeof(*stream));
    if (!stream) {
        return KRS_ENOMEM;
    }
    stream->alloc = alloc;
    stream->z = (z_stream){.zalloc = take, .zfree = give, .opaque = stream};
    if (deflateInit2(&stream->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        krs_alloc_free(alloc, stream);
        return KRS_ENOMEM;
    }
    *out = stream;
    return KRS_OK;
}

void krs_gzip_stream_free(krs_gzip_stream *stream)
{
    if (stream) {
        (void)deflateEnd(&stream->z);
        krs_alloc_free(stream->alloc, stream);
    }
}

/* One call of deflate; false when zlib has no more to say for now. */
static krs_status step(z_stream *z, krs_str *in, int flush, krs_buf *out, bool *has_more)
{
    const krs_status status = krs_buf_reserve(out, ROOM_BYTES);
    if (status != KRS_OK) {
        return status;
    }
    const uInt n_in = (uInt)(in->len < IN_BYTES ? in->len : IN_BYTES);
    z->next_in = (const Bytef *)in->ptr;
    z->avail_in = n_in;
    z->next_out = (Bytef *)(out->data + out->len);
    z->avail_out = ROOM_BYTES;
    const int rc = deflate(z, n_in < in->len ? Z_NO_FLUSH : flush);
    out->len += ROOM_BYTES - z->avail_out;
    out->data[out->len] = '\0';
    in->ptr += n_in - z->avail_in;
    in->len -= n_in - z->avail_in;
    /* A flush is complete when room was left over; until then it must be asked for again. */
    *has_more = rc != Z_STREAM_END && (in->len > 0 || z->avail_out == 0);
    return KRS_OK;
}

krs_status krs_gzip_stream_add(krs_gzip_stream *stream, krs_str in, bool is_last, krs_buf *out)
{
    bool has_more = true;
    krs_status status = KRS_OK;
    while (status == KRS_OK && has_more) {
        status = step(&stream->z, &in, is_last ? Z_FINISH : Z_SYNC_FLUSH, out, &has_more);
    }
    return status;
}
