/* text/template/value.c - see value.h.
 *
 * The map keeps entries in a plain array (so iteration is insertion order for free) and adds an open
 * addressing index once there are more than KRS_TMAP_LINEAR of them: nearly every dict in a chat
 * request is smaller and never pays for one. Keys come from strangers, so a probe that runs long only
 * costs time, which the step budget of a rendering covers through the sizes it may build.
 *
 * Thread: see the header.  Memory: all from the given arena; a grown array leaves its old one behind. */
#include "text/template/value.h"

#include <math.h>

#define TMAP_HASH_SEED     UINT64_C(0x9e3779b97f4a7c15) /* any odd constant; keys are not secret */
#define TMAP_MAX_KEY_DEPTH 16 /* tuples in tuples as keys; nobody nests them */

static const char *const type_names[KRS_TKIND_COUNT] = {
    [KRS_T_ABSENT] = "absent",   [KRS_T_UNDEF] = "Undefined",
    [KRS_T_NONE] = "NoneType",   [KRS_T_BOOL] = "bool",
    [KRS_T_INT] = "int",         [KRS_T_FLOAT] = "float",
    [KRS_T_STR] = "str",         [KRS_T_LIST] = "list",
    [KRS_T_TUPLE] = "tuple",     [KRS_T_RANGE] = "range",
    [KRS_T_VIEW] = "dict_items", [KRS_T_GEN] = "generator",
    [KRS_T_DICT] = "dict",       [KRS_T_NAMESPACE] = "Namespace",
    [KRS_T_FUNC] = "function",   [KRS_T_METHOD] = "builtin_function_or_method",
    [KRS_T_MACRO] = "Macro",     [KRS_T_LOOP] = "LoopContext",
    [KRS_T_CYCLER] = "Cycler",   [KRS_T_JOINER] = "Joiner",
};

const char *krs_tval_type(const krs_tval *v)
{
    if (v->kind == KRS_T_STR && v->is_safe) {
        return "Markup";
    }
    if (v->kind == KRS_T_VIEW && v->u.seq && v->u.seq->type_name) {
        return v->u.seq->type_name;
    }
    return type_names[v->kind];
}

static bool is_hashable_at(const krs_tval *v, int depth)
{
    if (v->kind != KRS_T_TUPLE) {
        return v->kind >= KRS_T_NONE && v->kind <= KRS_T_STR;
    }
    for (size_t i = 0; i < v->u.seq->n; i++) {
        if (depth >= TMAP_MAX_KEY_DEPTH || !is_hashable_at(&v->u.seq->items[i], depth + 1)) {
            return false;
        }
    }
    return true;
}

bool krs_tval_is_hashable(const krs_tval *v)
{
    return is_hashable_at(v, 0);
}

/* Numbers that compare equal hash equal, whatever their type. */
static uint64_t hash_number(const krs_tval *v)
{
    const double f = krs_tval_number(v);
    uint64_t bits = (uint64_t)krs_tval_integer(v);
    if (v->kind == KRS_T_FLOAT) {
        if (f >= -0x1p62 && f <= 0x1p62 && floor(f) == f) {
            bits = (uint64_t)(int64_t)f;
        } else {
            memcpy(&bits, &f, sizeof(bits));
        }
    }
    return bits * TMAP_HASH_SEED;
}

static uint64_t hash_of(const krs_tval *v)
{
    if (v->kind == KRS_T_STR) {
        return krs_str_hash(v->u.s, TMAP_HASH_SEED);
    }
    if (krs_tval_is_number(v)) {
        return hash_number(v);
    }
    uint64_t hash = v->kind;
    if (v->kind == KRS_T_TUPLE) {
        for (size_t i = 0; i < v->u.seq->n; i++) {
            hash = (hash ^ hash_of(&v->u.seq->items[i])) * TMAP_HASH_SEED;
        }
    }
    return hash;
}

static bool is_same_tuple(const krs_tseq *a, const krs_tseq *b)
{
    for (size_t i = 0; a->n == b->n && i < a->n; i++) {
        if (!krs_tval_is_same_key(&a->items[i], &b->items[i])) {
            return false;
        }
    }
    return a->n == b->n;
}

bool krs_tval_is_same_key(const krs_tval *a, const krs_tval *b)
{
    if (krs_tval_is_number(a) && krs_tval_is_number(b)) {
        if (a->kind == KRS_T_FLOAT || b->kind == KRS_T_FLOAT) {
            return krs_tval_number(a) == krs_tval_number(b);
        }
        return krs_tval_integer(a) == krs_tval_integer(b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == KRS_T_STR) {
        return krs_str_equal(a->u.s, b->u.s);
    }
    return a->kind == KRS_T_TUPLE ? is_same_tuple(a->u.seq, b->u.seq) : a->kind == KRS_T_NONE;
}

krs_tseq *krs_tseq_new(krs_arena *arena, const krs_tval *items, size_t n)
{
    krs_tseq *seq = krs_arena_bytes(arena, sizeof(*seq));
    if (seq) {
        seq->n = n;
        seq->items = items;
    }
    return seq;
}

krs_tmap *krs_tmap_new(krs_arena *arena, size_t cap)
{
    krs_tmap *map = krs_arena_bytes(arena, sizeof(*map));
    if (map && cap > 0) {
        map->entries = krs_arena_array(arena, cap, sizeof(*map->entries));
        map->cap = cap;
    }
    return map && (cap == 0 || map->entries) ? map : NULL;
}

static void index_entry(krs_tmap *map, size_t number)
{
    size_t slot = (size_t)map->entries[number].hash & (map->n_index - 1);
    while (map->index[slot]) {
        slot = (slot + 1) & (map->n_index - 1);
    }
    map->index[slot] = (uint32_t)(number + 1);
}

static bool reindex(krs_arena *arena, krs_tmap *map, size_t n_entries)
{
    size_t n_index = 4 * KRS_TMAP_LINEAR;
    while (n_index < 4 * n_entries) {
        n_index *= 2;
    }
    uint32_t *index =
        n_entries < UINT32_MAX ? krs_arena_array(arena, n_index, sizeof(*index)) : NULL;
    if (!index) {
        return false;
    }
    map->index = index;
    map->n_index = n_index;
    for (size_t i = 0; i < map->n; i++) {
        index_entry(map, i);
    }
    return true;
}

static bool grow(krs_arena *arena, krs_tmap *map)
{
    if (map->n >= KRS_TMAP_LINEAR && 2 * (map->n + 1) > map->n_index &&
        !reindex(arena, map, map->n + 1)) {
        return false;
    }
    if (map->n < map->cap) {
        return true;
    }
    const size_t cap = map->cap ? 2 * map->cap : KRS_TMAP_LINEAR;
    krs_tentry *entries = krs_arena_array(arena, cap, sizeof(*entries));
    if (!entries) {
        return false;
    }
    if (map->n) {
        memcpy(entries, map->entries, map->n * sizeof(*entries));
    }
    map->entries = entries;
    map->cap = cap;
    return true;
}

static krs_tentry *find_entry(const krs_tmap *map, const krs_tval *key, uint64_t hash)
{
    if (!map->index) {
        for (size_t i = 0; i < map->n; i++) {
            krs_tentry *e = &map->entries[i];
            if (e->hash == hash && krs_tval_is_same_key(&e->key, key)) {
                return e;
            }
        }
        return NULL;
    }
    size_t slot = (size_t)hash & (map->n_index - 1);
    for (; map->index[slot]; slot = (slot + 1) & (map->n_index - 1)) {
        krs_tentry *e = &map->entries[map->index[slot] - 1];
        if (e->hash == hash && krs_tval_is_same_key(&e->key, key)) {
            return e;
        }
    }
    return NULL;
}

bool krs_tmap_set(krs_arena *arena, krs_tmap *map, const krs_tval *key, const krs_tval *value)
{
    const uint64_t hash = hash_of(key);
    krs_tentry *e = find_entry(map, key, hash);
    if (e) {
        e->value = *value;
        return true;
    }
    if (!grow(arena, map)) {
        return false;
    }
    map->entries[map->n] = (krs_tentry){*key, *value, hash};
    map->n++;
    if (map->index) {
        index_entry(map, map->n - 1);
    }
    return true;
}

const krs_tval *krs_tmap_find(const krs_tmap *map, const krs_tval *key)
{
    const krs_tentry *e = find_entry(map, key, hash_of(key));
    return e ? &e->value : NULL;
}

const krs_tval *krs_tmap_find_str(const krs_tmap *map, krs_str key)
{
    const krs_tval v = krs_tval_str(key);
    return krs_tmap_find(map, &v);
}
