/* engine/stream.h - one answer on its way: its tokens, its text or vector, its end.
 *
 *   new (open) -> away: prepared or answered (prep thread) -> home: queued, running (engine thread)
 *                                                               -> ended -> freed
 *
 * Everything a stream needs while it runs is taken when it is prepared, for its longest possible
 * answer, so that a token costs no allocation.
 *
 * The engine thread knows a stream from its opening on, for a long prompt may take its prep thread
 * seconds and whoever cancels it must hear its end within a step. So the fields have owners: what is
 * marked "engine" is the engine thread's from the start, the rest belongs to the prep thread until the
 * stream is home. A stream ended while away is freed when it comes home.
 *
 * Thread: as said.  Memory: owns its request. */
#pragma once

#include "engine/embed.h"
#include "engine/guided.h"
#include "engine/speculate.h"

#include "api/runtime.h"
#include "sample/sampler.h"
#include "sample/stop_match.h"
#include "sched/sched.h"
#include "text/detok.h"

#include <stdatomic.h>

/* Text of one token, or of a long-held tail; a token of a public vocabulary is under 1 KiB. */
#define KRS_STREAM_TEXT_BYTES     1024u
#define KRS_STREAM_MAX_TEXT_BYTES (1u << 20)
#define KRS_STREAM_MAX_BANNED     (KRS_MAX_STOP_IDS + 16) /* the model's own end tokens beside them */

typedef struct krs_stream krs_stream;

struct krs_stream {
    krs_sched_seq seq; /* first: the scheduler hands it back; engine, but for n_tokens */
    const krs_alloc *alloc;
    uint64_t id; /* with the next four: as opened, immutable */
    krs_request *request;
    const krs_sink *sink;
    void *user;
    uint64_t opened_ns;

    krs_stream *prev; /* engine: in its list of streams away or at home */
    krs_stream *next;
    bool is_known;  /* engine: it has heard of the opening */
    bool is_home;   /* engine: the prep thread is done with it */
    bool is_left;   /* engine: its end was posted while it was away */
    bool is_posted; /* engine: has its event in this round */
    /* Tasks without a step may be ended by either thread: who sets this posts the end. */
    _Atomic bool is_answered;
    bool has_place; /* engine: counted as waiting, or as a text until it is home */

    uint32_t *tokens; /* [max_tokens], prompt then answer */
    uint32_t n_prompt;
    uint32_t n_tokens;
    uint32_t n_chars;                      /* of the answer, certain, stop strings or not */
    uint32_t max_tokens;                   /* the sequence ends here */
    uint32_t stops[KRS_STREAM_MAX_BANNED]; /* ids that end it */
    uint32_t n_stops;
    const uint32_t *eos; /* [n_eos] the model's, borrowed: never shown as text */
    uint32_t n_eos;
    bool is_reasoning; /* its prompt opened reasoning */
    const krs_tokenizer *tokenizer;
    krs_detok *detok;
    krs_stop_match *stop_match;
    krs_embedding embedding; /* of EMBED */
    krs_buf raw;             /* from the detokenizer, this step */
    krs_buf text;            /* certain, this step */
    krs_speculator speculator;
    krs_guided guided;
    bool was_forced;     /* what stands behind the known tokens is forced, not guessed */
    uint32_t max_rows;   /* tokens of one step: one, and as many as are proposed or forced */
    krs_sample *samples; /* [max_rows], the first n_picked were chosen in this step */
    krs_token *shown;    /* [max_rows] of them, what this step's event tells */
    uint32_t n_picked;
    krs_status picked; /* how choosing one more went */

    bool is_started; /* a step has run a row of it */
    bool is_ended;
    krs_finish finish;
    krs_error error;
    uint64_t started_ns;
    uint64_t first_ns;
    uint64_t last_ns; /* of its newest token */
    uint32_t n_told;  /* preemptions that were logged */
};

/* Does its task take steps of the engine? The others are answered by prep threads. */
static inline bool krs_stream_has_steps(const krs_stream *stream)
{
    return stream->request->task == KRS_TASK_GENERATE || stream->request->task == KRS_TASK_EMBED;
}

/* May the caller post the one end of a stream without steps? Prep thread and engine thread. */
static inline bool krs_stream_claim(krs_stream *stream)
{
    return !atomic_exchange(&stream->is_answered, true);
}

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
    uint32_t n_embedding;
    krs_pooling pooling;         /* of the model: what KRS_POOLING_MODEL means here */
    bool is_normalised;          /* embeddings have length 1 */
    krs_speculation speculation; /* of requests that do not say; never MODEL */
    krs_draft *draft;            /* or NULL */
    krs_guides *guides;
    bool is_reasoning; /* the prompt ends inside the model's reasoning */
} krs_stream_limits;

/* stream_prepare.c: give the stream its prompt (copied) and take all it will need. Errors: KRS_EINVAL
 * (empty; an id out of range), KRS_ETOOLARGE (no room for an answer), both naming the prompt's field;
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_stream_prepare(krs_stream *stream, const krs_tokenizer *tokenizer,
                                           krs_ids prompt, const krs_stream_limits *limits,
                                           krs_error *err);

/* Choose a token from each row of logits [1 + n_draft][vocab] while it is the one proposed there, into
 * stream->samples: what follows another is not this answer. A guided stream chooses under its mask, and takes
 * forced tokens as they are; where the proposal was sure, logits is the last row alone. */
void krs_stream_pick(krs_stream *stream, krs_sampler *sampler, const float *logits, uint32_t vocab,
                     uint32_t n_draft);

/* Take the token in stream->samples[i]: text, stop checks, end. True when the token is shown (it is in
 * stream->shown[i]), false for a stop token kept back. */
bool krs_stream_advance(krs_stream *stream, uint32_t i, uint64_t now_ns);

/* End it: flushes held text. error: may be NULL unless finish is KRS_FINISH_ERROR. */
void krs_stream_end(krs_stream *stream, krs_finish finish, const krs_error *error);

/* The vector of an EMBED stream, all of whose rows were added: its end. */
void krs_stream_end_embedding(krs_stream *stream);

/* The event of this step, into out. */
void krs_stream_event_of(const krs_stream *stream, uint32_t n_tokens, uint64_t now_ns,
                         krs_stream_event *out);
/* The end of a stream that is away. Reads what was there when it was opened and nothing else. */
void krs_stream_event_left(const krs_stream *stream, krs_finish finish, uint64_t now_ns,
                           krs_stream_event *out);
