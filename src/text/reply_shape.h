/* text/reply_shape.h - what the calls of a format look like, for whoever constrains an answer.
 *
 * The twin of reply.h: what a shape allows, the parser of the same style reads as calls of the tools
 * offered, with arguments of their schemas. A shape is a tree in the manner of api/guidance.h, kinds and
 * fields the same, one floor lower: whoever builds a request copies it node by node.
 *
 *   hermes, required, two tools, one call:
 *     ALT( SEQ( TOKEN <tool_call>, LITERAL \n{"name": "f", "arguments": , SCHEMA, LITERAL }\n,
 *               TOKEN </tool_call> ), SEQ( the same of g ) )
 *   hermes, auto:
 *     SEQ( FREE until <tool_call>, REPEAT 0..inf of the above with white space between )
 *
 * Thread: immutable once built.  Memory: the arena given; texts of tools' names are copied, too. */
#pragma once

#include "text/reply.h"

#define KRS_REPLY_SHAPE_INF       UINT32_MAX
#define KRS_REPLY_SHAPE_MAX_PARTS 16384u /* made room for; a guidance may have as many */
#define KRS_REPLY_SHAPE_MAX_DEPTH 14u    /* a guidance may have 16, with what is put around it */

/* In the order of krs_guide_kind, with its meanings. */
typedef enum krs_reply_shape_kind {
    KRS_REPLY_SHAPE_LITERAL, /* text, as it is */
    KRS_REPLY_SHAPE_TOKEN,   /* the special token `text`; as LITERAL in a model without it */
    KRS_REPLY_SHAPE_FREE,    /* any text in which `text` does not come ("": any at all) */
    KRS_REPLY_SHAPE_OBJECT,  /* any JSON object */
    KRS_REPLY_SHAPE_SCHEMA,  /* a JSON value of the schema `text` */
    KRS_REPLY_SHAPE_REGEX,   /* what the pattern `text` matches as a whole */
    KRS_REPLY_SHAPE_GRAMMAR, /* never made here; keeps the numbers of krs_guide_kind */
    KRS_REPLY_SHAPE_SEQ,
    KRS_REPLY_SHAPE_ALT,
    KRS_REPLY_SHAPE_REPEAT, /* parts, as a sequence, min .. max times */
} krs_reply_shape_kind;

typedef struct krs_reply_shape {
    krs_reply_shape_kind kind;
    uint32_t n_parts;
    krs_str text;
    krs_str tool; /* of SCHEMA: whose parameters it is from; borrowed from the demand */
    const struct krs_reply_shape *parts; /* [n_parts] */
    uint32_t min;                        /* of REPEAT */
    uint32_t max;                        /* of REPEAT; KRS_REPLY_SHAPE_INF: no end */
} krs_reply_shape;

typedef struct krs_reply_demand {
    const krs_reply_tool *tools; /* [n_tools], at least one; only the one of a named choice */
    uint32_t n_tools;
    bool is_required; /* at least one call and no text; else text, then calls if the model wants */
    bool is_parallel; /* more than one call */
} krs_reply_demand;

/* The shape of an answer behind its reasoning (krs_reply_style_tags).
 * is_after_reasoning: Harmony's answers begin with another header behind reasoning: give the shape for it.
 * Errors: KRS_EUNSUPPORTED (err names the format, or the tool and parameter that its syntax cannot
 * constrain), KRS_EINVAL (no tools; parameters that are no object), KRS_ETOOLARGE (a name, KRS_REPLY_MAX_NAME_BYTES; the tree), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_reply_shape_calls(krs_reply_style style, const krs_reply_demand *demand,
                                              bool is_after_reasoning, krs_arena *arena,
                                              krs_reply_shape *out, krs_error *err);

/* What comes before content that is constrained by other means (a schema, a choice): Harmony's header of
 * the final channel; an empty LITERAL in every other style. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_reply_shape_content_head(krs_reply_style style, bool is_after_reasoning,
                                                     krs_arena *arena, krs_reply_shape *out);
