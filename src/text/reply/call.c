/* text/reply/call.c - the steps of a call: see priv.h. */
#include "text/reply/priv.h"

/* The parts of a call that a step may rely on being empty. */
static void clear_call(krs_reply_parser *p)
{
    p->part = KRS_REPLY_HEAD;
    p->tool = NULL;
    p->n_name = 0;
    p->n_id = 0;
    p->n_held = 0;
    krs_buf_reset(&p->value);
}

static void go_to(krs_reply_parser *p, uint32_t at)
{
    while (p->steps[at].op == KRS_REPLY_OP_GOTO) {
        at = p->steps[at].other;
    }
    p->at = at;
    p->state = 0;
    p->n_word = 0;
    p->scan = (krs_reply_scan){0};
    const bool is_next = p->steps[at].op == KRS_REPLY_OP_NAME && p->part == KRS_REPLY_TAIL;
    if (p->steps[at].op == KRS_REPLY_OP_OBJECT || is_next) {
        clear_call(p); /* of a list: each is a call of its own */
    }
    if (p->steps[at].op == KRS_REPLY_OP_LEAVE) {
        krs_reply_leave_call(p);
    }
}

void krs_reply_enter_call(krs_reply_parser *p, const krs_reply_step *steps, uint32_t first,
                          size_t n_lead)
{
    p->mode = KRS_REPLY_MODE_CALL;
    p->steps = steps;
    p->n_lead = n_lead;
    clear_call(p);
    go_to(p, first);
}

void krs_reply_fail_call(krs_reply_parser *p)
{
    const krs_reply_part part = p->part;
    const size_t n_lead = p->n_lead;
    if (part == KRS_REPLY_OPEN) {
        krs_reply_finish(p, true);
    }
    krs_reply_set_text(p, KRS_REPLY_CONTENT);
    p->is_space_eaten = part != KRS_REPLY_OPEN && n_lead == 0; /* behind another call */
    p->n_lead = 0;
    p->pos = p->start;
    krs_reply_give_text(p, part == KRS_REPLY_HEAD ? n_lead : 0);
}

static krs_reply_scanned scan_string(krs_reply_scan *scan, char c)
{
    const bool is_end = c == '"' && !scan->is_escape;
    scan->is_escape = c == '\\' && !scan->is_escape;
    scan->is_string = !is_end;
    return is_end && scan->depth == 0 ? KRS_REPLY_SCAN_END : KRS_REPLY_SCAN_MORE;
}

static krs_reply_scanned scan_close(krs_reply_scan *scan)
{
    if (scan->depth == 0) {
        return KRS_REPLY_SCAN_PAST;
    }
    scan->depth--;
    return scan->depth == 0 ? KRS_REPLY_SCAN_END : KRS_REPLY_SCAN_MORE;
}

krs_reply_scanned krs_reply_scan_byte(krs_reply_scan *scan, char c)
{
    if (scan->is_string) {
        return scan_string(scan, c);
    }
    if (c == '}' || c == ']') {
        return scan_close(scan);
    }
    const bool is_space = krs_reply_is_space(c);
    if (scan->is_scalar && (is_space || c == ',')) {
        return KRS_REPLY_SCAN_PAST;
    }
    scan->depth += c == '{' || c == '[';
    scan->is_string = c == '"';
    scan->is_scalar = scan->depth == 0 && !scan->is_string && !is_space;
    return KRS_REPLY_SCAN_MORE;
}

krs_reply_verdict krs_reply_eat_json(krs_reply_parser *p)
{
    const char c = krs_reply_byte(p);
    if (p->part == KRS_REPLY_HEAD) {
        if (krs_reply_is_space(c)) {
            return KRS_REPLY_MORE;
        }
        if (c != '{' || !krs_reply_begin(p)) {
            return KRS_REPLY_FAIL;
        }
    }
    krs_reply_tell_char(p, c);
    krs_reply_use(p);
    if (krs_reply_scan_byte(&p->scan, c) != KRS_REPLY_SCAN_END) {
        return KRS_REPLY_MORE;
    }
    krs_reply_finish(p, false);
    return KRS_REPLY_NEXT;
}

static krs_reply_verdict eat_word(krs_reply_parser *p, const krs_reply_step *step)
{
    const char c = krs_reply_byte(p);
    if (p->n_word == 0 && krs_reply_is_space(c)) {
        return KRS_REPLY_MORE;
    }
    if (c == step->text[p->n_word]) {
        p->n_word++;
        return step->text[p->n_word] ? KRS_REPLY_MORE : KRS_REPLY_NEXT;
    }
    if (step->op == KRS_REPLY_OP_WORD) {
        return KRS_REPLY_FAIL;
    }
    p->pos -= p->n_word + 1;
    go_to(p, step->other);
    return KRS_REPLY_MORE;
}

static krs_reply_verdict look(krs_reply_parser *p, const krs_reply_step *step)
{
    const char c = krs_reply_byte(p);
    if (krs_reply_is_space(c)) {
        return KRS_REPLY_MORE;
    }
    p->pos--;
    if (c == step->text[0]) {
        return KRS_REPLY_NEXT;
    }
    go_to(p, step->other);
    return KRS_REPLY_MORE;
}

static bool is_name_end(char c)
{
    return krs_reply_is_space(c) || c == '\0' || strchr("<>[]{}()\"'`,;=", c) != NULL;
}

/* functions.name:0 is the id of a call of name. */
static void split_id(krs_reply_parser *p)
{
    memcpy(p->id, p->name, p->n_name);
    p->n_id = p->n_name;
    uint32_t n = p->n_name;
    while (n > 0 && p->name[n - 1] >= '0' && p->name[n - 1] <= '9') {
        n--;
    }
    if (n > 1 && n < p->n_name && p->name[n - 1] == ':') {
        p->n_name = n - 1;
    }
}

/* A run of bytes that names have, into text. */
static krs_reply_verdict eat_run(krs_reply_parser *p, char *text, uint32_t *n)
{
    const char c = krs_reply_byte(p);
    if (p->state == 0) {
        *n = 0;
        p->state = !krs_reply_is_space(c);
    }
    if (p->state == 0) {
        return KRS_REPLY_MORE;
    }
    if (is_name_end(c)) {
        p->pos--;
        return *n > 0 ? KRS_REPLY_NEXT : KRS_REPLY_FAIL;
    }
    if (*n == KRS_REPLY_MAX_NAME_BYTES) {
        return KRS_REPLY_FAIL;
    }
    text[(*n)++] = c;
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_name(krs_reply_parser *p, const krs_reply_step *step)
{
    const krs_reply_verdict verdict = eat_run(p, p->name, &p->n_name);
    if (verdict == KRS_REPLY_NEXT && step->text) {
        split_id(p);
    }
    return verdict;
}

static krs_reply_verdict eat_step(krs_reply_parser *p)
{
    const krs_reply_step *step = &p->steps[p->at];
    switch (step->op) {
    case KRS_REPLY_OP_WORD:
    case KRS_REPLY_OP_MAYBE:
        return eat_word(p, step);
    case KRS_REPLY_OP_NAME:
        return eat_name(p, step);
    case KRS_REPLY_OP_ID:
        return eat_run(p, p->id, &p->n_id);
    case KRS_REPLY_OP_JSON:
        return krs_reply_eat_json(p);
    case KRS_REPLY_OP_OBJECT:
        return krs_reply_eat_object(p);
    case KRS_REPLY_OP_FIELDS:
        return krs_reply_eat_fields(p);
    case KRS_REPLY_OP_PYTHON:
        return krs_reply_eat_python(p);
    case KRS_REPLY_OP_LOOK:
        return look(p, step);
    default:
        return krs_reply_eat_braces(p);
    }
}

/* {"name": "f", "arguments": {..} without the last bracket, which models forget: the call is whole, and its
 * closing tag is one. */
static bool is_left_open(const krs_reply_parser *p)
{
    return p->part == KRS_REPLY_TAIL && p->steps[p->at].op == KRS_REPLY_OP_OBJECT;
}

void krs_reply_eat_call(krs_reply_parser *p)
{
    krs_reply_verdict verdict = KRS_REPLY_FAIL;
    if (p->part == KRS_REPLY_OPEN || p->pos - p->start <= KRS_REPLY_MAX_HEAD_BYTES) {
        verdict = eat_step(p);
    }
    if (verdict == KRS_REPLY_NEXT) {
        if (p->part == KRS_REPLY_TAIL) {
            krs_reply_use(p); /* a tag that did its work */
        }
        go_to(p, p->at + 1);
    } else if (verdict == KRS_REPLY_FAIL && is_left_open(p)) {
        p->pos = p->start;
        go_to(p, p->at + 1);
    } else if (verdict == KRS_REPLY_FAIL) {
        krs_reply_fail_call(p);
    }
}
