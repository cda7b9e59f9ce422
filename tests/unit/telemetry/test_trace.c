/* telemetry/trace: which headers are a trace context, what a child keeps, what is written. */
#include "support/cmocka.h"
#include "telemetry/trace.h"

/* The example of the standard. */
#define EXAMPLE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void the_standards_example_is_read_and_written(void **state)
{
    (void)state;
    krs_trace trace;
    char text[KRS_TRACEPARENT_BYTES];
    assert_true(krs_trace_parse(KRS_STR(EXAMPLE), &trace));
    assert_true(trace.is_set);
    assert_int_equal(trace.trace_id[0], 0x0a);
    assert_int_equal(trace.trace_id[15], 0x9c);
    assert_int_equal(trace.span_id[7], 0x31);
    assert_int_equal(trace.flags, 1);
    krs_trace_write(&trace, text);
    assert_string_equal(text, EXAMPLE);
}

static void what_is_no_context_is_dropped(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",    /* short */
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",  /* long, version 00 */
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", /* more, version 00 */
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",  /* more without a dash */
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",   /* forbidden version */
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",   /* upper case */
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",   /* no trace */
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",   /* no span */
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        krs_trace trace = {.is_set = true};
        if (krs_trace_parse(krs_str_of(bad[i]), &trace)) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_false(trace.is_set);
    }
}

static void every_single_wrong_byte_is_noticed_or_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(EXAMPLE) - 1; i++) {
        char text[] = EXAMPLE;
        text[i] = '!';
        krs_trace trace;
        assert_false(krs_trace_parse(krs_str_of(text), &trace));
    }
}

static void a_later_version_is_read_as_far_as_we_know(void **state)
{
    (void)state;
    krs_trace trace;
    assert_true(krs_trace_parse(
        KRS_STR("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-what-comes"), &trace));
    assert_int_equal(trace.flags, 9);
    char text[KRS_TRACEPARENT_BYTES];
    krs_trace_write(&trace, text);
    assert_int_equal(strncmp(text, "00-", 3), 0); /* we speak version 00 */
}

static void a_child_keeps_the_trace_and_gets_a_span(void **state)
{
    (void)state;
    krs_trace parent;
    krs_trace child;
    uint8_t random[24];
    memset(random, 0x5a, sizeof(random));
    assert_true(krs_trace_parse(KRS_STR(EXAMPLE), &parent));
    krs_trace_child(&parent, random, &child);
    assert_memory_equal(child.trace_id, parent.trace_id, 16);
    assert_int_equal(child.span_id[0], 0x5a);
    assert_int_equal(child.flags, 1);
    const krs_trace unset = {.is_set = false};
    krs_trace_child(&unset, random, &child);
    assert_true(child.is_set);
    assert_int_equal(child.trace_id[0], 0x5a);
    assert_int_equal(child.flags, 0);
    krs_trace_child(NULL, random, &child);
    assert_true(child.is_set);
}

static void ids_are_never_all_zeros(void **state)
{
    (void)state;
    const uint8_t zeros[24] = {0};
    krs_trace child;
    char text[KRS_TRACEPARENT_BYTES];
    krs_trace again;
    krs_trace_child(NULL, zeros, &child);
    krs_trace_write(&child, text);
    assert_true(krs_trace_parse(krs_str_of(text), &again));
    krs_trace_write(&(krs_trace){.is_set = false}, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_example_is_read_and_written),
        cmocka_unit_test(what_is_no_context_is_dropped),
        cmocka_unit_test(every_single_wrong_byte_is_noticed_or_harmless),
        cmocka_unit_test(a_later_version_is_read_as_far_as_we_know),
        cmocka_unit_test(a_child_keeps_the_trace_and_gets_a_span),
        cmocka_unit_test(ids_are_never_all_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
