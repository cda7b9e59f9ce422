/* text/chat_arguments.h - arguments of calls as the text some templates want them to be.
 *
 * transformers gives templates the arguments of a tool call as an object, and most templates write it with
 * tojson. A few (DeepSeek V3 and R1) were written for the API's form, JSON inside a string, and join it to
 * other text, which fails with an object. A template does not say which it wants, so whoever renders tries
 * the object first and this second.
 *
 * Thread: any; nothing is kept. */
#pragma once

#include "wire/json.h"

/* A copy of a template's inputs in which the arguments of every call in `messages` that are objects are
 * JSON text. *out: a new reference, or NULL when there are none. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_chat_arguments_to_text(const json_t *inputs, json_t **out);
