/* engine/texts.c - tasks that take no step: text to ids, ids to text, answered by the prep thread.
 *
 * Such a client waits for a tokenizer and nothing else, so its answer goes to its sink from here, not by
 * way of the engine thread, which may be in the middle of a long step. The engine thread may end the
 * stream meanwhile (a cancel, a deadline): whoever sets is_answered first posts the one end. Its memory
 * goes home by the inbox in any case.
 *
 * Thread: prep threads.  Memory: one answer's text and pieces, freed when it was delivered. */
#include "engine/engine_priv.h"
#include "os/clock.h"

/* What the answer points to while it is delivered. */
typedef struct text_answer {
    krs_buf text;
    krs_str *pieces; /* [ids.n], or NULL */
    krs_ids ids;
} text_answer;

static krs_status fill_pieces(const krs_engine *engine, text_answer *answer, krs_error *err)
{
    if (answer->ids.n == 0) {
        return KRS_OK;
    }
    answer->pieces = krs_alloc_array(engine->alloc, answer->ids.n, sizeof(*answer->pieces));
    if (!answer->pieces) {
        return krs_fail(err, KRS_ENOMEM, "tokenize: out of memory for %zu pieces", answer->ids.n);
    }
    for (size_t i = 0; i < answer->ids.n; i++) {
        answer->pieces[i] = krs_tokenizer_token_bytes(engine->tokenizer, answer->ids.ids[i]);
    }
    return KRS_OK;
}

static krs_status check_count(const krs_request *request, size_t n, krs_error *err)
{
    const char *field = krs_request_prompt_field(request);
    return n <= KRS_ENGINE_MAX_TEXT_IDS
               ? KRS_OK
               : krs_fail_field(err, KRS_ETOOLARGE, field, "%s: %zu tokens, want at most %u", field,
                                n, KRS_ENGINE_MAX_TEXT_IDS);
}

static krs_status tokenize(const krs_engine *engine, const krs_request *request,
                           krs_encoder *encoder, text_answer *answer, krs_error *err)
{
    krs_status status =
        krs_engine_encode(engine, request, encoder, &answer->text, &answer->ids, err);
    krs_buf_reset(&answer->text); /* a rendered chat is no part of the answer */
    if (status == KRS_OK) {
        status = check_count(request, answer->ids.n, err);
    }
    return status == KRS_OK && request->task_options.has_pieces ? fill_pieces(engine, answer, err)
                                                                : status;
}

static krs_status detokenize(const krs_engine *engine, const krs_request *request,
                             text_answer *answer, krs_error *err)
{
    const krs_prompt *prompt = &request->prompt;
    krs_status status = check_count(request, prompt->n_tokens, err);
    for (size_t i = 0; status == KRS_OK && i < prompt->n_tokens; i++) {
        if (prompt->tokens[i] >= engine->info.vocab) {
            status =
                krs_fail_field(err, KRS_EINVAL, "tokens", "tokens: token %u at %zu, want below %u",
                               prompt->tokens[i], i, engine->info.vocab);
        }
    }
    if (status != KRS_OK) {
        return status;
    }
    status = krs_decode(engine->tokenizer, prompt->tokens, prompt->n_tokens,
                        !request->task_options.is_special_shown, &answer->text, err);
    return status == KRS_OK
               ? status
               : krs_fail_field(err, status, "tokens", "tokens: %s", krs_status_sentence(status));
}

/* The whole answer in one event; nothing when the engine thread has ended the stream. */
static void deliver(krs_stream *stream, const text_answer *answer, krs_stream_event *event)
{
    if (!krs_stream_claim(stream)) {
        return;
    }
    const uint64_t total_ns = krs_os_now_ns() - stream->opened_ns;
    event->stream_id = stream->id;
    event->user = stream->user;
    event->is_end = true;
    event->usage.cache_end = KRS_CACHE_END_OFF;
    event->usage.queued_ns = total_ns;
    event->usage.total_ns = total_ns;
    if (event->finish == KRS_FINISH_STOP) {
        event->text = krs_buf_view(&answer->text);
        event->ids = answer->ids.ids;
        event->n_ids = (uint32_t)answer->ids.n;
        event->pieces = answer->pieces;
        event->usage.n_prompt_tokens = stream->request->task == KRS_TASK_TOKENIZE
                                           ? (uint32_t)answer->ids.n
                                           : (uint32_t)stream->request->prompt.n_tokens;
    }
    stream->sink->deliver(stream->sink->ctx, event, 1);
}

void krs_engine_answer_text(krs_engine *engine, krs_stream *stream, krs_encoder *encoder,
                            const krs_finish *given_up)
{
    krs_stream_event event = {.finish = KRS_FINISH_STOP};
    text_answer answer = {0};
    krs_buf_init(&answer.text, engine->alloc, KRS_ENGINE_MAX_TEXT_BYTES);
    if (given_up) {
        event.finish = *given_up;
    } else {
        const krs_status status =
            stream->request->task == KRS_TASK_TOKENIZE
                ? tokenize(engine, stream->request, encoder, &answer, &event.error)
                : detokenize(engine, stream->request, &answer, &event.error);
        event.finish = status == KRS_OK ? KRS_FINISH_STOP : KRS_FINISH_ERROR;
        event.error.status = status;
    }
    deliver(stream, &answer, &event);
    krs_alloc_free(engine->alloc, answer.pieces);
    krs_buf_deinit(&answer.text);
}
