/* front/responses_priv.h - what the files of the responses API share. For this folder only.
 *
 * Thread: as call.h.  Source: OpenAI API reference, responses. */
#pragma once

#include "front/call_priv.h"

/* What the response object repeats of its request. */
typedef struct krs_responses_call {
    krs_call_head head;   /* first */
    json_t *instructions; /* references into the body, or NULL */
    json_t *metadata;
    json_t *user;
    uint32_t max_output_tokens; /* 0: none was given */
    int32_t n_logprobs;         /* as krs_sampling */
    double temperature;
    double top_p;
} krs_responses_call;

typedef struct krs_responses_answer {
    krs_answer answer; /* first */
    krs_responses_call *call;
    bool is_started;
    uint64_t sequence_number; /* of the next event */
    krs_buf text;             /* the end of a stream repeats it whole */
    krs_buf logprobs;         /* entries separated by commas */
    krs_usage usage;
    krs_finish finish;
} krs_responses_answer;

typedef enum krs_response_state {
    KRS_RESPONSE_IN_PROGRESS,
    KRS_RESPONSE_COMPLETED,
    KRS_RESPONSE_INCOMPLETE,
    KRS_RESPONSE_FAILED,
} krs_response_state;

KRS_MUST_USE krs_status krs_responses_read(krs_call_reader *reader);
void krs_responses_call_deinit(krs_call_head *head);

/* The input of the body as a chat. */
KRS_MUST_USE krs_status krs_responses_read_input(const krs_call_reader *reader,
                                                 krs_request *request);

/* responses_object.c: the response object, its one item, and the one part of that. */
void krs_responses_put_response(krs_writer *w, const krs_responses_answer *a,
                                krs_response_state state);
void krs_responses_put_item(krs_writer *w, const krs_responses_answer *a, krs_response_state state);
void krs_responses_put_part(krs_writer *w, const krs_responses_answer *a);
