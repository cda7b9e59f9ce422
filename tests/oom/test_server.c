/* oom/test_server.c - any allocation of a server may fail while it serves: that request fails, or its
 * connection, and the next one is served. Nothing is held at the end. */
#define _POSIX_C_SOURCE 200809L
#include "support/oom.h"
#include "unit/server/server_fixture.h"

typedef struct attempt {
    const char *path;
    const char *body;
} attempt;

static const attempt attempts[] = {
    {CHAT, "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {CHAT, "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
           "\"stream\":true,\"n\":2,\"logprobs\":true,\"top_logprobs\":2}"},
    {"/v1/embeddings", "{\"model\":\"fake\",\"input\":[\"a\",\"b\"]}"},
    {"/v1/messages", "{\"model\":\"fake\",\"max_tokens\":3,\"stream\":true,\"messages\":"
                     "[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {"/tokenize", "{\"model\":\"fake\",\"prompt\":\"hi\"}"},
};

/* Ask on a connection of its own; what becomes of it: 200, 503, or 0 for a connection that was given up. */
static int ask(fixture *f, const attempt *a)
{
    client *c = client_open(f->port);
    char head[512];
    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Accept-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                   a->path, strlen(a->body));
    client_send(c, head);
    client_send(c, a->body);
    const int status = client_read(c, &f->r, true) ? f->r.status : 0;
    client_close(c);
    return status;
}

static void wait_until_all_ended(const fixture *f)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(&f->fake->n_ended) < atomic_load(&f->fake->n_opened)) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS / 4);
    }
}

/* The failing allocator is given to the server alone; the service and the runtime have their own tests. */
static krs_status serve_one(const krs_alloc *alloc, void *ctx)
{
    const attempt *a = ctx;
    fixture_options options = defaults();
    options.server.n_io_threads = 1;
    options.step_ns = 20000;
    options.alloc = alloc;
    fixture *f = try_fixture(&options);
    if (!f) {
        return KRS_ENOMEM;
    }
    const int first = ask(f, a);
    if (first != 200 && first != 503 && first != 0) {
        fail_msg("%s: status %d: %s", a->path, first, f->r.body);
    }
    wait_until_all_ended(f);
    /* One allocation fails in a run: if it was not needed for the first request, the second may meet it. */
    const int second = ask(f, a);
    assert_true(second == 200 || (first == 200 && (second == 503 || second == 0)));
    wait_until_all_ended(f);
    end_fixture(f);
    return first == 200 && second == 200 ? KRS_OK : KRS_ENOMEM;
}

static void a_failed_allocation_costs_one_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        attempt a = attempts[i];
        const uint64_t n_runs = krs_oom_sweep(serve_one, &a);
        print_message("%s: %llu allocations\n", a.path, (unsigned long long)n_runs - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_failed_allocation_costs_one_request)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
