/* Any bytes as a pattern: an error that says something, or a regex that may be asked; the spellings of JSON agree with
 * plain text where a text needs no escape. */
#include "base/check.h"
#include "grammar/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool matches(krs_str pattern, krs_spelling spelling, bool is_search, krs_str text,
                    bool *is_known)
{
    static const krs_grammar_limits limits = {1u << 15, 8u << 20, 1u << 15};
    krs_grammar_builder *b;
    krs_error err = KRS_ERROR_INIT;
    krs_regex r;
    const krs_pattern_options options = {spelling, is_search};
    KRS_CHECK(krs_grammar_builder_new(&limits, NULL, &b) == KRS_OK);
    const krs_status status = krs_grammar_pattern(b, pattern, &options, &r, &err);
    bool is_match = false;
    if (status == KRS_OK) {
        is_match = krs_regex_matches(b, r, text);
        *is_known = *is_known && krs_grammar_builder_status(b, NULL) == KRS_OK;
    } else {
        KRS_CHECK((status == KRS_EINVAL || status == KRS_ENOMEM) && err.message[0]);
        *is_known = false;
    }
    krs_grammar_builder_free(b);
    return is_match;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const krs_str texts[] = {{"", 0}, {"a", 1}, {"ab0-_.", 6}, {"\xC3\xA9 x/", 5}};
    const krs_str pattern = {(const char *)data, size};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        bool is_known = true;
        const bool is_match = matches(pattern, KRS_SPELLING_PLAIN, i % 2, texts[i], &is_known);
        const bool is_json = matches(pattern, KRS_SPELLING_JSON, i % 2, texts[i], &is_known);
        const bool is_any = matches(pattern, KRS_SPELLING_JSON_ANY, i % 2, texts[i], &is_known);
        KRS_CHECK(!is_known || (is_match == is_json && is_match == is_any));
    }
    return 0;
}
