/* wire/json: accepts and refuses as RFC 8259 says, bounds what it reads, and names what is wrong. */
#include "os/dir.h"
#include "support/cmocka.h"
#include "wire/json.h"

#include <stdlib.h>

static const krs_json_limits limits = {1u << 20, false};

static krs_status parse(const char *text, json_t **out, krs_error *err)
{
    return krs_json_parse(krs_str_of(text), &limits, out, err);
}

static json_t *parsed(const char *text)
{
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (parse(text, &tree, &err) != KRS_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    return tree;
}

/* Keys are C strings in jansson: one that holds NUL is refused, a limit of ours. */
static bool is_known_limit(krs_str name)
{
    static const char *const names[] = {"y_object_escaped_null_in_key.json", NULL};
    for (size_t i = 0; names[i]; i++) {
        if (krs_str_equal(name, krs_str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static krs_status parse_file(const char *folder, krs_str name)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, limits.max_bytes);
    assert_int_equal(krs_os_path_join(folder, name.ptr, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    /* As for files by others: this suite holds duplicate keys to be accepted. */
    const krs_json_limits lenient = {limits.max_bytes, true};
    const krs_status status = krs_json_parse(krs_buf_view(&text), &lenient, &tree, &err);
    assert_true((status == KRS_OK) == (tree != NULL));
    assert_true(status == KRS_OK || err.message[0] != '\0');
    json_decref(tree);
    krs_buf_deinit(&text);
    return status;
}

static void agrees_with_the_accept_and_reject_suite(void **state)
{
    (void)state;
    const char *folder = KRS_SOURCE_DIR "/tests/data/json/parsing";
    krs_arena arena;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    const krs_str *names;
    size_t n;
    assert_int_equal(krs_os_dir_list(folder, &arena, &names, &n, NULL), KRS_OK);
    size_t n_decided = 0;
    size_t n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const krs_status status = parse_file(folder, names[i]);
        const char kind = names[i].ptr[0];
        n_decided += kind == 'y' || kind == 'n';
        const bool is_refused = kind == 'n' || is_known_limit(names[i]);
        const bool is_wrong = (kind == 'y' || kind == 'n') && is_refused != (status != KRS_OK);
        if (is_wrong) {
            print_error("%s: %s\n", names[i].ptr, krs_status_name(status));
            n_wrong++;
        }
    }
    assert_true(n_decided > 250);
    assert_int_equal(n_wrong, 0);
    krs_arena_deinit(&arena);
}

static void values_are_counted_before_any_tree_exists(void **state)
{
    (void)state;
    assert_int_equal(krs_json_count_values(KRS_STR("7")), 1);
    assert_int_equal(krs_json_count_values(KRS_STR("[1,2,3]")), 4);
    assert_int_equal(krs_json_count_values(KRS_STR("{\"a\":[1,{\"b\":2}],\"c\":3}")), 6);
    assert_int_equal(krs_json_count_values(KRS_STR("\"[,\\\",{\"")), 1);
    assert_int_equal(krs_json_count_values((krs_str){NULL, 0}), 1);
}

static void nesting_is_bounded_before_any_tree_exists(void **state)
{
    (void)state;
    char text[2 * (KRS_JSON_MAX_DEPTH + 1) + 1];
    json_t *tree;
    krs_error err = KRS_ERROR_INIT;
    for (size_t depth = KRS_JSON_MAX_DEPTH; depth <= KRS_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        const krs_status status = krs_json_parse((krs_str){text, 2 * depth}, &limits, &tree, &err);
        assert_int_equal(status, depth <= KRS_JSON_MAX_DEPTH ? KRS_OK : KRS_EINVAL);
        json_decref(tree);
    }
    assert_non_null(strstr(err.message, "128"));
    char *brackets = malloc(100000);
    assert_non_null(brackets);
    memset(brackets, '[', 100000);
    assert_int_equal(krs_json_parse((krs_str){brackets, 100000}, &limits, &tree, &err), KRS_EINVAL);
    free(brackets);
    /* Brackets inside strings nest nothing. */
    tree = parsed("\"[[[[\\\"[[[[\"");
    assert_int_equal(json_string_length(tree), 9);
    json_decref(tree);
}

static void errors_name_the_place_and_the_limit(void **state)
{
    (void)state;
    json_t *tree;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(parse("{\"a\":\n 1,}", &tree, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "line 2"));
    assert_int_equal(parse("{\"a\":1,\"a\":2}", &tree, &err), KRS_EINVAL);
    const krs_json_limits tiny = {4, false};
    assert_int_equal(krs_json_parse(KRS_STR("12345"), &tiny, &tree, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "limit 4"));
    assert_int_equal(krs_json_parse((krs_str){NULL, 0}, &limits, &tree, &err), KRS_EINVAL);
    const krs_json_limits lenient = {100, true};
    assert_int_equal(krs_json_parse(KRS_STR("{\"a\":1,\"a\":2}"), &lenient, &tree, &err), KRS_OK);
    assert_int_equal(json_integer_value(json_object_get(tree, "a")), 2);
    json_decref(tree);
}

static void integers_are_bounded_and_5_point_0_is_one(void **state)
{
    (void)state;
    json_t *tree = parsed("{\"a\":7,\"b\":5.0,\"c\":5.5,\"d\":\"7\",\"e\":null,\"f\":1e30}");
    krs_error err = KRS_ERROR_INIT;
    int64_t n = -1;
    assert_int_equal(krs_json_get_int(tree, "a", 0, 7, &n, &err), KRS_OK);
    assert_int_equal(n, 7);
    assert_int_equal(krs_json_get_int(tree, "a", 0, 6, &n, &err), KRS_EINVAL);
    assert_string_equal(err.field, "a");
    assert_string_equal(err.message, "a: 7, want 0..6");
    assert_int_equal(krs_json_get_int(tree, "b", 0, 10, &n, &err), KRS_OK);
    assert_int_equal(n, 5);
    assert_int_equal(krs_json_get_int(tree, "c", 0, 10, &n, &err), KRS_EINVAL);
    assert_int_equal(krs_json_get_int(tree, "d", 0, 10, &n, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "got a string"));
    assert_int_equal(krs_json_get_int(tree, "f", INT64_MIN, INT64_MAX, &n, &err), KRS_EINVAL);
    n = 42;
    assert_int_equal(krs_json_get_int(tree, "e", 0, 1, &n, &err), KRS_OK);
    assert_int_equal(krs_json_get_int(tree, "absent", 0, 1, &n, &err), KRS_OK);
    assert_int_equal(n, 42);
    json_decref(tree);
}

static void integers_beyond_64_bits_are_doubles(void **state)
{
    (void)state;
    json_t *tree = parsed("{\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":1.5e3,"
                          "\"\\\"36893488147419103232\":\"36893488147419103232\\\\\",\"d\":["
                          "-9223372036854775809,9223372036854775807]}");
    assert_float_equal(json_real_value(json_object_get(tree, "a")), 18446744073709551616.0, 0);
    assert_int_equal(json_integer_value(json_object_get(tree, "b")), INT64_MIN);
    assert_float_equal(json_real_value(json_object_get(tree, "c")), 1500, 0);
    assert_string_equal(json_string_value(json_object_get(tree, "\"36893488147419103232")),
                        "36893488147419103232\\");
    const json_t *list = json_object_get(tree, "d");
    assert_float_equal(json_real_value(json_array_get(list, 0)), -9223372036854775808.0, 0);
    int64_t n = 0;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_json_get_int(tree, "a", 0, INT64_MAX, &n, &err), KRS_EINVAL);
    assert_string_equal(err.field, "a");
    json_decref(tree);
    assert_int_equal(krs_json_parse(KRS_STR("[1e999,18446744073709551616]"),
                                    &(krs_json_limits){100, false}, &tree, &err),
                     KRS_EINVAL);
    assert_non_null(strstr(err.message, "column"));
}

static void other_readers_check_type_and_range(void **state)
{
    (void)state;
    json_t *tree = parsed("{\"x\":0.5,\"i\":2,\"t\":true,\"s\":\"ab\",\"o\":{},\"l\":[]}");
    double x = -1;
    assert_int_equal(krs_json_get_double(tree, "x", 0, 1, &x, NULL), KRS_OK);
    assert_true(x == 0.5);
    assert_int_equal(krs_json_get_double(tree, "i", 0, 1, &x, NULL), KRS_EINVAL);
    assert_int_equal(krs_json_get_double(tree, "s", 0, 1, &x, NULL), KRS_EINVAL);
    assert_true(x == 0.5);
    bool truth = false;
    assert_int_equal(krs_json_get_bool(tree, "t", &truth, NULL), KRS_OK);
    assert_true(truth);
    assert_int_equal(krs_json_get_bool(tree, "i", &truth, NULL), KRS_EINVAL);
    krs_str text = {NULL, 0};
    assert_int_equal(krs_json_get_str(tree, "s", 2, &text, NULL), KRS_OK);
    assert_true(krs_str_equal(text, KRS_STR("ab")));
    assert_int_equal(krs_json_get_str(tree, "s", 1, &text, NULL), KRS_EINVAL);
    assert_int_equal(krs_json_get_str(tree, "t", 9, &text, NULL), KRS_EINVAL);
    json_t *inner = NULL;
    assert_int_equal(krs_json_get_tree(tree, "o", JSON_OBJECT, &inner, NULL), KRS_OK);
    assert_non_null(inner);
    assert_int_equal(krs_json_get_tree(tree, "o", JSON_ARRAY, &inner, NULL), KRS_EINVAL);
    json_decref(tree);
}

static void writing_escapes_and_mends_broken_text(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 1024);
    const char text[] = "a\"\\\n\r\t\x01\x7f\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x99\x82\xe2\x82";
    assert_int_equal(krs_json_write_string(KRS_STR(text), &out), KRS_OK);
    assert_string_equal(out.data, "\"a\\\"\\\\\\n\\r\\t\\u0001\x7f\xc3\xa9"
                                  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                  "\xf0\x9f\x99\x82\xef\xbf\xbd\xef\xbf\xbd\"");
    json_t *back = parsed(out.data);
    json_decref(back);
    krs_buf_deinit(&out);
}

static void a_failed_write_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 100);
    assert_int_equal(krs_buf_append_str(&out, KRS_STR("kept")), KRS_OK);
    json_t *tree = json_array();
    for (int i = 0; i < 60; i++) {
        assert_int_equal(json_array_append_new(tree, json_integer(i)), 0);
    }
    assert_int_equal(krs_json_write(tree, &out), KRS_ETOOLARGE);
    assert_string_equal(out.data, "kept");
    assert_int_equal(krs_json_write_string((krs_str){"0123456789", 10}, &out), KRS_OK);
    krs_buf_reset(&out);
    char long_text[120];
    memset(long_text, 'x', sizeof(long_text));
    assert_int_equal(krs_json_write_string((krs_str){long_text, sizeof(long_text)}, &out),
                     KRS_ETOOLARGE);
    assert_int_equal(out.len, 0);
    json_decref(tree);
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_accept_and_reject_suite),
        cmocka_unit_test(values_are_counted_before_any_tree_exists),
        cmocka_unit_test(nesting_is_bounded_before_any_tree_exists),
        cmocka_unit_test(errors_name_the_place_and_the_limit),
        cmocka_unit_test(integers_are_bounded_and_5_point_0_is_one),
        cmocka_unit_test(integers_beyond_64_bits_are_doubles),
        cmocka_unit_test(other_readers_check_type_and_range),
        cmocka_unit_test(writing_escapes_and_mends_broken_text),
        cmocka_unit_test(a_failed_write_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
