/* grammar/schema_empty.c - does nothing match? And oneOf, which needs to know.
 *
 * Exactly one of several: for scalars that is a regex (what one matches, less what two do). For arrays and objects
 * branches are compared in pairs: mostly a name that both require has values that exclude each other, and then one of
 * them is any of them. Where two may both match, each is met with NOT of the other.
 *
 * "Empty" is only said when it is certain; a look goes a few levels deep. */
#include "grammar/schema_priv.h"

#define MAX_LOOK_DEPTH 5u   /* levels of values looked into */
#define MAX_BRANCHES   512u /* of a oneOf; they are compared in pairs */

static bool scalars_are_empty(krs_schema *s, const krs_form *f)
{
    if (f->upper_bits) {
        return false;
    }
    if (!krs_language_is_none(s, f->number)) {
        /* Each value has a spelling without an exponent, and for those `upper` is exact. */
        const krs_regex plain =
            krs_regex_and2(s->b, f->number.upper, krs_regex_not(s->b, s->number_exps));
        if (!krs_regex_is_none(s->b, plain)) {
            return false;
        }
    }
    return krs_language_is_none(s, f->string) || krs_regex_is_none(s->b, f->string.upper);
}

bool krs_array_is_empty(krs_schema *s, const krs_array_shape *a, uint32_t depth)
{
    if (a->min > a->max || a->min_has > a->max_has) {
        return true;
    }
    for (uint32_t i = 0; i < a->min && i < a->n_prefix; i++) {
        if (krs_conj_is_empty(s, a->prefix[i], depth + 1)) {
            return true;
        }
    }
    return a->min > a->n_prefix && krs_conj_is_empty(s, a->rest, depth + 1);
}

bool krs_object_is_empty(krs_schema *s, const krs_object_shape *o, uint32_t depth)
{
    if (o->min > o->max) {
        return true;
    }
    for (size_t i = 0; i < o->n_properties; i++) {
        if (o->properties[i].is_required &&
            krs_conj_is_empty(s, o->properties[i].value, depth + 1)) {
            return true;
        }
    }
    return false;
}

static bool is_empty_form(krs_schema *s, const krs_form *f, uint32_t depth)
{
    if (!scalars_are_empty(s, f)) {
        return false;
    }
    for (size_t i = 0; i < f->n_arrays; i++) {
        if (!krs_array_is_empty(s, f->arrays[i], depth)) {
            return false;
        }
    }
    for (size_t i = 0; i < f->n_objects; i++) {
        if (!krs_object_is_empty(s, f->objects[i], depth)) {
            return false;
        }
    }
    return true;
}

bool krs_conj_is_empty(krs_schema *s, krs_conj c, uint32_t depth)
{
    const uint32_t known = krs_conj_at(s, c)->emptiness;
    if (known != KRS_EMPTY_UNKNOWN || depth > MAX_LOOK_DEPTH || s->status != KRS_OK) {
        return known == KRS_EMPTY_YES;
    }
    krs_conj_at(s, c)->emptiness = KRS_EMPTY_ASKED;
    const krs_form *f = krs_conj_form(s, c);
    const bool is_empty = f && is_empty_form(s, f, depth);
    /* "Not certainly" may be for want of depth; asked again from nearer, more may be seen. */
    krs_conj_at(s, c)->emptiness = is_empty     ? KRS_EMPTY_YES
                                   : depth == 0 ? KRS_EMPTY_NO
                                                : KRS_EMPTY_UNKNOWN;
    krs_schema_work(s, 8, s->root);
    return is_empty;
}

/* Is it certain that the values of a name exclude each other? Only names that one of both requires tell. */
static bool excluded_by(krs_schema *s, const krs_object_shape *a, const krs_object_shape *c,
                        uint32_t depth)
{
    for (size_t i = 0; i < a->n_properties; i++) {
        const krs_object_property *p = &a->properties[i];
        bool is_required;
        const krs_conj other = krs_object_lookup(s, c, p->name, p->hash, &is_required);
        if ((p->is_required || is_required) &&
            krs_conj_is_empty(s, krs_conj_and(s, p->value, other), depth)) {
            return true;
        }
    }
    return false;
}

static bool disjoint_objects(krs_schema *s, const krs_object_shape *a, const krs_object_shape *c)
{
    krs_schema_work(s, a->n_properties + c->n_properties + 1, c->at);
    return a->min > c->max || c->min > a->max || excluded_by(s, a, c, MAX_LOOK_DEPTH - 1) ||
           excluded_by(s, c, a, MAX_LOOK_DEPTH - 1) || excluded_by(s, a, c, 1) ||
           excluded_by(s, c, a, 1);
}

static bool disjoint_arrays(krs_schema *s, const krs_array_shape *a, const krs_array_shape *c)
{
    const krs_array_shape *both = krs_array_and(s, a, c);
    return both && krs_array_is_empty(s, both, 1);
}

static bool may_overlap(krs_schema *s, const krs_form *a, const krs_form *c)
{
    for (size_t i = 0; i < a->n_arrays; i++) {
        for (size_t j = 0; j < c->n_arrays; j++) {
            if (!disjoint_arrays(s, a->arrays[i], c->arrays[j])) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < a->n_objects; i++) {
        for (size_t j = 0; j < c->n_objects; j++) {
            if (!disjoint_objects(s, a->objects[i], c->objects[j])) {
                return true;
            }
        }
    }
    return false;
}

/* What branches have in common so far. */
typedef struct tally {
    krs_language seen;
    krs_language twice;
} tally;

static void count_in(krs_schema *s, tally *t, krs_language l, bool is_number)
{
    if (krs_language_is_none(s, l)) {
        return;
    }
    if (!krs_language_is_none(s, t->seen)) {
        krs_language both = krs_language_and(s, t->seen, l);
        const krs_regex plain =
            is_number ? krs_regex_and2(s->b, both.upper, krs_regex_not(s->b, s->number_exps))
                      : both.upper;
        if (!krs_regex_is_none(s->b, plain)) {
            t->twice = krs_language_or(s, t->twice, both);
        }
    }
    t->seen = krs_language_or(s, t->seen, l);
}

static void count_scalars(krs_schema *s, const krs_form *const *forms, size_t n, krs_form *out)
{
    const krs_language none = krs_language_none(s);
    tally numbers = {none, none};
    tally strings = {none, none};
    uint8_t seen = 0;
    uint8_t twice = 0;
    for (size_t i = 0; i < n; i++) {
        twice |= seen & forms[i]->upper_bits;
        seen |= forms[i]->upper_bits;
        count_in(s, &numbers, forms[i]->number, true);
        count_in(s, &strings, forms[i]->string, false);
    }
    out->upper_bits = seen & (uint8_t)~twice;
    out->number = krs_language_is_none(s, numbers.twice)
                      ? numbers.seen
                      : krs_language_and(s, numbers.seen, krs_number_not(s, numbers.twice));
    out->string = krs_language_is_none(s, strings.twice)
                      ? strings.seen
                      : krs_language_and(s, strings.seen, krs_string_not(s, strings.twice));
}

/* The arrays and objects of branch i that match no other branch. */
static const krs_form *alone(krs_schema *s, const json_t *node, const json_t *branches,
                             const krs_form *const *forms, size_t i)
{
    krs_form *own = krs_form_new(s);
    if (!own) {
        return NULL;
    }
    own->arrays = forms[i]->arrays;
    own->n_arrays = forms[i]->n_arrays;
    own->objects = forms[i]->objects;
    own->n_objects = forms[i]->n_objects;
    const krs_form *left = own;
    for (size_t j = 0; j < json_array_size(branches) && left; j++) {
        if (j == i || !may_overlap(s, own, forms[j]) || s->status != KRS_OK) {
            continue;
        }
        const krs_form *other = krs_schema_form_not(s, json_array_get(branches, j));
        left = krs_form_and(s, left, other, node);
        if (!left && s->status == KRS_EINVAL) {
            s->status = krs_error_wrap(s->err, KRS_EINVAL,
                                       "oneOf: branches %zu and %zu may both match", i, j);
        }
    }
    return s->status == KRS_OK ? left : NULL;
}

/* The forms of all branches, or NULL. */
static const krs_form **forms_of(krs_schema *s, const json_t *branches)
{
    const size_t n = json_array_size(branches);
    const krs_form **forms = krs_schema_take(s, n, sizeof(void *));
    for (size_t i = 0; i < n && forms; i++) {
        forms[i] = krs_schema_form(s, json_array_get(branches, i));
        if (!forms[i]) {
            return NULL;
        }
    }
    return forms;
}

const krs_form *krs_schema_one_of(krs_schema *s, const json_t *node, const json_t *branches)
{
    const size_t n = json_array_size(branches);
    if (n > MAX_BRANCHES) {
        krs_schema_refuse(s, node, "oneOf", "has more than %u branches", MAX_BRANCHES);
    }
    const krs_form **forms = forms_of(s, branches);
    krs_form *scalars = krs_form_new(s);
    if (!forms || !scalars) {
        return NULL;
    }
    if (n == 1) {
        return forms[0];
    }
    count_scalars(s, forms, n, scalars);
    const krs_form *all = scalars;
    for (size_t i = 0; i < n && all; i++) {
        all = krs_form_or(s, all, alone(s, node, branches, forms, i), node);
    }
    return all;
}
