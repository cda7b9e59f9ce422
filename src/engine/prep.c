/* engine/prep.c - prep threads: chat template and tokenizer, away from the engine thread.
 *
 * A long prompt costs milliseconds here that would otherwise stand between two tokens of everybody
 * else. Prompts whose answers are guided have threads of their own: forms of answers are compiled there, and
 * a schema that takes half a second to be refused holds up nobody who asked for none.
 *
 * What fails here ends the stream through the engine thread like any other end; only tasks that
 * take no step are answered from here (texts.c). A stream cancelled while it waits here is passed on
 * unprepared; one cancelled while it is being prepared has been ended by the engine thread already when
 * it comes home.
 *
 * Thread: prep threads.  Memory: the rendered text lives for one stream. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

/* chat with add_generation_prompt, unless the front end decided it: an answer is what we are asked for.
 * A shallow copy, because the tree may be shared by the choices of one request. */
static json_t *template_inputs(const json_t *chat)
{
    json_t *inputs = json_copy((json_t *)(uintptr_t)chat);
    if (inputs && !json_object_get(inputs, "add_generation_prompt") &&
        json_object_set_new(inputs, "add_generation_prompt", json_true()) != 0) {
        json_decref(inputs);
        return NULL;
    }
    return inputs;
}

/* Name the request's field where nobody closer to the fact has. field: a literal that fits. */
static krs_status blame(krs_error *err, krs_status status, const char *field)
{
    if (status != KRS_OK && err && err->field[0] == '\0') {
        (void)memcpy(err->field, field, strlen(field) + 1);
    }
    return status;
}

static krs_status render_chat(const krs_engine *engine, const json_t *chat, krs_buf *out,
                              krs_error *err)
{
    if (!engine->chat) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "messages",
                              "messages: model %s has no chat template", engine->info.id);
    }
    json_t *inputs = template_inputs(chat);
    if (!inputs) {
        return krs_fail(err, KRS_ENOMEM, "messages: out of memory");
    }
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    options.now_unix_s = krs_os_wall_ns() / KRS_NS_PER_S;
    krs_status status = krs_chat_template_render(engine->chat, inputs, &options, out, err);
    if (status != KRS_OK) {
        status = krs_error_wrap(err, status, "chat template");
    }
    json_decref(inputs);
    return status;
}

krs_status krs_engine_encode(const krs_engine *engine, const krs_request *request,
                             krs_encoder *encoder, krs_buf *text, krs_ids *out, krs_error *err)
{
    const krs_prompt *prompt = &request->prompt;
    const char *field = krs_request_prompt_field(request);
    krs_status status;
    switch (prompt->kind) {
    case KRS_PROMPT_TOKENS:
        *out = (krs_ids){prompt->tokens, prompt->n_tokens};
        return KRS_OK;
    case KRS_PROMPT_TEXT:
        status = krs_encode(encoder, prompt->text, !request->task_options.has_no_special, out, err);
        return blame(err, status, field);
    case KRS_PROMPT_CHAT:
        /* The template writes the special tokens itself, so none are added. */
        status = render_chat(engine, prompt->chat, text, err);
        if (status == KRS_OK) {
            status = krs_encode(encoder, krs_buf_view(text), false, out, err);
        }
        return blame(err, status, field);
    }
    return krs_fail(err, KRS_EINTERNAL, "prompt: kind %d", (int)prompt->kind);
}

/* Does the prompt's text end with the word that opens the model's reasoning, but for blanks? */
static bool ends_in_reasoning(const krs_guidance *guidance, krs_str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == ' ')) {
        text.len--;
    }
    return guidance->reasoning_open.len > 0 && krs_str_ends_with(text, guidance->reasoning_open);
}

static krs_status prepare(const krs_engine *engine, krs_stream *stream, krs_encoder *encoder,
                          krs_error *err)
{
    krs_stream_limits limits = {
        .max_context_tokens = engine->plan.context_tokens,
        .vocab = engine->info.vocab,
        .eos = engine->eos,
        .n_eos = engine->n_eos,
        .n_embedding = engine->info.hidden,
        .pooling = engine->pooling,
        .is_normalised = engine->is_normalised,
        .speculation = engine->speculation,
        .draft = engine->draft,
        .guides = engine->guides,
    };
    krs_buf text;
    krs_buf_init(&text, engine->alloc, KRS_TEMPLATE_MAX_OUTPUT);
    krs_ids ids = {NULL, 0};
    krs_status status = krs_engine_encode(engine, stream->request, encoder, &text, &ids, err);
    if (status == KRS_OK && stream->request->prompt.kind == KRS_PROMPT_CHAT) {
        stream->is_reasoning = krs_reply_style_is_open(engine->reply, krs_buf_view(&text));
    }
    if (status == KRS_OK) {
        limits.is_reasoning = ends_in_reasoning(&stream->request->guidance, krs_buf_view(&text));
        status = krs_stream_prepare(stream, engine->tokenizer, ids, &limits, err);
    }
    krs_buf_deinit(&text);
    /* Ids are all that is left to do with it, and a tree is many times the size of its text. */
    json_decref(stream->request->prompt.chat);
    stream->request->prompt.chat = NULL;
    return status;
}

/* Did somebody lose interest before it was this stream's turn? */
static bool is_given_up(const krs_engine *engine, const krs_stream *stream, krs_finish *finish)
{
    *finish = KRS_FINISH_CANCELLED;
    if (atomic_load(&engine->shared.is_stopping) ||
        krs_controls_is_cancelled(&engine->controls, stream->id)) {
        return true;
    }
    *finish = KRS_FINISH_DEADLINE;
    return krs_os_now_ns() >= stream->request->deadline_ns;
}

/* Prepare it, or answer it, or end it. */
static void handle(krs_engine *engine, krs_stream *stream, krs_encoder *encoder)
{
    krs_error err = KRS_ERROR_INIT;
    krs_finish finish;
    const bool is_over = is_given_up(engine, stream, &finish);
    if (!krs_stream_has_steps(stream)) {
        krs_engine_answer_text(engine, stream, encoder, is_over ? &finish : NULL);
    } else if (is_over) {
        krs_stream_end(stream, finish, NULL);
    } else {
        const krs_status status = prepare(engine, stream, encoder, &err);
        if (status != KRS_OK) {
            err.status = status;
            krs_stream_end(stream, KRS_FINISH_ERROR, &err);
        }
    }
}

void krs_engine_prep_main(void *arg)
{
    krs_engine *engine = arg;
    const uint32_t index = atomic_fetch_add(&engine->next_encoder, 1);
    krs_os_queue *queue = index < engine->n_prep_threads ? engine->prep_queue : engine->form_queue;
    void *item = NULL;
    while (krs_os_queue_pop(queue, UINT64_MAX, &item) == KRS_OK) {
        krs_stream *stream = item;
        handle(engine, stream, engine->encoders[index]);
        /* The inbox has a place for every stream there can be, twice. */
        KRS_CHECK(krs_os_queue_push(engine->inbox, stream) == KRS_OK);
    }
}
