/* unit/server/test_gate.c - who comes in: hosts, origins, keys, rates; and the headers that every answer has. */
#define _POSIX_C_SOURCE 200809L
#include "os/dir.h"
#include "os/file.h"
#include "server_fixture.h"
#include "wire/digest.h"

typedef struct keys {
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES + 16];
} keys;

static void write_keys(const keys *k, const char *alice)
{
    char hex[3][KRS_SHA256_HEX_BYTES];
    const char *const texts[] = {alice, "ops-key", "bob-key"};
    for (int i = 0; i < 3; i++) {
        uint8_t digest[KRS_SHA256_BYTES];
        krs_sha256(krs_str_of(texts[i]), digest);
        krs_sha256_write(digest, hex[i]);
    }
    FILE *file = fopen(k->path, "w");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "alice sha256:%s rpm=3 best=normal\nops sha256:%s admin\n"
                        "bob sha256:%s concurrent=2\n",
                        hex[0], hex[1], hex[2]) > 0);
    assert_int_equal(fclose(file), 0);
}

static fixture *start_with_keys(keys *k)
{
    assert_int_equal(krs_os_dir_temporary(k->dir, NULL), KRS_OK);
    (void)snprintf(k->path, sizeof(k->path), "%s/keys", k->dir);
    write_keys(k, "alice-key");
    fixture_options options = defaults();
    options.key_file = k->path;
    return start_fixture(&options);
}

static void end_with_keys(fixture *f, const keys *k)
{
    end_fixture(f);
    assert_int_equal(remove(k->path), 0);
    assert_int_equal(rmdir(k->dir), 0);
}

/* One request with more header lines, each with its CR LF; returns the body. */
static const char *ask(fixture *f, const char *method, const char *path, const char *headers,
                       const char *body, int status)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n%s\r\n%s",
                   method, path, strlen(body), headers, body);
    client *c = client_open(f->port);
    client_send(c, text);
    const char *answer = expect(f, c, status);
    client_close(c);
    return answer;
}

/* The answer is there although most of the body is still to come. */
static void a_strangers_body_is_not_waited_for(void **state)
{
    (void)state;
    static const char head[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\nContent-Length: 60000\r\n"
                               "Expect: 100-continue\r\n\r\n";
    keys k;
    fixture *f = start_with_keys(&k);
    client *c = client_open(f->port);
    client_send(c, head);
    assert_non_null(strstr(expect(f, c, 401), "invalid_api_key"));
    assert_non_null(strstr(f->r.head, "Connection: close\r\n"));
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_AUTH_FAILURES), 1);
    client_close(c);
    end_with_keys(f, &k);
}

#define ALICE "Authorization: Bearer alice-key\r\n"
#define OPS   "X-Api-Key: ops-key\r\n"

static void every_route_but_liveness_needs_a_key(void **state)
{
    (void)state;
    static const char *const paths[][2] = {{"GET", "/v1/models"},
                                           {"GET", "/v1/models/fake"},
                                           {"GET", "/health/ready"},
                                           {"GET", "/metrics"},
                                           {"GET", "/version"},
                                           {"GET", "/admin/models"},
                                           {"GET", "/nothing"},
                                           {"POST", "/v1/chat/completions"},
                                           {"POST", "/v1/completions"},
                                           {"POST", "/tokenize"},
                                           {"POST", "/detokenize"},
                                           {"POST", "/v1/embeddings"},
                                           {"POST", "/v1/responses"},
                                           {"POST", "/admin/drain"},
                                           {"POST", "/admin/reload"},
                                           {"POST", "/admin/models/load"},
                                           {"POST", "/admin/models/unload"}};
    keys k;
    fixture *f = start_with_keys(&k);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_non_null(strstr(ask(f, paths[i][0], paths[i][1], "", "", 401), "invalid_api_key"));
        assert_non_null(strstr(f->r.head, "WWW-Authenticate: Bearer\r\n"));
        (void)ask(f, paths[i][0], paths[i][1], "Authorization: Bearer alice-kez\r\n", "", 401);
    }
    assert_non_null(
        strstr(ask(f, "POST", "/v1/messages", "", "", 401), "{\"type\":\"error\",\"error\":{"));
    (void)ask(f, "GET", "/health/live", "", "", 200);
    (void)ask(f, "GET", "/version", ALICE, "", 200);
    (void)ask(f, "GET", "/version", "x-api-key: alice-key\r\n", "", 200);
    assert_int_equal(atomic_load(&f->fake->n_opened), 0);
    end_with_keys(f, &k);
}

/* Inputs take the places that there are, one after the other; choices of an answer need theirs at once. */
static void many_inputs_fit_a_tenant_of_few_places(void **state)
{
    (void)state;
    static const char bob[] = "X-Api-Key: bob-key\r\n";
    keys k;
    fixture *f = start_with_keys(&k);
    const char *answer = ask(f, "POST", "/v1/embeddings", bob,
                             "{\"model\":\"fake\",\"input\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", 200);
    assert_non_null(strstr(answer, "\"index\":4"));
    (void)ask(f, "POST", "/v1/chat/completions", bob,
              "{\"model\":\"fake\",\"n\":3,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
              429);
    end_with_keys(f, &k);
}

static void administration_needs_an_admin_key(void **state)
{
    (void)state;
    keys k;
    fixture *f = start_with_keys(&k);
    assert_non_null(strstr(ask(f, "GET", "/admin/models", ALICE, "", 403), "admin key"));
    assert_non_null(strstr(ask(f, "GET", "/admin/models", OPS, "", 200),
                           "{\"id\":\"fake\",\"state\":\"ready\",\"in_flight\":0"));
    assert_non_null(
        strstr(ask(f, "POST", "/admin/models/load", OPS, "{\"id\":\"x\"}", 400), "path: missing"));
    (void)ask(f, "POST", "/admin/models/load", OPS, "{\"id\":\"x\",\"path\":\"/x\"}", 422);
    (void)ask(f, "POST", "/admin/models/unload", OPS, "{\"id\":\"x\"}", 404);
    (void)ask(f, "POST", "/admin/models/unload", OPS, "[]", 400);
    (void)ask(f, "POST", "/admin/drain", OPS, "{}", 202);
    assert_non_null(strstr(ask(f, "GET", "/health/ready", OPS, "", 503), "draining"));
    end_with_keys(f, &k);
}

static void without_a_key_file_tcp_may_not_administrate(void **state)
{
    fixture *f = *state;
    (void)ask(f, "GET", "/admin/models", OPS, "", 403);
    (void)ask(f, "POST", "/admin/drain", "", "{}", 403);
    (void)ask(f, "GET", "/health/ready", "", "", 200);
}

static void a_key_is_a_tenant_with_a_rate_and_a_best_priority(void **state)
{
    (void)state;
    keys k;
    fixture *f = start_with_keys(&k);
    char body[256];
    chat_body(body, sizeof(body), "hi", "");
    (void)ask(f, "POST", CHAT, ALICE, body, 200);
    assert_int_not_equal(atomic_load(&f->fake->last_tenant), 0);
    chat_body(body, sizeof(body), "hi", ",\"priority\":\"urgent\"");
    (void)ask(f, "POST", CHAT, ALICE, body, 403);
    (void)ask(f, "POST", CHAT, OPS, body, 200);
    assert_int_equal(atomic_load(&f->fake->last_priority), KRS_PRIORITY_URGENT);
    chat_body(body, sizeof(body), "hi", "");
    (void)ask(f, "POST", CHAT, ALICE, body, 200);
    (void)ask(f, "POST", CHAT, ALICE, body, 429); /* the fourth of three a minute */
    const char *retry = strstr(f->r.head, "Retry-After: ");
    assert_non_null(retry);
    const long seconds = strtol(retry + 13, NULL, 10);
    assert_true(seconds >= 1 && seconds <= 20); /* one comes back every 20 s */
    assert_non_null(strstr(f->r.body, "\"retryable\":true"));
    assert_non_null(strstr(f->r.body, "\"retry_after_ms\":"));
    (void)ask(f, "POST", CHAT, OPS, body, 200);      /* others have their own */
    (void)ask(f, "GET", "/version", ALICE, "", 200); /* what costs nothing is not counted */
    end_with_keys(f, &k);
}

static void keys_are_read_again_on_reload(void **state)
{
    (void)state;
    keys k;
    fixture *f = start_with_keys(&k);
    (void)ask(f, "GET", "/version", ALICE, "", 200);
    write_keys(&k, "alice-new");
    (void)ask(f, "POST", "/admin/reload", OPS, "{}", 202);
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    int status = 0;
    while (status != 200) {
        assert_true(krs_os_now_ns() < deadline_ns);
        client *c = client_open(f->port);
        client_send(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: alice-new\r\n\r\n");
        assert_true(client_read(c, &f->r, true));
        status = f->r.status;
        client_close(c);
    }
    (void)ask(f, "GET", "/version", ALICE, "", 401);
    end_with_keys(f, &k);
}

static int status_of_host(fixture *f, const char *host)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "GET /version HTTP/1.1\r\nHost: %s\r\n\r\n", host);
    client *c = client_open(f->port);
    client_send(c, text);
    assert_true(client_read(c, &f->r, true));
    client_close(c);
    return f->r.status;
}

static void loopback_answers_to_its_own_names_only(void **state)
{
    fixture *f = *state;
    assert_int_equal(status_of_host(f, "localhost"), 200);
    assert_int_equal(status_of_host(f, "LocalHost:1234"), 200);
    assert_int_equal(status_of_host(f, "127.0.0.1:80"), 200);
    assert_int_equal(status_of_host(f, "[::1]:80"), 200);
    assert_int_equal(status_of_host(f, "evil.example"), 403);
    assert_int_equal(status_of_host(f, "evil.example:8080"), 403);
    assert_int_equal(status_of_host(f, "localhost.evil.example"), 403);
    assert_int_equal(status_of_host(f, "127.0.0.1.evil.example"), 403);
    assert_int_equal(status_of_host(f, ":80"), 403);
}

static void more_hosts_may_be_allowed(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.server.allowed_hosts = "api.example, other.example";
    fixture *f = start_fixture(&options);
    assert_int_equal(status_of_host(f, "api.example:8080"), 200);
    assert_int_equal(status_of_host(f, "OTHER.example"), 200);
    assert_int_equal(status_of_host(f, "localhost"), 200);
    assert_int_equal(status_of_host(f, "evil.example"), 403);
    end_fixture(f);
    options.server.allowed_hosts = "*";
    f = start_fixture(&options);
    assert_int_equal(status_of_host(f, "evil.example"), 200);
    end_fixture(f);
}

#define PREFLIGHT                                                                                  \
    "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a, b\r\n"

static void pages_elsewhere_get_no_answer_they_could_read(void **state)
{
    fixture *f = *state;
    (void)ask(f, "GET", "/version", "Origin: https://app.example\r\n", "", 200);
    assert_null(strstr(f->r.head, "Access-Control"));
    (void)ask(f, "OPTIONS", CHAT, "Origin: https://app.example\r\n" PREFLIGHT, "", 204);
    assert_null(strstr(f->r.head, "Access-Control"));
}

static void an_allowed_origin_may_call(void **state)
{
    (void)state;
    keys k;
    assert_int_equal(krs_os_dir_temporary(k.dir, NULL), KRS_OK);
    (void)snprintf(k.path, sizeof(k.path), "%s/keys", k.dir);
    write_keys(&k, "alice-key");
    fixture_options options = defaults();
    options.key_file = k.path;
    options.server.cors_origins = "https://app.example";
    fixture *f = start_fixture(&options);
    /* A browser asks without the key. */
    (void)ask(f, "OPTIONS", CHAT, "Origin: https://app.example\r\n" PREFLIGHT, "", 204);
    assert_non_null(strstr(f->r.head, "Access-Control-Allow-Origin: https://app.example\r\n"));
    assert_non_null(strstr(f->r.head, "Access-Control-Allow-Methods: POST, OPTIONS\r\n"));
    assert_non_null(strstr(f->r.head, "Access-Control-Allow-Headers: x-a, b\r\n"));
    char body[256];
    chat_body(body, sizeof(body), "hi", ",\"stream\":true");
    (void)ask(f, "POST", CHAT, "Origin: https://app.example\r\n" ALICE, body, 200);
    assert_non_null(strstr(f->r.head, "Access-Control-Allow-Origin: https://app.example\r\n"));
    (void)ask(f, "POST", CHAT, "Origin: https://app.example\r\n", body, 401);
    assert_non_null(strstr(f->r.head, "Access-Control-Allow-Origin: https://app.example\r\n"));
    (void)ask(f, "GET", "/version", "Origin: https://evil.example\r\n" ALICE, "", 200);
    assert_null(strstr(f->r.head, "Access-Control"));
    end_with_keys(f, &k);
}

static void a_trace_goes_on_under_a_new_span(void **state)
{
    fixture *f = *state;
    (void)ask(f, "GET", "/version",
              "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n", "", 200);
    assert_non_null(strstr(f->r.head, "traceparent: 00-0123456789abcdef0123456789abcdef-"));
    assert_null(strstr(f->r.head, "-0123456789abcdef-01\r\n"));
    (void)ask(f, "GET", "/nothing", "traceparent: junk\r\n", "", 404);
    assert_non_null(strstr(f->r.head, "traceparent: 00-"));
}

static void fields_without_effect_are_named_in_a_header(void **state)
{
    fixture *f = *state;
    char body[256];
    chat_body(body, sizeof(body), "hi", ",\"foo\":1,\"stream\":true");
    (void)ask(f, "POST", CHAT, "", body, 200);
    assert_non_null(strstr(f->r.head, "X-Krs-Ignored-Fields: foo\r\n"));
    chat_body(body, sizeof(body), "hi", ",\"a\\r\\nX-Evil: 1\":1");
    (void)ask(f, "POST", CHAT, "", body, 200);
    assert_null(strstr(f->r.head, "\nX-Evil"));
    chat_body(body, sizeof(body), "hi", "");
    (void)ask(f, "POST", CHAT, "", body, 200);
    assert_null(strstr(f->r.head, "X-Krs-Ignored-Fields"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_but_liveness_needs_a_key),
        cmocka_unit_test(a_strangers_body_is_not_waited_for),
        cmocka_unit_test(many_inputs_fit_a_tenant_of_few_places),
        cmocka_unit_test(administration_needs_an_admin_key),
        cmocka_unit_test_setup_teardown(without_a_key_file_tcp_may_not_administrate, set_up,
                                        tear_down),
        cmocka_unit_test(a_key_is_a_tenant_with_a_rate_and_a_best_priority),
        cmocka_unit_test(keys_are_read_again_on_reload),
        cmocka_unit_test_setup_teardown(loopback_answers_to_its_own_names_only, set_up, tear_down),
        cmocka_unit_test(more_hosts_may_be_allowed),
        cmocka_unit_test_setup_teardown(pages_elsewhere_get_no_answer_they_could_read, set_up,
                                        tear_down),
        cmocka_unit_test(an_allowed_origin_may_call),
        cmocka_unit_test_setup_teardown(a_trace_goes_on_under_a_new_span, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_without_effect_are_named_in_a_header, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
