/* text/reply/fields.c - arguments as tagged parameters, told as a JSON object.
 *
 *   <parameter=city>\nKoeln\n</parameter>         {"city": "Koeln"
 *   <arg_key>n</arg_key>\n<arg_value>3</arg_value>   , "n": 3
 *
 * Tags do not say what a value is, so the tool's schema does: where it can only be a string, it is one, told
 * as it comes. Else the value is kept until its end and read as JSON; when it is none, or none of the
 * schema's types, it is a string after all. */
#include "text/reply/priv.h"

typedef enum place {
    PLACE_FIRST,
    PLACE_BETWEEN,
    PLACE_KEY,
    PLACE_VALUE_OPEN,
    PLACE_VALUE_FIRST,
    PLACE_VALUE,
} place;

#define MAX_UNION_DEPTH 4 /* of anyOf within anyOf */

static uint32_t type_of_name(const char *name)
{
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {
        {"string", KRS_REPLY_TYPE_STRING},  {"number", KRS_REPLY_TYPE_NUMBER},
        {"integer", KRS_REPLY_TYPE_NUMBER}, {"boolean", KRS_REPLY_TYPE_BOOLEAN},
        {"null", KRS_REPLY_TYPE_NULL},      {"object", KRS_REPLY_TYPE_OBJECT},
        {"array", KRS_REPLY_TYPE_ARRAY},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (name && strcmp(name, types[i].name) == 0) {
            return types[i].type;
        }
    }
    return 0;
}

uint32_t krs_reply_type_of_value(const json_t *value)
{
    static const uint32_t types[] = {
        [JSON_OBJECT] = KRS_REPLY_TYPE_OBJECT, [JSON_ARRAY] = KRS_REPLY_TYPE_ARRAY,
        [JSON_STRING] = KRS_REPLY_TYPE_STRING, [JSON_INTEGER] = KRS_REPLY_TYPE_NUMBER,
        [JSON_REAL] = KRS_REPLY_TYPE_NUMBER,   [JSON_TRUE] = KRS_REPLY_TYPE_BOOLEAN,
        [JSON_FALSE] = KRS_REPLY_TYPE_BOOLEAN, [JSON_NULL] = KRS_REPLY_TYPE_NULL,
    };
    return types[json_typeof(value)];
}

/* The types that "type", "enum" or "const" leave. */
static uint32_t plain_types(const json_t *schema)
{
    uint32_t types = 0;
    size_t i;
    const json_t *item;
    const json_t *type = json_object_get(schema, "type");
    if (type) {
        types = type_of_name(json_string_value(type));
        json_array_foreach(type, i, item)
        {
            types |= type_of_name(json_string_value(item));
        }
        return types;
    }
    const json_t *only = json_object_get(schema, "const");
    types = only ? krs_reply_type_of_value(only) : 0;
    json_array_foreach(json_object_get(schema, "enum"), i, item)
    {
        types |= krs_reply_type_of_value(item);
    }
    return types;
}

/* 0 when anything may come. */
static uint32_t types_of(const json_t *schema, int depth)
{
    const json_t *some = json_object_get(schema, "anyOf");
    some = some ? some : json_object_get(schema, "oneOf");
    uint32_t types = plain_types(schema);
    if (types != 0 || depth == MAX_UNION_DEPTH) {
        return types;
    }
    size_t i;
    const json_t *item;
    json_array_foreach(some, i, item)
    {
        const uint32_t more = types_of(item, depth + 1);
        if (more == 0) {
            return 0;
        }
        types |= more;
    }
    return types;
}

uint32_t krs_reply_types_of(const json_t *schema)
{
    return types_of(schema, 0);
}

static krs_reply_verdict eat_between(krs_reply_parser *p, char c)
{
    const krs_reply_fields *fields = p->form->fields;
    const char *const words[] = {fields->open, fields->end, fields->other_end};
    bool may_come;
    if (p->pos - p->start == 1 && krs_reply_is_space(c)) {
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    const uint32_t i = krs_reply_word(krs_reply_kept(p), words, 3, &may_come);
    if (i == KRS_REPLY_NO_WORD) {
        return may_come ? KRS_REPLY_MORE : KRS_REPLY_FAIL;
    }
    if (i == 0) {
        krs_reply_use(p);
        krs_buf_reset(&p->value);
        p->state = PLACE_KEY;
        return KRS_REPLY_MORE;
    }
    if (i == 2) {
        p->pos = p->start;
    }
    krs_reply_use(p);
    krs_reply_tell_char(p, '}');
    krs_reply_finish(p, false);
    return KRS_REPLY_NEXT;
}

static krs_reply_verdict eat_first(krs_reply_parser *p, char c)
{
    if (!krs_reply_begin(p)) {
        return KRS_REPLY_FAIL;
    }
    p->start = p->pos - 1;
    krs_reply_tell_char(p, '{');
    p->is_first = true;
    p->state = PLACE_BETWEEN;
    return eat_between(p, c);
}

static krs_str trim(krs_str text)
{
    while (text.len > 0 && krs_reply_is_space(text.ptr[0])) {
        text = (krs_str){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && krs_reply_is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static void tell_quoted(krs_reply_parser *p, krs_str text)
{
    krs_reply_tell_char(p, '"');
    for (size_t i = 0; i < text.len; i++) {
        krs_reply_tell_escaped(p, text.ptr[i]);
    }
    krs_reply_tell_char(p, '"');
}

static krs_reply_verdict eat_key(krs_reply_parser *p, char c)
{
    const krs_reply_fields *fields = p->form->fields;
    krs_reply_note(p, krs_buf_append_char(&p->value, c));
    krs_reply_use(p);
    const krs_str end = krs_str_of(fields->key_end);
    krs_str key = krs_buf_view(&p->value);
    if (!krs_str_ends_with(key, end)) {
        return key.len < KRS_REPLY_MAX_NAME_BYTES + end.len ? KRS_REPLY_MORE : KRS_REPLY_FAIL;
    }
    key = trim((krs_str){key.ptr, key.len - end.len});
    krs_reply_tell_literal(p, p->is_first ? "" : ", ");
    tell_quoted(p, key);
    krs_reply_tell_literal(p, ": ");
    p->is_first = false;
    const json_t *properties = json_object_get(p->tool->parameters, "properties");
    p->types = krs_reply_types_of(json_object_getn(properties, key.ptr, key.len));
    krs_buf_reset(&p->value);
    p->n_word = 0;
    p->state = fields->value_open ? PLACE_VALUE_OPEN : PLACE_VALUE_FIRST;
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_value_open(krs_reply_parser *p, char c)
{
    const char *word = p->form->fields->value_open;
    if (p->n_word == 0 && krs_reply_is_space(c)) {
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    if (c != word[p->n_word]) {
        return KRS_REPLY_FAIL;
    }
    p->n_word++;
    if (!word[p->n_word]) {
        krs_reply_use(p);
        p->state = PLACE_VALUE_FIRST;
    }
    return KRS_REPLY_MORE;
}

/* As Python writes it, which is how some templates show their models what went before. */
static krs_str as_json(krs_str text)
{
    static const struct {
        const char *python;
        const char *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (krs_str_equal(text, krs_str_of(words[i].python))) {
            return krs_str_of(words[i].json);
        }
    }
    return text;
}

static void tell_value(krs_reply_parser *p)
{
    const krs_json_limits limits = {KRS_REPLY_MAX_VALUE_BYTES, true};
    const krs_str raw = krs_buf_view(&p->value);
    const krs_str text = as_json(trim(raw));
    json_t *tree = NULL;
    const bool is_json = krs_json_parse(text, &limits, &tree, NULL) == KRS_OK;
    if (is_json && (p->types == 0 || (p->types & krs_reply_type_of_value(tree)) != 0)) {
        krs_reply_tell(p, KRS_REPLY_CALL_TEXT, text);
    } else {
        tell_quoted(p, raw);
    }
    json_decref(tree);
}

static void add_to_value(krs_reply_parser *p, char c)
{
    if (p->types == KRS_REPLY_TYPE_STRING) {
        krs_reply_tell_escaped(p, c);
    } else {
        krs_reply_note(p, krs_buf_append_char(&p->value, c));
    }
}

static krs_reply_verdict eat_value(krs_reply_parser *p)
{
    const char *const words[] = {p->form->fields->value_end, p->form->fields->line_end};
    bool may_come = false;
    while (p->start < p->pos && !may_come) {
        if (krs_reply_word(krs_reply_kept(p), words, 2, &may_come) != KRS_REPLY_NO_WORD) {
            krs_reply_use(p);
            p->state = PLACE_BETWEEN;
            if (p->types == KRS_REPLY_TYPE_STRING) {
                krs_reply_tell_char(p, '"');
            } else {
                tell_value(p);
            }
            return KRS_REPLY_MORE;
        }
        if (!may_come) {
            add_to_value(p, p->in.data[p->start++]);
        }
    }
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_value_first(krs_reply_parser *p, char c)
{
    p->state = PLACE_VALUE;
    if (p->types == KRS_REPLY_TYPE_STRING) {
        krs_reply_tell_char(p, '"');
    }
    if (c == '\n' && p->form->fields->has_lines) {
        krs_reply_use(p);
        return KRS_REPLY_MORE;
    }
    return eat_value(p);
}

krs_reply_verdict krs_reply_eat_fields(krs_reply_parser *p)
{
    const char c = krs_reply_byte(p);
    switch ((place)p->state) {
    case PLACE_FIRST:
        return eat_first(p, c);
    case PLACE_BETWEEN:
        return eat_between(p, c);
    case PLACE_KEY:
        return eat_key(p, c);
    case PLACE_VALUE_OPEN:
        return eat_value_open(p, c);
    case PLACE_VALUE_FIRST:
        return eat_value_first(p, c);
    default:
        return eat_value(p);
    }
}
