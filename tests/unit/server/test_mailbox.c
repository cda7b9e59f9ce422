/* unit/server/test_mailbox.c - events cross whole, ends are never lost, wakes come once per batch. */
#include "server/event_pack.h"
#include "server/mailbox.h"
#include "support/cmocka.h"

#include <stdlib.h>

#define N_EVENTS 20000

static void packed_events_read_back_equal(void **state)
{
    (void)state;
    const krs_logprob top[2] = {{1, -0.5F, {"a\0b", 3}}, {2, -1.5F, {"", 0}}};
    const krs_token tokens[2] = {{7, -0.25F, top, 2, {"xy", 2}, 3, 40},
                                 {8, 0.0F, NULL, 0, {"", 0}, 1, 42}};
    const krs_stream_event event = {.text = KRS_STR("text"), .tokens = tokens, .n_tokens = 2};
    krs_buf packed;
    krs_buf_init(&packed, NULL, 4096);
    assert_int_equal(krs_event_pack(&event, true, &packed), KRS_OK);
    assert_int_equal(krs_event_pack(&event, false, &packed), KRS_OK);
    krs_arena arena;
    krs_arena_init(&arena, NULL, 1024, 1u << 20);
    krs_stream_event got;
    krs_status status = KRS_OK;
    size_t offset = 0;
    assert_true(krs_event_unpack(krs_buf_view(&packed), &offset, &arena, &got, &status));
    assert_true(krs_str_equal(got.text, event.text));
    assert_int_equal(got.n_tokens, 2);
    assert_int_equal(got.tokens[0].id, 7);
    assert_true(krs_str_equal(got.tokens[0].bytes, KRS_STR("xy")));
    assert_int_equal(got.tokens[0].n_top, 2);
    assert_true(got.tokens[0].top[0].logprob == -0.5F);
    assert_true(krs_str_equal(got.tokens[0].top[0].bytes, (krs_str){"a\0b", 3}));
    assert_int_equal(got.tokens[0].n_text, 3);
    assert_int_equal(got.tokens[1].n_text, 1);
    assert_int_equal(got.tokens[0].text_at, 40);
    assert_int_equal(got.tokens[1].text_at, 42);
    assert_int_equal(got.tokens[1].n_top, 0);
    assert_true(krs_event_unpack(krs_buf_view(&packed), &offset, &arena, &got, &status));
    assert_int_equal(got.n_tokens, 2);
    assert_null(got.tokens); /* counted, not carried */
    assert_false(krs_event_unpack(krs_buf_view(&packed), &offset, &arena, &got, &status));
    assert_int_equal(status, KRS_OK);
    krs_arena_deinit(&arena);
    krs_buf_deinit(&packed);
}

static void pack_is_all_or_nothing(void **state)
{
    (void)state;
    const krs_stream_event event = {.text = KRS_STR("0123456789")};
    krs_buf packed;
    krs_buf_init(&packed, NULL, 60);
    assert_int_equal(krs_event_pack(&event, false, &packed), KRS_OK);
    const size_t before = packed.len;
    assert_int_equal(krs_event_pack(&event, false, &packed), KRS_ETOOLARGE);
    assert_int_equal(packed.len, before);
    krs_buf_deinit(&packed);
}

static void an_end_arrives_even_when_events_do_not_fit(void **state)
{
    (void)state;
    krs_mailbox mailbox;
    assert_int_equal(krs_mailbox_init(&mailbox, 2, NULL, NULL), KRS_OK);
    krs_inbox inbox;
    krs_inbox_init(&inbox, false, 4u << 20, NULL);
    const size_t n = 1u << 20;
    char *text = calloc(1, n);
    assert_non_null(text);
    krs_stream_event event = {.user = &inbox, .text = {text, n}};
    for (int i = 0; i < 5; i++) {
        krs_mailbox_deliver(&mailbox, &event, 1); /* the fourth is over the ceiling */
    }
    event = (krs_stream_event){.user = &inbox, .is_end = true, .finish = KRS_FINISH_LENGTH};
    krs_mailbox_deliver(&mailbox, &event, 1);
    krs_accepted sockets[2];
    const krs_mailbox_batch batch = krs_mailbox_take(&mailbox, sockets);
    assert_ptr_equal(batch.first, &inbox);
    assert_null(inbox.next_taken); /* listed once */
    assert_true(inbox.lost_taken == KRS_ETOOLARGE && inbox.is_end_taken);
    assert_int_equal(inbox.finish, KRS_FINISH_LENGTH);
    assert_null(krs_mailbox_take(&mailbox, sockets).first);
    free(text);
    krs_inbox_deinit(&inbox);
    krs_mailbox_deinit(&mailbox);
}

static void sockets_and_commands_are_bounded_and_taken_once(void **state)
{
    (void)state;
    krs_mailbox mailbox;
    assert_int_equal(krs_mailbox_init(&mailbox, 2, NULL, NULL), KRS_OK);
    assert_true(krs_mailbox_push_socket(&mailbox, &(krs_accepted){.fd = 1000}));
    assert_true(krs_mailbox_push_socket(&mailbox, &(krs_accepted){.fd = 1001}));
    assert_false(krs_mailbox_push_socket(&mailbox, &(krs_accepted){.fd = 1002}));
    krs_mailbox_command_set(&mailbox, KRS_MAILBOX_DRAIN);
    krs_mailbox_command_set(&mailbox, KRS_MAILBOX_QUIT);
    assert_int_equal(krs_os_wait_readable(&mailbox.wake.fd, 1, 0), 0);
    krs_accepted sockets[2];
    krs_mailbox_batch batch = krs_mailbox_take(&mailbox, sockets);
    assert_int_equal(batch.n_sockets, 2);
    assert_int_equal(sockets[1].fd, 1001);
    assert_int_equal(batch.commands, KRS_MAILBOX_DRAIN | KRS_MAILBOX_QUIT);
    assert_int_equal(krs_os_wait_readable(&mailbox.wake.fd, 1, 0), -1); /* cleared */
    batch = krs_mailbox_take(&mailbox, sockets);
    assert_int_equal(batch.n_sockets, 0);
    assert_int_equal(batch.commands, 0);
    krs_mailbox_deinit(&mailbox);
}

typedef struct sender {
    krs_mailbox *mailbox;
    krs_inbox inboxes[2];
} sender;

static void send_events(void *ctx)
{
    sender *s = ctx;
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        const bool is_end = i == N_EVENTS - 1;
        const krs_stream_event events[2] = {
            {.user = &s->inboxes[0], .text = KRS_STR("a"), .is_end = is_end},
            {.user = &s->inboxes[1], .text = KRS_STR("bc"), .is_end = is_end}};
        krs_mailbox_deliver(s->mailbox, events, 2);
    }
}

static size_t count_text(const krs_inbox *inbox)
{
    krs_arena arena;
    krs_arena_init(&arena, NULL, 1024, 1u << 20);
    krs_stream_event event;
    krs_status status;
    size_t offset = 0;
    size_t n = 0;
    while (krs_event_unpack(krs_buf_view(&inbox->taken), &offset, &arena, &event, &status)) {
        n += event.text.len;
    }
    krs_arena_deinit(&arena);
    return n;
}

static void every_byte_crosses_between_threads(void **state)
{
    (void)state;
    krs_mailbox mailbox;
    assert_int_equal(krs_mailbox_init(&mailbox, 1, NULL, NULL), KRS_OK);
    sender s = {.mailbox = &mailbox};
    krs_inbox_init(&s.inboxes[0], false, KRS_STREAM_MAX_PENDING_BYTES, NULL);
    krs_inbox_init(&s.inboxes[1], false, KRS_STREAM_MAX_PENDING_BYTES, NULL);
    krs_os_thread *thread = NULL;
    assert_int_equal(krs_os_thread_start("sender", send_events, &s, &thread, NULL), KRS_OK);
    size_t n_bytes = 0;
    uint32_t n_ended = 0;
    krs_accepted socket;
    while (n_ended < 2) {
        (void)krs_os_wait_readable(&mailbox.wake.fd, 1, 1000);
        const krs_mailbox_batch batch = krs_mailbox_take(&mailbox, &socket);
        for (const krs_inbox *inbox = batch.first; inbox; inbox = inbox->next_taken) {
            assert_int_equal(inbox->lost_taken, KRS_OK);
            n_bytes += count_text(inbox);
            n_ended += inbox->is_end_taken;
        }
    }
    krs_os_thread_join(thread);
    assert_int_equal(n_bytes, 3 * N_EVENTS);
    krs_inbox_deinit(&s.inboxes[0]);
    krs_inbox_deinit(&s.inboxes[1]);
    krs_mailbox_deinit(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_events_read_back_equal),
        cmocka_unit_test(pack_is_all_or_nothing),
        cmocka_unit_test(an_end_arrives_even_when_events_do_not_fit),
        cmocka_unit_test(sockets_and_commands_are_bounded_and_taken_once),
        cmocka_unit_test(every_byte_crosses_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
