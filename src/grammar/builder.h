/* grammar/builder.h - the store in which regexes and expressions are built, with one error for all.
 *
 * A schema of a thousand keywords makes a hundred thousand calls to constructors; none of them need be
 * checked. The first failure sticks: every later call returns its "matches nothing" and does no work, and
 * krs_grammar_build, or krs_grammar_builder_status, tells the story once. What is built are values (ids
 * into the store), equal parts are stored once, and nothing is freed before the store is.
 *
 * Everything is bounded by krs_grammar_limits, because schemas and patterns come from strangers: a
 * constructor costs what its arguments' length is, and the questions that could cost more (is a regex
 * empty?) count steps.
 *
 * Thread: one owner.  Memory: what the limits allow, from alloc; released by _free, or taken over by
 * krs_grammar_build. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

typedef struct krs_grammar_builder krs_grammar_builder;

/* A regular expression over bytes, of one builder. A value: copy freely. */
typedef struct krs_regex {
    uint32_t id;
} krs_regex;

/* An expression (what a schema, a rule or a whole grammar is), of one builder. A value. */
typedef struct krs_expr {
    uint32_t id;
} krs_expr;

/* A name for an expression that is not built yet, of one builder. A value. */
typedef struct krs_rule {
    uint32_t id;
} krs_rule;

#define KRS_GRAMMAR_MAX_NODES (1u << 20)   /* an enum of 10^5 words takes 10^5 and little more */
#define KRS_GRAMMAR_MAX_BYTES (64ul << 20) /* of all stores; the node ceiling is met at 40 MiB */
#define KRS_GRAMMAR_MAX_STEPS (1u << 23)   /* node visits of costly questions: about 0.1 s in all */

typedef struct krs_grammar_limits {
    uint32_t max_nodes; /* regexes and expressions together */
    size_t max_bytes;   /* of the stores, as allocated */
    uint32_t max_steps; /* see KRS_GRAMMAR_MAX_STEPS */
} krs_grammar_limits;

#define KRS_GRAMMAR_LIMITS_INIT                                                                    \
    {                                                                                              \
        .max_nodes = KRS_GRAMMAR_MAX_NODES, .max_bytes = KRS_GRAMMAR_MAX_BYTES,                    \
        .max_steps = KRS_GRAMMAR_MAX_STEPS,                                                        \
    }

/* An empty builder. limits: NULL for the defaults; alloc: borrowed, NULL = heap. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_grammar_builder_new(const krs_grammar_limits *limits,
                                                const krs_alloc *alloc, krs_grammar_builder **out);
void krs_grammar_builder_free(krs_grammar_builder *b);

/* KRS_OK, or the first failure with its story in err: KRS_ENOMEM; KRS_ETOOLARGE (a limit, named);
 * KRS_EINVAL (a constructor's argument, named). */
KRS_MUST_USE krs_status krs_grammar_builder_status(const krs_grammar_builder *b, krs_error *err);

/* Make the builder fail, for a caller that finds out deep in a recursion. Only the first failure counts. */
void krs_grammar_builder_fail(krs_grammar_builder *b, krs_status status, const char *format, ...)
    KRS_PRINTF(3, 4);
