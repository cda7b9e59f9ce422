/* engine/engine.h - open a model folder as a runtime in this process.
 *
 * Opening loads everything an answer needs (weights, tokenizer, chat template, the model's sampling
 * defaults), plans memory, refuses with the numbers when the plan does not fit, and only then takes
 * the memory and starts the threads. What comes back is the runtime port of api/runtime.h; free it
 * with krs_runtime_free.
 *
 * Same bytes, whatever the load: a stream's text, log probabilities and vector depend on its request and
 * the model alone, not on what ran beside it, in which chunks its prompt was computed, what of it was
 * found in the cache, or whether it was preempted.
 *
 * What a stream counts: usage.n_answer_tokens includes the stop token that ended it; the stop token
 * itself is neither text nor in the events' tokens, unless has_stop_text asked for it.
 *
 * Thread: open from one thread; the runtime from any.
 * Memory: from options.alloc, which must take calls from any thread; JSON from jansson's heap. */
#pragma once

#include "api/runtime.h"
#include "compute/backend.h"
#include "os/file.h"
#include "telemetry/bus.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define KRS_ENGINE_MAX_SEQS         KRS_EXEC_MAX_SEQS
#define KRS_ENGINE_MAX_WAITING      65536u /* requests; each holds its prompt */
#define KRS_ENGINE_MAX_PREP_THREADS 16
/* Tasks without steps there may be beside max_waiting: answered ones hold a slot until the step that runs
 * is over, and a client that asks for one after the other is not to hear of that. */
#define KRS_ENGINE_TEXTS_BESIDE 256u
/* Rows of a step: what a running answer waits for while a prompt is read, and how far a cancel is. */
#define KRS_ENGINE_STEP_TOKENS 256u
/* How long a step that reads prompts beside running answers should take: what their readers wait between two
 * tokens. Ten tokens a second still read as a flow, and a shorter step would spend more of its time on
 * reading all weights, which costs the prompt. */
#define KRS_ENGINE_BESIDE_NS UINT64_C(100000000)
/* States of recurrent layers kept beside two for each sequence (its own, and one to go back to): for prompts
 * that come again. They are 10 to 80 MB each. */
#define KRS_ENGINE_SPARE_STATES 8u
/* Rows of a step up to which proposed tokens get any (sched.h, rule 7): so many a step computes in little more
 * time than one, for the weights are read once for all. In a larger one each costs its share of
 * the arithmetic, which the other sequences could have had. */
#define KRS_ENGINE_DRAFT_ROWS  16u
#define KRS_ENGINE_MIN_CONTEXT 64u /* tokens; less holds no template */
#define KRS_ENGINE_AUTO_KV_CONTEXTS                                                                \
    4u /* full contexts the cache holds when nobody says otherwise */
/* Of one tokenize or detokenize: far above any context, and its answer stays below what a client takes. */
#define KRS_ENGINE_MAX_TEXT_IDS   (1u << 20)
#define KRS_ENGINE_MAX_TEXT_BYTES (64u << 20)
/* Steps that go well after a device was opened anew until the next failure may be mended, too. */
#define KRS_ENGINE_TRUST_STEPS 1000u
#define KRS_ENGINE_BEAT_NS     UINT64_C(250000000) /* an idle engine thread beats so often */

typedef struct krs_engine_options {
    size_t size;                 /* sizeof(krs_engine_options) */
    const char *model_dir;       /* required */
    const char *model_id;        /* NULL: the folder's name */
    const char *device;          /* "ref", "cpu", "cuda:N" */
    int32_t n_threads;           /* of the device; 0: as many as this process may use */
    bool is_exact;               /* krs_backend_options.is_exact */
    const char *isa;             /* krs_backend_options.isa */
    bool is_pinned;              /* krs_backend_options.is_pinned */
    krs_os_map_mode map_mode;    /* of the weights */
    uint32_t max_context_tokens; /* longest sequence; 0: the model's, as memory permits */
    uint32_t max_seqs;           /* computed together, 1 .. KRS_ENGINE_MAX_SEQS */
    uint32_t max_waiting;        /* 1 .. KRS_ENGINE_MAX_WAITING */
    uint64_t max_waiting_tokens; /* of their prompts; 0: 16 contexts */
    uint64_t kv_tokens;          /* size of the cache; 0: chosen */
    krs_dtype kv_dtype;          /* KRS_DTYPE_COUNT: the device's choice */
    uint64_t memory_bytes;       /* refuse a plan above it; 0: the machine's memory */
    uint64_t process_bytes;      /* counted for the process itself; 0: what it holds at opening */
    uint32_t max_step_tokens;    /* 0: KRS_ENGINE_STEP_TOKENS, at least max_seqs */
    uint32_t n_prep_threads;  /* 1 .. KRS_ENGINE_MAX_PREP_THREADS; and as many for guided answers */
    bool has_no_prefix_cache; /* every prompt is computed from its first token */
    const char *tool_format; /* of answers (text/reply.h); "auto": by the template; "none": plain */
    const char *draft_dir;   /* a draft model for speculation; NULL: none */
    krs_speculation
        speculation;        /* of requests that do not say; MODEL: DRAFT with a draft, else OFF */
    krs_metrics *metrics;   /* borrowed; NULL: nothing is counted */
    const krs_log *log;     /* borrowed; NULL: silent */
    krs_bus *bus;           /* borrowed, sealed; NULL: events go to the log alone */
    const krs_alloc *alloc; /* borrowed; NULL: the heap */
} krs_engine_options;

#define KRS_ENGINE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        .size = sizeof(krs_engine_options), .device = "cpu", .max_seqs = 16, .max_waiting = 256,   \
        .kv_dtype = KRS_DTYPE_COUNT, .n_prep_threads = 1, .tool_format = "auto"                    \
    }

/* What an engine takes, planned before it is taken. */
typedef struct krs_engine_plan {
    krs_exec_plan exec;
    krs_exec_plan draft;   /* of the draft model; all 0 without one */
    uint64_t engine_bytes; /* sampler, step and stream tables */
    uint64_t
        process_bytes; /* resident already: tokenizer, template, libraries, the program itself */
    uint64_t total_bytes;
    uint64_t limit_bytes; /* what it was held against; UINT64_MAX: unknown */
    uint32_t context_tokens;
    uint32_t n_kv_blocks; /* of KRS_KV_BLOCK_TOKENS tokens */
    krs_dtype kv_dtype;
    char device[128]; /* krs_backend_describe */
} krs_engine_plan;

/* Load and start. *out: owned, krs_runtime_free.
 * Errors: KRS_EINVAL (an option, named), KRS_ENOMEM (the plan does not fit: its numbers; or memory is
 * out), what loading says (model/model.h, text/tokenizer.h, text/chat_template.h), KRS_EAGAIN (threads). */
KRS_MUST_USE krs_status krs_engine_open(const krs_engine_options *options, krs_runtime **out,
                                        krs_error *err);

/* The plan of a runtime from krs_engine_open. Immutable; any thread. */
const krs_engine_plan *krs_engine_plan_of(const krs_runtime *runtime);

/* "weights 3.9 MiB, KV 8.0 MiB (2048 tokens), ..." into out, NUL-terminated. */
void krs_engine_plan_text(const krs_engine_plan *plan, char *out, size_t max_bytes);
