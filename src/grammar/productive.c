/* grammar/productive.c - which expressions may be empty, and which match anything at all.
 *
 * A rule whose every way leads back to itself has no text; nor has an object that requires a property of no
 * value. An automaton that walked into such a part could never come out, so they are found here and never
 * walked into. Both questions are least fixed points: nothing is true until it follows, and passes over all
 * nodes go on until nothing new follows. Children come before parents, so one pass is enough where no rules
 * are; with rules, one more for each rule that is used before it is defined in a chain of such.
 *
 * Passes are bounded: what is not done by then is refused. */
#include "grammar/grammar_priv.h"

#define MAX_VISITS (1u << 25) /* of nodes and members, in all passes: about 0.1 s */

typedef struct productive {
    krs_grammar_builder *b;
    uint32_t n_visits;
    bool has_changed;
} productive;

static bool has(const krs_expr_store *s, uint32_t e, unsigned flag)
{
    return (krs_expr_at(s, e)->flags & flag) != 0;
}

/* Flags that all (SEQ) or any (ALT) of the children have. */
static unsigned list_flags(const krs_expr_store *s, const krs_expr_node *node)
{
    unsigned all = KRS_EXPR_NULLABLE | KRS_EXPR_PRODUCTIVE;
    unsigned any = 0;
    for (uint32_t i = 0; i < node->b; i++) {
        const unsigned flags = krs_expr_at(s, krs_expr_list_at(s, node->a)[i])->flags;
        all &= flags;
        any |= flags;
    }
    return node->kind == KRS_EXPR_KIND_SEQ ? all : any;
}

/* Note which members are usable; how many declared ones are, and how many required ones are not. */
static uint32_t count_usable(krs_expr_store *s, krs_object_node *object)
{
    uint32_t n_missing = 0;
    object->n_usable = object->n_required = 0;
    object->has_further = false;
    for (uint32_t i = object->n_properties + object->n_further; i-- > 0;) {
        krs_member *member = (krs_member *)s->members.items + object->members + i;
        const bool is_usable =
            has(s, member->key, KRS_EXPR_PRODUCTIVE) && has(s, member->value, KRS_EXPR_PRODUCTIVE);
        const bool is_required = (member->flags & KRS_MEMBER_REQUIRED) != 0;
        member->flags |= is_usable ? KRS_MEMBER_USABLE : 0;
        if (i >= object->n_properties) {
            object->has_further = object->has_further || is_usable;
            continue;
        }
        member->usable_after = object->n_usable;
        member->required_after = object->n_required;
        object->n_usable += is_usable ? 1 : 0;
        object->n_required += is_required ? 1 : 0;
        n_missing += is_required && !is_usable ? 1 : 0;
    }
    return n_missing;
}

/* The most members that can be written, whatever max_count says. */
static uint32_t capacity(const krs_expr_store *s, const krs_object_node *object)
{
    if (!has(s, object->colon, KRS_EXPR_PRODUCTIVE)) {
        return 0;
    }
    const uint32_t n = object->has_further ? KRS_REGEX_INF : object->n_usable;
    return has(s, object->separator, KRS_EXPR_PRODUCTIVE) || n == 0 ? n : 1;
}

static unsigned object_flags(productive *p, const krs_expr_node *node)
{
    krs_expr_store *s = &p->b->exprs;
    krs_object_node *object = (krs_object_node *)s->objects.items + node->a;
    const uint32_t n_missing = count_usable(s, object);
    const uint32_t most = capacity(s, object);
    const uint32_t max = most < object->max_count ? most : object->max_count;
    p->n_visits += object->n_properties + object->n_further;
    const unsigned frame =
        krs_expr_at(s, object->open)->flags & krs_expr_at(s, object->close)->flags;
    if (n_missing > 0 || object->n_required > max || object->min_count > max) {
        return 0;
    }
    const bool has_members = object->n_required > 0 || object->min_count > 0;
    return has_members ? frame & KRS_EXPR_PRODUCTIVE : frame;
}

static unsigned lexeme_flags(productive *p, const krs_expr_node *node)
{
    bool is_known = true;
    krs_regex_store *s = &p->b->regexes;
    const bool is_never = krs_regex_is_never(s, node->a, UINT32_MAX, &is_known);
    const bool is_nullable = krs_regex_has(s, node->a, KRS_REGEX_NULLABLE);
    return (is_never ? 0u : (unsigned)KRS_EXPR_PRODUCTIVE) |
           (is_nullable ? (unsigned)KRS_EXPR_NULLABLE : 0u);
}

static unsigned flags_of(productive *p, const krs_expr_node *node)
{
    const krs_expr_store *s = &p->b->exprs;
    switch ((krs_expr_kind)node->kind) {
    case KRS_EXPR_KIND_EMPTY:
        return KRS_EXPR_NULLABLE | KRS_EXPR_PRODUCTIVE;
    case KRS_EXPR_KIND_LEXEME:
        return lexeme_flags(p, node);
    case KRS_EXPR_KIND_SEQ:
    case KRS_EXPR_KIND_ALT:
        p->n_visits += node->b;
        return list_flags(s, node);
    case KRS_EXPR_KIND_REPEAT: {
        const unsigned least = node->b == 0 ? KRS_EXPR_NULLABLE | KRS_EXPR_PRODUCTIVE : 0;
        return krs_expr_at(s, node->a)->flags | least;
    }
    case KRS_EXPR_KIND_RULE:
        return krs_expr_at(s, krs_rule_at(s, node->a)->expr)->flags;
    case KRS_EXPR_KIND_OBJECT:
        return object_flags(p, node);
    default:
        return 0;
    }
}

static void pass(productive *p)
{
    krs_expr_node *nodes = p->b->exprs.nodes.items;
    p->has_changed = false;
    for (uint32_t i = 0; i < p->b->exprs.nodes.n && p->n_visits < MAX_VISITS; i++) {
        const unsigned flags = nodes[i].flags | flags_of(p, &nodes[i]);
        p->n_visits++;
        p->has_changed = p->has_changed || flags != nodes[i].flags;
        nodes[i].flags = (uint8_t)flags;
    }
}

/* An object whose members cannot be separated (or written) has one (or none): its counts are exact. */
static void bound_counts(krs_expr_store *s)
{
    krs_object_node *objects = s->objects.items;
    for (uint32_t i = 0; i < s->objects.n; i++) {
        (void)count_usable(s, &objects[i]);
        const uint32_t most = capacity(s, &objects[i]);
        if (most <= 1 && most < objects[i].max_count) {
            objects[i].max_count = most;
        }
    }
}

krs_status krs_grammar_find_productive(krs_grammar_builder *b)
{
    productive p = {.b = b};
    krs_expr_node *nodes = b->exprs.nodes.items;
    for (uint32_t i = 0; i < b->exprs.nodes.n; i++) {
        nodes[i].flags = 0;
    }
    do {
        pass(&p);
    } while (p.has_changed && p.n_visits < MAX_VISITS && krs_builder_is_ok(b));
    if (p.n_visits >= MAX_VISITS) {
        krs_grammar_builder_fail(b, KRS_ETOOLARGE,
                                 "grammar: rules too entangled, more than %u steps to see through",
                                 MAX_VISITS);
    }
    bound_counts(&b->exprs);
    return krs_grammar_builder_status(b, NULL);
}
