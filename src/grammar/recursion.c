/* grammar/recursion.c - a rule that begins with itself is refused.
 *
 * What an expression begins with is expanded when a text comes there, with nothing read in between; so what
 * begins with itself would be expanded without end. The search is depth first over "may begin with", with
 * its own stack, since the nesting is a stranger's choice. */
#include "grammar/grammar_priv.h"

enum { NEW, OPEN, DONE }; /* of a node: not met, on the way here, nothing wrong below */

typedef struct frame {
    uint32_t expr;
    uint32_t next; /* child to look at */
} frame;

typedef struct hunt {
    krs_grammar_builder *b;
    uint8_t *colors; /* [nodes] */
    krs_pool stack;  /* frame */
} hunt;

static bool is_nullable(const krs_expr_store *s, uint32_t e)
{
    return (krs_expr_at(s, e)->flags & KRS_EXPR_NULLABLE) != 0;
}

/* The i-th child with which a sequence may begin, or KRS_NO_ID: all before it may be empty. */
static uint32_t seq_child(const krs_expr_store *s, const krs_expr_node *node, uint32_t i)
{
    const uint32_t *list = krs_expr_list_at(s, node->a);
    const bool is_reached = i < node->b && (i == 0 || is_nullable(s, list[i - 1]));
    return is_reached ? list[i] : KRS_NO_ID;
}

/* An object begins with `open`, or with what may follow an empty one. Keys are lexemes and never empty. */
static uint32_t object_child(const krs_expr_store *s, const krs_expr_node *node, uint32_t i)
{
    const krs_object_node *object = krs_object_at(s, node->a);
    if (i == 0) {
        return object->open;
    }
    return i == 1 && is_nullable(s, object->open) ? object->close : KRS_NO_ID;
}

/* The i-th expression with which this one may begin, or KRS_NO_ID after the last. */
static uint32_t child_of(const krs_expr_store *s, const krs_expr_node *node, uint32_t i)
{
    switch ((krs_expr_kind)node->kind) {
    case KRS_EXPR_KIND_SEQ:
        return seq_child(s, node, i);
    case KRS_EXPR_KIND_ALT:
        return i < node->b ? krs_expr_list_at(s, node->a)[i] : KRS_NO_ID;
    case KRS_EXPR_KIND_REPEAT:
        return i == 0 ? node->a : KRS_NO_ID;
    case KRS_EXPR_KIND_RULE:
        return i == 0 ? krs_rule_at(s, node->a)->expr : KRS_NO_ID;
    case KRS_EXPR_KIND_OBJECT:
        return object_child(s, node, i);
    default:
        return KRS_NO_ID;
    }
}

static krs_status enter(hunt *h, uint32_t e)
{
    const frame entered = {.expr = e};
    uint32_t at;
    h->colors[e] = OPEN;
    return krs_pool_push(&h->stack, &entered, 1, &at);
}

/* The name of a rule on the way that ends in a circle: every circle has one. */
static krs_status refuse(hunt *h)
{
    const frame *frames = h->stack.items;
    uint32_t i = h->stack.n;
    const krs_expr_node *node;
    do {
        node = krs_expr_at(&h->b->exprs, frames[--i].expr);
    } while (i > 0 && node->kind != KRS_EXPR_KIND_RULE);
    krs_grammar_builder_fail(
        h->b, KRS_EINVAL, "grammar: rule %s may begin with itself (left recursion)",
        node->kind == KRS_EXPR_KIND_RULE ? krs_rule_at(&h->b->exprs, node->a)->name : "");
    return KRS_EINVAL;
}

static krs_status search_from(hunt *h, uint32_t e)
{
    krs_status status = enter(h, e);
    while (status == KRS_OK && h->stack.n > 0) {
        frame *top = (frame *)h->stack.items + h->stack.n - 1;
        const uint32_t child =
            child_of(&h->b->exprs, krs_expr_at(&h->b->exprs, top->expr), top->next++);
        if (child == KRS_NO_ID) {
            h->colors[top->expr] = DONE;
            h->stack.n--;
        } else if (h->colors[child] == OPEN) {
            status = refuse(h);
        } else if (h->colors[child] == NEW) {
            status = enter(h, child);
        }
    }
    return status;
}

krs_status krs_grammar_find_left_recursion(krs_grammar_builder *b)
{
    const uint32_t n = b->exprs.nodes.n;
    hunt h = {.b = b, .colors = krs_alloc_array(b->alloc, n, 1)};
    krs_pool_init(&h.stack, &b->ledger, sizeof(frame));
    krs_status status = h.colors ? KRS_OK : KRS_ENOMEM;
    for (uint32_t i = 0; i < n && status == KRS_OK; i++) {
        if (h.colors[i] == NEW) {
            status = search_from(&h, i);
        }
    }
    krs_pool_deinit(&h.stack);
    krs_alloc_free(b->alloc, h.colors);
    if (status != KRS_OK && b->status == KRS_OK) {
        krs_expr_failed(&b->exprs, status);
        (void)krs_builder_is_ok(b);
    }
    return krs_grammar_builder_status(b, NULL);
}
