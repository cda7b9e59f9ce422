/* compute/cpu/dot_int8.c - see dot_int8.h. VNNI is asked for apart from the name of the instruction set:
 * the first machines with AVX-512 do not have it, and neither avx512 nor avx512bf16 names it. */
#include "compute/cpu/dot_int8.h"

#include <string.h>

#if defined(__x86_64__)
krs_cpu_dot_fn krs_cpu_dot_int8_of(const char *isa, double *ops_of_round)
{
    if (strncmp(isa, "avx512", 6) == 0 && __builtin_cpu_supports("avx512vnni")) {
        *ops_of_round = KRS_CPU_DOT_CHAINS * 128.0;
        return krs_cpu_avx512vnni_dot;
    }
    if (strncmp(isa, "avx", 3) == 0) {
        *ops_of_round = KRS_CPU_DOT_CHAINS * 64.0;
        return krs_cpu_avx2_dot_int8;
    }
    *ops_of_round = 0;
    return NULL;
}
#else
krs_cpu_dot_fn krs_cpu_dot_int8_of(const char *isa, double *ops_of_round)
{
    (void)isa;
    *ops_of_round = 0;
    return NULL;
}
#endif
