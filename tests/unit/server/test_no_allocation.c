/* unit/server/test_no_allocation.c - a streamed token costs no memory, from the runtime to the socket.
 *
 * The executable's own malloc, calloc, realloc and aligned_alloc stand before the C library's and count what
 * every thread asks for, libevent, zlib and jansson included. After warm-up, 1,000 steps of 32 streams of
 * several kinds over real sockets must ask for nothing.
 *
 * Not counted under sanitizers, whose runtimes bring their own malloc; the streams run there all the same. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"
#include "support/malloc_count.h"

#include <poll.h>

#define N_CLIENTS    32
#define N_WARM_STEPS 200
#define N_STEPS      1000 /* counted */
#define N_WINDOWS    20   /* tries to see N_STEPS steps without an allocation */

/* The kinds of streams there are, and what changes their way. */
static void ask(client *c, int i)
{
    static const char *const kinds[][2] = {
        {CHAT, "{\"model\":\"fake\",\"stream\":true,\"max_tokens\":100000,\"messages\":"
               "[{\"role\":\"user\",\"content\":\"long\"}]}"},
        {CHAT, "{\"model\":\"fake\",\"stream\":true,\"max_tokens\":100000,\"logprobs\":true,"
               "\"top_logprobs\":2,\"messages\":[{\"role\":\"user\",\"content\":\"long\"}]}"},
        {COMPLETIONS, "{\"model\":\"fake\",\"stream\":true,\"max_tokens\":100000,\"n\":2,"
                      "\"prompt\":\"long\"}"},
        {"/v1/messages", "{\"model\":\"fake\",\"stream\":true,\"max_tokens\":100000,\"messages\":"
                         "[{\"role\":\"user\",\"content\":\"long\"}]}"},
        {"/v1/responses", "{\"model\":\"fake\",\"stream\":true,\"max_output_tokens\":100000,"
                          "\"input\":\"long\"}"},
    };
    const size_t kind = (size_t)i % (sizeof(kinds) / sizeof(kinds[0]));
    char head[512];
    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "%sContent-Length: %zu\r\n\r\n",
                   kinds[kind][0], i % 3 == 0 ? "Accept-Encoding: gzip\r\n" : "",
                   strlen(kinds[kind][1]));
    client_send(c, head);
    client_send(c, kinds[kind][1]);
}

/* Take what has arrived, wherever it has. */
static size_t read_all(struct pollfd *fds)
{
    static char bytes[1 << 16];
    size_t n_read = 0;
    assert_true(poll(fds, N_CLIENTS, CLIENT_TIMEOUT_S * 1000) > 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        const ssize_t n = fds[i].revents ? recv(fds[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT) : 1;
        assert_true(n > 0);
        n_read += fds[i].revents ? (size_t)n : 0;
    }
    return n_read;
}

static size_t read_steps(const fixture *f, struct pollfd *fds, uint64_t n_steps)
{
    const uint64_t end = atomic_load(&f->fake->n_steps) + n_steps;
    size_t n_read = 0;
    while (atomic_load(&f->fake->n_steps) < end) {
        n_read += read_all(fds);
    }
    return n_read;
}

/* Allocations in N_STEPS steps of all streams. */
static unsigned count_window(const fixture *f, struct pollfd *fds)
{
    const uint64_t n_words = atomic_load(&f->fake->n_words);
    atomic_store(&n_allocations, 0);
    atomic_store(&is_counting, has_interposed);
    const size_t n_read = read_steps(f, fds, N_STEPS);
    atomic_store(&is_counting, false);
    assert_true(atomic_load(&f->fake->n_words) - n_words >= N_CLIENTS * N_STEPS);
    assert_true(n_read > N_CLIENTS * N_STEPS); /* a byte a token at the very least */
    return (unsigned)atomic_load(&n_allocations);
}

/* On a busy machine a thread may stand still for longer than ever before, and buffers then grow to what came
 * meanwhile: that is warming up, too. What costs memory for a token costs it in every window. */
static void a_token_costs_no_memory(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.step_ns = KRS_NS_PER_MS / 2;
    fixture *f = start_fixture(&options);
    client *clients[N_CLIENTS];
    struct pollfd fds[N_CLIENTS];
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i] = client_open(f->port);
        ask(clients[i], i);
        fds[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLIN};
    }
    wait_for(&f->fake->n_opened, N_CLIENTS);
    (void)read_steps(f, fds, N_WARM_STEPS);
    unsigned n = count_window(f, fds);
    for (int i = 1; n > 0 && i < N_WINDOWS; i++) {
        n = count_window(f, fds);
    }
    assert_int_equal(n, 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        client_close(clients[i]);
    }
    end_fixture(f);
}

/* The counter itself: else the test above could not fail. */
static void an_allocation_is_seen(void **state)
{
    (void)state;
    atomic_store(&n_allocations, 0);
    atomic_store(&is_counting, has_interposed);
    void *volatile ptr = malloc(1);
    atomic_store(&is_counting, false);
    free(ptr);
    assert_int_equal(atomic_load(&n_allocations), has_interposed);
    atomic_store(&n_allocations, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_allocation_is_seen),
                                       cmocka_unit_test(a_token_costs_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
