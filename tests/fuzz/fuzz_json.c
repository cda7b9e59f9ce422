/* Any bytes as JSON: parse, write, parse again; the two trees must be equal. */
#include "base/check.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Field readers must stand any tree. */
static void read_fields(const json_t *tree)
{
    const char *key;
    json_t *value;
    /* jansson's loop takes the object as changeable, and changes nothing. */
    json_object_foreach((json_t *)(uintptr_t)tree, key, value)
    {
        int64_t n = 0;
        double x = 0;
        bool truth = false;
        krs_str text = {NULL, 0};
        json_t *inner = NULL;
        const bool is_int = krs_json_get_int(tree, key, -5, 5, &n, NULL) == KRS_OK;
        KRS_CHECK(!is_int || (n >= -5 && n <= 5));
        const bool is_real = krs_json_get_double(tree, key, -5, 5, &x, NULL) == KRS_OK;
        KRS_CHECK(!is_real || (x >= -5 && x <= 5));
        const bool is_bool = krs_json_get_bool(tree, key, &truth, NULL) == KRS_OK;
        KRS_CHECK(!truth || is_bool);
        const bool is_text = krs_json_get_str(tree, key, 8, &text, NULL) == KRS_OK;
        KRS_CHECK(text.len <= 8 && (is_text || !text.ptr));
        const bool is_tree = krs_json_get_tree(tree, key, JSON_ARRAY, &inner, NULL) == KRS_OK;
        KRS_CHECK(!inner || (is_tree && json_is_array(inner)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const krs_json_limits limits = {1u << 20, false};
    const krs_str text = {(const char *)data, size};
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_json_parse(text, &limits, &tree, &err) != KRS_OK) {
        KRS_CHECK(!tree && err.message[0]);
        return 0;
    }
    krs_buf written;
    krs_buf_init(&written, NULL, 8u << 20);
    json_t *again = NULL;
    KRS_CHECK(krs_json_write(tree, &written) == KRS_OK);
    const krs_json_limits wide = {8u << 20, false};
    KRS_CHECK(krs_json_parse(krs_buf_view(&written), &wide, &again, &err) == KRS_OK);
    KRS_CHECK(json_equal(tree, again));
    read_fields(tree);
    /* The same bytes as the content of a string, broken UTF-8 and all. */
    krs_buf_reset(&written);
    json_t *quoted = NULL;
    KRS_CHECK(krs_json_write_string(text, &written) == KRS_OK);
    KRS_CHECK(krs_json_parse(krs_buf_view(&written), &wide, &quoted, &err) == KRS_OK);
    KRS_CHECK(json_is_string(quoted));
    json_decref(quoted);
    json_decref(again);
    json_decref(tree);
    krs_buf_deinit(&written);
    return 0;
}
