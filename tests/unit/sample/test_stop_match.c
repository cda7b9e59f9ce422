/* tests/unit/sample/test_stop_match.c - stop strings in text that arrives in pieces: never half of one is
 * shown, what cannot be one is shown at once, and the cuts do not matter (against a naive twin). */
#include "sample/stop_match.h"
#include "support/cmocka.h"

#include <stdio.h>

#define TWIN_ROUNDS 20000

typedef struct stepper {
    krs_stop_match *match;
    krs_buf out;
    bool is_stopped;
} stepper;

static stepper stepper_of(const krs_str *stops, uint32_t n, bool is_included)
{
    stepper s = {.is_stopped = false};
    assert_int_equal(krs_stop_match_new(stops, n, is_included, NULL, &s.match), KRS_OK);
    krs_buf_init(&s.out, NULL, 4096);
    return s;
}

/* What comes out for this piece. */
static const char *push(stepper *s, const char *text, bool is_armed)
{
    krs_buf_reset(&s->out);
    assert_int_equal(
        krs_stop_match_push(s->match, krs_str_of(text), is_armed, &s->out, &s->is_stopped), KRS_OK);
    return s->out.data ? s->out.data : "";
}

static const char *finish(stepper *s)
{
    krs_buf_reset(&s->out);
    assert_int_equal(krs_stop_match_finish(s->match, &s->out), KRS_OK);
    return s->out.data ? s->out.data : "";
}

static void end(stepper *s)
{
    krs_stop_match_free(s->match);
    krs_buf_deinit(&s->out);
}

static void text_passes_without_stop_strings(void **state)
{
    (void)state;
    stepper s = stepper_of(NULL, 0, false);
    assert_string_equal(push(&s, "any text", true), "any text");
    assert_string_equal(finish(&s), "");
    end(&s);
}

static void a_possible_beginning_is_held_and_let_go_at_once(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("STOP")};
    stepper s = stepper_of(stops, 1, false);
    assert_string_equal(push(&s, "a ST", true), "a ");
    assert_string_equal(push(&s, "O", true), "");
    assert_string_equal(push(&s, "x", true), "STOx");
    assert_string_equal(push(&s, "S", true), "");
    assert_string_equal(push(&s, "S", true), "S");
    assert_string_equal(finish(&s), "S");
    end(&s);
}

static void a_match_across_pieces_ends_the_text_before_it(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("</s>"), KRS_STR("\n\n")};
    stepper s = stepper_of(stops, 2, false);
    assert_string_equal(push(&s, "one\n", true), "one");
    assert_string_equal(push(&s, "two<", true), "\ntwo");
    assert_string_equal(push(&s, "/s", true), "");
    assert_string_equal(push(&s, "> gone", true), "");
    assert_true(s.is_stopped);
    end(&s);
}

static void an_included_match_is_part_of_the_text(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("END")};
    stepper s = stepper_of(stops, 1, true);
    assert_string_equal(push(&s, "the E", true), "the ");
    assert_string_equal(push(&s, "ND more", true), "END");
    assert_true(s.is_stopped);
    end(&s);
}

static void overlapping_beginnings_are_found(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("aab"), KRS_STR("abaa")};
    stepper s = stepper_of(stops, 2, false);
    assert_string_equal(push(&s, "xaaa", true), "xa");
    assert_string_equal(push(&s, "b", true), "");
    assert_true(s.is_stopped);
    end(&s);
    s = stepper_of(stops, 2, false);
    assert_string_equal(push(&s, "ab", true), "");
    assert_string_equal(push(&s, "ab", true), "ab"); /* "abab": the second may begin again */
    assert_string_equal(push(&s, "aa", true), "");
    assert_true(s.is_stopped);
    end(&s);
}

static void of_strings_ending_together_the_longest_wins(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("c"), KRS_STR("abc")};
    stepper s = stepper_of(stops, 2, false);
    assert_string_equal(push(&s, "xab", true), "x");
    assert_string_equal(push(&s, "c", true), "");
    assert_true(s.is_stopped);
    end(&s);
}

static void the_string_that_ended_the_text_is_known(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("ab"), KRS_STR("xyz"), KRS_STR("z")};
    stepper s = stepper_of(stops, 3, false);
    (void)push(&s, "a xy", true);
    assert_int_equal(krs_stop_match_found(s.match), 0);
    (void)push(&s, "z", true);
    assert_true(s.is_stopped);
    assert_int_equal(krs_stop_match_found(s.match), 2); /* the longest of those that end here */
    end(&s);
}

static void before_it_is_armed_a_match_is_text(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("ab"), KRS_STR("bc")};
    stepper s = stepper_of(stops, 2, false);
    assert_string_equal(push(&s, "ab", false), "a"); /* "b" may begin the other */
    assert_false(s.is_stopped);
    assert_string_equal(push(&s, "c", true), "");
    assert_true(s.is_stopped);
    end(&s);
}

static void characters_of_several_bytes_match_whole(void **state)
{
    (void)state;
    const krs_str stops[] = {KRS_STR("\xE2\x82\xAC!")}; /* euro sign, exclamation mark */
    stepper s = stepper_of(stops, 1, false);
    assert_string_equal(push(&s, "5 \xE2\x82\xAC", true), "5 ");
    assert_string_equal(push(&s, "\xE2\x82\xAC", true), "\xE2\x82\xAC");
    assert_string_equal(push(&s, "!", true), "");
    assert_true(s.is_stopped);
    end(&s);
}

static void lengths_out_of_range_are_refused(void **state)
{
    (void)state;
    static const char longer[KRS_MAX_STOP_BYTES + 1] = {'x'};
    const krs_str empty = {"", 0};
    const krs_str too_long = {longer, sizeof(longer)};
    const krs_str longest = {longer, KRS_MAX_STOP_BYTES};
    krs_stop_match *match = NULL;
    assert_int_equal(krs_stop_match_new(&empty, 1, false, NULL, &match), KRS_EINVAL);
    assert_int_equal(krs_stop_match_new(&too_long, 1, false, NULL, &match), KRS_EINVAL);
    assert_int_equal(krs_stop_match_new(&empty, KRS_MAX_STOPS + 1, false, NULL, &match),
                     KRS_EINVAL);
    assert_int_equal(krs_stop_match_new(&longest, 1, false, NULL, &match), KRS_OK);
    krs_stop_match_free(match);
    krs_stop_match_free(NULL);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void random_text(uint64_t *seed, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)('a' + next_random(seed) % 3);
    }
}

/* Where the text ends: the first byte at which a stop string ends, the longest of them. */
static size_t twin_end(krs_str text, const krs_str *stops, uint32_t n, bool *is_stopped)
{
    for (size_t e = 1; e <= text.len; e++) {
        size_t longest = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (krs_str_ends_with((krs_str){text.ptr, e}, stops[i]) && stops[i].len > longest) {
                longest = stops[i].len;
            }
        }
        if (longest > 0) {
            *is_stopped = true;
            return e - longest;
        }
    }
    return text.len;
}

/* May text's tail still become a stop string? The longest such tail. */
static size_t twin_held(krs_str text, const krs_str *stops, uint32_t n)
{
    size_t held = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (size_t k = 1; k < stops[i].len && k <= text.len; k++) {
            if (krs_str_ends_with(text, (krs_str){stops[i].ptr, k}) && k > held) {
                held = k;
            }
        }
    }
    return held;
}

static void cuts_do_not_matter(void **state)
{
    (void)state;
    uint64_t seed = 4711;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < TWIN_ROUNDS; round++) {
        char text[40];
        char stop_text[3][6];
        krs_str stops[3];
        random_text(&seed, text, sizeof(text));
        const uint32_t n = 1 + (uint32_t)(next_random(&seed) % 3);
        for (uint32_t i = 0; i < n; i++) {
            random_text(&seed, stop_text[i], 6);
            stops[i] = (krs_str){stop_text[i], 2 + next_random(&seed) % 5};
        }
        krs_stop_match *match = NULL;
        assert_int_equal(krs_stop_match_new(stops, n, false, NULL, &match), KRS_OK);
        krs_buf out;
        krs_buf_init(&out, NULL, 4096);
        bool is_stopped = false;
        size_t at = 0;
        while (at < sizeof(text) && !is_stopped) {
            size_t k = 1 + next_random(&seed) % 7;
            k = k < sizeof(text) - at ? k : sizeof(text) - at;
            assert_int_equal(
                krs_stop_match_push(match, (krs_str){text + at, k}, true, &out, &is_stopped),
                KRS_OK);
            at += k;
            if (!is_stopped) { /* nothing is held longer than it must be */
                assert_int_equal(at - out.len, twin_held((krs_str){text, at}, stops, n));
            }
        }
        bool want_stopped = false;
        const size_t want = twin_end((krs_str){text, sizeof(text)}, stops, n, &want_stopped);
        assert_int_equal(is_stopped, want_stopped);
        if (!is_stopped) {
            assert_int_equal(krs_stop_match_finish(match, &out), KRS_OK);
        }
        assert_int_equal(out.len, want);
        assert_true(want == 0 || memcmp(out.data, text, want) == 0);
        krs_stop_match_free(match);
        krs_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_passes_without_stop_strings),
        cmocka_unit_test(a_possible_beginning_is_held_and_let_go_at_once),
        cmocka_unit_test(a_match_across_pieces_ends_the_text_before_it),
        cmocka_unit_test(an_included_match_is_part_of_the_text),
        cmocka_unit_test(overlapping_beginnings_are_found),
        cmocka_unit_test(of_strings_ending_together_the_longest_wins),
        cmocka_unit_test(the_string_that_ended_the_text_is_known),
        cmocka_unit_test(before_it_is_armed_a_match_is_text),
        cmocka_unit_test(characters_of_several_bytes_match_whole),
        cmocka_unit_test(lengths_out_of_range_are_refused),
        cmocka_unit_test(cuts_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
