/* text/reply/parser.c - the life of a parser, and its loop: see priv.h. */
#include "text/reply/priv.h"

krs_status krs_reply_parser_new(const krs_reply_options *options, const krs_alloc *alloc,
                                krs_reply_parser **out)
{
    *out = NULL;
    krs_reply_parser *p = krs_alloc_zero(alloc, sizeof(*p));
    if (!p) {
        return KRS_ENOMEM;
    }
    p->alloc = alloc;
    p->options = *options;
    p->form = krs_reply_form_of(options->style.format);
    p->marks = krs_reply_marks_of(options->style.reasoning);
    krs_buf_init(&p->in, alloc, KRS_REPLY_MAX_HEAD_BYTES + 2 * KRS_REPLY_SLICE_BYTES);
    krs_buf_init(&p->space, alloc, KRS_REPLY_SPACE_BYTES);
    /* What a slice, what was held before it and an argument held until now can make at most: a byte is
     * told in up to six, and an event is told at the end of a slice. */
    krs_buf_init(&p->out, alloc, 6 * ((size_t)KRS_REPLY_MAX_VALUE_BYTES + p->in.max_bytes));
    krs_buf_init(&p->value, alloc, KRS_REPLY_MAX_VALUE_BYTES);
    const bool is_harmony = options->style.format == KRS_REPLY_HARMONY;
    p->mode = is_harmony ? KRS_REPLY_MODE_HEADER : KRS_REPLY_MODE_TEXT;
    p->is_fresh = true;
    if (options->is_reasoning_open) {
        krs_reply_set_text(p, KRS_REPLY_REASONING);
    }
    *out = p;
    return KRS_OK;
}

void krs_reply_parser_free(krs_reply_parser *p)
{
    if (p) {
        krs_buf_deinit(&p->in);
        krs_buf_deinit(&p->space);
        krs_buf_deinit(&p->out);
        krs_buf_deinit(&p->value);
        krs_alloc_free(p->alloc, p);
    }
}

uint32_t krs_reply_parser_n_calls(const krs_reply_parser *p)
{
    return p->n_calls;
}

/* Eat what is there. */
static void eat(krs_reply_parser *p)
{
    while (p->pos < p->in.len && p->status == KRS_OK) {
        p->pos++;
        switch (p->mode) {
        case KRS_REPLY_MODE_TEXT:
            krs_reply_eat_text(p);
            break;
        case KRS_REPLY_MODE_HEADER:
            krs_reply_eat_header(p);
            break;
        case KRS_REPLY_MODE_CALL:
            krs_reply_eat_call(p);
            break;
        }
    }
}

krs_status krs_reply_parser_feed(krs_reply_parser *p, krs_str text, const krs_reply_sink *sink)
{
    p->sink = sink;
    while (text.len > 0 && p->status == KRS_OK) {
        const size_t n = text.len < KRS_REPLY_SLICE_BYTES ? text.len : KRS_REPLY_SLICE_BYTES;
        krs_reply_note(p, krs_buf_append(&p->in, text.ptr, n));
        text = (krs_str){text.ptr + n, text.len - n};
        eat(p);
        krs_buf_consume(&p->in, p->start);
        p->pos -= p->start;
        p->start = 0;
        krs_reply_flush(p);
    }
    return p->status;
}

/* Something was held when the answer ended: it is not going to become what it might have become. */
static void settle(krs_reply_parser *p)
{
    if (p->mode == KRS_REPLY_MODE_TEXT) {
        krs_reply_give_text(p, p->in.len - p->start);
    } else if (p->mode == KRS_REPLY_MODE_HEADER) {
        krs_reply_header_end(p);
    } else if (p->part == KRS_REPLY_TAIL) {
        p->pos = p->in.len; /* half a closing tag of a whole call */
        krs_reply_leave_call(p);
    } else {
        krs_reply_fail_call(p);
    }
}

krs_status krs_reply_parser_end(krs_reply_parser *p, const krs_reply_sink *sink)
{
    p->sink = sink;
    while (p->status == KRS_OK && (p->start < p->in.len || p->mode == KRS_REPLY_MODE_CALL)) {
        settle(p);
        eat(p);
    }
    krs_reply_flush_space(p);
    krs_reply_flush(p);
    return p->status;
}
