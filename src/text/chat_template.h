/* text/chat_template.h - the chat template of a model folder, with its BOS and EOS.
 *
 * Looked for in chat_template.jinja, then in tokenizer_config.json's chat_template: a string, or a list
 * of {name, template} of which "tool_use" is taken when the inputs have tools, else "default".
 *
 * Thread: immutable after load; any thread may render at once. */
#pragma once

#include "text/reply.h"
#include "text/template.h"

typedef struct krs_chat_template krs_chat_template;

/* Errors: KRS_ENOENT (the folder has no template), as krs_template_parse, KRS_EFORMAT, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_chat_template_load(const char *dir, const krs_alloc *alloc,
                                               krs_chat_template **out, krs_error *err);
/* The same from a tokenizer_config.json that is in memory already (borrowed for the call). */
KRS_MUST_USE krs_status krs_chat_template_read(const json_t *object, const krs_alloc *alloc,
                                               krs_chat_template **out, krs_error *err);
void krs_chat_template_free(krs_chat_template *chat);

/* How the model writes calls and reasoning, by the words of its template. */
krs_reply_style krs_chat_template_style(const krs_chat_template *chat);

/* As krs_template_render, with bos_token and eos_token added where inputs lack them.
 * A template that fails on arguments of calls that are objects is given them as JSON text (chat_arguments.h).
 * inputs: a JSON object, borrowed, not changed. */
KRS_MUST_USE krs_status krs_chat_template_render(const krs_chat_template *chat,
                                                 const json_t *inputs,
                                                 const krs_template_options *options, krs_buf *out,
                                                 krs_error *err);
