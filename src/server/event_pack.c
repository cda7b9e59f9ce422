/* server/event_pack.c - see event_pack.h. */
#include "server/event_pack.h"

typedef struct record_head {
    uint32_t n_text;
    uint32_t n_tokens;
    uint32_t n_packed; /* tokens that follow: n_tokens or 0 */
} record_head;

typedef struct token_head {
    uint32_t id;
    float logprob;
    uint32_t n_bytes;
    uint32_t n_top;
} token_head;

static krs_status pack_token(uint32_t id, float logprob, krs_str bytes, uint32_t n_top,
                             krs_buf *out)
{
    const token_head head = {id, logprob, (uint32_t)bytes.len, n_top};
    const krs_status status = krs_buf_append(out, &head, sizeof(head));
    return status == KRS_OK ? krs_buf_append_str(out, bytes) : status;
}

static krs_status pack_tokens(const krs_stream_event *event, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        status = pack_token(token->id, token->logprob, token->bytes, token->n_top, out);
        for (uint32_t k = 0; status == KRS_OK && k < token->n_top; k++) {
            status =
                pack_token(token->top[k].token, token->top[k].logprob, token->top[k].bytes, 0, out);
        }
    }
    return status;
}

krs_status krs_event_pack(const krs_stream_event *event, bool has_tokens, krs_buf *out)
{
    const size_t before = out->len;
    const record_head head = {(uint32_t)event->text.len, event->n_tokens,
                              has_tokens ? event->n_tokens : 0};
    krs_status status = krs_buf_append(out, &head, sizeof(head));
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, event->text);
    }
    if (status == KRS_OK && has_tokens) {
        status = pack_tokens(event, out);
    }
    if (status != KRS_OK && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return status;
}

/* The records were written by us, so lengths are trusted. */
static void take(krs_str packed, size_t *offset, void *out, size_t n_bytes)
{
    memcpy(out, packed.ptr + *offset, n_bytes);
    *offset += n_bytes;
}

static krs_str take_view(krs_str packed, size_t *offset, size_t n_bytes)
{
    const krs_str view = {packed.ptr + *offset, n_bytes};
    *offset += n_bytes;
    return view;
}

static bool unpack_token(krs_str packed, size_t *offset, krs_arena *arena, krs_token *out)
{
    token_head head;
    take(packed, offset, &head, sizeof(head));
    const krs_str bytes = take_view(packed, offset, head.n_bytes);
    krs_logprob *top = krs_arena_array(arena, head.n_top ? head.n_top : 1, sizeof(*top));
    if (!top) {
        return false;
    }
    for (uint32_t k = 0; k < head.n_top; k++) {
        token_head one;
        take(packed, offset, &one, sizeof(one));
        top[k] = (krs_logprob){.token = one.id, .logprob = one.logprob};
        top[k].bytes = take_view(packed, offset, one.n_bytes);
    }
    *out = (krs_token){head.id, head.logprob, top, head.n_top, bytes};
    return true;
}

bool krs_event_unpack(krs_str packed, size_t *offset, krs_arena *arena, krs_stream_event *out,
                      krs_status *status)
{
    *status = KRS_OK;
    if (*offset >= packed.len) {
        return false;
    }
    record_head head;
    take(packed, offset, &head, sizeof(head));
    *out = (krs_stream_event){.n_tokens = head.n_tokens};
    out->text = take_view(packed, offset, head.n_text);
    if (head.n_packed == 0) {
        return true;
    }
    krs_token *tokens = krs_arena_array(arena, head.n_packed, sizeof(*tokens));
    for (uint32_t i = 0; tokens && i < head.n_packed; i++) {
        if (!unpack_token(packed, offset, arena, &tokens[i])) {
            tokens = NULL;
        }
    }
    *status = tokens ? KRS_OK : KRS_ENOMEM;
    out->tokens = tokens;
    return tokens != NULL;
}
