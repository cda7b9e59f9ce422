/* front/rpc_priv.h - what the files of front/rpc_*.c share. Nobody else includes it.
 *
 *   desk --owns--> figures           session --owns--> framer, output
 *     \--lists--> sessions              \--lists--> streams, batches, loads (each knows its session)
 *
 * A load belongs to two threads' time: its done callback may run after the session went, so it holds the
 * desk and a session that is NULL by then.
 *
 * Thread: one, see rpc.h. */
#pragma once

#include "api/method.h"
#include "front/rpc.h"
#include "front/rpc_figures.h"
#include "front/turn.h"
#include "service/feed.h"

#define KRS_RPC_STREAM_NAME_BYTES (4 * 256 + 1) /* 256 characters */
#define KRS_RPC_TEXT_BYTES        2048u         /* of cumulative_text: then it is left out */
#define KRS_RPC_PIECE_BYTES       1024u       /* of one token's text in a message; more is split */
#define KRS_RPC_PACK_BYTES        8192u       /* of tokens waiting for company */
#define KRS_RPC_PACK_MAX_BYTES    (64u << 10) /* with one more token and its top_logprobs */

struct krs_rpc_desk {
    krs_rpc_desk_options options;
    krs_rpc_session *sessions;
    krs_rpc_figures figures;
    uint64_t n_state_calls;
};

/* Whose events are these? First member of what is opened as a stream of the runtime. */
typedef enum krs_rpc_task_kind { KRS_RPC_TASK_STREAM, KRS_RPC_TASK_ITEM } krs_rpc_task_kind;

struct krs_rpc_task {
    krs_rpc_task_kind kind;
    krs_rpc_session *session;
    void *handle; /* the carrier's */
};

typedef struct krs_rpc_stream krs_rpc_stream;
typedef struct krs_rpc_batch krs_rpc_batch;
typedef struct krs_rpc_load krs_rpc_load;
typedef struct krs_rpc_group krs_rpc_group;
typedef struct krs_rpc_watch krs_rpc_watch;

struct krs_rpc_session {
    krs_rpc_desk *desk;
    krs_rpc_session *prev;
    krs_rpc_session *next;
    krs_rpc_session_options options;
    krs_framer framer;
    krs_encoding encoding;      /* of what we write */
    krs_encoding next_encoding; /* from the next message on, both ways */
    krs_buf out;
    size_t n_sent; /* of out */
    krs_rpc_stream *streams;
    krs_rpc_batch *batches;
    krs_rpc_load *loads;
    krs_rpc_group *groups;
    uint32_t n_streams;
    uint32_t n_unanswered;
    uint64_t due_ns;
    krs_rpc_watch *watch; /* or NULL */
    bool is_over;
    bool is_broken;
};

/* One request as its handler sees it. */
typedef struct krs_rpc_ask {
    krs_rpc_session *session;
    krs_method method;
    json_t *params; /* NULL: none given */
    json_t *id;     /* NULL: nobody wants an answer */
    uint64_t now_ns;
} krs_rpc_ask;

/* Why a request failed. */
typedef struct krs_rpc_fault {
    krs_error error;
    int code;          /* 0: the one of error.status */
    char model_id[64]; /* "" or: error.data.model_id (cut) */
} krs_rpc_fault;

/* rpc_reply.c */
/* Begin a successful reply: the result's value comes next. False when nobody wants it. */
bool krs_rpc_reply_begin(krs_rpc_session *session, const json_t *id, krs_emit *e, size_t *start);
/* End it; one that is longer than the client reads becomes an error. */
void krs_rpc_reply_end(krs_rpc_session *session, const json_t *id, krs_emit *e, size_t start);
/* Takes result; NULL is null. */
void krs_rpc_reply_tree(krs_rpc_session *session, const json_t *id, json_t *result);
void krs_rpc_reply_fault(krs_rpc_session *session, const json_t *id, const krs_rpc_fault *fault);
/* Begin a notification with n_params pairs in params; _end closes both. */
void krs_rpc_notify_begin(krs_rpc_session *session, const char *method, uint32_t n_params,
                          krs_emit *e, size_t *start);
void krs_rpc_notify_end(krs_rpc_session *session, krs_emit *e, size_t start);
/* Where the message's bytes begin, for its length. */
size_t krs_rpc_message_bytes(const krs_emit *e, size_t start);
/* The sentence a client reads, for where there is only room for that. */
krs_str krs_rpc_fault_text(const krs_rpc_fault *fault);
/* fault is "context model: reason", with this code. Returns status. */
krs_status krs_rpc_blame(krs_rpc_fault *fault, int code, const char *context, krs_str model);
/* Hide absolute paths in a message: their last part stays. */
void krs_rpc_hide_paths(char *message);
/* A JSON string of bytes that may not be UTF-8; NULL without memory. */
json_t *krs_rpc_string(krs_str bytes);

typedef enum krs_rpc_style {
    KRS_RPC_STYLE_CHUNKS,     /* chunks, stats, event */
    KRS_RPC_STYLE_CONTINUOUS, /* single chunks, event with stats */
} krs_rpc_style;

/* rpc_talk.c: the answer of a chat, taken apart: reasoning beside the text in chunks, calls as events. */
typedef struct krs_rpc_talk {
    krs_tools tools;
    krs_turn turn;
    krs_buf content; /* of one token */
    krs_buf reasoning;
    bool is_lost; /* past a limit: the rest is text */
} krs_rpc_talk;

struct krs_rpc_pack;

/* The tools of a chat's parameters into the talk and the request. *out: NULL when answers of this model
 * and this chat are nothing but text. Errors: KRS_EINVAL, KRS_EUNSUPPORTED, KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_rpc_talk_new(const krs_rpc_ask *ask, const krs_model_info *info,
                                         krs_request *request, krs_rpc_talk **out,
                                         krs_rpc_fault *fault);
void krs_rpc_talk_free(krs_rpc_talk *talk);
/* An event through the talk into the pack. */
void krs_rpc_talk_add(krs_rpc_talk *talk, struct krs_rpc_pack *pack, const krs_stream_event *event);

/* rpc_say.c: what a stream says. Tokens gather in a pack until it is written as one message. */
typedef struct krs_rpc_pack {
    krs_rpc_session *session;
    const char *name; /* of the stream */
    krs_rpc_style style;
    krs_buf bytes; /* pairs of the tokens' maps, in the session's encoding */
    uint32_t n;
    uint32_t ends[KRS_RPC_FLUSH_TOKENS]; /* in bytes, of each token */
    uint32_t n_pairs[KRS_RPC_FLUSH_TOKENS];
    uint32_t n_text; /* of text; past KRS_RPC_TEXT_BYTES it is no longer told */
    bool has_text;
    bool has_logprobs;
    uint32_t last_id;
    char text[KRS_RPC_TEXT_BYTES]; /* the answer so far */
} krs_rpc_pack;

void krs_rpc_pack_init(krs_rpc_pack *pack, krs_rpc_session *session, const char *name,
                       krs_rpc_style style);
/* Tokens and text of an event. Writes when the pack is full. */
void krs_rpc_pack_add(krs_rpc_pack *pack, const krs_stream_event *event);
/* One token (NULL: none of its own) with what it says, text and reasoning. */
void krs_rpc_pack_token(krs_rpc_pack *pack, const krs_token *token, krs_str text,
                        krs_str reasoning);
/* Write what has gathered. */
void krs_rpc_pack_write(krs_rpc_pack *pack);
/* How a stream ended. */
typedef struct krs_rpc_ending {
    krs_finish finish;
    bool has_calls;     /* it stopped for calls of tools */
    const char *reason; /* NULL: the name of finish */
    krs_str why;        /* of a failure */
    krs_usage usage;
} krs_rpc_ending;

/* Statistics and the last event. */
void krs_rpc_say_end(krs_rpc_session *session, krs_rpc_style style, const char *name,
                     const krs_rpc_ending *ending);
/* "stop", "length", "cancelled", "timeout", "error"; of continuous streams "eos" for "stop". */
const char *krs_rpc_finish_name(krs_rpc_style style, krs_finish finish);

/* rpc_request.c */
/* Parameters of a method that generates (checked) to a request. Errors: KRS_ENOTLOADED, KRS_EINVAL,
 * KRS_EUNSUPPORTED, KRS_ENOMEM; the fault says the rest. *talk: of chats, or NULL; the caller's. */
KRS_MUST_USE krs_status krs_rpc_request_new(const krs_rpc_ask *ask, krs_request **out,
                                            krs_rpc_talk **talk, krs_rpc_fault *fault);
/* An empty request for a loaded model. Same errors. */
KRS_MUST_USE krs_status krs_rpc_request_for(const krs_rpc_ask *ask, krs_str model_id,
                                            krs_model_info *info, krs_request **out,
                                            krs_rpc_fault *fault);
/* Ids from a JSON array into the request's prompt. */
KRS_MUST_USE krs_status krs_rpc_request_tokens(krs_request *request, const json_t *ids,
                                               krs_rpc_fault *fault);
/* The model by that name. Errors: KRS_ENOTLOADED, KRS_EUNAVAILABLE. */
KRS_MUST_USE krs_status krs_rpc_model_of(const krs_rpc_session *session, krs_str model_id,
                                         krs_model_info *out, krs_rpc_fault *fault);

/* rpc_stream.c */
/* Open a stream for the answer of one request. name: *out_name is the stream's, valid while it lives.
 * group: NULL, or told when it ends. */
KRS_MUST_USE krs_status krs_rpc_stream_open(const krs_rpc_ask *ask, krs_rpc_style style,
                                            krs_rpc_group *group, const char **out_name,
                                            krs_rpc_fault *fault);
krs_rpc_stream *krs_rpc_stream_named(const krs_rpc_session *session, krs_str name);
void krs_rpc_stream_cancel(krs_rpc_stream *stream);
/* Tokens the client adds; 0 when the stream has no bound. */
uint32_t krs_rpc_stream_credit(krs_rpc_stream *stream, uint32_t n);
void krs_rpc_stream_event(krs_rpc_stream *stream, const krs_stream_event *event, uint64_t now_ns);
/* Everything written has been taken by the peer. */
void krs_rpc_streams_settle(krs_rpc_session *session);
void krs_rpc_streams_flush(krs_rpc_session *session, uint64_t now_ns);
void krs_rpc_streams_drop(krs_rpc_session *session);

/* The event of a continuous stream that could not be opened. */
void krs_rpc_stream_refuse(krs_rpc_session *session, krs_str name, const krs_rpc_fault *fault);

/* rpc_generate.c */
krs_status krs_rpc_generate(const krs_rpc_ask *ask, krs_rpc_fault *fault); /* and chat */
krs_status krs_rpc_batch_generate(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_parallel(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_continuous(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_cancel(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_credit(const krs_rpc_ask *ask, krs_rpc_fault *fault);
/* A stream of the group has ended. */
void krs_rpc_group_leave(krs_rpc_group *group);
void krs_rpc_groups_drop(krs_rpc_session *session);

/* rpc_batch.c: tokenize, detokenize, embeddings and their batch forms. */
krs_status krs_rpc_batch_call(const krs_rpc_ask *ask, krs_rpc_fault *fault);
void krs_rpc_item_event(krs_rpc_task *task, const krs_stream_event *event, uint64_t now_ns);
void krs_rpc_batches_drop(krs_rpc_session *session);

/* rpc_models.c */
krs_status krs_rpc_load_model(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_unload_model(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_models(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_vision(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_check_draft(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_batch_check_draft(const krs_rpc_ask *ask, krs_rpc_fault *fault);
void krs_rpc_loads_drop(krs_rpc_session *session);

/* rpc_locate.c: the folder of a model, into out[KRS_OS_PATH_BYTES]. */
krs_status krs_rpc_locate(const krs_rpc_ask *ask, char *out, krs_error *err);

/* rpc_info.c */
krs_status krs_rpc_info(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_state(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_telemetry(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_batcher_report(const krs_rpc_ask *ask, krs_rpc_fault *fault);

/* rpc_events.c */
krs_status krs_rpc_subscribe(const krs_rpc_ask *ask, krs_rpc_fault *fault);
krs_status krs_rpc_negotiate(const krs_rpc_ask *ask, krs_rpc_fault *fault);
/* Events that wait, as far as the peer reads. */
void krs_rpc_watch_pump(krs_rpc_session *session);
void krs_rpc_watch_close(krs_rpc_session *session);
