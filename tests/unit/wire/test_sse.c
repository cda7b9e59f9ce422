/* wire/sse: framing that a payload cannot break out of. */
#include "support/cmocka.h"
#include "wire/sse.h"

static void check(const char *name, const char *data, const char *want)
{
    krs_buf out;
    krs_buf_init(&out, NULL, 1024);
    assert_int_equal(krs_sse_append(&out, name, krs_str_of(data)), KRS_OK);
    assert_string_equal(out.data, want);
    krs_buf_deinit(&out);
}

static void each_line_of_the_data_is_a_data_line(void **state)
{
    (void)state;
    check(NULL, "{}", "data: {}\n\n");
    check("", "[DONE]", "data: [DONE]\n\n");
    check("error", "x", "event: error\ndata: x\n\n");
    check(NULL, "", "data: \n\n");
    check(NULL, "a\nb", "data: a\ndata: b\n\n");
    check(NULL, "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n");
}

static void a_payload_cannot_end_the_event_early(void **state)
{
    (void)state;
    check(NULL, "a\n\nevent: evil\ndata: b",
          "data: a\ndata: \ndata: event: evil\ndata: data: b\n\n");
}

static void a_line_end_in_the_name_is_refused(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 64);
    assert_int_equal(krs_sse_append(&out, "a\nb", KRS_STR("x")), KRS_EINVAL);
    assert_int_equal(krs_sse_append_comment(&out, KRS_STR("a\rb")), KRS_EINVAL);
    assert_int_equal(out.len, 0);
    assert_int_equal(krs_sse_append_comment(&out, KRS_STR("ping")), KRS_OK);
    assert_string_equal(out.data, ": ping\n");
    krs_buf_deinit(&out);
}

static void a_full_buffer_keeps_what_it_had(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 20);
    assert_int_equal(krs_sse_append(&out, NULL, KRS_STR("1234")), KRS_OK); /* 12 bytes */
    assert_int_equal(krs_sse_append(&out, NULL, KRS_STR("1234")), KRS_ETOOLARGE);
    assert_string_equal(out.data, "data: 1234\n\n");
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_of_the_data_is_a_data_line),
        cmocka_unit_test(a_payload_cannot_end_the_event_early),
        cmocka_unit_test(a_line_end_in_the_name_is_refused),
        cmocka_unit_test(a_full_buffer_keeps_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
