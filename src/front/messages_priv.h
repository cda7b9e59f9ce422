/* front/messages_priv.h - what the files of Anthropic's messages API share. For this folder only.
 *
 * Thread: as call.h.  Source: Anthropic API reference, messages, versions 2023-06-01 and 2026-10-21. */
#pragma once

#include "front/call_priv.h"

typedef struct krs_messages_call {
    krs_call_head head;   /* first */
    json_t *stop_strings; /* a reference, or NULL: an answer says which one ended it */
    uint32_t max_tokens;
} krs_messages_call;

typedef struct krs_messages_answer {
    krs_answer answer; /* first */
    bool is_started;
    krs_turn turn; /* kept of whole answers only */
} krs_messages_answer;

KRS_MUST_USE krs_status krs_messages_read(krs_call_reader *reader);
KRS_MUST_USE krs_status krs_messages_read_count(krs_call_reader *reader);
/* The system prompt and the messages of the body as a chat. */
KRS_MUST_USE krs_status krs_messages_read_chat(const krs_call_reader *reader, krs_request *request);
void krs_messages_call_deinit(krs_call_head *head);

KRS_MUST_USE krs_status krs_messages_answer_init(krs_answer *answer);
void krs_messages_answer_deinit(krs_answer *answer);
void krs_messages_answer_add(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                             krs_writer *w);
void krs_messages_answer_count(krs_answer *answer, uint32_t i, const krs_stream_event *event,
                               krs_writer *w);
void krs_messages_answer_fail(krs_answer *answer, krs_writer *w);
void krs_messages_put_ping(krs_writer *w);
