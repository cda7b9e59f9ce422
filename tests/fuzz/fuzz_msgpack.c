/* Any bytes as MessagePack: read, write, read again; the two trees must be equal. */
#include "base/check.h"
#include "wire/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_msgpack_parse((krs_str){(const char *)data, size}, 1u << 16, &tree, &err) != KRS_OK) {
        KRS_CHECK(!tree && err.message[0]);
        return 0;
    }
    krs_buf out;
    krs_buf_init(&out, NULL, 16u << 20);
    json_t *again = NULL;
    KRS_CHECK(krs_msgpack_put_tree(&out, tree) == KRS_OK);
    KRS_CHECK(krs_msgpack_parse(krs_buf_view(&out), 1u << 16, &again, &err) == KRS_OK);
    KRS_CHECK(json_equal(tree, again));
    json_decref(again);
    json_decref(tree);
    krs_buf_deinit(&out);
    return 0;
}
