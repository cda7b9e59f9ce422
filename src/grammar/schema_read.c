/* grammar/schema_read.c - the keywords of a subschema, as a form.
 *
 * Every keyword that is known is read by a row of `readers`; each narrows the form. Those that are refused have a
 * row, too, which says so; whatever has no row is an annotation or unknown, and ignored. */
#include "grammar/schema_priv.h"

bool krs_schema_count(krs_schema *s, const json_t *node, const char *keyword, uint32_t *out)
{
    const json_t *value = json_object_get(node, keyword);
    if (!value) {
        return false;
    }
    const double number = json_number_value(value);
    const double whole =
        number < (double)KRS_REGEX_INF ? (double)(uint64_t)(number < 0 ? 0 : number) : number;
    if (!json_is_number(value) || number != whole) {
        krs_schema_refuse(s, node, keyword, "want an integer from 0 on");
        return false;
    }
    *out = number >= (double)KRS_REGEX_INF ? KRS_REGEX_INF : (uint32_t)number;
    return true;
}

const json_t *krs_schema_list(krs_schema *s, const json_t *node, const char *keyword)
{
    const json_t *value = json_object_get(node, keyword);
    if (value && !json_is_array(value)) {
        krs_schema_refuse(s, node, keyword, "want an array");
        return NULL;
    }
    return value;
}

const json_t *krs_schema_map(krs_schema *s, const json_t *node, const char *keyword)
{
    const json_t *value = json_object_get(node, keyword);
    if (value && !json_is_object(value)) {
        krs_schema_refuse(s, node, keyword, "want an object");
        return NULL;
    }
    return value;
}

const json_t *krs_schema_sub(krs_schema *s, const json_t *node, const char *keyword)
{
    const json_t *value = json_object_get(node, keyword);
    if (value && !json_is_object(value) && !json_is_boolean(value)) {
        krs_schema_refuse(s, node, keyword, "want a schema (an object or a boolean)");
        return NULL;
    }
    return value;
}

bool krs_schema_is_only_ref(const krs_schema *s, const json_t *node)
{
    /* Validators of our days read what is beside it even in old drafts. An answer should please both readings, so it is
     * ignored only for who asked for the draft, or checks texts. */
    const bool is_strict =
        s->options.dialect != KRS_SCHEMA_DIALECT_AUTO || s->options.is_any_spelling;
    return is_strict && s->dialect != KRS_SCHEMA_DIALECT_2020_12 &&
           json_is_string(json_object_get(node, "$ref"));
}

typedef const krs_form *reader(krs_schema *s, const json_t *node, const char *keyword,
                               const json_t *value);

static const krs_form *read_types(krs_schema *s, const json_t *node, const char *keyword,
                                  const json_t *value)
{
    (void)keyword;
    (void)value;
    return krs_schema_form_types(s, node, false);
}

static const krs_form *read_enum(krs_schema *s, const json_t *node, const char *keyword,
                                 const json_t *value)
{
    if (!json_is_array(value)) {
        krs_schema_refuse(s, node, keyword, "want an array");
        return NULL;
    }
    return krs_schema_form_enum(s, node, value);
}

static const krs_form *read_const(krs_schema *s, const json_t *node, const char *keyword,
                                  const json_t *value)
{
    (void)node;
    (void)keyword;
    return krs_schema_form_value(s, value);
}

static const krs_form *read_ref(krs_schema *s, const json_t *node, const char *keyword,
                                const json_t *value)
{
    (void)value;
    const json_t *target = krs_schema_resolve(s, node, keyword);
    return target ? krs_schema_form(s, target) : NULL;
}

/* Its fragment is always empty, and another meaning needs a $recursiveAnchor. */
static const krs_form *read_recursive_ref(krs_schema *s, const json_t *node, const char *keyword,
                                          const json_t *value)
{
    if (json_is_true(json_object_get(s->root, "$recursiveAnchor"))) {
        krs_schema_refuse(s, node, keyword, "is not supported with $recursiveAnchor");
        return NULL;
    }
    return read_ref(s, node, keyword, value);
}

static bool is_schema_list(krs_schema *s, const json_t *node, const char *keyword,
                           const json_t *value)
{
    bool is_good = json_is_array(value) && json_array_size(value) > 0;
    for (size_t i = 0; is_good && i < json_array_size(value); i++) {
        const json_t *branch = json_array_get(value, i);
        is_good = json_is_object(branch) || json_is_boolean(branch);
    }
    if (!is_good) {
        krs_schema_refuse(s, node, keyword, "want an array of schemas, at least one");
    }
    return is_good;
}

static const krs_form *read_all_of(krs_schema *s, const json_t *node, const char *keyword,
                                   const json_t *value)
{
    const krs_form *all = is_schema_list(s, node, keyword, value) ? s->everything : NULL;
    for (size_t i = 0; all && i < json_array_size(value); i++) {
        all = krs_form_and(s, all, krs_schema_form(s, json_array_get(value, i)), node);
    }
    return all;
}

static const krs_form *read_any_of(krs_schema *s, const json_t *node, const char *keyword,
                                   const json_t *value)
{
    const krs_form *any = is_schema_list(s, node, keyword, value) ? s->nothing : NULL;
    for (size_t i = 0; any && i < json_array_size(value); i++) {
        any = krs_form_or(s, any, krs_schema_form(s, json_array_get(value, i)), node);
    }
    return any;
}

static const krs_form *read_one_of(krs_schema *s, const json_t *node, const char *keyword,
                                   const json_t *value)
{
    return is_schema_list(s, node, keyword, value) ? krs_schema_one_of(s, node, value) : NULL;
}

static const krs_form *read_not(krs_schema *s, const json_t *node, const char *keyword,
                                const json_t *value)
{
    (void)value;
    const json_t *inner = krs_schema_sub(s, node, keyword);
    return inner ? krs_schema_form_not(s, inner) : NULL;
}

/* then or else: absent is true. */
static const krs_form *branch_of(krs_schema *s, const json_t *node, const char *keyword)
{
    const json_t *branch = krs_schema_sub(s, node, keyword);
    if (s->status != KRS_OK) {
        return NULL;
    }
    return branch ? krs_schema_form(s, branch) : s->everything;
}

static const krs_form *read_if(krs_schema *s, const json_t *node, const char *keyword,
                               const json_t *value)
{
    if (!json_object_get(node, "then") && !json_object_get(node, "else")) {
        return s->everything;
    }
    if (!krs_schema_sub(s, node, keyword)) {
        return NULL;
    }
    const krs_form *met =
        krs_form_and(s, krs_schema_form(s, value), branch_of(s, node, "then"), node);
    const krs_form *unmet =
        krs_form_and(s, krs_schema_form_not(s, value), branch_of(s, node, "else"), node);
    return krs_form_or(s, met, unmet, node);
}

/* The name is not there, or it is and the rest holds; what is no object is free. */
static const krs_form *implied(krs_schema *s, const json_t *node, const char *name,
                               const krs_form *then)
{
    const krs_str text = krs_str_of(name);
    const krs_form *absent = krs_schema_with_name(s, text, KRS_CONJ_FALSE, false);
    const krs_form *present = krs_schema_with_name(s, text, KRS_CONJ_TRUE, true);
    present = krs_form_and(s, present, then, node);
    const krs_form *objects = krs_form_or(s, absent, present, node);
    krs_form *all = krs_form_new(s);
    if (!all || !objects) {
        return NULL;
    }
    *all = *s->everything;
    all->objects = objects->objects;
    all->n_objects = objects->n_objects;
    return all;
}

static const krs_form *with_names(krs_schema *s, const json_t *node, const char *keyword,
                                  const json_t *names)
{
    const krs_form *all = s->everything;
    for (size_t i = 0; all && i < json_array_size(names); i++) {
        const json_t *name = json_array_get(names, i);
        if (!json_is_string(name)) {
            krs_schema_refuse(s, node, keyword, "want names of properties");
            return NULL;
        }
        const krs_str text = {json_string_value(name), json_string_length(name)};
        all = krs_form_and(s, all, krs_schema_with_name(s, text, KRS_CONJ_TRUE, true), node);
    }
    return all;
}

static const krs_form *read_dependencies(krs_schema *s, const json_t *node, const char *keyword,
                                         const json_t *value)
{
    if (!json_is_object(value)) {
        krs_schema_refuse(s, node, keyword, "want an object");
        return NULL;
    }
    const krs_form *all = s->everything;
    for (void *at = json_object_iter((json_t *)(uintptr_t)value); at && all;
         at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        const json_t *what = json_object_iter_value(at);
        const krs_form *then = NULL;
        if (json_is_array(what) && strcmp(keyword, "dependentSchemas") != 0) {
            then = with_names(s, node, keyword, what);
        } else if ((json_is_object(what) || json_is_boolean(what)) &&
                   strcmp(keyword, "dependentRequired") != 0) {
            then = krs_schema_form(s, what);
        } else {
            krs_schema_refuse(s, node, keyword, "wants lists of names, or schemas");
        }
        all = krs_form_and(s, all, implied(s, node, json_object_iter_key(at), then), node);
    }
    return all;
}

/* Keywords that say nothing of scalars, arrays or objects by themselves, in the order of reading. */
static const struct {
    const char *keyword;
    reader *read;
} readers[] = {
    {"$ref", read_ref},
    {"$dynamicRef", read_ref},
    {"$recursiveRef", read_recursive_ref},
    {"type", read_types},
    {"enum", read_enum},
    {"const", read_const},
    {"allOf", read_all_of},
    {"anyOf", read_any_of},
    {"oneOf", read_one_of},
    {"not", read_not},
    {"if", read_if},
    {"dependencies", read_dependencies},
    {"dependentRequired", read_dependencies},
    {"dependentSchemas", read_dependencies},
};

/* Numbers, strings, arrays and objects, each with all its keywords at once. */
static const krs_form *read_typed(krs_schema *s, const json_t *node)
{
    krs_form *f = krs_schema_take(s, 1, sizeof(*f));
    if (!f) {
        return NULL;
    }
    *f = *s->everything;
    (void)krs_schema_numbers(s, node, &f->number);
    (void)krs_schema_strings(s, node, &f->string);
    const krs_array_shape *array = krs_schema_array(s, node);
    const krs_object_shape *object = krs_schema_object(s, node);
    const krs_form *shapes = array ? krs_form_of_array(s, array) : s->everything;
    if (shapes) {
        f->arrays = shapes->arrays;
        f->n_arrays = shapes->n_arrays;
    }
    shapes = object ? krs_form_of_object(s, object) : s->everything;
    if (shapes) {
        f->objects = shapes->objects;
        f->n_objects = shapes->n_objects;
    }
    return s->status == KRS_OK ? f : NULL;
}

static const krs_form *read_all(krs_schema *s, const json_t *node)
{
    if (krs_schema_is_only_ref(s, node)) {
        return read_ref(s, node, "$ref", NULL);
    }
    const krs_form *f = read_typed(s, node);
    for (size_t i = 0; f && i < sizeof(readers) / sizeof(*readers); i++) {
        const json_t *value = json_object_get(node, readers[i].keyword);
        if (value) {
            f = krs_form_and(s, f, readers[i].read(s, node, readers[i].keyword, value), node);
        }
    }
    return f;
}

/* The form of node or of NOT of it, made once; a node that needs itself first is refused. */
static const krs_form *form_once(krs_schema *s, const json_t *node, bool is_not)
{
    if (json_is_boolean(node)) {
        return json_is_true(node) != is_not ? s->everything : s->nothing;
    }
    krs_node_entry *entry = krs_schema_node(s, node);
    if (!entry || s->status != KRS_OK) {
        krs_schema_refuse(s, node, "schema", "is no schema");
        return NULL;
    }
    if (entry->form[is_not]) {
        return entry->form[is_not];
    }
    if (entry->is_open[is_not] || s->n_nested == KRS_SCHEMA_MAX_NESTED) {
        krs_schema_refuse(s, node, "$ref",
                          entry->is_open[is_not] ? "comes back to itself before any value"
                                                 : "applies in place too deep");
        return NULL;
    }
    const size_t index = (size_t)(entry - (krs_node_entry *)s->nodes.items);
    entry->is_open[is_not] = true;
    s->n_nested++;
    krs_schema_work(s, json_object_size(node) + 1, node);
    const krs_form *f = is_not ? krs_schema_read_not(s, node) : read_all(s, node);
    s->n_nested--;
    entry = (krs_node_entry *)s->nodes.items + index; /* more nodes may have moved them */
    entry->is_open[is_not] = false;
    entry->form[is_not] = f;
    return f;
}

const krs_form *krs_schema_form(krs_schema *s, const json_t *node)
{
    return form_once(s, node, false);
}

const krs_form *krs_schema_form_not(krs_schema *s, const json_t *node)
{
    return form_once(s, node, true);
}

const krs_form *krs_conj_form(krs_schema *s, krs_conj c)
{
    const krs_conj_entry e = *krs_conj_at(s, c);
    if (e.form) {
        return e.form;
    }
    const krs_form *f = s->everything;
    for (uint32_t i = 0; f && i < e.n_atoms; i++) {
        const json_t *node = e.atoms[i].node;
        const krs_form *more = NULL;
        switch (e.atoms[i].kind) {
        case KRS_ATOM_SCHEMA:
            more = krs_schema_form(s, node);
            break;
        case KRS_ATOM_NOT_SCHEMA:
            more = krs_schema_form_not(s, node);
            break;
        case KRS_ATOM_VALUE:
            more = krs_schema_form_value(s, node);
            break;
        case KRS_ATOM_NOT_VALUE:
            more = krs_schema_form_not_value(s, node);
            break;
        }
        f = krs_form_and(s, f, more, node);
    }
    krs_conj_at(s, c)->form = f;
    return f;
}
