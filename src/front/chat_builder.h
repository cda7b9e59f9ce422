/* front/chat_builder.h - a chat for the template, message by message.
 *
 * The messages and responses APIs describe a chat in their own items; a template knows messages with a
 * role, a text, and beside it what transformers calls reasoning_content, tool_calls and tool_call_id. Texts
 * of one message are joined by newlines. Messages of one role that follow each other may be joined the
 * same way, because templates refuse what their model never saw. A message that holds calls and no text has
 * the content null, which is how templates tell it from an answer.
 *
 * Thread: one owner.  Memory: one message's texts at a time, and the tree. */
#pragma once

#include "base/buf.h"
#include "wire/json.h"

#define KRS_CHAT_MAX_ARGUMENTS (1u << 20) /* bytes of one call's; real ones are under 100 KiB */

typedef struct krs_chat_builder {
    json_t *chat;     /* {"add_generation_prompt": true, "messages": [..]} */
    json_t *messages; /* borrowed from chat */
    const char *role; /* of the message being made; NULL: none yet */
    json_t *extra;    /* its further members, an object of our own; NULL: none */
    krs_buf text;
    krs_buf reasoning;
    bool has_text;      /* a text was added to it, perhaps an empty one */
    bool has_reasoning; /* the same of reasoning */
    size_t n_values;    /* that arguments unfolded to so far, in all messages */
    krs_error *err;
} krs_chat_builder;

/* Errors: KRS_ENOMEM; so everywhere here. */
KRS_MUST_USE krs_status krs_chat_init(krs_chat_builder *builder, const krs_alloc *alloc,
                                      krs_error *err);
void krs_chat_deinit(krs_chat_builder *builder);

/* Begin a message. role: static. is_joining: go on with the message before if it has that role. */
KRS_MUST_USE krs_status krs_chat_begin(krs_chat_builder *builder, const char *role,
                                       bool is_joining);
/* Begin a message of the role "tool", the result of the call `id`; its tool is the one that an earlier
 * call of this id named, if any did. */
KRS_MUST_USE krs_status krs_chat_begin_result(krs_chat_builder *builder, krs_str id);

/* Errors: also KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_chat_add(krs_chat_builder *builder, krs_str text);
KRS_MUST_USE krs_status krs_chat_add_reasoning(krs_chat_builder *builder, krs_str text);

/* A call of the assistant in its message. arguments: copied. */
KRS_MUST_USE krs_status krs_chat_add_call(krs_chat_builder *builder, krs_str id, krs_str name,
                                          const json_t *arguments);
/* The arguments of a call that came as text; none, null and an empty text are no arguments, {}. *out: a new reference to
 * an object. *n_values: that arguments unfolded to so far; counted on. Errors: KRS_EINVAL naming `field` (no JSON
 * object, or more values than a chat may have), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_chat_parse_arguments(const json_t *text, const char *field,
                                                 size_t *n_values, json_t **out, krs_error *err);

/* Does the message being made hold a text, or calls? */
bool krs_chat_has_content(const krs_chat_builder *builder);

/* End the last message; *out: a new reference to the chat. */
KRS_MUST_USE krs_status krs_chat_finish(krs_chat_builder *builder, json_t **out);
