/* Any bytes as YAML: a tree that JSON can write, or an error that says something. */
#include "base/check.h"
#include "wire/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_yaml_parse((krs_str){(const char *)data, size}, &tree, &err) != KRS_OK) {
        KRS_CHECK(!tree && err.message[0]);
        return 0;
    }
    krs_buf written;
    krs_buf_init(&written, NULL, 8u << 20);
    KRS_CHECK(krs_json_write(tree, &written) == KRS_OK);
    /* What JSON writes is YAML as well, but for line ends and such inside strings, which JSON escapes:
     * reading it back as JSON must give the same tree. */
    const krs_json_limits wide = {8u << 20, false};
    json_t *again = NULL;
    KRS_CHECK(krs_json_parse(krs_buf_view(&written), &wide, &again, &err) == KRS_OK);
    KRS_CHECK(json_equal(tree, again));
    json_decref(again);
    json_decref(tree);
    krs_buf_deinit(&written);
    return 0;
}
