/* front/responses_answer.c - events of one call of the responses API to the bytes its client reads.
 *
 *   streamed:  response.created, response.in_progress, response.output_item.added,
 *              response.content_part.added, response.output_text.delta ..,
 *              response.output_text.done, response.content_part.done, response.output_item.done,
 *              response.completed | response.incomplete | response.failed
 *   whole:     one response object
 *
 * Every event has the next sequence number. The end of a stream repeats the whole text three times, so
 * it is kept; room for a usual answer is taken at the start, so that no token needs an allocation.
 *
 * Thread: one owner.  Memory: the text of the answer, bounded.
 * Source: OpenAI API reference, responses, streaming. */
#include "front/responses_priv.h"

#include "front/openai_priv.h"

#define LOGPROBS_MAX_BYTES (64u << 20) /* of a whole answer */
#define TEXT_FIRST_BYTES   (16u << 10) /* some 4,000 tokens; longer answers double it */

static krs_responses_answer *own_of(krs_answer *answer)
{
    return (krs_responses_answer *)(void *)answer;
}

static krs_status init_answer(krs_answer *answer)
{
    krs_responses_answer *a = own_of(answer);
    a->call = (krs_responses_call *)(void *)answer->call;
    krs_buf_init(&a->text, answer->call->alloc, KRS_CALL_MAX_ANSWER_BYTES);
    krs_buf_init(&a->logprobs, answer->call->alloc, LOGPROBS_MAX_BYTES);
    return krs_buf_reserve(&a->text, TEXT_FIRST_BYTES);
}

static void deinit_answer(krs_answer *answer)
{
    krs_buf_deinit(&own_of(answer)->text);
    krs_buf_deinit(&own_of(answer)->logprobs);
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

static void put_item_event(krs_writer *w, krs_responses_answer *a, krs_str name,
                           krs_response_state state)
{
    begin_event(w, a, name);
    krs_put(w, KRS_STR(",\"output_index\":0,\"item\":"));
    krs_responses_put_item(w, a, state);
    krs_call_end_event(w);
}

/* An event about the one part of the one item; its own members follow. */
static void begin_part_event(krs_writer *w, krs_responses_answer *a, krs_str name)
{
    begin_event(w, a, name);
    krs_put(w, KRS_STR(",\"item_id\":\"msg_"));
    krs_put(w, krs_str_of(a->call->head.id));
    krs_put(w, KRS_STR("\",\"output_index\":0,\"content_index\":0"));
}

static void put_part_event(krs_writer *w, krs_responses_answer *a, krs_str name)
{
    begin_part_event(w, a, name);
    krs_put(w, KRS_STR(",\"part\":"));
    krs_responses_put_part(w, a);
    krs_call_end_event(w);
}

static void put_start(krs_writer *w, krs_responses_answer *a)
{
    const krs_response_state state = KRS_RESPONSE_IN_PROGRESS;
    put_response_event(w, a, KRS_STR("response.created"), state);
    put_response_event(w, a, KRS_STR("response.in_progress"), state);
    put_item_event(w, a, KRS_STR("response.output_item.added"), state);
    put_part_event(w, a, KRS_STR("response.content_part.added"));
    a->is_started = true;
}

static void put_delta(krs_writer *w, krs_responses_answer *a, const krs_stream_event *event)
{
    begin_part_event(w, a, KRS_STR("response.output_text.delta"));
    krs_put(w, KRS_STR(",\"delta\":"));
    krs_put_string(w, event->text);
    krs_put(w, KRS_STR(",\"logprobs\":["));
    if (a->call->n_logprobs >= 0) {
        krs_openai_put_logprobs(w, event, true);
    }
    krs_put(w, KRS_STR("]"));
    krs_call_end_event(w);
}

static krs_response_state final_state(const krs_responses_answer *a)
{
    return a->finish == KRS_FINISH_LENGTH ? KRS_RESPONSE_INCOMPLETE : KRS_RESPONSE_COMPLETED;
}

static void put_end(krs_writer *w, krs_responses_answer *a)
{
    const krs_response_state state = final_state(a);
    begin_part_event(w, a, KRS_STR("response.output_text.done"));
    krs_put(w, KRS_STR(",\"text\":"));
    krs_put_string(w, krs_buf_view(&a->text));
    krs_put(w, KRS_STR(",\"logprobs\":["));
    krs_put(w, krs_buf_view(&a->logprobs));
    krs_put(w, KRS_STR("]"));
    krs_call_end_event(w);
    put_part_event(w, a, KRS_STR("response.content_part.done"));
    put_item_event(w, a, KRS_STR("response.output_item.done"), state);
    put_response_event(w, a,
                       state == KRS_RESPONSE_INCOMPLETE ? KRS_STR("response.incomplete")
                                                        : KRS_STR("response.completed"),
                       state);
}

/* Keep what the end repeats. */
static void gather(krs_responses_answer *a, const krs_stream_event *event, krs_writer *w)
{
    krs_writer text = {&a->text, w->status};
    krs_put(&text, event->text);
    krs_writer logprobs = {&a->logprobs, text.status};
    if (a->call->n_logprobs >= 0) {
        krs_openai_put_logprobs(&logprobs, event, a->logprobs.len == 0);
    }
    w->status = logprobs.status;
    if (event->is_end) {
        a->usage = event->usage;
        a->finish = event->finish;
    }
}

static void stream_event(krs_responses_answer *a, const krs_stream_event *event, krs_writer *w)
{
    if (event->text.len > 0 || (a->call->n_logprobs >= 0 && event->n_tokens > 0)) {
        put_delta(w, a, event);
    }
    gather(a, event, w);
    if (event->is_end) {
        put_end(w, a);
    }
}

static void add_event(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    (void)i;
    krs_responses_answer *a = own_of(answer);
    if (answer->call->call.is_stream) {
        if (!a->is_started) {
            put_start(w, a);
        }
        stream_event(a, event, w);
        return;
    }
    gather(a, event, w);
    if (event->is_end) {
        krs_responses_put_response(w, a, final_state(a));
    }
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
