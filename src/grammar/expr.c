/* grammar/expr.c - expressions for those who build them; see expr.h. */
#include "grammar/expr.h"

#include "grammar/builder_priv.h"

krs_expr krs_expr_none(krs_grammar_builder *b)
{
    return krs_builder_expr(b, KRS_EXPR_NONE);
}

krs_expr krs_expr_empty(krs_grammar_builder *b)
{
    return krs_builder_expr(b, KRS_EXPR_EMPTY);
}

krs_expr krs_expr_lexeme(krs_grammar_builder *b, krs_regex regex)
{
    if (!krs_builder_is_ok(b) || regex.id == KRS_REGEX_NONE) {
        return krs_expr_none(b);
    }
    if (regex.id == KRS_REGEX_EMPTY) {
        return krs_expr_empty(b);
    }
    return krs_builder_expr(b, krs_expr_node_of(&b->exprs, KRS_EXPR_KIND_LEXEME, regex.id, 0, 0));
}

krs_expr krs_expr_literal(krs_grammar_builder *b, krs_str text)
{
    return krs_expr_lexeme(b, krs_regex_literal(b, text));
}

/* parts[n] at the end of the store's lists, without those that are `dropped`. */
static bool push_parts(krs_grammar_builder *b, const krs_expr *parts, size_t n, uint32_t dropped,
                       uint32_t *offset)
{
    krs_expr_store *s = &b->exprs;
    *offset = s->lists.n;
    const krs_status status =
        n < KRS_NO_ID ? krs_pool_reserve(&s->lists, (uint32_t)n) : KRS_ETOOLARGE;
    if (status != KRS_OK) {
        krs_expr_failed(s, status);
        return false;
    }
    uint32_t *list = s->lists.items;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].id != dropped) {
            list[s->lists.n++] = parts[i].id;
        }
    }
    return true;
}

static krs_expr list_expr(krs_grammar_builder *b, krs_expr_kind kind, const krs_expr *parts,
                          size_t n)
{
    krs_expr_store *s = &b->exprs;
    const uint32_t unit = kind == KRS_EXPR_KIND_SEQ ? KRS_EXPR_EMPTY : KRS_EXPR_NONE;
    uint32_t offset;
    if (!krs_builder_is_ok(b) || !push_parts(b, parts, n, unit, &offset)) {
        return krs_expr_none(b);
    }
    const uint32_t n_kept = s->lists.n - offset;
    const uint32_t id = krs_expr_list_of(s, kind, offset, n_kept);
    if (n_kept < 2) {
        s->lists.n = offset; /* no list after all */
    }
    return krs_builder_expr(b, id);
}

krs_expr krs_expr_seq(krs_grammar_builder *b, const krs_expr *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i].id == KRS_EXPR_NONE) {
            return krs_expr_none(b);
        }
    }
    return list_expr(b, KRS_EXPR_KIND_SEQ, parts, n);
}

krs_expr krs_expr_alt(krs_grammar_builder *b, const krs_expr *parts, size_t n)
{
    return list_expr(b, KRS_EXPR_KIND_ALT, parts, n);
}

krs_expr krs_expr_repeat(krs_grammar_builder *b, krs_expr e, uint32_t min, uint32_t max)
{
    return krs_builder_expr(b, krs_expr_repeat_of(&b->exprs, e.id, min, max));
}

krs_rule krs_expr_declare(krs_grammar_builder *b, krs_str name)
{
    krs_rule_node node = {.is_defined = false};
    const size_t n = name.len < KRS_RULE_NAME_BYTES ? name.len : KRS_RULE_NAME_BYTES;
    if (n > 0) {
        memcpy(node.name, name.ptr, n);
    }
    krs_rule rule = {0};
    if (krs_builder_is_ok(b)) {
        const krs_status status = krs_pool_push(&b->exprs.rules, &node, 1, &rule.id);
        if (status != KRS_OK) {
            krs_expr_failed(&b->exprs, status);
        }
    }
    return rule;
}

krs_expr krs_expr_rule(krs_grammar_builder *b, krs_rule rule)
{
    return krs_builder_expr(b, krs_expr_node_of(&b->exprs, KRS_EXPR_KIND_RULE, rule.id, 0, 0));
}

void krs_expr_define(krs_grammar_builder *b, krs_rule rule, krs_expr e)
{
    if (!krs_builder_is_ok(b)) {
        return;
    }
    krs_rule_node *node = (krs_rule_node *)b->exprs.rules.items + rule.id;
    if (node->is_defined) {
        krs_grammar_builder_fail(b, KRS_EINVAL, "grammar: rule %s is defined twice", node->name);
        return;
    }
    node->is_defined = true;
    node->expr = e.id;
}

/* The members of an object, behind each other; false after a failure. */
static bool push_members(krs_grammar_builder *b, const krs_expr_object *spec, uint32_t *first)
{
    krs_expr_store *s = &b->exprs;
    *first = s->members.n;
    for (size_t i = 0; i < spec->n_properties + spec->n_further; i++) {
        const bool is_declared = i < spec->n_properties;
        const size_t kind = is_declared ? 0 : i - spec->n_properties;
        const krs_regex key = is_declared ? spec->properties[i].key : spec->further[kind].key;
        const krs_expr value = is_declared ? spec->properties[i].value : spec->further[kind].value;
        const bool is_required = is_declared && spec->properties[i].is_required;
        if (krs_regex_is_nullable(b, key)) {
            krs_grammar_builder_fail(b, KRS_EINVAL, "grammar: key %zu of an object may be empty",
                                     i);
            return false;
        }
        const krs_member member = {.key = krs_expr_lexeme(b, key).id,
                                   .value = value.id,
                                   .flags = is_required ? KRS_MEMBER_REQUIRED : 0};
        uint32_t at;
        const krs_status status = krs_pool_push(&s->members, &member, 1, &at);
        if (status != KRS_OK) {
            krs_expr_failed(s, status);
            return false;
        }
    }
    return krs_builder_is_ok(b);
}

krs_expr krs_expr_object_of(krs_grammar_builder *b, const krs_expr_object *spec)
{
    if (spec->n_properties > KRS_EXPR_MAX_PROPERTIES || spec->n_further > KRS_EXPR_MAX_PROPERTIES) {
        krs_grammar_builder_fail(b, KRS_ETOOLARGE,
                                 "grammar: an object of %zu properties and %zu further kinds, "
                                 "limit %d",
                                 spec->n_properties, spec->n_further, KRS_EXPR_MAX_PROPERTIES);
    }
    krs_object_node node = {.n_properties = (uint32_t)spec->n_properties,
                            .n_further = (uint32_t)spec->n_further,
                            .min_count = spec->min_count,
                            .max_count = spec->max_count,
                            .open = spec->open.id,
                            .close = spec->close.id,
                            .separator = spec->separator.id,
                            .colon = spec->colon.id,
                            .is_any_order = spec->is_any_order};
    if (!krs_builder_is_ok(b) || !push_members(b, spec, &node.members)) {
        return krs_expr_none(b);
    }
    uint32_t at;
    const krs_status status = krs_pool_push(&b->exprs.objects, &node, 1, &at);
    if (status != KRS_OK) {
        krs_expr_failed(&b->exprs, status);
        return krs_expr_none(b);
    }
    return krs_builder_expr(b, krs_expr_node_of(&b->exprs, KRS_EXPR_KIND_OBJECT, at, 0, 0));
}
