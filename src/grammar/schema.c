/* grammar/schema.c - see schema.h: the entry, failures with their place, and conjs. */
#include "grammar/builder_priv.h"
#include "grammar/schema_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_CHUNK_BYTES (16u << 10) /* a small schema fits in one */
#define POINTER_BYTES     96          /* of a place in a message; longer ones keep their end */
#define GOT_BYTES         60          /* of a wrong value, in an error */

void *krs_schema_take(krs_schema *s, size_t n, size_t item_bytes)
{
    void *p = s->status == KRS_OK ? krs_arena_array(&s->arena, n ? n : 1, item_bytes) : NULL;
    if (!p && s->status == KRS_OK) {
        if (s->arena.total_bytes + n * item_bytes + ARENA_CHUNK_BYTES >= s->arena.max_bytes) {
            s->status = krs_fail(s->err, KRS_EINVAL, "schema: takes more than %lu bytes to compile",
                                 KRS_SCHEMA_MAX_WORK_BYTES);
        } else {
            krs_schema_no_memory(s);
        }
    }
    return p;
}

void krs_schema_no_memory(krs_schema *s)
{
    if (s->status == KRS_OK) {
        s->status = krs_fail(s->err, KRS_ENOMEM, "schema: out of memory");
    }
}

/* A JSON pointer that is being written from its end. */
typedef struct pointer {
    char text[POINTER_BYTES];
    size_t begin;
    bool is_cut;
} pointer;

static void prepend(pointer *p, const char *text, size_t n)
{
    if (n > p->begin || p->is_cut) {
        p->is_cut = true;
        return;
    }
    p->begin -= n;
    memcpy(p->text + p->begin, text, n);
}

static void prepend_key(pointer *p, const char *key)
{
    for (size_t n = strlen(key); n > 0; n--) {
        const char c = key[n - 1];
        if (c == '~' || c == '/') {
            prepend(p, c == '~' ? "~0" : "~1", 2);
        } else {
            const char plain = (unsigned char)c < 0x20 || c == 0x7F ? '?' : c;
            prepend(p, &plain, 1);
        }
    }
    prepend(p, "/", 1);
}

/* Where in tree is node? Written into p when found. Recursion is as deep as the JSON. */
static bool find(const json_t *tree, const json_t *node, pointer *p, uint32_t depth)
{
    if (tree == node) {
        return true;
    }
    if (depth > KRS_SCHEMA_MAX_DEPTH) {
        return false;
    }
    if (json_is_array(tree)) {
        for (size_t i = 0; i < json_array_size(tree); i++) {
            if (find(json_array_get(tree, i), node, p, depth + 1)) {
                char index[24];
                const int n = snprintf(index, sizeof(index), "/%zu", i);
                prepend(p, index, (size_t)n);
                return true;
            }
        }
        return false;
    }
    for (void *at = json_object_iter((json_t *)(uintptr_t)tree); at;
         at = json_object_iter_next((json_t *)(uintptr_t)tree, at)) {
        if (find(json_object_iter_value(at), node, p, depth + 1)) {
            prepend_key(p, json_object_iter_key(at));
            return true;
        }
    }
    return false;
}

/* ", got 7" for a keyword that has another value than wanted; the beginning of a long one. */
static void write_got(const json_t *node, const char *keyword, char out[GOT_BYTES])
{
    const json_t *value = json_object_get(node, keyword);
    char text[GOT_BYTES] = {0}; /* what does not fit is left out */
    const size_t n =
        value ? json_dumpb(value, text, sizeof(text), JSON_COMPACT | JSON_ENCODE_ANY) : 0;
    const size_t n_shown = n < GOT_BYTES - 12 ? n : GOT_BYTES - 12;
    out[0] = '\0';
    if (n > 0) {
        (void)snprintf(out, GOT_BYTES, ", got %.*s%s", (int)n_shown, text,
                       n > n_shown ? "..." : "");
    }
}

void krs_schema_refuse(krs_schema *s, const json_t *node, const char *keyword, const char *format,
                       ...)
{
    if (s->status != KRS_OK) {
        return;
    }
    pointer p = {.begin = POINTER_BYTES, .is_cut = false};
    if (node && !find(s->root, node, &p, 0)) {
        p.begin = POINTER_BYTES;
    }
    char why[120];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    char got[GOT_BYTES] = "";
    if (strncmp(why, "want", 4) == 0) {
        write_got(node, keyword, got);
    }
    s->status =
        krs_fail(s->err, KRS_EINVAL, "schema: %s at %s%.*s: %s%s", keyword, p.is_cut ? "..." : "#",
                 (int)(POINTER_BYTES - p.begin), p.text + p.begin, why, got);
}

void krs_schema_work(krs_schema *s, size_t n, const json_t *node)
{
    if (n > KRS_SCHEMA_MAX_WORK - s->n_work) {
        krs_schema_refuse(s, node, "schema", "is too much to compile");
    } else {
        s->n_work += (uint32_t)n;
    }
}

krs_conj_entry *krs_conj_at(krs_schema *s, krs_conj c)
{
    return (krs_conj_entry *)s->conjs.items + c;
}

static uint64_t hash_atoms(const krs_atom *atoms, uint32_t n)
{
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = krs_mix(krs_mix(h, (uint64_t)(uintptr_t)atoms[i].node), (uint64_t)atoms[i].kind + 1);
    }
    return h;
}

static bool same_atoms(const krs_conj_entry *e, const krs_atom *atoms, uint32_t n)
{
    if (e->n_atoms != n) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (e->atoms[i].node != atoms[i].node || e->atoms[i].kind != atoms[i].kind) {
            return false;
        }
    }
    return true;
}

/* The conj of sorted atoms, which are copied. FALSE after a failure. */
static krs_conj intern(krs_schema *s, const krs_atom *atoms, uint32_t n)
{
    const uint64_t hash = hash_atoms(atoms, n);
    uint32_t probe = 0;
    for (uint32_t id; (id = krs_intern_next(&s->conj_ids, hash, &probe)) != KRS_NO_ID;) {
        if (same_atoms(krs_conj_at(s, id), atoms, n)) {
            return id;
        }
    }
    krs_atom *copy = krs_schema_take(s, n, sizeof(*copy));
    if (!copy) {
        return KRS_CONJ_FALSE;
    }
    memcpy(copy, atoms, n * sizeof(*copy));
    const krs_conj_entry entry = {.atoms = copy, .n_atoms = n};
    uint32_t id;
    if (krs_intern_reserve(&s->conj_ids) != KRS_OK ||
        krs_pool_push(&s->conjs, &entry, 1, &id) != KRS_OK) {
        krs_schema_no_memory(s);
        return KRS_CONJ_FALSE;
    }
    krs_intern_add(&s->conj_ids, hash, id);
    return id;
}

krs_conj krs_conj_of(krs_schema *s, const json_t *node, krs_atom_kind kind)
{
    if (kind == KRS_ATOM_SCHEMA || kind == KRS_ATOM_NOT_SCHEMA) {
        const bool is_not = kind == KRS_ATOM_NOT_SCHEMA;
        if (json_is_boolean(node)) {
            return json_is_true(node) != is_not ? KRS_CONJ_TRUE : KRS_CONJ_FALSE;
        }
        if (json_is_object(node) && json_object_size(node) == 0) {
            return is_not ? KRS_CONJ_FALSE : KRS_CONJ_TRUE;
        }
    }
    const krs_atom atom = {node, kind};
    return intern(s, &atom, 1);
}

static int order(krs_atom a, krs_atom c)
{
    if (a.node != c.node) {
        return (uintptr_t)a.node < (uintptr_t)c.node ? -1 : 1;
    }
    return (int)a.kind - (int)c.kind;
}

/* Both lists in one, sorted, each atom once; returns how many. */
static uint32_t merge(const krs_conj_entry *x, const krs_conj_entry *y,
                      krs_atom both[2 * KRS_SCHEMA_MAX_ATOMS])
{
    uint32_t n = 0;
    uint32_t i = 0;
    uint32_t j = 0;
    while (i < x->n_atoms && j < y->n_atoms) {
        const int o = order(x->atoms[i], y->atoms[j]);
        both[n++] = o <= 0 ? x->atoms[i] : y->atoms[j];
        i += o <= 0;
        j += o >= 0;
    }
    while (i < x->n_atoms) {
        both[n++] = x->atoms[i++];
    }
    while (j < y->n_atoms) {
        both[n++] = y->atoms[j++];
    }
    return n;
}

krs_conj krs_conj_and(krs_schema *s, krs_conj a, krs_conj c)
{
    if (a == c || c == KRS_CONJ_TRUE || a == KRS_CONJ_FALSE) {
        return a;
    }
    if (a == KRS_CONJ_TRUE || c == KRS_CONJ_FALSE) {
        return c;
    }
    krs_atom both[2 * KRS_SCHEMA_MAX_ATOMS];
    const uint32_t n = merge(krs_conj_at(s, a), krs_conj_at(s, c), both);
    if (n > KRS_SCHEMA_MAX_ATOMS) {
        krs_schema_refuse(s, both[0].node, "allOf", "more than %u subschemas hold at one place",
                          KRS_SCHEMA_MAX_ATOMS);
        return KRS_CONJ_FALSE;
    }
    return intern(s, both, n);
}

krs_conj krs_conj_not(krs_schema *s, krs_conj a, bool *is_known)
{
    *is_known = true;
    if (a == KRS_CONJ_TRUE || a == KRS_CONJ_FALSE) {
        return a == KRS_CONJ_TRUE ? KRS_CONJ_FALSE : KRS_CONJ_TRUE;
    }
    const krs_conj_entry e = *krs_conj_at(s, a);
    if (e.n_atoms != 1) {
        *is_known = false;
        return KRS_CONJ_TRUE;
    }
    static const krs_atom_kind opposite[] = {KRS_ATOM_NOT_SCHEMA, KRS_ATOM_SCHEMA,
                                             KRS_ATOM_NOT_VALUE, KRS_ATOM_VALUE};
    return krs_conj_of(s, e.atoms[0].node, opposite[e.atoms[0].kind]);
}

static krs_schema_dialect dialect_of(const json_t *schema)
{
    static const struct {
        const char *part;
        krs_schema_dialect dialect;
    } known[] = {
        {"/draft-03/", KRS_SCHEMA_DIALECT_DRAFT4},
        {"/draft-04/", KRS_SCHEMA_DIALECT_DRAFT4},
        {"/draft-06/", KRS_SCHEMA_DIALECT_DRAFT7},
        {"/draft-07/", KRS_SCHEMA_DIALECT_DRAFT7},
    };
    const json_t *name = json_object_get(schema, "$schema");
    for (size_t i = 0; json_is_string(name) && i < sizeof(known) / sizeof(*known); i++) {
        if (strstr(json_string_value(name), known[i].part)) {
            return known[i].dialect;
        }
    }
    return KRS_SCHEMA_DIALECT_2020_12;
}

static void init(krs_schema *s)
{
    krs_arena_init(&s->arena, s->b->alloc, ARENA_CHUNK_BYTES, KRS_SCHEMA_MAX_WORK_BYTES);
    s->ledger = (krs_ledger){s->b->alloc, 0, KRS_SCHEMA_MAX_WORK_BYTES};
    krs_intern_init(&s->conj_ids, &s->ledger);
    krs_intern_init(&s->node_ids, &s->ledger);
    krs_pool_init(&s->conjs, &s->ledger, sizeof(krs_conj_entry));
    krs_pool_init(&s->nodes, &s->ledger, sizeof(krs_node_entry));
    krs_pool_init(&s->resources, &s->ledger, sizeof(krs_resource));
    krs_pool_init(&s->anchors, &s->ledger, sizeof(krs_anchor));
    krs_pool_init(&s->queue, &s->ledger, sizeof(krs_conj));
}

static void deinit(krs_schema *s)
{
    krs_pool_deinit(&s->queue);
    krs_pool_deinit(&s->anchors);
    krs_pool_deinit(&s->resources);
    krs_pool_deinit(&s->nodes);
    krs_pool_deinit(&s->conjs);
    krs_intern_deinit(&s->node_ids);
    krs_intern_deinit(&s->conj_ids);
    krs_arena_deinit(&s->arena);
}

/* TRUE and FALSE, whose numbers are fixed, and what every schema needs. */
static void begin(krs_schema *s)
{
    const krs_conj_entry fixed[2] = {{.emptiness = KRS_EMPTY_NO}, {.emptiness = KRS_EMPTY_YES}};
    uint32_t first;
    if (krs_pool_push(&s->conjs, fixed, 2, &first) != KRS_OK) {
        krs_schema_no_memory(s);
        return;
    }
    s->spelling = s->options.is_any_spelling ? KRS_SPELLING_JSON_ANY : KRS_SPELLING_JSON;
    s->quote = krs_regex_literal(s->b, KRS_STR("\""));
    s->string_all = krs_chars_all(s->b, s->spelling);
    krs_schema_numbers_init(s);
    krs_form *everything = krs_form_new(s);
    s->nothing = krs_form_new(s);
    const krs_array_shape **arrays = krs_schema_take(s, 1, sizeof(void *));
    const krs_object_shape **objects = krs_schema_take(s, 1, sizeof(void *));
    krs_array_shape *any = krs_schema_take(s, 1, sizeof(*any));
    if (!everything || !s->nothing || !arrays || !objects || !any) {
        return;
    }
    *any = krs_array_any(s->root);
    arrays[0] = any;
    objects[0] = krs_object_any(s, s->root);
    everything->upper_bits = KRS_BIT_NULL | KRS_BIT_FALSE | KRS_BIT_TRUE;
    everything->number = krs_number_any(s);
    everything->string = krs_string_any(s);
    everything->arrays = arrays;
    everything->n_arrays = 1;
    everything->objects = objects;
    everything->n_objects = 1;
    s->everything = everything;
    krs_conj_at(s, KRS_CONJ_TRUE)->form = everything;
    krs_conj_at(s, KRS_CONJ_FALSE)->form = s->nothing;
}

/* The builder may have failed meanwhile, for limits of its own: those are the schema's fault, too. */
static krs_status finish(krs_schema *s)
{
    if (s->status == KRS_OK) {
        s->status = krs_grammar_builder_status(s->b, s->err);
        if (s->status == KRS_ETOOLARGE) {
            s->status = krs_error_wrap(s->err, KRS_EINVAL, "schema");
        }
    }
    return s->status;
}

krs_status krs_grammar_schema(krs_grammar_builder *b, const json_t *schema,
                              const krs_schema_options *options, krs_expr *out, krs_error *err)
{
    static const krs_schema_options defaults = KRS_SCHEMA_OPTIONS_INIT;
    krs_schema s = {.b = b, .options = options ? *options : defaults, .root = schema, .err = err};
    *out = krs_expr_none(b);
    if (!json_is_object(schema) && !json_is_boolean(schema)) {
        return krs_fail(err, KRS_EINVAL, "schema: want an object or a boolean");
    }
    s.dialect =
        s.options.dialect == KRS_SCHEMA_DIALECT_AUTO ? dialect_of(schema) : s.options.dialect;
    init(&s);
    begin(&s);
    krs_schema_index(&s);
    if (s.status == KRS_OK) {
        *out = krs_schema_emit(&s, krs_conj_of(&s, schema, KRS_ATOM_SCHEMA));
    }
    const krs_status status = finish(&s);
    deinit(&s);
    if (status != KRS_OK) {
        *out = krs_expr_none(b);
    }
    return status;
}
