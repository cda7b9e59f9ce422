/* text/reply/braces.c - arguments as gemma writes them, told as a JSON object.
 *
 *   {city:<|"|>Koeln<|"|>,days:[1,2],at:{hour:7}}   {"city":"Koeln","days":[1,2],"at":{"hour":7}}
 *
 * Keys are bare, strings stand between the special token <|"|> and have no escapes. Strings in JSON's own
 * quotes are understood, too; a bare value that is no number and no word of JSON is a string. */
#include "text/reply/priv.h"

typedef enum place {
    PLACE_OPEN,
    PLACE_KEY,
    PLACE_BARE_KEY,
    PLACE_COLON,
    PLACE_VALUE,
    PLACE_MARKED, /* in a string, to the next mark */
    PLACE_QUOTED, /* in a string of JSON */
    PLACE_BARE,
    PLACE_BEHIND,
} place;

static const char *mark_of(const krs_reply_parser *p)
{
    return p->steps[p->at].text;
}

static bool is_list(const krs_reply_parser *p)
{
    return p->lists[p->depth - 1];
}

static krs_reply_verdict push(krs_reply_parser *p, char c)
{
    if (p->depth == KRS_REPLY_MAX_DEPTH) {
        return KRS_REPLY_FAIL;
    }
    p->lists[p->depth++] = c == '[';
    p->is_first = true;
    p->state = c == '[' ? PLACE_VALUE : PLACE_KEY;
    krs_reply_tell_char(p, c);
    krs_reply_use(p);
    return KRS_REPLY_MORE;
}

static krs_reply_verdict pop(krs_reply_parser *p, char c)
{
    if (c != (is_list(p) ? ']' : '}')) {
        return KRS_REPLY_FAIL;
    }
    p->depth--;
    p->is_first = false;
    p->state = PLACE_BEHIND;
    krs_reply_tell_char(p, c);
    krs_reply_use(p);
    if (p->depth > 0) {
        return KRS_REPLY_MORE;
    }
    krs_reply_finish(p, false);
    return KRS_REPLY_NEXT;
}

static krs_reply_verdict eat_open(krs_reply_parser *p, char c)
{
    if (krs_reply_is_space(c)) {
        return KRS_REPLY_MORE;
    }
    p->depth = 0;
    return c == '{' && krs_reply_begin(p) ? push(p, c) : KRS_REPLY_FAIL;
}

/* A comma is told with what follows it, so that one before a bracket does no harm. */
static void tell_comma(krs_reply_parser *p)
{
    krs_reply_tell_literal(p, p->is_first ? "" : ",");
    p->is_first = false;
}

static krs_reply_verdict begin_string(krs_reply_parser *p, place state)
{
    p->state = state;
    p->scan = (krs_reply_scan){.is_string = true};
    krs_reply_tell_char(p, '"');
    krs_reply_use(p);
    return KRS_REPLY_MORE;
}

/* A key or value begins; what was kept is a mark, or its first byte is c. */
static krs_reply_verdict begin_item(krs_reply_parser *p, char c, bool is_marked)
{
    p->is_key = p->state == PLACE_KEY;
    if (p->is_key || is_list(p)) {
        tell_comma(p);
    }
    if (is_marked) {
        return begin_string(p, PLACE_MARKED);
    }
    if (c == '"' && p->pos - p->start == 1) {
        return begin_string(p, PLACE_QUOTED);
    }
    if (!p->is_key && (c == '{' || c == '[')) {
        return push(p, c);
    }
    krs_buf_reset(&p->value);
    p->state = p->is_key ? PLACE_BARE_KEY : PLACE_BARE;
    p->pos = p->start;
    return KRS_REPLY_MORE;
}

/* The beginning of a key or value: a mark, a quote, a bracket or something bare. */
static krs_reply_verdict eat_item(krs_reply_parser *p, char c)
{
    const char *const mark = mark_of(p);
    const bool is_first = p->pos - p->start == 1;
    bool may_come;
    if (is_first && krs_reply_is_space(c)) {
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    if (is_first && (c == '}' || c == ']')) {
        const bool has_key = p->state == PLACE_VALUE && !is_list(p);
        return has_key ? KRS_REPLY_FAIL : pop(p, c);
    }
    const bool is_marked = krs_reply_word(krs_reply_kept(p), &mark, 1, &may_come) == 0;
    return !is_marked && may_come ? KRS_REPLY_MORE : begin_item(p, c, is_marked);
}

static void end_string(krs_reply_parser *p)
{
    p->state = p->is_key ? PLACE_COLON : PLACE_BEHIND;
}

static krs_reply_verdict eat_marked(krs_reply_parser *p)
{
    const char *const mark = mark_of(p);
    bool may_come = false;
    while (p->start < p->pos && !may_come) {
        if (krs_reply_word(krs_reply_kept(p), &mark, 1, &may_come) == 0) {
            krs_reply_use(p);
            krs_reply_tell_char(p, '"');
            end_string(p);
        } else if (!may_come) {
            krs_reply_tell_escaped(p, p->in.data[p->start++]);
        }
    }
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_quoted(krs_reply_parser *p, char c)
{
    krs_reply_tell_char(p, c);
    krs_reply_use(p);
    if (krs_reply_scan_byte(&p->scan, c) == KRS_REPLY_SCAN_END) {
        end_string(p);
    }
    return KRS_REPLY_MORE;
}

/* Bare text without the white space at its end, as JSON. */
static void tell_bare(krs_reply_parser *p)
{
    const krs_json_limits limits = {KRS_REPLY_MAX_VALUE_BYTES, false};
    krs_str text = krs_buf_view(&p->value);
    while (text.len > 0 && krs_reply_is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    json_t *tree = NULL;
    if (!p->is_key && krs_json_parse(text, &limits, &tree, NULL) == KRS_OK) {
        krs_reply_tell(p, KRS_REPLY_CALL_TEXT, text);
        json_decref(tree);
        return;
    }
    krs_reply_tell_char(p, '"');
    for (size_t i = 0; i < text.len; i++) {
        krs_reply_tell_escaped(p, text.ptr[i]);
    }
    krs_reply_tell_char(p, '"');
}

static krs_reply_verdict eat_bare(krs_reply_parser *p, char c)
{
    const bool is_end = p->is_key ? c == ':' : c == ',' || c == '}' || c == ']';
    if (!is_end) {
        krs_reply_note(p, krs_buf_append_char(&p->value, c));
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    tell_bare(p);
    end_string(p);
    p->pos = p->start;
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_mark(krs_reply_parser *p, char c)
{
    if (krs_reply_is_space(c)) {
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    if (p->state == PLACE_BEHIND && c != ',') {
        return pop(p, c);
    }
    if (p->state == PLACE_COLON && c != ':') {
        return KRS_REPLY_FAIL;
    }
    if (p->state == PLACE_COLON) {
        krs_reply_tell_char(p, ':');
        p->state = PLACE_VALUE;
    } else {
        p->state = is_list(p) ? PLACE_VALUE : PLACE_KEY;
    }
    krs_reply_use(p);
    return KRS_REPLY_MORE;
}

krs_reply_verdict krs_reply_eat_braces(krs_reply_parser *p)
{
    const char c = krs_reply_byte(p);
    switch ((place)p->state) {
    case PLACE_OPEN:
        return eat_open(p, c);
    case PLACE_KEY:
    case PLACE_VALUE:
        return eat_item(p, c);
    case PLACE_BARE_KEY:
    case PLACE_BARE:
        return eat_bare(p, c);
    case PLACE_MARKED:
        return eat_marked(p);
    case PLACE_QUOTED:
        return eat_quoted(p, c);
    default:
        return eat_mark(p, c);
    }
}
