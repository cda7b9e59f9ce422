/* golden/test_golden_families.c - families with blocks of their own.
 * See support/golden_case.h. */
#include "support/golden_case.h"

int main(void)
{
    static const char *const names[] = {
        "gemma2",  "gemma3",  "phi3",       "phi3-longrope", "gemma", "olmo2",   "smollm3",
        "granite", "cohere2", "starcoder2", "stablelm",      "gpt2",  "gpt_neox"};
    return golden_run(names, sizeof(names) / sizeof(names[0]), 2);
}
