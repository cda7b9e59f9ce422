/* golden/test_golden.c - llama and those it serves by switches; the demo models.
 * See support/golden_case.h. */
#include "support/golden_case.h"

int main(void)
{
    static const char *const names[] = {
        "llama",       "qwen3",           "mistral-swa", "demo-4bit",  "llama-bias", "llama-mha",
        "llama3-rope", "mistral-headdim", "qwen2",       "qwen2-tied", "qwen3-yarn", "draft-4bit"};
    return golden_run(names, sizeof(names) / sizeof(names[0]), 4);
}
