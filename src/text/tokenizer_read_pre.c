/* text/tokenizer_read_pre.c - "pre_tokenizer" of a tokenizer.json.
 *
 * UnicodeScripts is refused: it cuts by a table of scripts as they were in Unicode 9, which neither
 * utf8proc nor PCRE2 has, and no published model that we know of uses it. */
#include "text/tokenizer_priv.h"

#include "text/unicode.h"

#include <stdio.h>

#define DEFAULT_FIXED_LENGTH 5     /* of the Rust library */
#define MAX_FIXED_LENGTH     65535 /* the largest count of a PCRE2 repetition */

/* GPT-2's own expression, used where ByteLevel has use_regex. */
static const char bytelevel_regex[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
                                      "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

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

/* White space goes, each punctuation character is a piece. */
static krs_status read_bert(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    (void)spec;
    const krs_status status = add_character_split(t, krs_unicode_is_space, KRS_SPLIT_REMOVED, err);
    return status == KRS_OK ? add_character_split(t, krs_unicode_is_punct, KRS_SPLIT_ISOLATED, err)
                            : status;
}

static krs_status read_char_delimiter(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    krs_pretokenizer_step step = {.kind = KRS_PRETOKENIZER_SPLIT, .behavior = KRS_SPLIT_REMOVED};
    uint32_t delimiter = 0;
    char mark[KRS_UTF8_MAX_BYTES];
    krs_status status = krs_component_char(spec, "delimiter", &delimiter, err);
    if (status == KRS_OK) {
        const krs_str literal = {mark, krs_utf8_encode(delimiter, mark)};
        status = krs_pattern_new_literal(literal, t->alloc, &step.pattern, err);
    }
    return status == KRS_OK ? add_step(t, &step, err) : status;
}

/* Pieces of so many characters. */
static krs_status read_fixed_length(krs_tokenizer *t, const json_t *spec, krs_error *err)
{
    char regex[sizeof("[\\s\\S]{1,}") + 20];
    int64_t length = DEFAULT_FIXED_LENGTH;
    const krs_status status = krs_json_get_int(spec, "length", 1, MAX_FIXED_LENGTH, &length, err);
    if (status != KRS_OK) {
        return status;
    }
    (void)snprintf(regex, sizeof(regex), "[\\s\\S]{1,%d}", (int)length);
    return add_regex(t, regex, KRS_SPLIT_ISOLATED, false, err);
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
    {"BertPreTokenizer", read_bert},
    {"CharDelimiterSplit", read_char_delimiter},
    {"FixedLength", read_fixed_length},
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
