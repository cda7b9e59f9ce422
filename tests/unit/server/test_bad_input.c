/* unit/server/test_bad_input.c - clients that are slow, broken or hostile: a clean answer, and nobody else waits. */
#define _GNU_SOURCE /* RLIMIT_NOFILE, dup */
#include "server_fixture.h"

#include <fcntl.h>
#include <sys/resource.h>

static fixture *start_impatient(void)
{
    fixture_options options = defaults();
    options.server.max_body_bytes = 4u << 20;
    options.server.times.head_ms = 250;
    options.server.times.body_ms = 300;
    options.server.times.idle_ms = 400;
    options.timeout_ns = 20 * KRS_NS_PER_S;
    return start_fixture(&options);
}

/* Another client is served as if nothing were wrong. */
static void expect_neighbour_served(fixture *f)
{
    client *c = client_open(f->port);
    post_chat(c, "hi", "");
    assert_non_null(strstr(expect(f, c, 200), "w4"));
    client_close(c);
}

static void a_head_that_never_ends_is_told_408(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *slow[20];
    for (size_t i = 0; i < 20; i++) {
        slow[i] = client_open(f->port);
        client_send(slow[i], "GET /version HT");
    }
    expect_neighbour_served(f);
    for (size_t i = 0; i < 20; i++) {
        assert_non_null(strstr(expect(f, slow[i], 408), "request_timeout"));
        assert_false(client_more(slow[i]));
        client_close(slow[i]);
    }
    end_fixture(f);
}

/* A byte now and then does not buy more time. */
static void trickling_does_not_help(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    client_send(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    int n_sent = 0;
    struct timeval wait = {0, 20000};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    while (!client_more(c) && n_sent < 5000) {
        client_send_bytes(c, "a", 1);
        n_sent++;
    }
    assert_true(strncmp(c->in, "HTTP/1.1 408 ", 13) == 0);
    client_close(c);
    end_fixture(f);
}

static void a_body_that_never_ends_is_told_408(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 1000\r\n\r\n{\"model\":");
    expect_neighbour_served(f);
    (void)expect(f, c, 408);
    client_close(c);
    c = client_open(f->port);
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mod");
    (void)expect(f, c, 408);
    client_close(c);
    end_fixture(f);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    assert_false(client_more(c));
    client_close(c);
    c = client_open(f->port);
    client_get(c, "GET", "/version");
    (void)expect(f, c, 200);
    assert_false(client_more(c));
    client_close(c);
    end_fixture(f);
}

static void a_half_closed_client_counts_as_gone(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    post_chat(c, "forever", ",\"stream\":true");
    assert_true(client_wait(c, "w0 ") > 0);
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    wait_for(&f->fake->n_cancelled, 1);
    client_close(c);
    c = client_open(f->port); /* in the middle of a head, and of a body */
    client_send(c, "GET /ver");
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    assert_false(client_more(c));
    client_close(c);
    c = client_open(f->port);
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 1000\r\n\r\n{");
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    assert_false(client_more(c));
    client_close(c);
    expect_neighbour_served(f);
    end_fixture(f);
}

#define LINE_BYTES (1u << 20)

static void expect_for_line(fixture *f, const char *before, const char *after, int status)
{
    char *line = malloc(LINE_BYTES);
    assert_non_null(line);
    memset(line, 'a', LINE_BYTES);
    client *c = client_open(f->port);
    client_send(c, before);
    client_send_bytes(c, line, LINE_BYTES);
    client_send(c, after);
    (void)expect(f, c, status);
    client_close(c);
    free(line);
}

static void a_line_of_a_mebibyte_is_refused_where_lines_are_short(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    char head[256];
    expect_for_line(f, "GET /", " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414);
    expect_for_line(f, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "\r\n\r\n", 431);
    expect_for_line(f, "", " / HTTP/1.1\r\nHost: localhost\r\n\r\n", 414);
    expect_for_line(f,
                    "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Type: application/json\r\n\r\n1;",
                    "\r\n", 431);
    /* A body may be one line: it is the content of a message. */
    const char *const before =
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    const char *const after = "\"}]}";
    char whole[512];
    (void)snprintf(head, sizeof(head),
                   "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   strlen(before) + LINE_BYTES + strlen(after));
    (void)snprintf(whole, sizeof(whole), "%s%s", head, before);
    expect_for_line(f, whole, after, 200);
    end_fixture(f);
}

static void too_large_a_body_is_told_the_limit(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 4194305\r\n\r\n");
    assert_non_null(strstr(expect(f, c, 413), "The limit is 4194304 bytes"));
    client_close(c);
    end_fixture(f);
}

static void post_deep(client *c, size_t depth)
{
    char *body = malloc(2 * depth + 64);
    assert_non_null(body);
    const int n = snprintf(body, 64, "{\"model\":\"fake\",\"messages\":");
    memset(body + n, '[', depth);
    memset(body + n + depth, ']', depth);
    memcpy(body + n + 2 * depth, "}", 2);
    client_post(c, CHAT, body);
    free(body);
}

static void json_that_is_no_request_is_told_400_and_the_connection_goes_on(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{",
        "{\"model\":\"fake\",\"model\":\"fake\",\"messages\":[]}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"\xC0\xAF\"}]}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"\xED\xA0\x80\"}]}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"seed\":1e999}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
        "\"max_tokens\":99999999999999999999}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
        "\"max_tokens\":-1}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
        "\"temperature\":NaN}",
        "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"n\":2.5}",
    };
    fixture *f = start_impatient();
    client *c = client_open(f->port);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        client_post(c, CHAT, bodies[i]);
        assert_true(client_read(c, &f->r, true));
        if (f->r.status != 400) {
            fail_msg("body %zu: status %d: %s", i, f->r.status, f->r.body);
        }
        assert_non_null(strstr(f->r.body, "\"error\":{\"message\":\""));
    }
    post_deep(c, 10000);
    (void)expect(f, c, 400);
    post_deep(c, 150000); /* more values than a chat may hold */
    (void)expect(f, c, 413);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    assert_int_equal(atomic_load(&f->fake->n_opened), 1);
    client_close(c);
    end_fixture(f);
}

#define MAX_FDS 256

/* Take every descriptor the process may have; returns how many. */
static int take_all_fds(int *fds)
{
    int n = 0;
    while (n < MAX_FDS && (fds[n] = dup(0)) >= 0) {
        n++;
    }
    return n;
}

static void out_of_descriptors_the_server_waits_and_goes_on(void **state)
{
    (void)state;
    fixture *f = start_impatient();
    client *early = client_open(f->port);
    client_get(early, "GET", "/version"); /* so that the server is up */
    (void)expect(f, early, 200);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {MAX_FDS, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fds[MAX_FDS];
    int n = take_all_fds(fds);
    assert_true(n > 0 && n < MAX_FDS);
    (void)close(fds[--n]); /* one is left, for the client */
    client *c = client_open(f->port);
    client_get(c, "GET", "/version");
    struct timeval wait = {0, 300000};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    assert_false(client_more(c)); /* it lies in the queue */
    while (n > 0) {
        (void)close(fds[--n]);
    }
    wait.tv_sec = CLIENT_TIMEOUT_S;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    (void)expect(f, c, 200);
    client_close(c);
    client_close(early);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    end_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_never_ends_is_told_408),
        cmocka_unit_test(trickling_does_not_help),
        cmocka_unit_test(a_body_that_never_ends_is_told_408),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_half_closed_client_counts_as_gone),
        cmocka_unit_test(a_line_of_a_mebibyte_is_refused_where_lines_are_short),
        cmocka_unit_test(too_large_a_body_is_told_the_limit),
        cmocka_unit_test(json_that_is_no_request_is_told_400_and_the_connection_goes_on),
        cmocka_unit_test(out_of_descriptors_the_server_waits_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
