/* service/governor, service/pressure: the limit settles, does not wind up, recovers, over a simulated plant.
 *
 * The plant: with n answers in flight the first token takes base + slope * (n beyond the free places), as a
 * queue in front of a batch does; it is measured two seconds late, as the windows of admission measure it. */
#include "service/governor.h"

#include "service/pressure.h"
#include "support/cmocka.h"

#include <math.h>

#define MS       UINT64_C(1000000)
#define S        UINT64_C(1000000000)
#define LATE     10 /* samples of 200 ms */
#define N_SERVED 16 /* places without a queue */

typedef struct plant {
    krs_governor governor;
    double base_ms;
    double slope_ms; /* a place */
    uint32_t demand; /* answers that want in */
    uint64_t late[LATE];
    uint32_t step;
    uint64_t now_ns;
} plant;

static plant plant_of(double base_ms, double slope_ms, uint32_t demand)
{
    const krs_governor_options options = KRS_GOVERNOR_OPTIONS_INIT;
    plant p = {.base_ms = base_ms, .slope_ms = slope_ms, .demand = demand, .now_ns = S};
    assert_int_equal(krs_governor_check(&options, NULL), KRS_OK);
    krs_governor_init(&p.governor, &options, p.now_ns);
    return p;
}

static double ttft_ms_of(const plant *p)
{
    const uint32_t n = p->demand < p->governor.limit ? p->demand : p->governor.limit;
    return p->base_ms + (n > N_SERVED ? p->slope_ms * (double)(n - N_SERVED) : 0.0);
}

/* Let seconds pass; the lowest and highest limit seen on the way. */
static void run(plant *p, double seconds, uint32_t *lowest, uint32_t *highest)
{
    *lowest = UINT32_MAX;
    *highest = 0;
    for (int i = 0; i < (int)(seconds * 5); i++) {
        const uint64_t seen_ns = p->late[p->step % LATE];
        p->late[p->step % LATE] = p->demand ? (uint64_t)(ttft_ms_of(p) * (double)MS) : 0;
        p->step++;
        p->now_ns += 200 * MS;
        const krs_governor_sample sample = {.ttft_ns = seen_ns};
        const uint32_t limit = krs_governor_step(&p->governor, &sample, p->now_ns);
        *lowest = limit < *lowest ? limit : *lowest;
        *highest = limit > *highest ? limit : *highest;
    }
}

static void it_settles_where_the_objective_is_met(void **state)
{
    (void)state;
    /* 550 ms is met at 16 + 450 / slope places. */
    static const double slopes[] = {9, 12, 18, 25, 40, 80, 125};
    for (size_t i = 0; i < sizeof(slopes) / sizeof(slopes[0]); i++) {
        plant p = plant_of(100, slopes[i], 200);
        uint32_t low;
        uint32_t high;
        run(&p, 240, &low, &high);
        run(&p, 60, &low, &high);
        const double wanted = N_SERVED + 450.0 / slopes[i];
        if (fabs(low - wanted) > 0.1 * wanted || fabs(high - wanted) > 0.1 * wanted) {
            fail_msg("slope %.0f: limit %u..%u, want about %.0f", slopes[i], low, high, wanted);
        }
    }
}

static void it_moves_gently(void **state)
{
    (void)state;
    plant p = plant_of(540, 0, 200); /* 10 ms from the objective, either way */
    uint32_t low;
    uint32_t high;
    run(&p, 60, &low, &high);
    assert_int_equal(low, 80);
    p.base_ms = 560;
    run(&p, 5, &low, &high);
    assert_true(low >= 78);
    p = plant_of(50000, 0, 200); /* hopelessly late: still 4 s from end to end */
    double given_up = 0;
    for (int second = 0; second < 10; second++) {
        run(&p, 1, &low, &high);
        assert_true(p.governor.given_up - given_up <= 0.25 + 1e-9);
        given_up = p.governor.given_up;
    }
    assert_int_equal(p.governor.limit, 16);
}

static void an_overload_of_any_length_is_left_as_fast(void **state)
{
    (void)state;
    static const double lengths_s[] = {60, 600, 6000};
    double first_s = 0;
    for (size_t i = 0; i < sizeof(lengths_s) / sizeof(lengths_s[0]); i++) {
        plant p = plant_of(9000, 0, 200);
        uint32_t low;
        uint32_t high;
        run(&p, lengths_s[i], &low, &high);
        assert_int_equal(p.governor.limit, 16);
        p.base_ms = 100; /* what was wrong is over */
        double recovery_s = 0;
        while (p.governor.limit < 80 && recovery_s < 200) {
            run(&p, 1, &low, &high);
            recovery_s += 1;
        }
        assert_true(recovery_s < 90);
        first_s = i == 0 ? recovery_s : first_s;
        assert_true(recovery_s == first_s); /* no windup: the length leaves no trace */
    }
}

static void nobody_waiting_opens_it_fully(void **state)
{
    (void)state;
    plant p = plant_of(2000, 10, 200);
    uint32_t low;
    uint32_t high;
    run(&p, 200, &low, &high);
    assert_int_equal(p.governor.limit, 16);
    p.demand = 0;
    run(&p, 90, &low, &high);
    assert_int_equal(p.governor.limit, 80);
}

static void it_stays_in_bounds_whatever_is_measured(void **state)
{
    (void)state;
    krs_governor_options options = KRS_GOVERNOR_OPTIONS_INIT;
    options.kp = 50;
    options.kd = 100;
    options.ki = 0;
    krs_governor g;
    krs_governor_init(&g, &options, 0);
    uint64_t x = 88172645463325252u; /* the seed of this walk */
    uint64_t now_ns = 0;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        now_ns += x % (3 * S);
        const krs_governor_sample sample = {x % (10 * S), i % 7 ? 0 : UINT64_MAX};
        const uint32_t limit = krs_governor_step(&g, &sample, now_ns);
        assert_in_range(limit, 16, 80);
    }
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_governor_options o = KRS_GOVERNOR_OPTIONS_INIT;
    o.min_limit = 0;
    assert_int_equal(krs_governor_check(&o, &err), KRS_EINVAL);
    assert_string_equal(err.field, "admission-min");
    o.min_limit = 81;
    assert_int_equal(krs_governor_check(&o, &err), KRS_EINVAL);
    o = (krs_governor_options)KRS_GOVERNOR_OPTIONS_INIT;
    o.slo_ttft_ns = 0;
    assert_int_equal(krs_governor_check(&o, &err), KRS_EINVAL);
    assert_string_equal(err.field, "slo-ttft-ms");
    o = (krs_governor_options)KRS_GOVERNOR_OPTIONS_INIT;
    o.ki = NAN;
    assert_int_equal(krs_governor_check(&o, &err), KRS_EINVAL);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void pressure_is_the_worst_of_its_parts(void **state)
{
    (void)state;
    krs_pressure_input in = {.runtime = {.max_waiting = 8,
                                         .max_waiting_tokens = 1000,
                                         .n_kv_blocks = 100,
                                         .n_kv_blocks_free = 100},
                             .max_in_flight = 10};
    assert_true(is_near(krs_pressure_of(&in).value, 0));
    in.runtime.n_waiting = 2;
    in.runtime.n_waiting_tokens = 500;
    assert_true(is_near(krs_pressure_of(&in).value, 0.5)); /* the fuller bound */
    in.n_in_flight = 6;
    assert_true(is_near(krs_pressure_of(&in).value, 0.6));
    in.ttft_ns = 550 * MS;
    assert_true(is_near(krs_pressure_of(&in).latency, 0)); /* no objective */
    in.slo_ttft_ns = 550 * MS;
    assert_true(is_near(krs_pressure_of(&in).latency, 0.5));
    in.wait_ns = 880 * MS;
    assert_true(is_near(krs_pressure_of(&in).value, 0.8));
    in.runtime.n_kv_blocks_free = 1;
    assert_true(is_near(krs_pressure_of(&in).value, 0.95));
    in.runtime.n_waiting = 0; /* full of answers that run: nobody is held up */
    assert_true(is_near(krs_pressure_of(&in).kv, 0.475));
    in.n_in_flight = 99;
    in.ttft_ns = UINT64_MAX;
    assert_true(is_near(krs_pressure_of(&in).value, 1));
    assert_true(is_near(krs_pressure_of(&(krs_pressure_input){.n_in_flight = 0}).value, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_settles_where_the_objective_is_met),
        cmocka_unit_test(it_moves_gently),
        cmocka_unit_test(an_overload_of_any_length_is_left_as_fast),
        cmocka_unit_test(nobody_waiting_opens_it_fully),
        cmocka_unit_test(it_stays_in_bounds_whatever_is_measured),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(pressure_is_the_worst_of_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
