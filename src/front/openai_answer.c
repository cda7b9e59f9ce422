/* front/openai_answer.c - events of one call to the bytes its client reads.
 *
 *   streamed:  role chunk, delta chunks .., finish chunk (each choice), usage chunk?, [DONE]
 *   whole:     nothing until every choice has ended, then one object
 *
 * An error before the first byte leaves the answer FAILED, so that the caller can still answer with a
 * real HTTP status; after it, the error goes into the stream, where clients look for it.
 *
 * Thread: one owner.  Memory: the texts of whole answers, bounded; streamed answers keep nothing.
 * Source: OpenAI API reference, streaming. */
#include "front/openai_priv.h"

#define LOGPROBS_MAX_BYTES (64u << 20) /* of a whole chat answer */

typedef struct choice {
    bool is_started;
    bool is_ended;
    krs_finish finish;
    krs_usage usage;
    krs_buf text;                      /* whole answers only */
    krs_buf logprobs;                  /* chat: entries separated by commas */
    krs_openai_legacy_logprobs legacy; /* completions */
} choice;

struct krs_openai_answer {
    krs_openai_call *call;
    krs_openai_state state;
    krs_error error;
    bool has_written;
    uint32_t n_ended;
    choice choices[KRS_MAX_CHOICES];
};

/* A writer that remembers its first failure, so that a JSON object reads as a list of pieces. */
typedef struct writer {
    krs_buf *out;
    krs_status status;
} writer;

static void put(writer *w, krs_str text)
{
    if (w->status == KRS_OK) {
        w->status = krs_buf_append_str(w->out, text);
    }
}

static void put_string(writer *w, krs_str text)
{
    if (w->status == KRS_OK) {
        w->status = krs_json_write_string(text, w->out);
    }
}

static void put_number(writer *w, uint64_t n)
{
    if (w->status == KRS_OK) {
        w->status = krs_buf_printf(w->out, "%llu", (unsigned long long)n);
    }
}

krs_status krs_openai_answer_new(krs_openai_call *call, krs_openai_answer **out)
{
    *out = NULL;
    krs_openai_answer *answer = krs_alloc_zero(call->alloc, sizeof(*answer));
    if (!answer) {
        return KRS_ENOMEM;
    }
    answer->call = call;
    for (uint32_t i = 0; i < call->n_choices; i++) {
        krs_buf_init(&answer->choices[i].text, call->alloc, KRS_OPENAI_MAX_ANSWER_BYTES);
        krs_buf_init(&answer->choices[i].logprobs, call->alloc, LOGPROBS_MAX_BYTES);
        krs_openai_legacy_init(&answer->choices[i].legacy, call->alloc);
    }
    *out = answer;
    return KRS_OK;
}

void krs_openai_answer_free(krs_openai_answer *answer)
{
    if (!answer) {
        return;
    }
    for (uint32_t i = 0; i < answer->call->n_choices; i++) {
        krs_buf_deinit(&answer->choices[i].text);
        krs_buf_deinit(&answer->choices[i].logprobs);
        krs_openai_legacy_deinit(&answer->choices[i].legacy);
    }
    const krs_alloc *alloc = answer->call->alloc;
    krs_openai_call_free(answer->call);
    krs_alloc_free(alloc, answer);
}

krs_openai_state krs_openai_answer_state(const krs_openai_answer *answer)
{
    return answer->state;
}

const krs_error *krs_openai_answer_error(const krs_openai_answer *answer)
{
    return &answer->error;
}

const krs_openai_call *krs_openai_answer_call(const krs_openai_answer *answer)
{
    return answer->call;
}

/* {"id":..,"object":..,"created":..,"model":..,"system_fingerprint":..,"choices":[ */
static void put_envelope(writer *w, const krs_openai_call *call)
{
    static const char *const objects[2][2] = {{"chat.completion", "chat.completion.chunk"},
                                              {"text_completion", "text_completion"}};
    put(w, KRS_STR("{\"id\":"));
    put_string(w, krs_str_of(call->id));
    put(w, KRS_STR(",\"object\":"));
    put_string(w, krs_str_of(objects[call->kind][call->is_stream]));
    put(w, KRS_STR(",\"created\":"));
    put_number(w, call->created_unix_s);
    put(w, KRS_STR(",\"model\":"));
    put_string(w, krs_str_of(call->model));
    put(w, KRS_STR(",\"system_fingerprint\":\"" KRS_OPENAI_FINGERPRINT "\",\"choices\":["));
}

static void put_usage(writer *w, const krs_openai_answer *answer)
{
    const uint32_t n = answer->call->n_choices / answer->call->n_prompts;
    uint64_t n_prompt = 0;
    uint64_t n_cached = 0;
    uint64_t n_answer = 0;
    for (uint32_t i = 0; i < answer->call->n_choices; i++) {
        const krs_usage *usage = &answer->choices[i].usage;
        n_answer += usage->n_answer_tokens;
        n_prompt += i % n == 0 ? usage->n_prompt_tokens : 0; /* each prompt counts once */
        n_cached += i % n == 0 ? usage->n_cached_tokens : 0;
    }
    put(w, KRS_STR("\"usage\":{\"prompt_tokens\":"));
    put_number(w, n_prompt);
    put(w, KRS_STR(",\"completion_tokens\":"));
    put_number(w, n_answer);
    put(w, KRS_STR(",\"total_tokens\":"));
    put_number(w, n_prompt + n_answer);
    put(w, KRS_STR(",\"prompt_tokens_details\":{\"cached_tokens\":"));
    put_number(w, n_cached);
    put(w, KRS_STR("}}"));
}

/* ,"logprobs":null or what was gathered since the last write. */
static void put_logprobs(writer *w, const krs_openai_call *call, choice *c)
{
    put(w, KRS_STR(",\"logprobs\":"));
    if (!call->has_logprobs) {
        put(w, KRS_STR("null"));
    } else if (call->kind == KRS_OPENAI_COMPLETION) {
        w->status = w->status == KRS_OK ? krs_openai_legacy_write(&c->legacy, w->out) : w->status;
    } else {
        put(w, KRS_STR("{\"content\":["));
        put(w, krs_buf_view(&c->logprobs));
        put(w, KRS_STR("],\"refusal\":null}"));
        krs_buf_reset(&c->logprobs);
    }
}

static void put_finish(writer *w, const choice *c, bool is_end)
{
    put(w, KRS_STR(",\"finish_reason\":"));
    if (is_end) {
        put_string(w, krs_str_of(krs_finish_name(c->finish)));
    } else {
        put(w, KRS_STR("null"));
    }
    put(w, KRS_STR("}"));
}

typedef enum chunk_part { CHUNK_ROLE, CHUNK_TEXT, CHUNK_FINISH } chunk_part;

/* "delta":{..} or "text":".." */
static void put_delta(writer *w, const krs_openai_call *call, chunk_part part, krs_str text)
{
    if (call->kind == KRS_OPENAI_COMPLETION) {
        put(w, KRS_STR(",\"text\":"));
        put_string(w, text);
    } else if (part == CHUNK_ROLE) {
        put(w, KRS_STR(",\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"));
    } else if (part == CHUNK_FINISH) {
        put(w, KRS_STR(",\"delta\":{}"));
    } else {
        put(w, KRS_STR(",\"delta\":{\"content\":"));
        put_string(w, text);
        put(w, KRS_STR("}"));
    }
}

/* One server-sent event of one choice. */
static void put_chunk(writer *w, krs_openai_answer *answer, uint32_t index, chunk_part part,
                      krs_str text)
{
    choice *c = &answer->choices[index];
    put(w, KRS_STR("data: "));
    put_envelope(w, answer->call);
    put(w, KRS_STR("{\"index\":"));
    put_number(w, index);
    put_delta(w, answer->call, part, text);
    if (part == CHUNK_TEXT) {
        put_logprobs(w, answer->call, c);
    } else {
        put(w, KRS_STR(",\"logprobs\":null"));
    }
    put_finish(w, c, part == CHUNK_FINISH);
    put(w, answer->call->has_usage_chunk ? KRS_STR("],\"usage\":null}\n\n") : KRS_STR("]}\n\n"));
    answer->has_written = true;
}

static void put_stream_end(writer *w, krs_openai_answer *answer)
{
    if (answer->call->has_usage_chunk) {
        put(w, KRS_STR("data: "));
        put_envelope(w, answer->call);
        put(w, KRS_STR("],"));
        put_usage(w, answer);
        put(w, KRS_STR("}\n\n"));
    }
    put(w, KRS_STR("data: [DONE]\n\n"));
}

/* Keep what a later write needs: log probabilities always, text when the answer is written whole. */
static krs_status gather(krs_openai_answer *answer, choice *c, const krs_stream_event *event)
{
    krs_status status = KRS_OK;
    if (!answer->call->is_stream) {
        status = krs_buf_append_str(&c->text, event->text);
    }
    if (status != KRS_OK || !answer->call->has_logprobs) {
        return status;
    }
    return answer->call->kind == KRS_OPENAI_CHAT ? krs_openai_logprobs_chat(event, &c->logprobs)
                                                 : krs_openai_legacy_add(&c->legacy, event);
}

static bool is_failure(const krs_stream_event *event)
{
    return event->is_end && event->finish != KRS_FINISH_STOP && event->finish != KRS_FINISH_LENGTH;
}

static void name_failure(const krs_stream_event *event, krs_error *err)
{
    if (event->finish == KRS_FINISH_DEADLINE) {
        (void)krs_fail_field(err, KRS_EDEADLINE, "timeout_ms",
                             "The deadline passed before the answer was complete.");
    } else if (event->finish == KRS_FINISH_CANCELLED) {
        (void)krs_fail(err, KRS_EUNAVAILABLE, "The answer was cancelled by the server.");
    } else if (event->error.status == KRS_OK) {
        (void)krs_fail(err, KRS_EINTERNAL, "The answer ended with an error that has no name.");
    } else {
        *err = event->error;
    }
}

/* A choice failed, and with it the call. */
static void fail_answer(krs_openai_answer *answer, const krs_stream_event *event, writer *w)
{
    name_failure(event, &answer->error);
    if (!answer->has_written) {
        answer->state = KRS_OPENAI_FAILED;
        return;
    }
    put(w, KRS_STR("data: "));
    if (w->status == KRS_OK) {
        w->status = krs_openai_error_write(&answer->error, w->out);
    }
    put(w, KRS_STR("\n\ndata: [DONE]\n\n"));
    answer->state = KRS_OPENAI_DONE;
}

static void stream_event(krs_openai_answer *answer, uint32_t index, const krs_stream_event *event,
                         writer *w)
{
    choice *c = &answer->choices[index];
    if (!c->is_started && answer->call->kind == KRS_OPENAI_CHAT) {
        put_chunk(w, answer, index, CHUNK_ROLE, KRS_STR(""));
    }
    c->is_started = true;
    if (event->text.len > 0 || (answer->call->has_logprobs && event->n_tokens > 0)) {
        put_chunk(w, answer, index, CHUNK_TEXT, event->text);
    }
    if (event->is_end) {
        put_chunk(w, answer, index, CHUNK_FINISH, KRS_STR(""));
    }
}

static void put_whole_choice(writer *w, krs_openai_answer *answer, uint32_t index)
{
    choice *c = &answer->choices[index];
    put(w, index ? KRS_STR(",{\"index\":") : KRS_STR("{\"index\":"));
    put_number(w, index);
    if (answer->call->kind == KRS_OPENAI_CHAT) {
        put(w, KRS_STR(",\"message\":{\"role\":\"assistant\",\"content\":"));
        put_string(w, krs_buf_view(&c->text));
        put(w, KRS_STR(",\"refusal\":null}"));
    } else {
        put(w, KRS_STR(",\"text\":"));
        put_string(w, krs_buf_view(&c->text));
    }
    put_logprobs(w, answer->call, c);
    put_finish(w, c, true);
}

static void put_whole(writer *w, krs_openai_answer *answer)
{
    put_envelope(w, answer->call);
    for (uint32_t i = 0; i < answer->call->n_choices; i++) {
        put_whole_choice(w, answer, i);
    }
    put(w, KRS_STR("],"));
    put_usage(w, answer);
    put(w, KRS_STR("}"));
}

static void end_choice(krs_openai_answer *answer, writer *w)
{
    if (++answer->n_ended < answer->call->n_choices) {
        return;
    }
    if (answer->call->is_stream) {
        put_stream_end(w, answer);
    } else {
        put_whole(w, answer);
    }
    answer->state = KRS_OPENAI_DONE;
}

krs_status krs_openai_answer_add(krs_openai_answer *answer, uint32_t index,
                                 const krs_stream_event *event, krs_buf *out)
{
    choice *c = &answer->choices[index];
    if (answer->state != KRS_OPENAI_RUNNING || c->is_ended) {
        return KRS_OK;
    }
    writer w = {out, KRS_OK};
    if (is_failure(event)) {
        fail_answer(answer, event, &w);
        return w.status;
    }
    w.status = gather(answer, c, event);
    if (event->is_end) {
        c->is_ended = true;
        c->finish = event->finish;
        c->usage = event->usage;
    }
    if (answer->call->is_stream) {
        stream_event(answer, index, event, &w);
    }
    if (event->is_end) {
        end_choice(answer, &w);
    }
    return w.status;
}
