/* ECMA-262 patterns: which texts they match, as the flag u has it, and what is refused by name. */
#include "grammar/pattern.h"
#include "support/cmocka.h"

static bool matches(const char *pattern, krs_str text, krs_pattern_options options)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    krs_error err = KRS_ERROR_INIT;
    krs_regex r;
    if (krs_grammar_pattern(b, krs_str_of(pattern), &options, &r, &err) != KRS_OK) {
        fail_msg("%s: %s", pattern, err.message);
    }
    const bool is_match = krs_regex_matches(b, r, text);
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_OK);
    krs_grammar_builder_free(b);
    return is_match;
}

typedef struct sample {
    const char *pattern;
    const char *yes[4];
    const char *no[4];
} sample;

static void check(const sample *samples, size_t n, krs_pattern_options options)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < 4 && samples[i].yes[j]; j++) {
            if (!matches(samples[i].pattern, krs_str_of(samples[i].yes[j]), options)) {
                fail_msg("%s refuses \"%s\"", samples[i].pattern, samples[i].yes[j]);
            }
        }
        for (size_t j = 0; j < 4 && samples[i].no[j]; j++) {
            if (matches(samples[i].pattern, krs_str_of(samples[i].no[j]), options)) {
                fail_msg("%s accepts \"%s\"", samples[i].pattern, samples[i].no[j]);
            }
        }
    }
}

static void searches_match_anywhere(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a+b", {"ab", "xaab-", "ab\n"}, {"", "a", "ba"}},
        {"^a|b$", {"ax", "xb", "b"}, {"xa", "bx", ""}},
        {"^$", {""}, {"a", "\n"}},
        {"^\\d{3}$", {"123"}, {"12", "1234", "12a", "\xD9\xA1\xD9\xA2\xD9\xA3"}},
        {"(^a)?b", {"ab", "xb", "b"}, {"a", ""}},
        {"x(?=ab)", {"xab", "zxabz"}, {"xa", "ab"}},
        {"^(?!foo|bar).*$", {"baz", "", "fo"}, {"foo", "food", "bar"}},
        {"^(?=.*\\d)(?=.*[a-z]).{4,}$", {"abc1", "1zzz"}, {"abcd", "1234", "a1"}},
        {"^a(?!b)", {"a", "ac"}, {"ab", "xa"}},
        {"(?!)|q", {"q"}, {"", "a"}},
    };
    check(samples, sizeof(samples) / sizeof(*samples),
          (krs_pattern_options){KRS_SPELLING_PLAIN, true});
}

/* What is left off at the ends of a search changes no answer. */
static void open_ends_need_the_fewest_repeats(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"[ab]{2,9}", {"ab", "xabx", "aaaaaaaaaaaaaaa"}, {"", "a", "axb"}},
        {"x*y+", {"y", "xy", "-y-"}, {"", "x"}},
        {"a?^b", {"b", "bx"}, {"ab", ""}},
        {"^a{1,3}", {"a", "aaaa", "ab"}, {"", "ba"}},
        {"a{1,3}$", {"a", "aaaa", "ba"}, {"", "ab"}},
        {"(a+|b$)", {"a", "xax", "b", "xb"}, {"", "bx"}},
        {"(a|)(b|c?)", {"", "a", "x"}, {NULL}},
        {"(a|)(b|c+)d", {"bd", "xcd", "abd"}, {"ad", "d", "b"}},
        {"(ab){2,4}(?!c)", {"abab", "abababx", "xababc!abab"}, {"ab", "ababc", ""}},
        {"(?=a)b?", {"a", "ba"}, {"b", ""}},
    };
    check(samples, sizeof(samples) / sizeof(*samples),
          (krs_pattern_options){KRS_SPELLING_PLAIN, true});
}

static void whole_patterns_match_all_of_a_text(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a|bc", {"a", "bc"}, {"ab", "abc", ""}},
        {"[^a-c]", {"d", "\xC3\xA9", "\n"}, {"a", "", "dd"}},
        {".", {"x", "\xF0\x9F\x98\x80"}, {"\n", "\r", "\xE2\x80\xA8", "xx"}},
        {"[\\w-.]+", {"a-b.c_9"}, {"a b"}},
        {"[\\]\\\\^-]+", {"]\\^-"}, {"a"}},
        {"\\u0041\\x42\\u{1F600}\\cJ\\0?", {"AB\xF0\x9F\x98\x80\n"}, {"AB"}},
        {"\\uD83D\\uDE00", {"\xF0\x9F\x98\x80"}, {"\xEF\xBF\xBD"}},
        {"\\p{Lu}\\P{L}[\\p{Nd}_]", {"\xC3\x89.\xD9\xA3", "A_1"}, {"a_1", "AA1"}},
        {"a{2}b{1,}c{0,2}d{,3}", {"aabd{,3}", "aabbccd{,3}"}, {"abd{,3}", "aabcccd{,3}"}},
        {"(?<year>\\d{4})-(?:x|y)*?", {"2024-", "2024-xy"}, {"202-"}},
        {"\\s\\S", {"\xC2\xA0.", " x"}, {"  ", "x "}},
        {"a{,", {"a{,"}, {"a"}},
    };
    check(samples, sizeof(samples) / sizeof(*samples),
          (krs_pattern_options){KRS_SPELLING_PLAIN, false});
}

/* The same pattern over what stands for the text inside a JSON string. */
static void escapes_of_json_are_woven_in(void **state)
{
    (void)state;
    const krs_pattern_options canonical = {KRS_SPELLING_JSON, false};
    const krs_pattern_options any = {KRS_SPELLING_JSON_ANY, false};
    static const sample both[] = {
        {"a\"\\\\\\n", {"a\\\"\\\\\\n"}, {"a\"\\\\\\n", "a\\\"\\\\\n"}},
        {".", {"x", "\xC3\xA9", "\\\\"}, {"\\n", "\"", "\\"}},
        {"[\\x00-\\x1f]", {"\\u0001", "\\t", "\\u001f"}, {"\\u0020", "\t"}},
    };
    check(both, sizeof(both) / sizeof(*both), canonical);
    check(both, sizeof(both) / sizeof(*both), any);
    static const sample only_any[] = {
        {"A/", {"\\u0041\\/", "A\\u002F"}, {"\\u0042/"}},
        {"\\u{1F600}",
         {"\\uD83D\\uDE00", "\\ud83d\\ude00"},
         {"\\uD83D", "\\uDE00", "\\uD83D\\uDE01"}},
        {"[^a]", {"\\uD83D\\uDE00", "\\u0062"}, {"\\u0061", "\\uD83D", "\\uDE00"}},
    };
    check(only_any, sizeof(only_any) / sizeof(*only_any), any);
    assert_false(matches("A", KRS_STR("\\u0041"), canonical));
}

static void what_is_no_regex_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"(a)\\1", "backreference"},
        {"\\k<a>", "backreference"},
        {"(?<=a)b", "lookbehind"},
        {"(?<!a)b", "lookbehind"},
        {"\\bfoo", "word boundary"},
        {"(a", "not closed"},
        {"a)", "closes nothing"},
        {"[a", "not closed"},
        {"*a", "nothing to repeat"},
        {"a**", "nothing to repeat"},
        {"[z-a]", "out of order"},
        {"a{3,2}", "out of order"},
        {"\\p{Script=Greek}", "categ"},
        {"\\p{Nope}", "property"},
        {"(?i)a", "kind of group"},
        {"((?=a)b)*", "inside a repeat"},
        {"\\x4", "hex"},
        {"\\u{110000}", "number"},
        {"a\\", "backslash"},
        {"\\07", "octal"},
        {"\\y", "not known"},
        {"\xFF", "not UTF-8"},
        {"a{1000001}", "1000000"},
        {"(?=c)a?^b", "may be empty"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        krs_grammar_builder *b;
        assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
        const krs_pattern_options options = {KRS_SPELLING_PLAIN, true};
        krs_error err = KRS_ERROR_INIT;
        krs_regex r;
        const krs_status status = krs_grammar_pattern(b, krs_str_of(bad[i][0]), &options, &r, &err);
        if (status != KRS_EINVAL || !strstr(err.message, bad[i][1])) {
            fail_msg("%s: want \"%s\", got \"%s\"", bad[i][0], bad[i][1], err.message);
        }
        krs_grammar_builder_free(b);
    }
}

/* What ruins a matcher that backtracks. */
static void catastrophes_are_harmless(void **state)
{
    (void)state;
    char text[2001];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    const krs_pattern_options options = {KRS_SPELLING_PLAIN, false};
    assert_false(matches("(?:a+)+b", krs_str_of(text), options));
    assert_false(matches("(?:a|a|aa)*b", krs_str_of(text), options));
    assert_true(matches("(?:a?){5000}", krs_str_of(text), options));
    char deep[1200];
    memset(deep, '(', 600);
    memset(deep + 600, ')', 599);
    deep[1199] = 0;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    krs_error err = KRS_ERROR_INIT;
    krs_regex r;
    assert_int_equal(krs_grammar_pattern(b, krs_str_of(deep), &options, &r, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "deeper"));
    krs_grammar_builder_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_match_anywhere),
        cmocka_unit_test(open_ends_need_the_fewest_repeats),
        cmocka_unit_test(whole_patterns_match_all_of_a_text),
        cmocka_unit_test(escapes_of_json_are_woven_in),
        cmocka_unit_test(what_is_no_regex_is_refused_by_name),
        cmocka_unit_test(catastrophes_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
