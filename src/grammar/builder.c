/* grammar/builder.c - see builder.h and builder_priv.h. */
#include "grammar/builder_priv.h"

#include <stdio.h>

krs_status krs_grammar_builder_new(const krs_grammar_limits *limits, const krs_alloc *alloc,
                                   krs_grammar_builder **out)
{
    *out = NULL;
    krs_grammar_builder *b = krs_alloc_zero(alloc, sizeof(*b));
    if (!b) {
        return KRS_ENOMEM;
    }
    b->limits = limits ? *limits : (krs_grammar_limits)KRS_GRAMMAR_LIMITS_INIT;
    b->alloc = alloc;
    b->ledger = (krs_ledger){.alloc = alloc, .max_bytes = b->limits.max_bytes};
    krs_status status =
        krs_regex_store_init(&b->regexes, &b->ledger, b->limits.max_nodes, b->limits.max_steps);
    if (status == KRS_OK) {
        status = krs_expr_store_init(&b->exprs, &b->ledger, b->limits.max_nodes);
    }
    if (status != KRS_OK) {
        krs_grammar_builder_free(b);
        return KRS_ENOMEM; /* nothing is built yet, so no limit of sense is met */
    }
    *out = b;
    return KRS_OK;
}

void krs_grammar_builder_free(krs_grammar_builder *b)
{
    if (b) {
        krs_regex_store_deinit(&b->regexes);
        krs_expr_store_deinit(&b->exprs);
        krs_alloc_free(b->alloc, b);
    }
}

void krs_grammar_builder_fail(krs_grammar_builder *b, krs_status status, const char *format, ...)
{
    if (b->status != KRS_OK) {
        return;
    }
    char text[KRS_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    b->status = krs_fail(&b->err, status, "%s", text);
}

/* The story of what a store could not do. */
static void take_over(krs_grammar_builder *b, krs_status status)
{
    switch (status) {
    case KRS_EDEADLINE:
        krs_grammar_builder_fail(b, KRS_ETOOLARGE, "grammar: too hard, more than %u steps",
                                 b->limits.max_steps);
        break;
    case KRS_EUNSUPPORTED:
        krs_grammar_builder_fail(b, KRS_ETOOLARGE, "grammar: a regex nested deeper than %d",
                                 KRS_REGEX_MAX_DEPTH);
        break;
    case KRS_ETOOLARGE:
        krs_grammar_builder_fail(b, KRS_ETOOLARGE, "grammar: more than %u nodes or %zu bytes",
                                 b->limits.max_nodes, b->limits.max_bytes);
        break;
    default:
        krs_grammar_builder_fail(b, status, "grammar: no memory");
        break;
    }
}

bool krs_builder_is_ok(krs_grammar_builder *b)
{
    if (b->status == KRS_OK && b->regexes.status != KRS_OK) {
        take_over(b, b->regexes.status);
    }
    if (b->status == KRS_OK && b->exprs.status != KRS_OK) {
        take_over(b, b->exprs.status);
    }
    return b->status == KRS_OK;
}

krs_status krs_grammar_builder_status(const krs_grammar_builder *b, krs_error *err)
{
    if (b->status != KRS_OK && err) {
        *err = b->err;
    }
    return b->status;
}

krs_regex krs_builder_regex(krs_grammar_builder *b, uint32_t id)
{
    return (krs_regex){krs_builder_is_ok(b) ? id : KRS_REGEX_NONE};
}

krs_expr krs_builder_expr(krs_grammar_builder *b, uint32_t id)
{
    return (krs_expr){krs_builder_is_ok(b) ? id : KRS_EXPR_NONE};
}
