/* api/method.c - see method.h. */
#include "api/method.h"

#include "base/check.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

#define NEEDED    KRS_PARAM_NEEDED
#define ABOVE_MIN KRS_PARAM_ABOVE_MIN
#define OWN       KRS_PARAM_OWN

static const krs_method_row methods[] = {
#define KRS_METHOD(id, name, aliases, retry, origin, items, summary, result)                       \
    {name, aliases, KRS_RETRY_##retry, KRS_ORIGIN_##origin, KRS_METHOD_##items, summary, result},
#define KRS_PARAM(method, name, type, min, max, value, flags, help)
#include "api/method.def"
#undef KRS_METHOD
#undef KRS_PARAM
};

static const krs_param_row params_of_all[] = {
#define KRS_METHOD(id, name, aliases, retry, origin, items, summary, result)
#define KRS_PARAM(method, name, type, min, max, value, flags, help)                                \
    {name, value, help, min, max, KRS_METHOD_##method, KRS_PARAM_##type, flags},
#include "api/method.def"
#undef KRS_METHOD
#undef KRS_PARAM
};

#define N_PARAMS (sizeof(params_of_all) / sizeof(params_of_all[0]))

krs_method krs_method_of_name(krs_str name)
{
    for (unsigned i = 0; i < KRS_METHOD_COUNT; i++) {
        if (krs_str_equal(name, krs_str_of(methods[i].name)) ||
            (methods[i].alias[0] && krs_str_equal(name, krs_str_of(methods[i].alias)))) {
            return (krs_method)i;
        }
    }
    return KRS_METHOD_NONE;
}

const krs_method_row *krs_method_row_of(krs_method method)
{
    KRS_CHECK(method < KRS_METHOD_COUNT);
    return &methods[method];
}

const krs_param_row *krs_method_params(krs_method method, size_t *n)
{
    const krs_param_row *first = NULL;
    *n = 0;
    for (size_t i = 0; i < N_PARAMS; i++) {
        if (params_of_all[i].method == method) {
            first = first ? first : &params_of_all[i];
            ++*n;
        }
    }
    return first;
}

static krs_status refuse(krs_error *err, const krs_param_row *row, const char *want,
                         const json_t *got)
{
    static const char *const types[] = {"an object", "an array", "a string", "a number",
                                        "a number",  "true",     "false",    "null"};
    return krs_fail_field(err, KRS_EINVAL, row->name, "Invalid params: %s: want %s, got %s",
                          row->name, want, types[json_typeof(got)]);
}

/* Characters, not bytes: the limits are about what people count. */
static size_t count_characters(const json_t *text)
{
    const char *s = json_string_value(text);
    size_t n = 0;
    for (size_t i = 0; i < json_string_length(text); i++) {
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
    }
    return n;
}

static krs_status check_text(const krs_param_row *row, const json_t *value, krs_error *err)
{
    if (!json_is_string(value)) {
        return refuse(err, row, "a string", value);
    }
    const size_t n = count_characters(value);
    if ((double)n < row->min || (double)n > row->max) {
        return krs_fail_field(err, KRS_EINVAL, row->name,
                              "Invalid params: %s: %zu characters, want %.0f..%.0f", row->name, n,
                              row->min, row->max);
    }
    return KRS_OK;
}

static krs_status check_name(const krs_param_row *row, const json_t *value, krs_error *err)
{
    const krs_status status = check_text(row, value, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_str name = {json_string_value(value), json_string_length(value)};
    bool is_plain = krs_str_find(name, KRS_STR(".."), 0) == SIZE_MAX;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        is_plain = is_plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c != '\0' && strchr("0123456789_-./@:", c)));
    }
    if (!is_plain) {
        return krs_fail_field(err, KRS_EINVAL, row->name,
                              "Invalid params: %s: contains invalid characters or path traversal, "
                              "want letters, digits and _-./@: without \"..\"",
                              row->name);
    }
    return KRS_OK;
}

/* true and false count as 1 and 0, as they do for the contract's own runtime. */
static bool number_of(const json_t *value, double *out)
{
    if (json_is_boolean(value)) {
        *out = json_is_true(value) ? 1 : 0;
        return true;
    }
    *out = json_number_value(value);
    return json_is_number(value);
}

static krs_status check_number(const krs_param_row *row, const json_t *value, krs_error *err)
{
    double x = 0;
    if (!number_of(value, &x)) {
        return refuse(err, row, "a number", value);
    }
    const bool is_above = row->flags & KRS_PARAM_ABOVE_MIN ? x > row->min : x >= row->min;
    if (!is_above || !(x <= row->max)) {
        return krs_fail_field(err, KRS_EINVAL, row->name,
                              "Invalid params: %s: %g, want %s%.10g..%.10g", row->name, x,
                              row->flags & KRS_PARAM_ABOVE_MIN ? "above " : "", row->min, row->max);
    }
    return KRS_OK;
}

static krs_status check_int(const krs_param_row *row, const json_t *value, krs_error *err)
{
    double x = 0;
    if (!number_of(value, &x) || floor(x) != x) {
        return json_is_real(value)
                   ? krs_fail_field(err, KRS_EINVAL, row->name,
                                    "Invalid params: %s: %g, want an integer", row->name, x)
                   : refuse(err, row, "an integer", value);
    }
    return check_number(row, value, err);
}

static krs_status check_word(const krs_param_row *row, const json_t *value, krs_error *err)
{
    if (!json_is_string(value)) {
        return refuse(err, row, "a string", value);
    }
    const krs_str given = {json_string_value(value), json_string_length(value)};
    const char *word = row->help;
    while (*word) {
        const size_t n = strcspn(word, "|");
        if (krs_str_equal(given, (krs_str){word, n})) {
            return KRS_OK;
        }
        word += n + (word[n] == '|');
    }
    return krs_fail_field(err, KRS_EINVAL, row->name, "Invalid params: %s: \"%.40s\", want %s",
                          row->name, json_string_value(value), row->help);
}

static krs_status check_count(const krs_param_row *row, const json_t *list, double min, double max,
                              krs_error *err)
{
    const size_t n = json_array_size(list);
    if ((double)n < min || (double)n > max) {
        return krs_fail_field(err, KRS_EINVAL, row->name,
                              "Invalid params: %s: %zu entries, want %.0f..%.0f", row->name, n, min,
                              max);
    }
    return KRS_OK;
}

/* Every entry as a row of its own says; the error still names the list. */
static krs_status check_list(const krs_param_row *row, const json_t *list, krs_error *err)
{
    if (!json_is_array(list)) {
        return refuse(err, row, "an array", list);
    }
    krs_status status = check_count(row, list, 0, row->min, err);
    const bool is_text = row->type == KRS_PARAM_TEXTS;
    const krs_param_row entry = {.name = row->name, .min = is_text ? 1 : 0, .max = row->max};
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        status = is_text ? check_text(&entry, value, err) : check_int(&entry, value, err);
    }
    return status;
}

static krs_status check_objects(const krs_param_row *row, const json_t *list, krs_error *err)
{
    if (!json_is_array(list)) {
        return refuse(err, row, "an array", list);
    }
    krs_status status = check_count(row, list, row->min, row->max, err);
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        if (!json_is_object(json_array_get(list, i))) {
            status = refuse(err, row, "objects", json_array_get(list, i));
        }
    }
    return status;
}

static krs_status check_value(const krs_param_row *row, const json_t *value, krs_error *err)
{
    switch (row->type) {
    case KRS_PARAM_TEXT:
        return check_text(row, value, err);
    case KRS_PARAM_NAME:
        return check_name(row, value, err);
    case KRS_PARAM_INT:
        return check_int(row, value, err);
    case KRS_PARAM_NUMBER:
        return check_number(row, value, err);
    case KRS_PARAM_BOOL:
        return json_is_boolean(value) ? KRS_OK : refuse(err, row, "true or false", value);
    case KRS_PARAM_WORD:
        return check_word(row, value, err);
    case KRS_PARAM_TEXTS:
    case KRS_PARAM_INTS:
        return check_list(row, value, err);
    case KRS_PARAM_OBJECT:
        return json_is_object(value) ? KRS_OK : refuse(err, row, "an object", value);
    case KRS_PARAM_OBJECTS:
        return check_objects(row, value, err);
    case KRS_PARAM_ANY:
        break;
    }
    return KRS_OK;
}

static json_t *value_of(const json_t *params, const char *name)
{
    json_t *value = json_object_get(params, name);
    return json_is_null(value) ? NULL : value;
}

bool krs_method_has(const json_t *params, const char *name)
{
    return value_of(params, name) != NULL;
}

krs_status krs_method_check(krs_method method, const json_t *params, krs_error *err)
{
    if (params && !json_is_object(params)) {
        return krs_fail_field(err, KRS_EINVAL, "params",
                              "Invalid params: params: want an object of named parameters");
    }
    size_t n = 0;
    const krs_param_row *rows = krs_method_params(method, &n);
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        const json_t *value = value_of(params, rows[i].name);
        if (value) {
            status = check_value(&rows[i], value, err);
        } else if (rows[i].flags & KRS_PARAM_NEEDED) {
            status =
                krs_fail_field(err, KRS_EINVAL, rows[i].name,
                               "Invalid params: %s: required parameter is missing", rows[i].name);
        }
    }
    return status;
}

static const krs_param_row *row_of(krs_method method, const char *name)
{
    size_t n = 0;
    const krs_param_row *rows = krs_method_params(method, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    KRS_CHECK(false && "a parameter that the table does not have");
    return NULL;
}

double krs_method_number(krs_method method, const json_t *params, const char *name)
{
    const krs_param_row *row = row_of(method, name);
    const json_t *value = value_of(params, name);
    double x = row->value ? strtod(row->value, NULL) : 0;
    if (value) {
        (void)number_of(value, &x);
    }
    return x;
}

int64_t krs_method_int(krs_method method, const json_t *params, const char *name)
{
    /* Every INT row's limits are below 2^53: a double holds them exactly. */
    return (int64_t)krs_method_number(method, params, name);
}

bool krs_method_bool(krs_method method, const json_t *params, const char *name)
{
    const krs_param_row *row = row_of(method, name);
    const json_t *value = value_of(params, name);
    return value ? json_is_true(value) : row->value && strcmp(row->value, "true") == 0;
}

krs_str krs_method_text(krs_method method, const json_t *params, const char *name)
{
    const krs_param_row *row = row_of(method, name);
    const json_t *value = value_of(params, name);
    return value ? (krs_str){json_string_value(value), json_string_length(value)}
                 : krs_str_of(row->value ? row->value : "");
}
