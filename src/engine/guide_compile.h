/* engine/guide_compile.h - the tree of a guidance as one expression of a grammar.
 *
 * Thread: prep threads.  Memory: the builder's; alloc's while it works. */
#pragma once

#include "api/guidance.h"
#include "base/buf.h"
#include "engine/guide_vocab.h"
#include "grammar/expr.h"

typedef struct krs_guide_compiler {
    const krs_guidance *guidance;
    const krs_guide_vocab *vocab;
    krs_grammar_builder *builder;
    const krs_alloc *alloc;
    bool is_reasoning; /* the prompt ends inside the model's reasoning */
    const char *
        *field; /* in: what errors name; out, after an error: the part's own, if it has one */
} krs_guide_compiler;

/* The guidance, which was checked, as *out. Errors: KRS_EINVAL (what its texts say and is refused: by keyword, character or line), KRS_ENOMEM; naming no
 * field. Beyond the builder's limits the builder fails. The builder is of no more use after an error. */
KRS_MUST_USE krs_status krs_guide_compile(const krs_guide_compiler *c, krs_expr *out,
                                          krs_error *err);

/* The content of a guidance in bytes: equal ones, and only those, are the same automaton. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_guide_write(const krs_guidance *guidance, bool is_reasoning,
                                        krs_buf *out);
