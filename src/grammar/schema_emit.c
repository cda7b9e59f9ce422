/* grammar/schema_emit.c - forms to expressions: scalars as one lexeme, objects, rules for what nests.
 *
 * Every conj that has arrays or objects is a rule, defined from a queue: a schema's depth is no recursion here, and a
 * schema that refers to itself is a rule that refers to itself. */
#include "grammar/schema_priv.h"

krs_expr krs_schema_sign(krs_schema *s, const char *sign, bool is_before, bool is_after)
{
    static const uint64_t blanks[4] = {1ull << ' ' | 1ull << '\t' | 1ull << '\n' | 1ull << '\r', 0,
                                       0, 0};
    const krs_regex text = krs_regex_literal(s->b, krs_str_of(sign));
    if (s->options.space == KRS_JSON_SPACE_SINGLE && is_before && is_after) {
        return krs_expr_lexeme(
            s->b,
            krs_regex_cat2(s->b, text,
                           krs_regex_repeat(s->b, krs_regex_literal(s->b, KRS_STR(" ")), 0, 1)));
    }
    if (s->options.space != KRS_JSON_SPACE_FLEXIBLE) {
        return krs_expr_lexeme(s->b, text);
    }
    const uint32_t max =
        s->options.max_space < KRS_SCHEMA_MAX_SPACE ? s->options.max_space : KRS_SCHEMA_MAX_SPACE;
    const krs_regex space = krs_regex_repeat(s->b, krs_regex_bytes(s->b, blanks), 0, max);
    const krs_regex empty = krs_regex_empty(s->b);
    const krs_regex parts[] = {is_before ? space : empty, text, is_after ? space : empty};
    return krs_expr_lexeme(s->b, krs_regex_cat(s->b, parts, 3));
}

static krs_regex quoted(krs_schema *s, krs_regex inside)
{
    const krs_regex parts[] = {s->quote, inside, s->quote};
    return krs_regex_cat(s->b, parts, 3);
}

static krs_regex any_string(krs_schema *s)
{
    /* Where nothing is asked of a string, nothing is asked of its spelling. */
    return krs_chars_all(s->b, KRS_SPELLING_JSON_ANY);
}

static krs_regex scalars(krs_schema *s, const krs_form *f)
{
    krs_regex parts[5];
    size_t n = 0;
    const struct {
        uint8_t bit;
        const char *text;
    } words[] = {{KRS_BIT_NULL, "null"}, {KRS_BIT_FALSE, "false"}, {KRS_BIT_TRUE, "true"}};
    for (size_t i = 0; i < 3; i++) {
        if (f->upper_bits & words[i].bit) {
            parts[n++] = krs_regex_literal(s->b, krs_str_of(words[i].text));
        }
    }
    const krs_regex none = krs_regex_none(s->b);
    if (f->number.out.id != none.id) {
        parts[n++] = f->number.out;
    }
    if (f->string.out.id != none.id) {
        parts[n++] =
            quoted(s, f->string.out.id == s->string_all.id ? any_string(s) : f->string.out);
    }
    return krs_regex_or(s->b, parts, n);
}

krs_expr krs_schema_conj_expr(krs_schema *s, krs_conj c)
{
    const krs_conj_entry e = *krs_conj_at(s, c);
    if (e.is_emitted) {
        return e.expr;
    }
    const krs_form *f = krs_conj_form(s, c);
    if (!f) {
        return krs_expr_none(s->b);
    }
    krs_expr expr;
    krs_rule rule = {0};
    const bool is_rule = f->n_arrays > 0 || f->n_objects > 0;
    if (is_rule) {
        rule = krs_expr_declare(s->b, KRS_STR("schema"));
        expr = krs_expr_rule(s->b, rule);
        uint32_t at;
        if (krs_pool_push(&s->queue, &c, 1, &at) != KRS_OK) {
            krs_schema_no_memory(s);
        }
    } else {
        expr = krs_expr_lexeme(s->b, scalars(s, f));
    }
    krs_conj_entry *entry = krs_conj_at(s, c);
    entry->expr = expr;
    entry->rule = rule;
    entry->is_emitted = true;
    return expr;
}

/* Keys of a class that are not declared, with quotes. */
static krs_regex further_key(krs_schema *s, krs_regex names, krs_regex declared)
{
    const krs_regex none = krs_regex_none(s->b);
    if (declared.id != none.id) {
        names = krs_regex_and2(s->b, names, krs_regex_not(s->b, declared));
    }
    return quoted(s, names);
}

/* Names that are free may be written twice, and then count twice: a minimum is only right when one of them at most is
 * needed to reach it. */
static uint32_t min_count(krs_schema *s, const krs_object_shape *o, bool has_further)
{
    uint32_t n_required = 0;
    for (size_t i = 0; i < o->n_properties; i++) {
        n_required += o->properties[i].is_required;
    }
    if (o->min <= n_required) {
        return 0;
    }
    if (has_further && o->min > n_required + 1) {
        krs_schema_refuse(
            s, o->at, "minProperties",
            "beyond one more than are required is not supported where names are free");
    }
    return o->min;
}

/* Properties that may be there, into list[n_properties]; names[n_properties]: all that are declared, spelled. Returns how
 * many there are. */
static size_t emit_properties(krs_schema *s, const krs_object_shape *o, krs_expr_property *list,
                              krs_regex *names)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_properties && s->status == KRS_OK; i++) {
        const krs_object_property *p = &o->properties[i];
        names[i] = krs_chars_literal(s->b, p->name, s->spelling);
        if (p->value != KRS_CONJ_FALSE || p->is_required) {
            list[n++] = (krs_expr_property){quoted(s, names[i]), krs_schema_conj_expr(s, p->value),
                                            p->is_required};
        }
    }
    return n;
}

static size_t emit_further(krs_schema *s, const krs_object_shape *o, krs_regex declared,
                           krs_expr_further *list)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n_classes && s->status == KRS_OK; i++) {
        if (o->classes[i].value != KRS_CONJ_FALSE) {
            list[n++] = (krs_expr_further){further_key(s, o->classes[i].names, declared),
                                           krs_schema_conj_expr(s, o->classes[i].value)};
        }
    }
    return n;
}

static krs_expr emit_object(krs_schema *s, const krs_object_shape *o)
{
    krs_expr_property *properties = krs_schema_take(s, o->n_properties, sizeof(*properties));
    krs_expr_further *further = krs_schema_take(s, o->n_classes, sizeof(*further));
    krs_regex *names = krs_schema_take(s, o->n_properties, sizeof(*names));
    if (!properties || !further || !names) {
        return krs_expr_none(s->b);
    }
    krs_expr_object spec = {.properties = properties,
                            .further = further,
                            .max_count = o->max,
                            .open = krs_schema_sign(s, "{", false, true),
                            .close = krs_schema_sign(s, "}", true, false),
                            .separator = krs_schema_sign(s, ",", true, true),
                            .colon = krs_schema_sign(s, ":", true, true),
                            .is_any_order = s->options.is_any_order};
    spec.n_properties = emit_properties(s, o, properties, names);
    if (s->status == KRS_OK) {
        const krs_regex declared = krs_regex_or(s->b, names, o->n_properties);
        spec.n_further = emit_further(s, o, declared, further);
        spec.min_count = min_count(s, o, spec.n_further > 0);
    }
    return s->status == KRS_OK ? krs_expr_object_of(s->b, &spec) : krs_expr_none(s->b);
}

/* Is it there whatever is chosen? Then nothing more is asked. */
static bool is_met(krs_schema *s, const krs_object_shape *o, const krs_object_class *some)
{
    for (size_t i = 0; i < o->n_properties && some->value == KRS_CONJ_TRUE; i++) {
        if (o->properties[i].is_required &&
            krs_schema_name_in(s, o->properties[i].name, some->names)) {
            return true;
        }
    }
    return false;
}

/* Could a name that is not declared be the one? */
static bool may_be_free(krs_schema *s, const krs_object_shape *o, const krs_object_class *some)
{
    krs_regex declared = krs_regex_none(s->b);
    for (size_t i = 0; i < o->n_properties; i++) {
        declared = krs_regex_or2(s->b, declared,
                                 krs_chars_literal(s->b, o->properties[i].name, s->spelling));
    }
    for (size_t i = 0; i < o->n_classes; i++) {
        if (krs_conj_is_empty(s, krs_conj_and(s, o->classes[i].value, some->value), 1)) {
            continue;
        }
        const krs_regex parts[] = {o->classes[i].names, some->names, krs_regex_not(s->b, declared)};
        if (!krs_regex_is_none(s->b, krs_regex_and(s->b, parts, 3))) {
            return true;
        }
    }
    return false;
}

/* One of the declared names in `some` is there with its value. */
static const krs_form *settle_declared(krs_schema *s, const krs_object_shape *o,
                                       const krs_object_class *some)
{
    const krs_form *any = s->nothing;
    for (size_t i = 0; i < o->n_properties && any; i++) {
        const krs_object_property *p = &o->properties[i];
        if (p->value == KRS_CONJ_FALSE || !krs_schema_name_in(s, p->name, some->names)) {
            continue;
        }
        krs_object_shape *copy = krs_schema_take(s, 1, sizeof(*copy));
        krs_object_property *list = krs_schema_take(s, o->n_properties, sizeof(*list));
        if (!copy || !list) {
            return NULL;
        }
        krs_schema_work(s, o->n_properties, o->at);
        memcpy(list, o->properties, o->n_properties * sizeof(*list));
        list[i].is_required = true;
        list[i].value = krs_conj_and(s, p->value, some->value);
        *copy = *o;
        copy->properties = list;
        any = krs_form_or(s, any, krs_object_settle(s, copy), o->at);
    }
    return any;
}

const krs_form *krs_object_settle(krs_schema *s, const krs_object_shape *o)
{
    krs_object_shape *copy = krs_schema_take(s, 1, sizeof(*copy));
    if (!copy) {
        return NULL;
    }
    *copy = *o;
    while (copy->n_some > 0) {
        const krs_object_class some = copy->some[--copy->n_some];
        if (is_met(s, copy, &some)) {
            continue;
        }
        if (may_be_free(s, copy, &some)) {
            krs_schema_refuse(s, o->at, "not",
                              "of properties that are not declared is not supported "
                              "where other names are free");
            return NULL;
        }
        return settle_declared(s, copy, &some);
    }
    return krs_form_of_object(s, copy);
}

static krs_expr emit_settled(krs_schema *s, const krs_object_shape *o)
{
    if (o->n_some == 0) {
        return emit_object(s, o);
    }
    const krs_form *f = krs_object_settle(s, o);
    krs_expr any = krs_expr_none(s->b);
    for (size_t i = 0; f && i < f->n_objects; i++) {
        const krs_expr two[] = {any, emit_object(s, f->objects[i])};
        any = krs_expr_alt(s->b, two, 2);
    }
    return any;
}

static void define(krs_schema *s, krs_conj c)
{
    const krs_form *f = krs_conj_form(s, c);
    const size_t n = f ? 1 + f->n_arrays + f->n_objects : 0;
    krs_expr *parts = krs_schema_take(s, n, sizeof(*parts));
    if (!f || !parts) {
        return;
    }
    size_t n_parts = 0;
    const krs_regex r = scalars(s, f);
    if (r.id != krs_regex_none(s->b).id) {
        parts[n_parts++] = krs_expr_lexeme(s->b, r);
    }
    for (size_t i = 0; i < f->n_objects; i++) {
        parts[n_parts++] = emit_settled(s, f->objects[i]);
    }
    for (size_t i = 0; i < f->n_arrays; i++) {
        parts[n_parts++] = krs_schema_emit_array(s, f->arrays[i]);
    }
    krs_expr_define(s->b, krs_conj_at(s, c)->rule, krs_expr_alt(s->b, parts, n_parts));
}

krs_expr krs_schema_emit(krs_schema *s, krs_conj c)
{
    const krs_expr whole = krs_schema_conj_expr(s, c);
    for (uint32_t i = 0; i < s->queue.n && s->status == KRS_OK; i++) {
        define(s, ((const krs_conj *)s->queue.items)[i]);
        krs_schema_work(s, 1, s->root);
        if (krs_grammar_builder_status(s->b, NULL) != KRS_OK) {
            break; /* beyond a limit: nothing more will be built */
        }
    }
    return whole;
}
