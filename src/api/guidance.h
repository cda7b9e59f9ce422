/* api/guidance.h - what an answer must look like, whatever the model would like to write.
 *
 * A guidance is a tree. Its leaves are what clients know (a JSON Schema, a regex, a grammar, a literal);
 * its branches put them together, which is what a choice and the forms of tool calls are made of:
 *
 *   guided_choice ["yes", "no"]     ALT( LITERAL yes, LITERAL no )
 *   one call, Hermes                SEQ( TOKEN <tool_call>, LITERAL {"name": "add", "arguments": ,
 *                                        SCHEMA of add, LITERAL }, TOKEN </tool_call> )
 *   calls when the model wants      SEQ( FREE until <tool_call>, REPEAT 0..inf of the above )
 *
 * Whole answers match it: a guided answer is over when the tree is, and no sooner, but for max_tokens,
 * the context, a stop string of the request or a cancel.
 *
 * Schemas are kept as text: text is what caches compare, and needs no counted references between threads.
 *
 * Thread: immutable once in a request.  Memory: the request's arena. */
#pragma once

#include "base/arena.h"

#define KRS_GUIDANCE_MAX_BYTES                                                                     \
    (1u << 20) /* of all texts together; the longest public schemas have 600 KiB */
#define KRS_GUIDANCE_MAX_PARTS                                                                     \
    16384u /* of the whole tree: 10,000 choices, or 128 tools in ten parts */
#define KRS_GUIDANCE_MAX_DEPTH 16u /* of the tree */
#define KRS_GUIDANCE_MAX_TEXT_BYTES                                                                \
    256u /* of TOKEN, FREE and the tags of reasoning: words, no texts */
#define KRS_GUIDANCE_REPEAT_INF UINT32_MAX

typedef enum krs_guide_kind {
    KRS_GUIDE_LITERAL, /* text, as it is; may be empty */
    KRS_GUIDE_TOKEN, /* text; what is written in it like special tokens of the model is those tokens */
    KRS_GUIDE_FREE, /* any UTF-8 text in which `text` does not come ("": any at all); no special token */
    KRS_GUIDE_OBJECT,  /* any JSON object */
    KRS_GUIDE_SCHEMA,  /* a JSON value of the schema that `text` is */
    KRS_GUIDE_REGEX,   /* what the pattern `text` (ECMA-262, with u) matches as a whole */
    KRS_GUIDE_GRAMMAR, /* what the grammar `text` (Lark's EBNF) gives, from its rule "start" */
    KRS_GUIDE_SEQ,     /* parts one after the other */
    KRS_GUIDE_ALT,     /* one of parts */
    KRS_GUIDE_REPEAT,  /* parts, as a sequence, min .. max times */
    KRS_GUIDE_COUNT
} krs_guide_kind;

typedef struct krs_guide {
    krs_guide_kind kind;
    krs_str text;                  /* of a leaf */
    const struct krs_guide *parts; /* [n_parts] of a branch */
    uint32_t n_parts;
    uint32_t min; /* of REPEAT */
    uint32_t max; /* of REPEAT; KRS_GUIDANCE_REPEAT_INF: no end */
    const char *
        field; /* what errors about this part name; NULL: as the part it is in. A literal, or of the request's arena */
} krs_guide;

/* What it was asked for as: for metrics, logs and whoever reads a request. */
typedef enum krs_guidance_kind {
    KRS_GUIDANCE_NONE,
    KRS_GUIDANCE_JSON_OBJECT,
    KRS_GUIDANCE_JSON_SCHEMA,
    KRS_GUIDANCE_REGEX,
    KRS_GUIDANCE_CHOICE,
    KRS_GUIDANCE_GRAMMAR,
    KRS_GUIDANCE_CALLS, /* of tools */
    KRS_GUIDANCE_COUNT
} krs_guidance_kind;

/* White space between the tokens of JSON. Inside strings, and in LITERAL, nothing changes. */
typedef enum krs_guidance_space {
    KRS_GUIDANCE_SPACE_ANY, /* as models write it: a bounded run of blanks and line ends */
    KRS_GUIDANCE_SPACE_SINGLE, /* behind a colon and a comma a blank, or none: what nearly all JSON on one line has */
    KRS_GUIDANCE_SPACE_COMPACT, /* none: fewest tokens, longest forced runs */
    KRS_GUIDANCE_SPACE_COUNT
} krs_guidance_space;

typedef struct krs_guidance {
    krs_guidance_kind kind; /* NONE: nothing below is read */
    krs_guide root;
    krs_guidance_space space;
    bool is_any_order; /* properties in any order, not as the schema has them */
    const char *
        field; /* what errors name: "response_format"; a literal shorter than KRS_ERROR_FIELD_BYTES */
    /* Words around a model's reasoning ("<think>", "</think>"), both or neither. The answer may begin with
     * open, free text, close; it must, without open, when the prompt's text ends with open. Then the root. */
    krs_str reasoning_open;
    krs_str reasoning_close;
} krs_guidance;

/* "none", "json_object", "json_schema", "regex", "choice", "grammar", "calls". */
const char *krs_guidance_name(krs_guidance_kind kind);

/* Is the tree within its limits? What its texts say is looked at when they are compiled.
 * Errors: KRS_EINVAL, KRS_ETOOLARGE naming field, value, limit. */
KRS_MUST_USE krs_status krs_guidance_check(const krs_guidance *guidance, krs_error *err);
