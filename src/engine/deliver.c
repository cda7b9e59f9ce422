/* engine/deliver.c - the outbox: one call per sink and round, then the ended streams are forgotten.
 *
 * Events point into their streams, so nothing is copied and nothing allocated. A stream has at most one
 * event a round. Grouping walks the outbox once per sink; there are as many sinks as receiving threads,
 * few, so that is cheaper than sorting.
 *
 * Thread: engine thread. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

void krs_engine_give_place(krs_engine *engine, krs_stream *stream)
{
    if (stream->has_place) {
        stream->has_place = false;
        (void)atomic_fetch_sub(&engine->shared.n_waiting, 1);
    }
}

void krs_engine_post(krs_engine *engine, krs_stream *stream, uint32_t n_tokens)
{
    krs_outbox *outbox = &engine->outbox;
    KRS_CHECK(outbox->n < outbox->max && !stream->is_posted);
    if (stream->is_ended) {
        krs_engine_give_place(engine,
                              stream); /* before its client hears of the end and asks again */
    }
    stream->is_posted = true;
    outbox->streams[outbox->n] = stream;
    outbox->events[outbox->n] = krs_stream_event_of(stream, n_tokens, krs_os_now_ns());
    outbox->n++;
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

static void forget(krs_engine *engine, krs_stream *stream)
{
    if (stream->prev) {
        stream->prev->next = stream->next;
    } else {
        engine->active = stream->next;
    }
    if (stream->next) {
        stream->next->prev = stream->prev;
    }
    krs_controls_give(&engine->controls, stream->id);
    krs_stream_free(stream);
    (void)atomic_fetch_sub(&engine->shared.n_open, 1);
}

void krs_engine_deliver(krs_engine *engine)
{
    krs_outbox *outbox = &engine->outbox;
    for (uint32_t i = 0; i < outbox->n; i++) {
        if (outbox->streams[i]->is_posted) {
            deliver_sink(outbox, i);
        }
    }
    for (uint32_t i = 0; i < outbox->n; i++) {
        krs_stream *stream = outbox->streams[i];
        if (stream->is_ended) {
            forget(engine, stream);
        } else {
            krs_buf_reset(&stream->text);
        }
    }
    outbox->n = 0;
}
