/* format/gguf_get.c - settings by key, of the type the caller needs, or a line that says why not. */
#include "format/gguf_priv.h"

#include <math.h>

static bool is_integer(krs_gguf_type type)
{
    const bool is_real = type == KRS_GGUF_F32 || type == KRS_GGUF_F64;
    return krs_gguf_type_bytes(type) > 0 && type != KRS_GGUF_BOOL && !is_real;
}

static bool is_number(krs_gguf_type type)
{
    return krs_gguf_type_bytes(type) > 0 && type != KRS_GGUF_BOOL;
}

static krs_status fail_type(const char *key, const krs_gguf_value *value, const char *want,
                            krs_error *err)
{
    const bool is_array = value->type == KRS_GGUF_ARRAY;
    return krs_fail(err, KRS_EFORMAT, "%s: %s%s, want %s", key, is_array ? "a list of " : "",
                    krs_gguf_type_name(is_array ? value->item_type : value->type), want);
}

krs_status krs_gguf_get_int(const krs_gguf *gguf, const char *key, int64_t min, int64_t max,
                            int64_t *out, krs_error *err)
{
    const krs_gguf_value *value = krs_gguf_find(gguf, key);
    if (!value) {
        return KRS_OK;
    }
    if (!is_integer(value->type)) {
        return fail_type(key, value, "a whole number", err);
    }
    const int64_t n = krs_gguf_integer(value, 0);
    if (n < min || n > max) {
        return krs_fail(err, KRS_EFORMAT, "%s: %lld, want %lld .. %lld", key, (long long)n,
                        (long long)min, (long long)max);
    }
    *out = n;
    return KRS_OK;
}

krs_status krs_gguf_get_double(const krs_gguf *gguf, const char *key, double *out, krs_error *err)
{
    const krs_gguf_value *value = krs_gguf_find(gguf, key);
    if (!value) {
        return KRS_OK;
    }
    if (!is_number(value->type)) {
        return fail_type(key, value, "a number", err);
    }
    const double x = krs_gguf_number(value, 0);
    if (!isfinite(x)) {
        return krs_fail(err, KRS_EFORMAT, "%s: %g, want a finite number", key, x);
    }
    *out = x;
    return KRS_OK;
}

krs_status krs_gguf_get_bool(const krs_gguf *gguf, const char *key, bool *out, krs_error *err)
{
    const krs_gguf_value *value = krs_gguf_find(gguf, key);
    if (!value) {
        return KRS_OK;
    }
    if (value->type != KRS_GGUF_BOOL) {
        return fail_type(key, value, "a bool", err);
    }
    *out = value->data[0] != 0;
    return KRS_OK;
}

krs_status krs_gguf_get_str(const krs_gguf *gguf, const char *key, size_t max_bytes, krs_str *out,
                            krs_error *err)
{
    const krs_gguf_value *value = krs_gguf_find(gguf, key);
    if (!value) {
        return KRS_OK;
    }
    if (value->type != KRS_GGUF_STRING) {
        return fail_type(key, value, "a string", err);
    }
    size_t at = 0;
    const krs_str text = krs_gguf_next_str(value, &at);
    if (text.len > max_bytes) {
        return krs_fail(err, KRS_EFORMAT, "%s: %zu bytes, want at most %zu", key, text.len,
                        max_bytes);
    }
    *out = text;
    return KRS_OK;
}

krs_status krs_gguf_get_strings(const krs_gguf *gguf, const char *key, const krs_gguf_value **out,
                                krs_error *err)
{
    *out = krs_gguf_find(gguf, key);
    if (*out && ((*out)->type != KRS_GGUF_ARRAY || (*out)->item_type != KRS_GGUF_STRING)) {
        return fail_type(key, *out, "a list of strings", err);
    }
    return KRS_OK;
}

krs_status krs_gguf_get_numbers(const krs_gguf *gguf, const char *key, const krs_gguf_value **out,
                                krs_error *err)
{
    *out = krs_gguf_find(gguf, key);
    if (*out && ((*out)->type != KRS_GGUF_ARRAY || !is_number((*out)->item_type))) {
        return fail_type(key, *out, "a list of numbers", err);
    }
    return KRS_OK;
}
