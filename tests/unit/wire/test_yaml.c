/* wire/yaml: what configuration files say, and everything that is refused, by line and column. */
#include "support/cmocka.h"
#include "wire/yaml.h"

#include <stdlib.h>

/* The tree of text as compact JSON with sorted keys, or "status: message". Freed by the caller. */
static char *shown(const char *text)
{
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_yaml_parse(krs_str_of(text), &tree, &err);
    krs_buf out;
    krs_buf_init(&out, NULL, 1u << 16);
    if (status != KRS_OK) {
        assert_null(tree);
        assert_int_equal(err.status, status);
        assert_int_equal(krs_buf_printf(&out, "%s: %s", krs_status_name(status), err.message),
                         KRS_OK);
        return krs_buf_take(&out);
    }
    char *json = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_decref(tree);
    return json;
}

static void check(const char *yaml, const char *want)
{
    char *got = shown(yaml);
    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}

static void refused(const char *yaml, const char *part)
{
    char *got = shown(yaml);
    assert_non_null(got);
    if (strncmp(got, "KRS_E", 5) != 0 || !strstr(got, part)) {
        print_error("%.80s\n-> %.80s, want %s\n", yaml, got, part);
    }
    assert_true(strncmp(got, "KRS_E", 5) == 0);
    assert_non_null(strstr(got, part));
    free(got);
}

static void a_configuration_becomes_a_tree(void **state)
{
    (void)state;
    check("server:\n  port: 8080 # comment\n  hosts: [a, 'b c', \"d\\n\"]\nmodels:\n- id: x\n  "
          "weight: 0.5\n- {id: y}\n",
          "{\"models\":[{\"id\":\"x\",\"weight\":0.5},{\"id\":\"y\"}],"
          "\"server\":{\"hosts\":[\"a\",\"b c\",\"d\\n\"],\"port\":8080}}");
    check("", "null");
    check("# only a comment\n", "null");
    check("---\n5\n...\n", "5");
    check("text: |\n  two\n  lines\n", "{\"text\":\"two\\nlines\\n\"}");
    check("a:\nb: ~\n", "{\"a\":null,\"b\":null}");
}

static void scalars_follow_the_core_schema(void **state)
{
    (void)state;
    check("[true, True, FALSE, yes, no, on, 'true']",
          "[true,true,false,\"yes\",\"no\",\"on\",\"true\"]");
    check("[1, -2, +3, 0x1F, 0o17, 010, '1']", "[1,-2,3,31,15,10,\"1\"]");
    check("[0.5, .5, 5., -1.5e2, 1e3]", "[0.5,0.5,5.0,-150.0,1000.0]");
    check("[1.2.3, 1e, e3, '.', -, 0x, 0o8, 1_000, 12:30, infinity, 0x1p3]",
          "[\"1.2.3\",\"1e\",\"e3\",\".\",\"-\",\"0x\",\"0o8\",\"1_000\",\"12:30\",\"infinity\","
          "\"0x1p3\"]");
    check("9223372036854775807", "9223372036854775807");
}

static void what_cannot_be_held_is_refused(void **state)
{
    (void)state;
    refused("9223372036854775808", "64 bits");
    refused("a: .inf", "line 1 column 4");
    check("-.nan", "\"-.nan\""); /* not in the schema: a string */
}

static void surprises_are_refused_with_their_place(void **state)
{
    (void)state;
    refused("a: &x 1\nb: *x\n", "line 1 column 4: anchors");
    refused("a: [1]\nb: *x\n", "line 2 column 4: alias");
    refused("a: !!str 1\n", "tags");
    refused("a: &m {b: 1}\n", "anchors");
    refused("<<: {a: 1}\n", "merge keys");
    refused("a: 1\nb: 2\na: 3\n", "line 3 column 4: this key was given before");
    refused("a: {b: 1}\na: {c: 1}\n", "given before");
    refused("? [1, 2]\n: x\n", "a key must be a scalar");
    refused("--- 1\n--- 2\n", "more than one document");
    refused("a: [1, 2\n", "YAML line");
    refused("a: \"\\ud800\"\n", "YAML line");
    refused("\xff\xfe\n", "YAML line");
    refused("\"a\\0b\": 1\n", "NUL");
}

static void nesting_and_size_are_bounded(void **state)
{
    (void)state;
    char deep[2 * KRS_YAML_MAX_DEPTH + 3];
    memset(deep, '[', KRS_YAML_MAX_DEPTH);
    memset(deep + KRS_YAML_MAX_DEPTH, ']', KRS_YAML_MAX_DEPTH);
    deep[2 * KRS_YAML_MAX_DEPTH] = '\0';
    char *got = shown(deep);
    assert_string_equal(got, deep);
    free(got);
    memset(deep, '[', KRS_YAML_MAX_DEPTH + 1);
    memset(deep + KRS_YAML_MAX_DEPTH + 1, ']', KRS_YAML_MAX_DEPTH + 1);
    deep[2 * KRS_YAML_MAX_DEPTH + 2] = '\0';
    refused(deep, "nested too deep");

    char *large = malloc(KRS_YAML_MAX_BYTES + 2);
    assert_non_null(large);
    memset(large, ' ', KRS_YAML_MAX_BYTES + 1);
    large[KRS_YAML_MAX_BYTES + 1] = '\0';
    refused(large, "KRS_ETOOLARGE");
    large[KRS_YAML_MAX_BYTES] = '\0';
    for (size_t i = 0; i + 1 < KRS_YAML_MAX_BYTES; i += 2) {
        memcpy(large + i, i == 0 ? "[1" : ",1", 2);
    }
    refused(large, "nodes");
    free(large);
}

static void assert_line(krs_str text, uint32_t want, size_t n, const char *const *path)
{
    assert_int_equal(krs_yaml_line_of(text, path, n), want);
}
#define LINE(text, want, ...)                                                                      \
    assert_line(text, want, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                \
                (const char *[]){__VA_ARGS__})

static void a_key_is_found_by_its_path(void **state)
{
    (void)state;
    const krs_str text = KRS_STR("# head\na: {x: 1, b: 2}\nlist:\n- b: 1\n- {c: 2}\n\nb:\n  a:\n"
                                 "    deep: [c, {c: 1}]\n    c: 5\nc: b\n'q k': 1\n");
    LINE(text, 2, "a");
    LINE(text, 2, "a", "b");
    LINE(text, 7, "b");
    LINE(text, 8, "b", "a");
    LINE(text, 10, "b", "a", "c");
    LINE(text, 11, "c");
    LINE(text, 12, "q k");
    LINE(text, 0, "d");
    LINE(text, 0, "c", "b");    /* a scalar has no keys */
    LINE(text, 0, "list", "b"); /* nor has a sequence */
    LINE(text, 0, "a", "c");
    LINE(text, 0, "b", "a", "x");
    LINE(KRS_STR(""), 0, "a");
    LINE(KRS_STR("a"), 0, "a");
    LINE(KRS_STR("[{a: 1}]"), 0, "a");
    LINE(KRS_STR("b: ["), 0, "a"); /* what does not parse ends the search */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_becomes_a_tree),
        cmocka_unit_test(scalars_follow_the_core_schema),
        cmocka_unit_test(what_cannot_be_held_is_refused),
        cmocka_unit_test(surprises_are_refused_with_their_place),
        cmocka_unit_test(nesting_and_size_are_bounded),
        cmocka_unit_test(a_key_is_found_by_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
