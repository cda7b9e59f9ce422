/* grammar/schema_index.c - where things are in a document: $id, $anchor, and what a $ref points to.
 *
 * The document is walked once, through the keywords that hold schemas (an "$id" inside an enum is no $id). What a
 * pointer reaches outside of them (#/components/schemas/X) is walked when it is reached. Nothing is ever fetched: a
 * reference to another document is refused. */
#include "grammar/schema_priv.h"

#include <stdio.h>
#include <stdlib.h>

typedef enum holds { HOLDS_ONE, HOLDS_LIST, HOLDS_MAP, HOLDS_ONE_OR_LIST } holds;

static const struct {
    const char *keyword;
    holds what;
} holders[] = {
    {"properties", HOLDS_MAP},
    {"patternProperties", HOLDS_MAP},
    {"$defs", HOLDS_MAP},
    {"definitions", HOLDS_MAP},
    {"dependencies", HOLDS_MAP},
    {"dependentSchemas", HOLDS_MAP},
    {"allOf", HOLDS_LIST},
    {"anyOf", HOLDS_LIST},
    {"oneOf", HOLDS_LIST},
    {"prefixItems", HOLDS_LIST},
    {"items", HOLDS_ONE_OR_LIST},
    {"additionalItems", HOLDS_ONE},
    {"additionalProperties", HOLDS_ONE},
    {"propertyNames", HOLDS_ONE},
    {"contains", HOLDS_ONE},
    {"not", HOLDS_ONE},
    {"if", HOLDS_ONE},
    {"then", HOLDS_ONE},
    {"else", HOLDS_ONE},
    {"unevaluatedItems", HOLDS_ONE},
    {"unevaluatedProperties", HOLDS_ONE},
    {"contentSchema", HOLDS_ONE},
};

static uint64_t hash_node(const json_t *node)
{
    return krs_mix(0x6E6F6465, (uint64_t)(uintptr_t)node);
}

krs_node_entry *krs_schema_node(krs_schema *s, const json_t *node)
{
    uint32_t probe = 0;
    for (uint32_t id; (id = krs_intern_next(&s->node_ids, hash_node(node), &probe)) != KRS_NO_ID;) {
        krs_node_entry *entry = (krs_node_entry *)s->nodes.items + id;
        if (entry->node == node) {
            return entry;
        }
    }
    return NULL;
}

static void add_node(krs_schema *s, const json_t *node, uint32_t resource)
{
    const krs_node_entry entry = {.node = node, .resource = resource};
    uint32_t id;
    if (krs_intern_reserve(&s->node_ids) != KRS_OK ||
        krs_pool_push(&s->nodes, &entry, 1, &id) != KRS_OK) {
        krs_schema_no_memory(s);
        return;
    }
    krs_intern_add(&s->node_ids, hash_node(node), id);
}

static bool has_scheme(krs_str uri)
{
    size_t i = 0;
    while (i < uri.len && (((uri.ptr[i] | 0x20) >= 'a' && (uri.ptr[i] | 0x20) <= 'z') ||
                           (i > 0 && strchr("0123456789+-.", uri.ptr[i]) && uri.ptr[i]))) {
        i++;
    }
    return i > 0 && i < uri.len && uri.ptr[i] == ':';
}

static krs_str join(krs_schema *s, krs_str head, krs_str tail)
{
    char *text = krs_schema_take(s, head.len + tail.len + 1, 1);
    if (!text) {
        return (krs_str){NULL, 0};
    }
    if (head.len > 0) {
        memcpy(text, head.ptr, head.len);
    }
    if (tail.len > 0) {
        memcpy(text + head.len, tail.ptr, tail.len);
    }
    return (krs_str){text, head.len + tail.len};
}

/* Where the path of an address begins: after scheme and host. */
static size_t path_of(krs_str uri)
{
    const size_t scheme = krs_str_find(uri, KRS_STR("://"), 0);
    const size_t path = krs_str_find(uri, KRS_STR("/"), scheme == SIZE_MAX ? 0 : scheme + 3);
    return path == SIZE_MAX ? uri.len : path;
}

/* A reference without its fragment, seen from base. Dots in paths are left as they are: two spellings of one
 * address are then two, and the reference is refused. Source: RFC 3986, 5.2. */
static krs_str resolve_uri(krs_schema *s, krs_str base, krs_str ref)
{
    if (ref.len == 0) {
        return base;
    }
    if (has_scheme(ref) || base.len == 0) {
        return ref;
    }
    const size_t path = path_of(base);
    if (ref.ptr[0] == '/') {
        return join(s, (krs_str){base.ptr, path}, ref);
    }
    size_t end = base.len;
    while (end > path && base.ptr[end - 1] != '/') {
        end--;
    }
    const krs_str head = {base.ptr, end};
    const bool is_bare_host = path == base.len && has_scheme(base);
    return join(s, is_bare_host ? join(s, head, KRS_STR("/")) : head, ref);
}

static krs_str before_fragment(krs_str uri, krs_str *fragment)
{
    const size_t at = krs_str_find(uri, KRS_STR("#"), 0);
    if (at == SIZE_MAX) {
        *fragment = (krs_str){NULL, 0};
        return uri;
    }
    *fragment = (krs_str){uri.ptr + at + 1, uri.len - at - 1};
    return (krs_str){uri.ptr, at};
}

static krs_str text_of(const json_t *value)
{
    return (krs_str){json_string_value(value), json_string_length(value)};
}

static void add_anchor(krs_schema *s, krs_str name, uint32_t resource, bool is_dynamic,
                       const json_t *node)
{
    const krs_anchor anchor = {name, resource, is_dynamic, node};
    uint32_t id;
    if (krs_pool_push(&s->anchors, &anchor, 1, &id) != KRS_OK) {
        krs_schema_no_memory(s);
    }
}

/* A new resource if node names itself; else the one it is in. */
static uint32_t enter(krs_schema *s, const json_t *node, uint32_t resource)
{
    const json_t *id =
        json_object_get(node, s->dialect == KRS_SCHEMA_DIALECT_DRAFT4 ? "id" : "$id");
    if (!json_is_string(id) || krs_schema_is_only_ref(s, node)) {
        return resource;
    }
    const krs_resource *in = (const krs_resource *)s->resources.items + resource;
    krs_str fragment;
    const krs_str name = before_fragment(text_of(id), &fragment);
    if (fragment.len > 0) {
        add_anchor(s, fragment, resource, false, node);
    }
    if (name.len == 0) {
        return resource;
    }
    const krs_resource own = {resolve_uri(s, in->uri, name), node};
    uint32_t number = resource;
    if (krs_pool_push(&s->resources, &own, 1, &number) != KRS_OK) {
        krs_schema_no_memory(s);
    }
    return number;
}

static void walk(krs_schema *s, const json_t *node, uint32_t resource, uint32_t depth);

static void walk_all(krs_schema *s, const json_t *value, holds what, uint32_t resource,
                     uint32_t depth)
{
    const bool is_list = what == HOLDS_LIST || (what == HOLDS_ONE_OR_LIST && json_is_array(value));
    if (is_list) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            walk(s, json_array_get(value, i), resource, depth + 2);
        }
    } else if (what == HOLDS_MAP) {
        for (void *at = json_object_iter((json_t *)(uintptr_t)value); at;
             at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
            walk(s, json_object_iter_value(at), resource, depth + 2);
        }
    } else {
        walk(s, value, resource, depth + 1);
    }
}

static void walk(krs_schema *s, const json_t *node, uint32_t resource, uint32_t depth)
{
    if (!json_is_object(node) || s->status != KRS_OK || krs_schema_node(s, node)) {
        return;
    }
    if (depth > KRS_SCHEMA_MAX_DEPTH) {
        s->status =
            krs_fail(s->err, KRS_EINVAL, "schema: nested deeper than %u", KRS_SCHEMA_MAX_DEPTH);
        return;
    }
    resource = enter(s, node, resource);
    add_node(s, node, resource);
    const json_t *anchor = json_object_get(node, "$anchor");
    if (json_is_string(anchor)) {
        add_anchor(s, text_of(anchor), resource, false, node);
    }
    anchor = json_object_get(node, "$dynamicAnchor");
    if (json_is_string(anchor)) {
        add_anchor(s, text_of(anchor), resource, true, node);
    }
    for (size_t i = 0; i < sizeof(holders) / sizeof(*holders); i++) {
        const json_t *value = json_object_get(node, holders[i].keyword);
        if (value) {
            walk_all(s, value, holders[i].what, resource, depth);
        }
    }
}

void krs_schema_index(krs_schema *s)
{
    const krs_resource whole = {{NULL, 0}, s->root};
    uint32_t id;
    if (s->status == KRS_OK && krs_pool_push(&s->resources, &whole, 1, &id) != KRS_OK) {
        krs_schema_no_memory(s);
        return;
    }
    walk(s, s->root, 0, 0);
}

/* part with %XX undone, into text, NUL-terminated. false: too long or broken. */
static bool undo_percents(krs_str part, char *text, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (c == '%' && i + 2 < part.len) {
            const char hex[3] = {part.ptr[i + 1], part.ptr[i + 2], 0};
            char *end;
            c = (char)strtoul(hex, &end, 16);
            if (end != hex + 2) {
                return false;
            }
            i += 2;
        }
        if (n + 1 >= max || c == 0) {
            return false;
        }
        text[n++] = c;
    }
    text[n] = 0;
    return true;
}

/* ~0 and ~1 undone, in place. */
static void undo_tildes(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        *to = *from;
        if (*from == '~' && (from[1] == '0' || from[1] == '1')) {
            from++;
            *to = *from == '0' ? '~' : '/';
        }
        to++;
    }
    *to = 0;
}

static const json_t *step(const json_t *node, const char *part)
{
    if (json_is_object(node)) {
        return json_object_get(node, part);
    }
    char *end;
    const unsigned long i = strtoul(part, &end, 10);
    const bool is_index = *part >= '0' && *part <= '9' && *end == 0 && (*part != '0' || !part[1]);
    return json_is_array(node) && is_index ? json_array_get(node, i) : NULL;
}

/* Follow a JSON pointer; *resource changes with the $ids on the way. */
static const json_t *follow(krs_schema *s, const json_t *node, krs_str pointer, uint32_t *resource)
{
    char part[1024]; /* bytes of a name; longer ones are not found */
    while (pointer.len > 0 && node) {
        const size_t end = krs_str_find(pointer, KRS_STR("/"), 1);
        const size_t n = end == SIZE_MAX ? pointer.len : end;
        if (!undo_percents((krs_str){pointer.ptr + 1, n - 1}, part, sizeof(part))) {
            return NULL;
        }
        undo_tildes(part);
        node = step(node, part);
        const krs_node_entry *entry = node ? krs_schema_node(s, node) : NULL;
        *resource = entry ? entry->resource : *resource;
        pointer = (krs_str){pointer.ptr + n, pointer.len - n};
    }
    return node;
}

static const json_t *find_anchor(const krs_schema *s, krs_str name, uint32_t resource)
{
    const krs_anchor *anchors = s->anchors.items;
    for (uint32_t i = 0; i < s->anchors.n; i++) {
        if (anchors[i].resource == resource && krs_str_equal(anchors[i].name, name)) {
            return anchors[i].node;
        }
    }
    return NULL;
}

static const json_t *find_fragment(krs_schema *s, krs_str fragment, uint32_t resource)
{
    const krs_resource *in = (const krs_resource *)s->resources.items + resource;
    if (fragment.len == 0) {
        return in->root;
    }
    if (fragment.ptr[0] != '/') {
        return find_anchor(s, fragment, resource);
    }
    uint32_t reached = resource;
    const json_t *node = follow(s, in->root, fragment, &reached);
    if (json_is_object(node) && !krs_schema_node(s, node)) {
        walk(s, node, reached, 0);
    }
    return node;
}

/* A dynamic reference means what a plain one does, unless there are several anchors of its name. */
static bool is_ambiguous(const krs_schema *s, krs_str name)
{
    const krs_anchor *anchors = s->anchors.items;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->anchors.n; i++) {
        n += anchors[i].is_dynamic && krs_str_equal(anchors[i].name, name);
    }
    return n > 1;
}

/* The resource with this address, or KRS_NO_ID. */
static uint32_t find_resource(const krs_schema *s, krs_str uri)
{
    const krs_resource *resources = s->resources.items;
    for (uint32_t i = 0; i < s->resources.n; i++) {
        if (resources[i].uri.len > 0 && krs_str_equal(resources[i].uri, uri)) {
            return i;
        }
    }
    return KRS_NO_ID;
}

/* The address of value, a reference of node, and its fragment. */
static uint32_t resource_of(krs_schema *s, const json_t *node, const json_t *value,
                            krs_str *fragment)
{
    const krs_node_entry *entry = krs_schema_node(s, node);
    const uint32_t from = entry ? entry->resource : 0;
    const krs_str ref = before_fragment(text_of(value), fragment);
    if (ref.len == 0) {
        return from;
    }
    return find_resource(s, resolve_uri(s, ((krs_resource *)s->resources.items)[from].uri, ref));
}

const json_t *krs_schema_resolve(krs_schema *s, const json_t *node, const char *keyword)
{
    const json_t *value = json_object_get(node, keyword);
    if (!json_is_string(value)) {
        krs_schema_refuse(s, node, keyword, "want a string");
        return NULL;
    }
    krs_str fragment;
    const uint32_t found = resource_of(s, node, value, &fragment);
    if (found == KRS_NO_ID) {
        krs_schema_refuse(s, node, keyword, "%.60s is in another document, which is not fetched",
                          json_string_value(value));
        return NULL;
    }
    if (strcmp(keyword, "$dynamicRef") == 0 && is_ambiguous(s, fragment)) {
        krs_schema_refuse(s, node, keyword, "several $dynamicAnchor of its name are not supported");
        return NULL;
    }
    const json_t *target = find_fragment(s, fragment, found);
    if (!json_is_object(target) && !json_is_boolean(target)) {
        krs_schema_refuse(s, node, keyword, "%.60s points to no schema", json_string_value(value));
        return NULL;
    }
    return target;
}
