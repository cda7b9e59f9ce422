/* apps/krs/answer.c - see answer.h. The sink copies text under a lock and raises a wake; the main
 * thread waits on the wake and on signals at once, so neither is ever polled. */
#include "answer.h"

#include "os/thread.h"
#include "os/wake.h"

typedef struct mailbox {
    krs_os_mutex *lock;
    krs_os_wake wake;
    krs_buf arrived; /* text since the last look */
    bool is_end;
    bool is_lost; /* arrived could not grow: the answer would have a hole */
    krs_stream_event end;
} mailbox;

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    mailbox *box = ctx;
    krs_os_mutex_lock(box->lock);
    for (uint32_t i = 0; i < n; i++) {
        if (krs_buf_append_str(&box->arrived, events[i].text) != KRS_OK) {
            box->is_lost = true;
        }
        if (events[i].is_end) {
            box->is_end = true;
            box->end = events[i];
        }
    }
    /* Under the lock: once main has seen the end it closes the mailbox, and a signal may have brought it
     * here before the wake. */
    krs_os_wake_raise(&box->wake);
    krs_os_mutex_unlock(box->lock);
}

static krs_status mailbox_open(mailbox *box, krs_error *err)
{
    *box = (mailbox){.wake = {-1}};
    krs_buf_init(&box->arrived, NULL, KRS_ANSWER_MAX_BYTES);
    if (krs_os_mutex_new(&box->lock) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "answer: out of memory");
    }
    return krs_os_wake_open(&box->wake, err);
}

static void mailbox_close(mailbox *box)
{
    krs_os_wake_close(&box->wake);
    krs_os_mutex_free(box->lock);
    krs_buf_deinit(&box->arrived);
}

/* Move what arrived into the answer and onto the stream; true when it was the end. */
static bool take_arrived(mailbox *box, FILE *stream, krs_answer *answer)
{
    krs_os_wake_clear(&box->wake);
    krs_os_mutex_lock(box->lock);
    krs_buf fresh = box->arrived;
    krs_buf_init(&box->arrived, NULL, KRS_ANSWER_MAX_BYTES);
    const bool is_end = box->is_end;
    box->is_lost |= krs_buf_append_str(&answer->text, krs_buf_view(&fresh)) != KRS_OK;
    krs_os_mutex_unlock(box->lock);
    if (stream && fresh.len > 0) {
        (void)fwrite(fresh.data, 1, fresh.len, stream);
        (void)fflush(stream);
    }
    krs_buf_deinit(&fresh);
    return is_end;
}

static void wait_for_end(krs_runtime *runtime, uint64_t stream_id, const krs_os_signals *signals,
                         mailbox *box, FILE *stream, krs_answer *answer)
{
    const int fds[2] = {box->wake.fd, signals->fd};
    bool is_end = false;
    while (!is_end) {
        if (krs_os_wait_readable(fds, 2, -1) == 1 && krs_os_signals_take(signals) != 0) {
            krs_runtime_cancel(runtime, stream_id);
        }
        is_end = take_arrived(box, stream, answer);
        if (!is_end && stream && ferror(stream)) {
            krs_runtime_cancel(runtime, stream_id); /* nobody reads the rest */
        }
    }
    answer->finish = box->end.finish;
    answer->usage = box->end.usage;
    answer->error = box->end.error;
}

krs_status krs_answer_run(krs_runtime *runtime, krs_request *request, const krs_os_signals *signals,
                          FILE *stream, krs_answer *answer, krs_error *err)
{
    mailbox box;
    krs_status status = mailbox_open(&box, err);
    const krs_sink sink = {&box, deliver};
    uint64_t stream_id = 0;
    if (status == KRS_OK) {
        status = krs_runtime_open(runtime, request, &sink, NULL, &stream_id, err);
    }
    if (status != KRS_OK) {
        krs_request_free(request);
        mailbox_close(&box);
        return status;
    }
    wait_for_end(runtime, stream_id, signals, &box, stream, answer);
    if (answer->finish == KRS_FINISH_ERROR) {
        status = answer->error.status;
        if (err) {
            *err = answer->error;
        }
    } else if (box.is_lost) {
        status = krs_fail(err, KRS_ENOMEM, "answer: out of memory for its text");
    }
    mailbox_close(&box);
    return status;
}

void krs_answer_init(krs_answer *answer)
{
    *answer = (krs_answer){.finish = KRS_FINISH_ERROR, .error = KRS_ERROR_INIT};
    krs_buf_init(&answer->text, NULL, KRS_ANSWER_MAX_BYTES);
}

void krs_answer_deinit(krs_answer *answer)
{
    krs_buf_deinit(&answer->text);
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

json_t *krs_answer_json(const krs_answer *answer)
{
    const krs_usage *u = &answer->usage;
    return json_pack(
        "{s:s%, s:s, s:{s:I, s:I, s:I, s:I, s:f, s:f}}", "text",
        answer->text.data ? answer->text.data : "", answer->text.len, "finish_reason",
        krs_finish_name(answer->finish), "usage", "prompt_tokens", (json_int_t)u->n_prompt_tokens,
        "completion_tokens", (json_int_t)u->n_answer_tokens, "accepted_prediction_tokens",
        (json_int_t)u->n_accepted, "rejected_prediction_tokens", (json_int_t)u->n_rejected,
        "first_token_ms", ms(u->first_token_ns), "total_ms", ms(u->total_ns));
}
