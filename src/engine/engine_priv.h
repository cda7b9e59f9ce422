/* engine/engine_priv.h - what an engine is made of, and which thread may touch which part.
 *
 *   immutable after open:  model, tokenizer, chat, info, plan, limits, eos
 *   any thread:            controls, queues, the atomics of `shared`
 *   engine thread:         exec, pool, sched, sampler, step, outbox, active
 *
 * States: READY -> DRAINING (krs_runtime_drain) -> STOPPED (publish.c, nothing left);
 *         READY or DRAINING -> FAILED (step.c, the device failed and could not be opened anew).
 *
 * Thread: as above.  Memory: everything from alloc, taken in load.c. */
#pragma once

#include "engine/control.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/stream.h"
#include "format/config.h"
#include "format/pooling.h"
#include "model/model.h"
#include "os/thread.h"
#include "text/chat_template.h"

/* What the step needs: arrays for krs_step, sized by the limits. */
typedef struct krs_step_room {
    uint32_t *tokens;       /* [max_step_tokens] */
    krs_step_seq *seqs;     /* [max_seqs] */
    uint32_t *logit_rows;   /* [krs_engine_max_logit_rows] */
    uint32_t *hidden_rows;  /* [max_step_tokens] */
    krs_state_copy *copies; /* [2 * max_seqs] */
} krs_step_room;

/* Events of one round of the loop, grouped by sink on delivery. */
typedef struct krs_outbox {
    krs_stream_event *events;  /* [max] in the order of the step */
    krs_stream **streams;      /* [max] whose event it is */
    krs_stream_event *grouped; /* [max] of one sink */
    uint32_t n;
    uint32_t max;
    bool is_mixed; /* of more than one sink */
} krs_outbox;

/* One round of the loop, for the metrics. */
typedef struct krs_round {
    uint64_t begin_ns; /* after waiting */
    uint64_t draft_ns;
    uint64_t device_ns;
    uint64_t sampling_ns;
    uint32_t n_rows;     /* 0: no step was run */
    uint32_t n_drafting; /* sequences the draft model proposed to */
    bool has_reclaimed;  /* of its blocks what could be had */
    uint32_t n_seqs;
    uint32_t n_tokens; /* chosen */
} krs_round;

/* Numbers written by one side and read by the other. */
typedef struct krs_engine_shared {
    _Atomic uint32_t state; /* krs_runtime_state */
    _Atomic uint64_t heartbeat_ns;
    _Atomic uint32_t n_open;    /* streams from open to their end event */
    _Atomic uint32_t n_waiting; /* of them, those no step has run a row of */
    _Atomic uint32_t n_texts;   /* streams without steps, from open until they are home */
    _Atomic uint32_t tenant_waiting[KRS_MAX_TENANTS]; /* n_waiting, each tenant's but 0's */
    _Atomic uint64_t n_waiting_tokens;
    _Atomic uint32_t n_running;
    _Atomic uint32_t n_paused;
    _Atomic uint32_t n_parked;
    _Atomic uint32_t n_kv_free;
    _Atomic uint32_t n_kv_cached;
    _Atomic bool is_woken;    /* a wake message is in the inbox */
    _Atomic bool is_stopping; /* free was called: end everything */
} krs_engine_shared;

typedef struct krs_engine {
    krs_runtime runtime; /* first: the port casts */
    const krs_alloc *alloc;
    krs_metrics *metrics;
    const krs_log *log;
    krs_bus *bus;
    krs_model_info info;
    krs_engine_plan plan;
    krs_sched_limits limits;
    uint32_t max_waiting;
    uint32_t eos[KRS_CONFIG_MAX_EOS];
    uint32_t n_eos;
    krs_model *model;
    krs_tokenizer *tokenizer;
    krs_chat_template *chat; /* NULL: the model has none */
    krs_reply_style reply;   /* how it writes calls and reasoning */
    krs_pooling pooling;     /* LAST, MEAN or CLS: the model's own */
    bool is_normalised;      /* its embeddings have length 1 */
    /* What its files ask for and we do not compute: "Dense", "another pooling"; "": nothing. */
    char odd_pooling[KRS_POOLING_MODULE_BYTES];
    krs_backend *backend;

    krs_controls controls;
    krs_os_queue *prep_queue;
    krs_os_queue *form_queue; /* those whose answers are guided: compiling may take a while */
    krs_os_queue *inbox;
    krs_engine_shared shared;
    krs_guides *guides;          /* NULL: the model gives no answers */
    krs_encoder *forced_encoder; /* the engine thread's */
    /* [0, n_prep_threads) serve prep_queue, as many behind them form_queue, if there are guides. */
    krs_encoder *encoders[2 * KRS_ENGINE_MAX_PREP_THREADS]; /* one a prep thread */
    krs_os_thread *prep_threads[2 * KRS_ENGINE_MAX_PREP_THREADS];
    uint32_t n_prep_threads;       /* of each queue */
    _Atomic uint32_t next_encoder; /* each prep thread takes one at its start */
    krs_os_thread *thread;

    krs_draft *draft;            /* NULL: there is none */
    krs_speculation speculation; /* of requests that do not say; never MODEL */
    krs_pace_cost cost;          /* of the steps that could hold proposals */
    krs_pace_step pace;          /* what a proposal is held against, by the newest step */

    krs_exec *exec;
    krs_kv_pool *pool;
    krs_kv_state *states;  /* NULL: the model has none */
    krs_kv_prefix *prefix; /* NULL: nothing is shared */
    krs_sched *sched;
    krs_sampler *sampler;
    krs_step_room step;
    krs_outbox outbox;
    krs_round round;
    uint32_t prompt_rows;      /* granted to prompts beside decodes: step.c */
    bool has_failed;           /* the device did, and was opened anew */
    uint32_t n_steps_well;     /* since then; saturates at KRS_ENGINE_TRUST_STEPS */
    krs_stream *active;        /* list of the streams that are home */
    krs_stream *away;          /* list of those with a prep thread */
    krs_stream **by_slot;      /* [controls.n], NULL: nobody the engine thread knows */
    uint64_t away_deadline_ns; /* no stream that is away has an earlier one */
} krs_engine;

/* load.c: everything up to the threads; on failure the caller unloads. */
KRS_MUST_USE krs_status krs_engine_load(krs_engine *engine, const krs_engine_options *options,
                                        krs_error *err);
void krs_engine_unload(krs_engine *engine);

/* memory.c: fill engine->plan for the loaded model, or refuse with the numbers. */
KRS_MUST_USE krs_status krs_engine_make_plan(krs_engine *engine, const krs_engine_options *options,
                                             krs_error *err);
/* memory.c: the limits of an exec under a plan. */
krs_exec_limits krs_engine_exec_limits(const krs_engine *engine, uint32_t n_kv_blocks);

/* prep.c: body of a prep thread. arg: krs_engine. */
void krs_engine_prep_main(void *arg);
/* prep.c: the prompt's ids, borrowed from the encoder or the request. text: scratch. */
KRS_MUST_USE krs_status krs_engine_encode(const krs_engine *engine, const krs_request *request,
                                          krs_encoder *encoder, krs_buf *text, krs_ids *out,
                                          krs_error *err);
/* texts.c: answer TOKENIZE or DETOKENIZE. given_up: NULL, or how it ended before its turn came. Prep
 * thread. */
void krs_engine_answer_text(krs_engine *engine, krs_stream *stream, krs_encoder *encoder,
                            const krs_finish *given_up);

/* loop.c: body of the engine thread. arg: krs_engine. */
void krs_engine_loop_main(void *arg);
/* loop.c: make the engine thread look at its controls soon. Any thread. */
void krs_engine_wake(krs_engine *engine);

/* step.c: plan, run, sample; events go into the outbox. False when there was nothing to run. */
bool krs_engine_step(krs_engine *engine);

/* advance.c: the results of a step to its streams. */
void krs_engine_advance(krs_engine *engine, const krs_sched_step *plan,
                        const krs_step_result *result);
/* fail.c: the step just planned was not run: end what is here, open the device anew or be FAILED. */
void krs_engine_fail(krs_engine *engine, krs_status status, krs_error *err);

/* queue.c: a prepared stream to the scheduler. Errors: those of krs_sched_add. */
KRS_MUST_USE krs_status krs_engine_queue(krs_engine *engine, krs_stream *stream);
/* queue.c: end a stream that is home with the next plan; one that has ended is left alone. */
void krs_engine_cancel(krs_engine *engine, krs_stream *stream);
/* queue.c: n_tokens more; the first grant limits a stream that had no limit. */
void krs_engine_grant(krs_engine *engine, krs_stream *stream, uint32_t n_tokens);

/* speculate.c: the default of requests, and the draft model. The model and its tokenizer are loaded. */
KRS_MUST_USE krs_status krs_engine_load_speculation(krs_engine *engine,
                                                    const krs_engine_options *options,
                                                    krs_error *err);
/* speculate.c: a stream has new tokens and goes on: propose what may follow. */
void krs_engine_speculate(krs_engine *engine, krs_stream *stream);
/* speculate.c: what the step just run says about the price of a row. */
void krs_engine_set_pace(krs_engine *engine, const krs_sched_step *plan);
/* speculate.c: let the draft model write the tokens that the plan gave rows to. */
KRS_MUST_USE krs_status krs_engine_draft(krs_engine *engine, const krs_sched_step *plan,
                                         krs_error *err);

/* publish.c: health and metrics of the round. */
void krs_engine_publish(krs_engine *engine);
/* publish.c: a stream's first row is about to run / a plan put n sequences back. */
void krs_engine_tell_started(krs_engine *engine, const krs_stream *stream);
void krs_engine_tell_preempted(krs_engine *engine, uint32_t n);

/* Can its sequences go back behind a refused token? */
static inline bool krs_engine_can_speculate(const krs_engine *engine)
{
    return engine->info.can_generate && krs_model_program(engine->model)->state_floats == 0;
}

/* Rows of a step whose logits may be wanted. */
static inline uint32_t krs_engine_max_logit_rows(const krs_engine *engine)
{
    const uint32_t n = engine->limits.max_running;
    return n > engine->limits.max_draft_rows ? n : engine->limits.max_draft_rows;
}

/* Tasks without steps there can be at a time. */
static inline uint32_t krs_engine_max_texts(const krs_engine *engine)
{
    return engine->max_waiting + KRS_ENGINE_TEXTS_BESIDE;
}

/* Waiting requests of one tenant with a number: three quarters, so that another always finds a place. */
static inline uint32_t krs_engine_max_tenant_waiting(const krs_engine *engine)
{
    return engine->max_waiting - engine->max_waiting / 4;
}

/* Streams there can be: those, the scheduler's full house, and prompts that are being read. */
static inline uint32_t krs_engine_max_streams(const krs_engine *engine)
{
    const krs_sched_limits *limits = &engine->limits;
    return krs_engine_max_texts(engine) + limits->max_running + limits->max_waiting +
           limits->max_parked + engine->max_waiting;
}

/* deliver.c: the stream waits no longer, or is home without having had steps; a second call is nothing.
 * Engine thread. */
void krs_engine_give_place(krs_engine *engine, krs_stream *stream);

/* deliver.c: put a stream's event of this round, or the end of one that is away, into the outbox. */
void krs_engine_post(krs_engine *engine, krs_stream *stream, uint32_t n_tokens);
void krs_engine_post_left(krs_engine *engine, krs_stream *stream, krs_finish finish);
/* deliver.c: hand all out, then forget ended streams that are home. */
void krs_engine_deliver(krs_engine *engine);
/* deliver.c: free a stream that is home and out of the scheduler. */
void krs_engine_forget(krs_engine *engine, krs_stream *stream);
/* deliver.c: the engine thread's lists. */
void krs_engine_link(krs_stream **list, krs_stream *stream);
void krs_engine_unlink(krs_stream **list, krs_stream *stream);
