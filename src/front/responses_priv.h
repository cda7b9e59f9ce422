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
    json_t *tools;              /* as they came */
    json_t *tool_choice;        /* the same */
    json_t *format;             /* text.format */
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
    krs_turn turn;            /* the end of a stream repeats it whole; notes: log probabilities */
    krs_usage usage;
    bool is_ended;
    krs_finish finish; /* valid then */
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

/* responses_object.c: the response object, its items, and the one part that texts and reasoning have. */
void krs_responses_put_response(krs_writer *w, const krs_responses_answer *a,
                                krs_response_state state);
void krs_responses_put_item(krs_writer *w, const krs_responses_answer *a, const krs_turn_item *item,
                            krs_response_state state);
void krs_responses_put_part(krs_writer *w, const krs_turn_item *item);
/* "msg_..", "rs_..", "fc_..", without quotes. */
void krs_responses_put_item_id(krs_writer *w, const krs_responses_answer *a,
                               const krs_turn_item *item);
/* How the item ended, given how the answer did. */
krs_response_state krs_responses_item_state(const krs_responses_answer *a,
                                            const krs_turn_item *item);
