/* unit/server/test_http_parse.c - requests well and badly formed; in one piece, in bytes, in random pieces. */
#include "server/http_parse.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_BODY 64

static const krs_http_limits limits = {KRS_HTTP_MAX_HEAD_BYTES, MAX_BODY};

/* Feed everything, in pieces of `piece` bytes; stops when no byte is used. Returns bytes used. */
static size_t feed_all(krs_http_parser *parser, krs_str in, size_t piece)
{
    size_t used = 0;
    while (used < in.len && parser->phase <= KRS_HTTP_BODY) {
        const size_t left = in.len - used;
        used += krs_http_feed(parser, in.ptr + used, piece < left ? piece : left);
    }
    return used;
}

/* What a parser made of a request, as one comparable text. */
static void describe(const krs_http_parser *p, char *out, size_t n)
{
    const krs_http_request *r = &p->request;
    if (p->phase != KRS_HTTP_DONE) {
        (void)snprintf(out, n, "phase %d status %d", p->phase, p->fail_status);
        return;
    }
    int at = snprintf(out, n, "%.*s|%.*s|%.*s|1.%d|%d%d|%.*s", KRS_STR_ARGS(r->method),
                      KRS_STR_ARGS(r->path), KRS_STR_ARGS(r->query), r->minor_version,
                      r->is_keep_alive, r->expects_continue, KRS_STR_ARGS(r->body));
    for (uint32_t i = 0; i < r->n_headers && at > 0 && (size_t)at < n; i++) {
        at += snprintf(out + at, n - (size_t)at, "|%.*s=%.*s", KRS_STR_ARGS(r->headers[i].name),
                       KRS_STR_ARGS(r->headers[i].value));
    }
}

typedef struct parse_case {
    const char *text;
    const char *want; /* describe() */
} parse_case;

static const parse_case good[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET|/||1.1|10||Host=a"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET|/||1.1|10||Host=a"},
    {"GET /a?b=c?d HTTP/1.1\r\nhost:a\r\n\r\n", "GET|/a|b=c?d|1.1|10||host=a"},
    {"GET http://x.y/z HTTP/1.1\r\nHost: a\r\n\r\n", "GET|/z||1.1|10||Host=a"},
    {"GET http://x.y HTTP/1.1\r\nHost: a\r\n\r\n", "GET|/||1.1|10||Host=a"},
    {"GET / HTTP/1.0\r\n\r\n", "GET|/||1.0|00|"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET|/||1.0|10||Connection=Keep-Alive"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
     "GET|/||1.1|00||Host=a|Connection=x, Close"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n",
     "GET|/||1.1|00||Host=a|Connection=x|Connection=close"},
    {"OPTIONS * HTTP/1.1\r\nHost: \t a \t\r\n\r\n", "OPTIONS|*||1.1|10||Host=a"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     "POST|/p||1.1|10|abc|Host=a|Content-Length=3"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "POST|/p||1.1|10||Host=a|Content-Length=0"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n\r",
     "POST|/p||1.1|11|\r|Host=a|Expect=100-Continue|Content-Length=1"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "3\r\nabc\r\n00a;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
     "POST|/p||1.1|10|abc0123456789|Host=a|Transfer-Encoding=Chunked"},
    {"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "POST|/p||1.1|10||Host=a|Transfer-Encoding=chunked"},
};

static void good_requests_read_the_same_in_any_pieces(void **state)
{
    (void)state;
    char got[4096];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const krs_str in = krs_str_of(good[i].text);
        for (size_t piece = 1; piece <= in.len; piece++) {
            krs_http_parser parser;
            krs_http_parser_init(&parser, NULL, &limits);
            const size_t used = feed_all(&parser, in, piece);
            describe(&parser, got, sizeof(got));
            assert_string_equal(got, good[i].want);
            assert_int_equal(used, in.len);
            krs_http_parser_deinit(&parser);
        }
    }
}

#define HEAD "POST / HTTP/1.1\r\nHost: a\r\n"

typedef struct bad_case {
    const char *text;
    int status;
} bad_case;

static const bad_case bad[] = {
    {"GET\r\n\r\n", 400},
    {"GET /\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /\xC3\xA4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
    {"GET / HTTQ/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\x7F\r\n\r\n", 400},
    {HEAD "Content-Length: x\r\n\r\n", 400},
    {HEAD "Content-Length:\r\n\r\n", 400},
    {HEAD "Content-Length: -1\r\n\r\n", 400},
    {HEAD "Content-Length: +1\r\n\r\n", 400},
    {HEAD "Content-Length: 1, 1\r\n\r\n", 400},
    {HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
    {HEAD "Content-Length: 9999999999999999999\r\n\r\n", 400},
    {HEAD "Content-Length: 65\r\n\r\n", 413},
    {HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
    {HEAD "Expect: miracles\r\n\r\n", 417},
    {HEAD "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n3\nabc", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n", 400},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n41\r\n", 413},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n123456789\r\n", 413},
};

static void bad_requests_are_refused_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const krs_str in = krs_str_of(bad[i].text);
        for (size_t piece = 1; piece <= in.len; piece++) {
            krs_http_parser parser;
            krs_http_parser_init(&parser, NULL, &limits);
            (void)feed_all(&parser, in, piece);
            if (parser.phase != KRS_HTTP_FAILED || parser.fail_status != bad[i].status) {
                fail_msg("case %zu: phase %d status %d, want %d", i, parser.phase,
                         parser.fail_status, bad[i].status);
            }
            assert_non_null(parser.fail_text);
            krs_http_parser_deinit(&parser);
        }
    }
}

/* Build prefix + n times unit + suffix, feed it, return the status of the refusal (0: none). */
static int status_of_repeated(const char *prefix, const char *unit, size_t n, const char *suffix)
{
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_buf_append_str(&text, krs_str_of(prefix)), KRS_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(krs_buf_append_str(&text, krs_str_of(unit)), KRS_OK);
    }
    assert_int_equal(krs_buf_append_str(&text, krs_str_of(suffix)), KRS_OK);
    krs_http_parser parser;
    krs_http_parser_init(&parser, NULL, &limits);
    (void)feed_all(&parser, krs_buf_view(&text), 1000);
    const int status = parser.fail_status;
    if (status == 0) {
        assert_int_equal(parser.phase, KRS_HTTP_DONE);
    }
    krs_http_parser_deinit(&parser);
    krs_buf_deinit(&text);
    return status;
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    const char *end = " HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(status_of_repeated("GET /", "a", KRS_HTTP_MAX_TARGET_BYTES - 1, end), 0);
    assert_int_equal(status_of_repeated("GET /", "a", KRS_HTTP_MAX_TARGET_BYTES, end), 414);
    assert_int_equal(status_of_repeated("GET /", "a", KRS_HTTP_MAX_HEAD_BYTES, end), 414);
    const char *get = "GET / HTTP/1.1\r\nHost: a\r\n";
    assert_int_equal(status_of_repeated(get, "x: y\r\n", KRS_HTTP_MAX_HEADERS - 1, "\r\n"), 0);
    assert_int_equal(status_of_repeated(get, "x: y\r\n", KRS_HTTP_MAX_HEADERS, "\r\n"), 431);
    assert_int_equal(status_of_repeated(get, "x: y\r\n", KRS_HTTP_MAX_HEAD_BYTES / 6, "\r\n"), 431);
    const char *plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(status_of_repeated("", "\r\n", KRS_HTTP_MAX_BLANK_LINES, plain), 0);
    assert_int_equal(status_of_repeated("", "\r\n", KRS_HTTP_MAX_BLANK_LINES + 1, plain), 400);
    const char *chunked = HEAD "Transfer-Encoding: chunked\r\n\r\n";
    assert_int_equal(status_of_repeated(chunked, "1\r\nx\r\n", MAX_BODY, "0\r\n\r\n"), 0);
    assert_int_equal(status_of_repeated(chunked, "1\r\nx\r\n", MAX_BODY + 1, "0\r\n\r\n"), 413);
    const char *last = HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    assert_int_equal(status_of_repeated(last, "t: u\r\n", KRS_HTTP_MAX_TRAILERS, "\r\n"), 0);
    assert_int_equal(status_of_repeated(last, "t: u\r\n", KRS_HTTP_MAX_TRAILERS + 1, "\r\n"), 431);
    assert_int_equal(status_of_repeated(last, "t", KRS_HTTP_MAX_LINE_BYTES + 1, "\r\n\r\n"), 431);
}

static void pipelined_bytes_are_left_alone(void **state)
{
    (void)state;
    const krs_str in =
        KRS_STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1"
                "\r\nHost: b\r\n\r\n");
    krs_http_parser parser;
    krs_http_parser_init(&parser, NULL, &limits);
    const size_t head = krs_http_feed(&parser, in.ptr, in.len);
    assert_int_equal(parser.phase, KRS_HTTP_BODY); /* stops, so that the caller sees the head */
    const size_t body = krs_http_feed(&parser, in.ptr + head, in.len - head);
    assert_int_equal(parser.phase, KRS_HTTP_DONE);
    assert_int_equal(body, 1);
    assert_int_equal(krs_http_feed(&parser, in.ptr + head + 1, 5), 0); /* done is done */
    krs_http_parser_reset(&parser);
    assert_true(krs_http_parser_is_idle(&parser));
    (void)krs_http_feed(&parser, in.ptr + head + 1, in.len - head - 1);
    assert_int_equal(parser.phase, KRS_HTTP_DONE);
    assert_true(krs_str_equal(parser.request.path, KRS_STR("/2")));
    krs_http_parser_deinit(&parser);
}

static void headers_are_found_without_case_and_lists_split(void **state)
{
    (void)state;
    krs_http_parser parser;
    krs_http_parser_init(&parser, NULL, &limits);
    const krs_str in = KRS_STR("GET / HTTP/1.1\r\nHOST: a\r\nX-Y: 1\r\nx-y: 2\r\n\r\n");
    (void)feed_all(&parser, in, in.len);
    assert_true(krs_str_equal(krs_http_header_of(&parser.request, "x-y"), KRS_STR("1")));
    assert_null(krs_http_header_of(&parser.request, "z").ptr);
    assert_true(krs_http_list_has(KRS_STR("a , Close,b"), "close"));
    assert_false(krs_http_list_has(KRS_STR("closed, aclose"), "close"));
    assert_false(krs_http_list_has(KRS_STR(""), "close"));
    krs_http_parser_deinit(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_read_the_same_in_any_pieces),
        cmocka_unit_test(bad_requests_are_refused_in_any_pieces),
        cmocka_unit_test(limits_hold_at_their_edges),
        cmocka_unit_test(pipelined_bytes_are_left_alone),
        cmocka_unit_test(headers_are_found_without_case_and_lists_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
