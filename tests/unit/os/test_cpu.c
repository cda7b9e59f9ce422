/* os/cpu: cores found in a topology that is made here, and the answers of this machine within what must
 * hold. */
#define _POSIX_C_SOURCE 200809L
#include "os/cpu.h"
#include "support/cmocka.h"
#include "support/fake_root.h"

#include <unistd.h>

static void make_topology(const fake_root *root, uint32_t cpu, const char *siblings)
{
    char path[96];
    (void)snprintf(path, sizeof(path),
                   "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    fake_root_write(root, path, siblings);
}

static void one_cpu_of_each_core_is_kept_the_lowest_allowed(void **state)
{
    const fake_root *root = *state;
    for (uint32_t i = 0; i < 8; i++) { /* 4 cores of 2 threads, numbered as most machines do */
        char text[16];
        (void)snprintf(text, sizeof(text), "%u,%u\n", i % 4, i % 4 + 4);
        make_topology(root, i, text);
    }
    uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    assert_int_equal(krs_os_cores_among(root->path, all, 8), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(all[i], i);
    }
    uint32_t some[] = {2, 4, 6, 7}; /* the mask holds only the second thread of cores 0 and 3 */
    assert_int_equal(krs_os_cores_among(root->path, some, 4), 3);
    assert_int_equal(some[0], 2);
    assert_int_equal(some[1], 4);
    assert_int_equal(some[2], 7);
}

static void cores_numbered_in_pairs_are_found_too(void **state)
{
    const fake_root *root = *state;
    for (uint32_t i = 0; i < 6; i++) {
        make_topology(root, i, i < 2 ? "0-1\n" : i < 4 ? "2-3\n" : "4-5\n");
    }
    uint32_t cpus[] = {0, 1, 2, 3, 4, 5};
    assert_int_equal(krs_os_cores_among(root->path, cpus, 6), 3);
    assert_int_equal(cpus[1], 2);
    assert_int_equal(cpus[2], 4);
}

static void a_topology_that_makes_no_sense_hides_no_cpu(void **state)
{
    const fake_root *root = *state;
    static const char *const texts[] = {
        "", "\n", "x", "-1\n", " 0\n", "0x0\n", "7\n", "9999\n", "99999999999999999999\n"};
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    uint32_t cpus[N + 1];
    for (uint32_t i = 0; i < N; i++) {
        cpus[i] = i;
        if (i != 6) { /* "7": a list that begins above its own CPU, at CPU 5 */
            make_topology(root, i, texts[i]);
        }
    }
    make_topology(root, 5, texts[6]);
    cpus[N] = 4000; /* no such file */
    assert_int_equal(krs_os_cores_among(root->path, cpus, N + 1), N + 1);
}

static void the_first_of_a_cpu_list_is_read_or_refused(void **state)
{
    (void)state;
    assert_int_equal(krs_os_cpu_list_first("0-3,8\n"), 0);
    assert_int_equal(krs_os_cpu_list_first("17\n"), 17);
    assert_int_equal(krs_os_cpu_list_first("3,35"), 3);
    assert_int_equal(krs_os_cpu_list_first("8191"), 8191);
    assert_int_equal(krs_os_cpu_list_first("8192"), UINT32_MAX);
    assert_int_equal(krs_os_cpu_list_first("3;4"), UINT32_MAX);
    assert_int_equal(krs_os_cpu_list_first(""), UINT32_MAX);
    assert_int_equal(krs_os_cpu_list_first("+3"), UINT32_MAX);
}

static void this_machine_answers_within_bounds(void **state)
{
    (void)state;
    assert_in_range(krs_os_cpu_count(), 1, (unsigned long)sysconf(_SC_NPROCESSORS_CONF));
    uint32_t cpus[KRS_OS_MAX_CPUS];
    uint32_t one;
    const uint32_t n_allowed = krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS);
    assert_in_range(krs_os_cpu_count(), 1, n_allowed);
    assert_in_range(krs_os_core_cpus(cpus, KRS_OS_MAX_CPUS), 1, krs_os_cpu_count());
    assert_int_equal(krs_os_core_cpus(&one, 1), 1);
    assert_int_equal(one, cpus[0]);
    assert_true(krs_os_memory_bytes() > (64u << 20));
    assert_true(krs_os_resident_bytes() > 100000);
    assert_true(krs_os_resident_bytes() < krs_os_memory_bytes());
    assert_true(krs_os_memory_free_bytes() > 0);
    assert_true(krs_os_memory_free_bytes() <= krs_os_memory_bytes());
}

static void features_are_known_ones_and_of_aarch64_only(void **state)
{
    (void)state;
    const uint32_t features = krs_os_cpu_features();
    const uint32_t known = KRS_OS_CPU_DOTPROD | KRS_OS_CPU_I8MM | KRS_OS_CPU_BF16;
#if defined(__aarch64__)
    assert_int_equal(features & ~known, 0);
#else
    assert_int_equal(features & known, 0);
#endif
    assert_int_equal(krs_os_cpu_features(), features);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fake_root_test(one_cpu_of_each_core_is_kept_the_lowest_allowed),
        fake_root_test(cores_numbered_in_pairs_are_found_too),
        fake_root_test(a_topology_that_makes_no_sense_hides_no_cpu),
        cmocka_unit_test(the_first_of_a_cpu_list_is_read_or_refused),
        cmocka_unit_test(this_machine_answers_within_bounds),
        cmocka_unit_test(features_are_known_ones_and_of_aarch64_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
