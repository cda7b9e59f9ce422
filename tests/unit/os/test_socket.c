/* unit/os/test_socket.c - listening: a free port is found and named, a taken one and a bad host refused. */
#include "os/socket.h"
#include "support/cmocka.h"

#include <string.h>

static void free_port_is_found_and_a_taken_one_refused(void **state)
{
    (void)state;
    int first = -1;
    int second = -1;
    uint16_t port = 0;
    uint16_t other = 0;
    assert_int_equal(krs_os_socket_listen("127.0.0.1", 0, &first, &port, NULL), KRS_OK);
    assert_true(first >= 0 && port > 0);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_socket_listen("127.0.0.1", port, &second, &other, &err), KRS_EEXIST);
    assert_int_equal(second, -1);
    assert_non_null(strstr(err.message, "listen on 127.0.0.1 port"));
    krs_os_socket_close(first);
    assert_int_equal(krs_os_socket_listen("127.0.0.1", port, &second, &other, NULL), KRS_OK);
    assert_int_equal(other, port);
    krs_os_socket_close(second);
    krs_os_socket_close(-1); /* nothing to close */
}

static void host_that_is_none_is_named(void **state)
{
    (void)state;
    int fd = 7;
    uint16_t port = 0;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_socket_listen("300.1.2.3.4", 0, &fd, &port, &err), KRS_EINVAL);
    assert_string_equal(err.field, "host");
    assert_non_null(strstr(err.message, "300.1.2.3.4"));
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_port_is_found_and_a_taken_one_refused),
        cmocka_unit_test(host_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
