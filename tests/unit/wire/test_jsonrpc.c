/* unit/wire/test_jsonrpc.c - messages are cut where they end, however the bytes arrive; what is too long still
 * has a name; requests are told from noise. */
#include "support/cmocka.h"
#include "wire/jsonrpc.h"

#include <stdlib.h>

#define LIMIT 1024

typedef struct fixture {
    krs_framer framer;
    krs_str input;
    krs_frame frame;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    krs_framer_init(&f->framer, LIMIT, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    krs_framer_deinit(&f->framer);
    free(f);
    return 0;
}

static bool next(fixture *f)
{
    json_decref(f->frame.id);
    f->frame.id = NULL;
    return krs_framer_next(&f->framer, &f->input, &f->frame);
}

static void expect_message(fixture *f, const char *text)
{
    assert_true(next(f));
    assert_int_equal(f->frame.status, KRS_OK);
    assert_true(krs_str_equal(f->frame.message, krs_str_of(text)));
}

static void one_line_is_one_message(void **state)
{
    fixture *f = *state;
    f->input = KRS_STR("{\"a\":1}\n\r\n  \n{\"b\":2}\r\nrest");
    expect_message(f, "{\"a\":1}");
    expect_message(f, "{\"b\":2}\r");
    assert_false(next(f));
    f->input = KRS_STR(" of it\n");
    expect_message(f, "rest of it");
}

static void bytes_may_come_one_by_one(void **state)
{
    fixture *f = *state;
    const krs_str text = KRS_STR("{\"x\":\"\xC3\xA9\"}\n");
    for (size_t i = 0; i < text.len; i++) {
        f->input = (krs_str){text.ptr + i, 1};
        assert_int_equal(next(f), i + 1 == text.len);
    }
    assert_true(krs_str_equal(f->frame.message, (krs_str){text.ptr, text.len - 1}));
}

/* `front`, as many x as make n bytes with what stands around them, `back`, and the line's end. */
static char *long_line(const char *front, size_t n, const char *back, krs_str *out)
{
    char *line = malloc(n + 2);
    assert_non_null(line);
    memset(line, 'x', n);
    memcpy(line, front, strlen(front));
    memcpy(line + n - strlen(back), back, strlen(back));
    line[n] = '\n';
    line[n + 1] = '\0';
    *out = (krs_str){line, n + 1};
    return line;
}

static void the_limit_is_inside_and_one_more_is_not(void **state)
{
    fixture *f = *state;
    for (size_t n = LIMIT; n <= LIMIT + 1; n++) {
        char *line = long_line("{", n, "}", &f->input);
        assert_true(next(f));
        assert_int_equal(f->frame.status, n > LIMIT ? KRS_ETOOLARGE : KRS_OK);
        assert_int_equal(f->frame.message.len, n > LIMIT ? 0 : n);
        free(line);
    }
}

/* Whatever the pieces: the id is found, and the next message is whole. */
static void expect_id(fixture *f, const char *front, const char *back, size_t piece, const char *id)
{
    krs_str line;
    char *bytes = long_line(front, 5 * LIMIT, back, &line);
    bool is_done = false;
    for (size_t at = 0; at < line.len; at += piece) {
        const size_t left = line.len - at;
        f->input = (krs_str){line.ptr + at, left < piece ? left : piece};
        assert_false(is_done);
        is_done = next(f);
    }
    assert_true(is_done);
    assert_int_equal(f->frame.status, KRS_ETOOLARGE);
    char *found = f->frame.id ? json_dumps(f->frame.id, JSON_ENCODE_ANY) : NULL;
    if (id) {
        assert_non_null(found);
        assert_string_equal(found, id);
    } else {
        assert_null(found);
    }
    free(found);
    free(bytes);
    f->input = KRS_STR("{}\n");
    expect_message(f, "{}");
}

static void the_id_of_what_is_too_long_is_found(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *front;
        const char *back;
        const char *id;
    } cases[] = {
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\"t\":\"", "\"},\"id\":42}", "42"},
        {"{\"params\":{\"t\":\"", "\"},\"id\":\"a\\\"b\"}", "\"a\\\"b\""},
        {"{\"params\":{\"t\":\"", "\"}, \"id\" : -7 } \r", "-7"},
        {"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"m\",\"params\":{\"t\":\"", "\"}}", "9"},
        {"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"m\",\"params\":{\"t\":\"",
         "\",\"p\":{\"id\":5}", "9"},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{\"t\":\"", "\"}}", NULL},
        {"{\"params\":{\"t\":\"", "\",\"id\":5}}", NULL},
        {"{\"params\":{\"t\":\"", "\\\"id\\\":5}\"}}", NULL},
        {"{\"params\":{\"t\":\"", "\"},\"id\":{\"a\":1}}", NULL},
        {"not json ", " at all", NULL},
    };
    const size_t pieces[] = {1, 7, 512, 513, 1u << 20};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
            expect_id(f, cases[i].front, cases[i].back, pieces[k], cases[i].id);
        }
    }
}

static void packed_messages_have_lengths(void **state)
{
    fixture *f = *state;
    f->framer.encoding = KRS_ENCODING_MSGPACK;
    const krs_str bytes = KRS_STR("\0\0\0\3abc\0\0\0\0\0\0\0\2de");
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        f->input = (krs_str){bytes.ptr + i, 1};
        static const size_t lengths[] = {3, 0, 2};
        if (next(f)) {
            assert_int_equal(f->frame.message.len, lengths[n++]);
        }
    }
    assert_int_equal(n, 3);
}

static void packed_messages_too_long_have_an_id_too(void **state)
{
    fixture *f = *state;
    f->framer.encoding = KRS_ENCODING_MSGPACK;
    const size_t n = 2 * LIMIT;
    unsigned char *bytes = calloc(1, n + 4 + 5);
    assert_non_null(bytes);
    bytes[2] = (unsigned char)(n >> 8);
    memcpy(bytes + 4 + n - 4, "\xA2id\x07", 4);
    memcpy(bytes + 4 + n, "\0\0\0\1\xC0", 5);
    f->input = (krs_str){(const char *)bytes, n + 4 + 5};
    assert_true(next(f));
    assert_int_equal(f->frame.status, KRS_ETOOLARGE);
    assert_int_equal(json_integer_value(f->frame.id), 7);
    assert_true(next(f));
    assert_int_equal(f->frame.message.len, 1);
    assert_false(next(f));
    free(bytes);
}

static void requests_are_told_from_noise(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        krs_status status;
        bool has_id;
    } cases[] = {
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1}", KRS_OK, true},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":null,\"id\":\"x\"}", KRS_OK, true},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{}}", KRS_OK, false},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":null}", KRS_OK, true},
        {"{\"jsonrpc\":\"1.0\",\"method\":\"m\",\"id\":1}", KRS_EINVAL, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", KRS_EINVAL, true},
        {"{\"jsonrpc\":\"2.0\",\"method\":5,\"id\":1}", KRS_EINVAL, true},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":[]}", KRS_EINVAL, false},
        {"[{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1}]", KRS_EINVAL, false},
        {"5", KRS_EINVAL, false},
        {"{", KRS_EFORMAT, false},
        {"{\"id\":1,\"id\":2}", KRS_EFORMAT, false},
        {"", KRS_EFORMAT, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_rpc_call call;
        krs_error err = KRS_ERROR_INIT;
        const krs_status status =
            krs_rpc_parse(KRS_ENCODING_JSON, krs_str_of(cases[i].text), &call, &err);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(call.id != NULL, cases[i].has_id);
        assert_int_equal(status == KRS_OK, err.message[0] == '\0');
        json_decref(call.root);
    }
}

/* Both encodings of one message are the same message. */
static void what_is_written_reads_back(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const krs_encoding encoding = k ? KRS_ENCODING_MSGPACK : KRS_ENCODING_JSON;
        krs_buf out;
        krs_buf_init(&out, NULL, 4096);
        krs_emit e = krs_emit_to(&out, encoding);
        json_t *tree = json_pack("{s:[i,b,n,f,{s:s}]}", "deep", -300, 1, 0.5, "k", "v");
        const size_t start = krs_rpc_open(&e, 4);
        krs_emit_pair_str(&e, "method", KRS_STR("m\n\"\xC3\xA9"));
        krs_emit_key(&e, "params");
        krs_emit_map(&e, 5);
        krs_emit_pair_int(&e, "least", INT64_MIN);
        krs_emit_pair_double(&e, "x", -0.25, 9);
        krs_emit_pair_bool(&e, "no", false);
        krs_emit_key(&e, "list");
        krs_emit_array(&e, 3);
        krs_emit_null(&e);
        krs_emit_uint(&e, 70000);
        krs_emit_double(&e, 1.0 / 0.0, 9);
        krs_emit_end(&e, ']');
        krs_emit_key(&e, "tree");
        krs_emit_tree(&e, tree);
        krs_emit_end(&e, '}');
        krs_emit_pair_int(&e, "id", 3);
        assert_int_equal(krs_rpc_close(&e, start), KRS_OK);
        krs_framer framer;
        krs_framer_init(&framer, LIMIT, NULL);
        framer.encoding = encoding;
        krs_str input = krs_buf_view(&out);
        krs_frame frame;
        krs_rpc_call call;
        assert_true(krs_framer_next(&framer, &input, &frame));
        assert_int_equal(input.len, 0);
        assert_int_equal(krs_rpc_parse(encoding, frame.message, &call, NULL), KRS_OK);
        json_t *want = json_pack("{s:I,s:f,s:b,s:[n,i,n],s:o}", "least", (json_int_t)INT64_MIN, "x",
                                 -0.25, "no", 0, "list", 70000, "tree", tree);
        assert_true(json_equal(call.params, want));
        assert_true(krs_str_equal(call.method, KRS_STR("m\n\"\xC3\xA9")));
        assert_int_equal(json_integer_value(call.id), 3);
        json_decref(want);
        json_decref(call.root);
        krs_framer_deinit(&framer);
        krs_buf_deinit(&out);
    }
}

static void a_message_that_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 64);
    assert_int_equal(krs_buf_append(&out, "before", 6), KRS_OK);
    krs_emit e = krs_emit_to(&out, KRS_ENCODING_JSON);
    const size_t start = krs_rpc_open(&e, 2);
    krs_emit_pair_str(&e, "method",
                      KRS_STR("a text that is longer than all the room there is left"));
    assert_int_equal(krs_rpc_close(&e, start), KRS_ETOOLARGE);
    assert_true(krs_str_equal(krs_buf_view(&out), KRS_STR("before")));
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line_is_one_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_may_come_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_limit_is_inside_and_one_more_is_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_id_of_what_is_too_long_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_messages_have_lengths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_messages_too_long_have_an_id_too, set_up, tear_down),
        cmocka_unit_test(requests_are_told_from_noise),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(a_message_that_does_not_fit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
