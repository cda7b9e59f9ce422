/* engine/stream.h - one answer on its way: its tokens, its text, its end.
 *
 *   new (open) -> prepared (prep thread) -> queued, running (engine thread) -> ended -> freed
 *
 * Everything a stream needs while it runs is taken when it is prepared, for its longest possible
 * answer, so that a token costs no allocation.
 *
 * Thread: one owner at a time, handed over by queue.  Memory: owns its request. */
#pragma once

#include "api/runtime.h"
#include "sample/sampler.h"
#include "sample/stop_match.h"
#include "sched/sched.h"
#include "text/detok.h"

/* Text of one token, or of a long-held tail; a token of a public vocabulary is under 1 KiB. */
#define KRS_STREAM_TEXT_BYTES     1024u
#define KRS_STREAM_MAX_TEXT_BYTES (1u << 20)
#define KRS_STREAM_MAX_BANNED     (KRS_MAX_STOP_IDS + 16) /* the model's own end tokens beside them */

typedef struct krs_stream krs_stream;

struct krs_stream {
    krs_sched_seq seq; /* first: the scheduler hands it back */
    const krs_alloc *alloc;
    uint64_t id;
    krs_request *request;
    const krs_sink *sink;
    void *user;
    krs_stream *prev;
    krs_stream *next; /* in the engine's active list */

    uint32_t *tokens; /* [max_tokens], prompt then answer */
    uint32_t n_prompt;
    uint32_t n_tokens;
    uint32_t max_tokens;                   /* the sequence ends here */
    uint32_t stops[KRS_STREAM_MAX_BANNED]; /* ids that end it */
    uint32_t n_stops;
    const krs_tokenizer *tokenizer;
    krs_detok *detok;
    krs_stop_match *stop_match;
    krs_buf raw;  /* from the detokenizer, this step */
    krs_buf text; /* certain, this step */
    krs_token token;
    krs_sample sample;

    bool has_place;  /* counted in the engine's n_waiting */
    bool is_started; /* a step has run a row of it */
    bool is_ended;
    bool is_posted; /* has its event in this round */
    krs_finish finish;
    krs_error error;
    uint64_t opened_ns;
    uint64_t started_ns;
    uint64_t first_ns;
};

/* A stream around a request; on failure the request stays the caller's. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_stream_new(krs_request *request, const krs_sink *sink, void *user,
                                       uint64_t now_ns, const krs_alloc *alloc, krs_stream **out);
/* Frees the request, too. The scheduler must have let it go. */
void krs_stream_free(krs_stream *stream);

/* Where a prompt may go, and what ends an answer. */
typedef struct krs_stream_limits {
    uint32_t max_context_tokens;
    uint32_t vocab;
    const uint32_t *eos; /* [n_eos] */
    uint32_t n_eos;
} krs_stream_limits;

/* Give the stream its prompt (copied) and take all it will need. Errors: KRS_EINVAL (empty; an id out of
 * range), KRS_ETOOLARGE (no room for an answer), both naming the prompt's field; KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_stream_prepare(krs_stream *stream, const krs_tokenizer *tokenizer,
                                           krs_ids prompt, const krs_stream_limits *limits,
                                           krs_error *err);

/* "messages" or "prompt": the field errors about the prompt name. */
const char *krs_stream_prompt_field(const krs_stream *stream);

/* What the sampler needs for the next token. */
krs_sample_input krs_stream_sample_input(const krs_stream *stream, const float *logits);

/* Take the token in stream->sample: text, stop checks, end. True when the token is shown (it is in
 * stream->token), false for a stop token kept back. */
bool krs_stream_advance(krs_stream *stream, uint64_t now_ns);

/* End it: flushes held text. error: may be NULL unless finish is KRS_FINISH_ERROR. */
void krs_stream_end(krs_stream *stream, krs_finish finish, const krs_error *error);

/* The event of this step. */
krs_stream_event krs_stream_event_of(const krs_stream *stream, uint32_t n_tokens, uint64_t now_ns);
