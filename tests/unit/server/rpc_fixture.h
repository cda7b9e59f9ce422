/* unit/server/rpc_fixture.h - a server that speaks JSON-RPC, over a fake runtime, and a client that reads lines.
 *
 * The service can "load" models too: other fakes, on its own thread, when the test lets it. Whoever includes
 * this has defined _POSIX_C_SOURCE. */
#pragma once

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

static inline void run_server(void *ctx)
{
    fixture *f = ctx;
    f->run_status = krs_server_run(f->server, NULL);
}

/* "Loads" another fake, when the test lets it. */
static inline krs_status open_model(void *ctx, const krs_model_spec *spec, krs_runtime **out,
                                    krs_error *err)
{
    fixture *f = ctx;
    atomic_fetch_add(&f->n_loading, 1);
    while (atomic_load(&f->is_load_held)) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    if (strstr(spec->id, "data")) {
        return krs_fail(err, KRS_EFORMAT, "config.json: not a model");
    }
    *out = &fake_runtime_new(STEP_NS)->base;
    return KRS_OK;
}

static inline fixture *start(const krs_server_options *options)
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
    static const krs_server_options usual = KRS_SERVER_OPTIONS_INIT;
    krs_server_options full = *options;
    full.host = NULL;
    full.n_io_threads = 2;
    full.drain_ms = full.drain_ms == usual.drain_ms ? 2000 : full.drain_ms;
    full.version = "9.9.9";
    full.rpc.path = full.rpc.is_stdio ? NULL : f->path;
    krs_error err = KRS_ERROR_INIT;
    if (krs_server_open(&full, f->service, NULL, &f->server, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_os_thread_start("server", run_server, f, &f->thread, NULL), KRS_OK);
    return f;
}

static inline int set_up(void **state)
{
    const krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    *state = start(&options);
    return 0;
}

static inline int tear_down(void **state)
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

static inline client *client_new(int in_fd, int out_fd)
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

static inline client *client_open(const fixture *f)
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

static inline void client_close(client *c)
{
    (void)close(c->in_fd);
    if (c->out_fd != c->in_fd) {
        (void)close(c->out_fd);
    }
    free(c->bytes);
    free(c->line);
    free(c);
}

static inline void say(client *c, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        const ssize_t put = write(c->out_fd, text, n);
        assert_true(put > 0);
        text += put;
        n -= (size_t)put;
    }
}

/* More bytes, or the end. */
static inline bool read_more(client *c)
{
    struct pollfd p = {.fd = c->in_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, READ_WAIT_S * 1000), 1);
    assert_true(c->n < CLIENT_BYTES);
    const ssize_t got = read(c->in_fd, c->bytes + c->n, CLIENT_BYTES - c->n);
    c->n += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The next line, or NULL at the end of the connection. */
static inline const char *hear(client *c)
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
static inline const char *hear_until(client *c, const char *part)
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

static inline void wait_for(const _Atomic uint64_t *counter, uint64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(counter) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}
