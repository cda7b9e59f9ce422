/* server/event_pack.c - see event_pack.h. */
#include "server/event_pack.h"

typedef struct record_head {
    uint32_t n_text;
    uint32_t n_tokens;
    uint32_t n_packed; /* tokens that follow: n_tokens or 0 */
    uint32_t n_ids;
    uint32_t n_embedding;
    uint32_t n_prompt_tokens; /* of its usage: known from the first event on */
    uint32_t n_cached_tokens;
    bool has_pieces;
    bool is_reasoning;
    bool is_end;
} record_head;

typedef struct token_head {
    uint32_t id;
    float logprob;
    uint32_t n_bytes;
    uint32_t n_top;
    uint32_t n_text;
    uint32_t text_at;
} token_head;

static krs_status pack_token(token_head head, krs_str bytes, krs_buf *out)
{
    head.n_bytes = (uint32_t)bytes.len;
    const krs_status status = krs_buf_append(out, &head, sizeof(head));
    return status == KRS_OK ? krs_buf_append_str(out, bytes) : status;
}

static krs_status pack_tokens(const krs_stream_event *event, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        const token_head head = {.id = token->id,
                                 .logprob = token->logprob,
                                 .n_top = token->n_top,
                                 .n_text = token->n_text,
                                 .text_at = token->text_at};
        status = pack_token(head, token->bytes, out);
        for (uint32_t k = 0; status == KRS_OK && k < token->n_top; k++) {
            const token_head other = {.id = token->top[k].token, .logprob = token->top[k].logprob};
            status = pack_token(other, token->top[k].bytes, out);
        }
    }
    return status;
}

static krs_status pack_pieces(const krs_stream_event *event, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && event->pieces && i < event->n_ids; i++) {
        const uint32_t n_bytes = (uint32_t)event->pieces[i].len;
        status = krs_buf_append(out, &n_bytes, sizeof(n_bytes));
        if (status == KRS_OK) {
            status = krs_buf_append_str(out, event->pieces[i]);
        }
    }
    return status;
}

/* What the tasks other than generation answer with. */
static krs_status pack_whole(const krs_stream_event *event, krs_buf *out)
{
    krs_status status = krs_buf_append(out, event->ids, event->n_ids * sizeof(*event->ids));
    if (status == KRS_OK) {
        status = pack_pieces(event, out);
    }
    if (status == KRS_OK) {
        status =
            krs_buf_append(out, event->embedding, event->n_embedding * sizeof(*event->embedding));
    }
    return status;
}

krs_status krs_event_pack(const krs_stream_event *event, bool has_tokens, krs_buf *out)
{
    const size_t before = out->len;
    const record_head head = {.n_text = (uint32_t)event->text.len,
                              .n_tokens = event->n_tokens,
                              .n_packed = has_tokens ? event->n_tokens : 0,
                              .n_ids = event->n_ids,
                              .n_embedding = event->n_embedding,
                              .n_prompt_tokens = event->usage.n_prompt_tokens,
                              .n_cached_tokens = event->usage.n_cached_tokens,
                              .has_pieces = event->pieces != NULL,
                              .is_reasoning = event->is_reasoning,
                              .is_end = event->is_end};
    krs_status status = krs_buf_append(out, &head, sizeof(head));
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, event->text);
    }
    if (status == KRS_OK && has_tokens) {
        status = pack_tokens(event, out);
    }
    if (status == KRS_OK) {
        status = pack_whole(event, out);
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
    if (n_bytes > 0) {
        memcpy(out, packed.ptr + *offset, n_bytes);
        *offset += n_bytes;
    }
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
    *out = (krs_token){.id = head.id,
                       .logprob = head.logprob,
                       .top = top,
                       .n_top = head.n_top,
                       .bytes = bytes,
                       .n_text = head.n_text,
                       .text_at = head.text_at};
    return true;
}

static bool unpack_tokens(krs_str packed, size_t *offset, uint32_t n, krs_arena *arena,
                          krs_stream_event *out)
{
    krs_token *tokens = n > 0 ? krs_arena_array(arena, n, sizeof(*tokens)) : NULL;
    bool is_good = n == 0 || tokens;
    for (uint32_t i = 0; is_good && i < n; i++) {
        is_good = unpack_token(packed, offset, arena, &tokens[i]);
    }
    out->tokens = tokens;
    return is_good;
}

static bool unpack_ids(krs_str packed, size_t *offset, const record_head *head, krs_arena *arena,
                       krs_stream_event *out)
{
    if (head->n_ids == 0) {
        return true;
    }
    uint32_t *ids = krs_arena_array(arena, head->n_ids, sizeof(*ids));
    krs_str *pieces =
        head->has_pieces ? krs_arena_array(arena, head->n_ids, sizeof(*pieces)) : NULL;
    if (!ids || (head->has_pieces && !pieces)) {
        return false;
    }
    take(packed, offset, ids, head->n_ids * sizeof(*ids));
    for (uint32_t i = 0; pieces && i < head->n_ids; i++) {
        uint32_t n_bytes;
        take(packed, offset, &n_bytes, sizeof(n_bytes));
        pieces[i] = take_view(packed, offset, n_bytes);
    }
    out->ids = ids;
    out->n_ids = head->n_ids;
    out->pieces = pieces;
    return true;
}

static bool unpack_embedding(krs_str packed, size_t *offset, uint32_t n, krs_arena *arena,
                             krs_stream_event *out)
{
    float *embedding = n > 0 ? krs_arena_array(arena, n, sizeof(*embedding)) : NULL;
    if (n > 0 && !embedding) {
        return false;
    }
    take(packed, offset, embedding, n * sizeof(*embedding));
    out->embedding = embedding;
    out->n_embedding = n;
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
    *out = (krs_stream_event){
        .n_tokens = head.n_tokens, .is_reasoning = head.is_reasoning, .is_end = head.is_end};
    out->usage.n_prompt_tokens = head.n_prompt_tokens;
    out->usage.n_cached_tokens = head.n_cached_tokens;
    out->text = take_view(packed, offset, head.n_text);
    const bool is_good = unpack_tokens(packed, offset, head.n_packed, arena, out) &&
                         unpack_ids(packed, offset, &head, arena, out) &&
                         unpack_embedding(packed, offset, head.n_embedding, arena, out);
    *status = is_good ? KRS_OK : KRS_ENOMEM;
    return is_good;
}
