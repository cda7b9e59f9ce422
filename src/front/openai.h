/* front/openai.h - the OpenAI API as meaning, without sockets: bodies to requests, events to bodies.
 *
 *   body --krs_openai_parse--> call (1..16 requests) --the caller opens them in a runtime-->
 *   events --krs_openai_answer_add--> bytes for the client (SSE, or one JSON object at the end)
 *
 * Every field is checked here, before anything is queued; an error names field, value and limit and
 * carries the field as `param`. Unknown fields are ignored as OpenAI ignores them, but a field that would
 * change the meaning of the answer and is not supported is refused, never dropped in silence.
 * Not here yet: parsing tool calls out of the answer (the text of the model is the content), structured
 * output, log probabilities of the prompt.
 *
 * Thread: values and objects with one owner.  Memory: a call owns its requests, an answer its call.
 * Source: OpenAI API reference, chat completions and completions; the extensions are those of vLLM. */
#pragma once

#include "api/generate.h"
#include "api/runtime.h"
#include "base/buf.h"

#define KRS_OPENAI_ID_BYTES     48 /* "chatcmpl-" and 16 hexadecimal digits */
#define KRS_OPENAI_FINGERPRINT  "krs-1"
#define KRS_OPENAI_MAX_MESSAGES 4096
#define KRS_OPENAI_MAX_TOOLS    128 /* OpenAI's own limit */
#define KRS_OPENAI_MAX_CHAT_VALUES                                                                 \
    (1u << 17) /* JSON values of a chat body: 4096 messages hold 60,000. 20 MB a choice at worst */
#define KRS_OPENAI_MAX_VALUES                                                                      \
    (1u << 21) /* of a completions body: two million token ids. 300 MB at worst, while it is read */
#define KRS_OPENAI_MAX_USER_BYTES   512
#define KRS_OPENAI_DEFAULT_TOKENS   16 /* completions without max_tokens, as OpenAI has it */
#define KRS_OPENAI_MAX_TIMEOUT_MS   (24 * 3600 * 1000) /* timeout_ms: a day */
#define KRS_OPENAI_MAX_ANSWER_BYTES (64u << 20)        /* a whole answer, not streamed */

typedef enum krs_openai_kind {
    KRS_OPENAI_CHAT,
    KRS_OPENAI_COMPLETION,
} krs_openai_kind;

/* What parsing needs from the world; pure otherwise. Borrowed during the call. */
typedef struct krs_openai_context {
    const krs_model_info *models; /* [n_models], what may be asked for */
    uint32_t n_models;
    const char *correlation_id; /* NUL-terminated, shorter than KRS_CORRELATION_ID_BYTES */
    uint64_t now_ns;            /* monotonic, for deadlines */
    uint64_t now_unix_s;
    uint64_t random; /* names the answer, and seeds it when the client gives no seed */
    size_t max_body_bytes;
    const krs_alloc *alloc;
} krs_openai_context;

/* One API call. */
typedef struct krs_openai_call {
    krs_openai_kind kind;
    char id[KRS_OPENAI_ID_BYTES];
    char model[KRS_MODEL_ID_BYTES];
    uint64_t created_unix_s;
    bool is_stream;
    bool has_usage_chunk; /* stream_options.include_usage */
    bool has_logprobs;
    uint32_t n_prompts;
    uint32_t n_choices;                     /* n_prompts * n; choice i answers prompt i / n */
    krs_request *requests[KRS_MAX_CHOICES]; /* [n_choices]; NULL once handed to a runtime */
    const krs_alloc *alloc;
} krs_openai_call;

/* Errors: KRS_EINVAL (JSON, or a field: err->field), KRS_ENOTLOADED (model), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_openai_parse(const krs_openai_context *context, krs_openai_kind kind,
                                         krs_str body, krs_openai_call **out, krs_error *err);
void krs_openai_call_free(krs_openai_call *call);

typedef enum krs_openai_state {
    KRS_OPENAI_RUNNING,
    KRS_OPENAI_DONE,   /* the last byte is in out */
    KRS_OPENAI_FAILED, /* nothing was written; answer with the error */
} krs_openai_state;

typedef struct krs_openai_answer krs_openai_answer;

/* Takes the call on success. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_openai_answer_new(krs_openai_call *call, krs_openai_answer **out);
void krs_openai_answer_free(krs_openai_answer *answer);

/* One event of one choice. Streamed calls append server-sent events to out at once; others append the
 * one JSON object when the last choice has ended. An error before the first byte makes the answer FAILED,
 * later ones are written into the stream. Events after DONE or FAILED are ignored.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM (out; the answer can not go on). */
KRS_MUST_USE krs_status krs_openai_answer_add(krs_openai_answer *answer, uint32_t choice,
                                              const krs_stream_event *event, krs_buf *out);
krs_openai_state krs_openai_answer_state(const krs_openai_answer *answer);
/* Valid in FAILED. */
const krs_error *krs_openai_answer_error(const krs_openai_answer *answer);
const krs_openai_call *krs_openai_answer_call(const krs_openai_answer *answer);

/* {"error": {"message", "type", "param", "code"}} of a failure. Same errors as krs_buf. */
KRS_MUST_USE krs_status krs_openai_error_write(const krs_error *error, krs_buf *out);

/* The model list, and one model of it. */
KRS_MUST_USE krs_status krs_openai_models_write(const krs_model_info *models, uint32_t n_models,
                                                krs_buf *out);
KRS_MUST_USE krs_status krs_openai_model_write(const krs_model_info *model, krs_buf *out);
