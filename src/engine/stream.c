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
    stream->seq.credit = request->credit; /* both call no limit UINT32_MAX */
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
        krs_embedding_deinit(&stream->embedding);
        krs_speculator_deinit(&stream->speculator);
        krs_guided_deinit(&stream->guided);
        krs_alloc_free(stream->alloc, stream->samples);
        krs_alloc_free(stream->alloc, stream->shown);
        krs_buf_deinit(&stream->raw);
        krs_buf_deinit(&stream->text);
        krs_alloc_free(stream->alloc, stream);
    }
}

static uint32_t n_answer(const krs_stream *stream)
{
    return stream->n_tokens - stream->n_prompt;
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

/* One of the model's own, which no reader wants to see, whatever else is shown. */
static bool is_end_token(const krs_stream *stream, uint32_t id)
{
    bool is_end = false;
    for (uint32_t i = 0; stream->request->task_options.is_special_shown && i < stream->n_eos; i++) {
        is_end = is_end || stream->eos[i] == id;
    }
    return is_end;
}

/* Of the stops, in front: those that may not come after so many tokens. A guided answer knows the model's own,
 * which stand behind the request's, even when they are ignored. */
static uint32_t first_banned(const krs_stream *stream, uint32_t n_tokens)
{
    const krs_stopping *stopping = &stream->request->stopping;
    if (n_tokens - stream->n_prompt < stopping->min_tokens) {
        return 0;
    }
    return stopping->is_eos_ignored ? stopping->n_stop_ids : stream->n_stops;
}

/* What the sampler needs for the token after so many. */
static krs_sample_input input_after(const krs_stream *stream, uint32_t n_tokens,
                                    const float *logits)
{
    const uint32_t first = first_banned(stream, n_tokens);
    return (krs_sample_input){
        .logits = logits,
        .sampling = &stream->request->sampling,
        .tokens = stream->tokens,
        .n_prompt = stream->n_prompt,
        .n_tokens = n_tokens,
        .banned = stream->stops + first,
        .n_banned = stream->n_stops - first,
    };
}

/* Under a mask. Where only what is banned may come, the answer is at its end and it does. */
static krs_status pick_guided(krs_stream *stream, krs_sampler *sampler, krs_sample_input *input,
                              krs_sample *out)
{
    krs_guided *guided = &stream->guided;
    if (guided->n_forced > 0) {
        krs_sampler_take(sampler, input, guided->forced[0], out);
        return krs_guided_take(guided, out->token);
    }
    krs_status status = krs_guided_mask(guided, &input->allowed, &input->n_allowed_words);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_sampler_pick(sampler, input, out);
    if (status == KRS_EFORMAT && input->n_banned > 0) {
        input->n_banned = 0;
        status = krs_sampler_pick(sampler, input, out);
    }
    return status == KRS_OK ? krs_guided_take(guided, out->token) : status;
}

void krs_stream_pick(krs_stream *stream, krs_sampler *sampler, const float *logits, uint32_t vocab,
                     uint32_t n_draft)
{
    KRS_CHECK(n_draft < stream->max_rows);
    const uint32_t n_unread = stream->seq.is_draft_sure ? n_draft : 0;
    const bool is_guided = krs_guided_is_on(&stream->guided);
    bool is_proposed = true;
    stream->n_picked = 0;
    while (is_proposed) {
        const uint32_t i = stream->n_picked;
        const float *row = i < n_unread ? NULL : logits + (size_t)(i - n_unread) * vocab;
        krs_sample_input input = input_after(stream, stream->n_tokens + i, row);
        krs_sample *sample = &stream->samples[i];
        stream->picked = is_guided ? pick_guided(stream, sampler, &input, sample)
                                   : krs_sampler_pick(sampler, &input, sample);
        if (stream->picked != KRS_OK) {
            return;
        }
        stream->n_picked++;
        is_proposed = i < n_draft && sample->token == stream->tokens[stream->n_tokens + i] &&
                      !is_stop_token(stream, sample->token) && !stream->guided.is_complete;
    }
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

static void show_token(krs_stream *stream, uint32_t at)
{
    krs_sample *sample = &stream->samples[at];
    for (uint32_t i = 0; i < sample->n_top; i++) {
        sample->top[i].bytes = krs_tokenizer_token_bytes(stream->tokenizer, sample->top[i].token);
    }
    stream->shown[at] =
        (krs_token){.id = sample->token,
                    .logprob = sample->logprob,
                    .top = sample->top,
                    .n_top = sample->n_top,
                    .bytes = krs_tokenizer_token_bytes(stream->tokenizer, sample->token),
                    .text_at = stream->n_chars};
}

/* Only running out of memory, or of KRS_STREAM_MAX_TEXT_BYTES, can get here. */
static void fail_text(krs_stream *stream, krs_status status)
{
    krs_error error;
    (void)krs_fail(&error, status, "answer: its text could not be kept");
    krs_stream_end(stream, KRS_FINISH_ERROR, &error);
}

/* Is the i-th token of this step the last of an answer that can only end? */
static bool is_complete(const krs_stream *stream, uint32_t i)
{
    return stream->guided.is_complete && i + 1 == stream->n_picked;
}

/* Of UTF-8, which is what detokenizers give: bytes that begin one. */
static uint32_t count_chars(krs_str text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        n += ((unsigned char)text.ptr[i] & 0xC0u) != 0x80u;
    }
    return n;
}

/* What the token says, as far as it is certain. */
static krs_status take_text(krs_stream *stream, uint32_t id, bool *is_stopped)
{
    const krs_status status =
        is_end_token(stream, id) ? KRS_OK : krs_detok_push(stream->detok, id, &stream->raw);
    stream->n_chars += count_chars(krs_buf_view(&stream->raw));
    return status == KRS_OK ? match_raw(stream, is_stopped) : status;
}

bool krs_stream_advance(krs_stream *stream, uint32_t i, uint64_t now_ns)
{
    const uint32_t id = stream->samples[i].token;
    KRS_CHECK(stream->n_tokens < stream->max_tokens);
    stream->tokens[stream->n_tokens++] = id;
    stream->first_ns = stream->first_ns ? stream->first_ns : now_ns;
    const bool is_stop = is_stop_token(stream, id);
    if (is_stop && !stream->request->stopping.has_stop_text) {
        krs_stream_end(stream, KRS_FINISH_STOP, NULL);
        return false;
    }
    show_token(stream, i);
    bool is_stopped = false;
    const size_t n_before = stream->text.len;
    const krs_status status = take_text(stream, id, &is_stopped);
    stream->shown[i].n_text = (uint32_t)(stream->text.len - n_before);
    if (status != KRS_OK) {
        fail_text(stream, status);
    } else if (is_stopped) {
        stream->is_ended = true; /* what is held belongs to the stop string: no flush */
        stream->finish = KRS_FINISH_STOP;
    } else if (is_stop || is_complete(stream, i)) {
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

void krs_stream_end_embedding(krs_stream *stream)
{
    const krs_status status = krs_embedding_finish(&stream->embedding);
    if (status == KRS_OK) {
        krs_stream_end(stream, KRS_FINISH_STOP, NULL);
        return;
    }
    krs_error error;
    (void)krs_fail(&error, status,
                   "embedding: the hidden states of the text have no finite length");
    krs_stream_end(stream, KRS_FINISH_ERROR, &error);
}

static uint64_t since(uint64_t begin_ns, uint64_t ns)
{
    return ns > begin_ns ? ns - begin_ns : 0;
}

static krs_usage usage_of(const krs_stream *stream, uint64_t now_ns)
{
    const uint64_t started_ns = stream->is_started ? stream->started_ns : now_ns;
    return (krs_usage){
        .n_prompt_tokens = stream->n_prompt,
        .n_cached_tokens = stream->seq.n_cached,
        .cache_end = stream->is_started ? stream->seq.cache_end : KRS_CACHE_END_OFF,
        .n_preempted = stream->seq.n_preempted,
        .n_answer_tokens = n_answer(stream),
        .n_accepted = stream->speculator.n_accepted,
        .n_rejected = stream->speculator.n_rejected,
        .stop = stream->stop_match ? krs_stop_match_found(stream->stop_match) : 0,
        .queued_ns = since(stream->opened_ns, started_ns),
        .first_token_ns = since(stream->opened_ns, stream->first_ns),
        .total_ns = since(stream->opened_ns, now_ns),
    };
}

void krs_stream_event_of(const krs_stream *stream, uint32_t n_tokens, uint64_t now_ns,
                         krs_stream_event *out)
{
    *out = (krs_stream_event){
        .stream_id = stream->id,
        .user = stream->user,
        .text = krs_buf_view(&stream->text),
        .tokens = n_tokens ? stream->shown : NULL,
        .n_tokens = n_tokens,
        .is_reasoning = stream->is_reasoning,
        .usage = usage_of(stream, now_ns),
    };
    if (stream->is_ended) {
        out->is_end = true;
        out->finish = stream->finish;
        out->error = stream->error;
        const bool has_vector = stream->embedding.n > 0 &&
                                stream->finish == KRS_FINISH_STOP; /* the whole text is read */
        out->embedding = has_vector ? stream->embedding.vector : NULL;
        out->n_embedding = has_vector ? stream->embedding.n : 0;
    }
}

void krs_stream_event_left(const krs_stream *stream, krs_finish finish, uint64_t now_ns,
                           krs_stream_event *out)
{
    const uint64_t total_ns = since(stream->opened_ns, now_ns);
    *out = (krs_stream_event){
        .stream_id = stream->id,
        .user = stream->user,
        .is_end = true,
        .finish = finish,
        .usage = {.cache_end = KRS_CACHE_END_OFF, .queued_ns = total_ns, .total_ns = total_ns},
    };
}
