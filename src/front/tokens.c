/* front/tokens.c - POST /tokenize and /detokenize: text or messages to ids and back, as vLLM has them.
 *
 * One request each, of a task that takes no step of the engine; the answer is one object. A list of texts,
 * which vLLM does not have, is a request for each, so that the preparation threads encode them side by
 * side; what comes, in any order, is kept until the last is there.
 *
 * Memory: of a list, what its answer takes, up to KRS_CALL_MAX_ANSWER_BYTES.
 * Source: vLLM, OpenAI-compatible server, tokenizer API. */
#include "front/openai_priv.h"

typedef struct tokens_call {
    krs_call_head head; /* first */
    uint32_t context_tokens;
    bool has_pieces;
    bool is_list; /* the prompt is an array, also of one text */
} tokens_call;

/* Where in tokens_answer.text the JSON of one text's ids is, and behind it that of their strings. */
typedef struct tokens_part {
    size_t start;
    size_t ids_end;
    size_t end;
} tokens_part;

typedef struct tokens_answer {
    krs_answer answer;  /* first */
    krs_buf text;       /* of detokenize; of a list, what has come */
    tokens_part *parts; /* [n_requests] of a list; else NULL */
    uint64_t n_ids;     /* of all texts */
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

static tokens_answer *answer_of(krs_answer *answer)
{
    return (tokens_answer *)(void *)answer;
}

static krs_status read_source(const krs_call_reader *reader, uint32_t i, krs_request *request)
{
    if (has_field(reader, "messages")) {
        request->prompt.kind = KRS_PROMPT_CHAT;
        return krs_openai_read_template(reader, &request->prompt.chat);
    }
    return krs_call_read_prompt(reader, "prompt", i, request);
}

/* How many texts are asked for: of messages one. */
static krs_status count_sources(krs_call_reader *reader, uint32_t *n)
{
    const json_t *prompt = json_object_get(reader->body, "prompt");
    const bool has_messages = has_field(reader, "messages");
    if (has_messages == has_field(reader, "prompt")) {
        return krs_call_refuse(reader->err, "prompt", "give either prompt or messages");
    }
    *n = 1;
    call_of(reader->call)->is_list = json_is_array(prompt);
    if (has_messages || json_is_string(prompt)) {
        return KRS_OK;
    }
    if (!json_is_string(json_array_get(prompt, 0))) {
        return krs_call_refuse(reader->err, "prompt", "want a string, or an array of strings");
    }
    return krs_call_count_prompts(reader, "prompt", KRS_CALL_MAX_TEXTS, n);
}

static krs_status build_tokenize(krs_call_reader *reader, uint32_t i, bool has_special)
{
    krs_request *request = NULL;
    krs_status status = krs_call_new_request(reader, i, KRS_TASK_TOKENIZE, &request);
    if (status == KRS_OK) {
        request->task_options.has_no_special = !has_special;
        request->task_options.has_pieces = call_of(reader->call)->has_pieces;
        status = read_source(reader, i, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

static krs_status read_tokenize(krs_call_reader *reader)
{
    tokens_call *call = call_of(reader->call);
    bool has_special = !has_field(reader, "messages"); /* a template writes its own */
    uint32_t n = 0;
    call->context_tokens = reader->model->context_tokens;
    krs_status status = krs_call_refuse_unsupported(reader, unsupported, 1);
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "add_special_tokens", &has_special, reader->err);
    }
    if (status == KRS_OK) {
        status =
            krs_json_get_bool(reader->body, "return_token_strs", &call->has_pieces, reader->err);
    }
    if (status == KRS_OK) {
        status = count_sources(reader, &n);
    }
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, n);
    }
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = build_tokenize(reader, i, has_special);
    }
    return status;
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
    tokens_answer *own = answer_of(answer);
    krs_buf_init(&own->text, answer->call->alloc, KRS_CALL_MAX_ANSWER_BYTES);
    if (call_of(answer->call)->is_list) {
        own->parts = krs_alloc_array(answer->call->alloc, answer->call->call.n_requests,
                                     sizeof(*own->parts));
        return own->parts ? KRS_OK : KRS_ENOMEM;
    }
    return KRS_OK;
}

static void deinit_answer(krs_answer *answer)
{
    krs_buf_deinit(&answer_of(answer)->text);
    krs_alloc_free(answer->call->alloc, answer_of(answer)->parts);
}

static void put_pieces(krs_writer *w, const krs_stream_event *event)
{
    krs_put(w, KRS_STR("["));
    for (uint32_t i = 0; event->pieces && i < event->n_ids; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put_string(w, event->pieces[i]);
    }
    krs_put(w, KRS_STR("]"));
}

static void put_ids(krs_writer *w, const krs_stream_event *event)
{
    krs_put(w, KRS_STR("["));
    for (uint32_t k = 0; k < event->n_ids; k++) {
        krs_put(w, k ? KRS_STR(",") : KRS_STR(""));
        krs_put_number(w, event->ids[k]);
    }
    krs_put(w, KRS_STR("]"));
}

static void put_head(krs_writer *w, const tokens_call *call, uint64_t n_ids)
{
    krs_put(w, KRS_STR("{\"count\":"));
    krs_put_number(w, n_ids);
    krs_put(w, KRS_STR(",\"max_model_len\":"));
    krs_put_number(w, call->context_tokens);
    krs_put(w, KRS_STR(",\"tokens\":"));
}

/* Keep what came of text i. */
static void keep_part(tokens_answer *own, uint32_t i, const krs_stream_event *event,
                      krs_status *status)
{
    krs_writer part = {&own->text, *status};
    tokens_part *at = &own->parts[i];
    at->start = own->text.len;
    put_ids(&part, event);
    at->ids_end = own->text.len;
    if (call_of(own->answer.call)->has_pieces) {
        put_pieces(&part, event);
    }
    at->end = own->text.len;
    own->n_ids += event->n_ids;
    *status = part.status;
}

/* All ids, or all strings, in the order of the texts. */
static void put_parts(krs_writer *w, const tokens_answer *own, uint32_t n, bool has_strings)
{
    krs_put(w, KRS_STR("["));
    for (uint32_t i = 0; i < n; i++) {
        const tokens_part *at = &own->parts[i];
        const size_t start = has_strings ? at->ids_end : at->start;
        const size_t end = has_strings ? at->end : at->ids_end;
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put(w, (krs_str){own->text.data + start, end - start});
    }
    krs_put(w, KRS_STR("]"));
}

static void add_to_list(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                        krs_writer *w)
{
    tokens_answer *own = answer_of(answer);
    const tokens_call *call = call_of(answer->call);
    const uint32_t n = answer->call->call.n_requests;
    keep_part(own, i, event, &w->status);
    if (!krs_answer_is_complete(answer)) {
        return;
    }
    put_head(w, call, own->n_ids);
    put_parts(w, own, n, false);
    krs_put(w, KRS_STR(",\"token_strs\":"));
    if (call->has_pieces) {
        put_parts(w, own, n, true);
    } else {
        krs_put(w, KRS_STR("null"));
    }
    krs_put(w, KRS_STR("}"));
}

static void add_ids(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    const tokens_call *call = call_of(answer->call);
    if (!event->is_end) {
        return;
    }
    if (call->is_list) {
        add_to_list(answer, i, event, w);
        return;
    }
    put_head(w, call, event->n_ids);
    put_ids(w, event);
    krs_put(w, KRS_STR(",\"token_strs\":"));
    if (call->has_pieces) {
        put_pieces(w, event);
    } else {
        krs_put(w, KRS_STR("null"));
    }
    krs_put(w, KRS_STR("}"));
}

static void add_text(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w)
{
    (void)i;
    krs_writer text = {&answer_of(answer)->text, w->status};
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
