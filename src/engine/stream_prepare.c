/* engine/stream_prepare.c - what a stream takes before its first step: the prompt's ids, and room for all
 * that may come.
 *
 * Thread: the stream's prep thread.  Memory: from the stream's allocator; a failure leaves what was
 * taken to krs_stream_free. */
#include "engine/draft.h"
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
    /* A guided answer is at its end where nothing but these may come. */
    const bool has_eos = !stopping->is_eos_ignored || krs_guided_is_on(&stream->guided);
    for (uint32_t i = 0; has_eos && i < limits->n_eos; i++) {
        stream->stops[stream->n_stops++] = limits->eos[i];
    }
}

/* What was asked for, or what the model was loaded with. A draft that does not know a token of the prompt
 * (its padded vocabulary may be smaller) has nothing to say about it. */
static krs_speculation speculation_of(const krs_stream *stream, const krs_stream_limits *limits)
{
    krs_speculation asked = stream->request->speculation;
    if (asked.mode == KRS_SPECULATION_MODEL) {
        asked.mode = limits->speculation.mode;
        asked.max_tokens = asked.max_tokens ? asked.max_tokens : limits->speculation.max_tokens;
    }
    for (uint32_t i = 0; asked.mode == KRS_SPECULATION_DRAFT && i < stream->n_prompt; i++) {
        if (stream->tokens[i] >= limits->draft->vocab) {
            asked.mode = KRS_SPECULATION_OFF;
        }
    }
    return asked;
}

/* The places of a step's tokens, and what proposes them. */
static krs_status take_speculation(krs_stream *stream, const krs_stream_limits *limits)
{
    const krs_status status =
        krs_speculator_init(&stream->speculator, speculation_of(stream, limits), stream->max_tokens,
                            limits->draft, stream->alloc);
    if (status != KRS_OK) {
        return status;
    }
    if (stream->speculator.ngram) { /* a long prompt takes a while: here nobody waits for it */
        krs_ngram_extend(stream->speculator.ngram, stream->tokens, stream->n_prompt);
    }
    const uint32_t n_forced = krs_guided_is_on(&stream->guided) ? KRS_GUIDED_MAX_FORCED : 0;
    const uint32_t n_proposed = stream->speculator.max_tokens;
    const uint32_t n = 1 + (n_forced > n_proposed ? n_forced : n_proposed);
    stream->max_rows = n;
    stream->samples = krs_alloc_array(stream->alloc, n, sizeof(*stream->samples));
    stream->shown = krs_alloc_array(stream->alloc, n, sizeof(*stream->shown));
    return stream->samples && stream->shown ? KRS_OK : KRS_ENOMEM;
}

static krs_status take_memory(krs_stream *stream, const krs_stream_limits *limits)
{
    const krs_stopping *stopping = &stream->request->stopping;
    krs_status status = take_speculation(stream, limits);
    if (status == KRS_OK) {
        status = krs_detok_new(stream->tokenizer, !stream->request->task_options.is_special_shown,
                               stream->alloc, &stream->detok);
    }
    if (status == KRS_OK) {
        status = krs_stop_match_new(stopping->stops, stopping->n_stops, stopping->has_stop_text,
                                    stream->alloc, &stream->stop_match);
    }
    if (status == KRS_OK) {
        status = krs_buf_reserve(&stream->raw, KRS_STREAM_TEXT_BYTES);
    }
    const size_t n_bytes = stream->max_rows * (size_t)KRS_STREAM_TEXT_BYTES;
    return status == KRS_OK ? krs_buf_reserve(&stream->text, n_bytes) : status;
}

/* Room for so many tokens, and the prompt in it. */
static krs_status take_tokens(krs_stream *stream, krs_ids prompt, uint32_t max_tokens)
{
    stream->max_tokens = max_tokens;
    stream->tokens = krs_alloc_array(stream->alloc, max_tokens, sizeof(*stream->tokens));
    if (!stream->tokens) {
        return KRS_ENOMEM;
    }
    memcpy(stream->tokens, prompt.ids, prompt.n * sizeof(*stream->tokens));
    return KRS_OK;
}

/* What an answer of tokens needs; n_prompt is set. */
static krs_status prepare_answer(krs_stream *stream, krs_ids prompt,
                                 const krs_stream_limits *limits)
{
    const uint32_t room = limits->max_context_tokens - stream->n_prompt;
    const uint32_t wanted = stream->request->stopping.max_tokens;
    const uint32_t n_answer = wanted != 0 && wanted < room ? wanted : room;
    const krs_status status = take_tokens(stream, prompt, stream->n_prompt + n_answer);
    collect_stops(stream, limits);
    stream->eos = limits->eos;
    stream->n_eos = limits->n_eos;
    return status == KRS_OK ? take_memory(stream, limits) : status;
}

static krs_status prepare_embedding(krs_stream *stream, krs_ids prompt,
                                    const krs_stream_limits *limits)
{
    const krs_pooling asked = stream->request->task_options.pooling;
    const krs_status status = take_tokens(stream, prompt, stream->n_prompt);
    return status == KRS_OK
               ? krs_embedding_init(&stream->embedding,
                                    asked == KRS_POOLING_MODEL ? limits->pooling : asked,
                                    limits->is_normalised, limits->n_embedding, stream->alloc)
               : status;
}

static krs_status take_guidance(krs_stream *stream, const krs_stream_limits *limits, krs_error *err)
{
    const krs_guidance *guidance = &stream->request->guidance;
    return guidance->kind == KRS_GUIDANCE_NONE
               ? KRS_OK
               : krs_guided_init(&stream->guided, limits->guides, guidance, limits->is_reasoning,
                                 err);
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
    status = take_guidance(stream, limits, err);
    if (status != KRS_OK) {
        return status;
    }
    status = stream->request->task == KRS_TASK_EMBED ? prepare_embedding(stream, prompt, limits)
                                                     : prepare_answer(stream, prompt, limits);
    if (status != KRS_OK) {
        return krs_fail(err, status, "stream: out of memory for %u tokens", stream->max_tokens);
    }
    stream->seq.n_tokens = n_prompt;
    return KRS_OK;
}
