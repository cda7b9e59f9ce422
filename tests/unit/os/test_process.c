/* os/process, os/signal, os/random, os/term: children and signals behave as the headers say. */
#define _POSIX_C_SOURCE 200809L
#include "os/clock.h"
#include "os/process.h"
#include "os/random.h"
#include "os/signal.h"
#include "os/term.h"
#include "os/wake.h"
#include "support/cmocka.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (30 * KRS_NS_PER_S) /* far above any run; a hang becomes a failure */

static krs_os_process start(const char *const *argv, bool has_pipes)
{
    krs_os_process process;
    const krs_os_process_options options = {
        .argv = argv, .has_stdin_pipe = has_pipes, .has_stdout_pipe = has_pipes};
    assert_int_equal(krs_os_process_start(&options, &process, NULL), KRS_OK);
    return process;
}

static krs_os_process_end end_of(krs_os_process *process)
{
    krs_os_process_end end = {0};
    assert_int_equal(krs_os_process_wait(process, krs_os_now_ns() + PATIENCE_NS, &end), KRS_OK);
    return end;
}

static void a_child_reads_and_writes_through_its_pipes(void **state)
{
    (void)state;
    krs_os_process cat = start((const char *const[]){"cat", NULL}, true);
    assert_int_equal(write(cat.stdin_fd, "ping", 4), 4);
    assert_int_equal(close(cat.stdin_fd), 0);
    cat.stdin_fd = -1;
    char answer[8] = "";
    assert_int_equal(krs_os_wait_readable(&cat.stdout_fd, 1, 30000), 0);
    assert_int_equal(read(cat.stdout_fd, answer, sizeof(answer)), 4);
    assert_string_equal(answer, "ping");
    const krs_os_process_end end = end_of(&cat);
    assert_false(end.is_signalled);
    assert_int_equal(end.code, 0);
    krs_os_process_close(&cat);
}

static void exit_codes_arguments_and_environment_arrive(void **state)
{
    (void)state;
    krs_os_process process;
    const krs_os_process_options options = {
        .argv = (const char *const[]){"sh", "-c", "exit $((N + $1))", "sh", "2", NULL},
        .env = (const char *const[]){"N=40", NULL}};
    assert_int_equal(krs_os_process_start(&options, &process, NULL), KRS_OK);
    assert_int_equal(end_of(&process).code, 42);
    krs_os_process_end end;
    assert_int_equal(krs_os_process_wait(&process, 0, &end), KRS_EINVAL); /* waited for already */
    krs_os_process_close(&process);
}

static void no_shell_touches_the_arguments(void **state)
{
    (void)state;
    krs_os_process process =
        start((const char *const[]){"test", "$(exit)", "=", "$(exit)", NULL}, false);
    assert_int_equal(end_of(&process).code, 0);
}

static void a_missing_program_is_enoent(void **state)
{
    (void)state;
    krs_os_process process;
    krs_error err = KRS_ERROR_INIT;
    krs_os_process_options options = {.argv = (const char *const[]){"krs-no-such-program", NULL},
                                      .has_stderr_pipe = true};
    assert_int_equal(krs_os_process_start(&options, &process, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "krs-no-such-program"));
    assert_int_equal(process.stderr_fd, -1);
    options.argv = (const char *const[]){NULL};
    assert_int_equal(krs_os_process_start(&options, &process, &err), KRS_EINVAL);
}

static void a_running_child_is_eagain_until_it_is_ended(void **state)
{
    (void)state;
    krs_os_process sleeper = start((const char *const[]){"sleep", "1000", NULL}, false);
    krs_os_process_end end;
    assert_int_equal(krs_os_process_wait(&sleeper, 0, &end), KRS_EAGAIN);
    krs_os_process_signal(&sleeper, KRS_OS_PROCESS_TERMINATE);
    end = end_of(&sleeper);
    assert_true(end.is_signalled);
    assert_int_equal(end.code, SIGTERM);
    krs_os_process_signal(&sleeper, KRS_OS_PROCESS_KILL); /* nothing to hit: no harm */
    sleeper = start((const char *const[]){"sleep", "1000", NULL}, true);
    krs_os_process_close(&sleeper); /* kills, waits, closes */
    assert_int_equal(sleeper.pid, 0);
    assert_int_equal(sleeper.stdin_fd, -1);
}

static void signals_are_read_not_handled(void **state)
{
    (void)state;
    krs_os_signals signals;
    assert_int_equal(krs_os_signals_open(&signals, NULL), KRS_OK);
    assert_int_equal(krs_os_signals_take(&signals), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(krs_os_wait_readable(&signals.fd, 1, 30000), 0);
    assert_int_equal(krs_os_signals_take(&signals), SIGTERM);
    assert_int_equal(krs_os_signals_take(&signals), 0);
    /* A child starts with an empty mask whatever its parent blocks. */
    krs_os_process sleeper = start((const char *const[]){"sleep", "1000", NULL}, false);
    krs_os_process_signal(&sleeper, KRS_OS_PROCESS_INTERRUPT);
    assert_int_equal(end_of(&sleeper).code, SIGINT);
    krs_os_signals_close(&signals);
}

static void random_bytes_differ_and_a_pipe_is_no_terminal(void **state)
{
    (void)state;
    assert_true(krs_os_random_u64() != krs_os_random_u64());
    unsigned char bytes[1000] = {0};
    krs_os_random_bytes(bytes, sizeof(bytes));
    size_t n_zero = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        n_zero += bytes[i] == 0;
    }
    assert_true(n_zero < 100); /* 4 expected */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(krs_os_is_terminal(ends[0]));
    assert_int_equal(krs_os_terminal_columns(ends[0]), 80);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_reads_and_writes_through_its_pipes),
        cmocka_unit_test(exit_codes_arguments_and_environment_arrive),
        cmocka_unit_test(no_shell_touches_the_arguments),
        cmocka_unit_test(a_missing_program_is_enoent),
        cmocka_unit_test(a_running_child_is_eagain_until_it_is_ended),
        cmocka_unit_test(signals_are_read_not_handled),
        cmocka_unit_test(random_bytes_differ_and_a_pipe_is_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
