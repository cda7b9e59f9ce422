/* grammar/schema_object.c - objects: properties, patternProperties, additionalProperties, propertyNames, required.
 *
 * A name is declared, or falls into one class of names by the patterns it matches: with patterns p and q there are
 * p and q, p alone, q alone, and none. Two shapes meet name by name and class by class. */
#include "grammar/schema_priv.h"

#define MAX_CLASSES 64u /* of names: five patterns that all overlap come to 32 */

uint64_t krs_schema_hash(krs_str name)
{
    return krs_str_hash(name, 0);
}

/* Write c as JSON strings spell it canonically, which every spelling includes; returns the bytes, at most 6. */
static size_t spell(unsigned char c, char *text)
{
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "btn?fr"; /* of 8 to 13 */
    if (c >= 0x20 && c != '"' && c != '\\') {
        text[0] = (char)c;
        return 1;
    }
    text[0] = '\\';
    if (c >= 0x20) {
        text[1] = (char)c;
        return 2;
    }
    if (c >= 8 && c <= 13 && c != 11) {
        text[1] = shorts[c - 8];
        return 2;
    }
    text[1] = 'u';
    text[2] = text[3] = '0';
    text[4] = digits[c >> 4];
    text[5] = digits[c & 15];
    return 6;
}

bool krs_schema_name_in(krs_schema *s, krs_str name, krs_regex names)
{
    if (names.id == s->string_all.id) {
        return true;
    }
    char text[6 * 256];
    size_t n = 0;
    size_t i = 0;
    for (; i < name.len && n + 6 <= sizeof(text); i++) {
        n += spell((unsigned char)name.ptr[i], text + n);
    }
    if (i == name.len) {
        return krs_regex_matches(s->b, names, (krs_str){text, n});
    }
    /* Long names are asked as regexes. */
    const krs_regex long_name = krs_chars_literal(s->b, name, s->spelling);
    return !krs_regex_is_none(s->b, krs_regex_and2(s->b, names, long_name));
}

const krs_object_shape *krs_object_any(krs_schema *s, const json_t *at)
{
    krs_object_shape *o = krs_schema_take(s, 1, sizeof(*o));
    krs_object_class *all = krs_schema_take(s, 1, sizeof(*all));
    if (!o || !all) {
        return NULL;
    }
    *all = (krs_object_class){s->string_all, KRS_CONJ_TRUE};
    *o = (krs_object_shape){.classes = all, .n_classes = 1, .max = KRS_REGEX_INF, .at = at};
    return o;
}

krs_conj krs_object_lookup(krs_schema *s, const krs_object_shape *o, krs_str name, uint64_t hash,
                           bool *is_required)
{
    *is_required = false;
    for (size_t i = 0; i < o->n_properties; i++) {
        const krs_object_property *p = &o->properties[i];
        if (p->hash == hash && krs_str_equal(p->name, name)) {
            *is_required = p->is_required;
            return p->value;
        }
    }
    if (o->n_classes == 1) {
        return o->classes[0].value;
    }
    for (size_t i = 0; i < o->n_classes; i++) {
        if (krs_schema_name_in(s, name, o->classes[i].names)) {
            return o->classes[i].value;
        }
    }
    return KRS_CONJ_FALSE;
}

const krs_form *krs_schema_with_name(krs_schema *s, krs_str name, krs_conj value, bool is_required)
{
    krs_object_shape *o = krs_schema_take(s, 1, sizeof(*o));
    krs_object_property *p = krs_schema_take(s, 1, sizeof(*p));
    if (!o || !p) {
        return NULL;
    }
    *o = *s->everything->objects[0];
    *p = (krs_object_property){name, krs_schema_hash(name), value, is_required};
    o->properties = p;
    o->n_properties = 1;
    return krs_form_of_object(s, o);
}

/* Classes, while they are cut up. */
typedef struct cutter {
    krs_object_class *list; /* [MAX_CLASSES] */
    size_t n;
} cutter;

/* Cut every class in what is in names and what is not, narrowing the values of each. */
static void cut(krs_schema *s, cutter *c, krs_regex names, krs_conj in, krs_conj out,
                const json_t *at)
{
    const size_t n = c->n;
    const krs_regex others = krs_regex_not(s->b, names);
    for (size_t i = 0; i < n && s->status == KRS_OK; i++) {
        const krs_object_class old = c->list[i];
        const bool is_all = old.names.id == s->string_all.id;
        const krs_regex inside = is_all ? names : krs_regex_and2(s->b, old.names, names);
        const krs_regex outside = krs_regex_and2(s->b, old.names, others);
        c->list[i] = (krs_object_class){outside, krs_conj_and(s, old.value, out)};
        if (krs_regex_is_none(s->b, inside)) {
            continue;
        }
        const krs_object_class found = {inside, krs_conj_and(s, old.value, in)};
        if (krs_regex_is_none(s->b, outside)) {
            c->list[i] = found;
        } else if (c->n < MAX_CLASSES) {
            c->list[c->n++] = found;
        } else {
            krs_schema_refuse(s, at, "patternProperties", "comes to more than %u kinds of names",
                              MAX_CLASSES);
        }
    }
}

static void set_properties(krs_schema *s, const json_t *node, krs_object_shape *o,
                           krs_object_property *list)
{
    const json_t *map = krs_schema_map(s, node, "properties");
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && s->status == KRS_OK;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const json_t *value = json_object_iter_value(at);
        const krs_str name = krs_str_of(json_object_iter_key(at));
        if (!json_is_object(value) && !json_is_boolean(value)) {
            krs_schema_refuse(s, map, "properties", "%.60s is no schema", name.ptr);
            return;
        }
        list[o->n_properties++] = (krs_object_property){
            name, krs_schema_hash(name), krs_conj_of(s, value, KRS_ATOM_SCHEMA), false};
    }
}

/* What names must be by their patterns: cuts classes, narrows declared names. *matched: the names of any pattern. */
static void read_patterns(krs_schema *s, const json_t *map, cutter *c, krs_object_shape *o,
                          krs_object_property *declared, krs_regex *matched)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && s->status == KRS_OK;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const json_t *value = json_object_iter_value(at);
        if (!json_is_object(value) && !json_is_boolean(value)) {
            krs_schema_refuse(s, map, "patternProperties", "want schemas");
            return;
        }
        const krs_regex names =
            krs_schema_search(s, map, "patternProperties", krs_str_of(json_object_iter_key(at)));
        const krs_conj in = krs_conj_of(s, value, KRS_ATOM_SCHEMA);
        cut(s, c, names, in, KRS_CONJ_TRUE, map);
        *matched = krs_regex_or2(s->b, *matched, names);
        for (size_t i = 0; i < o->n_properties; i++) {
            if (krs_schema_name_in(s, declared[i].name, names)) {
                declared[i].value = krs_conj_and(s, declared[i].value, in);
            }
        }
    }
}

static void set_classes(krs_schema *s, const json_t *node, krs_object_shape *o,
                        krs_object_property *declared)
{
    cutter c = {krs_schema_take(s, MAX_CLASSES, sizeof(*c.list)), 1};
    if (!c.list) {
        return;
    }
    c.list[0] = (krs_object_class){s->string_all, KRS_CONJ_TRUE};
    const json_t *map = krs_schema_map(s, node, "patternProperties");
    krs_regex matched = krs_regex_none(s->b);
    read_patterns(s, map, &c, o, declared, &matched);
    const json_t *rest = krs_schema_sub(s, node, "additionalProperties");
    if (rest && s->status == KRS_OK) {
        const krs_conj value = krs_conj_of(s, rest, KRS_ATOM_SCHEMA);
        if (json_object_size(map) == 0) {
            c.list[0].value = value;
        } else {
            cut(s, &c, matched, KRS_CONJ_TRUE, value, node);
        }
    }
    o->classes = c.list;
    o->n_classes = c.n;
}

static void set_required(krs_schema *s, const json_t *node, krs_object_shape *o,
                         krs_object_property *declared)
{
    const json_t *names = krs_schema_list(s, node, "required");
    for (size_t i = 0; i < json_array_size(names) && s->status == KRS_OK; i++) {
        const json_t *value = json_array_get(names, i);
        if (!json_is_string(value) ||
            strlen(json_string_value(value)) != json_string_length(value)) {
            krs_schema_refuse(s, node, "required", "want names of properties");
            return;
        }
        const krs_str name = {json_string_value(value), json_string_length(value)};
        const uint64_t hash = krs_schema_hash(name);
        size_t at = 0;
        while (at < o->n_properties &&
               (declared[at].hash != hash || !krs_str_equal(declared[at].name, name))) {
            at++;
        }
        if (at == o->n_properties) {
            bool is_required;
            declared[at] = (krs_object_property){
                name, hash, krs_object_lookup(s, o, name, hash, &is_required), false};
            o->n_properties++;
        }
        declared[at].is_required = true;
    }
    krs_schema_work(s, json_array_size(names) + o->n_properties, node);
}

/* Names that propertyNames does not allow must not be there. */
static void set_names(krs_schema *s, const json_t *node, krs_object_shape *o,
                      krs_object_property *declared)
{
    const json_t *names = krs_schema_sub(s, node, "propertyNames");
    if (!names) {
        return;
    }
    const krs_form *f = krs_schema_form(s, names);
    if (!f || f->string.out.id == s->string_all.id) {
        return;
    }
    if (f->string.out.id != f->string.upper.id) {
        krs_schema_refuse(s, node, "propertyNames", "its format is not supported for names");
        return;
    }
    const krs_regex allowed = f->string.out;
    for (size_t i = 0; i < o->n_properties; i++) {
        if (!krs_schema_name_in(s, declared[i].name, allowed)) {
            declared[i].value = KRS_CONJ_FALSE;
        }
    }
    cutter c = {krs_schema_take(s, MAX_CLASSES, sizeof(*c.list)), o->n_classes};
    if (c.list) {
        for (size_t i = 0; i < o->n_classes; i++) {
            c.list[i] = o->classes[i];
        }
        cut(s, &c, allowed, KRS_CONJ_TRUE, KRS_CONJ_FALSE, node);
        o->classes = c.list;
        o->n_classes = c.n;
    }
}

static void check_unevaluated(krs_schema *s, const json_t *node)
{
    const json_t *unevaluated = krs_schema_sub(s, node, "unevaluatedProperties");
    if (unevaluated && !json_is_true(unevaluated) &&
        !(json_is_object(unevaluated) && json_object_size(unevaluated) == 0)) {
        krs_schema_refuse(s, node, "unevaluatedProperties", "is not supported");
    }
}

const krs_object_shape *krs_schema_object(krs_schema *s, const json_t *node)
{
    static const char *const keywords[] = {
        "properties",    "required",      "additionalProperties", "patternProperties",
        "minProperties", "maxProperties", "propertyNames",        "unevaluatedProperties"};
    bool is_any = true;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords) && is_any; i++) {
        is_any = !json_object_get(node, keywords[i]);
    }
    krs_object_shape *o = is_any ? NULL : krs_schema_take(s, 1, sizeof(*o));
    if (!o) {
        return NULL;
    }
    const size_t n = json_object_size(json_object_get(node, "properties")) +
                     json_array_size(json_object_get(node, "required"));
    krs_object_property *declared = krs_schema_take(s, n, sizeof(*declared));
    *o = (krs_object_shape){.properties = declared, .max = KRS_REGEX_INF, .at = node};
    if (!declared) {
        return NULL;
    }
    set_properties(s, node, o, declared);
    set_classes(s, node, o, declared);
    if (s->status == KRS_OK) {
        set_required(s, node, o, declared);
        set_names(s, node, o, declared);
    }
    (void)krs_schema_count(s, node, "minProperties", &o->min);
    (void)krs_schema_count(s, node, "maxProperties", &o->max);
    check_unevaluated(s, node);
    return s->status == KRS_OK ? o : NULL;
}

/* c's names into both, met with a's. */
static void and_names(krs_schema *s, const krs_object_shape *a, const krs_object_shape *c,
                      krs_object_shape *both, krs_object_property *list)
{
    bool is_required;
    for (size_t i = 0; i < a->n_properties; i++) {
        krs_object_property p = a->properties[i];
        p.value = krs_conj_and(s, p.value, krs_object_lookup(s, c, p.name, p.hash, &is_required));
        p.is_required = p.is_required || is_required;
        list[both->n_properties++] = p;
    }
    for (size_t i = 0; i < c->n_properties; i++) {
        krs_object_property p = c->properties[i];
        size_t at = 0;
        while (at < a->n_properties && (a->properties[at].hash != p.hash ||
                                        !krs_str_equal(a->properties[at].name, p.name))) {
            at++;
        }
        if (at == a->n_properties) {
            p.value =
                krs_conj_and(s, p.value, krs_object_lookup(s, a, p.name, p.hash, &is_required));
            list[both->n_properties++] = p;
        }
    }
}

static void and_classes(krs_schema *s, const krs_object_shape *a, const krs_object_shape *c,
                        krs_object_shape *both)
{
    const size_t n = a->n_classes * c->n_classes;
    if (n > MAX_CLASSES) {
        krs_schema_refuse(s, c->at, "patternProperties", "comes to more than %u kinds of names",
                          MAX_CLASSES);
        return;
    }
    krs_object_class *list = krs_schema_take(s, n, sizeof(*list));
    for (size_t i = 0; list && i < a->n_classes; i++) {
        for (size_t j = 0; j < c->n_classes; j++) {
            const krs_regex x = a->classes[i].names;
            const krs_regex y = c->classes[j].names;
            const bool is_one = a->n_classes == 1 || c->n_classes == 1;
            const krs_regex names = a->n_classes == 1 ? y : is_one ? x : krs_regex_and2(s->b, x, y);
            if (is_one || !krs_regex_is_none(s->b, names)) {
                list[both->n_classes++] = (krs_object_class){
                    names, krs_conj_and(s, a->classes[i].value, c->classes[j].value)};
            }
        }
    }
    both->classes = list;
}

const krs_object_shape *krs_object_and(krs_schema *s, const krs_object_shape *a,
                                       const krs_object_shape *c)
{
    krs_object_shape *both = krs_schema_take(s, 1, sizeof(*both));
    krs_object_property *list =
        krs_schema_take(s, a->n_properties + c->n_properties, sizeof(*list));
    krs_object_class *some = krs_schema_take(s, a->n_some + c->n_some, sizeof(*some));
    if (!both || !list || !some) {
        return NULL;
    }
    /* Hashes are compared pairwise, which is quick beside the rest: 64 to a unit of work. */
    krs_schema_work(
        s, a->n_properties + c->n_properties + a->n_properties * c->n_properties / 64 + 1, c->at);
    *both = (krs_object_shape){.properties = list,
                               .some = some,
                               .n_some = a->n_some + c->n_some,
                               .min = a->min > c->min ? a->min : c->min,
                               .max = a->max < c->max ? a->max : c->max,
                               .at = c->at};
    and_names(s, a, c, both, list);
    and_classes(s, a, c, both);
    if (a->n_some) {
        memcpy(some, a->some, a->n_some * sizeof(*some));
    }
    if (c->n_some) {
        memcpy(some + a->n_some, c->some, c->n_some * sizeof(*some));
    }
    return s->status == KRS_OK ? both : NULL;
}
