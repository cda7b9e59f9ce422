/* unit/server/test_rpc.c - JSON-RPC over real descriptors and threads: sockets, pipes, clients that vanish, stop
 * reading or stop the server; loads that end on another thread, for clients who may have gone. */
#define _POSIX_C_SOURCE 200809L
#include "os/dir.h"
#include "server/rpc_peer.h"
#include "server/server.h"
#include "service/models.h"
#include "support/fake_runtime.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define STEP_NS      KRS_NS_PER_MS
#define WAIT_NS      (180 * KRS_NS_PER_S) /* so a failure is real, on the busiest machine */
#define READ_WAIT_S  180
#define CLIENT_BYTES (4u << 20)
#define GEN(id, prompt, more)                                                                      \
    "{\"jsonrpc\":\"2.0\",\"method\":\"generate\",\"params\":{\"model_id\":\"fake\",\"stream_"     \
    "id\":"                                                                                        \
    "\"" id "\",\"prompt\":\"" prompt "\"" more "},\"id\":1}\n"
#define STATE "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/state\",\"id\":2}\n"

typedef struct fixture {
    fake_runtime *fake;
    krs_metrics *metrics;
    krs_service *service;
    krs_server *server;
    krs_os_thread *thread;
    krs_status run_status;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES + 8];
    _Atomic uint64_t n_loading;
    _Atomic bool is_load_held;
} fixture;

/* A line-reading client. */
typedef struct client {
    int in_fd;
    int out_fd;
    size_t n;
    char *bytes; /* [CLIENT_BYTES + 1], unread */
    char *line;  /* the last one */
} client;

static void run_server(void *ctx)
{
    fixture *f = ctx;
    f->run_status = krs_server_run(f->server, NULL);
}

/* "Loads" another fake, when the test lets it. */
static krs_status open_model(void *ctx, const krs_model_spec *spec, krs_runtime **out,
                             krs_error *err)
{
    fixture *f = ctx;
    atomic_fetch_add(&f->n_loading, 1);
    while (atomic_load(&f->is_load_held)) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    if (strstr(spec->id, "broken")) {
        return krs_fail(err, KRS_EFORMAT, "config.json: not a model");
    }
    *out = &fake_runtime_new(STEP_NS)->base;
    return KRS_OK;
}

static fixture *start(const krs_server_options *options)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(krs_os_dir_temporary(f->dir, NULL), KRS_OK);
    (void)snprintf(f->path, sizeof(f->path), "%s/rpc", f->dir);
    f->fake = fake_runtime_new(STEP_NS);
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    krs_service_options so = KRS_SERVICE_OPTIONS_INIT;
    so.runtime = &f->fake->base;
    so.opener = (krs_opener){f, open_model};
    so.metrics = f->metrics;
    assert_int_equal(krs_service_new(&so, NULL, &f->service, NULL), KRS_OK);
    krs_server_options full = *options;
    full.host = NULL;
    full.n_io_threads = 2;
    full.drain_ms = 2000;
    full.version = "9.9.9";
    full.rpc.path = full.rpc.is_stdio ? NULL : f->path;
    krs_error err = KRS_ERROR_INIT;
    if (krs_server_open(&full, f->service, NULL, &f->server, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_os_thread_start("server", run_server, f, &f->thread, NULL), KRS_OK);
    return f;
}

static int set_up(void **state)
{
    const krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    *state = start(&options);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    atomic_store(&f->is_load_held, false);
    krs_server_stop(f->server);
    krs_os_thread_join(f->thread);
    assert_int_equal(f->run_status, KRS_OK);
    krs_service_stop(f->service);
    krs_runtime_free(&f->fake->base);
    krs_server_free(f->server);
    krs_service_free(f->service);
    krs_metrics_free(f->metrics);
    assert_int_equal(krs_os_dir_remove(f->dir, NULL), KRS_OK);
    free(f);
    return 0;
}

static client *client_new(int in_fd, int out_fd)
{
    client *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->bytes = malloc(CLIENT_BYTES + 1);
    c->line = malloc(CLIENT_BYTES + 1);
    assert_true(c->bytes && c->line);
    c->in_fd = in_fd;
    c->out_fd = out_fd;
    return c;
}

static client *client_open(const fixture *f)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", f->path);
    union {
        struct sockaddr_un *un;
        struct sockaddr *any;
    } to = {&address};
    assert_int_equal(connect(fd, to.any, sizeof(address)), 0);
    return client_new(fd, fd);
}

static void client_close(client *c)
{
    (void)close(c->in_fd);
    if (c->out_fd != c->in_fd) {
        (void)close(c->out_fd);
    }
    free(c->bytes);
    free(c->line);
    free(c);
}

static void say(client *c, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        const ssize_t put = write(c->out_fd, text, n);
        assert_true(put > 0);
        text += put;
        n -= (size_t)put;
    }
}

/* More bytes, or the end. */
static bool read_more(client *c)
{
    struct pollfd p = {.fd = c->in_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, READ_WAIT_S * 1000), 1);
    assert_true(c->n < CLIENT_BYTES);
    const ssize_t got = read(c->in_fd, c->bytes + c->n, CLIENT_BYTES - c->n);
    c->n += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The next line, or NULL at the end of the connection. */
static const char *hear(client *c)
{
    char *end;
    while (!(end = memchr(c->bytes, '\n', c->n))) {
        if (!read_more(c)) {
            return NULL;
        }
    }
    const size_t n = (size_t)(end - c->bytes);
    memcpy(c->line, c->bytes, n);
    c->line[n] = '\0';
    c->n -= n + 1;
    memmove(c->bytes, end + 1, c->n);
    return c->line;
}

/* Lines until one holds `part`. */
static const char *hear_until(client *c, const char *part)
{
    const char *line;
    do {
        line = hear(c);
        if (!line) {
            fail_msg("the connection ended before \"%s\"", part);
        }
    } while (!strstr(line, part));
    return line;
}

static void wait_for(const _Atomic uint64_t *counter, uint64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(counter) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void a_call_is_answered_and_its_stream_follows(void **state)
{
    fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    client *c = client_open(f);
    say(c, GEN("s", "hi", ",\"max_tokens\":7"));
    assert_non_null(strstr(hear(c), "\"stream_id\":\"s\",\"started_at\":"));
    assert_non_null(strstr(hear(c), "\"token\":\"w0 \",\"token_id\":"));
    assert_non_null(strstr(hear_until(c, "stream.stats"), "\"tokens_generated\":7"));
    assert_non_null(strstr(hear(c), "\"event\":\"completed\",\"finish_reason\":\"length\""));
    client_close(c);
}

static void a_client_that_vanishes_cancels_its_streams(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    say(c,
        GEN("a", "forever", "")
            GEN("b", "silent",
                "") "{\"jsonrpc\":\"2.0\",\"method\":\"batch_tokenize\",\"params\":{\"requests\":["
                    "{\"model_id\":\"fake\",\"text\":\"x\"}]},\"id\":3}\n");
    (void)hear_until(c, "w0 ");
    wait_for(&f->fake->n_opened, 3);
    client_close(c);
    wait_for(&f->fake->n_cancelled, 2);
    wait_for(&f->fake->n_ended, 3);
    client *again = client_open(f);
    say(again, STATE);
    assert_non_null(strstr(hear(again), "\"active_streams\":0"));
    client_close(again);
}

static void a_client_that_does_not_read_pauses_itself_alone(void **state)
{
    fixture *f = *state;
    client *lazy = client_open(f);
    for (int i = 0; i < 8; i++) { /* 16 KiB a word: its socket is full at once */
        char line[256];
        (void)snprintf(line, sizeof(line), GEN("%d", "flood", ""), i);
        say(lazy, line);
    }
    wait_for(&f->fake->n_paused, 8);
    client *c = client_open(f);
    say(c, GEN("s", "hi", ",\"max_tokens\":300"));
    (void)hear_until(c, "stream.event");
    (void)hear_until(lazy, "ffff"); /* and goes on when it reads */
    const uint64_t n = atomic_load(&f->fake->n_granted);
    while (atomic_load(&f->fake->n_granted) == n) {
        assert_non_null(hear(lazy));
    }
    client_close(lazy);
    client_close(c);
}

static void loads_end_on_another_thread(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    atomic_store(&f->is_load_held, true);
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"load_model\",\"params\":{\"model_id\":\"tests\"},"
           "\"id\":7}\n");
    wait_for(&f->n_loading, 1);
    say(c, STATE); /* nobody waits for it */
    assert_non_null(strstr(hear(c), "\"id\":2"));
    atomic_store(&f->is_load_held, false);
    assert_non_null(
        strstr(hear(c), "\"id\":7,\"result\":{\"model_id\":\"tests\",\"state\":\"ready\""));
    client_close(c);
}

static void a_load_may_end_after_its_client(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    atomic_store(&f->is_load_held, true);
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"load_model\",\"params\":{\"model_id\":\"tests\"},"
           "\"id\":7}\n");
    wait_for(&f->n_loading, 1);
    client_close(c);
    atomic_store(&f->is_load_held, false);
    client *watcher = client_open(f);
    const char *line;
    do {
        say(watcher, STATE);
        line = hear(watcher);
    } while (!strstr(line, "\"model_id\":\"tests\""));
    client_close(watcher);
}

static void events_reach_those_who_asked_while_they_are_there(void **state)
{
    fixture *f = *state;
    client *gone = client_open(f);
    client *c = client_open(f);
    const char *subscribe = "{\"jsonrpc\":\"2.0\",\"method\":\"events.subscribe\",\"params\":{"
                            "\"topics\":[\"model.*\",\"request.*\"]},\"id\":1}\n";
    say(gone, subscribe);
    say(c, subscribe);
    assert_non_null(strstr(hear(gone), "topics"));
    assert_non_null(strstr(hear(c), "topics"));
    for (int i = 0; i < 20; i++) {
        char line[256];
        (void)snprintf(line, sizeof(line), GEN("e%d", "hi", ",\"max_tokens\":2"), i);
        say(c, line);
        if (i == 10) {
            client_close(gone); /* in the middle of it */
        }
    }
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"load_model\",\"params\":{\"model_id\":\"tests\"},"
           "\"id\":7}\n");
    assert_non_null(strstr(hear_until(c, "\"event\":\"model.loaded\""), "\"method\":\"event\""));
    client_close(c);
}

static void a_message_too_long_costs_only_itself(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    char junk[4097];
    memset(junk, 'x', sizeof(junk) - 1);
    junk[sizeof(junk) - 1] = '\0';
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    for (int i = 0; i < 300; i++) {
        say(c, junk);
    }
    say(c, "\",\"id\":\"long\"}\n" STATE);
    assert_non_null(strstr(hear(c), "\"id\":\"long\",\"error\":{\"code\":-32600,\"message\":"
                                    "\"Buffer overflow: would exceed 1048576 bytes\""));
    assert_non_null(strstr(hear(c), "loaded_models"));
    client_close(c);
}

static void shutdown_ends_the_connection_only(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    say(c, GEN("s", "forever", ""));
    (void)hear_until(c, "w0 ");
    say(c, "{\"jsonrpc\":\"2.0\",\"method\":\"shutdown\",\"id\":\"shutdown\"}\n");
    (void)hear_until(c, "\"finish_reason\":\"shutdown\"");
    assert_non_null(strstr(hear(c), "\"id\":\"shutdown\",\"result\":{\"success\":true}"));
    assert_null(hear(c));
    client_close(c);
    c = client_open(f);
    say(c, STATE);
    assert_non_null(hear(c));
    client_close(c);
}

static void a_stopping_server_ends_streams_and_says_so(void **state)
{
    fixture *f = *state;
    client *idle = client_open(f);
    say(idle, STATE);
    assert_non_null(hear(idle));
    client *c = client_open(f);
    say(c, GEN("s", "forever", ""));
    (void)hear_until(c, "w0 ");
    krs_server_stop(f->server);
    assert_null(hear(idle));
    (void)hear_until(c, "\"finish_reason\":\"shutdown\"");
    assert_null(hear(c));
    client_close(idle);
    client_close(c);
}

static void one_client_too_many_is_told_so(void **state)
{
    (void)state;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.max_connections = 1;
    fixture *f = start(&options);
    client *first = client_open(f);
    say(first, STATE);
    assert_non_null(hear(first));
    client *second = client_open(f);
    assert_non_null(strstr(hear(second), "\"code\":-32013"));
    assert_null(hear(second));
    client_close(second);
    client_close(first);
    void *again = f;
    (void)tear_down(&again);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered_and_its_stream_follows),
        TEST(a_client_that_vanishes_cancels_its_streams),
        TEST(a_client_that_does_not_read_pauses_itself_alone),
        TEST(loads_end_on_another_thread),
        TEST(a_load_may_end_after_its_client),
        TEST(events_reach_those_who_asked_while_they_are_there),
        TEST(a_message_too_long_costs_only_itself),
        TEST(shutdown_ends_the_connection_only),
        TEST(a_stopping_server_ends_streams_and_says_so),
        cmocka_unit_test(one_client_too_many_is_told_so),
        cmocka_unit_test(stdio_may_be_a_socket),
        cmocka_unit_test(stdio_may_be_pipes),
        cmocka_unit_test(the_end_of_input_ends_stdio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
