/* text/tokenizer_read_normal.c - "normalizer" of a tokenizer.json. */
#include "text/tokenizer_priv.h"

#include "text/unicode.h"

#define MAX_CHARSMAP_BYTES (16u << 20) /* base64; the largest public one has 317 KiB */

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

static krs_status add_rewrite(krs_tokenizer *t, krs_normalizer_rewrite rewrite, krs_error *err)
{
    return add_normalizer(
        t, &(krs_normalizer_step){.kind = KRS_NORMALIZER_REWRITE, .rewrite = rewrite}, err);
}

static krs_status read_lowercase(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_rewrite(t, krs_unicode_lowercase, err);
}

static krs_status read_strip_accents(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_rewrite(t, krs_rewrite_without_marks, err);
}

static krs_status read_nmt(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_rewrite(t, krs_rewrite_nmt, err);
}

static krs_status read_bytelevel(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    return add_rewrite(t, krs_rewrite_bytelevel, err);
}

typedef struct bert_options {
    bool has_clean_text;
    bool has_chinese;
    bool has_lowercase;
    bool has_strip_accents;
} bert_options;

/* strip_accents may be left to lowercase. */
static krs_status read_bert_options(const json_t *spec, bert_options *out, krs_error *err)
{
    *out = (bert_options){true, true, true, true};
    krs_status status = krs_json_get_bool(spec, "clean_text", &out->has_clean_text, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "handle_chinese_chars", &out->has_chinese, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "lowercase", &out->has_lowercase, err);
    }
    out->has_strip_accents = out->has_lowercase;
    if (status == KRS_OK) {
        status = krs_json_get_bool(spec, "strip_accents", &out->has_strip_accents, err);
    }
    return status;
}

static krs_status add_bare_letters(krs_tokenizer *t, krs_error *err)
{
    const krs_status status = add_form(t, KRS_UNICODE_NFD, err);
    return status == KRS_OK ? add_rewrite(t, krs_rewrite_without_nonspacing, err) : status;
}

static krs_status read_bert(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    bert_options options;
    krs_status status = read_bert_options(spec, &options, err);
    if (status == KRS_OK && options.has_clean_text) {
        status = add_rewrite(t, krs_rewrite_clean, err);
    }
    if (status == KRS_OK && options.has_chinese) {
        status = add_rewrite(t, krs_rewrite_chinese, err);
    }
    if (status == KRS_OK && options.has_strip_accents) {
        status = add_bare_letters(t, err);
    }
    return status == KRS_OK && options.has_lowercase ? add_rewrite(t, krs_unicode_lowercase, err)
                                                     : status;
}

static krs_status read_precompiled(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_normalizer_step step = {.kind = KRS_NORMALIZER_CHARSMAP};
    krs_str base64 = {NULL, 0};
    krs_status status =
        krs_json_get_str(spec, "precompiled_charsmap", MAX_CHARSMAP_BYTES, &base64, err);
    if (status == KRS_OK && !base64.ptr) {
        status = krs_fail(err, KRS_EFORMAT, "precompiled_charsmap: missing");
    }
    if (status == KRS_OK) {
        status = krs_charsmap_parse(base64, t->alloc, &step.charsmap, err);
    }
    return status == KRS_OK ? add_normalizer(t, &step, err) : status;
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
    {"StripAccents", read_strip_accents},
    {"Prepend", read_prepend},
    {"Replace", read_replace},
    {"BertNormalizer", read_bert},
    {"Nmt", read_nmt},
    {"Precompiled", read_precompiled},
    {"ByteLevel", read_bytelevel},
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
