/* front/responses_answer.c - events of one call of the responses API to the bytes its client reads.
 *
 *   streamed:  response.created, response.in_progress, of each item what is below,
 *              response.completed | response.incomplete | response.failed
 *     text:       response.output_item.added, response.content_part.added, response.output_text.delta ..,
 *                 response.output_text.done, response.content_part.done, response.output_item.done
 *     reasoning:  the same with response.reasoning_text.delta .., response.reasoning_text.done
 *     call:       response.output_item.added, response.function_call_arguments.delta ..,
 *                 response.function_call_arguments.done, response.output_item.done
 *   whole:     one response object
 *
 * Every event has the next sequence number. The end of a stream repeats the items, so they are kept. An
 * answer without any is a message without text, as clients expect one.
 *
 * Thread: one owner.  Memory: the items of the answer, bounded.
 * Source: OpenAI API reference, responses, streaming. */
#include "front/responses_priv.h"

#include "front/openai_priv.h"

static krs_responses_answer *own_of(krs_answer *answer)
{
    return (krs_responses_answer *)(void *)answer;
}

static krs_status init_answer(krs_answer *answer)
{
    krs_responses_answer *a = own_of(answer);
    krs_turn_options options = krs_call_turn_options(answer->call, 0, "call_");
    options.is_kept = true;
    a->call = (krs_responses_call *)(void *)answer->call;
    krs_turn_init(&a->turn, &options);
    return KRS_OK;
}

static void deinit_answer(krs_answer *answer)
{
    krs_turn_deinit(&own_of(answer)->turn);
}

static void begin_event(krs_writer *w, krs_responses_answer *a, krs_str name)
{
    krs_call_begin_event(w, name);
    krs_put(w, KRS_STR(",\"sequence_number\":"));
    krs_put_number(w, a->sequence_number++);
    a->answer.has_written = true;
}

/* An event that shows the whole response. */
static void put_response_event(krs_writer *w, krs_responses_answer *a, krs_str name,
                               krs_response_state state)
{
    begin_event(w, a, name);
    krs_put(w, KRS_STR(",\"response\":"));
    krs_responses_put_response(w, a, state);
    krs_call_end_event(w);
}

/* An event about one item; its own members follow. */
static void begin_item_event(krs_writer *w, krs_responses_answer *a, krs_str name,
                             const krs_turn_item *item)
{
    begin_event(w, a, name);
    krs_put(w, KRS_STR(",\"item_id\":\""));
    krs_responses_put_item_id(w, a, item);
    krs_put(w, KRS_STR("\",\"output_index\":"));
    krs_put_number(w, item->index);
    if (item->kind != KRS_TURN_CALL) {
        krs_put(w, KRS_STR(",\"content_index\":0"));
    }
}

static void put_item_event(krs_writer *w, krs_responses_answer *a, krs_str name,
                           const krs_turn_item *item)
{
    begin_event(w, a, name);
    krs_put(w, KRS_STR(",\"output_index\":"));
    krs_put_number(w, item->index);
    krs_put(w, KRS_STR(",\"item\":"));
    krs_responses_put_item(w, a, item, krs_responses_item_state(a, item));
    krs_call_end_event(w);
}

static void put_part_event(krs_writer *w, krs_responses_answer *a, krs_str name,
                           const krs_turn_item *item)
{
    begin_item_event(w, a, name, item);
    krs_put(w, KRS_STR(",\"part\":"));
    krs_responses_put_part(w, item);
    krs_call_end_event(w);
}

/* "logprobs":[..] of texts. */
static void put_logprobs(krs_writer *w, const krs_turn_item *item, krs_str entries)
{
    if (item->kind == KRS_TURN_TEXT) {
        krs_put(w, KRS_STR(",\"logprobs\":["));
        krs_put(w, entries);
        krs_put(w, KRS_STR("]"));
    }
}

static void put_start(krs_writer *w, krs_responses_answer *a)
{
    put_response_event(w, a, KRS_STR("response.created"), KRS_RESPONSE_IN_PROGRESS);
    put_response_event(w, a, KRS_STR("response.in_progress"), KRS_RESPONSE_IN_PROGRESS);
    a->is_started = true;
}

static void begin_item(krs_writer *w, krs_responses_answer *a, const krs_turn_item *item)
{
    put_item_event(w, a, KRS_STR("response.output_item.added"), item);
    if (item->kind != KRS_TURN_CALL) {
        put_part_event(w, a, KRS_STR("response.content_part.added"), item);
    }
}

static void put_delta(krs_writer *w, krs_responses_answer *a, const krs_turn_item *item,
                      krs_str text, krs_str logprobs)
{
    static const char *const names[] = {"response.output_text.delta",
                                        "response.reasoning_text.delta",
                                        "response.function_call_arguments.delta"};
    begin_item_event(w, a, krs_str_of(names[item->kind]), item);
    krs_put(w, KRS_STR(",\"delta\":"));
    krs_put_string(w, text);
    put_logprobs(w, item, logprobs);
    krs_call_end_event(w);
}

static void end_item(krs_writer *w, krs_responses_answer *a, const krs_turn_item *item)
{
    static const char *const names[] = {"response.output_text.done", "response.reasoning_text.done",
                                        "response.function_call_arguments.done"};
    begin_item_event(w, a, krs_str_of(names[item->kind]), item);
    if (item->kind == KRS_TURN_CALL) {
        krs_put(w, KRS_STR(",\"name\":"));
        krs_put_string(w, krs_str_of(item->name));
    }
    krs_put(w, item->kind == KRS_TURN_CALL ? KRS_STR(",\"arguments\":") : KRS_STR(",\"text\":"));
    krs_put_string(w, krs_buf_view(&item->text));
    put_logprobs(w, item, krs_buf_view(&item->notes));
    krs_call_end_event(w);
    if (item->kind != KRS_TURN_CALL) {
        put_part_event(w, a, KRS_STR("response.content_part.done"), item);
    }
    put_item_event(w, a, KRS_STR("response.output_item.done"), item);
}

static krs_response_state final_state(const krs_responses_answer *a)
{
    return a->finish == KRS_FINISH_LENGTH ? KRS_RESPONSE_INCOMPLETE : KRS_RESPONSE_COMPLETED;
}

/* An event on its way through the turn. */
typedef struct passage {
    krs_responses_answer *a;
    const krs_stream_event *event; /* until its log probabilities are told */
    krs_writer *w;                 /* NULL: nothing is streamed */
    krs_status status;             /* of notes */
} passage;

/* Take the event's log probabilities into the item: what they are, and where among the item's. */
static krs_str note_logprobs(passage *p, krs_turn_item *item)
{
    const size_t before = item->notes.len;
    if (!p->event || item->kind != KRS_TURN_TEXT || p->a->call->n_logprobs < 0 ||
        p->event->n_tokens == 0) {
        return (krs_str){NULL, 0};
    }
    krs_writer notes = {&item->notes, KRS_OK};
    krs_openai_put_logprobs(&notes, p->event, before == 0);
    p->event = NULL;
    p->status = notes.status;
    const size_t begin = before + (before > 0); /* the comma is between the two */
    return (krs_str){item->notes.data + begin, item->notes.len - begin};
}

static krs_status hear_item(void *user, krs_turn_step step, krs_turn_item *item, krs_str text)
{
    passage *p = user;
    if (step == KRS_TURN_PIECE) {
        const krs_str logprobs = note_logprobs(p, item);
        if (p->w) {
            put_delta(p->w, p->a, item, text, logprobs);
        }
    } else if (p->w && step == KRS_TURN_BEGIN) {
        begin_item(p->w, p->a, item);
    } else if (p->w) {
        end_item(p->w, p->a, item);
    }
    return p->w && p->w->status != KRS_OK ? p->w->status : p->status;
}

/* Tokens that made no text yet have log probabilities all the same. */
static void tell_silent(passage *p)
{
    krs_turn_item *item = p->a->turn.open;
    if (item && p->event && item->kind == KRS_TURN_TEXT) {
        const krs_str logprobs = note_logprobs(p, item);
        if (p->w && logprobs.len > 0) {
            put_delta(p->w, p->a, item, KRS_STR(""), logprobs);
        }
    }
}

static krs_status take_event(krs_responses_answer *a, const krs_stream_event *event, krs_writer *w)
{
    passage p = {.a = a, .event = event, .w = w};
    const krs_turn_sink sink = {&p, hear_item};
    if (event->is_end) {
        a->usage = event->usage;
        a->finish = event->finish;
        a->is_ended = true;
    }
    krs_status status = krs_turn_add(&a->turn, event, &sink);
    if (status == KRS_OK) {
        tell_silent(&p);
        status = p.status;
    }
    if (status == KRS_OK && event->is_end && a->turn.n_items == 0) {
        status = krs_turn_add_empty(&a->turn, &sink);
    }
    return status;
}

static void add_event(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    (void)i;
    krs_responses_answer *a = own_of(answer);
    const bool is_stream = answer->call->call.is_stream;
    if (is_stream && !a->is_started) {
        put_start(w, a);
    }
    const krs_status status = take_event(a, event, is_stream ? w : NULL);
    w->status = w->status == KRS_OK ? status : w->status;
    if (!event->is_end) {
        return;
    }
    const krs_response_state state = final_state(a);
    if (!is_stream) {
        krs_responses_put_response(w, a, state);
        return;
    }
    put_response_event(w, a,
                       state == KRS_RESPONSE_INCOMPLETE ? KRS_STR("response.incomplete")
                                                        : KRS_STR("response.completed"),
                       state);
}

static void fail_stream(krs_answer *answer, krs_writer *w)
{
    krs_responses_answer *a = own_of(answer);
    if (!a->is_started) {
        put_start(w, a);
    }
    put_response_event(w, a, KRS_STR("response.failed"), KRS_RESPONSE_FAILED);
}

static const char *const fields[] = {"input",
                                     "instructions",
                                     "max_output_tokens",
                                     "stop",
                                     "stream",
                                     "stream_options",
                                     "stream_options.include_obfuscation",
                                     "text",
                                     "text.format",
                                     "text.verbosity",
                                     "guided_json",
                                     "guided_regex",
                                     "guided_choice",
                                     "guided_grammar",
                                     "structured_outputs",
                                     "reasoning",
                                     "reasoning.effort",
                                     "reasoning.summary",
                                     "include",
                                     "top_logprobs",
                                     "metadata",
                                     "store",
                                     "service_tier",
                                     "safety_identifier",
                                     "prompt_cache_key",
                                     "prompt_cache_retention",
                                     "tools",
                                     "tool_choice",
                                     "parallel_tool_calls",
                                     "max_tool_calls",
                                     "previous_response_id",
                                     "conversation",
                                     "background",
                                     "prompt",
                                     "truncation",
                                     NULL};

const krs_call_row krs_call_row_responses = {
    .fields = {krs_call_owner_fields, krs_call_sampling_fields, fields},
    .prompt_field = "input",
    .max_values = KRS_CALL_MAX_CHAT_VALUES,
    .call_bytes = sizeof(krs_responses_call),
    .answer_bytes = sizeof(krs_responses_answer),
    .read = krs_responses_read,
    .call_deinit = krs_responses_call_deinit,
    .answer_init = init_answer,
    .answer_deinit = deinit_answer,
    .add = add_event,
    .fail = fail_stream,
    .heartbeat = krs_call_put_comment,
    .error_write = krs_openai_error_write,
};
