/* Grammars as people write them: what they accept, and what is refused with which line. */
#include "grammar/ebnf.h"
#include "grammar/matcher.h"
#include "support/cmocka.h"

static krs_automaton *automaton_of(const char *text, krs_error *err)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    krs_expr root;
    if (krs_grammar_ebnf(b, krs_str_of(text), &root, err) != KRS_OK) {
        krs_grammar_builder_free(b);
        return NULL;
    }
    krs_grammar *grammar;
    if (krs_grammar_build(b, root, &grammar, err) != KRS_OK) {
        return NULL;
    }
    krs_automaton *a;
    assert_int_equal(krs_automaton_new(&grammar, NULL, NULL, NULL, &a, err), KRS_OK);
    return a;
}

/* yes and no: lists ending with NULL. */
static void check(const char *grammar, const char *const *yes, const char *const *no)
{
    krs_error err = KRS_ERROR_INIT;
    krs_automaton *a = automaton_of(grammar, &err);
    if (!a) {
        fail_msg("%s: %s", grammar, err.message);
    }
    for (; *yes; yes++) {
        if (krs_automaton_match(a, krs_str_of(*yes), &err) != KRS_OK) {
            fail_msg("%s refuses %s: %s", grammar, *yes, err.message);
        }
    }
    for (; *no; no++) {
        if (krs_automaton_match(a, krs_str_of(*no), &err) == KRS_OK) {
            fail_msg("%s accepts %s", grammar, *no);
        }
    }
    krs_automaton_free(a);
}

static void refuse(const char *grammar, const char *why)
{
    krs_error err = KRS_ERROR_INIT;
    krs_automaton *a = automaton_of(grammar, &err);
    if (a || err.status != KRS_EINVAL || !strstr(err.message, why)) {
        fail_msg("%s: want \"%s\", got \"%s\"", grammar, why, err.message);
    }
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void gbnf_is_understood(void **state)
{
    (void)state;
    check("root ::= item (\",\" item)*  # a list\nitem ::= [a-z]+ | \"\\\"\" [^\"\\n]* \"\\\"\"\n",
          LIST("a", "a,b,\"c d\""), LIST("", "a,", "A", "\"a"));
    check("root ::= \"a\"{2,3} \"\\x41\\u00e9\"? .", LIST("aax", "aaaA\xC3\xA9\xE2\x82\xAC"),
          LIST("ax", "aaaax", "aa"));
    check("root ::= expr\nexpr ::= term (\"+\" term)*\nterm ::= \"(\" expr \")\" | [0-9]+",
          LIST("1+(2+3)", "((1))"), LIST("(1", "1+", "()"));
    check("root ::=\n  \"a\" |\n  \"b\"\n  | \"c\"\n", LIST("a", "b", "c"), LIST("ab"));
    check("root ::= \"a\"{0,2} \"b\"{2,} \"c\"{1}", LIST("bbc", "aabbbbc"), LIST("abc", "bb"));
}

static void lark_is_understood(void **state)
{
    (void)state;
    check("start: greeting \",\" NAME (\"!\" | \"?\")~1..2\n"
          "?greeting.2: \"hello\"i -> hi | \"bye\"\n"
          "NAME: /[a-z]+/i \"-\"? \"0\"..\"9\"\n"
          "%ignore \" \"\n",
          LIST("hello,bob1!", " HeLLo , Bob-2 ! ? ", "bye,x9??"),
          LIST("hello bob!", "hello,b ob1!", "hello,bob1!!!", "hell o,bob1!"));
    check("start: value\nvalue: [\"-\"] NUMBER | ESCAPED_STRING | \"[\" [value (\",\" value)*] "
          "\"]\"\n"
          "%import common.NUMBER\n%import common (ESCAPED_STRING, WS)\n%ignore WS\n",
          LIST("-1.5e3", "[1, [2,\"a\\\"b\"] ]", "[]"), LIST("[1,]", "\"a", "--1"));
    check("start: /a\\/[/]+b/ // with slashes\n", LIST("a//b", "a///b"), LIST("a/b"));
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    (void)state;
    refuse("root ::= a\n\na ::= a \"x\" | \"y\"", "line 3");
    refuse("root ::= \"a\"\nlost ::= \"b\"", "line 2: lost is never used");
    refuse("root ::= \"a\"\n  gone", "line 2: gone is not defined");
    refuse("root ::= \"a\"\nroot ::= \"b\"", "line 2: root is defined twice");
    refuse("root ::= \"a", "line 1: a literal is not closed");
    refuse("root ::= (\"a\"", "want )");
    refuse("root ::= [a", "not closed");
    refuse("root ::= \"\\q\"", "escape");
    refuse("start: /a(?<=b)/", "lookbehind");
    refuse("start: /a/m", "flag m");
    refuse("start: x{a}\nx: \"b\"", "");
    refuse("start: \"a\"\n%declare B", "line 2: this directive");
    refuse("start: \"b\"..\"a\"", "in order");
    refuse("", "there is no rule");
    refuse("root ::= \"a\" }", "not understood");
    refuse("root ::= \"a\"{3,2}", "two in order");
    refuse("root ::= \"a\"{9999999}", "beyond");
    refuse("root ::= a\na ::= b\nb ::= a", "line");
    refuse("%import common.NOPE", "line 1: common.NOPE is not known");
}

static void deep_groups_are_refused(void **state)
{
    (void)state;
    char text[2048] = "root ::= ";
    const size_t n = strlen(text);
    memset(text + n, '(', 1000);
    refuse(text, "deeper than 250");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gbnf_is_understood),
        cmocka_unit_test(lark_is_understood),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_line),
        cmocka_unit_test(deep_groups_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
