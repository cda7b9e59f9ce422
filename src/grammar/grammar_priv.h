/* grammar/grammar_priv.h - a finished grammar: the builder's stores, and where to begin.
 *
 * Thread: one owner. */
#pragma once

#include "grammar/builder_priv.h"
#include "grammar/grammar.h"

struct krs_grammar {
    krs_grammar_builder *b; /* owned */
    uint32_t root;          /* expression */
};

/* Fill in the flags of expressions, members and objects: what may be empty, what matches something.
 * Errors: the builder's. */
KRS_MUST_USE krs_status krs_grammar_find_productive(krs_grammar_builder *b);

/* Errors: KRS_EINVAL (a left-recursive rule), the builder's. The flags are filled in. */
KRS_MUST_USE krs_status krs_grammar_find_left_recursion(krs_grammar_builder *b);
