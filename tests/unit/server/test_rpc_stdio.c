/* unit/server/test_rpc_stdio.c - JSON-RPC on standard input and output, which may be sockets or pipes: a client that reads
 * as the contract's own does never has more before it than it can hold; the end of input is the end. */
#define _POSIX_C_SOURCE 200809L
#include "rpc_fixture.h"

/* Our standard input and output are somebody else's for a while. */
typedef struct standard {
    int in_fd;
    int out_fd;
} standard;

static standard lend(int in_fd, int out_fd)
{
    (void)fflush(stdout);
    const standard saved = {dup(0), dup(1)};
    assert_true(saved.in_fd >= 0 && saved.out_fd >= 0);
    assert_int_equal(dup2(in_fd, 0), 0);
    assert_int_equal(dup2(out_fd, 1), 1);
    (void)close(in_fd);
    if (out_fd != in_fd) {
        (void)close(out_fd);
    }
    return saved;
}

static void give_back(const standard *saved)
{
    (void)fflush(stdout);
    (void)dup2(saved->in_fd, 0);
    (void)dup2(saved->out_fd, 1);
    (void)close(saved->in_fd);
    (void)close(saved->out_fd);
}

/* Slowly read lines never pile up to what the contract's client dies of. */
static void read_as_the_contracts_client(client *c, const char *last)
{
    size_t left = 0;
    const char *line = NULL;
    do {
        const size_t before = c->n;
        char *end = memchr(c->bytes, '\n', c->n);
        if (!end) {
            krs_os_sleep_ns(KRS_NS_PER_MS / 2);
            assert_true(read_more(c));
            left = before;
            assert_true(left + (c->n - before) <= 65536);
            continue;
        }
        line = hear(c);
    } while (!line || !strstr(line, last));
}

static void speak_stdio(int ours_in, int ours_out, int theirs_in, int theirs_out)
{
    const standard saved = lend(theirs_in, theirs_out);
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.rpc.is_stdio = true;
    fixture *f = start(&options);
    client *c = client_new(ours_in, ours_out);
    say(c, STATE GEN("s", "flood", "") GEN("t", "burst", ""));
    read_as_the_contracts_client(c, "\"stream_id\":\"t\",\"event\":\"completed\"");
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"cancel\",\"params\":{\"stream_id\":\"s\"}}\n");
    read_as_the_contracts_client(c, "\"finish_reason\":\"cancelled\"");
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"shutdown\",\"id\":9}\n");
    read_as_the_contracts_client(c, "\"id\":9,\"result\"");
    krs_os_thread_join(f->thread); /* it ends by itself */
    f->thread = NULL;
    client_close(c);
    void *again = f;
    (void)tear_down(&again);
    give_back(&saved);
}

static void stdio_may_be_a_socket(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    speak_stdio(pair[0], pair[0], pair[1], pair[1]);
}

static void stdio_may_be_pipes(void **state)
{
    (void)state;
    int to[2];
    int from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    speak_stdio(from[0], to[1], to[0], from[1]);
}

static void the_end_of_input_ends_stdio(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const standard saved = lend(pair[1], pair[1]);
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.rpc.is_stdio = true;
    fixture *f = start(&options);
    client *c = client_new(pair[0], pair[0]);
    say(c, GEN("s", "forever", ""));
    (void)hear_until(c, "w0 ");
    assert_int_equal(shutdown(c->out_fd, SHUT_WR), 0);
    krs_os_thread_join(f->thread);
    f->thread = NULL;
    client_close(c);
    void *again = f;
    (void)tear_down(&again);
    give_back(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stdio_may_be_a_socket),
        cmocka_unit_test(stdio_may_be_pipes),
        cmocka_unit_test(the_end_of_input_ends_stdio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
