/* server/stream.c - see stream.h. */
#include "server/stream.h"

#include "server/event_pack.h"
#include "server/server_priv.h"

static krs_service *service_of(const krs_stream *stream)
{
    return stream->io->server->service;
}

static krs_stream *new_stream(krs_io *io, const krs_stream_options *options)
{
    krs_stream *stream = krs_alloc_zero(io->server->alloc, sizeof(*stream));
    if (!stream) {
        return NULL;
    }
    krs_inbox_init(&stream->inbox, options->has_tokens, KRS_STREAM_MAX_PENDING_BYTES,
                   io->server->alloc);
    stream->io = io;
    stream->reader = options->reader;
    stream->ctx = options->ctx;
    stream->index = options->index;
    stream->window = options->window;
    stream->next = io->streams;
    if (io->streams) {
        io->streams->prev = stream;
    }
    io->streams = stream;
    return stream;
}

static void free_stream(krs_stream *stream)
{
    krs_io *io = stream->io;
    if (stream->prev) {
        stream->prev->next = stream->next;
    } else {
        io->streams = stream->next;
    }
    if (stream->next) {
        stream->next->prev = stream->prev;
    }
    krs_inbox_deinit(&stream->inbox);
    krs_alloc_free(io->server->alloc, stream);
}

void krs_stream_free_all(krs_io *io)
{
    while (io->streams) {
        free_stream(io->streams);
    }
}

krs_status krs_stream_open(krs_io *io, krs_request *request, const krs_stream_options *options,
                           krs_stream **out, krs_error *err)
{
    *out = NULL;
    krs_stream *stream = new_stream(io, options);
    if (!stream) {
        return krs_fail(err, KRS_ENOMEM, "no memory for a stream");
    }
    request->credit = options->window;
    const krs_status status = krs_service_generate(service_of(stream), request, &io->sink,
                                                   &stream->inbox, &stream->generation, err);
    if (status != KRS_OK) {
        free_stream(stream);
        return status;
    }
    *out = stream;
    return KRS_OK;
}

void krs_stream_cancel(krs_stream *stream, krs_cancel_reason reason)
{
    krs_service_cancel(service_of(stream), &stream->generation, reason);
}

void krs_stream_give_up(krs_stream *stream, krs_cancel_reason reason)
{
    krs_stream_cancel(stream, reason);
    stream->reader = NULL;
}

void krs_stream_settle(krs_stream *stream)
{
    if (stream->window != KRS_CREDIT_UNLIMITED && stream->n_owed > 0 &&
        stream->n_owed >= stream->window / 2) {
        krs_service_grant(service_of(stream), &stream->generation, stream->n_owed);
        stream->n_owed = 0;
    }
}

/* Count an event, and hand it on if anyone still reads. */
static krs_status add_event(krs_stream *stream, krs_stream_event *event)
{
    if (event->is_end) {
        const krs_inbox *inbox = &stream->inbox;
        event->finish = inbox->finish;
        event->usage = inbox->usage;
        event->error = inbox->error;
    }
    krs_service_observe(service_of(stream), &stream->generation, event);
    stream->n_owed += event->n_tokens;
    return stream->reader ? stream->reader->add(stream->ctx, stream->index, event) : KRS_OK;
}

static krs_status add_records(krs_stream *stream, bool *has_end)
{
    krs_io *io = stream->io;
    krs_status status = KRS_OK;
    krs_stream_event event;
    size_t offset = 0;
    krs_arena_reset(&io->scratch);
    while (status == KRS_OK && krs_event_unpack(krs_buf_view(&stream->inbox.taken), &offset,
                                                &io->scratch, &event, &status)) {
        *has_end = event.is_end;
        status = add_event(stream, &event);
        krs_arena_reset(&io->scratch);
    }
    return status;
}

void krs_stream_take(krs_inbox *inbox)
{
    krs_stream *stream = (krs_stream *)inbox;
    const bool is_over = inbox->is_end_taken;
    bool has_end = false;
    krs_status status = add_records(stream, &has_end);
    if (status == KRS_OK) {
        status = inbox->lost_taken;
    }
    if (is_over && !has_end) { /* its record was lost, or not reached: the account still needs it */
        krs_stream_event end = {.is_end = true};
        const krs_stream_reader *reader = stream->reader;
        stream->reader = status == KRS_OK ? reader : NULL;
        (void)add_event(stream, &end);
        stream->reader = reader;
    }
    if (stream->reader) {
        stream->reader->done(stream->ctx, stream->index, status, is_over);
    }
    if (is_over) {
        free_stream(stream);
    }
}
