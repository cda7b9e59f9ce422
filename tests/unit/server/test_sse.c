/* unit/server/test_sse.c - what streams do beside carrying words: heartbeats, and gzip for who asks. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"
#include "wire/gzip.h"
#include "wire/gzip_stream.h"

#include <zlib.h>

static fixture *start_beating(uint32_t heartbeat_ms)
{
    fixture_options options = defaults();
    options.server.times.heartbeat_ms = heartbeat_ms;
    return start_fixture(&options);
}

static void an_idle_stream_says_that_it_is_there(void **state)
{
    (void)state;
    fixture *f = start_beating(30);
    client *c = client_open(f->port);
    post_chat(c, "silent", ",\"stream\":true");
    assert_true(client_wait(c, "HTTP/1.1 200 OK\r\n") == 0);
    for (int i = 0; i < 3; i++) {
        const long at = client_wait(c, ": still here\n\n");
        assert_true(at > 0);
        client_drop(c, (size_t)at + 14);
    }
    client_close(c);
    c = client_open(f->port);
    client_post(c, "/v1/messages",
                "{\"model\":\"fake\",\"max_tokens\":5,\"stream\":true,"
                "\"messages\":[{\"role\":\"user\",\"content\":\"silent\"}]}");
    assert_true(client_wait(c, "event: ping\n") > 0);
    client_close(c);
    end_fixture(f);
}

static void an_error_after_a_heartbeat_is_an_event(void **state)
{
    (void)state;
    fixture *f = start_beating(20);
    client *c = client_open(f->port);
    post_chat(c, "silent", ",\"stream\":true,\"timeout_ms\":300");
    const char *body = expect(f, c, 200);
    assert_non_null(strstr(body, ": still here"));
    assert_non_null(strstr(body, "\"code\":\"deadline\""));
    client_close(c);
    end_fixture(f);
}

static void a_stream_with_words_needs_no_heartbeat(void **state)
{
    (void)state;
    fixture *f = start_beating(5000);
    client *c = client_open(f->port);
    post_chat(c, "hi", ",\"stream\":true,\"max_tokens\":100");
    assert_null(strstr(expect(f, c, 200), "still here"));
    post_chat(c, "hi", ""); /* nor does an answer that comes whole */
    assert_null(strstr(expect(f, c, 200), "still here"));
    client_close(c);
    end_fixture(f);
}

static void post_accepting(client *c, const char *accept, const char *more)
{
    char body[512];
    char head[512];
    chat_body(body, sizeof(body), "hi", more);
    (void)snprintf(head, sizeof(head),
                   "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Accept-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                   accept, strlen(body));
    client_send(c, head);
    client_send(c, body);
}

static void gzip_is_sent_to_who_asks_for_it(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    post_accepting(c, "br, gzip;q=0.8", ",\"stream\":true,\"max_tokens\":200");
    (void)expect(f, c, 200);
    assert_non_null(strstr(f->r.head, "Content-Encoding: gzip\r\n"));
    assert_int_equal(krs_gunzip((krs_str){f->r.body, f->r.n_body}, &text, NULL), KRS_OK);
    assert_non_null(strstr(text.data, "\"content\":\"w199 \""));
    assert_non_null(strstr(text.data, "data: [DONE]\n\n"));
    assert_true(f->r.n_body < text.len / 4);
    static const char *const others[] = {"identity", "gzip;q=0", "gzip; q=0.000", "br", "gzipx"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        post_accepting(c, others[i], ",\"stream\":true");
        assert_non_null(strstr(expect(f, c, 200), "w4"));
        assert_null(strstr(f->r.head, "Content-Encoding"));
    }
    post_accepting(c, "gzip", ""); /* whole answers are short */
    assert_non_null(strstr(expect(f, c, 200), "w4"));
    krs_buf_deinit(&text);
    client_close(c);
}

static void gzip_can_be_switched_off(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.server.has_gzip = false;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    post_accepting(c, "gzip", ",\"stream\":true");
    assert_non_null(strstr(expect(f, c, 200), "w4"));
    client_close(c);
    end_fixture(f);
}

/* Unpack what has come so far of a stream that goes on. */
static void inflate_some(krs_str in, char *out, size_t max_bytes)
{
    z_stream z = {0};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    unsigned char copy[4096];
    assert_true(in.len <= sizeof(copy));
    memcpy(copy, in.ptr, in.len);
    z.next_in = copy;
    z.avail_in = (uInt)in.len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)max_bytes - 1;
    assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
    out[max_bytes - 1 - z.avail_out] = '\0';
    (void)inflateEnd(&z);
}

static void every_addition_can_be_unpacked_at_once(void **state)
{
    (void)state;
    krs_gzip_stream *stream = NULL;
    krs_buf out;
    char text[8192];
    krs_buf_init(&out, NULL, 1u << 20);
    assert_int_equal(krs_gzip_stream_new(NULL, &stream), KRS_OK);
    for (int i = 0; i < 50; i++) {
        char event[64];
        const int n = snprintf(event, sizeof(event), "data: {\"n\":%d}\n\n", i);
        assert_int_equal(krs_gzip_stream_add(stream, (krs_str){event, (size_t)n}, false, &out),
                         KRS_OK);
        inflate_some(krs_buf_view(&out), text, sizeof(text));
        assert_non_null(strstr(text, event));
    }
    assert_int_equal(krs_gzip_stream_add(stream, KRS_STR("end"), true, &out), KRS_OK);
    krs_buf whole;
    krs_buf_init(&whole, NULL, 1u << 20);
    assert_int_equal(krs_gunzip(krs_buf_view(&out), &whole, NULL), KRS_OK);
    assert_non_null(strstr(whole.data, "{\"n\":49}\n\nend"));
    krs_buf_deinit(&whole);
    krs_buf_deinit(&out);
    krs_gzip_stream_free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_stream_says_that_it_is_there),
        cmocka_unit_test(an_error_after_a_heartbeat_is_an_event),
        cmocka_unit_test(a_stream_with_words_needs_no_heartbeat),
        cmocka_unit_test_setup_teardown(gzip_is_sent_to_who_asks_for_it, set_up, tear_down),
        cmocka_unit_test(gzip_can_be_switched_off),
        cmocka_unit_test(every_addition_can_be_unpacked_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
