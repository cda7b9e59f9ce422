/* front/openai_priv.h - what the files of chat completions and completions share. For this folder only.
 *
 * Thread: as call.h.  Source: OpenAI API reference, chat completions and completions. */
#pragma once

#include "front/call_priv.h"

#define KRS_OPENAI_FINGERPRINT    "krs-1"
#define KRS_OPENAI_DEFAULT_TOKENS 16 /* completions without max_tokens, as OpenAI has it */

typedef struct krs_openai_call {
    krs_call_head head;   /* first; head.call.requests has one entry for each choice */
    bool has_usage_chunk; /* stream_options.include_usage */
    bool has_logprobs;
    uint32_t n_prompts;
    uint32_t n; /* choices of each prompt; choice i answers prompt i / n */
} krs_openai_call;

/* krs_call_row functions of both kinds. */
KRS_MUST_USE krs_status krs_openai_read_completion(krs_call_reader *reader);
KRS_MUST_USE krs_status krs_openai_read_chat(krs_call_reader *reader);

KRS_MUST_USE krs_status krs_openai_answer_init(krs_answer *answer);
void krs_openai_answer_deinit(krs_answer *answer);
void krs_openai_answer_add(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                           krs_writer *w);
void krs_openai_answer_fail(krs_answer *answer, krs_writer *w);

/* Earlier calls of messages (an array, changed): their arguments become objects, as templates want them.
 * Errors: KRS_EINVAL naming the message, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_openai_fix_calls(json_t *messages, krs_error *err);

/* messages, tools, tool_choice, chat_template_kwargs, reasoning_effort as the variables of a chat
 * template. *out: a new reference. */
KRS_MUST_USE krs_status krs_openai_read_template(const krs_call_reader *reader, json_t **out);

/* The logprobs entries of some tokens, chat form, appended to out; is_first: none precede them. */
void krs_openai_put_logprobs(krs_writer *w, const krs_stream_event *event, bool is_first);

/* The four arrays of the completions form, gathered token by token: each holds members without
 * brackets, separated by commas. */
typedef struct krs_openai_legacy_logprobs {
    krs_buf tokens;
    krs_buf token_logprobs;
    krs_buf top_logprobs;
    krs_buf text_offsets;
} krs_openai_legacy_logprobs;

void krs_openai_legacy_init(krs_openai_legacy_logprobs *lists, const krs_alloc *alloc);
void krs_openai_legacy_deinit(krs_openai_legacy_logprobs *lists);
KRS_MUST_USE krs_status krs_openai_legacy_add(krs_openai_legacy_logprobs *lists,
                                              const krs_stream_event *event);
/* The whole object; the lists are empty after. */
void krs_openai_legacy_put(krs_writer *w, krs_openai_legacy_logprobs *lists);

typedef struct krs_openai_choice {
    bool is_started;
    krs_finish finish;
    krs_usage usage;
    krs_turn turn;                     /* chats */
    krs_buf text;                      /* whole completions only */
    krs_buf logprobs;                  /* whole chats only: entries separated by commas */
    krs_openai_legacy_logprobs legacy; /* completions */
} krs_openai_choice;

typedef struct krs_openai_answer {
    krs_answer answer; /* first */
    krs_openai_call *call;
    krs_buf envelope; /* what each object begins with, up to "choices":[ */
    krs_openai_choice choices[KRS_MAX_CHOICES];
} krs_openai_answer;
