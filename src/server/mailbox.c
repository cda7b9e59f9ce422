/* server/mailbox.c - see mailbox.h. */
#include "server/mailbox.h"

#include "server/event_pack.h"
#include "server/listener.h"

krs_status krs_mailbox_init(krs_mailbox *mailbox, uint32_t max_sockets, const krs_alloc *alloc,
                            krs_error *err)
{
    *mailbox = (krs_mailbox){.max_sockets = max_sockets, .alloc = alloc, .wake = {-1}};
    mailbox->sockets = krs_alloc_array(alloc, max_sockets, sizeof(*mailbox->sockets));
    if (!mailbox->sockets || krs_os_mutex_new(&mailbox->mutex) != KRS_OK) {
        krs_mailbox_deinit(mailbox);
        return krs_fail(err, KRS_ENOMEM, "mailbox: no memory");
    }
    const krs_status status = krs_os_wake_open(&mailbox->wake, err);
    if (status != KRS_OK) {
        krs_mailbox_deinit(mailbox);
    }
    return status;
}

void krs_mailbox_deinit(krs_mailbox *mailbox)
{
    for (uint32_t i = 0; mailbox->sockets && i < mailbox->n_sockets; i++) {
        krs_accepted_close(&mailbox->sockets[i]);
    }
    krs_os_wake_close(&mailbox->wake);
    krs_os_mutex_free(mailbox->mutex);
    krs_alloc_free(mailbox->alloc, mailbox->sockets);
    *mailbox = (krs_mailbox){.wake = {-1}};
}

void krs_inbox_init(krs_inbox *inbox, bool has_tokens, size_t max_bytes, const krs_alloc *alloc)
{
    *inbox = (krs_inbox){.has_tokens = has_tokens};
    krs_buf_init(&inbox->pending, alloc, max_bytes);
    krs_buf_init(&inbox->taken, alloc, max_bytes);
}

void krs_inbox_deinit(krs_inbox *inbox)
{
    krs_buf_deinit(&inbox->pending);
    krs_buf_deinit(&inbox->taken);
}

static void enlist(krs_mailbox *mailbox, krs_inbox *inbox)
{
    if (inbox->is_ready) {
        return;
    }
    inbox->is_ready = true;
    inbox->next_ready = NULL;
    if (mailbox->last_ready) {
        mailbox->last_ready->next_ready = inbox;
    } else {
        mailbox->first_ready = inbox;
    }
    mailbox->last_ready = inbox;
}

static void put_event(krs_mailbox *mailbox, const krs_stream_event *event)
{
    krs_inbox *inbox = event->user;
    if (inbox->lost == KRS_OK) {
        inbox->lost = krs_event_pack(event, inbox->has_tokens, &inbox->pending);
    }
    if (event->is_end) {
        inbox->has_end = true;
        inbox->finish = event->finish;
        inbox->usage = event->usage;
        inbox->error = event->error;
    }
    enlist(mailbox, inbox);
}

void krs_mailbox_deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    krs_mailbox *mailbox = ctx;
    krs_os_mutex_lock(mailbox->mutex);
    for (uint32_t i = 0; i < n; i++) {
        put_event(mailbox, &events[i]);
    }
    krs_os_mutex_unlock(mailbox->mutex);
    krs_os_wake_raise(&mailbox->wake);
}

bool krs_mailbox_push_socket(krs_mailbox *mailbox, const krs_accepted *accepted)
{
    krs_os_mutex_lock(mailbox->mutex);
    const bool has_room = mailbox->n_sockets < mailbox->max_sockets;
    if (has_room) {
        mailbox->sockets[mailbox->n_sockets++] = *accepted;
    }
    krs_os_mutex_unlock(mailbox->mutex);
    krs_os_wake_raise(&mailbox->wake);
    return has_room;
}

void krs_mailbox_command_set(krs_mailbox *mailbox, krs_mailbox_command command)
{
    krs_os_mutex_lock(mailbox->mutex);
    mailbox->commands |= (uint32_t)command;
    krs_os_mutex_unlock(mailbox->mutex);
    krs_os_wake_raise(&mailbox->wake);
}

/* The owner gets the full buffer and a look at the flags; new events go into the empty buffer. */
static void hand_over(krs_inbox *inbox)
{
    const krs_buf full = inbox->pending;
    inbox->pending = inbox->taken;
    inbox->taken = full;
    krs_buf_reset(&inbox->pending);
    inbox->lost_taken = inbox->lost;
    inbox->is_end_taken = inbox->has_end;
    inbox->next_taken = inbox->next_ready;
    inbox->is_ready = false;
}

krs_mailbox_batch krs_mailbox_take(krs_mailbox *mailbox, krs_accepted *sockets)
{
    krs_os_wake_clear(&mailbox->wake);
    krs_os_mutex_lock(mailbox->mutex);
    const krs_mailbox_batch batch = {mailbox->first_ready, mailbox->commands, mailbox->n_sockets};
    memcpy(sockets, mailbox->sockets, mailbox->n_sockets * sizeof(*sockets));
    for (krs_inbox *inbox = batch.first; inbox; inbox = inbox->next_ready) {
        hand_over(inbox);
    }
    mailbox->first_ready = mailbox->last_ready = NULL;
    mailbox->commands = 0;
    mailbox->n_sockets = 0;
    krs_os_mutex_unlock(mailbox->mutex);
    return batch;
}
