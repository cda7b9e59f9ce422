/* front/call_priv.h - what the kinds of calls share: the table they are rows of, the state they begin
 * with, and the readers of fields that mean the same in every API. For this folder only.
 *
 * A kind is a krs_call_row: how its body is read and how its events are written. Its call and its answer
 * are structs of its own that begin with krs_call_head and krs_answer.
 *
 * Thread: as call.h. */
#pragma once

#include "front/call.h"
#include "front/turn.h"
#include "front/writer.h"

#define KRS_CALL_ID_BYTES       48 /* "chatcmpl-" and 16 hexadecimal digits, or twice as many */
#define KRS_CALL_MAX_MESSAGES   4096
#define KRS_CALL_MAX_TOOLS      128 /* OpenAI's own limit */
#define KRS_CALL_MAX_USER_BYTES 512
#define KRS_CALL_MAX_SALT_BYTES 256
#define KRS_CALL_MAX_METADATA   16 /* pairs; OpenAI's own limit */
#define KRS_CALL_MAX_CHAT_VALUES                                                                   \
    (1u << 17) /* JSON values of a chat body: 4096 messages hold 60,000. 20 MB a choice at worst */
#define KRS_CALL_MAX_ID_VALUES                                                                     \
    (1u                                                                                            \
     << 21) /* of a body with prompts: two million token ids. 300 MB at worst, while it is read */

/* What every call begins with. */
typedef struct krs_call_head {
    krs_call call; /* first: what the caller sees */
    const krs_alloc *alloc;
    char id[KRS_CALL_ID_BYTES]; /* "": this API names no answers */
    char model[KRS_MODEL_ID_BYTES];
    char correlation_id[KRS_CORRELATION_ID_BYTES];
    uint64_t created_unix_s;
    uint64_t random; /* of the context: names of calls are made of it */
    krs_tools tools; /* of those that converse: none, and the model's style, before they are read */
} krs_call_head;

/* What every answer begins with. */
struct krs_answer {
    krs_call_head *call;
    krs_answer_state state;
    krs_error error;
    bool has_written; /* bytes of a streamed answer are out: its errors go there too */
    uint32_t n_ended;
    bool *has_ended; /* [n_requests] */
};

/* One call being read. */
typedef struct krs_call_reader {
    const krs_call_context *context;
    const json_t *body;          /* borrowed */
    const krs_model_info *model; /* borrowed from the context; NULL before it was read */
    krs_call_head *call;
    krs_error *err;
} krs_call_reader;

/* When is a field we do not support worth a refusal? When it is not what it would be if absent. */
typedef enum krs_refusal_rule {
    KRS_REFUSE_SET,   /* anything but null, false, 0, "", [] and {} */
    KRS_REFUSE_GIVEN, /* anything but null: {} is a schema too */
    KRS_REFUSE_OTHER, /* anything but null and what `harmless` writes: a word, a number, true */
} krs_refusal_rule;

typedef struct krs_refusal {
    const char *field;
    krs_refusal_rule rule;
    const char *harmless;
} krs_refusal;

#define KRS_CALL_FIELD_LISTS 4

typedef struct krs_call_row {
    /* Known fields, NULL at the end of each list; "a.b" is field b of object a. */
    const char *const *fields[KRS_CALL_FIELD_LISTS];
    const char *prompt_field; /* what the API calls its prompt, when not as our requests do */
    size_t max_values;        /* JSON values of a body */
    size_t call_bytes;        /* of its struct that begins with krs_call_head */
    size_t answer_bytes;      /* of its struct that begins with krs_answer */
    bool is_model_default;    /* without `model` the only one loaded is meant */
    /* Fill the call: requests, and what the answer needs. The model is known. */
    krs_status (*read)(krs_call_reader *reader);
    krs_status (*answer_init)(krs_answer *answer); /* NULL: zeros will do */
    void (*answer_deinit)(krs_answer *answer);     /* NULL: nothing; also after a failed init */
    void (*call_deinit)(krs_call_head *call);      /* NULL: nothing of its own */
    /* An event that is no failure. n_ended counts it already. May set the error and FAILED. */
    void (*add)(krs_answer *answer, uint32_t i, const krs_stream_event *event, krs_writer *w);
    void (*fail)(krs_answer *answer,
                 krs_writer *w); /* answer->error into the stream, and its end */
    void (*heartbeat)(krs_writer *w);
    krs_status (*error_write)(const krs_error *error, const char *correlation_id, krs_buf *out);
} krs_call_row;

extern const krs_call_row krs_call_row_chat;
extern const krs_call_row krs_call_row_completion;
extern const krs_call_row krs_call_row_embeddings;
extern const krs_call_row krs_call_row_responses;
extern const krs_call_row krs_call_row_messages;
extern const krs_call_row krs_call_row_count_tokens;
extern const krs_call_row krs_call_row_tokenize;
extern const krs_call_row krs_call_row_detokenize;

/* The row of a kind, or NULL. */
const krs_call_row *krs_call_row_of(krs_call_kind kind);

/* Have all requests of the call ended? */
bool krs_answer_is_complete(const krs_answer *answer);

/* What the turn of request i is to be made with. */
krs_turn_options krs_call_turn_options(const krs_call_head *head, uint32_t i,
                                       const char *id_prefix);

/* call_error.c ------------------------------------------------------------------------------ */

/* Fail naming a field; the message is "field: why". */
krs_status krs_call_refuse(krs_error *err, const char *field, const char *format, ...)
    KRS_PRINTF(3, 4);

/* {"error":{..}} as OpenAI has it, and {"type":"error","error":{..},"request_id":..} as Anthropic does. */
KRS_MUST_USE krs_status krs_openai_error_write(const krs_error *error, const char *correlation_id,
                                               krs_buf *out);
KRS_MUST_USE krs_status krs_anthropic_error_write(const krs_error *error,
                                                  const char *correlation_id, krs_buf *out);

/* The error of a response object: its code is one of three words. */
void krs_call_put_response_error(krs_writer *w, const krs_error *error, const char *correlation_id);

/* An SSE comment. */
void krs_call_put_comment(krs_writer *w);

/* A named server-sent event whose data is an object that begins with its name as "type". Between the
 * two: further members, each with a comma before it, and no line end. */
static inline void krs_call_begin_event(krs_writer *w, krs_str name)
{
    krs_put(w, KRS_STR("event: "));
    krs_put(w, name);
    krs_put(w, KRS_STR("\ndata: {\"type\":\""));
    krs_put(w, name);
    krs_put(w, KRS_STR("\""));
}

static inline void krs_call_end_event(krs_writer *w)
{
    krs_put(w, KRS_STR("}\n\n"));
}

/* call_fields.c ----------------------------------------------------------------------------- */

/* List the body's fields that the row does not know. */
void krs_call_note_unknown(const krs_call_row *row, const json_t *body, krs_call *call);

/* Add a known field that has no effect here although its value asks for one. */
void krs_call_note_ignored(krs_call *call, const char *field);

KRS_MUST_USE krs_status krs_call_refuse_unsupported(const krs_call_reader *reader,
                                                    const krs_refusal *rows, size_t n_rows);

/* call_params.c ----------------------------------------------------------------------------- */

/* Fields that mean the same in every API that generates; for krs_call_row.fields. */
extern const char *const krs_call_sampling_fields[];
/* Of every call: model, priority, timeout_ms, cache_salt, user. */
extern const char *const krs_call_owner_fields[];

/* Room for n requests in the call; all NULL. */
KRS_MUST_USE krs_status krs_call_reserve(krs_call_reader *reader, size_t n);

/* Request i of the call, with model, owner, priority, deadline and salt. */
KRS_MUST_USE krs_status krs_call_new_request(krs_call_reader *reader, uint32_t i, krs_task task,
                                             krs_request **out);

/* temperature (up to max_temperature), top_p, penalties, seed, logit_bias, and everything else of
 * krs_call_sampling_fields into the request. */
KRS_MUST_USE krs_status krs_call_read_sampling(const krs_call_reader *reader,
                                               double max_temperature, krs_request *request);

/* An integer field into 32 bits; *out stays when absent. min and max must fit. */
KRS_MUST_USE krs_status krs_call_read_u32(const krs_call_reader *reader, const char *field,
                                          int64_t min, int64_t max, uint32_t *out);

/* metadata: up to 16 pairs of strings. *out: borrowed, NULL when absent. */
KRS_MUST_USE krs_status krs_call_read_metadata(const krs_call_reader *reader, json_t **out);

/* `field` must be a string when it is there; its value is of no use. */
KRS_MUST_USE krs_status krs_call_check_string(const krs_call_reader *reader, const char *field);

/* call_lists.c ------------------------------------------------------------------------------ */

/* Stop strings: a string or an array of strings in `field`. */
KRS_MUST_USE krs_status krs_call_read_stops(const krs_call_reader *reader, const char *field,
                                            krs_request *request);

/* stop_token_ids, logit_bias. */
KRS_MUST_USE krs_status krs_call_read_lists(const krs_call_reader *reader, krs_request *request);

/* An array of token ids below the model's vocabulary into the request's arena. */
KRS_MUST_USE krs_status krs_call_read_ids(const krs_call_reader *reader, const char *field,
                                          const json_t *array, krs_request *request,
                                          const uint32_t **out);

/* How many prompts does `field` hold (1 .. max)? It is a string, an array of ids, an array of strings, or
 * an array of arrays of ids. */
KRS_MUST_USE krs_status krs_call_count_prompts(const krs_call_reader *reader, const char *field,
                                               uint32_t max, uint32_t *out);

/* Prompt number i of `field` into the request. */
KRS_MUST_USE krs_status krs_call_read_prompt(const krs_call_reader *reader, const char *field,
                                             uint32_t i, krs_request *request);
