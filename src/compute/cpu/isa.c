/* compute/cpu/isa.c - see isa.h. On x86-64 detection is the compiler's own (__builtin_cpu_supports), which also
 * asks the OS whether it saves the registers; on AArch64 the kernel's list (os/cpu.h), since programs may not
 * read the registers that say it. */
#include "compute/cpu/isa.h"

#include "os/cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

typedef struct isa {
    const char *name;
    bool (*is_here)(void);
    const krs_cpu_kernels *kernels;
    krs_cpu_tile_fn tile_codes;
    krs_cpu_tile_fn tile_bf16; /* NULL: none, as the following */
    krs_cpu_dot_fn dot_bf16;
    double dot_bf16_ops;
    const krs_cpu_attention_kernel *attention; /* replaces the table's; NULL: keeps it */
} isa;

static bool is_always_here(void)
{
    return true;
}

#if defined(__x86_64__)
/* clang 14 does not know "f16c" by name: leaf 1, ECX bit 29. */
static bool has_f16c(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_avx512bf16(void)
{
    return has_avx512vnni() && __builtin_cpu_supports("avx512bf16");
}

static bool has_avx512amx(void)
{
    return has_avx512bf16() && krs_os_cpu_use_amx();
}

#elif defined(__aarch64__)
static bool has_neondot(void)
{
    return (krs_os_cpu_features() & KRS_OS_CPU_DOTPROD) != 0;
}

static bool has_neoni8mm(void)
{
    return has_neondot() && (krs_os_cpu_features() & KRS_OS_CPU_I8MM) != 0;
}

static bool has_neonbf16(void)
{
    return has_neoni8mm() && (krs_os_cpu_features() & KRS_OS_CPU_BF16) != 0;
}
#endif

static const isa isas[] = {
    {"portable", is_always_here, &krs_cpu_portable, krs_cpu_portable_codes, NULL, NULL, 0, NULL},
#if defined(__x86_64__)
    {"avx2", has_avx2, &krs_cpu_avx2, krs_cpu_avx2_codes, NULL, NULL, 0, NULL},
    {"avx512", has_avx512, &krs_cpu_avx512, krs_cpu_avx512_codes, NULL, NULL, 0, NULL},
    {"avx512vnni", has_avx512vnni, &krs_cpu_avx512, krs_cpu_avx512vnni_codes, NULL, NULL, 0, NULL},
    {"avx512bf16", has_avx512bf16, &krs_cpu_avx512, krs_cpu_avx512vnni_codes,
     krs_cpu_avx512bf16_tiles, krs_cpu_avx512bf16_dot, KRS_CPU_AVX512BF16_DOT_OPS,
     &krs_cpu_avx512bf16_attention},
    {"avx512amx", has_avx512amx, &krs_cpu_avx512, krs_cpu_avx512amx_codes, krs_cpu_avx512amx_tiles,
     krs_cpu_avx512bf16_dot, KRS_CPU_AVX512BF16_DOT_OPS, &krs_cpu_avx512bf16_attention},
#elif defined(__aarch64__)
    {"neon", is_always_here, &krs_cpu_neon, krs_cpu_neon_codes, NULL, NULL, 0, NULL},
    {"neondot", has_neondot, &krs_cpu_neon, krs_cpu_neondot_codes, NULL, NULL, 0, NULL},
    {"neoni8mm", has_neoni8mm, &krs_cpu_neon, krs_cpu_neoni8mm_codes, NULL, NULL, 0, NULL},
    {"neonbf16", has_neonbf16, &krs_cpu_neon, krs_cpu_neoni8mm_codes, krs_cpu_neonbf16_tiles,
     krs_cpu_neonbf16_dot, KRS_CPU_NEONBF16_DOT_OPS, NULL},
#endif
};

#define N_ISAS (sizeof(isas) / sizeof(isas[0]))

const char *krs_cpu_isa_name(uint32_t index)
{
    return index < N_ISAS ? isas[index].name : NULL;
}

static const isa *find(const char *name)
{
    for (size_t i = 0; i < N_ISAS; i++) {
        if (strcmp(isas[i].name, name) == 0) {
            return &isas[i];
        }
    }
    return NULL;
}

bool krs_cpu_isa_is_here(const char *name)
{
    const isa *found = find(name);
    return found && found->is_here();
}

/* Is it a name at all, of this architecture or another? */
static bool is_a_name(const char *name)
{
    static const char *const names[] = {"portable",   "avx2",       "avx512",
                                        "avx512vnni", "avx512bf16", "neon",
                                        "neondot",    "neoni8mm",   "neonbf16"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static const isa *best(void)
{
    size_t i = N_ISAS - 1;
    while (!isas[i].is_here()) {
        i--; /* ends at portable */
    }
    return &isas[i];
}

krs_status krs_cpu_isa_kernels(const char *name, krs_cpu_kernels *out, krs_cpu_kernels *exact,
                               krs_error *err)
{
    const isa *chosen = name ? find(name) : best();
    if (!chosen && !is_a_name(name)) {
        return krs_fail_field(err, KRS_EINVAL, "isa",
                              "isa: \"%.40s\", want portable; avx2, avx512, avx512vnni, "
                              "avx512bf16 or avx512amx; neon, neondot, neoni8mm or neonbf16",
                              name);
    }
    if (!chosen || !chosen->is_here()) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "isa", "isa: this machine has no %s",
                              chosen ? chosen->name : name);
    }
    *out = *chosen->kernels;
    out->isa = chosen->name;
    out->tile_codes = chosen->tile_codes;
    out->tile_bf16 = chosen->tile_bf16;
    out->n_terms = 1;
    if (exact) {
        *exact = *out;
        exact->n_terms = 2;
    }
    out->attention = chosen->attention ? *chosen->attention : out->attention;
    out->dot_bf16 = chosen->dot_bf16;
    out->dot_bf16_ops = chosen->dot_bf16_ops;
    return KRS_OK;
}
