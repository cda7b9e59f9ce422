/* front/chat_builder.h - a chat for the template, message by message.
 *
 * The messages and responses APIs describe a chat in their own items; a template knows messages with a
 * role and a text. Texts of one message are joined by newlines. Messages of one role that follow each
 * other may be joined the same way, because templates refuse what their model never saw.
 *
 * Thread: one owner.  Memory: one message's text at a time, and the tree. */
#pragma once

#include "base/buf.h"
#include "wire/json.h"

typedef struct krs_chat_builder {
    json_t *chat;     /* {"add_generation_prompt": true, "messages": [..]} */
    json_t *messages; /* borrowed from chat */
    const char *role; /* of the message being made; NULL: none yet */
    krs_buf text;
    bool has_text; /* a text was added to it, perhaps an empty one */
    krs_error *err;
} krs_chat_builder;

/* Errors: KRS_ENOMEM; so everywhere here. */
KRS_MUST_USE krs_status krs_chat_init(krs_chat_builder *builder, const krs_alloc *alloc,
                                      krs_error *err);
void krs_chat_deinit(krs_chat_builder *builder);

/* Begin a message. role: static. is_joining: go on with the message before if it has that role. */
KRS_MUST_USE krs_status krs_chat_begin(krs_chat_builder *builder, const char *role,
                                       bool is_joining);
/* Errors: also KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_chat_add(krs_chat_builder *builder, krs_str text);

/* End the last message; *out: a new reference to the chat. */
KRS_MUST_USE krs_status krs_chat_finish(krs_chat_builder *builder, json_t **out);
