/* front/openai_priv.h - what the files of the OpenAI front end share. For this folder only.
 *
 * Thread: as openai.h. */
#pragma once

#include "front/openai.h"

/* One call being read. */
typedef struct krs_openai_reader {
    const krs_openai_context *context;
    krs_openai_kind kind;
    const json_t *body; /* borrowed */
    const krs_model_info *model;
    krs_openai_call *call;
    uint32_t n; /* choices per prompt */
    krs_error *err;
} krs_openai_reader;

/* Fail naming a field; the message is "field: why". */
krs_status krs_openai_refuse(krs_error *err, const char *field, const char *format, ...)
    KRS_PRINTF(3, 4);

/* Refuse fields that are not supported and would change the answer. */
KRS_MUST_USE krs_status krs_openai_refuse_unsupported(const krs_openai_reader *reader);

/* Sampling, stopping, priority and deadline of one request, from the body. */
KRS_MUST_USE krs_status krs_openai_read_params(const krs_openai_reader *reader,
                                               krs_request *request);

/* stop, stop_token_ids, logit_bias. */
KRS_MUST_USE krs_status krs_openai_read_lists(const krs_openai_reader *reader,
                                              krs_request *request);

/* An array of token ids below the model's vocabulary into the request's arena. */
KRS_MUST_USE krs_status krs_openai_read_ids(const krs_openai_reader *reader, const char *field,
                                            const json_t *array, krs_request *request,
                                            const uint32_t **out);

/* messages, tools, tool_choice, chat_template_kwargs as the variables of a chat template. *out: a new
 * reference. */
KRS_MUST_USE krs_status krs_openai_read_chat(const krs_openai_reader *reader, json_t **out);

/* How many prompts does `prompt` hold (1 .. KRS_MAX_CHOICES)? */
KRS_MUST_USE krs_status krs_openai_count_prompts(const krs_openai_reader *reader, uint32_t *out);

/* Prompt number i of `prompt` into the request. */
KRS_MUST_USE krs_status krs_openai_read_prompt(const krs_openai_reader *reader, uint32_t i,
                                               krs_request *request);

/* The logprobs object of some tokens: chat form, appended to out. */
KRS_MUST_USE krs_status krs_openai_logprobs_chat(const krs_stream_event *event, krs_buf *out);

/* The four arrays of the completions form, gathered token by token: each holds members without
 * brackets, separated by commas. */
typedef struct krs_openai_legacy_logprobs {
    krs_buf tokens;
    krs_buf token_logprobs;
    krs_buf top_logprobs;
    krs_buf text_offsets;
    uint64_t n_chars; /* characters of the answer before the next token */
} krs_openai_legacy_logprobs;

void krs_openai_legacy_init(krs_openai_legacy_logprobs *lists, const krs_alloc *alloc);
void krs_openai_legacy_deinit(krs_openai_legacy_logprobs *lists);
KRS_MUST_USE krs_status krs_openai_legacy_add(krs_openai_legacy_logprobs *lists,
                                              const krs_stream_event *event);
/* The whole object; the lists are empty after (n_chars goes on). */
KRS_MUST_USE krs_status krs_openai_legacy_write(krs_openai_legacy_logprobs *lists, krs_buf *out);
