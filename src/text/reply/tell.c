/* text/reply/tell.c - events of a reply: pieces of one kind are put together, then told. */
#include "text/reply/priv.h"

void krs_reply_note(krs_reply_parser *p, krs_status status)
{
    if (p->status == KRS_OK) {
        p->status = status;
    }
}

static void tell_event(krs_reply_parser *p, const krs_reply_event *event)
{
    if (p->status == KRS_OK) {
        p->status = p->sink->event(p->sink->user, event);
    }
}

void krs_reply_flush(krs_reply_parser *p)
{
    if (p->out.len > 0) {
        tell_event(p, &(krs_reply_event){.kind = p->out_kind,
                                         .text = krs_buf_view(&p->out),
                                         .call = p->n_calls ? p->n_calls - 1 : 0});
        krs_buf_reset(&p->out);
    }
}

void krs_reply_tell(krs_reply_parser *p, krs_reply_event_kind kind, krs_str text)
{
    if (p->out_kind != kind) {
        krs_reply_flush(p);
        p->out_kind = kind;
    }
    if (kind == KRS_REPLY_CONTENT || kind == KRS_REPLY_REASONING) {
        p->has_text[kind == KRS_REPLY_REASONING] = true;
    }
    if (p->status == KRS_OK) {
        p->status = krs_buf_append_str(&p->out, text);
    }
}

void krs_reply_tell_char(krs_reply_parser *p, char c)
{
    krs_reply_tell(p, KRS_REPLY_CALL_TEXT, (krs_str){&c, 1});
}

void krs_reply_tell_literal(krs_reply_parser *p, const char *text)
{
    krs_reply_tell(p, KRS_REPLY_CALL_TEXT, krs_str_of(text));
}

void krs_reply_tell_escaped(krs_reply_parser *p, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "\"\"\\\\\nn\tt\rr"; /* what it is, what it is written as */
    for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
        if (c == names[i]) {
            krs_reply_tell(p, KRS_REPLY_CALL_TEXT, (krs_str){(char[]){'\\', names[i + 1]}, 2});
            return;
        }
    }
    const unsigned char byte = (unsigned char)c;
    if (byte < 0x20) {
        const char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
        krs_reply_tell(p, KRS_REPLY_CALL_TEXT, (krs_str){escape, sizeof(escape)});
        return;
    }
    krs_reply_tell_char(p, c);
}

/* The tool of that name, which some models write as functions.name. */
static const krs_reply_tool *find_tool(const krs_reply_parser *p, krs_str name)
{
    for (uint32_t i = 0; i < p->options.n_tools; i++) {
        if (krs_str_equal(p->options.tools[i].name, name)) {
            return &p->options.tools[i];
        }
    }
    const krs_str space = KRS_STR("functions.");
    if (name.len > space.len && krs_str_starts_with(name, space)) {
        return find_tool(p, (krs_str){name.ptr + space.len, name.len - space.len});
    }
    return NULL;
}

bool krs_reply_begin(krs_reply_parser *p)
{
    p->tool = find_tool(p, (krs_str){p->name, p->n_name});
    if (!p->tool) {
        return false;
    }
    krs_buf_reset(&p->space);
    krs_reply_flush(p);
    p->part = KRS_REPLY_OPEN;
    tell_event(p, &(krs_reply_event){.kind = KRS_REPLY_CALL_BEGIN,
                                     .text = p->tool->name,
                                     .id = {p->id, p->n_id},
                                     .call = p->n_calls});
    p->n_calls++;
    return true;
}

void krs_reply_finish(krs_reply_parser *p, bool is_broken)
{
    krs_reply_flush(p);
    tell_event(p, &(krs_reply_event){
                      .kind = KRS_REPLY_CALL_END, .call = p->n_calls - 1, .is_broken = is_broken});
    p->part = KRS_REPLY_TAIL;
    p->n_lead = 0;
}
