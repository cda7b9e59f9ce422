/* unit/server/test_departure.c - clients that vanish, do not read, or are too many; and the server's own end. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"

#include <poll.h>

static void too_much_sent_ahead_ends_the_connection(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "forever", "");
    wait_for(&f->fake->n_opened, 1);
    char junk[4096];
    memset(junk, 'x', sizeof(junk));
    for (int i = 0; i < 64; i++) {
        client_send_bytes(c, junk, sizeof(junk));
    }
    wait_for(&f->fake->n_cancelled, 1);
    client_close(c);
}

/* Requests that are answered at once, asked for by the hundred. */
static void ask_for_metrics(client *c, int n)
{
    for (int i = 0; i < n; i++) {
        client_get(c, "GET", "/metrics");
    }
}

static void asking_without_reading_ends_the_connection(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    ask_for_metrics(c, 20000);
    struct pollfd ended = {.fd = c->fd}; /* no events asked for: only the peer's reset wakes it */
    assert_int_equal(poll(&ended, 1, CLIENT_TIMEOUT_S * 1000), 1);
    assert_true(krs_metrics_read(f->metrics, KRS_METRIC_HTTP_2XX) < 20000);
    client_close(c);
}

static void a_late_reader_gets_all_it_asked_for(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    ask_for_metrics(c, 1000);
    wait_for_metric(f, KRS_METRIC_HTTP_2XX, 10); /* then most of them wait for this reader */
    for (int i = 0; i < 1000; i++) {
        assert_non_null(strstr(expect(f, c, 200), "krs_requests_accepted_total 0\n"));
    }
    client_close(c);
}

/* A client that sends all of a body that is too large before it looks reads why it was refused, also when
 * the sending takes longer than the answer is kept for one who says nothing. */
static void a_refused_body_may_be_sent_to_its_end(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: 1000000\r\n\r\n");
    char piece[10000];
    memset(piece, ' ', sizeof(piece));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(send(c->fd, piece, sizeof(piece), MSG_NOSIGNAL), sizeof(piece));
        krs_os_sleep_ns(30 * KRS_NS_PER_MS);
    }
    assert_non_null(strstr(expect(f, c, 413), "too_large"));
    client_close(c);
}

#define LARGE_BODY_BYTES 600000

static client *begin_large_body(const fixture *f)
{
    client *c = client_open(f->port);
    char head[256];
    (void)snprintf(head, sizeof(head),
                   "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n",
                   LARGE_BODY_BYTES + 1);
    char *spaces = malloc(LARGE_BODY_BYTES);
    assert_non_null(spaces);
    memset(spaces, ' ', LARGE_BODY_BYTES);
    client_send(c, head);
    client_send_bytes(c, spaces, LARGE_BODY_BYTES);
    free(spaces);
    return c;
}

/* Each of two bodies is within the limit of one, both together are not. */
static void bodies_share_a_bound_that_small_ones_pass(void **state)
{
    (void)state;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.port = 0;
    options.max_body_bytes = LARGE_BODY_BYTES + 1;
    options.max_bodies_bytes = 2 * options.max_body_bytes;
    fixture *f = start_with(&options);
    client *first = begin_large_body(f);
    client *second = begin_large_body(f);
    struct pollfd fds[] = {{.fd = first->fd, .events = POLLIN},
                           {.fd = second->fd, .events = POLLIN}};
    assert_true(poll(fds, 2, CLIENT_TIMEOUT_S * 1000) >= 1);
    client *refused = fds[0].revents ? first : second;
    assert_non_null(strstr(expect(f, refused, 503), "large bodies"));
    client *small = client_open(f->port);
    post_chat(small, "hi", "");
    (void)expect(f, small, 200);
    client *taken = refused == second ? first : second;
    client_send(taken, "x");
    assert_non_null(strstr(expect(f, taken, 400), "JSON"));
    client *third = begin_large_body(f); /* there is room again */
    client_send(third, "x");
    assert_non_null(strstr(expect(f, third, 400), "JSON"));
    client_close(first);
    client_close(second);
    client_close(third);
    client_close(small);
    void *again = f;
    (void)tear_down(&again);
}

/* Nothing is being written to the vanished client of a whole answer, and still it is noticed. */
static void vanished_client_ends_its_answers(void **state)
{
    fixture *f = *state;
    client *whole = client_open(f->port);
    post_chat(whole, "forever", ",\"n\":3");
    client *streamed = client_open(f->port);
    post_chat(streamed, "forever", ",\"stream\":true");
    assert_true(client_wait(streamed, "w0 ") > 0);
    wait_for(&f->fake->n_opened, 4);
    client_close(whole);
    wait_for(&f->fake->n_cancelled, 3);
    client_reset(streamed);
    wait_for(&f->fake->n_cancelled, 4);
    wait_for_metric(f, KRS_METRIC_REQUESTS_CANCELLED, 4);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_STREAM_CANCELS), 4);
}

/* Much at once is no sign of a slow reader: one batch brings 2 MiB before the socket has seen any. */
static void a_burst_is_not_the_readers_fault(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "burst", ",\"stream\":true");
    while (!strstr(c->in, "data: [DONE]")) {
        const size_t kept = c->n_in < 64 ? c->n_in : 64; /* the end may come in two pieces */
        client_drop(c, c->n_in - kept);
        assert_true(client_more(c));
    }
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_STREAM_SLOW), 0);
    client_close(c);
}

static void many_connections_are_served(void **state)
{
    fixture *f = *state;
    client *c[40];
    for (size_t i = 0; i < 40; i++) {
        c[i] = client_open(f->port);
        post_chat(c[i], "hi", i % 2 ? ",\"stream\":true" : "");
    }
    for (size_t i = 0; i < 40; i++) {
        assert_non_null(strstr(expect(f, c[i], 200), "w4"));
        client_close(c[i]);
    }
}

static void one_connection_too_many_is_told_503(void **state)
{
    (void)state;
    fixture *f = start(1, 2, 100);
    client *a = client_open(f->port);
    client *b = client_open(f->port);
    client_get(a, "GET", "/version");
    client_get(b, "GET", "/version");
    (void)expect(f, a, 200);
    (void)expect(f, b, 200);
    client *c = client_open(f->port);
    assert_non_null(strstr(expect(f, c, 503), "too_many_connections"));
    client_close(a);
    client_close(b);
    client_close(c);
    void *again = f;
    (void)tear_down(&again);
}

static void idle_connections_make_room(void **state)
{
    (void)state;
    fixture *f = start(1, 2, 100);
    client *a = client_open(f->port);
    client *busy = client_open(f->port);
    post_chat(busy, "forever", ",\"stream\":true");
    assert_true(client_wait(busy, "w0 ") > 0);
    int status = 503;
    for (int i = 0; status == 503 && i < 400; i++) {
        client *late = client_open(f->port);
        client_get(late, "GET", "/version");
        status = client_read(late, &f->r, true) ? f->r.status : 503; /* refusal may be a reset */
        client_close(late);
        krs_os_sleep_ns(50 * KRS_NS_PER_MS);
    }
    assert_int_equal(status, 200);
    assert_false(client_more(a)); /* it had to go, the busy one did not */
    assert_true(client_wait(busy, "w100 ") > 0);
    client_close(a);
    client_close(busy);
    void *again = f;
    (void)tear_down(&again);
}

static void drain_lets_answers_finish(void **state)
{
    fixture *f = *state;
    client *idle = client_open(f->port);
    client_get(idle, "GET", "/version");
    (void)expect(f, idle, 200);
    client *c = client_open(f->port);
    post_chat(c, "hi", ",\"stream\":true,\"max_tokens\":300");
    assert_true(client_wait(c, "w0 ") > 0);
    krs_server_stop(f->server);
    assert_false(client_more(idle)); /* closed without a word */
    assert_non_null(strstr(expect(f, c, 200), "data: [DONE]"));
    client_close(c);
    client_close(idle);
    stop(f);
    assert_int_equal(atomic_load(&f->fake->n_cancelled), 0);
}

static void drain_cancels_at_its_deadline_and_says_so(void **state)
{
    (void)state;
    fixture *f = start(1, 16, 50);
    client *c = client_open(f->port);
    post_chat(c, "forever", ",\"stream\":true");
    assert_true(client_wait(c, "w0 ") > 0);
    krs_server_stop(f->server);
    assert_non_null(strstr(expect(f, c, 200), "\"code\":\"unavailable\""));
    client_close(c);
    stop(f);
    assert_int_equal(atomic_load(&f->fake->n_cancelled), 1);
    void *again = f;
    (void)tear_down(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(too_much_sent_ahead_ends_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asking_without_reading_ends_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_late_reader_gets_all_it_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_body_may_be_sent_to_its_end, set_up, tear_down),
        cmocka_unit_test(bodies_share_a_bound_that_small_ones_pass),
        cmocka_unit_test_setup_teardown(vanished_client_ends_its_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_burst_is_not_the_readers_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_connections_are_served, set_up, tear_down),
        cmocka_unit_test(one_connection_too_many_is_told_503),
        cmocka_unit_test(idle_connections_make_room),
        cmocka_unit_test_setup_teardown(drain_lets_answers_finish, set_up, tear_down),
        cmocka_unit_test(drain_cancels_at_its_deadline_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
