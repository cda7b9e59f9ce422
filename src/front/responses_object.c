/* front/responses_object.c - the response object: what was asked, what came, and what it cost.
 *
 * Source: OpenAI API reference, the response object. */
#include "front/responses_priv.h"

#define REAL_DIGITS 15 /* of temperature and top_p: 0.1 reads 0.1 */

static const char *state_name(krs_response_state state)
{
    static const char *const names[] = {"in_progress", "completed", "incomplete", "failed"};
    return names[state];
}

static bool is_over(krs_response_state state)
{
    return state == KRS_RESPONSE_COMPLETED || state == KRS_RESPONSE_INCOMPLETE;
}

static void put_tree_or_null(krs_writer *w, const json_t *tree)
{
    if (tree) {
        krs_put_tree(w, tree);
    } else {
        krs_put(w, KRS_STR("null"));
    }
}

static void put_number_or_null(krs_writer *w, uint64_t n)
{
    if (n > 0) {
        krs_put_number(w, n);
    } else {
        krs_put(w, KRS_STR("null"));
    }
}

void krs_responses_put_part(krs_writer *w, const krs_turn_item *item)
{
    if (item->kind == KRS_TURN_REASONING) {
        krs_put(w, KRS_STR("{\"type\":\"reasoning_text\""));
    } else {
        krs_put(w, KRS_STR("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":["));
        krs_put(w, krs_buf_view(&item->notes));
        krs_put(w, KRS_STR("]"));
    }
    krs_put(w, KRS_STR(",\"text\":"));
    krs_put_string(w, krs_buf_view(&item->text));
    krs_put(w, KRS_STR("}"));
}

void krs_responses_put_item_id(krs_writer *w, const krs_responses_answer *a,
                               const krs_turn_item *item)
{
    static const char *const prefixes[] = {"msg_", "rs_", "fc_"};
    krs_put(w, krs_str_of(prefixes[item->kind]));
    krs_put(w, krs_str_of(a->call->head.id));
    if (item->index > 0) {
        krs_put(w, KRS_STR("_"));
        krs_put_number(w, item->index);
    }
}

krs_response_state krs_responses_item_state(const krs_responses_answer *a,
                                            const krs_turn_item *item)
{
    if (!item->is_over) {
        return KRS_RESPONSE_IN_PROGRESS;
    }
    const bool is_last = item->index + 1 == a->turn.n_items;
    const bool is_cut = item->kind != KRS_TURN_CALL || item->is_broken;
    return is_last && is_cut && a->is_ended && a->finish == KRS_FINISH_LENGTH
               ? KRS_RESPONSE_INCOMPLETE
               : KRS_RESPONSE_COMPLETED;
}

/* What follows type and status. */
static void put_call_members(krs_writer *w, const krs_turn_item *item, bool is_whole)
{
    krs_put(w, KRS_STR(",\"call_id\":"));
    krs_put_string(w, krs_str_of(item->id));
    krs_put(w, KRS_STR(",\"name\":"));
    krs_put_string(w, krs_str_of(item->name));
    krs_put(w, KRS_STR(",\"arguments\":"));
    krs_put_string(w, is_whole ? krs_buf_view(&item->text) : KRS_STR(""));
}

void krs_responses_put_item(krs_writer *w, const krs_responses_answer *a, const krs_turn_item *item,
                            krs_response_state state)
{
    static const char *const types[] = {"message", "reasoning", "function_call"};
    krs_put(w, KRS_STR("{\"id\":\""));
    krs_responses_put_item_id(w, a, item);
    krs_put(w, KRS_STR("\",\"type\":"));
    krs_put_string(w, krs_str_of(types[item->kind]));
    krs_put(w, KRS_STR(",\"status\":"));
    krs_put_string(w, krs_str_of(state_name(state)));
    if (item->kind == KRS_TURN_CALL) {
        put_call_members(w, item, is_over(state));
        krs_put(w, KRS_STR("}"));
        return;
    }
    krs_put(w, item->kind == KRS_TURN_TEXT ? KRS_STR(",\"role\":\"assistant\",\"content\":[")
                                           : KRS_STR(",\"summary\":[],\"content\":["));
    if (is_over(state)) {
        krs_responses_put_part(w, item);
    }
    krs_put(w, KRS_STR("]}"));
}

static void put_usage(krs_writer *w, const krs_usage *usage, uint32_t n_reasoning_tokens)
{
    krs_put(w, KRS_STR("{\"input_tokens\":"));
    krs_put_number(w, usage->n_prompt_tokens);
    krs_put(w, KRS_STR(",\"input_tokens_details\":{\"cached_tokens\":"));
    krs_put_number(w, usage->n_cached_tokens);
    krs_put(w, KRS_STR("},\"output_tokens\":"));
    krs_put_number(w, usage->n_answer_tokens);
    krs_put(w, KRS_STR(",\"output_tokens_details\":{\"reasoning_tokens\":"));
    krs_put_number(w, n_reasoning_tokens);
    krs_put(w, KRS_STR("},\"total_tokens\":"));
    krs_put_number(w, (uint64_t)usage->n_prompt_tokens + usage->n_answer_tokens);
    krs_put(w, KRS_STR("}"));
}

/* "error":..,"incomplete_details":.. */
static void put_outcome(krs_writer *w, const krs_responses_answer *a, krs_response_state state)
{
    krs_put(w, KRS_STR(",\"error\":"));
    if (state == KRS_RESPONSE_FAILED) {
        krs_call_put_response_error(w, &a->answer.error, a->call->head.correlation_id);
    } else {
        krs_put(w, KRS_STR("null"));
    }
    krs_put(w, KRS_STR(",\"incomplete_details\":"));
    krs_put(w, state == KRS_RESPONSE_INCOMPLETE ? KRS_STR("{\"reason\":\"max_output_tokens\"}")
                                                : KRS_STR("null"));
}

static void put_tools(krs_writer *w, const krs_responses_call *call)
{
    krs_put(w, KRS_STR(",\"tool_choice\":"));
    if (call->tool_choice && !json_is_null(call->tool_choice)) {
        krs_put_tree(w, call->tool_choice);
    } else {
        krs_put(w, KRS_STR("\"auto\""));
    }
    krs_put(w, KRS_STR(",\"tools\":"));
    if (call->tools && !json_is_null(call->tools)) {
        krs_put_tree(w, call->tools);
    } else {
        krs_put(w, KRS_STR("[]"));
    }
}

/* What was asked. */
static void put_request(krs_writer *w, const krs_responses_call *call)
{
    krs_put(w, KRS_STR(",\"instructions\":"));
    put_tree_or_null(w, call->instructions);
    krs_put(w, KRS_STR(",\"max_output_tokens\":"));
    put_number_or_null(w, call->max_output_tokens);
    krs_put(w, KRS_STR(",\"max_tool_calls\":null,\"parallel_tool_calls\":"));
    krs_put_bool(w, !call->head.tools.is_single);
    krs_put(w, KRS_STR(",\"previous_response_id\":null,\"reasoning\":{\"effort\":null,"
                       "\"summary\":null},\"service_tier\":\"default\",\"store\":false,"
                       "\"temperature\":"));
    krs_put_real(w, call->temperature, REAL_DIGITS);
    krs_put(w, KRS_STR(",\"text\":{\"format\":"));
    if (call->format) {
        krs_put_tree(w, call->format);
    } else {
        krs_put(w, KRS_STR("{\"type\":\"text\"}"));
    }
    krs_put(w, KRS_STR("}"));
    put_tools(w, call);
    krs_put(w, KRS_STR(",\"top_logprobs\":"));
    krs_put_number(w, call->n_logprobs > 0 ? (uint64_t)call->n_logprobs : 0);
    krs_put(w, KRS_STR(",\"top_p\":"));
    krs_put_real(w, call->top_p, REAL_DIGITS);
    krs_put(w, KRS_STR(",\"truncation\":\"disabled\",\"user\":"));
    put_tree_or_null(w, call->user);
    krs_put(w, KRS_STR(",\"metadata\":"));
    if (call->metadata) {
        krs_put_tree(w, call->metadata);
    } else {
        krs_put(w, KRS_STR("{}"));
    }
}

void krs_responses_put_response(krs_writer *w, const krs_responses_answer *a,
                                krs_response_state state)
{
    krs_put(w, KRS_STR("{\"id\":\"resp_"));
    krs_put(w, krs_str_of(a->call->head.id));
    krs_put(w, KRS_STR("\",\"object\":\"response\",\"created_at\":"));
    krs_put_number(w, a->call->head.created_unix_s);
    krs_put(w, KRS_STR(",\"status\":"));
    krs_put_string(w, krs_str_of(state_name(state)));
    krs_put(w, KRS_STR(",\"background\":false,\"model\":"));
    krs_put_string(w, krs_str_of(a->call->head.model));
    put_outcome(w, a, state);
    put_request(w, a->call);
    krs_put(w, KRS_STR(",\"output\":["));
    for (uint32_t i = 0; is_over(state) && i < a->turn.n_items; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_responses_put_item(w, a, a->turn.items[i],
                               krs_responses_item_state(a, a->turn.items[i]));
    }
    krs_put(w, KRS_STR("],\"usage\":"));
    if (is_over(state)) {
        put_usage(w, &a->usage, a->turn.n_reasoning_tokens);
    } else {
        krs_put(w, KRS_STR("null"));
    }
    krs_put(w, KRS_STR("}"));
}
