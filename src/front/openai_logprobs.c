/* front/openai_logprobs.c - log probabilities in the two shapes the API has: objects (chat), and four
 * parallel arrays (completions, where a token that is no whole character is written "bytes:\xe2\x80"). */
#include "front/openai_priv.h"

#include "base/utf8.h"

#define LOWEST_LOGPROB (-9999.0)   /* what OpenAI writes for minus infinity; JSON has none */
#define LIST_MAX_BYTES (16u << 20) /* of one array of a whole answer */
#define NAME_MAX_BYTES 256         /* of a token in a "bytes:..." name; longer ones are cut */
#define LOGPROB_DIGITS 6

static void put_logprob(krs_writer *w, float logprob)
{
    const double x = (double)logprob;
    krs_put_real(w, x > LOWEST_LOGPROB ? x : LOWEST_LOGPROB, LOGPROB_DIGITS);
}

static void put_bytes(krs_writer *w, krs_str bytes)
{
    krs_put(w, KRS_STR("["));
    for (size_t i = 0; i < bytes.len; i++) {
        krs_put(w, i ? KRS_STR(",") : KRS_STR(""));
        krs_put_number(w, (unsigned char)bytes.ptr[i]);
    }
    krs_put(w, KRS_STR("]"));
}

/* "token":"..","logprob":..,"bytes":[..] */
static void put_entry(krs_writer *w, krs_str bytes, float logprob)
{
    krs_put(w, KRS_STR("\"token\":"));
    krs_put_string(w, bytes);
    krs_put(w, KRS_STR(",\"logprob\":"));
    put_logprob(w, logprob);
    krs_put(w, KRS_STR(",\"bytes\":"));
    put_bytes(w, bytes);
}

static void put_top(krs_writer *w, const krs_token *token)
{
    krs_put(w, KRS_STR(",\"top_logprobs\":["));
    for (uint32_t i = 0; i < token->n_top; i++) {
        krs_put(w, i ? KRS_STR(",{") : KRS_STR("{"));
        put_entry(w, token->top[i].bytes, token->top[i].logprob);
        krs_put(w, KRS_STR("}"));
    }
    krs_put(w, KRS_STR("]"));
}

void krs_openai_put_logprobs(krs_writer *w, const krs_stream_event *event, bool is_first)
{
    for (uint32_t i = 0; i < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        krs_put(w, is_first && i == 0 ? KRS_STR("{") : KRS_STR(",{"));
        put_entry(w, token->bytes, token->logprob);
        put_top(w, token);
        krs_put(w, KRS_STR("}"));
    }
}

void krs_openai_legacy_init(krs_openai_legacy_logprobs *lists, const krs_alloc *alloc)
{
    krs_buf_init(&lists->tokens, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->token_logprobs, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->top_logprobs, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->text_offsets, alloc, LIST_MAX_BYTES);
}

void krs_openai_legacy_deinit(krs_openai_legacy_logprobs *lists)
{
    krs_buf_deinit(&lists->tokens);
    krs_buf_deinit(&lists->token_logprobs);
    krs_buf_deinit(&lists->top_logprobs);
    krs_buf_deinit(&lists->text_offsets);
}

static void separate(krs_writer *list)
{
    krs_put(list, list->out->len > 0 ? KRS_STR(",") : KRS_STR(""));
}

static bool is_text(krs_str bytes)
{
    size_t i = 0;
    size_t n = 1;
    while (i < bytes.len && n > 0) {
        n = krs_utf8_length(bytes.ptr + i, bytes.len - i);
        i += n;
    }
    return n > 0;
}

/* The token's text as a JSON string; what is not text becomes "bytes:\xNN..". */
static void put_name(krs_writer *w, krs_str bytes)
{
    static const char hex[] = "0123456789abcdef";
    if (is_text(bytes)) {
        krs_put_string(w, bytes);
        return;
    }
    krs_put(w, KRS_STR("\"bytes:"));
    for (size_t i = 0; i < bytes.len && i < NAME_MAX_BYTES; i++) {
        const unsigned char byte = (unsigned char)bytes.ptr[i];
        const char escape[5] = {'\\', '\\', 'x', hex[byte >> 4], hex[byte & 15]};
        krs_put(w, (krs_str){escape, sizeof(escape)});
    }
    krs_put(w, KRS_STR("\""));
}

/* "name":logprob, after a comma unless it is the first of its object. */
static void put_member(krs_writer *w, krs_str bytes, float logprob, bool is_first)
{
    krs_put(w, is_first ? KRS_STR("") : KRS_STR(","));
    put_name(w, bytes);
    krs_put(w, KRS_STR(":"));
    put_logprob(w, logprob);
}

/* The best tokens, and the chosen one when it is not among them: up to one more than asked for, as
 * OpenAI has it. */
static void put_best(krs_writer *w, const krs_token *token)
{
    bool has_chosen = token->n_top == 0; /* none were asked for */
    separate(w);
    krs_put(w, KRS_STR("{"));
    for (uint32_t i = 0; i < token->n_top; i++) {
        has_chosen = has_chosen || token->top[i].token == token->id;
        put_member(w, token->top[i].bytes, token->top[i].logprob, i == 0);
    }
    if (!has_chosen) {
        put_member(w, token->bytes, token->logprob, false);
    }
    krs_put(w, KRS_STR("}"));
}

static krs_status add_token(krs_openai_legacy_logprobs *lists, const krs_token *token)
{
    krs_writer tokens = {&lists->tokens, KRS_OK};
    krs_writer logprobs = {&lists->token_logprobs, KRS_OK};
    krs_writer best = {&lists->top_logprobs, KRS_OK};
    krs_writer offsets = {&lists->text_offsets, KRS_OK};
    separate(&tokens);
    put_name(&tokens, token->bytes);
    separate(&logprobs);
    put_logprob(&logprobs, token->logprob);
    put_best(&best, token);
    separate(&offsets);
    krs_put_number(&offsets, token->text_at);
    const krs_status all[] = {tokens.status, logprobs.status, best.status, offsets.status};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != KRS_OK) {
            return all[i];
        }
    }
    return KRS_OK;
}

krs_status krs_openai_legacy_add(krs_openai_legacy_logprobs *lists, const krs_stream_event *event)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < event->n_tokens; i++) {
        status = add_token(lists, &event->tokens[i]);
    }
    return status;
}

void krs_openai_legacy_put(krs_writer *w, krs_openai_legacy_logprobs *lists)
{
    const struct {
        krs_str name;
        krs_buf *list;
    } members[] = {{KRS_STR("{\"tokens\":["), &lists->tokens},
                   {KRS_STR("],\"token_logprobs\":["), &lists->token_logprobs},
                   {KRS_STR("],\"top_logprobs\":["), &lists->top_logprobs},
                   {KRS_STR("],\"text_offset\":["), &lists->text_offsets}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        krs_put(w, members[i].name);
        krs_put(w, krs_buf_view(members[i].list));
        krs_buf_reset(members[i].list);
    }
    krs_put(w, KRS_STR("]}"));
}
