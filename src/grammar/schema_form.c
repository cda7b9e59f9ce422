/* grammar/schema_form.c - forms: what values are allowed at a place, per type; their intersection and union.
 *
 * Types do not mix: an intersection is one per type, and scalars are regexes, so only unions of arrays and of
 * objects can multiply. */
#include "grammar/schema_priv.h"

krs_form *krs_form_new(krs_schema *s)
{
    krs_form *f = krs_schema_take(s, 1, sizeof(*f));
    if (f) {
        f->number = krs_language_none(s);
        f->string = f->number;
    }
    return f;
}

krs_language krs_language_none(krs_schema *s)
{
    const krs_regex none = krs_regex_none(s->b);
    return (krs_language){none, none};
}

bool krs_language_is_none(const krs_schema *s, krs_language a)
{
    return a.upper.id == krs_regex_none(s->b).id;
}

krs_language krs_number_any(const krs_schema *s)
{
    return (krs_language){s->number_all, s->number_out};
}

krs_language krs_string_any(const krs_schema *s)
{
    return (krs_language){s->string_all, s->string_all};
}

static krs_regex meet(krs_schema *s, krs_regex a, krs_regex c)
{
    if (a.id == c.id || c.id == s->string_all.id || c.id == s->number_all.id ||
        c.id == s->number_out.id) {
        return a;
    }
    if (a.id == s->string_all.id || a.id == s->number_all.id || a.id == s->number_out.id) {
        return c;
    }
    return krs_regex_and2(s->b, a, c);
}

krs_language krs_language_and(krs_schema *s, krs_language a, krs_language c)
{
    const krs_regex upper = meet(s, a.upper, c.upper);
    const bool is_same = a.upper.id == a.out.id && c.upper.id == c.out.id;
    return (krs_language){upper, is_same ? upper : meet(s, a.out, c.out)};
}

krs_language krs_language_or(krs_schema *s, krs_language a, krs_language c)
{
    const krs_regex upper = krs_regex_or2(s->b, a.upper, c.upper);
    const bool is_same = a.upper.id == a.out.id && c.upper.id == c.out.id;
    return (krs_language){upper, is_same ? upper : krs_regex_or2(s->b, a.out, c.out)};
}

static krs_language not_in(krs_schema *s, krs_regex upper, krs_regex out, krs_language a)
{
    const krs_language all = {upper, out};
    if (krs_language_is_none(s, a)) {
        return all;
    }
    return (krs_language){krs_regex_and2(s->b, upper, krs_regex_not(s->b, a.out)),
                          krs_regex_and2(s->b, out, krs_regex_not(s->b, a.upper))};
}

krs_language krs_number_not(krs_schema *s, krs_language a)
{
    /* All that is written for "number" leaves NOT of it empty at once, although `out` is smaller than all. */
    if (a.upper.id == s->number_all.id && a.out.id == s->number_out.id) {
        return krs_language_none(s);
    }
    return not_in(s, s->number_all, s->number_out, a);
}

krs_language krs_string_not(krs_schema *s, krs_language a)
{
    if (a.out.id == s->string_all.id) {
        return krs_language_none(s);
    }
    return not_in(s, s->string_all, s->string_all, a);
}

const krs_form *krs_form_of_array(krs_schema *s, const krs_array_shape *shape)
{
    krs_form *f = krs_form_new(s);
    const krs_array_shape **list = krs_schema_take(s, 1, sizeof(void *));
    if (!f || !list) {
        return NULL;
    }
    list[0] = shape;
    f->arrays = list;
    f->n_arrays = shape ? 1 : 0;
    return f;
}

const krs_form *krs_form_of_object(krs_schema *s, const krs_object_shape *shape)
{
    krs_form *f = krs_form_new(s);
    const krs_object_shape **list = krs_schema_take(s, 1, sizeof(void *));
    if (!f || !list) {
        return NULL;
    }
    list[0] = shape;
    f->objects = list;
    f->n_objects = shape ? 1 : 0;
    return f;
}

static bool fits(krs_schema *s, size_t n, const json_t *at)
{
    if (n > KRS_SCHEMA_MAX_SHAPES) {
        krs_schema_refuse(s, at, "anyOf", "comes to more than %u alternatives",
                          KRS_SCHEMA_MAX_SHAPES);
    }
    return s->status == KRS_OK;
}

static bool is_any_array(const krs_schema *s, const krs_form *f)
{
    return f->n_arrays == 1 && f->arrays[0] == s->everything->arrays[0];
}

static bool is_any_object(const krs_schema *s, const krs_form *f)
{
    return f->n_objects == 1 && f->objects[0] == s->everything->objects[0];
}

static void and_arrays(krs_schema *s, const krs_form *a, const krs_form *c, krs_form *f,
                       const json_t *at)
{
    if (is_any_array(s, a) || is_any_array(s, c)) {
        const krs_form *other = is_any_array(s, a) ? c : a;
        f->arrays = other->arrays;
        f->n_arrays = other->n_arrays;
        return;
    }
    if (!fits(s, a->n_arrays * c->n_arrays, at)) {
        return;
    }
    const krs_array_shape **list = krs_schema_take(s, a->n_arrays * c->n_arrays, sizeof(void *));
    for (size_t i = 0; list && i < a->n_arrays; i++) {
        for (size_t j = 0; j < c->n_arrays; j++) {
            const krs_array_shape *both = krs_array_and(s, a->arrays[i], c->arrays[j]);
            if (both && both->min <= both->max) {
                list[f->n_arrays++] = both;
            }
        }
    }
    f->arrays = list;
}

/* Does it say by itself that there is no such object? */
static bool is_hollow(const krs_object_shape *o)
{
    bool is_hollow = o->min > o->max;
    for (size_t i = 0; i < o->n_properties && !is_hollow; i++) {
        is_hollow = o->properties[i].is_required && o->properties[i].value == KRS_CONJ_FALSE;
    }
    return is_hollow;
}

static void and_objects(krs_schema *s, const krs_form *a, const krs_form *c, krs_form *f,
                        const json_t *at)
{
    if (is_any_object(s, a) || is_any_object(s, c)) {
        const krs_form *other = is_any_object(s, a) ? c : a;
        f->objects = other->objects;
        f->n_objects = other->n_objects;
        return;
    }
    if (!fits(s, a->n_objects * c->n_objects, at)) {
        return;
    }
    const krs_object_shape **list = krs_schema_take(s, a->n_objects * c->n_objects, sizeof(void *));
    for (size_t i = 0; list && i < a->n_objects; i++) {
        for (size_t j = 0; j < c->n_objects; j++) {
            const krs_object_shape *both = krs_object_and(s, a->objects[i], c->objects[j]);
            if (both && !is_hollow(both)) {
                list[f->n_objects++] = both;
            }
        }
    }
    f->objects = list;
}

const krs_form *krs_form_and(krs_schema *s, const krs_form *a, const krs_form *c, const json_t *at)
{
    if (s->status != KRS_OK || !a || !c) {
        return NULL;
    }
    if (a == s->everything || c == s->everything) {
        return a == s->everything ? c : a;
    }
    krs_form *f = krs_form_new(s);
    if (!f) {
        return NULL;
    }
    f->upper_bits = a->upper_bits & c->upper_bits;
    f->number = krs_language_and(s, a->number, c->number);
    f->string = krs_language_and(s, a->string, c->string);
    and_arrays(s, a, c, f, at);
    and_objects(s, a, c, f, at);
    return s->status == KRS_OK ? f : NULL;
}

static void or_arrays(krs_schema *s, const krs_form *a, const krs_form *c, krs_form *f,
                      const json_t *at)
{
    if (is_any_array(s, a) || c->n_arrays == 0 || is_any_array(s, c) || a->n_arrays == 0) {
        const krs_form *one = is_any_array(s, a) || c->n_arrays == 0 ? a : c;
        f->arrays = one->arrays;
        f->n_arrays = one->n_arrays;
        return;
    }
    const size_t n = a->n_arrays + c->n_arrays;
    const krs_array_shape **list = fits(s, n, at) ? krs_schema_take(s, n, sizeof(void *)) : NULL;
    if (list) {
        memcpy(list, a->arrays, a->n_arrays * sizeof(void *));
        memcpy(list + a->n_arrays, c->arrays, c->n_arrays * sizeof(void *));
        f->arrays = list;
        f->n_arrays = n;
    }
}

static void or_objects(krs_schema *s, const krs_form *a, const krs_form *c, krs_form *f,
                       const json_t *at)
{
    if (is_any_object(s, a) || c->n_objects == 0 || is_any_object(s, c) || a->n_objects == 0) {
        const krs_form *one = is_any_object(s, a) || c->n_objects == 0 ? a : c;
        f->objects = one->objects;
        f->n_objects = one->n_objects;
        return;
    }
    const size_t n = a->n_objects + c->n_objects;
    const krs_object_shape **list = fits(s, n, at) ? krs_schema_take(s, n, sizeof(void *)) : NULL;
    if (list) {
        memcpy(list, a->objects, a->n_objects * sizeof(void *));
        memcpy(list + a->n_objects, c->objects, c->n_objects * sizeof(void *));
        f->objects = list;
        f->n_objects = n;
    }
}

/* The one of both that is their union, if it is so at a glance. */
static const krs_form *wider(const krs_schema *s, const krs_form *a, const krs_form *c)
{
    if (a == c || a == s->everything || c == s->nothing) {
        return a;
    }
    return c == s->everything || a == s->nothing ? c : NULL;
}

const krs_form *krs_form_or(krs_schema *s, const krs_form *a, const krs_form *c, const json_t *at)
{
    if (s->status != KRS_OK || !a || !c) {
        return NULL;
    }
    const krs_form *one = wider(s, a, c);
    if (one) {
        return one;
    }
    krs_form *f = krs_form_new(s);
    if (!f) {
        return NULL;
    }
    f->upper_bits = a->upper_bits | c->upper_bits;
    f->number = krs_language_or(s, a->number, c->number);
    f->string = krs_language_or(s, a->string, c->string);
    or_arrays(s, a, c, f, at);
    or_objects(s, a, c, f, at);
    return s->status == KRS_OK ? f : NULL;
}
