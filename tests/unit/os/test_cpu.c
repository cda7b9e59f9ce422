/* os/cpu: the parsers on the texts that kernels write, and the answers within what must hold. */
#define _POSIX_C_SOURCE 200809L
#include "os/cpu.h"
#include "support/cmocka.h"

#include <string.h>
#include <unistd.h>

static void quota_v2_rounds_up_and_max_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(krs_os_cgroup_cpus_v2("max 100000\n"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("200000 100000\n"), 2);
    assert_int_equal(krs_os_cgroup_cpus_v2("250000 100000\n"), 3);
    assert_int_equal(krs_os_cgroup_cpus_v2("50000 100000\n"), 1);
    assert_int_equal(krs_os_cgroup_cpus_v2(""), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("200000"), 0); /* no period: unreadable, no limit */
    assert_int_equal(krs_os_cgroup_cpus_v2("-5 100000"), 0);
}

static void quota_v1_minus_one_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(krs_os_cgroup_cpus_v1("-1\n", "100000\n"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v1("150000\n", "100000\n"), 2);
    assert_int_equal(krs_os_cgroup_cpus_v1("150000\n", "0\n"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v1("9223372036854775807", "1"), 8192);
}

static void memory_limit_reads_both_spellings_of_none(void **state)
{
    (void)state;
    assert_true(krs_os_cgroup_bytes("max\n") == UINT64_MAX);
    assert_true(krs_os_cgroup_bytes("9223372036854771712\n") == UINT64_MAX);
    assert_true(krs_os_cgroup_bytes("") == UINT64_MAX);
    assert_true(krs_os_cgroup_bytes("536870912\n") == 536870912u);
}

static void cgroup_path_finds_the_controllers_line(void **state)
{
    (void)state;
    const char *v1 = "12:memory:/a/m\n5:cpu,cpuacct:/a/c\n1:name=systemd:/s\n0::/u\n";
    char path[16];
    assert_int_equal(krs_os_cgroup_path(v1, "cpu", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "/a/c");
    assert_int_equal(krs_os_cgroup_path(v1, "cpuacct", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "/a/c");
    assert_int_equal(krs_os_cgroup_path(v1, "memory", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "/a/m");
    assert_int_equal(krs_os_cgroup_path(v1, "", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "/u");
    assert_int_equal(krs_os_cgroup_path(v1, "pids", path, sizeof(path)), KRS_ENOENT);
    assert_int_equal(krs_os_cgroup_path("0::/0123456789abcdef", "", path, sizeof(path)),
                     KRS_ETOOLARGE);
    assert_int_equal(krs_os_cgroup_path("garbage", "", path, sizeof(path)), KRS_ENOENT);
}

static void this_machine_answers_within_bounds(void **state)
{
    (void)state;
    assert_in_range(krs_os_cpu_count(), 1, (unsigned long)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(krs_os_memory_bytes() > (64u << 20));
    assert_true(krs_os_resident_bytes() > 100000);
    assert_true(krs_os_resident_bytes() < krs_os_memory_bytes());
    assert_true(krs_os_memory_free_bytes() > 0);
    assert_true(krs_os_memory_free_bytes() <= krs_os_memory_bytes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quota_v2_rounds_up_and_max_is_no_limit),
        cmocka_unit_test(quota_v1_minus_one_is_no_limit),
        cmocka_unit_test(memory_limit_reads_both_spellings_of_none),
        cmocka_unit_test(cgroup_path_finds_the_controllers_line),
        cmocka_unit_test(this_machine_answers_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
