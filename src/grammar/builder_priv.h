/* grammar/builder_priv.h - what a builder is: the two stores, their ledger, and the first failure.
 *
 * A finished grammar and its automaton go on with the same stores: what an automaton makes while it follows
 * texts are nodes like the others, above those that were built.
 *
 * Thread: one owner. */
#pragma once

#include "grammar/expr_priv.h"

struct krs_grammar_builder {
    const krs_alloc *alloc;
    krs_ledger ledger;
    krs_regex_store regexes;
    krs_expr_store exprs;
    krs_grammar_limits limits;
    krs_error err; /* the first failure, when status is not KRS_OK */
    krs_status status;
};

/* Nothing is done any more once it has failed. Takes a store's failure over. */
bool krs_builder_is_ok(krs_grammar_builder *b);

/* A regex of a store, checked: what goes out of a constructor. */
krs_regex krs_builder_regex(krs_grammar_builder *b, uint32_t id);
krs_expr krs_builder_expr(krs_grammar_builder *b, uint32_t id);
