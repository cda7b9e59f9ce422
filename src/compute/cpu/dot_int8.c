/* compute/cpu/dot_int8.c - see dot_int8.h. */
#include "compute/cpu/dot_int8.h"

#include <string.h>

#if defined(__x86_64__)
krs_cpu_dot_fn krs_cpu_dot_int8_of(const char *isa, double *ops_of_round)
{
    if (strcmp(isa, "avx512vnni") == 0 || strcmp(isa, "avx512bf16") == 0 ||
        strcmp(isa, "avx512amx") == 0) {
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
#elif defined(__aarch64__)
krs_cpu_dot_fn krs_cpu_dot_int8_of(const char *isa, double *ops_of_round)
{
    if (strcmp(isa, "neoni8mm") == 0 || strcmp(isa, "neonbf16") == 0) {
        *ops_of_round = KRS_CPU_DOT_CHAINS * 64.0;
        return krs_cpu_neoni8mm_dot;
    }
    if (strcmp(isa, "neondot") == 0) {
        *ops_of_round = KRS_CPU_DOT_CHAINS * 32.0;
        return krs_cpu_neondot_dot;
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
