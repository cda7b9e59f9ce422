/* grammar/expr_store.c - nodes of expressions, each stored once; see expr_priv.h. */
#include "grammar/expr_priv.h"

krs_status krs_expr_store_init(krs_expr_store *s, krs_ledger *ledger, uint32_t max_nodes)
{
    *s = (krs_expr_store){.status = KRS_OK, .max_nodes = max_nodes};
    krs_pool_init(&s->nodes, ledger, sizeof(krs_expr_node));
    krs_pool_init(&s->lists, ledger, sizeof(uint32_t));
    krs_pool_init(&s->rules, ledger, sizeof(krs_rule_node));
    krs_pool_init(&s->objects, ledger, sizeof(krs_object_node));
    krs_pool_init(&s->members, ledger, sizeof(krs_member));
    krs_intern_init(&s->table, ledger);
    krs_intern_init(&s->come_table, ledger);
    (void)krs_expr_node_of(s, KRS_EXPR_KIND_NONE, 0, 0, 0);
    (void)krs_expr_node_of(s, KRS_EXPR_KIND_EMPTY, 0, 0, 0);
    return s->status;
}

void krs_expr_store_deinit(krs_expr_store *s)
{
    krs_pool_deinit(&s->nodes);
    krs_pool_deinit(&s->lists);
    krs_pool_deinit(&s->rules);
    krs_pool_deinit(&s->objects);
    krs_pool_deinit(&s->members);
    krs_intern_deinit(&s->table);
    krs_intern_deinit(&s->come_table);
}

void krs_expr_failed(krs_expr_store *s, krs_status status)
{
    if (s->status == KRS_OK) {
        s->status = status;
    }
}

uint64_t krs_expr_hash(const krs_expr_node *node)
{
    return krs_mix(krs_mix(krs_mix(node->kind, node->a), node->b), node->c);
}

uint32_t krs_expr_node_of(krs_expr_store *s, krs_expr_kind kind, uint32_t a, uint32_t b, uint32_t c)
{
    krs_expr_node node = {.kind = (uint8_t)kind, .flags = KRS_EXPR_PRODUCTIVE, .a = a, .b = b};
    node.c = c;
    const uint64_t hash = krs_expr_hash(&node);
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&s->table, hash, &probe)) != KRS_NO_ID) {
        const krs_expr_node *at = krs_expr_at(s, id);
        if (at->kind == (uint8_t)kind && at->a == a && at->b == b && at->c == c) {
            return id;
        }
    }
    krs_status status = s->status;
    if (status == KRS_OK) {
        status = s->nodes.n < s->max_nodes ? krs_intern_reserve(&s->table) : KRS_ETOOLARGE;
    }
    if (status == KRS_OK) {
        status = krs_pool_push(&s->nodes, &node, 1, &id);
    }
    if (status != KRS_OK) {
        krs_expr_failed(s, status);
        return KRS_EXPR_NONE;
    }
    krs_intern_add(&s->table, hash, id);
    return id;
}

uint32_t krs_expr_list_of(krs_expr_store *s, krs_expr_kind kind, uint32_t offset, uint32_t n)
{
    if (n == 0) {
        return kind == KRS_EXPR_KIND_SEQ && s->status == KRS_OK ? KRS_EXPR_EMPTY : KRS_EXPR_NONE;
    }
    return n == 1 ? krs_expr_list_at(s, offset)[0] : krs_expr_node_of(s, kind, offset, n, 0);
}

uint32_t krs_expr_repeat_of(krs_expr_store *s, uint32_t e, uint32_t min, uint32_t max)
{
    if (min > max) {
        return KRS_EXPR_NONE;
    }
    if (max == 0 || e == KRS_EXPR_EMPTY) {
        return KRS_EXPR_EMPTY;
    }
    if (e == KRS_EXPR_NONE) {
        return min == 0 ? KRS_EXPR_EMPTY : KRS_EXPR_NONE;
    }
    if (min == 1 && max == 1) {
        return e;
    }
    return krs_expr_node_of(s, KRS_EXPR_KIND_REPEAT, e, min, max);
}
