/* engine/stream_prepare.c - what a stream takes before its first step: the prompt's ids, and room for all
 * that may come.
 *
 * Thread: the stream's prep thread.  Memory: from the stream's allocator; a failure leaves what was
 * taken to krs_stream_free. */
#include "engine/stream.h"

/* A text to embed may fill the context; an answer needs room. */
static krs_status check_length(const krs_stream *stream, size_t n, uint32_t context, krs_error *err)
{
    const char *field = krs_request_prompt_field(stream->request);
    if (stream->request->task == KRS_TASK_EMBED && n > context) {
        return krs_fail_field(err, KRS_ETOOLARGE, field,
                              "%s: %zu tokens, want at most %u (the context)", field, n, context);
    }
    if (stream->request->task != KRS_TASK_EMBED && n >= context) {
        return krs_fail_field(err, KRS_ETOOLARGE, field,
                              "%s: %zu tokens, want at most %u (the context of %u less one)", field,
                              n, context - 1, context);
    }
    return KRS_OK;
}

static krs_status check_prompt(const krs_stream *stream, krs_ids prompt,
                               const krs_stream_limits *limits, krs_error *err)
{
    const char *field = krs_request_prompt_field(stream->request);
    if (prompt.n == 0) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: no tokens, want at least one", field);
    }
    const krs_status status = check_length(stream, prompt.n, limits->max_context_tokens, err);
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < prompt.n; i++) {
        if (prompt.ids[i] >= limits->vocab) {
            return krs_fail_field(err, KRS_EINVAL, field, "%s: token %u at %zu, want below %u",
                                  field, prompt.ids[i], i, limits->vocab);
        }
    }
    return KRS_OK;
}

static void collect_stops(krs_stream *stream, const krs_stream_limits *limits)
{
    const krs_stopping *stopping = &stream->request->stopping;
    for (uint32_t i = 0; i < stopping->n_stop_ids; i++) {
        stream->stops[stream->n_stops++] = stopping->stop_ids[i];
    }
    for (uint32_t i = 0; !stopping->is_eos_ignored && i < limits->n_eos; i++) {
        stream->stops[stream->n_stops++] = limits->eos[i];
    }
}

static krs_status take_memory(krs_stream *stream)
{
    const krs_stopping *stopping = &stream->request->stopping;
    stream->tokens = krs_alloc_array(stream->alloc, stream->max_tokens, sizeof(*stream->tokens));
    krs_status status = stream->tokens ? KRS_OK : KRS_ENOMEM;
    if (status == KRS_OK) {
        status = krs_detok_new(stream->tokenizer, true, stream->alloc, &stream->detok);
    }
    if (status == KRS_OK) {
        status = krs_stop_match_new(stopping->stops, stopping->n_stops, stopping->has_stop_text,
                                    stream->alloc, &stream->stop_match);
    }
    if (status == KRS_OK) {
        status = krs_buf_reserve(&stream->raw, KRS_STREAM_TEXT_BYTES);
    }
    return status == KRS_OK ? krs_buf_reserve(&stream->text, KRS_STREAM_TEXT_BYTES) : status;
}

/* What an answer of tokens needs; n_prompt is set. */
static krs_status prepare_answer(krs_stream *stream, const krs_stream_limits *limits)
{
    const uint32_t room = limits->max_context_tokens - stream->n_prompt;
    const uint32_t wanted = stream->request->stopping.max_tokens;
    stream->max_tokens = stream->n_prompt + (wanted != 0 && wanted < room ? wanted : room);
    collect_stops(stream, limits);
    return take_memory(stream);
}

static krs_status prepare_embedding(krs_stream *stream, const krs_stream_limits *limits)
{
    const krs_pooling asked = stream->request->task_options.pooling;
    stream->max_tokens = stream->n_prompt;
    stream->tokens = krs_alloc_array(stream->alloc, stream->n_prompt, sizeof(*stream->tokens));
    return stream->tokens
               ? krs_embedding_init(&stream->embedding,
                                    asked == KRS_POOLING_MODEL ? limits->pooling : asked,
                                    limits->is_normalised, limits->n_embedding, stream->alloc)
               : KRS_ENOMEM;
}

krs_status krs_stream_prepare(krs_stream *stream, const krs_tokenizer *tokenizer, krs_ids prompt,
                              const krs_stream_limits *limits, krs_error *err)
{
    krs_status status = check_prompt(stream, prompt, limits, err);
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t n_prompt = (uint32_t)prompt.n;
    stream->n_prompt = n_prompt;
    stream->n_tokens = n_prompt;
    stream->tokenizer = tokenizer;
    status = stream->request->task == KRS_TASK_EMBED ? prepare_embedding(stream, limits)
                                                     : prepare_answer(stream, limits);
    if (status != KRS_OK) {
        return krs_fail(err, status, "stream: out of memory for %u tokens", stream->max_tokens);
    }
    memcpy(stream->tokens, prompt.ids, n_prompt * sizeof(*stream->tokens));
    stream->seq.n_tokens = n_prompt;
    return KRS_OK;
}
