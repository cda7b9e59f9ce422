/* grammar/grammar.h - a finished grammar: checked once, then followed by automata.
 *
 * Building ends here. The checks are those that make following it safe: every rule is defined, no rule
 * begins with itself (left recursion would expand forever), and something matches at all; parts that can
 * never be finished (a rule without an end, a required property of no value) are cut out, so that no mask
 * leads into them.
 *
 * Thread: one owner at a time; it may be made on one thread and moved to another.  Memory: the builder's
 * stores, taken over. */
#pragma once

#include "grammar/expr.h"

typedef struct krs_grammar krs_grammar;

/* Finish: `root` is what whole texts must match. Takes the builder over in every case, also when it fails.
 * Errors: the builder's sticky one; KRS_EINVAL (a rule, by name: not defined, or left-recursive; or nothing
 * matches); KRS_ETOOLARGE (steps).  Cost: linear in what was built. */
KRS_MUST_USE krs_status krs_grammar_build(krs_grammar_builder *b, krs_expr root, krs_grammar **out,
                                          krs_error *err);
void krs_grammar_free(krs_grammar *grammar);

/* Bytes held, for caches that count. */
size_t krs_grammar_n_bytes(const krs_grammar *grammar);
