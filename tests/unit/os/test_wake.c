/* unit/os/test_wake.c - wake descriptors, and whether a descriptor takes a write without blocking. */
#define _POSIX_C_SOURCE 200809L
#include "os/wake.h"
#include "support/cmocka.h"

#include <string.h>
#include <unistd.h>

static void a_wake_is_readable_until_cleared(void **state)
{
    (void)state;
    krs_os_wake wake;
    assert_int_equal(krs_os_wake_open(&wake, NULL), KRS_OK);
    assert_int_equal(krs_os_wait_readable(&wake.fd, 1, 0), -1);
    krs_os_wake_raise(&wake);
    krs_os_wake_raise(&wake);
    assert_int_equal(krs_os_wait_readable(&wake.fd, 1, 0), 0);
    krs_os_wake_clear(&wake);
    assert_int_equal(krs_os_wait_readable(&wake.fd, 1, 0), -1);
    krs_os_wake_close(&wake);
}

static void a_pipe_nobody_reads_stops_being_writable(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    char page[4096];
    memset(page, 'x', sizeof(page));
    size_t n_written = 0;
    while (krs_os_is_writable(fds[1])) { /* a write that it allowed must not block this test */
        assert_int_equal(write(fds[1], page, sizeof(page)), sizeof(page));
        n_written += sizeof(page);
        assert_true(n_written <= (64u << 20));
    }
    assert_true(n_written > 0);
    while (n_written > 0) {
        assert_int_equal(read(fds[0], page, sizeof(page)), sizeof(page));
        n_written -= sizeof(page);
    }
    assert_true(krs_os_is_writable(fds[1]));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_is_readable_until_cleared),
        cmocka_unit_test(a_pipe_nobody_reads_stops_being_writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
