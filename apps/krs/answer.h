/* apps/krs/answer.h - one answer through the runtime port, on a terminal: text as it comes, Ctrl-C stops
 * the answer and not the program.
 *
 * Thread: main calls; the runtime's thread delivers.  Memory: a bounded buffer between the two. */
#pragma once

#include "api/config.h"
#include "api/runtime.h"
#include "os/signal.h"

#include <stdio.h>

#define KRS_ANSWER_MAX_BYTES (64u << 20) /* text of one answer kept for history and JSON */

typedef struct krs_answer {
    krs_buf text; /* whole answer; init and deinit by krs_answer_init/_deinit */
    krs_finish finish;
    krs_usage usage;
    krs_error error; /* valid with KRS_FINISH_ERROR */
} krs_answer;

void krs_answer_init(krs_answer *answer);
void krs_answer_deinit(krs_answer *answer);

/* Build a request from the options of `run` and `chat`. messages: a JSON array (borrowed) for the chat
 * template; or NULL and prompt is used as it is.
 * Errors: KRS_EINVAL (an option out of range), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_answer_request(const krs_config *config, json_t *messages,
                                           krs_str prompt, krs_request **out, krs_error *err);

/* The schema in a file as the request's guidance. Errors: those of reading it, naming "schema". */
KRS_MUST_USE krs_status krs_answer_read_schema(const char *path, krs_request *request,
                                               krs_error *err);

/* Append {"role", "content"} to messages. Errors: KRS_EINVAL (content is no UTF-8), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_answer_add_message(json_t *messages, const char *role, krs_str content,
                                               krs_error *err);

/* Run request (taken in every case) and print its text to stream (NULL: nowhere) as it comes. A signal
 * of `signals` cancels it, and so does a stream that can no longer be written. Errors: those of krs_runtime_open and of the answer itself. */
KRS_MUST_USE krs_status krs_answer_run(krs_runtime *runtime, krs_request *request,
                                       const krs_os_signals *signals, FILE *stream,
                                       krs_answer *answer, krs_error *err);

/* {"text", "finish_reason", "usage": {...}}; a new reference. */
json_t *krs_answer_json(const krs_answer *answer);
