/* text/pretokenize.c - see pretokenize.h. */
#include "text/pretokenize_priv.h"

#include "text/bytelevel.h"
#include "text/unicode.h"

void krs_pretokenizer_deinit(krs_pretokenizer *pretokenizer)
{
    for (size_t i = 0; i < pretokenizer->n_steps; i++) {
        krs_pattern_free(pretokenizer->steps[i].pattern);
    }
    pretokenizer->n_steps = 0;
}

krs_status krs_pretokenizer_add(krs_pretokenizer *pretokenizer, const krs_pretokenizer_step *step)
{
    if (pretokenizer->n_steps == KRS_PRETOKENIZER_MAX_STEPS) {
        krs_pattern_free(step->pattern);
        return KRS_ETOOLARGE;
    }
    pretokenizer->steps[pretokenizer->n_steps++] = *step;
    return KRS_OK;
}

void krs_pieces_init(krs_pieces *pieces, const krs_alloc *alloc, size_t max_bytes)
{
    *pieces = (krs_pieces){.alloc = alloc};
    krs_buf_init(&pieces->buffers[0], alloc, max_bytes);
    krs_buf_init(&pieces->buffers[1], alloc, max_bytes);
}

void krs_pieces_deinit(krs_pieces *pieces)
{
    krs_buf_deinit(&pieces->buffers[0]);
    krs_buf_deinit(&pieces->buffers[1]);
    krs_alloc_free(pieces->alloc, pieces->spans.items);
    krs_alloc_free(pieces->alloc, pieces->other_spans.items);
    *pieces = (krs_pieces){.alloc = pieces->alloc};
}

static krs_status split(const krs_pretokenizer_step *step, krs_pattern_room *room,
                        krs_pieces *pieces)
{
    krs_spans *out = &pieces->other_spans;
    out->n = 0;
    for (size_t i = 0; i < pieces->spans.n; i++) {
        const krs_status status = krs_split_piece(step, room, pieces, pieces->spans.items[i], out);
        if (status != KRS_OK) {
            return status;
        }
    }
    if (pieces->spans.n > 0 && out->n > 0) {
        pieces->is_at_start =
            pieces->is_at_start && out->items[0].start == pieces->spans.items[0].start;
    }
    const krs_spans was = pieces->spans;
    pieces->spans = *out;
    pieces->other_spans = was;
    return KRS_OK;
}

/* A space before each piece that has none. */
static krs_status write_prefixed(krs_str s, krs_buf *out)
{
    const krs_status status =
        krs_str_starts_with(s, KRS_STR(" ")) ? KRS_OK : krs_buf_append_char(out, ' ');
    return status == KRS_OK ? krs_buf_append_str(out, s) : status;
}

static krs_status write_replaced(krs_str s, krs_str replacement, krs_buf *out)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && s.len > 0) {
        const char *space = memchr(s.ptr, ' ', s.len);
        const size_t n = space ? (size_t)(space - s.ptr) : s.len;
        status = krs_buf_append(out, s.ptr, n);
        if (status == KRS_OK && space) {
            status = krs_buf_append_str(out, replacement);
        }
        const size_t n_done = space ? n + 1 : n;
        s = (krs_str){s.ptr + n_done, s.len - n_done};
    }
    return status;
}

/* The replacement for each space, and in front where the scheme wants one and there is none. */
static krs_status write_metaspace(const krs_pretokenizer_step *step, krs_str s, bool is_first,
                                  krs_buf *out)
{
    char mark[KRS_UTF8_MAX_BYTES];
    const krs_str replacement = {mark, krs_utf8_encode(step->replacement, mark)};
    const bool is_wanted =
        step->scheme == KRS_METASPACE_ALWAYS || (step->scheme == KRS_METASPACE_FIRST && is_first);
    const bool has_one = s.ptr[0] == ' ' || krs_str_starts_with(s, replacement);
    const krs_status status = is_wanted && !has_one ? krs_buf_append_str(out, replacement) : KRS_OK;
    return status == KRS_OK ? write_replaced(s, replacement, out) : status;
}

static krs_status write_bytes(krs_str s, krs_buf *out)
{
    krs_status status = krs_buf_reserve(out, 2 * s.len);
    for (size_t i = 0; status == KRS_OK && i < s.len; i++) {
        char c[KRS_UTF8_MAX_BYTES];
        status =
            krs_buf_append(out, c, krs_utf8_encode(krs_bytelevel_char((unsigned char)s.ptr[i]), c));
    }
    return status;
}

/* Write each piece anew into the free buffer; spans follow. */
static krs_status rewrite(const krs_pretokenizer_step *step, krs_pieces *pieces)
{
    krs_buf *out = &pieces->buffers[pieces->buffer];
    krs_buf_reset(out);
    for (size_t i = 0; i < pieces->spans.n; i++) {
        krs_span *span = &pieces->spans.items[i];
        const krs_str s = {pieces->text.ptr + span->start, span->end - span->start};
        const size_t start = out->len;
        krs_status status;
        switch (step->kind) {
        case KRS_PRETOKENIZER_PREFIX:
            status = write_prefixed(s, out);
            break;
        case KRS_PRETOKENIZER_METASPACE:
            status = write_metaspace(step, s, i == 0 && pieces->is_at_start, out);
            break;
        default: /* KRS_PRETOKENIZER_BYTES */
            status = write_bytes(s, out);
        }
        if (status != KRS_OK) {
            return status;
        }
        *span = (krs_span){(uint32_t)start, (uint32_t)out->len};
    }
    pieces->text = krs_buf_view(out);
    pieces->buffer = 1 - pieces->buffer;
    return KRS_OK;
}

krs_status krs_pretokenizer_apply(const krs_pretokenizer *pretokenizer, krs_pattern_room *room,
                                  krs_str text, bool is_at_start, krs_pieces *pieces)
{
    pieces->text = text;
    pieces->is_at_start = is_at_start;
    pieces->spans.n = 0;
    krs_status status = text.len > INT32_MAX
                            ? KRS_ETOOLARGE
                            : krs_spans_push(&pieces->spans, pieces->alloc, 0, text.len);
    for (size_t i = 0; status == KRS_OK && i < pretokenizer->n_steps; i++) {
        const krs_pretokenizer_step *step = &pretokenizer->steps[i];
        status = step->kind == KRS_PRETOKENIZER_SPLIT ? split(step, room, pieces)
                                                      : rewrite(step, pieces);
    }
    return status;
}
