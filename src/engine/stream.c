/* engine/stream.c - see stream.h. */
#include "engine/stream.h"

#include "base/check.h"

krs_status krs_stream_new(krs_request *request, const krs_sink *sink, void *user, uint64_t now_ns,
                          const krs_alloc *alloc, krs_stream **out)
{
    *out = NULL;
    krs_stream *stream = krs_alloc_zero(alloc, sizeof(*stream));
    if (!stream) {
        return KRS_ENOMEM;
    }
    stream->alloc = alloc;
    stream->request = request;
    stream->sink = sink;
    stream->user = user;
    stream->opened_ns = now_ns;
    stream->seq.deadline_ns = request->deadline_ns;
    stream->seq.credit = KRS_SCHED_UNLIMITED;
    krs_buf_init(&stream->raw, alloc, KRS_STREAM_MAX_TEXT_BYTES);
    krs_buf_init(&stream->text, alloc, KRS_STREAM_MAX_TEXT_BYTES);
    *out = stream;
    return KRS_OK;
}

void krs_stream_free(krs_stream *stream)
{
    if (stream) {
        KRS_CHECK(stream->seq.state == KRS_SCHED_OUT);
        krs_request_free(stream->request);
        krs_alloc_free(stream->alloc, stream->tokens);
        krs_detok_free(stream->detok);
        krs_stop_match_free(stream->stop_match);
        krs_buf_deinit(&stream->raw);
        krs_buf_deinit(&stream->text);
        krs_alloc_free(stream->alloc, stream);
    }
}

const char *krs_stream_prompt_field(const krs_stream *stream)
{
    return stream->request->prompt.kind == KRS_PROMPT_CHAT ? "messages" : "prompt";
}

static krs_status check_prompt(const krs_stream *stream, krs_ids prompt,
                               const krs_stream_limits *limits, krs_error *err)
{
    const char *field = krs_stream_prompt_field(stream);
    if (prompt.n == 0) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: no tokens, want at least one", field);
    }
    if (prompt.n >= limits->max_context_tokens) {
        return krs_fail_field(
            err, KRS_ETOOLARGE, field,
            "%s: %zu tokens, want at most %u (the context of %u less one to answer)", field,
            prompt.n, limits->max_context_tokens - 1, limits->max_context_tokens);
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

krs_status krs_stream_prepare(krs_stream *stream, const krs_tokenizer *tokenizer, krs_ids prompt,
                              const krs_stream_limits *limits, krs_error *err)
{
    krs_status status = check_prompt(stream, prompt, limits, err);
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t n_prompt = (uint32_t)prompt.n;
    const uint32_t room = limits->max_context_tokens - n_prompt;
    const uint32_t wanted = stream->request->stopping.max_tokens;
    stream->max_tokens = n_prompt + (wanted != 0 && wanted < room ? wanted : room);
    stream->tokenizer = tokenizer;
    status = take_memory(stream);
    if (status != KRS_OK) {
        return krs_fail(err, status, "stream: out of memory for %u tokens", stream->max_tokens);
    }
    memcpy(stream->tokens, prompt.ids, n_prompt * sizeof(*stream->tokens));
    stream->n_prompt = n_prompt;
    stream->n_tokens = n_prompt;
    stream->seq.n_tokens = n_prompt;
    collect_stops(stream, limits);
    return KRS_OK;
}

static uint32_t n_answer(const krs_stream *stream)
{
    return stream->n_tokens - stream->n_prompt;
}

krs_sample_input krs_stream_sample_input(const krs_stream *stream, const float *logits)
{
    const bool may_stop = n_answer(stream) >= stream->request->stopping.min_tokens;
    return (krs_sample_input){
        .logits = logits,
        .sampling = &stream->request->sampling,
        .tokens = stream->tokens,
        .n_prompt = stream->n_prompt,
        .n_tokens = stream->n_tokens,
        .banned = stream->stops,
        .n_banned = may_stop ? 0 : stream->n_stops,
    };
}

static bool is_stop_token(const krs_stream *stream, uint32_t id)
{
    for (uint32_t i = 0; i < stream->n_stops; i++) {
        if (stream->stops[i] == id) {
            return true;
        }
    }
    return false;
}

/* Through the stop matcher what the detokenizer gave. */
static krs_status match_raw(krs_stream *stream, bool *is_stopped)
{
    const bool is_armed = n_answer(stream) >= stream->request->stopping.min_tokens;
    const krs_status status = krs_stop_match_push(stream->stop_match, krs_buf_view(&stream->raw),
                                                  is_armed, &stream->text, is_stopped);
    krs_buf_reset(&stream->raw);
    return status;
}

static void show_token(krs_stream *stream)
{
    krs_sample *sample = &stream->sample;
    for (uint32_t i = 0; i < sample->n_top; i++) {
        sample->top[i].bytes = krs_tokenizer_token_bytes(stream->tokenizer, sample->top[i].token);
    }
    stream->token = (krs_token){sample->token, sample->logprob, sample->top, sample->n_top,
                                krs_tokenizer_token_bytes(stream->tokenizer, sample->token)};
}

/* Only running out of memory, or of KRS_STREAM_MAX_TEXT_BYTES, can get here. */
static void fail_text(krs_stream *stream, krs_status status)
{
    krs_error error;
    (void)krs_fail(&error, status, "answer: its text could not be kept");
    krs_stream_end(stream, KRS_FINISH_ERROR, &error);
}

bool krs_stream_advance(krs_stream *stream, uint64_t now_ns)
{
    const uint32_t id = stream->sample.token;
    KRS_CHECK(stream->n_tokens < stream->max_tokens);
    stream->tokens[stream->n_tokens++] = id;
    stream->first_ns = stream->first_ns ? stream->first_ns : now_ns;
    const bool is_stop = is_stop_token(stream, id);
    if (is_stop && !stream->request->stopping.has_stop_text) {
        krs_stream_end(stream, KRS_FINISH_STOP, NULL);
        return false;
    }
    show_token(stream);
    bool is_stopped = false;
    krs_status status = krs_detok_push(stream->detok, id, &stream->raw);
    if (status == KRS_OK) {
        status = match_raw(stream, &is_stopped);
    }
    if (status != KRS_OK) {
        fail_text(stream, status);
    } else if (is_stopped) {
        stream->is_ended = true; /* what is held belongs to the stop string: no flush */
        stream->finish = KRS_FINISH_STOP;
    } else if (is_stop) {
        krs_stream_end(stream, KRS_FINISH_STOP, NULL);
    } else if (stream->n_tokens == stream->max_tokens) {
        krs_stream_end(stream, KRS_FINISH_LENGTH, NULL);
    }
    return true;
}

/* Held text comes out at the end; its last characters may complete a stop string after all. */
static krs_status flush(krs_stream *stream, bool *is_stopped)
{
    krs_status status = krs_detok_finish(stream->detok, &stream->raw);
    if (status == KRS_OK) {
        status = match_raw(stream, is_stopped);
    }
    if (status == KRS_OK && !*is_stopped) {
        status = krs_stop_match_finish(stream->stop_match, &stream->text);
    }
    return status;
}

void krs_stream_end(krs_stream *stream, krs_finish finish, const krs_error *error)
{
    stream->is_ended = true;
    stream->finish = finish;
    if (error) {
        stream->error = *error;
    }
    if (finish == KRS_FINISH_ERROR || !stream->stop_match) {
        return;
    }
    bool is_stopped = false;
    const krs_status status = flush(stream, &is_stopped);
    if (status != KRS_OK) { /* text is missing: not an answer that ended well */
        stream->finish = KRS_FINISH_ERROR;
        (void)krs_fail(&stream->error, status, "answer: its last text: %s",
                       krs_status_sentence(status));
    } else if (is_stopped && finish == KRS_FINISH_LENGTH) {
        stream->finish = KRS_FINISH_STOP;
    }
}

static uint64_t since(uint64_t begin_ns, uint64_t ns)
{
    return ns > begin_ns ? ns - begin_ns : 0;
}

krs_stream_event krs_stream_event_of(const krs_stream *stream, uint32_t n_tokens, uint64_t now_ns)
{
    krs_stream_event event = {
        .stream_id = stream->id,
        .user = stream->user,
        .text = krs_buf_view(&stream->text),
        .tokens = n_tokens ? &stream->token : NULL,
        .n_tokens = n_tokens,
        .is_end = stream->is_ended,
        .finish = stream->finish,
        .error = stream->error,
    };
    if (stream->is_ended) {
        const uint64_t started_ns = stream->is_started ? stream->started_ns : now_ns;
        event.usage = (krs_usage){
            .n_prompt_tokens = stream->n_prompt,
            .n_answer_tokens = n_answer(stream),
            .queued_ns = since(stream->opened_ns, started_ns),
            .first_token_ns = since(stream->opened_ns, stream->first_ns),
            .total_ns = since(stream->opened_ns, now_ns),
        };
    }
    return event;
}
