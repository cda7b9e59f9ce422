/* wire/emit.c - see emit.h. */
#include "wire/emit.h"

#include "wire/msgpack.h"

#include <math.h>

static void keep(krs_emit *e, krs_status status)
{
    if (e->status == KRS_OK) {
        e->status = status;
    }
}

static void put(krs_emit *e, const char *bytes, size_t n)
{
    if (e->status == KRS_OK) {
        e->status = krs_buf_append(e->out, bytes, n);
    }
}

/* Before a value or a key of JSON. */
static void separate(krs_emit *e)
{
    if (e->needs_comma) {
        put(e, ",", 1);
    }
    e->needs_comma = true;
}

static bool is_json(const krs_emit *e)
{
    return e->encoding == KRS_ENCODING_JSON;
}

static void open(krs_emit *e, char c)
{
    separate(e);
    put(e, &c, 1);
    e->needs_comma = false;
}

void krs_emit_map(krs_emit *e, uint32_t n_pairs)
{
    if (is_json(e)) {
        open(e, '{');
    } else {
        keep(e, krs_msgpack_put_map(e->out, n_pairs));
    }
}

void krs_emit_array(krs_emit *e, uint32_t n_items)
{
    if (is_json(e)) {
        open(e, '[');
    } else {
        keep(e, krs_msgpack_put_array(e->out, n_items));
    }
}

void krs_emit_end(krs_emit *e, char close)
{
    if (is_json(e)) {
        put(e, &close, 1);
        e->needs_comma = true;
    }
}

void krs_emit_key(krs_emit *e, const char *key)
{
    const krs_str text = krs_str_of(key);
    if (!is_json(e)) {
        keep(e, krs_msgpack_put_str(e->out, text));
        return;
    }
    separate(e); /* keys are ours: nothing in them needs a backslash */
    put(e, "\"", 1);
    put(e, text.ptr, text.len);
    put(e, "\":", 2);
    e->needs_comma = false;
}

void krs_emit_str(krs_emit *e, krs_str text)
{
    if (!is_json(e)) {
        keep(e, krs_msgpack_put_str(e->out, text));
        return;
    }
    separate(e);
    if (e->status == KRS_OK) {
        e->status = krs_json_write_string(text, e->out);
    }
}

void krs_emit_uint(krs_emit *e, uint64_t n)
{
    if (!is_json(e)) {
        keep(e, krs_msgpack_put_uint(e->out, n));
        return;
    }
    char digits[20]; /* of 2^64 */
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    separate(e);
    put(e, digits + i, sizeof(digits) - i);
}

void krs_emit_int(krs_emit *e, int64_t n)
{
    if (n >= 0) {
        krs_emit_uint(e, (uint64_t)n);
    } else if (!is_json(e)) {
        keep(e, krs_msgpack_put_int(e->out, n));
    } else {
        separate(e);
        put(e, "-", 1);
        e->needs_comma = false;
        krs_emit_uint(e, UINT64_C(0) - (uint64_t)n);
    }
}

void krs_emit_double(krs_emit *e, double x, int n_digits)
{
    if (!isfinite(x)) {
        krs_emit_null(e);
    } else if (!is_json(e)) {
        keep(e, krs_msgpack_put_double(e->out, x));
    } else {
        separate(e);
        keep(e, e->status == KRS_OK ? krs_buf_printf(e->out, "%.*g", n_digits, x) : e->status);
    }
}

static void put_word(krs_emit *e, krs_str word)
{
    separate(e);
    put(e, word.ptr, word.len);
}

void krs_emit_bool(krs_emit *e, bool value)
{
    if (is_json(e)) {
        put_word(e, value ? KRS_STR("true") : KRS_STR("false"));
    } else {
        keep(e, krs_msgpack_put_bool(e->out, value));
    }
}

void krs_emit_null(krs_emit *e)
{
    if (is_json(e)) {
        put_word(e, KRS_STR("null"));
    } else {
        keep(e, krs_msgpack_put_nil(e->out));
    }
}

void krs_emit_tree(krs_emit *e, const json_t *value)
{
    if (!value) {
        krs_emit_null(e);
    } else if (!is_json(e)) {
        keep(e, e->status == KRS_OK ? krs_msgpack_put_tree(e->out, value) : e->status);
    } else {
        separate(e);
        keep(e, e->status == KRS_OK ? krs_json_write(value, e->out) : e->status);
    }
}

void krs_emit_raw(krs_emit *e, krs_str bytes)
{
    if (is_json(e)) {
        separate(e);
    }
    put(e, bytes.ptr, bytes.len);
}

void krs_emit_pair_str(krs_emit *e, const char *key, krs_str text)
{
    krs_emit_key(e, key);
    krs_emit_str(e, text);
}

void krs_emit_pair_int(krs_emit *e, const char *key, int64_t n)
{
    krs_emit_key(e, key);
    krs_emit_int(e, n);
}

void krs_emit_pair_double(krs_emit *e, const char *key, double x, int n_digits)
{
    krs_emit_key(e, key);
    krs_emit_double(e, x, n_digits);
}

void krs_emit_pair_bool(krs_emit *e, const char *key, bool value)
{
    krs_emit_key(e, key);
    krs_emit_bool(e, value);
}
