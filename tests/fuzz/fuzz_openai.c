/* fuzz/fuzz_openai.c - any bytes as the body of a chat or completions call. The first byte chooses. */
#include "fuzz_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    return fuzz_call(data[0] % 2 ? KRS_CALL_COMPLETION : KRS_CALL_CHAT, data + 1, size - 1);
}
