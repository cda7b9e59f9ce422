/* grammar/schema_string.c - strings: minLength, maxLength, pattern, format. */
#include "grammar/schema_priv.h"

krs_regex krs_schema_search(krs_schema *s, const json_t *node, const char *keyword, krs_str pattern)
{
    const krs_pattern_options options = {s->spelling, true};
    krs_regex r = krs_regex_none(s->b);
    krs_error why = KRS_ERROR_INIT;
    const krs_status status =
        s->status == KRS_OK ? krs_grammar_pattern(s->b, pattern, &options, &r, &why) : KRS_OK;
    if (status == KRS_ENOMEM) {
        krs_schema_no_memory(s);
    } else if (status != KRS_OK) {
        krs_schema_refuse(s, node, keyword, "%s", why.message);
    }
    return r;
}

bool krs_schema_strings(krs_schema *s, const json_t *node, krs_language *out)
{
    uint32_t min = 0;
    uint32_t max = KRS_REGEX_INF;
    const bool has_min = krs_schema_count(s, node, "minLength", &min);
    const bool has_max = krs_schema_count(s, node, "maxLength", &max);
    const json_t *pattern = json_object_get(node, "pattern");
    const json_t *format = json_object_get(node, "format");
    krs_language l = krs_string_any(s);
    if (has_min || has_max) {
        const krs_regex r = krs_regex_repeat(s->b, krs_chars_any(s->b, s->spelling), min, max);
        l = (krs_language){r, r};
    }
    if (pattern && !json_is_string(pattern)) {
        krs_schema_refuse(s, node, "pattern", "want a string");
    } else if (pattern) {
        const krs_str text = {json_string_value(pattern), json_string_length(pattern)};
        const krs_regex r = krs_schema_search(s, node, "pattern", text);
        l = krs_language_and(s, l, (krs_language){r, r});
    }
    krs_language form;
    if (json_is_string(format) &&
        krs_schema_format(s, node, (krs_str){json_string_value(format), json_string_length(format)},
                          &form)) {
        l = krs_language_and(s, l, form);
    }
    *out = l;
    return s->status == KRS_OK && l.out.id != s->string_all.id;
}
