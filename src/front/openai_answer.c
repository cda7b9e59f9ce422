/* front/openai_answer.c - events of one chat or completions call to the bytes its client reads.
 *
 *   streamed:  role chunk, delta chunks (content, reasoning, calls) .., finish chunk (each choice),
 *              usage chunk?, [DONE]
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
        const krs_turn_options options = krs_call_turn_options(answer->call, i, "call_");
        krs_turn_init(&a->choices[i].turn, &options);
    }
    return write_envelope(answer->call, &a->envelope);
}

void krs_openai_answer_deinit(krs_answer *answer)
{
    krs_openai_answer *a = own(answer);
    krs_buf_deinit(&a->envelope);
    for (uint32_t i = 0; i < KRS_MAX_CHOICES; i++) {
        krs_turn_deinit(&a->choices[i].turn);
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
    uint64_t n_reasoning = 0;
    for (uint32_t i = 0; i < a->call->n * a->call->n_prompts; i++) {
        const krs_usage *usage = &a->choices[i].usage;
        n_answer += usage->n_answer_tokens;
        n_accepted += usage->n_accepted;
        n_rejected += usage->n_rejected;
        n_reasoning += a->choices[i].turn.n_reasoning_tokens;
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
    krs_put(w, KRS_STR("},\"completion_tokens_details\":{\"reasoning_tokens\":"));
    krs_put_number(w, n_reasoning);
    krs_put(w, KRS_STR(",\"accepted_prediction_tokens\":"));
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

/* A turn that ended by itself with calls ended for them. */
static const char *reason_of(const krs_openai_choice *c)
{
    return c->finish == KRS_FINISH_STOP && c->turn.n_calls > 0 ? "tool_calls"
                                                               : krs_finish_name(c->finish);
}

static void put_finish(krs_writer *w, const krs_openai_choice *c, bool is_end)
{
    krs_put(w, KRS_STR(",\"finish_reason\":"));
    krs_put_string_or_null(w, krs_str_of(is_end ? reason_of(c) : NULL));
    krs_put(w, KRS_STR("}"));
}

typedef enum chunk_part {
    CHUNK_ROLE,
    CHUNK_TEXT,
    CHUNK_REASONING,
    CHUNK_CALL,      /* its name and id */
    CHUNK_ARGUMENTS, /* a piece of them */
    CHUNK_FINISH
} chunk_part;

typedef struct chunk {
    chunk_part part;
    krs_str text;
    const krs_turn_item *item;     /* of CALL and ARGUMENTS */
    const krs_stream_event *event; /* whose log probabilities it brings, or NULL */
} chunk;

/* "tool_calls":[{..}] */
static void put_call_delta(krs_writer *w, const chunk *c)
{
    krs_put(w, KRS_STR("\"tool_calls\":[{\"index\":"));
    krs_put_number(w, c->item->call);
    if (c->part == CHUNK_CALL) {
        krs_put(w, KRS_STR(",\"id\":"));
        krs_put_string(w, krs_str_of(c->item->id));
        krs_put(w, KRS_STR(",\"type\":\"function\",\"function\":{\"name\":"));
        krs_put_string(w, krs_str_of(c->item->name));
        krs_put(w, KRS_STR(",\"arguments\":\"\"}}]"));
    } else {
        krs_put(w, KRS_STR(",\"function\":{\"arguments\":"));
        krs_put_string(w, c->text);
        krs_put(w, KRS_STR("}}]"));
    }
}

/* "delta":{..} or "text":".." */
static void put_delta(krs_writer *w, const krs_openai_answer *a, const chunk *c)
{
    if (!is_chat(a)) {
        krs_put(w, KRS_STR(",\"text\":"));
        krs_put_string(w, c->text);
        return;
    }
    krs_put(w, KRS_STR(",\"delta\":{"));
    switch (c->part) {
    case CHUNK_ROLE:
        krs_put(w, KRS_STR("\"role\":\"assistant\",\"content\":\"\""));
        break;
    case CHUNK_TEXT:
    case CHUNK_REASONING:
        krs_put(w, c->part == CHUNK_TEXT ? KRS_STR("\"content\":")
                                         : KRS_STR("\"reasoning_content\":"));
        krs_put_string(w, c->text);
        break;
    case CHUNK_CALL:
    case CHUNK_ARGUMENTS:
        put_call_delta(w, c);
        break;
    case CHUNK_FINISH:
        break;
    }
    krs_put(w, KRS_STR("}"));
}

/* One server-sent event of one choice. */
static void put_chunk(krs_writer *w, krs_openai_answer *a, uint32_t index, const chunk *c)
{
    krs_openai_choice *choice = &a->choices[index];
    krs_put(w, KRS_STR("data: "));
    krs_put(w, krs_buf_view(&a->envelope));
    krs_put(w, KRS_STR("{\"index\":"));
    krs_put_number(w, index);
    put_delta(w, a, c);
    if (c->event) {
        put_logprobs(w, a, choice, c->event);
    } else {
        krs_put(w, KRS_STR(",\"logprobs\":null"));
    }
    put_finish(w, choice, c->part == CHUNK_FINISH);
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

/* An event of a chat on its way into chunks. */
typedef struct passage {
    krs_openai_answer *a;
    uint32_t index;
    const krs_stream_event *event; /* until its log probabilities are told */
    krs_writer *w;
} passage;

static krs_status hear_item(void *user, krs_turn_step step, krs_turn_item *item, krs_str text)
{
    passage *p = user;
    chunk c = {.text = text, .item = item, .event = p->event};
    if (step == KRS_TURN_PIECE) {
        c.part = item->kind == KRS_TURN_TEXT        ? CHUNK_TEXT
                 : item->kind == KRS_TURN_REASONING ? CHUNK_REASONING
                                                    : CHUNK_ARGUMENTS;
    } else if (step == KRS_TURN_BEGIN && item->kind == KRS_TURN_CALL) {
        c.part = CHUNK_CALL;
    } else {
        return KRS_OK;
    }
    put_chunk(p->w, p->a, p->index, &c);
    p->event = NULL;
    return p->w->status;
}

/* What an event says, in as many chunks as it takes; its log probabilities go with the first. */
static void stream_chat(krs_openai_answer *a, uint32_t index, const krs_stream_event *event,
                        krs_writer *w)
{
    krs_openai_choice *c = &a->choices[index];
    passage p = {a, index, event, w};
    const krs_turn_sink sink = {&p, hear_item};
    if (!c->is_started) {
        put_chunk(w, a, index, &(chunk){.part = CHUNK_ROLE});
    }
    const krs_status status = krs_turn_add(&c->turn, event, &sink);
    w->status = w->status == KRS_OK ? status : w->status;
    if (p.event && a->call->has_logprobs && event->n_tokens > 0) {
        put_chunk(w, a, index, &(chunk){.part = CHUNK_TEXT, .event = event});
    }
}

static void stream_event(krs_openai_answer *a, uint32_t index, const krs_stream_event *event,
                         krs_writer *w)
{
    if (is_chat(a)) {
        stream_chat(a, index, event, w);
    } else if (event->text.len > 0 || (a->call->has_logprobs && event->n_tokens > 0)) {
        put_chunk(w, a, index, &(chunk){CHUNK_TEXT, event->text, NULL, event});
    }
    a->choices[index].is_started = true;
    if (event->is_end) {
        put_chunk(w, a, index, &(chunk){.part = CHUNK_FINISH});
    }
    if (krs_answer_is_complete(&a->answer)) {
        put_stream_end(w, a);
    }
}

/* Texts of one kind as one JSON string. */
static void put_joined(krs_writer *w, const krs_openai_answer *a, const krs_turn *turn,
                       krs_turn_kind kind)
{
    krs_buf text;
    krs_buf_init(&text, a->call->head.alloc, KRS_CALL_MAX_ANSWER_BYTES);
    if (w->status == KRS_OK) {
        w->status = krs_turn_join(turn, kind, &text);
    }
    krs_put_string(w, krs_buf_view(&text));
    krs_buf_deinit(&text);
}

static void put_calls(krs_writer *w, const krs_turn *turn)
{
    krs_put(w, KRS_STR(",\"tool_calls\":["));
    for (uint32_t i = 0; i < turn->n_items; i++) {
        const krs_turn_item *item = turn->items[i];
        if (item->kind != KRS_TURN_CALL) {
            continue;
        }
        krs_put(w, item->call ? KRS_STR(",{\"id\":") : KRS_STR("{\"id\":"));
        krs_put_string(w, krs_str_of(item->id));
        krs_put(w, KRS_STR(",\"type\":\"function\",\"function\":{\"name\":"));
        krs_put_string(w, krs_str_of(item->name));
        krs_put(w, KRS_STR(",\"arguments\":"));
        krs_put_string(w, krs_buf_view(&item->text));
        krs_put(w, KRS_STR("}}"));
    }
    krs_put(w, KRS_STR("]"));
}

/* The message of a chat. Content is null where calls stand in its place. */
static void put_message(krs_writer *w, const krs_openai_answer *a, const krs_turn *turn)
{
    krs_put(w, KRS_STR(",\"message\":{\"role\":\"assistant\",\"content\":"));
    if (turn->n_calls > 0 && !krs_turn_has(turn, KRS_TURN_TEXT)) {
        krs_put(w, KRS_STR("null"));
    } else {
        put_joined(w, a, turn, KRS_TURN_TEXT);
    }
    if (krs_turn_has(turn, KRS_TURN_REASONING)) {
        krs_put(w, KRS_STR(",\"reasoning_content\":"));
        put_joined(w, a, turn, KRS_TURN_REASONING);
    }
    if (turn->n_calls > 0) {
        put_calls(w, turn);
    }
    krs_put(w, KRS_STR(",\"refusal\":null}"));
}

static void put_whole_choice(krs_writer *w, krs_openai_answer *a, uint32_t index)
{
    krs_openai_choice *c = &a->choices[index];
    krs_put(w, index ? KRS_STR(",{\"index\":") : KRS_STR("{\"index\":"));
    krs_put_number(w, index);
    if (is_chat(a)) {
        put_message(w, a, &c->turn);
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
    krs_status status = is_chat(a) ? krs_turn_add(&c->turn, event, NULL)
                                   : krs_buf_append_str(&c->text, event->text);
    if (status == KRS_OK && a->call->has_logprobs && is_chat(a)) {
        krs_writer logprobs = {&c->logprobs, status};
        krs_openai_put_logprobs(&logprobs, event, c->logprobs.len == 0);
        status = logprobs.status;
    }
    w->status = status;
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
