/* tests/fuzz/fuzz_safetensors.c - a whole safetensors file; and, since it has another grammar but the
 * same scanner, the same bytes as an index. */
#include "format/safetensors.h"
#include "format/safetensors_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_BYTES (1u << 20) /* inputs are small */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    krs_error err = KRS_ERROR_INIT;
    krs_status status = krs_safetensors_check(data, size, &err);
    if (status != KRS_OK && err.message[0] == '\0') {
        abort(); /* a refusal without a reason */
    }
    krs_arena arena;
    st_index index;
    krs_arena_init(&arena, NULL, 4096, ARENA_BYTES);
    const krs_str text = {(const char *)data, size};
    err = (krs_error)KRS_ERROR_INIT;
    status = krs_st_index_parse(text, &arena, &index, &err);
    krs_arena_deinit(&arena);
    if (status != KRS_OK && err.message[0] == '\0') {
        abort();
    }
    return 0;
}
