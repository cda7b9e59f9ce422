/* unit/server/test_credit.c - a reader that stops pauses its own answer: nothing is lost, nobody else waits. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"

#define LONG_TOKENS 6000 /* some 1.3 MB of events: more than all buffers on the way hold */

static fixture *start_fast(uint32_t stall_ms)
{
    fixture_options options = defaults();
    options.step_ns = 20000;
    options.server.times.stall_ms = stall_ms;
    return start_fixture(&options);
}

static void ask_for_long(client *c)
{
    char more[64];
    (void)snprintf(more, sizeof(more), ",\"stream\":true,\"max_tokens\":%d", LONG_TOKENS);
    post_chat(c, "long", more);
}

/* Read the events of the stream as they come and require every word, once, in order. */
static void expect_every_word(client *c)
{
    uint32_t n = 0;
    char want[64];
    while (n < LONG_TOKENS) {
        (void)snprintf(want, sizeof(want), "\"content\":\"w%u \"", n);
        const long at = client_wait(c, want);
        if (at < 0) {
            fail_msg("the stream ended before w%u: %.200s", n, c->in);
        }
        client_drop(c, (size_t)at + strlen(want));
        n++;
    }
    assert_true(client_wait(c, "data: [DONE]") >= 0);
}

/* The stream is paused for good: the kernel still moves bytes from one side of the socket to the other for a
 * while, and each time it does the stream goes on for a moment. */
static uint64_t wait_until_settled(fixture *f)
{
    enum { QUIET_LOOKS = 100 }; /* at intervals of 1 ms */
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    uint64_t n_words = atomic_load(&f->fake->n_words);
    for (int looks = 0; looks < QUIET_LOOKS; looks++) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
        const uint64_t now = atomic_load(&f->fake->n_words);
        looks = now == n_words && atomic_load(&f->fake->n_paused) == 1 ? looks : 0;
        n_words = now;
        assert_true(krs_os_now_ns() < deadline_ns);
    }
    return n_words;
}

static void a_reader_that_stops_pauses_its_stream_and_loses_nothing(void **state)
{
    (void)state;
    fixture *f = start_fast(600000);
    client *slow = client_open(f->port);
    ask_for_long(slow);
    wait_for(&f->fake->n_pauses, 1);
    wait_for_metric(f, KRS_METRIC_STREAM_PAUSES, 1);
    const uint64_t n_words = wait_until_settled(f);
    assert_true(n_words < LONG_TOKENS);
    for (int i = 0; i < 5; i++) { /* neighbours go on meanwhile */
        client *c = client_open(f->port);
        post_chat(c, "hi", i % 2 ? ",\"stream\":true" : "");
        assert_non_null(strstr(expect(f, c, 200), "w4"));
        client_close(c);
    }
    assert_int_equal(atomic_load(&f->fake->n_paused), 1);
    assert_int_equal(atomic_load(&f->fake->n_words), n_words + 5 * 5);
    expect_every_word(slow);
    assert_int_equal(atomic_load(&f->fake->n_cancelled), 0);
    client_close(slow);
    end_fixture(f);
}

static void choices_of_one_reader_pause_together(void **state)
{
    (void)state;
    fixture *f = start_fast(600000);
    client *c = client_open(f->port);
    post_chat(c, "flood", ",\"stream\":true,\"n\":4");
    wait_for(&f->fake->n_paused, 4);
    wait_for_metric(f, KRS_METRIC_STREAM_PAUSES, 1);
    /* Each was ahead by its window and what had been granted while the buffers filled. */
    assert_true(atomic_load(&f->fake->n_granted) < 16 * 4 * KRS_SERVER_STREAM_WINDOW);
    client_reset(c); /* it need not be read to be missed */
    wait_for(&f->fake->n_cancelled, 4);
    assert_int_equal(atomic_load(&f->fake->n_paused), 0);
    end_fixture(f);
}

static void a_paused_stream_meets_its_deadline(void **state)
{
    (void)state;
    fixture *f = start_fast(600000);
    client *c = client_open(f->port);
    post_chat(c, "flood", ",\"stream\":true,\"timeout_ms\":700");
    wait_for_metric(f, KRS_METRIC_REQUESTS_DEADLINE, 1);
    assert_true(atomic_load(&f->fake->n_pauses) >= 1);
    client_close(c);
    end_fixture(f);
}

static void a_reader_that_never_comes_back_is_cancelled(void **state)
{
    (void)state;
    fixture *f = start_fast(300);
    client *c = client_open(f->port);
    post_chat(c, "flood", ",\"stream\":true");
    wait_for_metric(f, KRS_METRIC_STREAM_SLOW, 1);
    wait_for(&f->fake->n_cancelled, 1);
    client_close(c);
    end_fixture(f);
}

static void only_streams_are_kept_on_credit(void **state)
{
    (void)state;
    fixture *f = start_fast(600000);
    client *c = client_open(f->port);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    assert_int_equal(atomic_load(&f->fake->last_credit), KRS_CREDIT_UNLIMITED);
    post_chat(c, "hi", ",\"stream\":true");
    (void)expect(f, c, 200);
    assert_int_equal(atomic_load(&f->fake->last_credit), KRS_SERVER_STREAM_WINDOW);
    client_close(c);
    end_fixture(f);
}

static void tokens_without_text_do_not_use_the_credit_up(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.server.stream_window = 1;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    post_chat(c, "mute", ",\"stream\":true,\"max_tokens\":40");
    assert_non_null(strstr(expect(f, c, 200), "[DONE]"));
    client_close(c);
    end_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_stops_pauses_its_stream_and_loses_nothing),
        cmocka_unit_test(choices_of_one_reader_pause_together),
        cmocka_unit_test(a_paused_stream_meets_its_deadline),
        cmocka_unit_test(a_reader_that_never_comes_back_is_cancelled),
        cmocka_unit_test(only_streams_are_kept_on_credit),
        cmocka_unit_test(tokens_without_text_do_not_use_the_credit_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
