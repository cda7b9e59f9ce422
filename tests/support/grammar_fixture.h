/* support/grammar_fixture.h - a small vocabulary and a grammar with all that JSON has, for tests of masks.
 *
 * The vocabulary has every byte, pieces of JSON, of text and of characters (so that tokens end inside lexemes,
 * inside characters and across both), tokens of equal bytes, and those that must never be offered.
 *
 * Thread: any. */
#pragma once

#include "grammar/matcher.h"
#include "support/cmocka.h"

#include <stdlib.h>
#include <string.h>

static inline krs_grammar_builder *new_builder(void)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    return b;
}

static inline krs_automaton *new_automaton(krs_grammar_builder *b, krs_expr root,
                                           const krs_grammar_vocab *vocab,
                                           const krs_automaton_options *options)
{
    krs_error err = KRS_ERROR_INIT;
    krs_grammar *grammar;
    krs_automaton *a = NULL;
    if (krs_grammar_build(b, root, &grammar, &err) != KRS_OK ||
        krs_automaton_new(&grammar, vocab, options, NULL, &a, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_null(grammar);
    return a;
}

static inline uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* ---- a vocabulary: single bytes, pieces of JSON, pieces of text and of characters, twins, others */

#define N_PIECES 3000
#define N_LONG   60
#define N_TOKENS (256 + N_PIECES + N_LONG + 4)
#define SPECIAL  (256 + N_PIECES + N_LONG)
#define END      (SPECIAL + 1)
#define NOTHING  (SPECIAL + 2)
#define TOO_LONG (SPECIAL + 3)

static inline krs_grammar_vocab *new_vocab(void)
{
    static const char *parts[] = {"\"",          "\":",
                                  "\",",         "{\"",
                                  "}",           "]",
                                  "[",           ",",
                                  ": ",          "a",
                                  "bc",          "xyz",
                                  " ",           "12",
                                  "-3",          ".5",
                                  "e9",          "\\",
                                  "\\u00",       "\\n",
                                  "\n",          "\xc3",
                                  "\xa9",        "\xe4\xbd",
                                  "\xa0",        "\xf0\x9f\x98\x80",
                                  "name",        "items",
                                  "true",        "null",
                                  "longer text", "\x7f"};
    krs_grammar_token *tokens = calloc(N_TOKENS, sizeof(*tokens));
    char(*pieces)[16] = calloc(256 + N_PIECES, sizeof(*pieces));
    assert_non_null(tokens);
    assert_non_null(pieces);
    uint64_t seed = 99;
    for (uint32_t i = 0; i < 256; i++) {
        pieces[i][0] = (char)i;
        tokens[i].bytes = (krs_str){pieces[i], 1};
    }
    for (uint32_t i = 256; i < 256 + N_PIECES; i++) {
        size_t len = 0;
        for (uint32_t n = 1 + next_random(&seed) % 4; n > 0; n--) {
            const char *part = parts[next_random(&seed) % (sizeof(parts) / sizeof(parts[0]))];
            if (len + strlen(part) <= sizeof(pieces[i])) {
                memcpy(pieces[i] + len, part, strlen(part));
                len += strlen(part);
            }
        }
        tokens[i].bytes = (krs_str){pieces[i], len};
    }
    char runs[N_LONG][200];
    for (uint32_t i = 0; i < N_LONG;
         i++) { /* runs, some with a quote at an end, the last ones twins */
        const uint32_t len = 3 + i % 50 * 3;
        memset(runs[i], "-a "[i % 3], sizeof(runs[i]));
        runs[i][i % 7 == 0 ? len - 1 : 199] = '"';
        runs[i][i % 11 == 0 ? 0 : 199] = '"';
        tokens[256 + N_PIECES + i].bytes = (krs_str){runs[i % 57], 3 + i % 57 % 50 * 3};
    }
    char too_long[KRS_GRAMMAR_MAX_TOKEN_BYTES + 1];
    memset(too_long, 'a', sizeof(too_long));
    tokens[SPECIAL] = (krs_grammar_token){KRS_STR("{"), KRS_TOKEN_SPECIAL};
    tokens[END] = (krs_grammar_token){KRS_STR("</s>"), KRS_TOKEN_END};
    tokens[NOTHING] = (krs_grammar_token){{NULL, 0}, KRS_TOKEN_TEXT};
    tokens[TOO_LONG] = (krs_grammar_token){{too_long, sizeof(too_long)}, KRS_TOKEN_TEXT};
    krs_grammar_vocab *vocab;
    assert_int_equal(krs_grammar_vocab_new(tokens, N_TOKENS, NULL, &vocab, NULL), KRS_OK);
    free(tokens);
    free(pieces);
    return vocab;
}

/* ---- a grammar with all that JSON has: strings of every kind, numbers, lists, recursion, objects */

/* One character of a JSON string, as itself or escaped. */
static inline krs_regex string_char(krs_grammar_builder *b)
{
    const krs_char_range not_plain[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
    const krs_char_range escapes[] = {{'n', 'n'}, {'"', '"'}, {'\\', '\\'}};
    return krs_regex_or2(b, krs_regex_chars(b, not_plain, 3, true),
                         krs_regex_cat2(b, krs_regex_literal(b, KRS_STR("\\")),
                                        krs_regex_chars(b, escapes, 3, false)));
}

static inline krs_regex string_of(krs_grammar_builder *b, krs_regex inside)
{
    const krs_regex parts[] = {krs_regex_literal(b, KRS_STR("\"")), inside,
                               krs_regex_literal(b, KRS_STR("\""))};
    return krs_regex_cat(b, parts, 3);
}

static inline krs_regex number(krs_grammar_builder *b)
{
    const krs_char_range digits = {'0', '9'};
    const krs_regex digit = krs_regex_chars(b, &digits, 1, false);
    const krs_regex parts[] = {
        krs_regex_repeat(b, krs_regex_literal(b, KRS_STR("-")), 0, 1),
        krs_regex_repeat(b, digit, 1, 4),
        krs_regex_repeat(
            b,
            krs_regex_cat2(b, krs_regex_literal(b, KRS_STR(".")), krs_regex_repeat(b, digit, 1, 3)),
            0, 1)};
    return krs_regex_cat(b, parts, 3);
}

static inline krs_expr list_of(krs_grammar_builder *b, krs_expr item, uint32_t max)
{
    const krs_expr more[] = {krs_expr_literal(b, KRS_STR(",")), item};
    const krs_expr items[] = {item, krs_expr_repeat(b, krs_expr_seq(b, more, 2), 0, max)};
    const krs_expr parts[] = {krs_expr_literal(b, KRS_STR("[")),
                              krs_expr_repeat(b, krs_expr_seq(b, items, 2), 0, 1),
                              krs_expr_literal(b, KRS_STR("]"))};
    return krs_expr_seq(b, parts, 3);
}

static inline krs_expr json_root(krs_grammar_builder *b, bool is_any_order)
{
    const krs_regex any = krs_regex_repeat(b, string_char(b), 0, KRS_REGEX_INF);
    const krs_regex name = krs_regex_literal(b, KRS_STR("\"name\""));
    const krs_regex items = krs_regex_literal(b, KRS_STR("\"items\""));
    const krs_regex letters =
        krs_regex_repeat(b, krs_regex_bytes(b, (uint64_t[4]){0, 0x07FFFFFEull << 32}), 1, 20);
    const krs_regex keys[] = {name, items};
    const krs_regex other[] = {string_of(b, any), krs_regex_not(b, krs_regex_or(b, keys, 2))};
    const krs_regex both[] = {
        string_of(b, krs_regex_repeat(b, string_char(b), 0, 60)),
        krs_regex_cat2(
            b, krs_regex_cat2(b, krs_regex_literal(b, KRS_STR("\"")), any),
            krs_regex_cat2(b, krs_regex_literal(b, KRS_STR("xyz")),
                           krs_regex_cat2(b, any, krs_regex_literal(b, KRS_STR("\"")))))};
    const krs_rule value = krs_expr_declare(b, KRS_STR("value"));
    const krs_expr bounded =
        krs_expr_lexeme(b, string_of(b, krs_regex_repeat(b, string_char(b), 2, 40)));
    const krs_regex long_string = krs_regex_repeat(b, string_char(b), 70, 190);
    const krs_expr_property properties[] = {
        {name, bounded, true},
        {items, list_of(b, krs_expr_rule(b, value), 3), false},
    };
    const krs_expr_further further = {krs_regex_and(b, other, 2), krs_expr_rule(b, value)};
    const krs_expr_object spec = {.properties = properties,
                                  .n_properties = 2,
                                  .further = &further,
                                  .n_further = 1,
                                  .max_count = 4,
                                  .open = krs_expr_literal(b, KRS_STR("{")),
                                  .close = krs_expr_literal(b, KRS_STR("}")),
                                  .separator = krs_expr_literal(b, KRS_STR(",")),
                                  .colon = krs_expr_literal(b, KRS_STR(":")),
                                  .is_any_order = is_any_order};
    const krs_expr values[] = {krs_expr_lexeme(b, string_of(b, any)),
                               krs_expr_lexeme(b, string_of(b, long_string)),
                               krs_expr_lexeme(b, krs_regex_and(b, both, 2)),
                               krs_expr_lexeme(b, string_of(b, letters)),
                               krs_expr_lexeme(b, number(b)),
                               krs_expr_literal(b, KRS_STR("null")),
                               list_of(b, krs_expr_rule(b, value), KRS_REGEX_INF),
                               krs_expr_object_of(b, &spec)};
    krs_expr_define(b, value, krs_expr_alt(b, values, 8));
    return krs_expr_rule(b, value);
}
