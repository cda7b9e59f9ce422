/* unit/server/test_rpc.c - JSON-RPC over a Unix socket: clients that vanish, stop reading or stop; a server that does;
 * loads that end on another thread, for clients who may have gone. */
#define _POSIX_C_SOURCE 200809L
#include "rpc_fixture.h"

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

static void calls_are_counted_by_method(void **state)
{
    fixture *f = *state;
    client *c = client_open(f);
    say(c, STATE STATE GEN("s", "hi", ",\"max_tokens\":1") "{\"jsonrpc\":\"2.0\",\"method\":\"load_"
                                                           "model\",\"params\":{\"model_id\":"
                                                           "\"tests/data\"},\"id\":4}\n");
    (void)hear_until(c, "Failed to load model");
    krs_buf out;
    krs_buf_init(&out, NULL, KRS_SERVICE_METRICS_BYTES);
    assert_int_equal(krs_service_write_metrics(f->service, &out), KRS_OK);
    assert_non_null(strstr(out.data, "krs_rpc_calls_total{method=\"runtime/state\"} 2\n"));
    assert_non_null(strstr(out.data, "krs_rpc_calls_total{method=\"generate\"} 1\n"));
    assert_non_null(strstr(out.data, "krs_rpc_errors_total{method=\"load_model\"} 1\n"));
    krs_buf_deinit(&out);
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

/* Nobody waits for the end of the drain when nothing is left to wait for. */
static void a_stopping_server_leaves_with_the_last_stream(void **state)
{
    (void)state;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.drain_ms = 3600000;
    fixture *f = start(&options);
    client *c = client_open(f);
    say(c, GEN("s", "hi", ",\"max_tokens\":200"));
    (void)hear_until(c, "w0 ");
    krs_server_stop(f->server);
    (void)hear_until(c, "\"finish_reason\":\"length\"");
    assert_null(hear(c));
    client_close(c);
    void *again = f;
    (void)tear_down(&again); /* joins the server */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered_and_its_stream_follows),
        TEST(calls_are_counted_by_method),
        TEST(a_client_that_vanishes_cancels_its_streams),
        TEST(a_client_that_does_not_read_pauses_itself_alone),
        TEST(loads_end_on_another_thread),
        TEST(a_load_may_end_after_its_client),
        TEST(events_reach_those_who_asked_while_they_are_there),
        TEST(a_message_too_long_costs_only_itself),
        TEST(shutdown_ends_the_connection_only),
        TEST(a_stopping_server_ends_streams_and_says_so),
        cmocka_unit_test(a_stopping_server_leaves_with_the_last_stream),
        cmocka_unit_test(one_client_too_many_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
