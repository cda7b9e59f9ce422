/* tests/support/isa.h - what tests know of the CPU's instruction sets (src/compute/cpu/isa.c). */
#pragma once

#include <stdbool.h>
#include <string.h>

/* Does it round rows to bf16 where the weights are bf16, and q, K, V and weights of attention? */
static inline bool isa_rounds_to_bf16(const char *isa)
{
    return strcmp(isa, "avx512bf16") == 0 || strcmp(isa, "avx512amx") == 0;
}
