/* The JSON Schema Test Suite: every schema that is not refused must accept exactly the instances that are valid.
 *
 * Each instance is checked as others might write it (compact, with blanks, keys in another order) against the grammar for
 * checking, and against the grammar for answers, which may refuse what is valid but never accept what is not.
 * The table of docs/structured-output.md is compared. With KRS_SCHEMA_TABLE set it is printed, and each refusal. */
#include "grammar/matcher.h"
#include "grammar/schema.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct tally {
    unsigned n_groups;
    unsigned n_refused; /* schemas */
    unsigned n_right;   /* instances */
    unsigned n_strict;  /* valid ones that were refused */
    unsigned n_wrong;   /* invalid ones that were accepted: must be 0 */
} tally;

/* What each file of the suite comes to. */
typedef struct expected {
    const char *file;
    unsigned n_refused;
    unsigned n_strict;
} expected;

static krs_automaton *automaton_of(const json_t *schema, const krs_schema_options *options,
                                   krs_error *err)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    krs_expr root;
    if (krs_grammar_schema(b, schema, options, &root, err) != KRS_OK) {
        krs_grammar_builder_free(b);
        return NULL;
    }
    krs_grammar *grammar;
    if (krs_grammar_build(b, root, &grammar, err) != KRS_OK) {
        return NULL;
    }
    krs_automaton *a;
    if (krs_automaton_new(&grammar, NULL, NULL, NULL, &a, err) != KRS_OK) {
        krs_grammar_free(grammar);
        return NULL;
    }
    return a;
}

/* The same value with the keys of all objects the other way round. */
static json_t *turned(const json_t *value)
{
    if (json_is_array(value)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) {
            json_array_append_new(copy, turned(json_array_get(value, i)));
        }
        return copy;
    }
    if (!json_is_object(value)) {
        return json_deep_copy(value);
    }
    const char *keys[64];
    size_t n = 0;
    json_t *copy = json_object();
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        assert_true(n < 64);
        keys[n++] = key;
    }
    while (n > 0) {
        n--;
        json_object_set_new(copy, keys[n], turned(json_object_get(value, keys[n])));
    }
    return copy;
}

static bool accepts(krs_automaton *a, const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    assert_non_null(text);
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_automaton_match(a, krs_str_of(text), &err);
    if (status != KRS_OK && status != KRS_EINVAL) { /* no instance meets a limit */
        fail_msg("%s: %s", text, err.message);
    }
    free(text);
    return status == KRS_OK;
}

/* docs/structured-output.md has this line, alone or in a sentence. */
static void check_documented(const char *line)
{
    static char text[1u << 16];
    FILE *file = fopen(KRS_SOURCE_DIR "/docs/structured-output.md", "rb");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = 0;
    assert_int_equal(fclose(file), 0);
    assert_true(n < sizeof(text) - 1);
    if (!strstr(text, line)) {
        fail_msg("docs/structured-output.md lacks: %s", line);
    }
}

/* In how many of three spellings is it accepted? */
static unsigned count_accepted(krs_automaton *check, const json_t *data)
{
    json_t *other = turned(data);
    const unsigned n = (unsigned)accepts(check, data, JSON_COMPACT) +
                       (unsigned)accepts(check, data, JSON_INDENT(2)) +
                       (unsigned)accepts(check, other, JSON_ENSURE_ASCII);
    json_decref(other);
    return n;
}

static void check_instance(const char *file, const json_t *group, const json_t *test,
                           krs_automaton *check, krs_automaton *answer, tally *t)
{
    const json_t *data = json_object_get(test, "data");
    const unsigned n = count_accepted(check, data);
    const bool is_answer = answer && accepts(answer, data, JSON_COMPACT);
    if (json_is_true(json_object_get(test, "valid"))) {
        t->n_right += n == 3;
        t->n_strict += n != 3;
        return;
    }
    t->n_right += n == 0 && !is_answer;
    t->n_wrong += n > 0 || is_answer;
    if (n > 0 || is_answer) {
        print_error("%s: %s: %s: accepted (in %u spellings, as an answer: %d)\n", file,
                    json_string_value(json_object_get(group, "description")),
                    json_string_value(json_object_get(test, "description")), n, is_answer);
    }
}

/* A schema that nothing matches cannot be a grammar; none of its instances may be valid. */
static bool check_empty(const json_t *group, const krs_error *err, tally *t)
{
    if (!strstr(err->message, "no text matches")) {
        return false;
    }
    size_t i;
    const json_t *test;
    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        assert_false(json_is_true(json_object_get(test, "valid")));
        t->n_right++;
    }
    return true;
}

static void check_group(const char *file, const json_t *group, krs_schema_dialect dialect, tally *t)
{
    const krs_schema_options options = {KRS_JSON_SPACE_FLEXIBLE, KRS_SCHEMA_MAX_SPACE, dialect,
                                        true, true};
    const krs_schema_options plain = {KRS_JSON_SPACE_NONE, 0, dialect, false, false};
    const json_t *schema = json_object_get(group, "schema");
    krs_error err = KRS_ERROR_INIT;
    krs_automaton *check = automaton_of(schema, &options, &err);
    krs_automaton *answer = automaton_of(schema, &plain, &err);
    t->n_groups++;
    size_t i;
    const json_t *test;
    if (check) {
        json_array_foreach(json_object_get(group, "tests"), i, test)
        {
            check_instance(file, group, test, check, answer, t);
        }
    } else if (!check_empty(group, &err, t)) {
        assert_int_equal(err.status, KRS_EINVAL);
        t->n_refused++;
        if (getenv("KRS_SCHEMA_TABLE")) {
            print_message("refused %s: %s: %s\n", file,
                          json_string_value(json_object_get(group, "description")), err.message);
        }
    }
    krs_automaton_free(check);
    krs_automaton_free(answer);
}

static void print_row(const expected *want, const tally *t, krs_schema_dialect dialect)
{
    char row[200];
    (void)snprintf(row, sizeof(row), "| `%s` | %u | %u | %u | %u |\n", want->file,
                   t->n_groups - t->n_refused, t->n_refused, t->n_right, t->n_strict);
    if (getenv("KRS_SCHEMA_TABLE")) {
        print_message("%s", row);
    }
    if (dialect == KRS_SCHEMA_DIALECT_2020_12) { /* the other is only summed up there */
        check_documented(row);
    }
}

static void check_file(const char *draft, krs_schema_dialect dialect, const expected *want,
                       tally *sum)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/tests/data/json_schema_suite/%s/%s.json", KRS_SOURCE_DIR,
                   draft, want->file);
    json_error_t why;
    json_t *groups = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!groups) {
        fail_msg("%s: %s", path, why.text);
    }
    tally t = {0};
    size_t i;
    const json_t *group;
    json_array_foreach(groups, i, group)
    {
        check_group(want->file, group, dialect, &t);
    }
    json_decref(groups);
    assert_int_equal(t.n_wrong, 0);
    if (t.n_refused != want->n_refused || t.n_strict != want->n_strict) {
        fail_msg("%s/%s: %u schemas refused (want %u), %u valid instances refused (want %u)", draft,
                 want->file, t.n_refused, want->n_refused, t.n_strict, want->n_strict);
    }
    print_row(want, &t, dialect);
    sum->n_groups += t.n_groups;
    sum->n_refused += t.n_refused;
    sum->n_right += t.n_right;
    sum->n_strict += t.n_strict;
}

static const expected draft2020[] = {
    {"additionalProperties", 0, 0},
    {"allOf", 1, 0},
    {"anchor", 0, 0},
    {"anyOf", 0, 0},
    {"boolean_schema", 0, 0},
    {"const", 0, 0},
    {"contains", 1, 0},
    {"default", 0, 0},
    {"defs", 1, 0},
    {"dependentRequired", 0, 0},
    {"dependentSchemas", 1, 0},
    {"dynamicRef", 12, 0},
    {"enum", 0, 0},
    {"exclusiveMaximum", 0, 0},
    {"exclusiveMinimum", 0, 0},
    {"format-date", 0, 0},
    {"format-date-time", 0, 1},
    {"format-duration", 0, 0},
    {"format-ecmascript-regex", 6, 0},
    {"format-email", 0, 0},
    {"format-hostname", 0, 15},
    {"format-idn-email", 0, 2},
    {"format-idn-hostname", 2, 0},
    {"format-ipv4", 0, 0},
    {"format-ipv6", 0, 0},
    {"format-iri", 0, 0},
    {"format-iri-reference", 0, 0},
    {"format-json-pointer", 0, 0},
    {"format-regex", 1, 0},
    {"format-relative-json-pointer", 0, 0},
    {"format-time", 0, 4},
    {"format-unknown", 0, 0},
    {"format-uri", 0, 0},
    {"format-uri-reference", 0, 0},
    {"format-uri-template", 1, 0},
    {"format-uuid", 0, 0},
    {"if-then-else", 0, 0},
    {"infinite-loop-detection", 0, 0},
    {"items", 0, 0},
    {"maxContains", 0, 0},
    {"maxItems", 0, 0},
    {"maxLength", 0, 0},
    {"maxProperties", 0, 0},
    {"maximum", 0, 0},
    {"minContains", 0, 0},
    {"minItems", 0, 0},
    {"minLength", 0, 0},
    {"minProperties", 0, 0},
    {"minimum", 0, 0},
    {"multipleOf", 2, 0},
    {"not", 1, 0},
    {"oneOf", 0, 0},
    {"optional-anchor", 0, 0},
    {"optional-dependencies-compatibility", 1, 0},
    {"optional-ecmascript-regex", 0, 0},
    {"optional-id", 0, 0},
    {"optional-no-schema", 0, 0},
    {"optional-non-bmp-regex", 0, 0},
    {"optional-refOfUnknownKeyword", 0, 0},
    {"optional-unknownKeyword", 0, 0},
    {"pattern", 0, 0},
    {"patternProperties", 0, 0},
    {"prefixItems", 0, 0},
    {"properties", 0, 0},
    {"propertyNames", 0, 0},
    {"ref", 3, 0},
    {"required", 0, 0},
    {"type", 0, 0},
    {"uniqueItems", 3, 0},
};

static const expected draft7[] = {
    {"additionalItems", 0, 0},
    {"additionalProperties", 0, 0},
    {"allOf", 1, 0},
    {"anyOf", 0, 0},
    {"boolean_schema", 0, 0},
    {"const", 0, 0},
    {"contains", 1, 0},
    {"default", 0, 0},
    {"definitions", 1, 0},
    {"dependencies", 1, 0},
    {"enum", 0, 0},
    {"exclusiveMaximum", 0, 0},
    {"exclusiveMinimum", 0, 0},
    {"if-then-else", 0, 0},
    {"infinite-loop-detection", 0, 0},
    {"items", 0, 0},
    {"maxItems", 0, 0},
    {"maxLength", 0, 0},
    {"maxProperties", 0, 0},
    {"maximum", 0, 0},
    {"minItems", 0, 0},
    {"minLength", 0, 0},
    {"minProperties", 0, 0},
    {"minimum", 0, 0},
    {"multipleOf", 2, 0},
    {"not", 0, 0},
    {"oneOf", 0, 0},
    {"optional-ecmascript-regex", 0, 0},
    {"optional-id", 0, 0},
    {"optional-non-bmp-regex", 0, 0},
    {"optional-unknownKeyword", 0, 0},
    {"pattern", 0, 0},
    {"patternProperties", 0, 0},
    {"properties", 0, 0},
    {"propertyNames", 0, 0},
    {"ref", 1, 0},
    {"required", 0, 0},
    {"type", 0, 0},
    {"uniqueItems", 3, 0},
};

static void check_draft(const char *draft, krs_schema_dialect dialect, const expected *want,
                        size_t n)
{
    tally sum = {0};
    for (size_t i = 0; i < n; i++) {
        check_file(draft, dialect, &want[i], &sum);
    }
    char line[200];
    (void)snprintf(line, sizeof(line),
                   "%s: %u schemas, %u refused; %u instances right, %u valid ones refused", draft,
                   sum.n_groups, sum.n_refused, sum.n_right, sum.n_strict);
    print_message("%s\n", line);
    check_documented(line);
}

static void accepts_what_is_valid_in_2020_12_and_nothing_else(void **state)
{
    (void)state;
    check_draft("draft2020-12", KRS_SCHEMA_DIALECT_2020_12, draft2020,
                sizeof(draft2020) / sizeof(*draft2020));
}

static void accepts_what_is_valid_in_draft_7_and_nothing_else(void **state)
{
    (void)state;
    check_draft("draft7", KRS_SCHEMA_DIALECT_DRAFT7, draft7, sizeof(draft7) / sizeof(*draft7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_valid_in_2020_12_and_nothing_else),
        cmocka_unit_test(accepts_what_is_valid_in_draft_7_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
