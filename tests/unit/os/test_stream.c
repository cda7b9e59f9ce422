/* unit/os/test_stream.c - reading and writing what somebody else opened, without waiting and without changing it. */
#define _POSIX_C_SOURCE 200809L
#include "os/stream.h"
#include "support/cmocka.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct pair {
    int read_fd;
    int write_fd;
} pair;

static pair pipe_pair(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    return (pair){fds[0], fds[1]};
}

static pair socket_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (pair){fds[0], fds[1]};
}

static void check(pair p)
{
    char bytes[8];
    size_t n = 9;
    assert_int_equal(krs_os_stream_read(p.read_fd, bytes, sizeof(bytes), &n), KRS_OK);
    assert_int_equal(n, 0); /* nothing there: it does not wait */
    assert_int_equal(krs_os_stream_write(p.write_fd, "hello", 5, &n), KRS_OK);
    assert_int_equal(n, 5);
    assert_int_equal(krs_os_stream_read(p.read_fd, bytes, sizeof(bytes), &n), KRS_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(fcntl(p.read_fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(p.write_fd, F_GETFL) & O_NONBLOCK, 0);
    (void)close(p.write_fd);
    assert_int_equal(krs_os_stream_read(p.read_fd, bytes, sizeof(bytes), &n), KRS_EEOF);
    (void)close(p.read_fd);
}

static void pipes_and_sockets_do_not_wait(void **state)
{
    (void)state;
    check(pipe_pair());
    check(socket_pair());
}

/* How much goes in before the other side reads. */
static size_t fill(int fd)
{
    static char block[1u << 20];
    size_t n = 0;
    assert_int_equal(krs_os_stream_write(fd, block, sizeof(block), &n), KRS_OK);
    size_t none = 1;
    assert_int_equal(krs_os_stream_write(fd, block, 1, &none), KRS_OK);
    assert_true(none == 0 || n == sizeof(block));
    return n;
}

static void what_the_reader_leaves_is_bounded(void **state)
{
    (void)state;
    const pair pairs[] = {pipe_pair(), socket_pair()};
    for (size_t i = 0; i < 2; i++) {
        krs_os_stream_limit(pairs[i].write_fd, 8 << 10);
        const size_t n = fill(pairs[i].write_fd);
        assert_true(n > 0 && n <= (24u << 10));
        (void)close(pairs[i].read_fd);
        (void)close(pairs[i].write_fd);
    }
}

static void a_reader_that_went_is_an_error_and_no_signal(void **state)
{
    (void)state;
    const pair p = socket_pair();
    size_t n = 0;
    (void)close(p.read_fd);
    assert_int_equal(krs_os_stream_write(p.write_fd, "x", 1, &n), KRS_EIO);
    (void)close(p.write_fd);
    assert_int_equal(krs_os_stream_write(p.write_fd, "x", 1, &n), KRS_EIO);
    assert_int_equal(krs_os_stream_read(p.write_fd, &n, 1, &n), KRS_EIO);
}

static void files_read_to_their_end(void **state)
{
    (void)state;
    char path[] = "/tmp/krs-stream-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)unlink(path);
    size_t n = 0;
    krs_os_stream_limit(fd, 8 << 10); /* means nothing here */
    assert_int_equal(krs_os_stream_write(fd, "line\n", 5, &n), KRS_OK);
    assert_int_equal(n, 5);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    char bytes[8];
    assert_int_equal(krs_os_stream_read(fd, bytes, sizeof(bytes), &n), KRS_OK);
    assert_int_equal(n, 5);
    assert_int_equal(krs_os_stream_read(fd, bytes, sizeof(bytes), &n), KRS_EEOF);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_and_sockets_do_not_wait),
        cmocka_unit_test(what_the_reader_leaves_is_bounded),
        cmocka_unit_test(a_reader_that_went_is_an_error_and_no_signal),
        cmocka_unit_test(files_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
