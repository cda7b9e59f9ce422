/* text/tokenizer_read_pre.c - "normalizer" and "pre_tokenizer" of a tokenizer.json. */
#include "text/tokenizer_priv.h"

#include "text/unicode.h"

/* GPT-2's own expression, used where ByteLevel has use_regex. */
static const char bytelevel_regex[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
                                      "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static krs_status add_normalizer(krs_tokenizer *t, const krs_normalizer_step *step, krs_error *err)
{
    return krs_normalizer_add(&t->normalizer, step) == KRS_OK
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "more than %d steps", KRS_NORMALIZER_MAX_STEPS);
}

static krs_status add_form(krs_tokenizer *t, krs_unicode_form form, krs_error *err)
{
    return add_normalizer(t, &(krs_normalizer_step){.kind = KRS_NORMALIZER_FORM, .form = form},
                          err);
}

static krs_status read_nfc(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_form(t, KRS_UNICODE_NFC, err);
}

static krs_status read_nfd(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_form(t, KRS_UNICODE_NFD, err);
}

static krs_status read_nfkc(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_form(t, KRS_UNICODE_NFKC, err);
}

static krs_status read_nfkd(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_form(t, KRS_UNICODE_NFKD, err);
}

static krs_status read_lowercase(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_normalizer(t, &(krs_normalizer_step){.kind = KRS_NORMALIZER_LOWERCASE}, err);
}

static krs_status read_strip(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_normalizer_step step = {.kind = KRS_NORMALIZER_STRIP, .has_left = true, .has_right = true};
    krs_status status = krs_json_get_bool(spec, "strip_left", &step.has_left, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "strip_right", &step.has_right, err);
    }
    return status == KRS_OK ? add_normalizer(t, &step, err) : status;
}

static krs_status set_content(const krs_tokenizer *t, const json_t *spec, const char *field,
                              krs_normalizer_step *step, krs_error *err)
{
    krs_str content;
    const krs_status status = krs_component_text(spec, field, &content, err);
    if (status != KRS_OK) {
        return status;
    }
    step->content = krs_alloc_text(t->alloc, content.ptr, content.len);
    step->n_content = content.len;
    return step->content ? KRS_OK : krs_fail(err, KRS_ENOMEM, "%s: out of memory", field);
}

static krs_status read_prepend(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_normalizer_step step = {.kind = KRS_NORMALIZER_PREPEND};
    const krs_status status = set_content(t, spec, "prepend", &step, err);
    return status == KRS_OK ? add_normalizer(t, &step, err) : status;
}

static krs_status read_replace(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_normalizer_step step = {.kind = KRS_NORMALIZER_REPLACE};
    krs_str literal;
    krs_status status = krs_component_pattern(t, spec, &step.pattern, &literal, err);
    if (status == KRS_OK) {
        status = set_content(t, spec, "content", &step, err);
    }
    if (status != KRS_OK) {
        krs_pattern_free(step.pattern);
        return status;
    }
    return add_normalizer(t, &step, err);
}

static krs_status read_normalizers(krs_tokenizer *t, const json_t *spec, krs_error *err);

static const krs_component normalizers[] = {
    {"Sequence", read_normalizers},
    {"NFC", read_nfc},
    {"NFD", read_nfd},
    {"NFKC", read_nfkc},
    {"NFKD", read_nfkd},
    {"Lowercase", read_lowercase},
    {"Strip", read_strip},
    {"Prepend", read_prepend},
    {"Replace", read_replace},
    {NULL, NULL},
};

static krs_status read_normalizers(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return krs_component_sequence(t, "normalizer", "normalizers", normalizers, spec, err);
}

krs_status krs_read_normalizer(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return !spec || json_is_null(spec)
               ? KRS_OK
               : krs_component_dispatch(t, "normalizer", normalizers, spec, err);
}

static krs_status add_step(krs_tokenizer *t, const krs_pretokenizer_step *step, krs_error *err)
{
    return krs_pretokenizer_add(&t->pretokenizer, step) == KRS_OK
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "more than %d steps", KRS_PRETOKENIZER_MAX_STEPS);
}

static krs_status add_regex(krs_tokenizer *t, const char *regex, krs_split_behavior behavior,
                            bool is_inverted, krs_error *err)
{
    krs_pretokenizer_step step = {
        .kind = KRS_PRETOKENIZER_SPLIT, .behavior = behavior, .is_inverted = is_inverted};
    const krs_status status =
        krs_pattern_new_regex(krs_str_of(regex), t->alloc, &step.pattern, err);
    return status == KRS_OK ? add_step(t, &step, err) : status;
}

static krs_status read_bytelevel(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    bool has_prefix = true;
    bool has_regex = true;
    krs_status status = krs_json_get_bool(spec, "add_prefix_space", &has_prefix, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "use_regex", &has_regex, err);
    }
    if (status == KRS_OK && has_prefix) {
        status = add_step(t, &(krs_pretokenizer_step){.kind = KRS_PRETOKENIZER_PREFIX}, err);
    }
    if (status == KRS_OK && has_regex) {
        status = add_regex(t, bytelevel_regex, KRS_SPLIT_ISOLATED, false, err);
    }
    return status == KRS_OK
               ? add_step(t, &(krs_pretokenizer_step){.kind = KRS_PRETOKENIZER_BYTES}, err)
               : status;
}

static krs_status read_behavior(const json_t *spec, krs_split_behavior *out, krs_error *err)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"}; /* as the enum */
    krs_str name = krs_str_of(names[*out]);
    const krs_status status = krs_json_get_str(spec, "behavior", 64, &name, err);
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (krs_str_equal(name, krs_str_of(names[i]))) {
            *out = (krs_split_behavior)i;
            return KRS_OK;
        }
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "behavior \"%.*s\"", KRS_STR_ARGS(name));
}

static krs_status read_split(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_pretokenizer_step step = {.kind = KRS_PRETOKENIZER_SPLIT, .behavior = KRS_SPLIT_ISOLATED};
    krs_str literal;
    krs_status status = read_behavior(spec, &step.behavior, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "invert", &step.is_inverted, err);
    }
    if (status == KRS_OK) {
        status = krs_component_pattern(t, spec, &step.pattern, &literal, err);
    }
    return status == KRS_OK ? add_step(t, &step, err) : status;
}

static krs_status read_metaspace(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_pretokenizer_step step = {.kind = KRS_PRETOKENIZER_METASPACE};
    bool has_split = true;
    krs_status status = krs_component_metaspace(spec, &step.replacement, &step.scheme, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "split", &has_split, err);
    }
    if (status == KRS_OK) {
        status = add_step(t, &step, err);
    }
    if (status != KRS_OK || !has_split) {
        return status;
    }
    krs_pretokenizer_step split = {.kind = KRS_PRETOKENIZER_SPLIT,
                                   .behavior = KRS_SPLIT_MERGED_WITH_NEXT};
    char mark[KRS_UTF8_MAX_BYTES];
    const krs_str literal = {mark, krs_utf8_encode(step.replacement, mark)};
    status = krs_pattern_new_literal(literal, t->alloc, &split.pattern, err);
    return status == KRS_OK ? add_step(t, &split, err) : status;
}

static krs_status add_character_split(krs_tokenizer *t, bool (*is_match)(uint32_t),
                                      krs_split_behavior behavior, krs_error *err)
{
    return add_step(t,
                    &(krs_pretokenizer_step){
                        .kind = KRS_PRETOKENIZER_SPLIT, .is_match = is_match, .behavior = behavior},
                    err);
}

static krs_status read_digits(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    bool is_single = false;
    const krs_status status = krs_json_get_bool(spec, "individual_digits", &is_single, err);
    return status == KRS_OK
               ? add_character_split(t, krs_unicode_is_numeric,
                                     is_single ? KRS_SPLIT_ISOLATED : KRS_SPLIT_CONTIGUOUS, err)
               : status;
}

static krs_status read_punctuation(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_split_behavior behavior = KRS_SPLIT_ISOLATED;
    const krs_status status = read_behavior(spec, &behavior, err);
    return status == KRS_OK ? add_character_split(t, krs_unicode_is_punct, behavior, err) : status;
}

static krs_status read_whitespace(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_regex(t, "\\w+|[^\\w\\s]+", KRS_SPLIT_REMOVED, true, err);
}

static krs_status read_whitespace_split(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_character_split(t, krs_unicode_is_space, KRS_SPLIT_REMOVED, err);
}

static krs_status read_pretokenizers(krs_tokenizer *t, const json_t *spec, krs_error *err);

static const krs_component pretokenizers[] = {
    {"Sequence", read_pretokenizers},
    {"ByteLevel", read_bytelevel},
    {"Split", read_split},
    {"Metaspace", read_metaspace},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {NULL, NULL},
};

static krs_status read_pretokenizers(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return krs_component_sequence(t, "pre_tokenizer", "pretokenizers", pretokenizers, spec, err);
}

krs_status krs_read_pretokenizer(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    return !spec || json_is_null(spec)
               ? KRS_OK
               : krs_component_dispatch(t, "pre_tokenizer", pretokenizers, spec, err);
}
