/* front/tools.h - the tools of a call, whichever API named them: read, shown to the template, demanded.
 *
 *   tools, tool_choice of a body --read--> krs_tools --fill--> variable `tools` of the template,
 *                                               |               guidance of the request
 *                                               \--> krs_turn: what of the answer is a call
 *
 * The three APIs wrap the same facts differently: a form says how. Inside they are OpenAI's chat form, for
 * which templates are written.
 *
 * An answer is constrained when something was promised about it: a choice that requires a call or allows some of
 * the tools, a tool that is strict, at most one call, or a form of its content. Else the model is free, and what it
 * writes is read as it comes.
 *
 * Thread: one owner.  Memory: a tree of its own (the request's moves to another thread), and a list. */
#pragma once

#include "api/generate.h"
#include "api/runtime.h"
#include "text/reply.h"

#define KRS_TOOLS_MAX 256 /* of JSON-RPC's contract; OpenAI's API has 128 */
#define KRS_TOOLS_MAX_NAME_BYTES                                                                   \
    128 /* OpenAI allows 64; those who join names of servers need more */

typedef enum krs_tool_choice {
    KRS_TOOLS_AUTO,
    KRS_TOOLS_NONE,     /* the model does not see them */
    KRS_TOOLS_REQUIRED, /* at least one call */
    KRS_TOOLS_NAMED,    /* of this tool */
} krs_tool_choice;

typedef struct krs_tools {
    const krs_alloc *alloc;
    const struct krs_tools_form *form; /* in which they came */
    json_t *list;                      /* [{"type": "function", "function": {..}}]; NULL: none */
    krs_reply_tool *offered;           /* [n], into list */
    uint32_t n;                        /* 0: none, or the choice is NONE */
    krs_tool_choice choice;
    uint32_t named;                /* which, of NAMED */
    bool is_single;                /* no more than one call */
    krs_reply_style style;         /* of the model */
    bool is_strict[KRS_TOOLS_MAX]; /* of offered: arguments always validate */
    bool is_barred[KRS_TOOLS_MAX]; /* of offered: shown to the model, not to be called */
    uint32_t n_barred;
} krs_tools;

/* How an API writes a tool. */
typedef struct krs_tools_form {
    const char *inner;  /* the member that holds the rest, or NULL */
    const char *schema; /* the member with the JSON Schema of the arguments */
    const char *type;   /* the one type there is */
    bool is_type_optional;
    bool is_schema_needed;
    size_t max;
} krs_tools_form;

extern const krs_tools_form krs_tools_form_chat;
extern const krs_tools_form krs_tools_form_responses;
extern const krs_tools_form krs_tools_form_messages;
extern const krs_tools_form krs_tools_form_rpc;

/* Room for a call's tools; the style is the model's. */
void krs_tools_init(krs_tools *tools, const krs_model_info *model, const krs_alloc *alloc);
void krs_tools_deinit(krs_tools *tools);

/* Member `tools` of a body. Errors: KRS_EINVAL naming tools or an entry of it, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_tools_read(krs_tools *tools, const json_t *body,
                                       const krs_tools_form *form, krs_error *err);

/* tool_choice and parallel_tool_calls as OpenAI has them, in either of its forms. Same errors. */
KRS_MUST_USE krs_status krs_tools_read_choice(krs_tools *tools, const json_t *body, krs_error *err);
/* tool_choice as Anthropic has it. Same errors. */
KRS_MUST_USE krs_status krs_tools_read_messages_choice(krs_tools *tools, const json_t *body,
                                                       krs_error *err);

/* Show them to the template: member `tools` of chat. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_tools_show(const krs_tools *tools, json_t *chat, krs_error *err);

/* Constrain the request as was promised, and have it show what tells calls from text. A form that it asks for
 * (request->guidance) is put where the model writes content: behind its reasoning, and beside calls.
 * Errors: KRS_EUNSUPPORTED (the model's format cannot be constrained, or not for this schema), KRS_ETOOLARGE,
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_tools_constrain(const krs_tools *tools, krs_request *request,
                                            krs_error *err);
