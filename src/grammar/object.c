/* grammar/object.c - JSON objects, followed member by member.
 *
 * What has come of an object is in its continuation, so a thousand optional properties cost a thousand
 * candidates where a key may begin, and nothing before. A member is offered only when the object can still
 * be finished after it: required ones must fit under max_count, and min_count must be reachable.
 *
 * In order, the members that are left out are those before the one that comes; the walk over candidates ends
 * at the first required one. In any order, a bit for each declared property says that it has come. */
#include "grammar/automaton_priv.h"

#include <string.h>

#define BITS    32u
#define HEAD    2u /* list: its length, members so far, bits */
#define MAX_LEN (HEAD + (KRS_EXPR_MAX_PROPERTIES + BITS - 1) / BITS)

/* An object and what has come of it. */
typedef struct progress {
    uint32_t id;
    krs_object_node object;
    uint32_t come; /* operand b of the nodes of expr_priv.h */
    uint32_t at;   /* in order: the next property */
    uint32_t n;    /* members so far, cut as krs_object_count does */
    uint32_t n_required_left;
    uint32_t n_usable_left;
} progress;

uint32_t krs_object_intern_come(krs_expr_store *s, const uint32_t *list)
{
    const uint32_t n = list[0];
    uint64_t hash = krs_mix(KRS_EXPR_KIND_MEMBERS, n);
    for (uint32_t i = 1; i < n; i++) {
        hash = krs_mix(hash, list[i]);
    }
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&s->come_table, hash, &probe)) != KRS_NO_ID) {
        const uint32_t *at = krs_expr_list_at(s, id);
        if (at[0] == n && memcmp(at, list, n * sizeof(*list)) == 0) {
            return id;
        }
    }
    krs_status status = krs_intern_reserve(&s->come_table);
    if (status == KRS_OK) {
        status = krs_pool_push(&s->lists, list, n, &id);
    }
    if (status != KRS_OK) {
        krs_expr_failed(s, status);
        return 0;
    }
    krs_intern_add(&s->come_table, hash, id);
    return id;
}

static uint32_t list_len(const krs_object_node *object)
{
    return HEAD + (object->n_properties + BITS - 1) / BITS;
}

uint32_t krs_object_nothing_come(krs_expr_store *s, const krs_object_node *object)
{
    uint32_t list[MAX_LEN] = {list_len(object)};
    return object->is_any_order ? krs_object_intern_come(s, list) : 0;
}

static bool has_come(const krs_automaton *a, const progress *p, uint32_t property)
{
    if (!p->object.is_any_order) {
        return false; /* what has come is a number then, and no list */
    }
    const uint32_t *list = krs_expr_list_at(a->exprs, p->come);
    return (list[HEAD + property / BITS] >> property % BITS & 1) != 0;
}

/* What has come after member `which`. */
static uint32_t come_after(krs_automaton *a, const progress *p, uint32_t which)
{
    const uint32_t n = krs_object_count(&p->object, p->n + 1);
    if (!p->object.is_any_order) {
        return n;
    }
    uint32_t list[MAX_LEN];
    memcpy(list, krs_expr_list_at(a->exprs, p->come), list_len(&p->object) * sizeof(*list));
    list[1] = n;
    if (which < p->object.n_properties) {
        list[HEAD + which / BITS] |= 1u << which % BITS;
    }
    return krs_object_intern_come(a->exprs, list);
}

static const krs_member *member_at(const krs_automaton *a, const progress *p, uint32_t which)
{
    return krs_member_at(a->exprs, p->object.members + which);
}

static void count_left(const krs_automaton *a, progress *p)
{
    for (uint32_t i = p->at; i < p->object.n_properties; i++) {
        const uint32_t flags = has_come(a, p, i) ? 0 : member_at(a, p, i)->flags;
        p->n_usable_left += flags & KRS_MEMBER_USABLE ? 1 : 0;
        p->n_required_left += flags & KRS_MEMBER_REQUIRED ? 1 : 0;
        if (!p->object.is_any_order) { /* the sums are there */
            p->n_usable_left += member_at(a, p, i)->usable_after;
            p->n_required_left += member_at(a, p, i)->required_after;
            break;
        }
    }
}

static progress load(const krs_automaton *a, const krs_expr_node *node)
{
    progress p = {.id = node->a, .object = *krs_object_at(a->exprs, node->a), .come = node->b};
    const bool is_any_order = p.object.is_any_order;
    p.n = is_any_order ? krs_expr_list_at(a->exprs, p.come)[1] : p.come;
    p.at = is_any_order || node->kind == KRS_EXPR_KIND_VALUE ? 0 : node->c;
    if (node->kind != KRS_EXPR_KIND_VALUE) {
        count_left(a, &p);
    }
    return p;
}

/* May this member come, and can the object be finished after it? */
static bool is_candidate(const krs_automaton *a, const progress *p, uint32_t which)
{
    const krs_member *member = member_at(a, p, which);
    uint32_t required = p->n_required_left; /* after it */
    uint32_t usable = p->n_usable_left;
    if (which < p->object.n_properties) {
        const bool is_required = (member->flags & KRS_MEMBER_REQUIRED) != 0;
        required =
            p->object.is_any_order ? required - (is_required ? 1 : 0) : member->required_after;
        usable = p->object.is_any_order ? usable - 1 : member->usable_after;
    } else if (!p->object.is_any_order) {
        usable = 0;
    }
    const uint64_t n = (uint64_t)p->n + 1;
    return (member->flags & KRS_MEMBER_USABLE) != 0 && n + required <= p->object.max_count &&
           (p->object.has_further || n + usable >= p->object.min_count);
}

/* The first candidate at or after `which`, or KRS_NO_ID. */
static uint32_t next_candidate(const krs_automaton *a, const progress *p, uint32_t which)
{
    const uint32_t n = p->object.n_properties;
    for (; which < n; which++) {
        if (!has_come(a, p, which) && is_candidate(a, p, which)) {
            return which;
        }
        if (!p->object.is_any_order && (member_at(a, p, which)->flags & KRS_MEMBER_REQUIRED) != 0) {
            return KRS_NO_ID;
        }
    }
    if (!p->object.is_any_order && p->n_required_left > 0) {
        return KRS_NO_ID;
    }
    for (; which < n + p->object.n_further; which++) {
        if (is_candidate(a, p, which)) {
            return which;
        }
    }
    return KRS_NO_ID;
}

/* The next candidate after this one. */
static uint32_t candidate_after(const krs_automaton *a, const progress *p, uint32_t which)
{
    const bool is_last = !p->object.is_any_order && which < p->object.n_properties &&
                         (member_at(a, p, which)->flags & KRS_MEMBER_REQUIRED) != 0;
    return is_last ? KRS_NO_ID : next_candidate(a, p, which + 1);
}

static void push_member(krs_automaton *a, const progress *p, uint32_t next)
{
    for (uint32_t which = next_candidate(a, p, p->at);
         which != KRS_NO_ID && krs_automaton_status(a) == KRS_OK;
         which = candidate_after(a, p, which)) {
        const uint32_t value =
            krs_expr_node_of(a->exprs, KRS_EXPR_KIND_VALUE, p->id, p->come, which);
        const uint32_t key = member_at(a, p, which)->key;
        krs_closure_push(a, krs_cont_of(a, key, krs_cont_of(a, value, next)));
    }
}

static void push_members(krs_automaton *a, const progress *p, uint32_t next)
{
    if (p->n_required_left == 0 && p->n >= p->object.min_count) {
        krs_closure_push(a, krs_cont_of(a, p->object.close, next));
    }
    if (next_candidate(a, p, p->at) == KRS_NO_ID) {
        return;
    }
    const uint32_t member = krs_expr_node_of(a->exprs, KRS_EXPR_KIND_MEMBER, p->id, p->come, p->at);
    const uint32_t then = krs_cont_of(a, member, next);
    krs_closure_push(a, p->n == 0 ? then : krs_cont_of(a, p->object.separator, then));
}

static void push_value(krs_automaton *a, const progress *p, uint32_t which, uint32_t next)
{
    const uint32_t n = p->object.n_properties;
    const uint32_t at = p->object.is_any_order ? 0 : which < n ? which + 1 : n;
    const uint32_t members =
        krs_expr_node_of(a->exprs, KRS_EXPR_KIND_MEMBERS, p->id, come_after(a, p, which), at);
    const uint32_t value =
        krs_cont_of(a, member_at(a, p, which)->value, krs_cont_of(a, members, next));
    krs_closure_push(a, krs_cont_of(a, p->object.colon, value));
}

void krs_closure_push_object(krs_automaton *a, const krs_expr_node *node, uint32_t next)
{
    const progress p = load(a, node);
    if (node->kind == KRS_EXPR_KIND_MEMBERS) {
        push_members(a, &p, next);
    } else if (node->kind == KRS_EXPR_KIND_MEMBER) {
        push_member(a, &p, next);
    } else {
        push_value(a, &p, node->c, next);
    }
}
