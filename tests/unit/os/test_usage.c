/* os/usage: the line of proc(5), and that our own numbers make sense. */
#define _POSIX_C_SOURCE 200809L /* O_CLOEXEC */
#include "os/clock.h"
#include "os/thread.h"
#include "os/usage.h"
#include "support/cmocka.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

static void a_name_with_blanks_and_parentheses_is_skipped(void **state)
{
    (void)state;
    static const char line[] =
        "4242 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 77 18 123456 "
        "987654321 99 0\n";
    krs_os_usage usage = {.n_threads = 0};
    uint64_t start_ticks = 0;
    krs_os_usage_read_stat(line, &start_ticks, &usage);
    assert_int_equal(usage.n_threads, 77);
    assert_int_equal(start_ticks, 123456);
    assert_int_equal(usage.virtual_bytes, 987654321);
}

static void a_line_cut_short_changes_nothing_it_lacks(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "1 (x", "1 (x)", "1 (x) S 1 2"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        krs_os_usage usage = {.n_threads = 5, .virtual_bytes = 6};
        uint64_t start_ticks = 7;
        krs_os_usage_read_stat(lines[i], &start_ticks, &usage);
        assert_int_equal(usage.n_threads, 5);
        assert_int_equal(usage.virtual_bytes, 6);
        assert_int_equal(start_ticks, 7);
    }
}

static void wait_for_flag(void *ctx)
{
    while (!atomic_load((_Atomic bool *)ctx)) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void it_follows_threads_and_descriptors(void **state)
{
    (void)state;
    const krs_os_usage before = krs_os_usage_of_self();
    assert_true(before.n_threads >= 1 && before.virtual_bytes > 0);
    assert_true(before.n_fds >= 1 && before.max_fds > before.n_fds);
    const uint64_t now_ns = krs_os_wall_ns();
    assert_true(before.start_wall_ns <= now_ns + KRS_NS_PER_S);
    assert_true(before.start_wall_ns + 3600 * KRS_NS_PER_S > now_ns); /* a test is not older */
    _Atomic bool is_over = false;
    krs_os_thread *thread = NULL;
    assert_int_equal(krs_os_thread_start("t", wait_for_flag, &is_over, &thread, NULL), 0);
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const krs_os_usage after = krs_os_usage_of_self();
    assert_true(after.n_threads > before.n_threads); /* a sanitizer may start one of its own */
    assert_int_equal(after.n_fds, before.n_fds + 1);
    assert_true(after.cpu_ns >= before.cpu_ns && after.cpu_ns > 0);
    assert_int_equal(close(fd), 0);
    atomic_store(&is_over, true);
    krs_os_thread_join(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_with_blanks_and_parentheses_is_skipped),
        cmocka_unit_test(a_line_cut_short_changes_nothing_it_lacks),
        cmocka_unit_test(it_follows_threads_and_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
