/* wire/json.c - see json.h.
 * Jansson's own nesting limit (2048) is too deep for recursive readers on small stacks, so depth is
 * checked here, on the text, before any tree exists. */
#include "wire/json.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

#define WIDE_DIGITS 19u /* of the largest 64-bit integers */

typedef struct json_shape {
    size_t depth;    /* nesting of brackets, here */
    size_t deepest;  /* and anywhere */
    size_t n_values; /* or one more for each empty container */
} json_shape;

/* A character outside strings. */
static void see(json_shape *shape, char c)
{
    if (c == '[' || c == '{') {
        shape->depth++;
        shape->deepest = shape->depth > shape->deepest ? shape->depth : shape->deepest;
        shape->n_values++;
    } else if (c == ',') {
        shape->n_values++;
    } else if ((c == ']' || c == '}') && shape->depth > 0) {
        shape->depth--;
    }
}

/* What brackets and commas outside strings tell. Cheap and right for valid JSON; what it says of invalid
 * text does not matter, because the parser refuses that. */
static json_shape shape_of(krs_str text)
{
    json_shape shape = {.n_values = 1};
    bool is_string = false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else {
            see(&shape, c);
        }
    }
    return shape;
}

size_t krs_json_count_values(krs_str text)
{
    return shape_of(text).n_values;
}

static json_t *load(krs_str text, const krs_json_limits *limits, json_error_t *why)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL |
                         (limits->is_duplicate_ok ? 0u : (size_t)JSON_REJECT_DUPLICATES);
    return json_loadb(text.ptr ? text.ptr : "", text.len, flags, why);
}

/* Most failed allocations inside jansson leave the error empty. */
static bool is_no_memory(const json_error_t *why)
{
    return json_error_code(why) == json_error_out_of_memory || why->text[0] == '\0';
}

/* Bytes at s that go on like a number. */
static size_t number_length(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] != '\0' && strchr("0123456789+-.eE", s[i])) {
        i++;
    }
    return i;
}

/* Is this number an integer beyond 64 bits? */
static bool is_wide(const char *s, size_t n)
{
    static const char largest[2][20] = {"9223372036854775807", "9223372036854775808"};
    const bool is_negative = n > 0 && s[0] == '-';
    const char *const digits = s + is_negative;
    const size_t n_digits = n - is_negative;
    if (n_digits < WIDE_DIGITS || memchr(s, '.', n) || memchr(s, 'e', n) || memchr(s, 'E', n)) {
        return false;
    }
    return n_digits > WIDE_DIGITS || memcmp(digits, largest[is_negative], WIDE_DIGITS) > 0;
}

static krs_status widen_number(const char *s, size_t n, krs_buf *out)
{
    const krs_status status = krs_buf_append(out, s, n);
    return status == KRS_OK && is_wide(s, n) ? krs_buf_append(out, "e0", 2) : status;
}

/* The text with an exponent of 0 behind every integer beyond 64 bits. */
static krs_status widen(krs_str text, krs_buf *out)
{
    krs_status status = KRS_OK;
    bool is_string = false;
    for (size_t i = 0; i < text.len && status == KRS_OK;) {
        const char *const s = text.ptr + i;
        const size_t n_number = is_string ? 0 : number_length(s, text.len - i);
        const bool is_escape = is_string && s[0] == '\\' && i + 1 < text.len;
        const size_t n = n_number ? n_number : 1u + is_escape;
        is_string ^= s[0] == '"';
        status = n_number ? widen_number(s, n, out) : krs_buf_append(out, s, n);
        i += n;
    }
    return status;
}

/* As any reader of JSON with one kind of number has it: an integer beyond 64 bits is the nearest double. Schemas
 * hold such bounds (2^64 - 1); where an integer is wanted, the field's reader refuses it by name. */
static krs_status load_widened(krs_str text, const krs_json_limits *limits, json_t **out)
{
    krs_buf wide;
    krs_buf_init(&wide, NULL, SIZE_MAX);
    krs_status status = widen(text, &wide);
    if (status == KRS_OK) {
        json_error_t why;
        *out = load((krs_str){wide.data, wide.len}, limits, &why);
        status = *out || !is_no_memory(&why) ? KRS_OK : KRS_ENOMEM;
    }
    krs_buf_deinit(&wide);
    return status;
}

static krs_status load_any(krs_str text, const krs_json_limits *limits, json_t **out,
                           krs_error *err)
{
    json_error_t why;
    bool is_full = false;
    *out = load(text, limits, &why);
    if (!*out && json_error_code(&why) == json_error_numeric_overflow) {
        is_full = load_widened(text, limits, out) == KRS_ENOMEM;
    }
    if (*out) {
        return KRS_OK;
    }
    if (is_full || is_no_memory(&why)) {
        return krs_fail(err, KRS_ENOMEM, "JSON: out of memory");
    }
    return krs_fail(err, KRS_EINVAL, "JSON line %d column %d: %s", why.line, why.column, why.text);
}

krs_status krs_json_parse(krs_str text, const krs_json_limits *limits, json_t **out, krs_error *err)
{
    *out = NULL;
    if (text.len > limits->max_bytes) {
        return krs_fail(err, KRS_ETOOLARGE, "JSON of %zu bytes, limit %zu", text.len,
                        limits->max_bytes);
    }
    if (text.len > 0 && memchr(text.ptr, 0, text.len)) {
        /* jansson loses a NUL byte after a number instead of refusing it. */
        return krs_fail(err, KRS_EINVAL, "JSON: holds a NUL byte");
    }
    if (shape_of(text).deepest > KRS_JSON_MAX_DEPTH) {
        return krs_fail(err, KRS_EINVAL, "JSON nested deeper than %d", KRS_JSON_MAX_DEPTH);
    }
    return load_any(text, limits, out, err);
}

/* Where jansson writes to, and why it had to stop. */
typedef struct json_sink {
    krs_buf *out;
    krs_status status;
} json_sink;

static int append_piece(const char *piece, size_t n, void *ctx)
{
    json_sink *sink = ctx;
    sink->status = krs_buf_append(sink->out, piece, n);
    return sink->status == KRS_OK ? 0 : -1;
}

/* Undo what was appended since out was before bytes long. */
static krs_status roll_back(krs_buf *out, size_t before, krs_status status)
{
    out->len = before;
    if (out->data) {
        out->data[before] = '\0';
    }
    return status;
}

krs_status krs_json_write(const json_t *value, krs_buf *out)
{
    const size_t before = out->len;
    json_sink sink = {out, KRS_OK};
    if (json_dump_callback(value, append_piece, &sink, JSON_COMPACT | JSON_ENCODE_ANY) == 0) {
        return KRS_OK;
    }
    /* jansson fails by itself only when it has no memory for its own books. */
    return roll_back(out, before, sink.status == KRS_OK ? KRS_ENOMEM : sink.status);
}

static krs_status write_char(const unsigned char *s, size_t n, krs_buf *out)
{
    if (n == 0) {
        return krs_buf_append(out, "\xEF\xBF\xBD", 3);
    }
    switch (s[0]) {
    case '"':
        return krs_buf_append(out, "\\\"", 2);
    case '\\':
        return krs_buf_append(out, "\\\\", 2);
    case '\n':
        return krs_buf_append(out, "\\n", 2);
    case '\r':
        return krs_buf_append(out, "\\r", 2);
    case '\t':
        return krs_buf_append(out, "\\t", 2);
    default:
        return s[0] < 0x20 ? krs_buf_printf(out, "\\u%04x", s[0]) : krs_buf_append(out, s, n);
    }
}

/* Bytes at the beginning of s[0 .. n) that stand for themselves: most of most texts, copied in one go. */
static size_t plain_bytes(const unsigned char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] >= 0x20 && s[i] < 0x7F && s[i] != '"' && s[i] != '\\') {
        i++;
    }
    return i;
}

krs_status krs_json_write_string(krs_str text, krs_buf *out)
{
    const size_t before = out->len;
    const unsigned char *s = (const unsigned char *)text.ptr;
    krs_status status = krs_buf_append_char(out, '"');
    size_t i = 0;
    while (status == KRS_OK && i < text.len) {
        const size_t n_plain = plain_bytes(s + i, text.len - i);
        const size_t n = n_plain ? n_plain : krs_utf8_length(text.ptr + i, text.len - i);
        status = n_plain ? krs_buf_append(out, s + i, n) : write_char(s + i, n, out);
        i += n ? n : 1;
    }
    if (status == KRS_OK) {
        status = krs_buf_append_char(out, '"');
    }
    return status == KRS_OK ? KRS_OK : roll_back(out, before, status);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

/* The field's value, or NULL when absent or null. */
static json_t *field_of(const json_t *object, const char *field)
{
    json_t *value = json_object_get(object, field);
    return json_is_null(value) ? NULL : value;
}

static krs_status fail_type(krs_error *err, const char *field, const char *want, const json_t *got)
{
    return krs_fail_field(err, KRS_EINVAL, field, "%s: want %s, got %s", field, want,
                          type_name(got));
}

krs_status krs_json_get_int(const json_t *object, const char *field, int64_t min, int64_t max,
                            int64_t *out, krs_error *err)
{
    const json_t *value = field_of(object, field);
    if (!value) {
        return KRS_OK;
    }
    int64_t n;
    if (json_is_integer(value)) {
        n = json_integer_value(value);
    } else if (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value) &&
               fabs(json_real_value(value)) < 9e15) {
        n = (int64_t)json_real_value(value);
    } else {
        return fail_type(err, field, "an integer", value);
    }
    if (n < min || n > max) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: %lld, want %lld..%lld", field,
                              (long long)n, (long long)min, (long long)max);
    }
    *out = n;
    return KRS_OK;
}

krs_status krs_json_get_double(const json_t *object, const char *field, double min, double max,
                               double *out, krs_error *err)
{
    const json_t *value = field_of(object, field);
    if (!value) {
        return KRS_OK;
    }
    if (!json_is_number(value)) {
        return fail_type(err, field, "a number", value);
    }
    const double x = json_number_value(value);
    if (!(x >= min && x <= max)) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: %g, want %g..%g", field, x, min, max);
    }
    *out = x;
    return KRS_OK;
}

krs_status krs_json_get_bool(const json_t *object, const char *field, bool *out, krs_error *err)
{
    const json_t *value = field_of(object, field);
    if (!value) {
        return KRS_OK;
    }
    if (!json_is_boolean(value)) {
        return fail_type(err, field, "true or false", value);
    }
    *out = json_is_true(value);
    return KRS_OK;
}

krs_status krs_json_get_str(const json_t *object, const char *field, size_t max_bytes, krs_str *out,
                            krs_error *err)
{
    const json_t *value = field_of(object, field);
    if (!value) {
        return KRS_OK;
    }
    if (!json_is_string(value)) {
        return fail_type(err, field, "a string", value);
    }
    if (json_string_length(value) > max_bytes) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: %zu bytes, limit %zu", field,
                              json_string_length(value), max_bytes);
    }
    *out = (krs_str){json_string_value(value), json_string_length(value)};
    return KRS_OK;
}

krs_status krs_json_get_tree(const json_t *object, const char *field, json_type type, json_t **out,
                             krs_error *err)
{
    json_t *value = field_of(object, field);
    if (!value) {
        return KRS_OK;
    }
    if (json_typeof(value) != type) {
        return fail_type(err, field, type == JSON_OBJECT ? "an object" : "an array", value);
    }
    *out = value;
    return KRS_OK;
}
