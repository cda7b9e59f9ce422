/* service/bucket, service/window: rates and recent values, with time as an argument. */
#include "os/thread.h"
#include "service/bucket.h"
#include "service/window.h"
#include "support/cmocka.h"

#define S         UINT64_C(1000000000)
#define MS        UINT64_C(1000000)
#define N_THREADS 4
#define N_TAKES   5000

static uint64_t retry_ns;

static void a_burst_passes_and_then_the_rate(void **state)
{
    (void)state;
    krs_bucket b = {0};
    const krs_bucket_rate rate = {60, 5}; /* one a second, five at once */
    for (int i = 0; i < 5; i++) {
        assert_true(krs_bucket_take(&b, rate, 1, 100 * S, &retry_ns));
    }
    assert_false(krs_bucket_take(&b, rate, 1, 100 * S, &retry_ns));
    assert_int_equal(retry_ns, S);
    assert_false(krs_bucket_take(&b, rate, 2, 101 * S, &retry_ns));
    assert_int_equal(retry_ns, S);
    assert_true(krs_bucket_take(&b, rate, 1, 101 * S, &retry_ns));
    assert_false(krs_bucket_take(&b, rate, 1, 101 * S, &retry_ns));
    for (int i = 0; i < 5; i++) { /* a long rest fills it, and no further */
        assert_true(krs_bucket_take(&b, rate, 1, 5000 * S, &retry_ns));
    }
    assert_false(krs_bucket_take(&b, rate, 1, 5000 * S, &retry_ns));
}

static void retry_after_is_when_it_passes(void **state)
{
    (void)state;
    krs_bucket b = {0};
    const krs_bucket_rate rate = {7, 3};
    uint64_t now_ns = S;
    for (int i = 0; i < 200; i++) {
        if (!krs_bucket_take(&b, rate, 1, now_ns, &retry_ns)) {
            uint64_t ignored;
            assert_false(krs_bucket_take(&b, rate, 1, now_ns + retry_ns - 1, &ignored));
            now_ns += retry_ns;
            assert_true(krs_bucket_take(&b, rate, 1, now_ns, &ignored));
        }
    }
}

static void a_charge_may_go_into_debt_which_is_bounded(void **state)
{
    (void)state;
    krs_bucket b = {0};
    const krs_bucket_rate rate = {600, 600}; /* ten a second */
    assert_true(krs_bucket_has_any(&b, rate, S, &retry_ns));
    krs_bucket_charge(&b, rate, 700, S);
    assert_false(krs_bucket_has_any(&b, rate, S, &retry_ns));
    assert_int_equal(retry_ns, 10 * S + 100 * MS); /* a hundred of debt, and one to have */
    assert_true(krs_bucket_has_any(&b, rate, S + retry_ns, &retry_ns));
    krs_bucket_charge(&b, rate, UINT32_MAX, 50 * S);
    assert_false(krs_bucket_has_any(&b, rate, 50 * S, &retry_ns));
    assert_in_range(retry_ns, KRS_BUCKET_MAX_DEBT_NS, KRS_BUCKET_MAX_DEBT_NS + S);
}

/* A reload may take a large burst away that has been used up. */
static void a_smaller_burst_leaves_no_more_than_the_bounded_debt(void **state)
{
    (void)state;
    const krs_bucket_rate large = {1000, 1000000}; /* a thousand minutes' worth */
    const krs_bucket_rate small = {1000, 1000};
    krs_bucket bucket = {0};
    krs_bucket_charge(&bucket, large, 1000000, S);
    assert_false(krs_bucket_has_any(&bucket, small, S, &retry_ns));
    assert_in_range(retry_ns, 1, KRS_BUCKET_MAX_DEBT_NS + S);
    assert_true(krs_bucket_has_any(&bucket, small, S + retry_ns, &retry_ns));
    krs_bucket calls = {0};
    assert_true(krs_bucket_take(&calls, large, 1000000, S, &retry_ns));
    assert_false(krs_bucket_take(&calls, small, 1, S, &retry_ns));
    assert_true(krs_bucket_take(&calls, small, 1, S + retry_ns, &retry_ns));
}

static void no_rate_is_no_limit_and_extremes_do_not_wrap(void **state)
{
    (void)state;
    krs_bucket b = {0};
    assert_true(krs_bucket_take(&b, (krs_bucket_rate){0, 0}, UINT32_MAX, S, &retry_ns));
    krs_bucket_charge(&b, (krs_bucket_rate){0, 0}, UINT32_MAX, S);
    const krs_bucket_rate fast = {KRS_BUCKET_MAX_PER_MINUTE, UINT32_MAX};
    const krs_bucket_rate slow = {1, UINT32_MAX};
    assert_true(krs_bucket_take(&b, fast, UINT32_MAX, S, &retry_ns));
    b = (krs_bucket){0};
    for (int i = 0; i < 10; i++) {
        (void)krs_bucket_take(&b, slow, UINT32_MAX, S, &retry_ns);
        krs_bucket_charge(&b, slow, UINT32_MAX, S);
    }
    assert_false(krs_bucket_take(&b, slow, UINT32_MAX, S, &retry_ns));
}

typedef struct taker {
    krs_bucket *bucket;
    _Atomic uint32_t *n_taken;
} taker;

static void take_many(void *ctx)
{
    const taker *t = ctx;
    uint64_t ignored;
    for (int i = 0; i < N_TAKES; i++) {
        if (krs_bucket_take(t->bucket, (krs_bucket_rate){60, N_TAKES}, 1, S, &ignored)) {
            atomic_fetch_add(t->n_taken, 1);
        }
    }
}

static void threads_take_no_more_than_there_is(void **state)
{
    (void)state;
    krs_bucket b = {0};
    _Atomic uint32_t n_taken = 0;
    taker t = {&b, &n_taken};
    krs_os_thread *threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(krs_os_thread_start("taker", take_many, &t, &threads[i], NULL), KRS_OK);
    }
    for (int i = 0; i < N_THREADS; i++) {
        krs_os_thread_join(threads[i]);
    }
    assert_int_equal(atomic_load(&n_taken), N_TAKES);
}

static void a_window_forgets_what_is_old(void **state)
{
    (void)state;
    static krs_window w;
    assert_int_equal(krs_window_quantile(&w, 0.95, 5 * S, S), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        krs_window_add(&w, i * MS, 10 * S);
    }
    assert_in_range(krs_window_quantile(&w, 0.95, 5 * S, 11 * S), 95 * MS, 97 * MS);
    assert_in_range(krs_window_quantile(&w, 0.0, 5 * S, 11 * S), MS, MS + 2000);
    assert_in_range(krs_window_quantile(&w, 1.0, 5 * S, 11 * S), 100 * MS, 100 * MS + 2000);
    krs_window_add(&w, 7 * MS, 14 * S);
    assert_in_range(krs_window_quantile(&w, 0.95, 5 * S, 16 * S), 7 * MS, 7 * MS + 2000);
    assert_int_equal(krs_window_quantile(&w, 0.95, 5 * S, 30 * S), 0);
    krs_window_add(&w, UINT64_MAX, 40 * S);
    assert_true(krs_window_quantile(&w, 0.95, 5 * S, 40 * S) >= 4000 * S);
}

static void a_window_knows_its_rate_also_when_it_is_full(void **state)
{
    (void)state;
    static krs_window w;
    assert_true(krs_window_rate(&w, 5 * S, S) == 0.0);
    for (uint64_t i = 0; i < 10; i++) {
        krs_window_add(&w, MS, 20 * S + i * 100 * MS);
    }
    const double few = krs_window_rate(&w, 5 * S, 21 * S);
    assert_true(few > 1.9 && few < 2.1); /* ten in five seconds */
    for (uint64_t i = 0; i < 2000; i++) {
        krs_window_add(&w, MS, 30 * S + i * MS); /* a thousand a second: the ring holds 256 */
    }
    const double many = krs_window_rate(&w, 5 * S, 32 * S);
    assert_true(many > 900 && many < 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_then_the_rate),
        cmocka_unit_test(retry_after_is_when_it_passes),
        cmocka_unit_test(a_charge_may_go_into_debt_which_is_bounded),
        cmocka_unit_test(a_smaller_burst_leaves_no_more_than_the_bounded_debt),
        cmocka_unit_test(no_rate_is_no_limit_and_extremes_do_not_wrap),
        cmocka_unit_test(threads_take_no_more_than_there_is),
        cmocka_unit_test(a_window_forgets_what_is_old),
        cmocka_unit_test(a_window_knows_its_rate_also_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
