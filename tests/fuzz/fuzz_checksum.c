/* Any bytes as SHA256SUMS: lines whose names lie in the text, or an error that says which line. */
#include "base/check.h"
#include "format/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    krs_arena arena;
    krs_checksum_line *lines = NULL;
    size_t n = 0;
    krs_error err = KRS_ERROR_INIT;
    krs_arena_init(&arena, NULL, 4096, 16u << 20);
    const krs_str text = {(const char *)data, size};
    if (krs_checksum_parse(text, &arena, &lines, &n, &err) != KRS_OK) {
        KRS_CHECK(err.message[0]);
    } else {
        for (size_t i = 0; i < n; i++) {
            KRS_CHECK(lines[i].name.len > 0 && lines[i].name.ptr >= text.ptr &&
                      lines[i].name.ptr + lines[i].name.len <= text.ptr + size);
        }
    }
    krs_arena_deinit(&arena);
    return 0;
}
