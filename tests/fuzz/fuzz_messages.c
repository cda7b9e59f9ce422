/* fuzz/fuzz_messages.c - any bytes as the body of a messages or count_tokens call. The first byte
 * chooses. */
#include "fuzz_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    return fuzz_call(data[0] % 2 ? KRS_CALL_COUNT_TOKENS : KRS_CALL_MESSAGES, data + 1, size - 1);
}
