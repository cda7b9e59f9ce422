/* base/fault and base/check: armed points fire once, and a broken invariant ends the process. */
#define _POSIX_C_SOURCE 200809L
#include "base/check.h"
#include "base/fault.h"
#include "support/cmocka.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void an_armed_point_fires_on_its_hit_alone(void **state)
{
    (void)state;
    assert_false(krs_fault_hit(KRS_FAULT_FILE_READ));
    krs_fault_arm(KRS_FAULT_FILE_READ, 3);
    assert_false(krs_fault_hit(KRS_FAULT_FILE_READ));
    assert_false(krs_fault_hit(KRS_FAULT_FILE_WRITE)); /* another point counts for itself */
    assert_false(krs_fault_hit(KRS_FAULT_FILE_READ));
    assert_true(krs_fault_hit(KRS_FAULT_FILE_READ));
    assert_false(krs_fault_hit(KRS_FAULT_FILE_READ));
    krs_fault_arm(KRS_FAULT_FILE_READ, 1);
    krs_fault_arm(KRS_FAULT_FILE_READ, 0);
    assert_false(krs_fault_hit(KRS_FAULT_FILE_READ));
}

static void the_variable_arms_by_name(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_fault_arm_all(NULL, &err), KRS_OK);
    assert_int_equal(krs_fault_arm_all("", &err), KRS_OK);
    assert_int_equal(krs_fault_arm_all("file.write=1,thread.start=2", &err), KRS_OK);
    assert_true(krs_fault_hit(KRS_FAULT_FILE_WRITE));
    assert_false(krs_fault_hit(KRS_FAULT_THREAD_START));
    assert_true(krs_fault_hit(KRS_FAULT_THREAD_START));
}

static void a_bad_part_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "file.lost=1",  "file.read", "file.read=",    "file.read=x",         "file.read=-1",
        "file.read=1 ", "=1",        "file.map=1,,x", "file.read=9999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_fault_arm_all(bad[i], &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, "KRS_FAULTS"));
    }
    krs_fault_arm(KRS_FAULT_FILE_MAP, 0);
}

static void a_broken_invariant_ends_the_process(void **state)
{
    (void)state;
    KRS_CHECK(1 + 1 == 2);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* its message is expected */
        (void)signal(SIGABRT, SIG_DFL);
        KRS_CHECK(1 + 1 == 3);
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_armed_point_fires_on_its_hit_alone),
        cmocka_unit_test(the_variable_arms_by_name),
        cmocka_unit_test(a_bad_part_is_named),
        cmocka_unit_test(a_broken_invariant_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
