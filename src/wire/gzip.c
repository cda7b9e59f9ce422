/* wire/gzip.c - see gzip.h. */
#include "wire/gzip.h"

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#define STEP_BYTES (256u << 10) /* output room asked for at a time */
#define IN_BYTES   (1u << 30)   /* input given to zlib at a time: its counters are 32 bits */
#define GZIP_ONLY  (15 + 16)    /* the largest window, and a gzip header, as zlib.h wants it said */

bool krs_gzip_is(krs_str bytes)
{
    return krs_str_starts_with(bytes, KRS_STR("\x1F\x8B\x08"));
}

static krs_status fail_zlib(const z_stream *z, int rc, krs_error *err)
{
    return rc == Z_MEM_ERROR ? krs_fail(err, KRS_ENOMEM, "gzip: out of memory")
                             : krs_fail(err, KRS_EFORMAT, "gzip: %s", z->msg ? z->msg : "damaged");
}

/* Room for at least one more byte, at most STEP_BYTES. */
static krs_status make_room(krs_buf *out, size_t *n, krs_error *err)
{
    const size_t left = out->max_bytes - out->len;
    *n = left < STEP_BYTES ? left : STEP_BYTES;
    const krs_status status = *n > 0 ? krs_buf_reserve(out, *n) : KRS_ETOOLARGE;
    return status == KRS_OK
               ? status
               : krs_fail(err, status, "gzip: more than %zu bytes unpacked, or no memory",
                          out->max_bytes);
}

/* One call of inflate: takes from *in, appends to out. */
static krs_status step(z_stream *z, krs_str *in, krs_buf *out, int *rc, krs_error *err)
{
    size_t room;
    const krs_status status = make_room(out, &room, err);
    if (status != KRS_OK) {
        return status;
    }
    const uInt n_in = (uInt)(in->len < IN_BYTES ? in->len : IN_BYTES);
    z->next_in = (const Bytef *)in->ptr;
    z->avail_in = n_in;
    z->next_out = (Bytef *)(out->data + out->len);
    z->avail_out = (uInt)room;
    *rc = inflate(z, Z_NO_FLUSH);
    out->len += room - z->avail_out;
    in->ptr += n_in - z->avail_in;
    in->len -= n_in - z->avail_in;
    return KRS_OK;
}

/* All members of the file. */
static krs_status unpack(z_stream *z, krs_str in, krs_buf *out, krs_error *err)
{
    for (;;) {
        int rc;
        const krs_status status = step(z, &in, out, &rc, err);
        if (status != KRS_OK) {
            return status;
        }
        if (rc == Z_STREAM_END) {
            if (in.len == 0) {
                return KRS_OK;
            }
            rc = inflateReset(z);
        } else if (rc == Z_BUF_ERROR || (rc == Z_OK && in.len == 0 && z->avail_out > 0)) {
            return krs_fail(err, KRS_EFORMAT, "gzip: cut short");
        }
        if (rc != Z_OK) {
            return fail_zlib(z, rc, err);
        }
    }
}

krs_status krs_gunzip(krs_str in, krs_buf *out, krs_error *err)
{
    const size_t before = out->len;
    if (!krs_gzip_is(in)) {
        return krs_fail(err, KRS_EFORMAT, "gzip: no gzip file");
    }
    z_stream z = {0};
    const int rc = inflateInit2(&z, GZIP_ONLY);
    const krs_status status = rc == Z_OK ? unpack(&z, in, out, err) : fail_zlib(&z, rc, err);
    (void)inflateEnd(&z);
    if (out->data) {
        out->len = status == KRS_OK ? out->len : before;
        out->data[out->len] = '\0';
    }
    return status;
}
