/* grammar/regex_store.c - nodes of regexes, each stored once; see regex_priv.h.
 *
 * The simplifications are those that keep derivatives few and cost nothing: units, zeros, flat sorted
 * lists. Deeper ones (common factors, inclusion) would cost more than they save. */
#include "grammar/regex_priv.h"

#include <string.h>

#define STEPS_A_NODE                                                                               \
    4u /* made: it is looked for first, and its place in the table is in no cache */

void krs_regex_failed(krs_regex_store *s, krs_status status)
{
    if (s->status == KRS_OK) {
        s->status = status;
    }
}

uint64_t krs_regex_hash(const krs_regex_store *s, const krs_regex_node *node)
{
    uint64_t hash = krs_mix(node->kind, node->a);
    if (node->kind == KRS_REGEX_KIND_OR || node->kind == KRS_REGEX_KIND_AND) {
        const krs_str members = {(const char *)krs_regex_list_at(s, node->a),
                                 node->b * sizeof(uint32_t)};
        return krs_mix(node->kind, krs_str_hash(members, node->b));
    }
    return krs_mix(krs_mix(hash, node->b), node->c);
}

static bool same_node(const krs_regex_store *s, const krs_regex_node *x, const krs_regex_node *y)
{
    if (x->kind != y->kind || x->b != y->b) {
        return false;
    }
    if (x->kind == KRS_REGEX_KIND_OR || x->kind == KRS_REGEX_KIND_AND) {
        return memcmp(krs_regex_list_at(s, x->a), krs_regex_list_at(s, y->a),
                      x->b * sizeof(uint32_t)) == 0;
    }
    return x->a == y->a && x->c == y->c;
}

/* Flags and depth of OR and AND. */
static void describe_list(const krs_regex_store *s, krs_regex_node *node)
{
    const bool is_and = node->kind == KRS_REGEX_KIND_AND;
    unsigned any = 0;
    unsigned all = KRS_REGEX_NULLABLE;
    for (uint32_t i = 0; i < node->b; i++) {
        const krs_regex_node *member = krs_regex_at(s, krs_regex_list_at(s, node->a)[i]);
        any |= member->flags;
        all &= member->flags;
        node->depth = member->depth >= node->depth ? (uint16_t)(member->depth + 1) : node->depth;
    }
    const unsigned hard = is_and ? (unsigned)KRS_REGEX_HARD : any & KRS_REGEX_HARD;
    node->flags = (uint8_t)(hard | ((is_and ? all : any) & KRS_REGEX_NULLABLE));
}

/* Flags and depth: all that is kept about a node beside its operands. */
static void describe(const krs_regex_store *s, krs_regex_node *node)
{
    const krs_regex_node *a = node->kind >= KRS_REGEX_KIND_CAT ? krs_regex_at(s, node->a) : NULL;
    switch ((krs_regex_kind)node->kind) {
    case KRS_REGEX_KIND_WORDS: {
        const krs_word *first = (const krs_word *)s->words.items + node->a;
        node->flags = first->len == node->c ? KRS_REGEX_NULLABLE : 0;
        break;
    }
    case KRS_REGEX_KIND_CAT: {
        const krs_regex_node *rest = krs_regex_at(s, node->b);
        node->flags = (uint8_t)((a->flags & rest->flags & KRS_REGEX_NULLABLE) |
                                ((a->flags | rest->flags) & KRS_REGEX_HARD));
        /* Whoever recurses goes into the first part and loops over the rest. */
        node->depth = a->depth >= rest->depth ? (uint16_t)(a->depth + 1) : rest->depth;
        break;
    }
    case KRS_REGEX_KIND_OR:
    case KRS_REGEX_KIND_AND:
        describe_list(s, node);
        break;
    case KRS_REGEX_KIND_NOT:
        node->flags =
            a->flags & KRS_REGEX_NULLABLE ? KRS_REGEX_HARD : KRS_REGEX_HARD | KRS_REGEX_NULLABLE;
        node->depth = (uint16_t)(a->depth + 1);
        break;
    case KRS_REGEX_KIND_REPEAT:
        node->flags = (uint8_t)(a->flags & (KRS_REGEX_NULLABLE | KRS_REGEX_HARD));
        node->flags |= node->b == 0 ? KRS_REGEX_NULLABLE : 0;
        node->depth = (uint16_t)(a->depth + 1);
        break;
    default:
        node->flags = node->kind == KRS_REGEX_KIND_EMPTY || node->kind == KRS_REGEX_KIND_ANY
                          ? KRS_REGEX_NULLABLE
                          : 0;
        break;
    }
}

static uint32_t find_node(const krs_regex_store *s, uint64_t hash, const krs_regex_node *node)
{
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&s->node_table, hash, &probe)) != KRS_NO_ID) {
        if (same_node(s, krs_regex_at(s, id), node)) {
            break;
        }
    }
    return id;
}

uint32_t krs_regex_node_of(krs_regex_store *s, krs_regex_node node)
{
    const uint64_t hash = krs_regex_hash(s, &node);
    uint32_t id = find_node(s, hash, &node);
    if (id != KRS_NO_ID || s->status != KRS_OK) {
        return id != KRS_NO_ID ? id : KRS_REGEX_NONE;
    }
    describe(s, &node);
    krs_status status = KRS_OK;
    if (!krs_regex_steps(s, STEPS_A_NODE)) {
        status = s->status;
    } else if (node.depth > KRS_REGEX_MAX_DEPTH) {
        status = KRS_EUNSUPPORTED;
    } else if (s->nodes.n >= s->max_nodes) {
        status = KRS_ETOOLARGE;
    } else {
        status = krs_intern_reserve(&s->node_table);
    }
    if (status == KRS_OK) {
        status = krs_pool_push(&s->nodes, &node, 1, &id);
    }
    if (status != KRS_OK) {
        krs_regex_failed(s, status);
        return KRS_REGEX_NONE;
    }
    krs_intern_add(&s->node_table, hash, id);
    return id;
}

uint32_t krs_regex_set_of(krs_regex_store *s, const krs_byte_set *set)
{
    if ((set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]) == 0) {
        return KRS_REGEX_NONE;
    }
    const uint64_t hash =
        krs_mix(krs_mix(krs_mix(set->bits[0], set->bits[1]), set->bits[2]), set->bits[3]);
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&s->set_table, hash, &probe)) != KRS_NO_ID) {
        if (memcmp(krs_regex_set_at(s, id), set, sizeof(*set)) == 0) {
            break;
        }
    }
    if (id == KRS_NO_ID) {
        krs_status status = krs_intern_reserve(&s->set_table);
        if (status == KRS_OK) {
            status = krs_pool_push(&s->sets, set, 1, &id);
        }
        if (status != KRS_OK) {
            krs_regex_failed(s, status);
            return KRS_REGEX_NONE;
        }
        krs_intern_add(&s->set_table, hash, id);
    }
    return krs_regex_node_of(s, (krs_regex_node){.kind = KRS_REGEX_KIND_SET, .a = id});
}

uint32_t krs_regex_tail_of(krs_regex_store *s, uint32_t offset, uint32_t len)
{
    if (len == 0) {
        return KRS_REGEX_EMPTY;
    }
    return krs_regex_node_of(
        s, (krs_regex_node){.kind = KRS_REGEX_KIND_LITERAL, .a = offset, .b = len});
}

/* The literal of this text that is there already, or KRS_NO_ID. hash: of the text. */
static uint32_t find_literal(const krs_regex_store *s, uint64_t hash, krs_str text)
{
    uint32_t probe = 0;
    uint32_t id;
    while ((id = krs_intern_next(&s->node_table, hash, &probe)) != KRS_NO_ID) {
        const krs_regex_node *node = krs_regex_at(s, id);
        if (node->kind == KRS_REGEX_KIND_LITERAL && node->b == text.len &&
            memcmp(krs_regex_bytes_at(s, node->a), text.ptr, text.len) == 0) {
            break;
        }
    }
    return id;
}

/* A text is found by its bytes (a second entry in the table), so that a key that occurs in a hundred
 * objects is one node. */
uint32_t krs_regex_literal_of(krs_regex_store *s, krs_str text)
{
    if (text.len == 0 || s->status != KRS_OK) {
        return text.len == 0 ? KRS_REGEX_EMPTY : KRS_REGEX_NONE;
    }
    const uint64_t hash = krs_mix(KRS_REGEX_KIND_LITERAL, krs_str_hash(text, 0));
    uint32_t id = find_literal(s, hash, text);
    if (id != KRS_NO_ID) {
        return id;
    }
    uint32_t offset = 0;
    krs_status status = text.len < KRS_NO_ID ? krs_intern_reserve(&s->node_table) : KRS_ETOOLARGE;
    if (status == KRS_OK) {
        status = krs_pool_push(&s->bytes, text.ptr, (uint32_t)text.len, &offset);
    }
    if (status != KRS_OK) {
        krs_regex_failed(s, status);
        return KRS_REGEX_NONE;
    }
    id = krs_regex_tail_of(s, offset, (uint32_t)text.len);
    if (s->status == KRS_OK && krs_intern_reserve(&s->node_table) == KRS_OK) {
        krs_intern_add(&s->node_table, hash, id); /* without it, only found less often */
    }
    return id;
}

uint32_t krs_regex_cat_of(krs_regex_store *s, uint32_t first, uint32_t rest)
{
    if (first == KRS_REGEX_NONE || rest == KRS_REGEX_NONE) {
        return KRS_REGEX_NONE;
    }
    if (first == KRS_REGEX_EMPTY || (first == KRS_REGEX_ANY && rest == KRS_REGEX_ANY)) {
        return rest;
    }
    if (rest == KRS_REGEX_EMPTY) {
        return first;
    }
    return krs_regex_node_of(s,
                             (krs_regex_node){.kind = KRS_REGEX_KIND_CAT, .a = first, .b = rest});
}

uint32_t krs_regex_not_of(krs_regex_store *s, uint32_t r)
{
    if (r == KRS_REGEX_NONE || r == KRS_REGEX_ANY) {
        return r == KRS_REGEX_NONE && s->status == KRS_OK ? KRS_REGEX_ANY : KRS_REGEX_NONE;
    }
    if (krs_regex_at(s, r)->kind == KRS_REGEX_KIND_NOT) {
        return krs_regex_at(s, r)->a;
    }
    return krs_regex_node_of(s, (krs_regex_node){.kind = KRS_REGEX_KIND_NOT, .a = r});
}

/* (r*)*, (r+)* and the like are one repeat. */
static krs_regex_node fold_repeat(const krs_regex_store *s, krs_regex_node outer)
{
    const krs_regex_node *inner = krs_regex_at(s, outer.a);
    const bool is_endless = inner->kind == KRS_REGEX_KIND_REPEAT && inner->c == KRS_REGEX_INF &&
                            outer.c == KRS_REGEX_INF;
    if (is_endless && inner->b <= 1 && outer.b <= 1) {
        outer.b = outer.b == 0 ? 0 : inner->b;
        outer.a = inner->a;
    }
    return outer;
}

uint32_t krs_regex_repeat_of(krs_regex_store *s, uint32_t r, uint32_t min, uint32_t max)
{
    if (min > max || (r == KRS_REGEX_NONE && min > 0)) {
        return KRS_REGEX_NONE;
    }
    if (max == 0 || r == KRS_REGEX_EMPTY || r == KRS_REGEX_NONE) {
        return KRS_REGEX_EMPTY;
    }
    if (r == KRS_REGEX_ANY || (min == 1 && max == 1)) {
        return r;
    }
    const krs_regex_node node = {.kind = KRS_REGEX_KIND_REPEAT, .a = r, .b = min, .c = max};
    return krs_regex_node_of(s, fold_repeat(s, node));
}

krs_status krs_regex_store_init(krs_regex_store *s, krs_ledger *ledger, uint32_t max_nodes,
                                uint32_t max_steps)
{
    *s = (krs_regex_store){.status = KRS_OK, .max_nodes = max_nodes, .steps_left = max_steps};
    krs_pool_init(&s->nodes, ledger, sizeof(krs_regex_node));
    krs_pool_init(&s->sets, ledger, sizeof(krs_byte_set));
    krs_pool_init(&s->bytes, ledger, 1);
    krs_pool_init(&s->words, ledger, sizeof(krs_word));
    krs_pool_init(&s->lists, ledger, sizeof(uint32_t));
    krs_pool_init(&s->scratch, ledger, sizeof(uint32_t));
    krs_intern_init(&s->node_table, ledger);
    krs_intern_init(&s->set_table, ledger);
    s->memo = krs_alloc_array(ledger->alloc, KRS_REGEX_MEMO, sizeof(*s->memo));
    s->classes = krs_alloc_array(ledger->alloc, KRS_REGEX_CLASSES, sizeof(*s->classes));
    if (!s->memo || !s->classes) {
        return KRS_ENOMEM;
    }
    for (int kind = KRS_REGEX_KIND_NONE; kind <= KRS_REGEX_KIND_ANY; kind++) {
        krs_regex_node_of(s, (krs_regex_node){.kind = (uint8_t)kind});
    }
    return s->status;
}

void krs_regex_store_deinit(krs_regex_store *s)
{
    if (s->nodes.ledger) {
        krs_alloc_free(s->nodes.ledger->alloc, s->memo);
        krs_alloc_free(s->nodes.ledger->alloc, s->classes);
    }
    krs_pool_deinit(&s->nodes);
    krs_pool_deinit(&s->sets);
    krs_pool_deinit(&s->bytes);
    krs_pool_deinit(&s->words);
    krs_pool_deinit(&s->lists);
    krs_pool_deinit(&s->scratch);
    krs_intern_deinit(&s->node_table);
    krs_intern_deinit(&s->set_table);
}

void krs_regex_store_forget(krs_regex_store *s)
{
    memset(s->memo, 0, KRS_REGEX_MEMO * sizeof(*s->memo));
    memset(s->classes, 0, KRS_REGEX_CLASSES * sizeof(*s->classes));
}
