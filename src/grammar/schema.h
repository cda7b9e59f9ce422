/* grammar/schema.h - a JSON Schema as an expression over the bytes of JSON texts.
 *
 * What a schema says about values becomes what may be written: types, enums, numbers, strings, arrays and
 * objects, joined by allOf, anyOf, oneOf, not, if and $ref. A schema is taken apart into conjunctions of its
 * subschemas (schema_priv.h), so that keywords beside $ref, nested allOf and recursion mean what they mean
 * to a validator.
 *
 * The rule is: never accept what the schema refuses. A keyword that cannot be followed exactly is refused by
 * name and place; annotations and unknown keywords are ignored, as the standard says. docs/structured-output.md
 * has the table.
 *
 * Two ways to write: for answers (canonical literals, numbers of sane length, properties in the schema's order:
 * narrow masks, long forced runs; a subset of what is valid), and, with is_any_order and is_any_spelling, all
 * the ways others write JSON, to check texts.
 *
 * Thread: as the builder.  Memory: an arena while it works, at most KRS_SCHEMA_MAX_WORK_BYTES; what is built is
 * the builder's.
 * Source: JSON Schema 2020-12 core and validation; drafts 4, 6 and 7 where they differ; RFC 8259, RFC 6901. */
#pragma once

#include "grammar/expr.h"

#include <jansson.h>

#define KRS_SCHEMA_MAX_WORK_BYTES                                                                  \
    (64ul << 20) /* while compiling; the largest public schemas take 6 MiB */
#define KRS_SCHEMA_MAX_SPACE                                                                       \
    20 /* blanks in a row, where they are allowed; a bound ends endless runs */

typedef enum krs_json_space {
    KRS_JSON_SPACE_NONE,   /* {"a":1,"b":[2,3]} */
    KRS_JSON_SPACE_SINGLE, /* {"a": 1, "b": [2, 3]}: behind a colon and a comma a blank, or none */
    KRS_JSON_SPACE_FLEXIBLE, /* up to max_space blanks, tabs and line ends around every sign */
} krs_json_space;

/* Which reading of the words that changed their meaning. */
typedef enum krs_schema_dialect {
    KRS_SCHEMA_DIALECT_AUTO, /* from $schema; 2020-12 without one, or with one that is not known */
    KRS_SCHEMA_DIALECT_DRAFT4,  /* id; nothing beside $ref counts */
    KRS_SCHEMA_DIALECT_DRAFT7,  /* $id; nothing beside $ref counts (also draft 6) */
    KRS_SCHEMA_DIALECT_2020_12, /* also 2019-09, whose words are understood too */
} krs_schema_dialect;

typedef struct krs_schema_options {
    krs_json_space space;
    uint32_t max_space; /* 0 .. KRS_SCHEMA_MAX_SPACE */
    krs_schema_dialect dialect;
    bool is_any_order;    /* properties in any order */
    bool is_any_spelling; /* every escape, 1.0 for 1, numbers of any length */
} krs_schema_options;

#define KRS_SCHEMA_OPTIONS_INIT                                                                    \
    {                                                                                              \
        .space = KRS_JSON_SPACE_NONE, .max_space = KRS_SCHEMA_MAX_SPACE,                           \
        .dialect = KRS_SCHEMA_DIALECT_AUTO, .is_any_order = false, .is_any_spelling = false,       \
    }

/* The texts of the values that schema accepts; no blanks before or after. schema: borrowed for the call; an
 * object or a boolean. options: NULL for the defaults. {} is every JSON value.
 * Errors: KRS_EINVAL: what is refused, with its JSON pointer and keyword (also when a bound is met); KRS_ENOMEM.
 * The builder is of no more use after an error. */
KRS_MUST_USE krs_status krs_grammar_schema(krs_grammar_builder *b, const json_t *schema,
                                           const krs_schema_options *options, krs_expr *out,
                                           krs_error *err);
