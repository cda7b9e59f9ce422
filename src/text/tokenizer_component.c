/* text/tokenizer_component.c - what the readers of a tokenizer.json share: choosing by "type", and
 * fields that several components have. */
#include "text/tokenizer_priv.h"

#include "text/unicode.h"

#define MAX_FIELD_BYTES (1u << 20) /* any string inside a component */

krs_status krs_component_dispatch(krs_tokenizer *t, const char *role, const krs_component *table,
                                  const json_t *spec, krs_error *err)
{
    krs_str type = {NULL, 0};
    if (!json_is_object(spec)) {
        return krs_fail(err, KRS_EFORMAT, "%s: not an object", role);
    }
    krs_status status = krs_json_get_str(spec, "type", MAX_FIELD_BYTES, &type, err);
    if (status != KRS_OK || !type.ptr) {
        return status != KRS_OK ? status : krs_fail(err, KRS_EFORMAT, "%s: no type", role);
    }
    for (; table->name; table++) {
        if (krs_str_equal(type, krs_str_of(table->name))) {
            status = table->read(t, spec, err);
            return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", table->name);
        }
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "%s \"%.*s\" is not supported", role,
                    KRS_STR_ARGS(type));
}

krs_status krs_component_sequence(krs_tokenizer *t, const char *role, const char *field,
                                  const krs_component *table, const json_t *spec, krs_error *err)
{
    const json_t *list = json_object_get(spec, field);
    if (!json_is_array(list)) {
        return krs_fail(err, KRS_EFORMAT, "%s: want an array", field);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(list); i++) {
        status = krs_component_dispatch(t, role, table, json_array_get(list, i), err);
    }
    return status;
}

krs_status krs_component_text(const json_t *spec, const char *field, krs_str *out, krs_error *err)
{
    *out = (krs_str){NULL, 0};
    const krs_status status = krs_json_get_str(spec, field, MAX_FIELD_BYTES, out, err);
    if (status == KRS_OK && !out->ptr) {
        return krs_fail(err, KRS_EFORMAT, "%s: missing", field);
    }
    return status;
}

krs_status krs_component_char(const json_t *spec, const char *field, uint32_t *out, krs_error *err)
{
    krs_str text;
    const krs_status status = krs_component_text(spec, field, &text, err);
    if (status != KRS_OK) {
        return status;
    }
    size_t n = 0;
    const uint32_t c = text.len > 0 ? krs_utf8_decode(text, &n) : 0;
    if (text.len == 0 || n != text.len) {
        return krs_fail(err, KRS_EFORMAT, "%s: \"%.*s\", want one character", field,
                        KRS_STR_ARGS(text));
    }
    *out = c;
    return KRS_OK;
}

krs_status krs_component_pattern(const krs_tokenizer *t, const json_t *spec, krs_pattern **out,
                                 krs_str *literal, krs_error *err)
{
    *out = NULL;
    *literal = (krs_str){NULL, 0};
    const json_t *pattern = json_object_get(spec, "pattern");
    const json_t *text = json_object_get(pattern, "String");
    if (json_is_string(text)) {
        *literal = (krs_str){json_string_value(text), json_string_length(text)};
        return krs_pattern_new_literal(*literal, t->alloc, out, err);
    }
    text = json_object_get(pattern, "Regex");
    if (!json_is_string(text)) {
        return krs_fail(err, KRS_EFORMAT, "pattern: want {\"String\": ..} or {\"Regex\": ..}");
    }
    return krs_pattern_new_regex((krs_str){json_string_value(text), json_string_length(text)},
                                 t->alloc, out, err);
}

krs_status krs_component_metaspace(const json_t *spec, uint32_t *replacement,
                                   krs_metaspace_scheme *scheme, krs_error *err)
{
    static const char *const names[] = {"always", "first", "never"};
    krs_str name = KRS_STR("always");
    bool has_prefix = true; /* the older spelling of always and never */
    krs_status status = krs_component_char(spec, "replacement", replacement, err);
    if (status == KRS_OK) {
        status = krs_json_get_str(spec, "prepend_scheme", MAX_FIELD_BYTES, &name, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "add_prefix_space", &has_prefix, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(name, krs_str_of(names[i]))) {
            *scheme = has_prefix ? (krs_metaspace_scheme)i : KRS_METASPACE_NEVER;
            return KRS_OK;
        }
    }
    return krs_fail(err, KRS_EFORMAT, "prepend_scheme: \"%.*s\", want always, first or never",
                    KRS_STR_ARGS(name));
}
