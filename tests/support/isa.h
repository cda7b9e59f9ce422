/* tests/support/isa.h - what tests know of the CPU's instruction sets (src/compute/cpu/isa.c). */
#pragma once

#include <stdbool.h>
#include <string.h>

/* Does it round q, K, V and weights of attention to bf16, where K and V are not f32? */
static inline bool isa_attends_in_bf16(const char *isa)
{
    return strcmp(isa, "avx512bf16") == 0 || strcmp(isa, "avx512amx") == 0;
}

/* Does it round rows to bf16 where the weights are bf16? */
static inline bool isa_rounds_to_bf16(const char *isa)
{
    return isa_attends_in_bf16(isa) || strcmp(isa, "neonbf16") == 0;
}
