/* grammar/schema_array.c - arrays: items, prefixItems, contains, lengths. */
#include "grammar/schema_priv.h"

krs_array_shape krs_array_any(const json_t *at)
{
    return (krs_array_shape){.rest = KRS_CONJ_TRUE,
                             .max = KRS_REGEX_INF,
                             .has = KRS_CONJ_TRUE,
                             .max_has = KRS_REGEX_INF,
                             .at = at};
}

static bool asks_has(const krs_array_shape *a)
{
    return a->min_has > 0 || a->max_has != KRS_REGEX_INF;
}

/* The items at the beginning: prefixItems, or items as an array (before 2020-12). */
static const json_t *prefix_of(krs_schema *s, const json_t *node, const char **rest)
{
    const json_t *items = json_object_get(node, "items");
    if (json_is_array(items)) {
        *rest = "additionalItems";
        return items;
    }
    *rest = "items";
    return krs_schema_list(s, node, "prefixItems");
}

static void read_items(krs_schema *s, const json_t *node, krs_array_shape *a)
{
    const char *rest_keyword;
    const json_t *list = prefix_of(s, node, &rest_keyword);
    const size_t n = json_array_size(list);
    krs_conj *prefix = krs_schema_take(s, n, sizeof(*prefix));
    krs_schema_work(s, n, node);
    for (size_t i = 0; i < n && prefix && s->status == KRS_OK; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_object(item) && !json_is_boolean(item)) {
            krs_schema_refuse(s, node, "prefixItems", "want schemas");
            return;
        }
        prefix[i] = krs_conj_of(s, item, KRS_ATOM_SCHEMA);
    }
    a->prefix = prefix;
    a->n_prefix = (uint32_t)n;
    const json_t *rest = krs_schema_sub(s, node, rest_keyword);
    a->rest = rest ? krs_conj_of(s, rest, KRS_ATOM_SCHEMA) : KRS_CONJ_TRUE;
}

static void read_contains(krs_schema *s, const json_t *node, krs_array_shape *a)
{
    const json_t *contains = krs_schema_sub(s, node, "contains");
    if (!contains) {
        return;
    }
    a->has = krs_conj_of(s, contains, KRS_ATOM_SCHEMA);
    a->min_has = 1;
    (void)krs_schema_count(s, node, "minContains", &a->min_has);
    (void)krs_schema_count(s, node, "maxContains", &a->max_has);
}

static bool read_unique(krs_schema *s, const json_t *node)
{
    const json_t *unique = json_object_get(node, "uniqueItems");
    if (unique && !json_is_boolean(unique)) {
        krs_schema_refuse(s, node, "uniqueItems", "want a boolean");
    }
    return json_is_true(unique);
}

static void check_unevaluated(krs_schema *s, const json_t *node)
{
    const json_t *unevaluated = krs_schema_sub(s, node, "unevaluatedItems");
    if (unevaluated && !json_is_true(unevaluated) &&
        !(json_is_object(unevaluated) && json_object_size(unevaluated) == 0)) {
        krs_schema_refuse(s, node, "unevaluatedItems", "is not supported");
    }
}

const krs_array_shape *krs_schema_array(krs_schema *s, const json_t *node)
{
    static const char *const keywords[] = {"items",    "prefixItems", "minItems",        "maxItems",
                                           "contains", "uniqueItems", "unevaluatedItems"};
    bool is_any = true;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords) && is_any; i++) {
        is_any = !json_object_get(node, keywords[i]);
    }
    krs_array_shape *a = is_any ? NULL : krs_schema_take(s, 1, sizeof(*a));
    if (!a) {
        return NULL;
    }
    *a = krs_array_any(node);
    read_items(s, node, a);
    read_contains(s, node, a);
    (void)krs_schema_count(s, node, "minItems", &a->min);
    (void)krs_schema_count(s, node, "maxItems", &a->max);
    a->is_unique = read_unique(s, node);
    check_unevaluated(s, node);
    return s->status == KRS_OK ? a : NULL;
}

static void and_has(krs_schema *s, const krs_array_shape *a, const krs_array_shape *c,
                    krs_array_shape *both)
{
    const krs_array_shape *one = asks_has(c) ? c : a;
    both->has = one->has;
    both->min_has = one->min_has;
    both->max_has = one->max_has;
    both->has_from = one->has_from;
    if (!asks_has(a) || !asks_has(c)) {
        return;
    }
    if (a->has != c->has || a->has_from != c->has_from) {
        krs_schema_refuse(s, c->at, "contains", "two of them at one place are not supported");
    }
    both->min_has = a->min_has > c->min_has ? a->min_has : c->min_has;
    both->max_has = a->max_has < c->max_has ? a->max_has : c->max_has;
}

static krs_conj item_of(const krs_array_shape *a, uint32_t i)
{
    return i < a->n_prefix ? a->prefix[i] : a->rest;
}

const krs_array_shape *krs_array_and(krs_schema *s, const krs_array_shape *a,
                                     const krs_array_shape *c)
{
    krs_array_shape *both = krs_schema_take(s, 1, sizeof(*both));
    const uint32_t n = a->n_prefix > c->n_prefix ? a->n_prefix : c->n_prefix;
    krs_conj *prefix = krs_schema_take(s, n, sizeof(*prefix));
    if (!both || !prefix) {
        return NULL;
    }
    krs_schema_work(s, (size_t)n + 1, a->at);
    for (uint32_t i = 0; i < n; i++) {
        prefix[i] = krs_conj_and(s, item_of(a, i), item_of(c, i));
    }
    *both = *a;
    both->prefix = prefix;
    both->n_prefix = n;
    both->rest = krs_conj_and(s, a->rest, c->rest);
    both->min = a->min > c->min ? a->min : c->min;
    both->max = a->max < c->max ? a->max : c->max;
    both->is_unique = a->is_unique || c->is_unique;
    and_has(s, a, c, both);
    return s->status == KRS_OK ? both : NULL;
}

/* any, or a copy of shape. */
static const krs_form *or_shape(krs_schema *s, const krs_form *any, krs_array_shape shape)
{
    krs_array_shape *copy = krs_schema_take(s, 1, sizeof(*copy));
    if (!copy) {
        return NULL;
    }
    *copy = shape;
    return krs_form_or(s, any, krs_form_of_array(s, copy), shape.at);
}

/* Some item is not what it should be. */
static const krs_form *wrong_item(krs_schema *s, const krs_array_shape *a, const krs_form *any)
{
    bool is_known;
    for (uint32_t i = 0; i < a->n_prefix && any; i++) {
        const krs_conj wrong = krs_conj_not(s, a->prefix[i], &is_known);
        krs_conj *prefix = krs_schema_take(s, (size_t)i + 1, sizeof(*prefix));
        if (!prefix) {
            return NULL;
        }
        prefix[i] = wrong;
        krs_array_shape shape = krs_array_any(a->at);
        shape.prefix = prefix;
        shape.n_prefix = shape.min = i + 1;
        any = wrong == KRS_CONJ_FALSE ? any : or_shape(s, any, shape);
    }
    if (a->rest == KRS_CONJ_TRUE) {
        return any;
    }
    krs_array_shape shape = krs_array_any(a->at);
    shape.has = krs_conj_not(s, a->rest, &is_known);
    shape.min_has = 1;
    shape.has_from = a->n_prefix;
    return or_shape(s, any, shape);
}

const krs_form *krs_schema_array_not(krs_schema *s, const json_t *node)
{
    const krs_array_shape *a = krs_schema_array(s, node);
    const krs_form *any = s->nothing;
    if (!a) {
        return s->status == KRS_OK ? any : NULL;
    }
    if (a->is_unique) {
        krs_schema_refuse(s, node, "uniqueItems", "is not supported under not or oneOf");
    }
    krs_array_shape shape = krs_array_any(node);
    if (a->min > 0) {
        shape.max = a->min - 1;
        any = or_shape(s, any, shape);
    }
    shape = krs_array_any(node);
    if (a->max != KRS_REGEX_INF) {
        shape.min = a->max + 1;
        any = or_shape(s, any, shape);
    }
    shape = krs_array_any(node);
    shape.has = a->has;
    if (a->min_has > 0) {
        shape.max_has = a->min_has - 1;
        any = or_shape(s, any, shape);
    }
    if (a->max_has != KRS_REGEX_INF) {
        shape.max_has = KRS_REGEX_INF;
        shape.min_has = a->max_has + 1;
        any = or_shape(s, any, shape);
    }
    return any ? wrong_item(s, a, any) : NULL;
}
