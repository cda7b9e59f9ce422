/* fuzz/fuzz_responses.c - any bytes as the body of a responses call. */
#include "fuzz_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_call(KRS_CALL_RESPONSES, data, size);
}
