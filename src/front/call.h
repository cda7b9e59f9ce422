/* front/call.h - one HTTP API call as meaning, without sockets: a body to requests, events to a body.
 *
 *   body --krs_call_parse--> call (1..n requests) --the caller opens them in a service-->
 *   events --krs_answer_add--> bytes for the client (SSE, or one JSON object at the end)
 *
 * Every API (OpenAI chat, completions, embeddings, responses; Anthropic messages; ours) is a row of one table
 * behind these functions, so the server that carries bytes knows none of them.
 *
 * Every field is checked here, before anything is queued; an error names field, value and limit and
 * carries the field as `param`. A field that nobody here knows is accepted and listed in `ignored`; a
 * field that would change the meaning of the answer and is not supported is refused, never dropped in
 * silence.
 *
 * Thread: values and objects with one owner.  Memory: a call owns its requests, an answer its call.
 * Source: OpenAI API reference; Anthropic API reference; the extensions are those of vLLM. */
#pragma once

#include "api/generate.h"
#include "api/runtime.h"
#include "base/buf.h"

#define KRS_CALL_MAX_EMBEDDINGS   2048 /* inputs of one embeddings call, OpenAI's own limit */
#define KRS_CALL_MAX_TEXTS        1024 /* of one tokenize call, as batch_tokenize has it */
#define KRS_CALL_IGNORED_BYTES    256  /* names of unknown fields, cut at a whole name */
#define KRS_CALL_MAX_TIMEOUT_MS   (24 * 3600 * 1000) /* timeout_ms: a day */
#define KRS_CALL_MAX_ANSWER_BYTES (64u << 20)        /* a whole answer, not streamed */

typedef enum krs_call_kind {
    KRS_CALL_CHAT,         /* POST /v1/chat/completions */
    KRS_CALL_COMPLETION,   /* POST /v1/completions */
    KRS_CALL_EMBEDDINGS,   /* POST /v1/embeddings */
    KRS_CALL_RESPONSES,    /* POST /v1/responses */
    KRS_CALL_MESSAGES,     /* POST /v1/messages (Anthropic) */
    KRS_CALL_COUNT_TOKENS, /* POST /v1/messages/count_tokens (Anthropic) */
    KRS_CALL_TOKENIZE,     /* POST /tokenize */
    KRS_CALL_DETOKENIZE,   /* POST /detokenize */
    KRS_CALL_KIND_COUNT
} krs_call_kind;

/* What parsing needs from the world; pure otherwise. Borrowed during the call. */
typedef struct krs_call_context {
    const krs_model_info *models; /* [n_models], what may be asked for */
    uint32_t n_models;
    const char *correlation_id; /* NUL-terminated, shorter than KRS_CORRELATION_ID_BYTES */
    krs_trace trace;            /* the span of this call */
    uint32_t tenant;            /* who asks */
    krs_priority
        best_priority; /* the most urgent this tenant may have; asking for more is refused */
    uint64_t now_ns;   /* monotonic, for deadlines */
    uint64_t now_unix_s;
    uint64_t random; /* names the answer, and seeds it when the client gives no seed */
    size_t max_body_bytes;
    const krs_alloc *alloc;
} krs_call_context;

/* The part of a call that whoever carries it reads. Each API keeps more behind it. */
typedef struct krs_call {
    krs_call_kind kind;
    bool is_stream;
    bool has_tokens;        /* its answer needs the events' tokens, not only their text */
    krs_request **requests; /* [n_requests]; an entry is NULL once handed to a runtime */
    uint32_t n_requests;
    char ignored[KRS_CALL_IGNORED_BYTES]; /* "foo, bar": fields nobody here knows; "" none */
} krs_call;

/* Errors: KRS_EINVAL (JSON, or a field: err->field), KRS_ENOTLOADED (model), KRS_EPERM (priority),
 * KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_call_parse(const krs_call_context *context, krs_call_kind kind,
                                       krs_str body, krs_call **out, krs_error *err);
void krs_call_free(krs_call *call);

typedef enum krs_answer_state {
    KRS_ANSWER_RUNNING,
    KRS_ANSWER_DONE,   /* the last byte is in out */
    KRS_ANSWER_FAILED, /* nothing was written; answer with the error */
} krs_answer_state;

typedef struct krs_answer krs_answer;

/* Takes the call on success. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_answer_new(krs_call *call, krs_answer **out);
void krs_answer_free(krs_answer *answer);

/* One event of request i. Streamed calls append server-sent events to out at once; others append the
 * one JSON object when the last request has ended. An error before the first byte makes the answer FAILED,
 * later ones are written into the stream. Events after DONE or FAILED are ignored. No allocation per
 * token once out has grown.  Errors: KRS_ETOOLARGE, KRS_ENOMEM (out; the answer can not go on). */
KRS_MUST_USE krs_status krs_answer_add(krs_answer *answer, uint32_t i,
                                       const krs_stream_event *event, krs_buf *out);

/* What an idle stream sends so that proxies keep it open: a comment, or the API's own ping. */
KRS_MUST_USE krs_status krs_answer_heartbeat(krs_answer *answer, krs_buf *out);

krs_answer_state krs_answer_state_of(const krs_answer *answer);
/* Valid in FAILED. */
const krs_error *krs_answer_error(const krs_answer *answer);
const krs_call *krs_answer_call(const krs_answer *answer);

/* The body of a failure in the shape of that API: message, type, param, code, and ours: retryable,
 * context, correlation_id. KRS_CALL_CHAT's shape serves every path that is no call. Same errors as krs_buf. */
KRS_MUST_USE krs_status krs_call_error_write(krs_call_kind kind, const krs_error *error,
                                             const char *correlation_id, krs_buf *out);
