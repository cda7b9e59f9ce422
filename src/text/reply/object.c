/* text/reply/object.c - a call as a JSON object: {"name": "f", "arguments": {..}}.
 *
 * Arguments that stand behind the name are told as they come; those before it wait for it. Some models
 * write them as a string of JSON, which is told as what is in it. Members that only number the call are
 * passed over; any other before the arguments says that this is no call. */
#include "text/reply/priv.h"

typedef enum place {
    PLACE_OPEN,
    PLACE_KEY,
    PLACE_IN_KEY,
    PLACE_COLON,
    PLACE_VALUE,
    PLACE_IN_NAME,
    PLACE_IN_ARGUMENTS, /* told as they come */
    PLACE_IN_HELD,      /* arguments kept whole */
    PLACE_IN_OTHER,
    PLACE_BEHIND,
} place;

typedef enum key {
    KEY_NAME,
    KEY_ARGUMENTS,
    KEY_OTHER,
    KEY_STRANGE,
} key;

static const struct {
    const char *text;
    key key;
} keys[] = {
    {"name", KEY_NAME},
    {"tool_name", KEY_NAME},
    {"arguments", KEY_ARGUMENTS},
    {"parameters", KEY_ARGUMENTS},
    {"id", KEY_OTHER},
    {"tool_call_id", KEY_OTHER},
    {"type", KEY_OTHER},
    {"index", KEY_OTHER},
};

static const krs_json_limits limits = {KRS_REPLY_MAX_HEAD_BYTES, true};

static key find_key(const krs_reply_parser *p)
{
    if (p->part == KRS_REPLY_TAIL) {
        return KEY_OTHER;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (krs_str_equal(krs_buf_view(&p->value), krs_str_of(keys[i].text))) {
            const bool is_twice = keys[i].key == KEY_NAME ? p->n_name > 0 : p->n_held > 0;
            return keys[i].key != KEY_OTHER && is_twice ? KEY_STRANGE : keys[i].key;
        }
    }
    return KEY_STRANGE;
}

/* What a JSON string says, into p->value. False: it is none. */
static bool read_string(krs_reply_parser *p, krs_str quoted)
{
    json_t *tree = NULL;
    const bool is_read =
        krs_json_parse(quoted, &limits, &tree, NULL) == KRS_OK && json_is_string(tree);
    krs_buf_reset(&p->value);
    if (is_read) {
        krs_reply_note(
            p, krs_buf_append(&p->value, json_string_value(tree), json_string_length(tree)));
    }
    json_decref(tree);
    return is_read && p->status == KRS_OK;
}

/* The whole call at once. */
static krs_reply_verdict tell_whole(krs_reply_parser *p, krs_str arguments)
{
    if (!krs_reply_begin(p)) {
        return KRS_REPLY_FAIL;
    }
    krs_reply_tell(p, KRS_REPLY_CALL_TEXT, arguments);
    krs_reply_finish(p, false);
    krs_reply_use(p);
    return KRS_REPLY_MORE;
}

/* Arguments that were kept, now that the name is known. */
static krs_reply_verdict tell_held(krs_reply_parser *p)
{
    krs_str text = {p->in.data + p->start + p->held_at, p->n_held};
    if (krs_str_equal(text, KRS_STR("null"))) {
        return tell_whole(p, KRS_STR("{}"));
    }
    if (text.ptr[0] == '"') {
        text = read_string(p, text) ? krs_buf_view(&p->value) : (krs_str){NULL, 0};
    }
    if (text.len == 0 || text.ptr[0] != '{') {
        return KRS_REPLY_FAIL;
    }
    return tell_whole(p, text);
}

static krs_reply_verdict close_object(krs_reply_parser *p)
{
    if (p->part == KRS_REPLY_HEAD) {
        if (p->n_name == 0 || tell_whole(p, KRS_STR("{}")) == KRS_REPLY_FAIL) {
            return KRS_REPLY_FAIL;
        }
    }
    krs_reply_use(p);
    return KRS_REPLY_NEXT;
}

/* One of the bytes that are wanted between values. */
static krs_reply_verdict eat_mark(krs_reply_parser *p, char c)
{
    static const struct {
        char byte;
        place next;
    } marks[][2] = {
        [PLACE_OPEN] = {{'{', PLACE_KEY}, {'{', PLACE_KEY}},
        [PLACE_KEY] = {{'"', PLACE_IN_KEY}, {'}', PLACE_OPEN}},
        [PLACE_COLON] = {{':', PLACE_VALUE}, {':', PLACE_VALUE}},
        [PLACE_BEHIND] = {{',', PLACE_KEY}, {'}', PLACE_OPEN}},
    };
    for (int i = 0; i < 2; i++) {
        if (c == marks[p->state][i].byte) {
            p->state = marks[p->state][i].next;
            krs_buf_reset(&p->value);
            return c == '}' ? close_object(p) : KRS_REPLY_MORE;
        }
    }
    return KRS_REPLY_FAIL;
}

static krs_reply_verdict eat_key(krs_reply_parser *p, char c)
{
    if (c != '"') {
        krs_reply_note(p, krs_buf_append_char(&p->value, c));
        return KRS_REPLY_MORE;
    }
    p->key = find_key(p);
    p->state = PLACE_COLON;
    return p->key == KEY_STRANGE ? KRS_REPLY_FAIL : KRS_REPLY_MORE;
}

/* The first byte of a value. */
static krs_reply_verdict eat_first(krs_reply_parser *p, char c)
{
    p->scan = (krs_reply_scan){0};
    if (krs_reply_scan_byte(&p->scan, c) == KRS_REPLY_SCAN_PAST) {
        return KRS_REPLY_FAIL; /* there is none */
    }
    p->held_at = p->pos - 1 - p->start;
    if (p->key == KEY_OTHER) {
        p->state = PLACE_IN_OTHER;
    } else if (p->key == KEY_NAME) {
        p->state = PLACE_IN_NAME;
        return c == '"' ? KRS_REPLY_MORE : KRS_REPLY_FAIL;
    } else if (p->n_name == 0 || c != '{') {
        p->state = PLACE_IN_HELD;
    } else {
        p->state = PLACE_IN_ARGUMENTS;
        if (!krs_reply_begin(p)) {
            return KRS_REPLY_FAIL;
        }
        krs_reply_tell_char(p, c);
        krs_reply_use(p);
    }
    return KRS_REPLY_MORE;
}

static krs_reply_verdict end_name(krs_reply_parser *p)
{
    const krs_str quoted = {p->in.data + p->start + p->held_at, p->pos - p->start - p->held_at};
    if (!read_string(p, quoted) || p->value.len == 0 || p->value.len > KRS_REPLY_MAX_NAME_BYTES) {
        return KRS_REPLY_FAIL;
    }
    memcpy(p->name, p->value.data, p->value.len);
    p->n_name = (uint32_t)p->value.len;
    p->held_at = p->arguments_at;
    return p->n_held > 0 ? tell_held(p) : KRS_REPLY_MORE;
}

/* A value is over: with this byte, or before it. */
static krs_reply_verdict end_value(krs_reply_parser *p, bool is_past)
{
    const place where = (place)p->state;
    p->state = PLACE_BEHIND;
    p->pos -= is_past;
    if (where == PLACE_IN_ARGUMENTS) {
        krs_reply_finish(p, false);
    } else if (where == PLACE_IN_NAME) {
        return end_name(p);
    } else if (where == PLACE_IN_HELD) {
        p->n_held = p->pos - p->start - p->held_at;
        p->arguments_at = p->held_at;
        return p->n_name > 0 ? tell_held(p) : KRS_REPLY_MORE;
    }
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_value(krs_reply_parser *p, char c)
{
    if (p->state == PLACE_IN_ARGUMENTS) {
        krs_reply_tell_char(p, c);
        krs_reply_use(p);
    }
    const krs_reply_scanned scanned = krs_reply_scan_byte(&p->scan, c);
    return scanned == KRS_REPLY_SCAN_MORE ? KRS_REPLY_MORE
                                          : end_value(p, scanned == KRS_REPLY_SCAN_PAST);
}

krs_reply_verdict krs_reply_eat_object(krs_reply_parser *p)
{
    const char c = krs_reply_byte(p);
    switch ((place)p->state) {
    case PLACE_IN_KEY:
        return eat_key(p, c);
    case PLACE_IN_NAME:
    case PLACE_IN_ARGUMENTS:
    case PLACE_IN_HELD:
    case PLACE_IN_OTHER:
        return eat_value(p, c);
    case PLACE_VALUE:
        return krs_reply_is_space(c) ? KRS_REPLY_MORE : eat_first(p, c);
    default:
        return krs_reply_is_space(c) ? KRS_REPLY_MORE : eat_mark(p, c);
    }
}
