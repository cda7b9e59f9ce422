/* text/pattern: Oniguruma's meaning under PCRE2, the walk over matches, and what is refused. */
#include "support/cmocka.h"
#include "text/pattern.h"

#include <stdio.h>
#include <string.h>

#define MAX_OUT 4000

/* All matches of expression in text, with | between them. */
static void check_matches(const char *expression, const char *text, const char *want)
{
    krs_pattern *pattern = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_pattern_new_regex(krs_str_of(expression), NULL, &pattern, &err) != KRS_OK) {
        fail_msg("%s: %s", expression, err.message);
    }
    krs_pattern_room *room = krs_pattern_room_new(NULL);
    krs_pattern_walk walk = krs_pattern_walk_of(pattern, room, krs_str_of(text));
    char got[MAX_OUT] = "";
    size_t n = 0;
    size_t start;
    size_t end;
    krs_status status;
    for (int i = 0; (status = krs_pattern_next(&walk, &start, &end)) == KRS_OK; i++) {
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", i > 0 ? "|" : "",
                              (int)(end - start), text + start);
    }
    assert_int_equal(status, KRS_EEOF);
    if (strcmp(got, want) != 0) {
        fail_msg("%s in \"%s\": %s, want %s", expression, text, got, want);
    }
    krs_pattern_room_free(room);
    krs_pattern_free(pattern);
}

static void classes_mean_what_oniguruma_means(void **state)
{
    (void)state;
    /* U+180E is no white space; U+0085 and U+3000 are. */
    check_matches("\\s",
                  "a\xE1\xA0\x8E"
                  "b\xC2\x85\xE3\x80\x80",
                  "\xC2\x85|\xE3\x80\x80");
    check_matches("[^\\s]+",
                  "a\xE1\xA0\x8E"
                  "b c",
                  "a\xE1\xA0\x8E"
                  "b|c");
    check_matches("\\S+",
                  "a\xE1\xA0\x8E"
                  "b c",
                  "a\xE1\xA0\x8E"
                  "b|c");
    check_matches("[\\S]+",
                  "a\xE1\xA0\x8E"
                  "b c",
                  "a\xE1\xA0\x8E"
                  "b|c");
    /* Marks and connectors are word characters; a superscript two is not. */
    check_matches("\\w+", "e\xCC\x81_\xE2\x80\xBF-x\xC2\xB2", "e\xCC\x81_\xE2\x80\xBF|x");
    check_matches("[\\w]+", "e\xCC\x81-\xC2\xB2", "e\xCC\x81");
    check_matches("\\W", "e\xCC\x81-", "-");
    check_matches("\\d+", "1\xD9\xA1 x", "1\xD9\xA1");
    check_matches("\\h+", "xyzAf09g", "Af09");
    check_matches("\\bx\\b", "x e\xCC\x81x x", "x|x");
    check_matches("\\v", "\n\x0B", "\x0B");
    check_matches("\\u00e9|\\x{e8}|\\xE7", "\xC3\xA9\xC3\xA8\xC3\xA7",
                  "\xC3\xA9|\xC3\xA8|\xC3\xA7");
    check_matches("[a\\-z]", "b-z", "-|z");
    check_matches("[\\s-a]+", "b -a", " -a"); /* a hyphen after a class is a hyphen */
    check_matches("[a-\\s]+", "b -a", " -a");
    check_matches("[]x]", "a]x", "]|x");
}

static void repeats_mean_what_ruby_means(void **state)
{
    (void)state;
    check_matches("a{2,3}+", "aaaaaaa", "aaaaaa"); /* a repeated repeat, not a possessive one */
    check_matches("(?:ab){1,2}+", "abababab", "abababab");
    check_matches("[ab]{2}+c", "ababac", "babac");
    check_matches("a{,2}b", "aaab", "aab");
    check_matches("a++b|a", "aab", "aab");
    check_matches("x{y", "x{y", "x{y");
    check_matches("x{,}", "x{,}", "x{,}");
}

static void flags_and_anchors_mean_what_ruby_means(void **state)
{
    (void)state;
    check_matches("(?m:a.b)", "a\nb", "a\nb"); /* dot matches newline */
    check_matches("a.b", "a\nb", "");
    check_matches("^b$", "a\nb\nc", "b"); /* always by lines */
    check_matches("\\Aa", "a\na", "a");
    check_matches("(?i:'s|'re)", "'S'rE's", "'S|'rE|'s");
    check_matches("(?i)ab", "AB", "AB");
    check_matches("x(?=y)|(?<=y)z|(?<!y)w|q(?!z)", "xyzwqqz", "x|z|w|q");
    check_matches("(?>a+)b|(?<name>c)", "aabc", "aab|c");
}

static void empty_matches_step_by_whole_characters(void **state)
{
    (void)state;
    check_matches("",
                  "\xC3\xA9"
                  "a",
                  "||");
    check_matches("x*", "axb", "|x|"); /* no empty match right behind a match */
}

static void what_cannot_be_carried_over_is_refused_by_name(void **state)
{
    static const struct {
        const char *expression;
        krs_status status;
        const char *words;
    } cases[] = {
        {"[a&&b]", KRS_EUNSUPPORTED, "&&"},
        {"[a[b]]", KRS_EUNSUPPORTED, "set inside"},
        {"[[:alpha:]]", KRS_EUNSUPPORTED, "set inside"},
        {"(a)\\1", KRS_EUNSUPPORTED, "escape"},
        {"\\K", KRS_EUNSUPPORTED, "escape"},
        {"\\R", KRS_EUNSUPPORTED, "escape"},
        {"[\\W]", KRS_EUNSUPPORTED, "escape in a set"},
        {"(*UTF)", KRS_EUNSUPPORTED, "(*"},
        {"(?~a)", KRS_EUNSUPPORTED, "group"},
        {"a(?i)b", KRS_EUNSUPPORTED, "group"},
        {"(?R)", KRS_EUNSUPPORTED, "group"},
        {"(?P<a>b)", KRS_EUNSUPPORTED, "group"},
        {"a{2}?", KRS_EUNSUPPORTED, "{}?"},
        {"\\pL", KRS_EUNSUPPORTED, "braces"},
        {"{2}+", KRS_EUNSUPPORTED, "repeat of nothing"},
        {"(", KRS_EFORMAT, "regex"},
        {")", KRS_EFORMAT, ") without ("},
        {"[a", KRS_EFORMAT, "not closed"},
        {"\\p{NoSuch}", KRS_EFORMAT, "regex"},
        {"*", KRS_EFORMAT, "regex"},
        {"\\", KRS_EUNSUPPORTED, "escape"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_pattern *pattern = NULL;
        krs_error err = KRS_ERROR_INIT;
        const krs_status status =
            krs_pattern_new_regex(krs_str_of(cases[i].expression), NULL, &pattern, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].words)) {
            fail_msg("%s: %s \"%s\"", cases[i].expression, krs_status_name(status), err.message);
        }
        assert_null(pattern);
    }
}

static void deep_groups_and_long_patterns_hit_limits(void **state)
{
    (void)state;
    static char deep[2 * KRS_PATTERN_MAX_BYTES];
    krs_pattern *pattern = NULL;
    krs_error err = KRS_ERROR_INIT;
    memset(deep, '(', sizeof(deep));
    assert_int_equal(
        krs_pattern_new_regex((krs_str){deep, KRS_PATTERN_MAX_DEPTH + 1}, NULL, &pattern, &err),
        KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "nested deeper than 64"));
    assert_int_equal(krs_pattern_new_regex((krs_str){deep, sizeof(deep)}, NULL, &pattern, &err),
                     KRS_ETOOLARGE);
    assert_int_equal(krs_pattern_new_literal((krs_str){deep, sizeof(deep)}, NULL, &pattern, &err),
                     KRS_ETOOLARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_mean_what_oniguruma_means),
        cmocka_unit_test(repeats_mean_what_ruby_means),
        cmocka_unit_test(flags_and_anchors_mean_what_ruby_means),
        cmocka_unit_test(empty_matches_step_by_whole_characters),
        cmocka_unit_test(what_cannot_be_carried_over_is_refused_by_name),
        cmocka_unit_test(deep_groups_and_long_patterns_hit_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
