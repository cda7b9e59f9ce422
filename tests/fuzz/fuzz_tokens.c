/* fuzz/fuzz_tokens.c - any bytes as the body of an embeddings, tokenize or detokenize call. The first
 * byte chooses. */
#include "fuzz_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const krs_call_kind kinds[] = {KRS_CALL_EMBEDDINGS, KRS_CALL_TOKENIZE,
                                          KRS_CALL_DETOKENIZE};
    if (size == 0) {
        return 0;
    }
    return fuzz_call(kinds[data[0] % 3], data + 1, size - 1);
}
