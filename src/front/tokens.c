/* front/tokens.c - POST /tokenize and /detokenize: text or messages to ids and back, as vLLM has them.
 *
 * One request each, of a task that takes no step of the engine; the answer is one object.
 *
 * Source: vLLM, OpenAI-compatible server, tokenizer API. */
#include "front/openai_priv.h"

typedef struct tokens_call {
    krs_call_head head; /* first */
    uint32_t context_tokens;
    bool has_pieces;
} tokens_call;

typedef struct tokens_answer {
    krs_answer answer; /* first */
    krs_buf text;      /* of detokenize */
} tokens_answer;

static const char *const tokenize_fields[] = {"prompt",
                                              "messages",
                                              "add_special_tokens",
                                              "return_token_strs",
                                              "add_generation_prompt",
                                              "continue_final_message",
                                              "chat_template_kwargs",
                                              "reasoning_effort",
                                              "tools",
                                              "tool_choice",
                                              NULL};
static const char *const detokenize_fields[] = {"tokens", "skip_special_tokens", NULL};

static const krs_refusal unsupported[] = {{"continue_final_message", KRS_REFUSE_SET, NULL}};

static tokens_call *call_of(krs_call_head *head)
{
    return (tokens_call *)(void *)head;
}

static bool has_field(const krs_call_reader *reader, const char *field)
{
    const json_t *value = json_object_get(reader->body, field);
    return value && !json_is_null(value);
}

static krs_status read_source(const krs_call_reader *reader, krs_request *request)
{
    const bool has_messages = has_field(reader, "messages");
    if (has_messages == has_field(reader, "prompt")) {
        return krs_call_refuse(reader->err, "prompt", "give either prompt or messages");
    }
    if (has_messages) {
        request->prompt.kind = KRS_PROMPT_CHAT;
        return krs_openai_read_template(reader, &request->prompt.chat);
    }
    if (!json_is_string(json_object_get(reader->body, "prompt"))) {
        return krs_call_refuse(reader->err, "prompt", "want a string");
    }
    return krs_call_read_prompt(reader, "prompt", 0, request);
}

static krs_status read_tokenize(krs_call_reader *reader)
{
    krs_request *request = NULL;
    tokens_call *call = call_of(reader->call);
    bool has_special = !has_field(reader, "messages"); /* a template writes its own */
    call->context_tokens = reader->model->context_tokens;
    krs_status status = krs_call_refuse_unsupported(reader, unsupported, 1);
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, 1);
    }
    if (status == KRS_OK) {
        status = krs_call_new_request(reader, 0, KRS_TASK_TOKENIZE, &request);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "add_special_tokens", &has_special, reader->err);
    }
    if (status == KRS_OK) {
        status =
            krs_json_get_bool(reader->body, "return_token_strs", &call->has_pieces, reader->err);
    }
    if (status == KRS_OK) {
        request->task_options.has_no_special = !has_special;
        request->task_options.has_pieces = call->has_pieces;
        status = read_source(reader, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

static krs_status read_detokenize(krs_call_reader *reader)
{
    krs_request *request = NULL;
    bool is_special_skipped = false;
    const json_t *tokens = json_object_get(reader->body, "tokens");
    if (!json_is_array(tokens)) {
        return krs_call_refuse(reader->err, "tokens", "want an array of token ids");
    }
    krs_status status = krs_call_reserve(reader, 1);
    if (status == KRS_OK) {
        status = krs_call_new_request(reader, 0, KRS_TASK_DETOKENIZE, &request);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "skip_special_tokens", &is_special_skipped,
                                   reader->err);
    }
    if (status == KRS_OK) {
        request->task_options.is_special_shown = !is_special_skipped;
        request->prompt.kind = KRS_PROMPT_TOKENS;
        request->prompt.n_tokens = json_array_size(tokens);
        status = krs_call_read_ids(reader, "tokens", tokens, request, &request->prompt.tokens);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

static krs_status init_answer(krs_answer *answer)
{
    tokens_answer *own = (tokens_answer *)(void *)answer;
    krs_buf_init(&own->text, answer->call->alloc, KRS_CALL_MAX_ANSWER_BYTES);
    return KRS_OK;
}

static void deinit_answer(krs_answer *answer)
{
    krs_buf_deinit(&((tokens_answer *)(void *)answer)->text);
}

static void put_pieces(krs_writer *w, const krs_stream_event *event)
{
    krs_put(w, KRS_STR("["));
    for (uint32_t i = 0; i < event->n_ids; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put_string(w, event->pieces[i]);
    }
    krs_put(w, KRS_STR("]"));
}

static void add_ids(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    (void)i;
    const tokens_call *call = call_of(answer->call);
    if (!event->is_end) {
        return;
    }
    krs_put(w, KRS_STR("{\"count\":"));
    krs_put_number(w, event->n_ids);
    krs_put(w, KRS_STR(",\"max_model_len\":"));
    krs_put_number(w, call->context_tokens);
    krs_put(w, KRS_STR(",\"tokens\":["));
    for (uint32_t k = 0; k < event->n_ids; k++) {
        krs_put(w, k ? KRS_STR(",") : KRS_STR(""));
        krs_put_number(w, event->ids[k]);
    }
    krs_put(w, KRS_STR("],\"token_strs\":"));
    if (call->has_pieces && event->pieces) {
        put_pieces(w, event);
    } else {
        krs_put(w, call->has_pieces ? KRS_STR("[]") : KRS_STR("null"));
    }
    krs_put(w, KRS_STR("}"));
}

static void add_text(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    (void)i;
    krs_writer text = {&((tokens_answer *)(void *)answer)->text, w->status};
    krs_put(&text, event->text);
    w->status = text.status;
    if (event->is_end) {
        krs_put(w, KRS_STR("{\"prompt\":"));
        krs_put_string(w, krs_buf_view(text.out));
        krs_put(w, KRS_STR("}"));
    }
}

const krs_call_row krs_call_row_tokenize = {
    .fields = {krs_call_owner_fields, tokenize_fields},
    .max_values = KRS_CALL_MAX_CHAT_VALUES,
    .call_bytes = sizeof(tokens_call),
    .answer_bytes = sizeof(tokens_answer),
    .is_model_default = true,
    .read = read_tokenize,
    .answer_init = init_answer,
    .answer_deinit = deinit_answer,
    .add = add_ids,
    .error_write = krs_openai_error_write,
};

const krs_call_row krs_call_row_detokenize = {
    .fields = {krs_call_owner_fields, detokenize_fields},
    .prompt_field = "tokens",
    .max_values = KRS_CALL_MAX_ID_VALUES,
    .call_bytes = sizeof(tokens_call),
    .answer_bytes = sizeof(tokens_answer),
    .is_model_default = true,
    .read = read_detokenize,
    .answer_init = init_answer,
    .answer_deinit = deinit_answer,
    .add = add_text,
    .error_write = krs_openai_error_write,
};
