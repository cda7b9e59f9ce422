/* engine/deliver.c - the outbox: one call per sink and round, then the ended streams are forgotten.
 *
 * Events point into their streams, so nothing is copied and nothing allocated. A stream has at most one
 * event a round. When all events are for one sink, as with one receiving thread, they go out as they
 * lie; otherwise grouping walks the outbox once per sink, of which there are few, so that is cheaper
 * than sorting.
 *
 * Thread: engine thread.  Memory: none. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

void krs_engine_give_place(krs_engine *engine, krs_stream *stream)
{
    if (stream->has_place) {
        const bool has_steps = krs_stream_has_steps(stream);
        stream->has_place = false;
        (void)atomic_fetch_sub(has_steps ? &engine->shared.n_waiting : &engine->shared.n_texts, 1);
        if (has_steps && stream->request->tenant != 0) {
            (void)atomic_fetch_sub(&engine->shared.tenant_waiting[stream->request->tenant], 1);
        }
    }
}

void krs_engine_link(krs_stream **list, krs_stream *stream)
{
    stream->prev = NULL;
    stream->next = *list;
    if (*list) {
        (*list)->prev = stream;
    }
    *list = stream;
}

void krs_engine_unlink(krs_stream **list, krs_stream *stream)
{
    if (stream->prev) {
        stream->prev->next = stream->next;
    } else {
        *list = stream->next;
    }
    if (stream->next) {
        stream->next->prev = stream->prev;
    }
}

/* The next place in the outbox. */
static krs_stream_event *take_event(krs_engine *engine, krs_stream *stream)
{
    krs_outbox *outbox = &engine->outbox;
    KRS_CHECK(outbox->n < outbox->max && !stream->is_posted);
    stream->is_posted = true;
    outbox->streams[outbox->n] = stream;
    outbox->is_mixed = outbox->is_mixed || stream->sink != outbox->streams[0]->sink;
    return &outbox->events[outbox->n++];
}

void krs_engine_post(krs_engine *engine, krs_stream *stream, uint32_t n_tokens)
{
    if (stream->is_ended) {
        /* Before its client hears of the end and asks again. */
        krs_engine_give_place(engine, stream);
    }
    krs_stream_event_of(stream, n_tokens, krs_os_now_ns(), take_event(engine, stream));
}

void krs_engine_post_left(krs_engine *engine, krs_stream *stream, krs_finish finish)
{
    if (krs_stream_has_steps(stream)) {
        krs_engine_give_place(engine, stream);
    }
    krs_stream_event_left(stream, finish, krs_os_now_ns(), take_event(engine, stream));
}

/* All events of the sink of event `first`, in order; marks them as handed out. */
static void deliver_sink(krs_outbox *outbox, uint32_t first)
{
    const krs_sink *sink = outbox->streams[first]->sink;
    uint32_t n = 0;
    for (uint32_t i = first; i < outbox->n; i++) {
        krs_stream *stream = outbox->streams[i];
        if (stream->is_posted && stream->sink == sink) {
            stream->is_posted = false;
            outbox->grouped[n++] = outbox->events[i];
        }
    }
    sink->deliver(sink->ctx, outbox->grouped, n);
}

static void deliver_all(krs_outbox *outbox)
{
    if (!outbox->is_mixed) {
        const krs_sink *sink = outbox->streams[0]->sink;
        sink->deliver(sink->ctx, outbox->events, outbox->n);
        for (uint32_t i = 0; i < outbox->n; i++) {
            outbox->streams[i]->is_posted = false;
        }
        return;
    }
    for (uint32_t i = 0; i < outbox->n; i++) {
        if (outbox->streams[i]->is_posted) {
            deliver_sink(outbox, i);
        }
    }
}

void krs_engine_forget(krs_engine *engine, krs_stream *stream)
{
    krs_engine_unlink(&engine->active, stream);
    engine->by_slot[krs_controls_slot(stream->id)] = NULL;
    krs_controls_give(&engine->controls, stream->id);
    krs_engine_give_place(engine, stream); /* of a text: its slot is free, not before */
    krs_stream_free(stream);
    (void)atomic_fetch_sub(&engine->shared.n_open, 1);
}

void krs_engine_deliver(krs_engine *engine)
{
    krs_outbox *outbox = &engine->outbox;
    if (outbox->n == 0) {
        return;
    }
    deliver_all(outbox);
    for (uint32_t i = 0; i < outbox->n; i++) {
        krs_stream *stream = outbox->streams[i];
        if (!outbox->events[i].is_end) {
            krs_buf_reset(&stream->text);
        } else if (stream->is_home) { /* else when it comes home */
            krs_engine_forget(engine, stream);
        }
    }
    outbox->n = 0;
    outbox->is_mixed = false;
}
