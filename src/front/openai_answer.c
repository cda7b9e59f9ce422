/* front/openai_answer.c - events of one chat or completions call to the bytes its client reads.
 *
 *   streamed:  role chunk, delta chunks .., finish chunk (each choice), usage chunk?, [DONE]
 *   whole:     nothing until every choice has ended, then one object
 *
 * What every chunk begins with is written once, when the answer is made.
 *
 * Thread: one owner.  Memory: the texts of whole answers, bounded; streamed answers keep nothing.
 * Source: OpenAI API reference, streaming. */
#include "front/openai_priv.h"

#define LOGPROBS_MAX_BYTES (64u << 20) /* of a whole chat answer */
#define ENVELOPE_MAX_BYTES 4096        /* a model id of 255 bytes, escaped, and 200 of ours */

static krs_openai_answer *own(krs_answer *answer)
{
    return (krs_openai_answer *)(void *)answer;
}

static bool is_chat(const krs_openai_answer *a)
{
    return a->call->head.call.kind == KRS_CALL_CHAT;
}

static const char *object_of(const krs_call *call)
{
    if (call->kind == KRS_CALL_COMPLETION) {
        return "text_completion";
    }
    return call->is_stream ? "chat.completion.chunk" : "chat.completion";
}

static krs_status write_envelope(const krs_call_head *call, krs_buf *out)
{
    krs_writer w = {out, KRS_OK};
    krs_put(&w, KRS_STR("{\"id\":"));
    krs_put_string(&w, krs_str_of(call->id));
    krs_put(&w, KRS_STR(",\"object\":"));
    krs_put_string(&w, krs_str_of(object_of(&call->call)));
    krs_put(&w, KRS_STR(",\"created\":"));
    krs_put_number(&w, call->created_unix_s);
    krs_put(&w, KRS_STR(",\"model\":"));
    krs_put_string(&w, krs_str_of(call->model));
    krs_put(&w, KRS_STR(",\"system_fingerprint\":\"" KRS_OPENAI_FINGERPRINT "\",\"choices\":["));
    return w.status;
}

krs_status krs_openai_answer_init(krs_answer *answer)
{
    krs_openai_answer *a = own(answer);
    const krs_alloc *alloc = answer->call->alloc;
    a->call = (krs_openai_call *)(void *)answer->call;
    krs_buf_init(&a->envelope, alloc, ENVELOPE_MAX_BYTES);
    for (uint32_t i = 0; i < KRS_MAX_CHOICES; i++) {
        krs_buf_init(&a->choices[i].text, alloc, KRS_CALL_MAX_ANSWER_BYTES);
        krs_buf_init(&a->choices[i].logprobs, alloc, LOGPROBS_MAX_BYTES);
        krs_openai_legacy_init(&a->choices[i].legacy, alloc);
    }
    return write_envelope(answer->call, &a->envelope);
}

void krs_openai_answer_deinit(krs_answer *answer)
{
    krs_openai_answer *a = own(answer);
    krs_buf_deinit(&a->envelope);
    for (uint32_t i = 0; i < KRS_MAX_CHOICES; i++) {
        krs_buf_deinit(&a->choices[i].text);
        krs_buf_deinit(&a->choices[i].logprobs);
        krs_openai_legacy_deinit(&a->choices[i].legacy);
    }
}

static void put_usage(krs_writer *w, const krs_openai_answer *a)
{
    uint64_t n_prompt = 0;
    uint64_t n_cached = 0;
    uint64_t n_answer = 0;
    uint64_t n_accepted = 0;
    uint64_t n_rejected = 0;
    for (uint32_t i = 0; i < a->call->n * a->call->n_prompts; i++) {
        const krs_usage *usage = &a->choices[i].usage;
        n_answer += usage->n_answer_tokens;
        n_accepted += usage->n_accepted;
        n_rejected += usage->n_rejected;
        if (i % a->call->n == 0) { /* each prompt counts once */
            n_prompt += usage->n_prompt_tokens;
            n_cached += usage->n_cached_tokens;
        }
    }
    krs_put(w, KRS_STR("\"usage\":{\"prompt_tokens\":"));
    krs_put_number(w, n_prompt);
    krs_put(w, KRS_STR(",\"completion_tokens\":"));
    krs_put_number(w, n_answer);
    krs_put(w, KRS_STR(",\"total_tokens\":"));
    krs_put_number(w, n_prompt + n_answer);
    krs_put(w, KRS_STR(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    krs_put_number(w, n_cached);
    krs_put(w, KRS_STR("},\"completion_tokens_details\":{\"accepted_prediction_tokens\":"));
    krs_put_number(w, n_accepted);
    krs_put(w, KRS_STR(",\"rejected_prediction_tokens\":"));
    krs_put_number(w, n_rejected);
    krs_put(w, KRS_STR("}}"));
}

/* ,"logprobs":null or those of the event, or of all events when there is none. */
static void put_logprobs(krs_writer *w, const krs_openai_answer *a, krs_openai_choice *c,
                         const krs_stream_event *event)
{
    krs_put(w, KRS_STR(",\"logprobs\":"));
    if (!a->call->has_logprobs) {
        krs_put(w, KRS_STR("null"));
    } else if (!is_chat(a)) {
        krs_openai_legacy_put(w, &c->legacy);
    } else {
        krs_put(w, KRS_STR("{\"content\":["));
        if (event) {
            krs_openai_put_logprobs(w, event, true);
        } else {
            krs_put(w, krs_buf_view(&c->logprobs));
        }
        krs_put(w, KRS_STR("],\"refusal\":null}"));
    }
}

static void put_finish(krs_writer *w, const krs_openai_choice *c, bool is_end)
{
    krs_put(w, KRS_STR(",\"finish_reason\":"));
    krs_put_string_or_null(w, krs_str_of(is_end ? krs_finish_name(c->finish) : NULL));
    krs_put(w, KRS_STR("}"));
}

typedef enum chunk_part { CHUNK_ROLE, CHUNK_TEXT, CHUNK_FINISH } chunk_part;

/* "delta":{..} or "text":".." */
static void put_delta(krs_writer *w, const krs_openai_answer *a, chunk_part part, krs_str text)
{
    if (!is_chat(a)) {
        krs_put(w, KRS_STR(",\"text\":"));
        krs_put_string(w, text);
    } else if (part == CHUNK_ROLE) {
        krs_put(w, KRS_STR(",\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"));
    } else if (part == CHUNK_FINISH) {
        krs_put(w, KRS_STR(",\"delta\":{}"));
    } else {
        krs_put(w, KRS_STR(",\"delta\":{\"content\":"));
        krs_put_string(w, text);
        krs_put(w, KRS_STR("}"));
    }
}

/* One server-sent event of one choice. event: of a CHUNK_TEXT, else NULL. */
static void put_chunk(krs_writer *w, krs_openai_answer *a, uint32_t index, chunk_part part,
                      const krs_stream_event *event)
{
    krs_openai_choice *c = &a->choices[index];
    krs_put(w, KRS_STR("data: "));
    krs_put(w, krs_buf_view(&a->envelope));
    krs_put(w, KRS_STR("{\"index\":"));
    krs_put_number(w, index);
    put_delta(w, a, part, event ? event->text : KRS_STR(""));
    if (event) {
        put_logprobs(w, a, c, event);
    } else {
        krs_put(w, KRS_STR(",\"logprobs\":null"));
    }
    put_finish(w, c, part == CHUNK_FINISH);
    krs_put(w, a->call->has_usage_chunk ? KRS_STR("],\"usage\":null}\n\n") : KRS_STR("]}\n\n"));
    a->answer.has_written = true;
}

static void put_stream_end(krs_writer *w, const krs_openai_answer *a)
{
    if (a->call->has_usage_chunk) {
        krs_put(w, KRS_STR("data: "));
        krs_put(w, krs_buf_view(&a->envelope));
        krs_put(w, KRS_STR("],"));
        put_usage(w, a);
        krs_put(w, KRS_STR("}\n\n"));
    }
    krs_put(w, KRS_STR("data: [DONE]\n\n"));
}

static void stream_event(krs_openai_answer *a, uint32_t index, const krs_stream_event *event,
                         krs_writer *w)
{
    krs_openai_choice *c = &a->choices[index];
    if (!c->is_started && is_chat(a)) {
        put_chunk(w, a, index, CHUNK_ROLE, NULL);
    }
    c->is_started = true;
    if (event->text.len > 0 || (a->call->has_logprobs && event->n_tokens > 0)) {
        put_chunk(w, a, index, CHUNK_TEXT, event);
    }
    if (event->is_end) {
        put_chunk(w, a, index, CHUNK_FINISH, NULL);
    }
    if (krs_answer_is_complete(&a->answer)) {
        put_stream_end(w, a);
    }
}

static void put_whole_choice(krs_writer *w, krs_openai_answer *a, uint32_t index)
{
    krs_openai_choice *c = &a->choices[index];
    krs_put(w, index ? KRS_STR(",{\"index\":") : KRS_STR("{\"index\":"));
    krs_put_number(w, index);
    if (is_chat(a)) {
        krs_put(w, KRS_STR(",\"message\":{\"role\":\"assistant\",\"content\":"));
        krs_put_string(w, krs_buf_view(&c->text));
        krs_put(w, KRS_STR(",\"refusal\":null}"));
    } else {
        krs_put(w, KRS_STR(",\"text\":"));
        krs_put_string(w, krs_buf_view(&c->text));
    }
    put_logprobs(w, a, c, NULL);
    put_finish(w, c, true);
}

static void put_whole(krs_writer *w, krs_openai_answer *a)
{
    krs_put(w, krs_buf_view(&a->envelope));
    for (uint32_t i = 0; i < a->call->n * a->call->n_prompts; i++) {
        put_whole_choice(w, a, i);
    }
    krs_put(w, KRS_STR("],"));
    put_usage(w, a);
    krs_put(w, KRS_STR("}"));
}

/* Keep what the one object at the end needs. */
static void gather(const krs_openai_answer *a, krs_openai_choice *c, const krs_stream_event *event,
                   krs_writer *w)
{
    krs_writer text = {&c->text, w->status};
    krs_put(&text, event->text);
    if (a->call->has_logprobs && is_chat(a)) {
        krs_writer logprobs = {&c->logprobs, text.status};
        krs_openai_put_logprobs(&logprobs, event, c->logprobs.len == 0);
        text.status = logprobs.status;
    }
    w->status = text.status;
}

void krs_openai_answer_add(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                           krs_writer *w)
{
    krs_openai_answer *a = own(answer);
    krs_openai_choice *c = &a->choices[i];
    if (event->is_end) {
        c->finish = event->finish;
        c->usage = event->usage;
    }
    if (a->call->has_logprobs && !is_chat(a)) {
        w->status = krs_openai_legacy_add(&c->legacy, event);
    }
    if (answer->call->call.is_stream) {
        stream_event(a, i, event, w);
        return;
    }
    gather(a, c, event, w);
    if (krs_answer_is_complete(answer)) {
        put_whole(w, a);
    }
}

void krs_openai_answer_fail(krs_answer *answer, krs_writer *w)
{
    krs_put(w, KRS_STR("data: "));
    if (w->status == KRS_OK) {
        w->status = krs_openai_error_write(&answer->error, answer->call->correlation_id, w->out);
    }
    krs_put(w, KRS_STR("\n\ndata: [DONE]\n\n"));
}
