/* service/breaker: when it opens, what it lets through, when it closes; time is an argument. */
#include "service/breaker.h"

#include "support/cmocka.h"

#define S UINT64_C(1000000000)

static uint64_t retry_ns;

static void fail_times(krs_breaker *b, int n, uint64_t now_ns)
{
    for (int i = 0; i < n; i++) {
        (void)krs_breaker_leave(b, KRS_BREAKER_BAD, now_ns);
    }
}

static void failures_in_a_row_open_it(void **state)
{
    (void)state;
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    fail_times(&b, KRS_BREAKER_MAX_CONSECUTIVE - 1, S);
    assert_false(krs_breaker_leave(&b, KRS_BREAKER_GOOD, S)); /* begins to count anew */
    fail_times(&b, KRS_BREAKER_MAX_CONSECUTIVE - 1, S);
    assert_true(krs_breaker_enter(&b, S, &retry_ns));
    assert_true(krs_breaker_leave(&b, KRS_BREAKER_BAD, S));
    assert_int_equal(b.state, KRS_BREAKER_OPEN);
    assert_false(krs_breaker_enter(&b, S + 1, &retry_ns));
    assert_int_equal(retry_ns, KRS_BREAKER_OPEN_NS - 1);
}

static void a_bad_rate_opens_it_without_a_row(void **state)
{
    (void)state;
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    int n = 0;
    while (b.state == KRS_BREAKER_CLOSED && n < 100) {
        (void)krs_breaker_leave(&b, n % 2 ? KRS_BREAKER_BAD : KRS_BREAKER_GOOD, S);
        n++;
    }
    assert_int_equal(n, KRS_BREAKER_MIN_CALLS);
    b = (krs_breaker){.state = KRS_BREAKER_CLOSED};
    for (n = 0; n < 1000;
         n++) { /* the same rate, but a call every 20 s: never enough in the window */
        (void)krs_breaker_leave(&b, n % 2 ? KRS_BREAKER_BAD : KRS_BREAKER_GOOD,
                                (uint64_t)n * 20 * S);
    }
    assert_int_equal(b.state, KRS_BREAKER_CLOSED);
}

static void callers_mistakes_never_count(void **state)
{
    (void)state;
    static const krs_status harmless[] = {
        KRS_EINVAL, KRS_ENOENT, KRS_EFORMAT,   KRS_EUNSUPPORTED, KRS_ETOOLARGE,
        KRS_EAUTH,  KRS_EBUSY,  KRS_EDEADLINE, KRS_ECANCELLED,   KRS_ENOTLOADED};
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    for (int i = 0; i < 1000; i++) {
        const krs_status status = harmless[(size_t)i % (sizeof(harmless) / sizeof(harmless[0]))];
        assert_int_equal(krs_breaker_outcome_of(status), KRS_BREAKER_NOTHING);
        assert_false(krs_breaker_leave(&b, krs_breaker_outcome_of(status), S));
    }
    assert_int_equal(b.state, KRS_BREAKER_CLOSED);
    assert_int_equal(krs_breaker_outcome_of(KRS_EDEVICE), KRS_BREAKER_BAD);
    assert_int_equal(krs_breaker_outcome_of(KRS_EINTERNAL), KRS_BREAKER_BAD);
    assert_int_equal(krs_breaker_outcome_of(KRS_OK), KRS_BREAKER_GOOD);
}

static void half_open_lets_one_through_at_a_time(void **state)
{
    (void)state;
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    fail_times(&b, KRS_BREAKER_MAX_CONSECUTIVE, S);
    const uint64_t later = S + KRS_BREAKER_OPEN_NS;
    assert_true(krs_breaker_look(&b, later, &retry_ns)); /* looking takes nothing */
    assert_true(krs_breaker_enter(&b, later, &retry_ns));
    assert_int_equal(b.state, KRS_BREAKER_HALF_OPEN);
    assert_false(krs_breaker_enter(&b, later, &retry_ns));
    assert_true(retry_ns > 0);
    assert_false(krs_breaker_leave(&b, KRS_BREAKER_NOTHING, later)); /* cancelled: try another */
    for (int i = 1; i <= KRS_BREAKER_GOOD_PROBES; i++) {
        assert_true(krs_breaker_enter(&b, later, &retry_ns));
        assert_int_equal(krs_breaker_leave(&b, KRS_BREAKER_GOOD, later),
                         i == KRS_BREAKER_GOOD_PROBES);
    }
    assert_int_equal(b.state, KRS_BREAKER_CLOSED);
}

static void a_bad_probe_opens_it_for_longer_up_to_a_bound(void **state)
{
    (void)state;
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    fail_times(&b, KRS_BREAKER_MAX_CONSECUTIVE, 0);
    uint64_t now_ns = 0;
    uint64_t open_ns = KRS_BREAKER_OPEN_NS;
    for (int i = 0; i < 10; i++) {
        assert_false(krs_breaker_enter(&b, now_ns + open_ns - 1, &retry_ns));
        now_ns += open_ns;
        assert_true(krs_breaker_enter(&b, now_ns, &retry_ns));
        assert_true(krs_breaker_leave(&b, KRS_BREAKER_BAD, now_ns));
        open_ns = 2 * open_ns < KRS_BREAKER_MAX_OPEN_NS ? 2 * open_ns : KRS_BREAKER_MAX_OPEN_NS;
    }
    assert_int_equal(open_ns, KRS_BREAKER_MAX_OPEN_NS);
}

static void calls_from_before_it_opened_change_nothing(void **state)
{
    (void)state;
    krs_breaker b = {.state = KRS_BREAKER_CLOSED};
    fail_times(&b, KRS_BREAKER_MAX_CONSECUTIVE, S);
    assert_false(krs_breaker_leave(&b, KRS_BREAKER_GOOD, S));
    assert_false(krs_breaker_leave(&b, KRS_BREAKER_BAD, 5 * S));
    assert_int_equal(b.state, KRS_BREAKER_OPEN);
    assert_true(krs_breaker_look(&b, S + KRS_BREAKER_OPEN_NS, &retry_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it),
        cmocka_unit_test(a_bad_rate_opens_it_without_a_row),
        cmocka_unit_test(callers_mistakes_never_count),
        cmocka_unit_test(half_open_lets_one_through_at_a_time),
        cmocka_unit_test(a_bad_probe_opens_it_for_longer_up_to_a_bound),
        cmocka_unit_test(calls_from_before_it_opened_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
