/* tests/fuzz/fuzz_pooling.c - the files of sentence-transformers, from text to how a vector is made.
 *
 *   input:  modules.json's text | NUL | the pooling's config.json */
#include "format/config.h"
#include "format/pooling.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL: no JSON. */
static json_t *parse(const uint8_t *data, size_t n)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    json_t *root = NULL;
    return krs_json_parse((krs_str){(const char *)data, n}, &limits, &root, NULL) == KRS_OK ? root
                                                                                            : NULL;
}

/* A refusal has a reason. */
static bool is_done(krs_status status, const krs_error *err)
{
    if (status != KRS_OK && err->message[0] == '\0') {
        abort();
    }
    return status == KRS_OK;
}

/* The folder is one name and stays in the model's; what is named fits. */
static void read_list(const json_t *root)
{
    krs_error err = KRS_ERROR_INIT;
    krs_pooling_files files = {.mode = KRS_POOLING_MODE_CLS};
    krs_str folder = {NULL, 0};
    if (!is_done(krs_pooling_modules_read(root, &files, &folder, &err), &err)) {
        return;
    }
    const bool is_way_out =
        folder.ptr && (folder.len == 0 || folder.ptr[0] == '.' ||
                       memchr(folder.ptr, '/', folder.len) || memchr(folder.ptr, '\0', folder.len));
    if (is_way_out || files.mode != KRS_POOLING_MODE_CLS ||
        memchr(files.other, '\0', sizeof(files.other)) == NULL) {
        abort();
    }
}

static void read_mode(const json_t *root)
{
    krs_error err = KRS_ERROR_INIT;
    krs_pooling_mode mode = KRS_POOLING_MODE_OTHER;
    if (!is_done(krs_pooling_mode_read(root, &mode, &err), &err) &&
        mode != KRS_POOLING_MODE_UNSET) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    const size_t n_list = nul ? (size_t)(nul - data) : size;
    json_t *modules = parse(data, n_list);
    json_t *pooling = nul ? parse(nul + 1, size - n_list - 1) : NULL;
    if (modules) {
        read_list(modules);
    }
    if (pooling) {
        read_mode(pooling);
    }
    json_decref(modules);
    json_decref(pooling);
    return 0;
}
