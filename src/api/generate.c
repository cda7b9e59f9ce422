/* api/generate.c - see generate.h.
 *
 * The ranges of a request are checked in one place, whatever way in it took, so that neither the
 * engine nor the sampler meets a value it has no meaning for. Comparisons are written as "not inside
 * the range", which also refuses NaN.
 *
 * Thread: one owner per request.  Memory: the struct from the given allocator, the rest in its arena. */
#include "api/generate.h"

krs_status krs_request_new(const krs_alloc *alloc, krs_request **out)
{
    *out = NULL;
    krs_request *request = krs_alloc_zero(alloc, sizeof(*request));
    if (!request) {
        return KRS_ENOMEM;
    }
    krs_arena_init(&request->arena, alloc, KRS_REQUEST_CHUNK_BYTES, KRS_REQUEST_MAX_BYTES);
    request->sampling = (krs_sampling)KRS_SAMPLING_INIT;
    request->priority = KRS_PRIORITY_NORMAL;
    request->deadline_ns = UINT64_MAX;
    request->credit = KRS_CREDIT_UNLIMITED;
    *out = request;
    return KRS_OK;
}

void krs_request_free(krs_request *request)
{
    if (request) {
        const krs_alloc *alloc = request->arena.alloc;
        json_decref(request->prompt.chat);
        krs_arena_deinit(&request->arena);
        krs_alloc_free(alloc, request);
    }
}

/* A real-valued field and where its range ends. */
typedef struct real_rule {
    const char *field;
    double value;
    double min;
    double max;
    bool is_min_open; /* min itself is outside */
    bool is_max_open;
} real_rule;

static krs_status check_real(const real_rule *rule, krs_error *err)
{
    const bool is_above = rule->is_min_open ? rule->value > rule->min : rule->value >= rule->min;
    const bool is_below = rule->is_max_open ? rule->value < rule->max : rule->value <= rule->max;
    if (is_above && is_below) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EINVAL, rule->field, "%s: %g, want %s%g .. %g%s", rule->field,
                          rule->value, rule->is_min_open ? "above " : "", rule->min, rule->max,
                          rule->is_max_open ? " (not included)" : "");
}

static krs_status check_count(const char *field, int64_t value, int64_t min, int64_t max,
                              krs_error *err)
{
    if (value >= min && value <= max) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EINVAL, field, "%s: %lld, want %lld .. %lld", field,
                          (long long)value, (long long)min, (long long)max);
}

static krs_status check_bias(const krs_sampling *s, krs_error *err)
{
    krs_status status = check_count("logit_bias", s->n_bias, 0, KRS_MAX_LOGIT_BIAS, err);
    for (uint32_t i = 0; status == KRS_OK && i < s->n_bias; i++) {
        const real_rule rule = {
            "logit_bias", (double)s->bias[i].bias, -KRS_MAX_BIAS, KRS_MAX_BIAS, false, false};
        status = check_real(&rule, err);
    }
    return status;
}

static krs_status check_sampling(const krs_sampling *s, krs_error *err)
{
    const real_rule rules[] = {
        {"temperature", s->temperature, 0.0, KRS_MAX_TEMPERATURE, false, false},
        {"top_p", s->top_p, 0.0, 1.0, true, false},
        {"min_p", s->min_p, 0.0, 1.0, false, true},
        {"repetition_penalty", s->repetition_penalty, 0.0, KRS_MAX_REPETITION_PENALTY, true, false},
        {"presence_penalty", s->presence_penalty, -KRS_MAX_PENALTY, KRS_MAX_PENALTY, false, false},
        {"frequency_penalty", s->frequency_penalty, -KRS_MAX_PENALTY, KRS_MAX_PENALTY, false,
         false},
    };
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(rules) / sizeof(rules[0]); i++) {
        status = check_real(&rules[i], err);
    }
    if (status == KRS_OK) {
        status = check_count("top_k", s->top_k, 0, INT32_MAX, err);
    }
    if (status == KRS_OK) {
        status = check_count("top_logprobs", s->n_logprobs, -1, KRS_MAX_TOP_LOGPROBS, err);
    }
    return status == KRS_OK ? check_bias(s, err) : status;
}

static krs_status check_stopping(const krs_stopping *s, krs_error *err)
{
    krs_status status = check_count("max_tokens", s->max_tokens, 0, KRS_MAX_NEW_TOKENS, err);
    if (status == KRS_OK) {
        const uint32_t ceiling = s->max_tokens ? s->max_tokens : KRS_MAX_NEW_TOKENS;
        status = check_count("min_tokens", s->min_tokens, 0, ceiling, err);
    }
    if (status == KRS_OK) {
        status = check_count("stop", s->n_stops, 0, KRS_MAX_STOPS, err);
    }
    if (status == KRS_OK) {
        status = check_count("stop_token_ids", s->n_stop_ids, 0, KRS_MAX_STOP_IDS, err);
    }
    for (uint32_t i = 0; status == KRS_OK && i < s->n_stops; i++) {
        if (s->stops[i].len == 0 || s->stops[i].len > KRS_MAX_STOP_BYTES) {
            status = krs_fail_field(err, KRS_EINVAL, "stop", "stop[%u]: %zu bytes, want 1 .. %d", i,
                                    s->stops[i].len, KRS_MAX_STOP_BYTES);
        }
    }
    return status;
}

/* Only answers are guided. */
static krs_status check_guidance(const krs_request *request, krs_error *err)
{
    const krs_guidance *g = &request->guidance;
    if (g->kind != KRS_GUIDANCE_NONE && request->task != KRS_TASK_GENERATE) {
        const char *field = g->field ? g->field : "guidance";
        return krs_fail_field(err, KRS_EINVAL, field, "%s: this task has no answer to guide",
                              field);
    }
    return krs_guidance_check(g, err);
}

static krs_status check_speculation(const krs_speculation *s, krs_error *err)
{
    const krs_status status =
        check_count("speculation.mode", (int64_t)s->mode, 0, KRS_SPECULATION_COUNT - 1, err);
    return status == KRS_OK
               ? check_count("speculation.max_tokens", s->max_tokens, 0, KRS_MAX_SPECULATION, err)
               : status;
}

static krs_status check_chat(const json_t *chat, krs_error *err)
{
    const json_t *messages = json_object_get(chat, "messages");
    if (!json_is_array(messages)) {
        return krs_fail_field(err, KRS_EINVAL, "messages", "messages: want an array of messages");
    }
    if (json_array_size(messages) == 0) {
        return krs_fail_field(err, KRS_EINVAL, "messages", "messages: empty, want at least one");
    }
    return KRS_OK;
}

/* May a task read this kind of prompt? */
static bool is_readable(krs_task task, krs_prompt_kind kind)
{
    if (task == KRS_TASK_DETOKENIZE) {
        return kind == KRS_PROMPT_TOKENS;
    }
    return task != KRS_TASK_TOKENIZE || kind != KRS_PROMPT_TOKENS;
}

static krs_status check_prompt(const krs_request *request, krs_error *err)
{
    const krs_prompt *p = &request->prompt;
    const char *field = krs_request_prompt_field(request);
    if (!is_readable(request->task, p->kind)) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: want %s", field,
                              request->task == KRS_TASK_TOKENIZE ? "text or messages"
                                                                 : "token ids");
    }
    /* Turning nothing into nothing is an answer; answering nothing is none. */
    const bool may_be_empty =
        request->task == KRS_TASK_TOKENIZE || request->task == KRS_TASK_DETOKENIZE;
    switch (p->kind) {
    case KRS_PROMPT_CHAT:
        return check_chat(p->chat, err);
    case KRS_PROMPT_TEXT:
        return p->text.len > 0 || may_be_empty
                   ? KRS_OK
                   : krs_fail_field(err, KRS_EINVAL, field, "%s: empty, want some text", field);
    case KRS_PROMPT_TOKENS:
        return p->n_tokens > 0 || may_be_empty
                   ? KRS_OK
                   : krs_fail_field(err, KRS_EINVAL, field, "%s: empty, want token ids", field);
    }
    return krs_fail_field(err, KRS_EINVAL, field, "%s: kind %d is not known", field, (int)p->kind);
}

static krs_status check_task(const krs_request *request, krs_error *err)
{
    krs_status status =
        check_count("task", (int64_t)request->task, KRS_TASK_GENERATE, KRS_TASK_COUNT - 1, err);
    if (status == KRS_OK) {
        status = check_count("pooling", (int64_t)request->task_options.pooling, KRS_POOLING_MODEL,
                             KRS_POOLING_CLS, err);
    }
    if (status == KRS_OK) {
        status = check_count("priority", (int64_t)request->priority, KRS_PRIORITY_URGENT,
                             KRS_PRIORITY_BACKGROUND, err);
    }
    return status == KRS_OK ? check_count("tenant", request->tenant, 0, KRS_MAX_TENANTS - 1, err)
                            : status;
}

krs_status krs_request_check(const krs_request *request, krs_error *err)
{
    krs_status status = check_task(request, err);
    if (status == KRS_OK) {
        status = check_prompt(request, err);
    }
    if (status == KRS_OK) {
        status = check_sampling(&request->sampling, err);
    }
    if (status == KRS_OK) {
        status = check_stopping(&request->stopping, err);
    }
    if (status == KRS_OK) {
        status = check_guidance(request, err);
    }
    return status == KRS_OK ? check_speculation(&request->speculation, err) : status;
}

const char *krs_request_prompt_field(const krs_request *request)
{
    if (request->prompt.kind == KRS_PROMPT_CHAT) {
        return "messages";
    }
    switch (request->task) {
    case KRS_TASK_EMBED:
        return "input";
    case KRS_TASK_DETOKENIZE:
        return "tokens";
    default:
        return "prompt";
    }
}

const char *krs_finish_name(krs_finish finish)
{
    static const char *const names[KRS_FINISH_COUNT] = {"stop", "length", "cancelled", "deadline",
                                                        "error"};
    const unsigned i = (unsigned)finish;
    return names[i < KRS_FINISH_COUNT ? i : KRS_FINISH_ERROR];
}

const char *krs_speculation_name(krs_speculation_mode mode)
{
    static const char *const names[KRS_SPECULATION_COUNT] = {"model", "off", "ngram", "draft"};
    const unsigned i = (unsigned)mode;
    return i < KRS_SPECULATION_COUNT ? names[i] : "unknown";
}

const char *krs_cache_end_name(krs_cache_end end)
{
    static const char *const names[KRS_CACHE_END_COUNT] = {"full", "off", "unseen", "evicted",
                                                           "checkpoint"};
    const unsigned i = (unsigned)end;
    return i < KRS_CACHE_END_COUNT ? names[i] : "unknown";
}
