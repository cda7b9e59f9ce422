/* format/gguf_value.c - one setting: walking it at open, reading it later.
 *
 * The walk is where nothing is believed: a list's length is held against the smallest its items can be
 * before the first item is touched, so a file of a hundred bytes cannot claim four billion strings.
 * After it the readers below only index. */
#include "format/gguf_priv.h"

#include "base/check.h"
#include "base/checked.h"

#define LENGTH_BYTES     8u  /* of a string, before its text */
#define ARRAY_HEAD_BYTES 12u /* type and length of a list */

static const struct {
    const char *name;
    size_t n_bytes;
} types[KRS_GGUF_TYPE_COUNT] = {
    [KRS_GGUF_U8] = {"u8", 1},         [KRS_GGUF_I8] = {"i8", 1},
    [KRS_GGUF_U16] = {"u16", 2},       [KRS_GGUF_I16] = {"i16", 2},
    [KRS_GGUF_U32] = {"u32", 4},       [KRS_GGUF_I32] = {"i32", 4},
    [KRS_GGUF_F32] = {"f32", 4},       [KRS_GGUF_BOOL] = {"bool", 1},
    [KRS_GGUF_STRING] = {"string", 0}, [KRS_GGUF_ARRAY] = {"array", 0},
    [KRS_GGUF_U64] = {"u64", 8},       [KRS_GGUF_I64] = {"i64", 8},
    [KRS_GGUF_F64] = {"f64", 8},
};

const char *krs_gguf_type_name(krs_gguf_type type)
{
    return (unsigned)type < KRS_GGUF_TYPE_COUNT ? types[type].name : "unknown";
}

size_t krs_gguf_type_bytes(krs_gguf_type type)
{
    return (unsigned)type < KRS_GGUF_TYPE_COUNT ? types[type].n_bytes : 0;
}

uint64_t krs_gguf_load(const unsigned char *data, size_t n_bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        n |= (uint64_t)data[i] << (8 * i);
    }
    return n;
}

static bool take(gguf_cursor *cursor, size_t n_bytes, const unsigned char **out)
{
    if (n_bytes > cursor->n_bytes - cursor->at) {
        return false;
    }
    *out = cursor->data + cursor->at;
    cursor->at += n_bytes;
    return true;
}

bool krs_gguf_read_u32(gguf_cursor *cursor, uint32_t *out)
{
    const unsigned char *data;
    if (!take(cursor, sizeof(*out), &data)) {
        return false;
    }
    *out = (uint32_t)krs_gguf_load(data, sizeof(*out));
    return true;
}

bool krs_gguf_read_u64(gguf_cursor *cursor, uint64_t *out)
{
    const unsigned char *data;
    if (!take(cursor, sizeof(*out), &data)) {
        return false;
    }
    *out = krs_gguf_load(data, sizeof(*out));
    return true;
}

bool krs_gguf_read_str(gguf_cursor *cursor, krs_str *out)
{
    uint64_t n_bytes;
    const unsigned char *data;
    if (!krs_gguf_read_u64(cursor, &n_bytes) || n_bytes > cursor->n_bytes - cursor->at ||
        !take(cursor, (size_t)n_bytes, &data)) {
        return false;
    }
    *out = (krs_str){(const char *)data, (size_t)n_bytes};
    return true;
}

static krs_status fail_short(const gguf_cursor *cursor, krs_error *err)
{
    return krs_fail(err, KRS_EFORMAT, "the file ends at byte %zu, inside it", cursor->n_bytes);
}

static krs_status check_type(uint32_t type, krs_error *err)
{
    return type < KRS_GGUF_TYPE_COUNT
               ? KRS_OK
               : krs_fail(err, KRS_EFORMAT, "type %u, want 0 .. %d", type, KRS_GGUF_TYPE_COUNT - 1);
}

static krs_status check_bools(const unsigned char *data, size_t n, krs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] > 1) {
            return krs_fail(err, KRS_EFORMAT, "a bool of %u, want 0 or 1", data[i]);
        }
    }
    return KRS_OK;
}

static krs_status walk_items(gguf_cursor *cursor, krs_gguf_type type, uint64_t n, uint32_t depth,
                             krs_error *err);

/* A list's own type and length, then its items. */
static krs_status walk_array(gguf_cursor *cursor, uint32_t depth, krs_gguf_value *out,
                             krs_error *err)
{
    uint32_t type;
    uint64_t n;
    if (!krs_gguf_read_u32(cursor, &type) || !krs_gguf_read_u64(cursor, &n)) {
        return fail_short(cursor, err);
    }
    krs_status status = check_type(type, err);
    if (status != KRS_OK) {
        return status;
    }
    if (depth == KRS_GGUF_MAX_DEPTH) {
        return krs_fail(err, KRS_ETOOLARGE, "lists nested more than %u deep", KRS_GGUF_MAX_DEPTH);
    }
    out->item_type = (krs_gguf_type)type;
    out->n_items = n;
    out->data = cursor->data + cursor->at;
    return walk_items(cursor, (krs_gguf_type)type, n, depth + 1, err);
}

static krs_status walk_strings(gguf_cursor *cursor, uint64_t n, krs_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        krs_str text;
        if (!krs_gguf_read_str(cursor, &text)) {
            return fail_short(cursor, err);
        }
    }
    return KRS_OK;
}

static krs_status walk_items(gguf_cursor *cursor, krs_gguf_type type, uint64_t n, uint32_t depth,
                             krs_error *err)
{
    const size_t fixed = krs_gguf_type_bytes(type);
    const size_t least = fixed ? fixed : type == KRS_GGUF_STRING ? LENGTH_BYTES : ARRAY_HEAD_BYTES;
    const size_t left = cursor->n_bytes - cursor->at;
    if (n > left / least) {
        return krs_fail(err, KRS_EFORMAT, "%llu items of %s, %zu bytes are left",
                        (unsigned long long)n, krs_gguf_type_name(type), left);
    }
    if (fixed) {
        const unsigned char *data = NULL;
        KRS_CHECK(take(cursor, (size_t)n * fixed, &data));
        return type == KRS_GGUF_BOOL ? check_bools(data, (size_t)n, err) : KRS_OK;
    }
    if (type == KRS_GGUF_STRING) {
        return walk_strings(cursor, n, err);
    }
    krs_status status = KRS_OK;
    for (uint64_t i = 0; status == KRS_OK && i < n; i++) {
        krs_gguf_value inner;
        status = walk_array(cursor, depth, &inner, err);
    }
    return status;
}

krs_status krs_gguf_read_value(gguf_cursor *cursor, krs_gguf_value *value, krs_error *err)
{
    uint32_t type;
    if (!krs_gguf_read_u32(cursor, &type)) {
        return fail_short(cursor, err);
    }
    krs_status status = check_type(type, err);
    if (status != KRS_OK) {
        return status;
    }
    value->type = (krs_gguf_type)type;
    value->item_type = value->type;
    value->n_items = 1;
    value->data = cursor->data + cursor->at;
    status = value->type == KRS_GGUF_ARRAY ? walk_array(cursor, 0, value, err)
                                           : walk_items(cursor, value->type, 1, 0, err);
    value->n_bytes = (size_t)(cursor->data + cursor->at - value->data);
    return status;
}

krs_str krs_gguf_next_str(const krs_gguf_value *array, size_t *at)
{
    gguf_cursor cursor = {array->data, array->n_bytes, *at};
    krs_str text;
    KRS_CHECK(krs_gguf_read_str(&cursor, &text)); /* walked at open */
    *at = cursor.at;
    return text;
}

static const unsigned char *item_at(const krs_gguf_value *value, uint64_t i, size_t *n_bytes)
{
    *n_bytes = krs_gguf_type_bytes(value->item_type);
    KRS_CHECK(i<value->n_items && * n_bytes> 0);
    return value->data + (size_t)i * *n_bytes;
}

/* The bits of a number as its type means them, when that is a whole one. */
static int64_t signed_of(krs_gguf_type type, uint64_t bits)
{
    switch (type) {
    case KRS_GGUF_I8:
        return (int8_t)bits;
    case KRS_GGUF_I16:
        return (int16_t)bits;
    case KRS_GGUF_I32:
        return (int32_t)bits;
    default:
        return (int64_t)bits;
    }
}

double krs_gguf_number(const krs_gguf_value *value, uint64_t i)
{
    size_t n_bytes;
    const unsigned char *data = item_at(value, i, &n_bytes);
    const uint64_t bits = krs_gguf_load(data, n_bytes);
    if (value->item_type == KRS_GGUF_F32) {
        const uint32_t half = (uint32_t)bits;
        float x;
        memcpy(&x, &half, sizeof(x));
        return (double)x;
    }
    if (value->item_type == KRS_GGUF_F64) {
        double x;
        memcpy(&x, &bits, sizeof(x));
        return x;
    }
    return value->item_type == KRS_GGUF_U64 ? (double)bits
                                            : (double)signed_of(value->item_type, bits);
}

int64_t krs_gguf_integer(const krs_gguf_value *value, uint64_t i)
{
    size_t n_bytes;
    const unsigned char *data = item_at(value, i, &n_bytes);
    if (value->item_type == KRS_GGUF_F32 || value->item_type == KRS_GGUF_F64) {
        const double x = krs_gguf_number(value, i);
        const double end = 9223372036854774784.0; /* the last double below 2^63 */
        return x >= end ? INT64_MAX : x > -end ? (int64_t)x : x <= -end ? INT64_MIN : 0;
    }
    const uint64_t bits = krs_gguf_load(data, n_bytes);
    return value->item_type == KRS_GGUF_U64 && bits > INT64_MAX ? INT64_MAX
                                                                : signed_of(value->item_type, bits);
}
