/* front/messages_answer.c - events of one call of the messages API to the bytes its client reads.
 *
 *   streamed:  message_start; of each block (text, thinking, tool_use) content_block_start,
 *              content_block_delta .., content_block_stop; message_delta (why it ended, what it cost),
 *              message_stop
 *   whole:     one message
 *
 * input_tokens counts what was computed; what came from the cache is cache_read_input_tokens, as the API has
 * it. Whatever keeps a long wait open is the API's own ping. An answer without any block has an empty text.
 * Nobody signs what a model thought: signatures are empty.
 *
 * Thread: one owner.  Memory: the blocks of a whole answer; streamed answers keep nothing.
 * Source: Anthropic API reference, streaming messages. */
#include "front/messages_priv.h"

static krs_messages_answer *own_of(krs_answer *answer)
{
    return (krs_messages_answer *)(void *)answer;
}

krs_status krs_messages_answer_init(krs_answer *answer)
{
    const krs_turn_options options = krs_call_turn_options(answer->call, 0, "toolu_");
    krs_turn_init(&own_of(answer)->turn, &options);
    return KRS_OK;
}

void krs_messages_answer_deinit(krs_answer *answer)
{
    krs_turn_deinit(&own_of(answer)->turn);
}

static void put_usage(krs_writer *w, const krs_usage *usage)
{
    krs_put(w, KRS_STR("\"usage\":{\"input_tokens\":"));
    krs_put_number(w, usage->n_prompt_tokens - usage->n_cached_tokens);
    krs_put(w, KRS_STR(",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":"));
    krs_put_number(w, usage->n_cached_tokens);
    krs_put(w, KRS_STR(",\"output_tokens\":"));
    krs_put_number(w, usage->n_answer_tokens);
    krs_put(w, KRS_STR(",\"output_tokens_details\":null,\"server_tool_use\":null}"));
}

/* stop: the stop string that ended it, or NULL. */
static krs_str reason_of(const krs_answer *answer, const krs_stream_event *event,
                         const json_t *stop)
{
    const krs_messages_call *call = (const krs_messages_call *)(const void *)answer->call;
    const krs_messages_answer *own = (const krs_messages_answer *)(const void *)answer;
    if (stop) {
        return KRS_STR("stop_sequence");
    }
    if (event->finish != KRS_FINISH_LENGTH) {
        return own->turn.n_calls > 0 ? KRS_STR("tool_use") : KRS_STR("end_turn");
    }
    return event->usage.n_answer_tokens < call->max_tokens
               ? KRS_STR("model_context_window_exceeded")
               : KRS_STR("max_tokens");
}

/* "stop_reason":..,"stop_sequence":.., and what goes with them. event: the end, or NULL before it. */
static void put_stop(krs_writer *w, const krs_answer *answer, const krs_stream_event *event)
{
    const krs_messages_call *call = (const krs_messages_call *)(const void *)answer->call;
    const json_t *stop = NULL;
    if (event && event->usage.stop > 0) {
        stop = json_array_get(call->stop_strings, event->usage.stop - 1);
    }
    const krs_str reason = event ? reason_of(answer, event, stop) : (krs_str){NULL, 0};
    krs_put(w, KRS_STR("\"stop_reason\":"));
    krs_put_string_or_null(w, reason);
    krs_put(w, KRS_STR(",\"stop_sequence\":"));
    krs_put_string_or_null(w, (krs_str){json_string_value(stop), json_string_length(stop)});
    krs_put(w, KRS_STR(",\"stop_details\":null,\"container\":null"));
}

/* The message up to its content: {"id":..,"type":"message","role":"assistant","model":..,"content":[ */
static void put_head(krs_writer *w, const krs_call_head *call)
{
    krs_put(w, KRS_STR("{\"id\":"));
    krs_put_string(w, krs_str_of(call->id));
    krs_put(w, KRS_STR(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    krs_put_string(w, krs_str_of(call->model));
    krs_put(w, KRS_STR(",\"content\":["));
}

static void put_start(krs_writer *w, krs_answer *answer, const krs_stream_event *event)
{
    krs_usage usage = event->usage;
    usage.n_answer_tokens = 0;
    krs_call_begin_event(w, KRS_STR("message_start"));
    krs_put(w, KRS_STR(",\"message\":"));
    put_head(w, answer->call);
    krs_put(w, KRS_STR("],"));
    put_stop(w, answer, NULL);
    krs_put(w, KRS_STR(","));
    put_usage(w, &usage);
    krs_put(w, KRS_STR("}"));
    krs_call_end_event(w);
    own_of(answer)->is_started = true;
    answer->has_written = true;
}

/* The block before anything came in it. */
static void put_empty_block(krs_writer *w, const krs_turn_item *item)
{
    switch (item->kind) {
    case KRS_TURN_TEXT:
        krs_put(w, KRS_STR("{\"type\":\"text\",\"text\":\"\",\"citations\":null}"));
        break;
    case KRS_TURN_REASONING:
        krs_put(w, KRS_STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
        break;
    case KRS_TURN_CALL:
        krs_put(w, KRS_STR("{\"type\":\"tool_use\",\"id\":"));
        krs_put_string(w, krs_str_of(item->id));
        krs_put(w, KRS_STR(",\"name\":"));
        krs_put_string(w, krs_str_of(item->name));
        krs_put(w, KRS_STR(",\"input\":{}}"));
        break;
    }
}

static void put_delta(krs_writer *w, const krs_turn_item *item, krs_str text)
{
    static const char *const deltas[] = {
        ",\"delta\":{\"type\":\"text_delta\",\"text\":",
        ",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":",
        ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":",
    };
    krs_put(w, krs_str_of(deltas[item->kind]));
    krs_put_string(w, text);
    krs_put(w, KRS_STR("}"));
}

static krs_status stream_item(void *user, krs_turn_step step, krs_turn_item *item, krs_str text)
{
    krs_writer *w = user;
    krs_call_begin_event(w, step == KRS_TURN_BEGIN   ? KRS_STR("content_block_start")
                            : step == KRS_TURN_PIECE ? KRS_STR("content_block_delta")
                                                     : KRS_STR("content_block_stop"));
    krs_put(w, KRS_STR(",\"index\":"));
    krs_put_number(w, item->index);
    if (step == KRS_TURN_BEGIN) {
        krs_put(w, KRS_STR(",\"content_block\":"));
        put_empty_block(w, item);
    } else if (step == KRS_TURN_PIECE) {
        put_delta(w, item, text);
    }
    krs_call_end_event(w);
    return w->status;
}

static void put_end(krs_writer *w, krs_answer *answer, const krs_stream_event *event)
{
    krs_call_begin_event(w, KRS_STR("message_delta"));
    krs_put(w, KRS_STR(",\"delta\":{"));
    put_stop(w, answer, event);
    krs_put(w, KRS_STR("},"));
    put_usage(w, &event->usage);
    krs_call_end_event(w);
    krs_call_begin_event(w, KRS_STR("message_stop"));
    krs_call_end_event(w);
}

/* The arguments as the object they are; what an answer that was cut short left open is {}. */
static void put_input(krs_writer *w, krs_str arguments)
{
    const krs_json_limits limits = {KRS_CALL_MAX_ANSWER_BYTES, true};
    json_t *tree = NULL;
    if (krs_json_parse(arguments, &limits, &tree, NULL) == KRS_OK && json_is_object(tree)) {
        krs_put(w, arguments);
    } else {
        krs_put(w, KRS_STR("{}"));
    }
    json_decref(tree);
}

static void put_block(krs_writer *w, const krs_turn_item *item)
{
    switch (item->kind) {
    case KRS_TURN_TEXT:
        krs_put(w, KRS_STR("{\"type\":\"text\",\"text\":"));
        krs_put_string(w, krs_buf_view(&item->text));
        krs_put(w, KRS_STR(",\"citations\":null}"));
        break;
    case KRS_TURN_REASONING:
        krs_put(w, KRS_STR("{\"type\":\"thinking\",\"thinking\":"));
        krs_put_string(w, krs_buf_view(&item->text));
        krs_put(w, KRS_STR(",\"signature\":\"\"}"));
        break;
    case KRS_TURN_CALL:
        krs_put(w, KRS_STR("{\"type\":\"tool_use\",\"id\":"));
        krs_put_string(w, krs_str_of(item->id));
        krs_put(w, KRS_STR(",\"name\":"));
        krs_put_string(w, krs_str_of(item->name));
        krs_put(w, KRS_STR(",\"input\":"));
        put_input(w, krs_buf_view(&item->text));
        krs_put(w, KRS_STR("}"));
        break;
    }
}

static void put_whole(krs_writer *w, krs_answer *answer, const krs_stream_event *event)
{
    const krs_turn *turn = &own_of(answer)->turn;
    put_head(w, answer->call);
    for (uint32_t i = 0; i < turn->n_items; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        put_block(w, turn->items[i]);
    }
    krs_put(w, KRS_STR("],"));
    put_stop(w, answer, event);
    krs_put(w, KRS_STR(","));
    put_usage(w, &event->usage);
    krs_put(w, KRS_STR("}"));
}

/* Into the turn; one without any block gets an empty text. */
static krs_status take_event(krs_turn *turn, const krs_stream_event *event,
                             const krs_turn_sink *sink)
{
    const krs_status status = krs_turn_add(turn, event, sink);
    const bool is_empty = event->is_end && turn->n_items == 0;
    return status == KRS_OK && is_empty ? krs_turn_add_empty(turn, sink) : status;
}

void krs_messages_answer_add(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                             krs_writer *w)
{
    (void)i;
    const bool is_stream = answer->call->call.is_stream;
    const krs_turn_sink stream = {w, stream_item};
    if (is_stream && !own_of(answer)->is_started) {
        put_start(w, answer, event);
    }
    const krs_status status = take_event(&own_of(answer)->turn, event, is_stream ? &stream : NULL);
    w->status = w->status == KRS_OK ? status : w->status;
    if (event->is_end && is_stream) {
        put_end(w, answer, event);
    } else if (event->is_end) {
        put_whole(w, answer, event);
    }
}

void krs_messages_answer_count(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                               krs_writer *w)
{
    (void)answer;
    (void)i;
    if (event->is_end) {
        krs_put(w, KRS_STR("{\"input_tokens\":"));
        krs_put_number(w, event->n_ids);
        krs_put(w, KRS_STR("}"));
    }
}

void krs_messages_answer_fail(krs_answer *answer, krs_writer *w)
{
    krs_put(w, KRS_STR("event: error\ndata: "));
    if (w->status == KRS_OK) {
        w->status = krs_anthropic_error_write(&answer->error, answer->call->correlation_id, w->out);
    }
    krs_put(w, KRS_STR("\n\n"));
}

void krs_messages_put_ping(krs_writer *w)
{
    krs_call_begin_event(w, KRS_STR("ping"));
    krs_call_end_event(w);
}

static const char *const chat_fields[] = {"system",
                                          "messages",
                                          "thinking",
                                          "thinking.type",
                                          "thinking.budget_tokens",
                                          "metadata",
                                          "metadata.user_id",
                                          "service_tier",
                                          "tools",
                                          "tool_choice",
                                          "mcp_servers",
                                          "container",
                                          "context_management",
                                          "output_format",
                                          "output_config.format",
                                          "output_config.effort",
                                          "output_config",
                                          "speed",
                                          "cache_control",
                                          NULL};
static const char *const answer_fields[] = {"max_tokens", "stop_sequences", "stream", NULL};

const krs_call_row krs_call_row_messages = {
    .fields = {krs_call_owner_fields, krs_call_sampling_fields, chat_fields, answer_fields},
    .max_values = KRS_CALL_MAX_CHAT_VALUES,
    .call_bytes = sizeof(krs_messages_call),
    .answer_bytes = sizeof(krs_messages_answer),
    .read = krs_messages_read,
    .call_deinit = krs_messages_call_deinit,
    .answer_init = krs_messages_answer_init,
    .answer_deinit = krs_messages_answer_deinit,
    .add = krs_messages_answer_add,
    .fail = krs_messages_answer_fail,
    .heartbeat = krs_messages_put_ping,
    .error_write = krs_anthropic_error_write,
};

const krs_call_row krs_call_row_count_tokens = {
    .fields = {krs_call_owner_fields, chat_fields},
    .max_values = KRS_CALL_MAX_CHAT_VALUES,
    .call_bytes = sizeof(krs_messages_call),
    .answer_bytes = sizeof(krs_messages_answer),
    .read = krs_messages_read_count,
    .call_deinit = krs_messages_call_deinit,
    .add = krs_messages_answer_count,
    .error_write = krs_anthropic_error_write,
};
