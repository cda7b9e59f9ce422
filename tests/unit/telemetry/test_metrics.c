/* telemetry/metrics: sums over threads, bucket edges, and text a scraper can read. */
#include "support/cmocka.h"
#include "support/oom.h"
#include "telemetry/metrics.h"

#include <pthread.h>

#define N_THREADS 8
#define N_ROUNDS  20000

static krs_metrics *metrics_of_test(void)
{
    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    return metrics;
}

static void *count_much(void *arg)
{
    krs_metrics *metrics = arg;
    for (uint64_t i = 0; i < N_ROUNDS; i++) {
        krs_metrics_add(metrics, KRS_METRIC_TOKENS_ANSWER, 2);
        krs_metrics_observe(metrics, KRS_METRIC_STEP_ROWS, i % 8);
        krs_metrics_shift(metrics, KRS_METRIC_QUEUE_DEPTH, i % 2 ? -1 : 1);
    }
    return NULL;
}

static void many_threads_lose_no_count(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, metrics), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_TOKENS_ANSWER), 2 * N_THREADS * N_ROUNDS);
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_QUEUE_DEPTH), 0);
    krs_histogram rows;
    krs_metrics_read_histogram(metrics, KRS_METRIC_STEP_ROWS, &rows);
    assert_int_equal(rows.count, N_THREADS * N_ROUNDS);
    assert_int_equal(rows.sum, N_THREADS * (N_ROUNDS / 8) * 28);
    assert_int_equal(rows.counts[0], N_THREADS * N_ROUNDS / 8 * 2); /* 0 and 1 */
    assert_int_equal(rows.counts[3], N_THREADS * N_ROUNDS / 8 * 3); /* 5, 6, 7 */
    krs_metrics_free(metrics);
}

static void a_bound_is_inclusive_and_the_last_bucket_takes_the_rest(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    const krs_metric_info *info = krs_metric_info_of(KRS_METRIC_QUEUE_TIME);
    krs_histogram histogram;
    const uint64_t values[] = {0, info->lowest, info->lowest + 1, info->lowest * 2, UINT64_MAX / 4};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        krs_metrics_observe(metrics, KRS_METRIC_QUEUE_TIME, values[i]);
    }
    krs_metrics_read_histogram(metrics, KRS_METRIC_QUEUE_TIME, &histogram);
    assert_int_equal(histogram.bounds[0], info->lowest);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[1], 2);
    assert_int_equal(histogram.counts[histogram.n_buckets], 1);
    assert_int_equal(histogram.count, 5);
    krs_metrics_free(metrics);
}

static void a_convention_sets_its_own_bounds(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    const uint64_t ms = 1000000;
    const uint64_t values[] = {0, ms, ms + 1, 5 * ms, 10000 * ms, 10000 * ms + 1, UINT64_MAX / 4};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        krs_metrics_observe(metrics, KRS_METRIC_TTFT, values[i]);
    }
    krs_histogram histogram;
    krs_metrics_read_histogram(metrics, KRS_METRIC_TTFT, &histogram);
    assert_int_equal(histogram.n_buckets, 16);
    assert_int_equal(histogram.bounds[1], 5 * ms);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[1], 2);
    assert_int_equal(histogram.counts[15], 1);
    assert_int_equal(histogram.counts[16], 2);
    krs_metrics_free(metrics);
}

static void a_counter_may_take_a_total_from_elsewhere(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_CPU, 5);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_CPU, 9);
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_PROCESS_CPU), 9);
    krs_metrics_free(metrics);
}

static const char *colour_of(uint32_t i)
{
    static const char *const colours[] = {"red", "green"};
    return colours[i];
}

static void families_count_rows_of_somebody_elses_table(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    krs_metric_family family = {"krs_colours_total", "colour", "Colours seen.", colour_of, 2};
    uint32_t number = 99;
    assert_int_equal(krs_metrics_add_family(NULL, &family, &number), KRS_OK);
    krs_metrics_count(NULL, number, 0);
    for (uint32_t i = 0; i < KRS_METRIC_FAMILIES; i++) {
        assert_int_equal(krs_metrics_add_family(metrics, &family, &number), KRS_OK);
        assert_int_equal(number, i);
    }
    assert_int_equal(krs_metrics_add_family(metrics, &family, &number), KRS_ETOOLARGE);
    krs_metrics_count(metrics, 0, 1);
    krs_metrics_count(metrics, 0, 1);
    krs_metrics_count(metrics, 0, 2);                   /* no such value */
    krs_metrics_count(metrics, KRS_METRIC_FAMILIES, 0); /* no such family */
    assert_int_equal(krs_metrics_read_family(metrics, 0, 1), 2);
    assert_int_equal(krs_metrics_read_family(metrics, 0, 0), 0);
    assert_int_equal(krs_metrics_read_family(metrics, 0, 2), 0);
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_metrics_render_prometheus(metrics, &text), KRS_OK);
    assert_non_null(strstr(text.data, "# HELP krs_colours_total Colours seen.\n"
                                      "# TYPE krs_colours_total counter\n"
                                      "krs_colours_total{colour=\"red\"} 0\n"
                                      "krs_colours_total{colour=\"green\"} 2\n"));
    krs_buf_deinit(&text);
    krs_metrics_free(metrics);
}

/* Whose rules a name follows: ours, or a convention's. */
static bool is_our_name(krs_str name)
{
    return krs_str_starts_with(name, KRS_STR("krs_")) ||
           krs_str_starts_with(name, KRS_STR("gen_ai_")) ||
           krs_str_starts_with(name, KRS_STR("process_"));
}

static void quantiles_stay_within_their_bucket(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    krs_histogram histogram;
    krs_metrics_read_histogram(metrics, KRS_METRIC_STEP_ROWS, &histogram);
    assert_int_equal(krs_histogram_quantile(&histogram, 0.5), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        krs_metrics_observe(metrics, KRS_METRIC_STEP_ROWS, i);
    }
    krs_metrics_read_histogram(metrics, KRS_METRIC_STEP_ROWS, &histogram);
    assert_in_range(krs_histogram_quantile(&histogram, 0.5), 490, 510);
    assert_in_range(krs_histogram_quantile(&histogram, 0.99), 980, 1024);
    assert_in_range(krs_histogram_quantile(&histogram, 1.0), 1000, 1024);
    assert_in_range(krs_histogram_quantile(&histogram, -1.0), 0, 1);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_ROWS, UINT64_C(1) << 40);
    krs_metrics_read_histogram(metrics, KRS_METRIC_STEP_ROWS, &histogram);
    assert_int_equal(krs_histogram_quantile(&histogram, 1.0),
                     histogram.bounds[histogram.n_buckets - 1]);
    krs_metrics_free(metrics);
}

static void check_name(const krs_metric_info *info)
{
    const krs_str name = krs_str_of(info->name);
    const bool is_seconds = krs_str_ends_with(name, KRS_STR("_seconds")) ||
                            krs_str_ends_with(name, KRS_STR("_seconds_total"));
    assert_true(is_our_name(name));
    assert_int_equal(krs_str_ends_with(name, KRS_STR("_total")),
                     info->kind == KRS_METRIC_KIND_COUNTER);
    assert_int_equal(is_seconds, info->unit == KRS_METRIC_UNIT_NS);
}

static void check_buckets(const krs_metric_info *info)
{
    assert_int_equal(info->n_buckets > 0, info->kind == KRS_METRIC_KIND_HISTOGRAM);
    assert_true(info->n_buckets <= KRS_METRIC_MAX_BUCKETS);
    assert_true(info->n_buckets == 0 || info->bounds || info->lowest > 0);
    for (uint32_t b = 1; info->bounds && b < info->n_buckets; b++) {
        assert_true(info->bounds[b] > info->bounds[b - 1]);
    }
}

static void the_table_keeps_its_own_rules(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KRS_METRIC_COUNT; i++) {
        const krs_metric_info *info = krs_metric_info_of((krs_metric)i);
        const krs_metric_info *before = i ? krs_metric_info_of((krs_metric)(i - 1)) : NULL;
        const bool is_first = !before || strcmp(before->name, info->name) != 0;
        check_name(info);
        check_buckets(info);
        assert_int_equal(info->help[0] != '\0', is_first);
        for (unsigned j = 0; is_first && i > 0 && j < i - 1; j++) { /* names stand together */
            assert_string_not_equal(krs_metric_info_of((krs_metric)j)->name, info->name);
        }
    }
}

static void has_line(const krs_buf *text, const char *line)
{
    if (!strstr(text->data, line)) {
        print_error("missing: %s\n", line);
    }
    assert_non_null(strstr(text->data, line));
}

static void renders_what_a_scraper_reads(void **state)
{
    (void)state;
    krs_metrics *metrics = metrics_of_test();
    krs_metrics_add(metrics, KRS_METRIC_REQUESTS_LENGTH, 3);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_USED, 17);
    krs_metrics_set(metrics, KRS_METRIC_UPTIME, -1500000000);
    krs_metrics_set(metrics, KRS_METRIC_PRESSURE, 75);
    krs_metrics_observe(metrics, KRS_METRIC_TTFT, 1500000);
    krs_metrics_observe(metrics, KRS_METRIC_TTFT, 900000);
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_metrics_render_prometheus(metrics, &text), KRS_OK);
    has_line(&text, "# TYPE krs_requests_finished_total counter\n"
                    "krs_requests_finished_total{finish=\"stop\"} 0\n"
                    "krs_requests_finished_total{finish=\"length\"} 3\n");
    has_line(&text, "\nkrs_kv_blocks_used 17\n");
    has_line(&text, "\nkrs_uptime_seconds -1.500000000\n");
    has_line(&text, "\nkrs_pressure_ratio 0.075\n");
    has_line(&text, "# TYPE gen_ai_server_time_to_first_token_seconds histogram\n"
                    "gen_ai_server_time_to_first_token_seconds_bucket{le=\"0.001000000\"} 1\n"
                    "gen_ai_server_time_to_first_token_seconds_bucket{le=\"0.005000000\"} 2\n");
    has_line(&text, "gen_ai_server_time_to_first_token_seconds_bucket{le=\"+Inf\"} 2\n"
                    "gen_ai_server_time_to_first_token_seconds_sum 0.002400000\n"
                    "gen_ai_server_time_to_first_token_seconds_count 2\n");
    krs_buf_deinit(&text);
    krs_buf_init(&text, NULL, 100);
    assert_int_equal(krs_metrics_render_prometheus(metrics, &text), KRS_ETOOLARGE);
    krs_buf_deinit(&text);
    krs_metrics_free(metrics);
}

static void null_counts_nothing_and_renders_zeros(void **state)
{
    (void)state;
    krs_metrics_add(NULL, KRS_METRIC_STEPS, 1);
    krs_metrics_set(NULL, KRS_METRIC_QUEUE_DEPTH, 1);
    krs_metrics_shift(NULL, KRS_METRIC_QUEUE_DEPTH, 1);
    krs_metrics_observe(NULL, KRS_METRIC_TTFT, 1);
    assert_int_equal(krs_metrics_read(NULL, KRS_METRIC_STEPS), 0);
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_metrics_render_prometheus(NULL, &text), KRS_OK);
    has_line(&text, "\nkrs_steps_total 0\n");
    krs_buf_deinit(&text);
    krs_metrics_free(NULL);
}

static krs_status make_and_free(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_metrics *metrics;
    const krs_status status = krs_metrics_new(alloc, &metrics);
    krs_metrics_free(metrics);
    return status;
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    assert_int_equal(krs_oom_sweep(make_and_free, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_lose_no_count),
        cmocka_unit_test(a_bound_is_inclusive_and_the_last_bucket_takes_the_rest),
        cmocka_unit_test(families_count_rows_of_somebody_elses_table),
        cmocka_unit_test(a_convention_sets_its_own_bounds),
        cmocka_unit_test(a_counter_may_take_a_total_from_elsewhere),
        cmocka_unit_test(quantiles_stay_within_their_bucket),
        cmocka_unit_test(the_table_keeps_its_own_rules),
        cmocka_unit_test(renders_what_a_scraper_reads),
        cmocka_unit_test(null_counts_nothing_and_renders_zeros),
        cmocka_unit_test(no_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
