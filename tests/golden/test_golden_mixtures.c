/* golden/test_golden_mixtures.c - experts, latent attention, recurrent layers.
 * See support/golden_case.h. */
#include "support/golden_case.h"

int main(void)
{
    static const char *const names[] = {"deepseek_v3", "gpt_oss",   "qwen3_next", "mixtral",
                                        "qwen2_moe",   "qwen3_moe", "qwen3_5"};
    return golden_run(names, sizeof(names) / sizeof(names[0]), 3);
}
