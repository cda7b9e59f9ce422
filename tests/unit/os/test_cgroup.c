/* os/cgroup: the parsers on the texts that kernels write and on others, and the walk from our group to the
 * root of each kind of hierarchy, in trees made here. */
#include "os/cgroup.h"
#include "support/fake_root.h"

static void quota_v2_rounds_to_the_nearest_and_max_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(krs_os_cgroup_cpus_v2("max 100000\n"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("200000 100000\n"), 2);
    assert_int_equal(krs_os_cgroup_cpus_v2("249999 100000\n"), 2);
    assert_int_equal(krs_os_cgroup_cpus_v2("250000 100000\n"), 3);
    assert_int_equal(krs_os_cgroup_cpus_v2("110000 100000\n"), 1);
    assert_int_equal(krs_os_cgroup_cpus_v2("1000 100000\n"), 1); /* never none */
    assert_int_equal(krs_os_cgroup_cpus_v2("50000 100000\n"), 1);
    assert_int_equal(krs_os_cgroup_cpus_v2(""), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("200000"), 0); /* no period: unreadable, no limit */
    assert_int_equal(krs_os_cgroup_cpus_v2("-5 100000"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("200000 -1"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("maximum"), 0);
    assert_int_equal(krs_os_cgroup_cpus_v2("9223372036854775808 9223372036854775808"), 1);
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

static void without_a_group_there_is_no_limit(void **state)
{
    const fake_root *root = *state;
    assert_true(krs_os_cgroup_cpus(root->path) == KRS_OS_NO_LIMIT);
    assert_true(krs_os_cgroup_memory(root->path) == KRS_OS_NO_LIMIT);
    assert_true(krs_os_cgroup_cpus("/no/such/root") == KRS_OS_NO_LIMIT);
}

static void the_tightest_of_nested_groups_counts(void **state)
{
    const fake_root *root = *state;
    fake_root_write(root, "/proc/self/cgroup", "0::/a/b/c\n");
    fake_root_write(root, "/sys/fs/cgroup/a/cpu.max", "600000 100000\n");
    fake_root_write(root, "/sys/fs/cgroup/a/memory.max", "1000000\n");
    fake_root_write(root, "/sys/fs/cgroup/a/b/cpu.max", "30000 10000\n");
    fake_root_write(root, "/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    fake_root_write(root, "/sys/fs/cgroup/a/b/c/memory.max", "3000000\n");
    fake_root_write(root, "/sys/fs/cgroup/a/b/d/cpu.max", "100000 100000\n"); /* not ours */
    assert_true(krs_os_cgroup_cpus(root->path) == 3);
    assert_true(krs_os_cgroup_memory(root->path) == 1000000);
}

static void in_a_container_the_mount_point_carries_the_limit(void **state)
{
    const fake_root *root = *state;
    /* The path is the host's, and nothing of it can be seen here. */
    fake_root_write(root, "/proc/self/cgroup", "0::/system.slice/docker-1234.scope\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_true(krs_os_cgroup_cpus(root->path) == 2);
}

static void a_path_out_of_the_namespace_stays_in_the_mount(void **state)
{
    const fake_root *root = *state;
    fake_root_write(root, "/proc/self/cgroup", "0::/../../other\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu.max", "400000 100000\n");
    fake_root_write(root, "/sys/other/cpu.max", "100000 100000\n");
    assert_true(krs_os_cgroup_cpus(root->path) == 4);
}

static void version_1_is_read_where_either_name_mounts_it(void **state)
{
    const fake_root *root = *state;
    fake_root_write(root, "/proc/self/cgroup", "4:cpu,cpuacct:/k/pod\n3:memory:/k/pod\n0::/x\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu,cpuacct/k/pod/cpu.cfs_quota_us", "-1\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu,cpuacct/k/pod/cpu.cfs_period_us", "100000\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu,cpuacct/k/cpu.cfs_quota_us", "700000\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu,cpuacct/k/cpu.cfs_period_us", "100000\n");
    fake_root_write(root, "/sys/fs/cgroup/memory/k/pod/memory.limit_in_bytes", "5000\n");
    fake_root_write(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(krs_os_cgroup_cpus(root->path) == 7);
    assert_true(krs_os_cgroup_memory(root->path) == 5000);
    fake_root_write(root, "/sys/fs/cgroup/cpu/k/cpu.cfs_quota_us", "500000\n");
    fake_root_write(root, "/sys/fs/cgroup/cpu/k/cpu.cfs_period_us", "100000\n");
    assert_true(krs_os_cgroup_cpus(root->path) == 5);
}

static void files_no_kernel_would_write_are_no_limit(void **state)
{
    const fake_root *root = *state;
    static const char *const texts[] = {"", "\n", "quota", "0 0\n", "100000\n", "-1 -1\n"};
    fake_root_write(root, "/proc/self/cgroup", "0::/a\nno colons\n:::\n1:\n");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        fake_root_write(root, "/sys/fs/cgroup/a/cpu.max", texts[i]);
        assert_true(krs_os_cgroup_cpus(root->path) == KRS_OS_NO_LIMIT);
    }
    char *huge = malloc(100001); /* longer than any file that is read here */
    assert_non_null(huge);
    memset(huge, '1', 100000);
    huge[100000] = '\0';
    fake_root_write(root, "/sys/fs/cgroup/a/cpu.max", huge);
    fake_root_write(root, "/sys/fs/cgroup/a/memory.max", huge);
    assert_true(krs_os_cgroup_cpus(root->path) == KRS_OS_NO_LIMIT);
    assert_true(krs_os_cgroup_memory(root->path) == KRS_OS_NO_LIMIT);
    fake_root_write(root, "/proc/self/cgroup", huge);
    assert_true(krs_os_cgroup_cpus(root->path) == KRS_OS_NO_LIMIT);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quota_v2_rounds_to_the_nearest_and_max_is_no_limit),
        cmocka_unit_test(quota_v1_minus_one_is_no_limit),
        cmocka_unit_test(memory_limit_reads_both_spellings_of_none),
        cmocka_unit_test(cgroup_path_finds_the_controllers_line),
        fake_root_test(without_a_group_there_is_no_limit),
        fake_root_test(the_tightest_of_nested_groups_counts),
        fake_root_test(in_a_container_the_mount_point_carries_the_limit),
        fake_root_test(a_path_out_of_the_namespace_stays_in_the_mount),
        fake_root_test(version_1_is_read_where_either_name_mounts_it),
        fake_root_test(files_no_kernel_would_write_are_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
