/* grammar/grammar.c - the end of building; see grammar.h. */
#include "grammar/grammar_priv.h"

/* Every rule has its expression. */
static void check_rules(krs_grammar_builder *b)
{
    for (uint32_t i = 0; i < b->exprs.rules.n; i++) {
        const krs_rule_node *rule = krs_rule_at(&b->exprs, i);
        if (!rule->is_defined) {
            krs_grammar_builder_fail(b, KRS_EINVAL, "grammar: rule %s is not defined", rule->name);
        }
    }
}

static krs_status check(krs_grammar_builder *b, krs_expr root, krs_error *err)
{
    check_rules(b);
    krs_status status = krs_builder_is_ok(b) ? KRS_OK : b->status;
    if (status == KRS_OK) {
        status = krs_grammar_find_productive(b);
    }
    if (status == KRS_OK) {
        status = krs_grammar_find_left_recursion(b);
    }
    if (status == KRS_OK && !(krs_expr_at(&b->exprs, root.id)->flags & KRS_EXPR_PRODUCTIVE)) {
        krs_grammar_builder_fail(b, KRS_EINVAL, "grammar: no text matches it");
    }
    return krs_grammar_builder_status(b, err);
}

krs_status krs_grammar_build(krs_grammar_builder *b, krs_expr root, krs_grammar **out,
                             krs_error *err)
{
    *out = NULL;
    const krs_status status = check(b, root, err);
    krs_grammar *grammar = status == KRS_OK ? krs_alloc_zero(b->alloc, sizeof(*grammar)) : NULL;
    if (!grammar) {
        krs_grammar_builder_free(b);
        return status != KRS_OK ? status : krs_fail(err, KRS_ENOMEM, "grammar: no memory");
    }
    *grammar = (krs_grammar){.b = b, .root = root.id};
    *out = grammar;
    return KRS_OK;
}

void krs_grammar_free(krs_grammar *grammar)
{
    if (grammar) {
        const krs_alloc *alloc = grammar->b->alloc;
        krs_grammar_builder_free(grammar->b);
        krs_alloc_free(alloc, grammar);
    }
}

size_t krs_grammar_n_bytes(const krs_grammar *grammar)
{
    return grammar->b->ledger.n_bytes + sizeof(*grammar) + sizeof(*grammar->b);
}
