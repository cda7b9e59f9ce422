/* api/runtime.h - the runtime port: the one seam between services and whatever runs the model.
 *
 * engine/ implements it in this process; bridge/ will implement it over a transport to a worker. Services,
 * front ends and the CLI see only this, so process isolation is a deployment choice.
 *
 * Delivery: at the end of a step the runtime hands each sink all events of its streams in one call, on
 * a thread of the runtime. Tasks that take no step (tokenize, detokenize) are delivered from another
 * thread of it, so a sink locks what it shares; events of one stream never overlap. Events and
 * everything they point to are valid during that call only: the receiver copies what it keeps, wakes
 * its own loop, and returns without blocking.
 *
 * Credit: a stream with credit c gets c more tokens at most until krs_runtime_grant adds to it. Without
 * credit it is paused: it keeps its KV while nobody needs the memory, loses it then (and is computed
 * anew, same bytes, when it may go on), and ends at its deadline.
 *
 * Thread: every function may be called from any thread.  Memory: see each function. */
#pragma once

#include "api/generate.h"

#define KRS_REPLY_NAME_BYTES 24 /* of a format: "deepseek-v3.1" */

typedef struct krs_runtime krs_runtime;

/* Where events go. One sink per receiving thread, shared by its streams; outlives them. */
typedef struct krs_sink {
    void *ctx;
    /* events[n], in the order of the step; must not block and must not call the runtime. */
    void (*deliver)(void *ctx, const krs_stream_event *events, uint32_t n);
} krs_sink;

typedef enum krs_runtime_state {
    KRS_RUNTIME_STARTING,
    KRS_RUNTIME_READY,
    KRS_RUNTIME_DRAINING, /* finishes what it has, refuses new work */
    KRS_RUNTIME_FAILED,   /* the device failed; work ends with KRS_EDEVICE */
    KRS_RUNTIME_STOPPED,
} krs_runtime_state;

typedef struct krs_runtime_health {
    krs_runtime_state state;
    uint64_t heartbeat_ns; /* when the engine thread last went round its loop, krs_os_now_ns time */
    uint32_t n_running;    /* sequences in the batch */
    uint32_t n_waiting;    /* requests queued */
    uint32_t max_waiting;
    uint64_t n_waiting_tokens; /* of their prompts */
    uint64_t max_waiting_tokens;
    uint32_t n_paused; /* running, without credit */
    uint32_t n_parked; /* paused ones that have lost their KV */
    uint32_t n_kv_blocks;
    uint32_t n_kv_blocks_free;   /* free, or cached and held by nobody */
    uint32_t n_kv_blocks_cached; /* held by nobody, kept for a prompt that begins the same way */
} krs_runtime_health;

typedef struct krs_model_info {
    char id[KRS_MODEL_ID_BYTES];
    char family[64]; /* model_type of its config */
    char dtype[16];  /* of its weights: "bf16", "affine4", ... */
    uint64_t n_parameters;
    uint64_t file_bytes;
    uint64_t created_unix_s; /* when it was loaded */
    uint64_t tokens_hash;    /* equal for models that mean the same by every id */
    uint64_t specials_hash;  /* of the special ids alone */
    uint32_t context_tokens; /* longest sequence */
    uint32_t vocab;
    uint32_t hidden; /* elements of an embedding; 0: it gives none */
    uint32_t bos;    /* first id of a sequence; UINT32_MAX: none */
    uint32_t eos;    /* the first of its end tokens; UINT32_MAX: none */
    bool has_draft;  /* it was loaded with a draft model */
    bool has_chat_template;
    /* How it sets calls of tools and reasoning apart from content (names of text/reply.h); "": it does not. */
    char reply_format[KRS_REPLY_NAME_BYTES];
    char reply_reasoning[KRS_REPLY_NAME_BYTES];
    bool can_generate; /* it has a vocabulary projection; false: embeddings are all it gives */
    /* The model's own defaults (generation_config.json) over KRS_SAMPLING_INIT: start requests here. */
    krs_sampling sampling;
} krs_model_info;

/* The functions an implementation supplies; self is its own object. */
typedef struct krs_runtime_vtable {
    krs_status (*open)(krs_runtime *self, krs_request *request, const krs_sink *sink, void *user,
                       uint64_t *stream_id, krs_error *err);
    void (*cancel)(krs_runtime *self, uint64_t stream_id);
    void (*grant)(krs_runtime *self, uint64_t stream_id, uint32_t n_tokens);
    krs_runtime_health (*health)(krs_runtime *self);
    uint32_t (*models)(krs_runtime *self, krs_model_info *out, uint32_t max);
    void (*drain)(krs_runtime *self);
    void (*free)(krs_runtime *self);
} krs_runtime_vtable;

/* First member of every implementation. */
struct krs_runtime {
    const krs_runtime_vtable *vtable;
};

/* Start one answer. Takes the request on success (frees it when the stream ends); on failure it stays
 * the caller's. Fails fast, without waiting for a step: KRS_EINVAL (out of range), KRS_ENOTLOADED (model),
 * KRS_EBUSY (queue full), KRS_EUNAVAILABLE (not ready, draining), KRS_ENOMEM. What is found later (the
 * prompt is too long, the template refuses) comes as an end event with its error.
 * sink: borrowed until the stream's end event has been delivered. */
KRS_MUST_USE static inline krs_status krs_runtime_open(krs_runtime *runtime, krs_request *request,
                                                       const krs_sink *sink, void *user,
                                                       uint64_t *stream_id, krs_error *err)
{
    return runtime->vtable->open(runtime, request, sink, user, stream_id, err);
}

/* End a stream within one step; its end event still comes. Unknown ids are ignored (it may just have
 * ended). */
static inline void krs_runtime_cancel(krs_runtime *runtime, uint64_t stream_id)
{
    runtime->vtable->cancel(runtime, stream_id);
}

/* Allow n more tokens. A stream starts with its request's credit; the first grant limits one that had no
 * limit to n from now on. */
static inline void krs_runtime_grant(krs_runtime *runtime, uint64_t stream_id, uint32_t n_tokens)
{
    runtime->vtable->grant(runtime, stream_id, n_tokens);
}

/* Cheap, never runs a token. */
static inline krs_runtime_health krs_runtime_health_of(krs_runtime *runtime)
{
    return runtime->vtable->health(runtime);
}

/* Fill out[max] with what is loaded; returns how many there are. */
static inline uint32_t krs_runtime_models(krs_runtime *runtime, krs_model_info *out, uint32_t max)
{
    return runtime->vtable->models(runtime, out, max);
}

/* Refuse new work from now on; what runs may finish. Returns at once; watch health. */
static inline void krs_runtime_drain(krs_runtime *runtime)
{
    runtime->vtable->drain(runtime);
}

/* Cancel what is left, deliver every end event, stop the threads, free. NULL is a no-op. */
static inline void krs_runtime_free(krs_runtime *runtime)
{
    if (runtime) {
        runtime->vtable->free(runtime);
    }
}
