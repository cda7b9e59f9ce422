/* wire/yaml.c - see yaml.h.
 *
 * libyaml's event stream is turned into a tree with an explicit stack of open collections, so nesting
 * costs no C stack. Each stack entry owns its collection until it is closed and attached. */
#include "wire/yaml.h"

#include "wire/yaml_scalar.h"

#include <yaml.h>

typedef struct open_node {
    json_t *tree; /* object or array, owned */
    char *key;    /* in an object: the key whose value comes next, owned; NULL: a key comes next */
} open_node;

typedef struct builder {
    yaml_parser_t parser;
    open_node open[KRS_YAML_MAX_DEPTH];
    uint32_t depth;
    uint32_t n_nodes;
    uint32_t n_documents;
    json_t *root; /* owned once complete */
    krs_error *err;
} builder;

static krs_status fail_at(const builder *b, const yaml_event_t *event, const char *what)
{
    return krs_fail(b->err, KRS_EINVAL, "YAML line %zu column %zu: %s", event->start_mark.line + 1,
                    event->start_mark.column + 1, what);
}

/* Hang value (owned) into the innermost open collection, or make it the root. */
static krs_status attach(builder *b, const yaml_event_t *event, json_t *value)
{
    if (b->depth == 0) {
        b->root = value;
        return KRS_OK;
    }
    open_node *node = &b->open[b->depth - 1];
    if (json_is_array(node->tree)) {
        return json_array_append_new(node->tree, value) == 0 ? KRS_OK : KRS_ENOMEM;
    }
    const bool is_new = json_object_get(node->tree, node->key) == NULL;
    if (!is_new) {
        json_decref(value);
        return fail_at(b, event, "this key was given before");
    }
    const int code = json_object_set_new(node->tree, node->key, value);
    krs_alloc_free(NULL, node->key);
    node->key = NULL;
    return code == 0 ? KRS_OK : KRS_ENOMEM;
}

static bool wants_key(const builder *b)
{
    return b->depth > 0 && json_is_object(b->open[b->depth - 1].tree) && !b->open[b->depth - 1].key;
}

static krs_status take_key(builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const size_t n = event->data.scalar.length;
    if (memchr(text, '\0', n)) {
        return fail_at(b, event, "a key holds a NUL byte");
    }
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        krs_str_equal((krs_str){text, n}, KRS_STR("<<"))) {
        return fail_at(b, event, "merge keys are not supported");
    }
    open_node *node = &b->open[b->depth - 1];
    node->key = krs_alloc_text(NULL, text, n);
    return node->key ? KRS_OK : KRS_ENOMEM;
}

static krs_status take_scalar(builder *b, const yaml_event_t *event)
{
    if (event->data.scalar.anchor || event->data.scalar.tag) {
        return fail_at(b, event, "anchors and tags are not supported");
    }
    if (wants_key(b)) {
        return take_key(b, event);
    }
    const krs_str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json_t *value = NULL;
    const char *why = NULL;
    const krs_status status = krs_yaml_scalar(text, is_plain, &value, &why);
    return status == KRS_OK ? attach(b, event, value) : why ? fail_at(b, event, why) : status;
}

static krs_status open_collection(builder *b, const yaml_event_t *event, bool is_map)
{
    const yaml_char_t *anchor =
        is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag =
        is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (anchor || tag) {
        return fail_at(b, event, "anchors and tags are not supported");
    }
    if (wants_key(b)) {
        return fail_at(b, event, "a key must be a scalar");
    }
    if (b->depth == KRS_YAML_MAX_DEPTH) {
        return fail_at(b, event, "nested too deep");
    }
    json_t *tree = is_map ? json_object() : json_array();
    if (!tree) {
        return KRS_ENOMEM;
    }
    b->open[b->depth++] = (open_node){tree, NULL};
    return KRS_OK;
}

static krs_status close_collection(builder *b, const yaml_event_t *event)
{
    json_t *tree = b->open[--b->depth].tree;
    return attach(b, event, tree);
}

static krs_status take_event(builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++b->n_documents > 1 ? fail_at(b, event, "more than one document") : KRS_OK;
    case YAML_ALIAS_EVENT:
        return fail_at(b, event, "aliases are not supported");
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(b, event, false);
    case YAML_MAPPING_START_EVENT:
        return open_collection(b, event, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_collection(b, event);
    default: /* stream and document ends carry nothing */
        return KRS_OK;
    }
}

static krs_status fail_scan(const builder *b)
{
    if (b->parser.error == YAML_MEMORY_ERROR) {
        return krs_fail(b->err, KRS_ENOMEM, "YAML: out of memory");
    }
    return krs_fail(b->err, KRS_EINVAL, "YAML line %zu column %zu: %s",
                    b->parser.problem_mark.line + 1, b->parser.problem_mark.column + 1,
                    b->parser.problem ? b->parser.problem : "malformed");
}

static krs_status build(builder *b)
{
    for (bool is_end = false; !is_end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            return fail_scan(b);
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        krs_status status = take_event(b, &event);
        yaml_event_delete(&event);
        if (status == KRS_OK && ++b->n_nodes > KRS_YAML_MAX_NODES) {
            status =
                krs_fail(b->err, KRS_ETOOLARGE, "YAML: more than %d nodes", KRS_YAML_MAX_NODES);
        }
        if (status == KRS_ENOMEM) {
            return krs_fail(b->err, KRS_ENOMEM, "YAML: out of memory");
        }
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

static void drop(builder *b)
{
    while (b->depth > 0) {
        b->depth--;
        json_decref(b->open[b->depth].tree);
        krs_alloc_free(NULL, b->open[b->depth].key);
    }
    json_decref(b->root);
    b->root = NULL;
}

krs_status krs_yaml_parse(krs_str text, json_t **out, krs_error *err)
{
    *out = NULL;
    if (text.len > KRS_YAML_MAX_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "YAML of %zu bytes, limit %u", text.len,
                        KRS_YAML_MAX_BYTES);
    }
    builder b = {.err = err};
    if (!yaml_parser_initialize(&b.parser)) {
        return krs_fail(err, KRS_ENOMEM, "YAML: out of memory");
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    const krs_status status = build(&b);
    yaml_parser_delete(&b.parser);
    if (status != KRS_OK) {
        drop(&b);
        return status;
    }
    *out = b.root ? b.root : json_null();
    return KRS_OK;
}
