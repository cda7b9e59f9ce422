/* base/nearest: distances of words, and which suggestion is worth making. */
#include "base/nearest.h"

#include "support/cmocka.h"

static void distances_count_typing_mistakes(void **state)
{
    (void)state;
    const struct {
        const char *a;
        const char *b;
        size_t want;
    } cases[] = {
        {"", "", 0},          {"port", "port", 0},     {"prot", "port", 1}, {"por", "port", 1},
        {"portt", "port", 1}, {"pork", "port", 1},     {"", "abc", 3},      {"abc", "", 3},
        {"ca", "abc", 3},     {"kitten", "sitting", 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const krs_str a = krs_str_of(cases[i].a);
        const krs_str b = krs_str_of(cases[i].b);
        assert_int_equal(krs_nearest_distance(a, b), cases[i].want);
        assert_int_equal(krs_nearest_distance(b, a), cases[i].want);
    }
}

static void long_words_are_near_nothing(void **state)
{
    (void)state;
    char text[KRS_NEAREST_MAX_BYTES + 1];
    memset(text, 'a', sizeof(text));
    const krs_str longest = {text, KRS_NEAREST_MAX_BYTES};
    const krs_str longer = {text, sizeof(text)};
    assert_int_equal(krs_nearest_distance(longest, longest), 0);
    assert_int_equal(krs_nearest_distance(longest, longer), SIZE_MAX);
    krs_nearest nearest = {.word = longer};
    krs_nearest_offer(&nearest, longest);
    assert_int_equal(nearest.best.len, 0);
}

static void the_nearest_of_all_is_kept(void **state)
{
    (void)state;
    krs_nearest nearest = {.word = KRS_STR("max-tokns")};
    krs_nearest_offer(&nearest, KRS_STR("temperature"));
    assert_int_equal(nearest.best.len, 0);
    krs_nearest_offer(&nearest, KRS_STR("max-body"));
    krs_nearest_offer(&nearest, KRS_STR("max-tokens"));
    krs_nearest_offer(&nearest, KRS_STR("kv-tokens"));
    assert_true(krs_str_equal(nearest.best, KRS_STR("max-tokens")));
    assert_int_equal(nearest.distance, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_count_typing_mistakes),
        cmocka_unit_test(long_words_are_near_nothing),
        cmocka_unit_test(the_nearest_of_all_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
