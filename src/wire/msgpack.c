/* wire/msgpack.c - see msgpack.h. */
#include "wire/msgpack.h"

#include "base/utf8.h"

#include <msgpack.h>

#define REPLACEMENT       "\xEF\xBF\xBD" /* U+FFFD, as in JSON */
#define REPLACEMENT_BYTES 3u

/* msgpack-c asks its caller for a write function; ours tells why it stopped. */
static int append(void *ctx, const char *bytes, size_t n)
{
    return (int)krs_buf_append(ctx, bytes, n);
}

static msgpack_packer packer_of(krs_buf *out)
{
    return (msgpack_packer){out, append};
}

krs_status krs_msgpack_put_map(krs_buf *out, uint32_t n_pairs)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_map(&p, n_pairs);
}

krs_status krs_msgpack_put_array(krs_buf *out, uint32_t n_items)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_array(&p, n_items);
}

/* What text takes when each byte that is no UTF-8 is written as U+FFFD: more than it has, if there are any. */
static size_t clean_bytes(krs_str text)
{
    size_t n_bytes = 0;
    for (size_t i = 0, n = 0; i < text.len; i += n ? n : 1) {
        n = krs_utf8_length(text.ptr + i, text.len - i);
        n_bytes += n ? n : REPLACEMENT_BYTES;
    }
    return n_bytes;
}

static krs_status put_clean(krs_buf *out, krs_str text)
{
    krs_status status = KRS_OK;
    for (size_t i = 0, n = 0; status == KRS_OK && i < text.len; i += n ? n : 1) {
        n = krs_utf8_length(text.ptr + i, text.len - i);
        status = n ? krs_buf_append(out, text.ptr + i, n)
                   : krs_buf_append(out, REPLACEMENT, REPLACEMENT_BYTES);
    }
    return status;
}

krs_status krs_msgpack_put_str(krs_buf *out, krs_str text)
{
    msgpack_packer p = packer_of(out);
    const size_t n_bytes = clean_bytes(text);
    const krs_status status = (krs_status)msgpack_pack_str(&p, n_bytes);
    if (status != KRS_OK) {
        return status;
    }
    return n_bytes == text.len ? krs_buf_append_str(out, text) : put_clean(out, text);
}

krs_status krs_msgpack_put_uint(krs_buf *out, uint64_t n)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_uint64(&p, n);
}

krs_status krs_msgpack_put_int(krs_buf *out, int64_t n)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_int64(&p, n);
}

krs_status krs_msgpack_put_double(krs_buf *out, double x)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_double(&p, x);
}

krs_status krs_msgpack_put_bool(krs_buf *out, bool value)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)(value ? msgpack_pack_true(&p) : msgpack_pack_false(&p));
}

krs_status krs_msgpack_put_nil(krs_buf *out)
{
    msgpack_packer p = packer_of(out);
    return (krs_status)msgpack_pack_nil(&p);
}

static krs_status put_object(krs_buf *out, const json_t *value)
{
    krs_status status = krs_msgpack_put_map(out, (uint32_t)json_object_size(value));
    const char *key;
    json_t *child;
    /* jansson's loop wants an unqualified object and changes nothing. */
    json_object_foreach((json_t *)(uintptr_t)value, key, child)
    {
        if (status == KRS_OK) {
            status = krs_msgpack_put_str(out, krs_str_of(key));
        }
        if (status == KRS_OK) {
            status = krs_msgpack_put_tree(out, child);
        }
    }
    return status;
}

static krs_status put_list(krs_buf *out, const json_t *value)
{
    krs_status status = krs_msgpack_put_array(out, (uint32_t)json_array_size(value));
    for (size_t i = 0; status == KRS_OK && i < json_array_size(value); i++) {
        status = krs_msgpack_put_tree(out, json_array_get(value, i));
    }
    return status;
}

krs_status krs_msgpack_put_tree(krs_buf *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(out, value);
    case JSON_ARRAY:
        return put_list(out, value);
    case JSON_STRING:
        return krs_msgpack_put_str(out,
                                   (krs_str){json_string_value(value), json_string_length(value)});
    case JSON_INTEGER:
        return krs_msgpack_put_int(out, json_integer_value(value));
    case JSON_REAL:
        return krs_msgpack_put_double(out, json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return krs_msgpack_put_bool(out, json_is_true(value));
    default:
        return krs_msgpack_put_nil(out);
    }
}

/* A first look at the bytes: nothing is kept. */
typedef struct look {
    const unsigned char *bytes;
    size_t left;
    size_t n_values;
    size_t max_values;
} look;

static bool skip(look *l, uint64_t n)
{
    if (n > l->left) {
        return false;
    }
    l->bytes += n;
    l->left -= (size_t)n;
    return true;
}

/* A big-endian number of n bytes; false when they are not there. */
static bool take_number(look *l, unsigned n, uint64_t *out)
{
    *out = 0;
    const unsigned char *b = l->bytes;
    if (!skip(l, n)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        *out = *out << 8 | b[i];
    }
    return true;
}

/* How the bytes behind each type byte 0xC0 .. 0xDF are counted. */
typedef struct shape {
    signed char n_length;     /* bytes of a length that follows; -1: a type that we refuse */
    unsigned char n_fixed;    /* bytes that follow the length */
    unsigned char n_children; /* values per unit of length; 0: the length counts bytes */
} shape;

static const shape shapes[32] = {
    {0, 0, 0},  {-1, 0, 0}, {0, 0, 0},  {0, 0, 0},              /* nil, unused, false, true */
    {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0},                         /* bin */
    {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0},                         /* ext */
    {0, 4, 0},  {0, 8, 0},                                      /* float */
    {0, 1, 0},  {0, 2, 0},  {0, 4, 0},  {0, 8, 0},              /* uint */
    {0, 1, 0},  {0, 2, 0},  {0, 4, 0},  {0, 8, 0},              /* int */
    {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, /* fixext */
    {1, 0, 0},  {2, 0, 0},  {4, 0, 0},                          /* str */
    {2, 0, 1},  {4, 0, 1},                                      /* array */
    {2, 0, 2},  {4, 0, 2},                                      /* map */
};

/* Pass one type byte and what belongs to it; *n_children: values that must follow. */
static bool pass_head(look *l, uint64_t *n_children)
{
    *n_children = 0;
    const unsigned type = *l->bytes;
    (void)skip(l, 1);
    if (type < 0x80 || type >= 0xE0) {
        return true; /* a small number */
    }
    if (type < 0xA0) {
        *n_children = (type & 15u) * (type < 0x90 ? 2u : 1u);
        return true;
    }
    if (type < 0xC0) {
        return skip(l, type & 31u);
    }
    const shape *s = &shapes[type - 0xC0];
    uint64_t n = 0;
    if (s->n_length < 0 || !take_number(l, (unsigned)s->n_length, &n)) {
        return false;
    }
    *n_children = n * s->n_children;
    return skip(l, s->n_fixed + (s->n_children ? 0 : n));
}

/* One value with its children. Depth is bounded, so recursion is. */
static krs_status pass_value(look *l, int depth)
{
    uint64_t n_children = 0;
    if (l->left == 0 || depth > KRS_MSGPACK_MAX_DEPTH || !pass_head(l, &n_children)) {
        return KRS_EINVAL;
    }
    if (++l->n_values > l->max_values) {
        return KRS_ETOOLARGE;
    }
    krs_status status = n_children > l->left ? KRS_EINVAL : KRS_OK; /* each takes a byte at least */
    for (uint64_t i = 0; status == KRS_OK && i < n_children; i++) {
        status = pass_value(l, depth + 1);
    }
    return status;
}

static json_t *tree_of(const msgpack_object *o);

static bool is_utf8(const char *text, size_t n_bytes)
{
    for (size_t i = 0, n = 1; i < n_bytes; i += n) {
        n = krs_utf8_length(text + i, n_bytes - i);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

/* A key is text without a NUL, which jansson would take for its end. */
static bool is_key(const msgpack_object *key)
{
    const msgpack_object_str *text = &key->via.str;
    return key->type == MSGPACK_OBJECT_STR &&
           (text->size == 0 ||
            (!memchr(text->ptr, 0, text->size) && is_utf8(text->ptr, text->size)));
}

static char *copy_of(const msgpack_object_str *text)
{
    return krs_alloc_text(NULL, text->size > 0 ? text->ptr : "", text->size);
}

static json_t *object_of(const msgpack_object_map *map)
{
    json_t *out = json_object();
    for (uint32_t i = 0; out && i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        char *name = is_key(key) ? copy_of(&key->via.str) : NULL;
        json_t *value = name && !json_object_get(out, name) ? tree_of(&map->ptr[i].val) : NULL;
        if (!value || json_object_set_new(out, name, value) != 0) {
            json_decref(out);
            out = NULL;
        }
        krs_alloc_free(NULL, name);
    }
    return out;
}

static json_t *list_of(const msgpack_object_array *array)
{
    json_t *out = json_array();
    for (uint32_t i = 0; out && i < array->size; i++) {
        json_t *value = tree_of(&array->ptr[i]);
        if (!value || json_array_append_new(out, value) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* NULL unless UTF-8. An empty string may come without an address, which jansson refuses. */
static json_t *text_of(const msgpack_object_str *text)
{
    return json_stringn(text->size > 0 ? text->ptr : "", text->size);
}

/* NULL: out of memory, or something that JSON does not have. */
static json_t *tree_of(const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return json_null();
    case MSGPACK_OBJECT_BOOLEAN:
        return json_boolean(o->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return o->via.u64 > INT64_MAX ? NULL : json_integer((json_int_t)o->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return json_integer(o->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return json_real(o->via.f64); /* NULL unless finite */
    case MSGPACK_OBJECT_STR:
        return text_of(&o->via.str);
    case MSGPACK_OBJECT_ARRAY:
        return list_of(&o->via.array);
    case MSGPACK_OBJECT_MAP:
        return object_of(&o->via.map);
    default:
        return NULL;
    }
}

krs_status krs_msgpack_parse(krs_str bytes, size_t max_values, json_t **out, krs_error *err)
{
    *out = NULL;
    look l = {(const unsigned char *)bytes.ptr, bytes.len, 0, max_values};
    krs_status status = pass_value(&l, 1);
    if (status == KRS_ETOOLARGE) {
        return krs_fail(err, status, "MessagePack: more than %zu values", max_values);
    }
    if (status != KRS_OK || l.left > 0) {
        return krs_fail(err, KRS_EINVAL,
                        "MessagePack: cut off, followed by more, nested deeper than %d, or of a "
                        "type that JSON does not have",
                        KRS_MSGPACK_MAX_DEPTH);
    }
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, bytes.ptr, bytes.len, NULL) == MSGPACK_UNPACK_SUCCESS) {
        *out = tree_of(&unpacked.data);
    } else {
        status = KRS_ENOMEM; /* the look found it whole */
    }
    msgpack_unpacked_destroy(&unpacked);
    if (*out) {
        return KRS_OK;
    }
    return status == KRS_ENOMEM
               ? krs_fail(err, status, "MessagePack: out of memory")
               : krs_fail(err, KRS_EINVAL,
                          "MessagePack: text that is not UTF-8, a key twice or not "
                          "text, or a number that JSON does not have");
}
