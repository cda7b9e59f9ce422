/* front/openai_logprobs.c - log probabilities in the two shapes the API has: objects (chat), and four
 * parallel arrays (completions, where a token that is no whole character is written "bytes:\xe2\x80"). */
#include "front/openai_priv.h"

#include "base/utf8.h"

#include <math.h>

#define LOWEST_LOGPROB   (-9999.0)   /* what OpenAI writes for minus infinity; JSON has none */
#define LIST_MAX_BYTES   (16u << 20) /* of one array of a whole answer */
#define TOKEN_NAME_BYTES 1024        /* longest "bytes:..." name; longer tokens are cut */

static krs_status write_number(float logprob, krs_buf *out)
{
    const double x = (double)logprob;
    return krs_buf_printf(out, "%.6g", x > LOWEST_LOGPROB ? x : LOWEST_LOGPROB);
}

static krs_status write_bytes(krs_str bytes, krs_buf *out)
{
    krs_status status = krs_buf_append_char(out, '[');
    for (size_t i = 0; status == KRS_OK && i < bytes.len; i++) {
        status = krs_buf_printf(out, i ? ",%u" : "%u", (unsigned)(unsigned char)bytes.ptr[i]);
    }
    return status == KRS_OK ? krs_buf_append_char(out, ']') : status;
}

/* "token":"..","logprob":..,"bytes":[..] */
static krs_status write_entry(krs_str bytes, float logprob, krs_buf *out)
{
    krs_status status = krs_buf_append_str(out, KRS_STR("\"token\":"));
    if (status == KRS_OK) {
        status = krs_json_write_string(bytes, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, KRS_STR(",\"logprob\":"));
    }
    if (status == KRS_OK) {
        status = write_number(logprob, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, KRS_STR(",\"bytes\":"));
    }
    return status == KRS_OK ? write_bytes(bytes, out) : status;
}

static krs_status write_top(const krs_token *token, krs_buf *out)
{
    krs_status status = krs_buf_append_str(out, KRS_STR(",\"top_logprobs\":["));
    for (uint32_t i = 0; status == KRS_OK && i < token->n_top; i++) {
        status = krs_buf_append_str(out, i ? KRS_STR(",{") : KRS_STR("{"));
        if (status == KRS_OK) {
            status = write_entry(token->top[i].bytes, token->top[i].logprob, out);
        }
        if (status == KRS_OK) {
            status = krs_buf_append_char(out, '}');
        }
    }
    return status == KRS_OK ? krs_buf_append_char(out, ']') : status;
}

krs_status krs_openai_logprobs_chat(const krs_stream_event *event, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        const bool is_first = out->len == 0 || out->data[out->len - 1] == '[';
        status = krs_buf_append_str(out, is_first ? KRS_STR("{") : KRS_STR(",{"));
        if (status == KRS_OK) {
            status = write_entry(token->bytes, token->logprob, out);
        }
        if (status == KRS_OK) {
            status = write_top(token, out);
        }
        if (status == KRS_OK) {
            status = krs_buf_append_char(out, '}');
        }
    }
    return status;
}

void krs_openai_legacy_init(krs_openai_legacy_logprobs *lists, const krs_alloc *alloc)
{
    krs_buf_init(&lists->tokens, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->token_logprobs, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->top_logprobs, alloc, LIST_MAX_BYTES);
    krs_buf_init(&lists->text_offsets, alloc, LIST_MAX_BYTES);
    lists->n_chars = 0;
}

void krs_openai_legacy_deinit(krs_openai_legacy_logprobs *lists)
{
    krs_buf_deinit(&lists->tokens);
    krs_buf_deinit(&lists->token_logprobs);
    krs_buf_deinit(&lists->top_logprobs);
    krs_buf_deinit(&lists->text_offsets);
}

static krs_status separate(krs_buf *list)
{
    return list->len > 0 ? krs_buf_append_char(list, ',') : KRS_OK;
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
static krs_status write_name(krs_str bytes, krs_buf *out)
{
    if (is_text(bytes)) {
        return krs_json_write_string(bytes, out);
    }
    char name[TOKEN_NAME_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, sizeof(name));
    krs_status status = krs_buf_append_str(&text, KRS_STR("bytes:"));
    for (size_t i = 0; status == KRS_OK && i < bytes.len; i++) {
        status = krs_buf_printf(&text, "\\x%02x", (unsigned)(unsigned char)bytes.ptr[i]);
    }
    if (status == KRS_OK || status == KRS_ETOOLARGE) {
        status = krs_json_write_string(krs_buf_view(&text), out);
    }
    krs_buf_deinit(&text);
    return status;
}

/* "name":logprob, after a comma unless it is the first of its object. */
static krs_status add_member(krs_str bytes, float logprob, bool is_first, krs_buf *out)
{
    krs_status status = is_first ? KRS_OK : krs_buf_append_char(out, ',');
    if (status == KRS_OK) {
        status = write_name(bytes, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_char(out, ':');
    }
    return status == KRS_OK ? write_number(logprob, out) : status;
}

/* The best tokens, and the chosen one when it is not among them: up to one more than asked for, as
 * OpenAI has it. */
static krs_status add_top(const krs_token *token, krs_buf *out)
{
    bool has_chosen = token->n_top == 0; /* none were asked for */
    krs_status status = separate(out);
    if (status == KRS_OK) {
        status = krs_buf_append_char(out, '{');
    }
    for (uint32_t i = 0; status == KRS_OK && i < token->n_top; i++) {
        has_chosen = has_chosen || token->top[i].token == token->id;
        status = add_member(token->top[i].bytes, token->top[i].logprob, i == 0, out);
    }
    if (status == KRS_OK && !has_chosen) {
        status = add_member(token->bytes, token->logprob, false, out);
    }
    return status == KRS_OK ? krs_buf_append_char(out, '}') : status;
}

/* Characters that start in bytes: continuation bytes do not count. */
static uint64_t count_chars(krs_str bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        n += ((unsigned char)bytes.ptr[i] & 0xC0u) != 0x80u;
    }
    return n;
}

static krs_status add_token(krs_openai_legacy_logprobs *lists, const krs_token *token)
{
    krs_status status = separate(&lists->tokens);
    if (status == KRS_OK) {
        status = write_name(token->bytes, &lists->tokens);
    }
    if (status == KRS_OK) {
        status = separate(&lists->token_logprobs);
    }
    if (status == KRS_OK) {
        status = write_number(token->logprob, &lists->token_logprobs);
    }
    if (status == KRS_OK) {
        status = add_top(token, &lists->top_logprobs);
    }
    if (status == KRS_OK) {
        status = separate(&lists->text_offsets);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(&lists->text_offsets, "%llu", (unsigned long long)lists->n_chars);
    }
    lists->n_chars += count_chars(token->bytes);
    return status;
}

krs_status krs_openai_legacy_add(krs_openai_legacy_logprobs *lists, const krs_stream_event *event)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < event->n_tokens; i++) {
        status = add_token(lists, &event->tokens[i]);
    }
    return status;
}

krs_status krs_openai_legacy_write(krs_openai_legacy_logprobs *lists, krs_buf *out)
{
    const struct {
        krs_str name;
        krs_buf *list;
    } members[] = {{KRS_STR("{\"tokens\":["), &lists->tokens},
                   {KRS_STR("],\"token_logprobs\":["), &lists->token_logprobs},
                   {KRS_STR("],\"top_logprobs\":["), &lists->top_logprobs},
                   {KRS_STR("],\"text_offset\":["), &lists->text_offsets}};
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(members) / sizeof(members[0]); i++) {
        status = krs_buf_append_str(out, members[i].name);
        if (status == KRS_OK) {
            status = krs_buf_append_str(out, krs_buf_view(members[i].list));
        }
        krs_buf_reset(members[i].list);
    }
    return status == KRS_OK ? krs_buf_append_str(out, KRS_STR("]}")) : status;
}
