/* api/generate.h - what a request to a model is, and what comes back.
 *
 * One request type for every way in (HTTP, JSON-RPC, CLI, C) and every task: front ends translate into it,
 * the runtime reads nothing else. A request is built by one owner, then moves whole into the engine;
 * everything it points to lies in its own arena or is a reference it holds.
 *
 * Thread: one owner at a time; ownership moves with the message.  Memory: krs_request owns its arena. */
#pragma once

#include "api/guidance.h"
#include "telemetry/trace.h"
#include "wire/json.h"

#define KRS_REQUEST_MAX_BYTES      (64u << 20) /* everything one request may hold */
#define KRS_REQUEST_CHUNK_BYTES    4096u       /* first arena chunk: a short chat fits */
#define KRS_MAX_STOPS              16          /* stop strings; OpenAI allows 4 */
#define KRS_MAX_STOP_BYTES         256 /* of one stop string: the held-back tail of a stream */
#define KRS_MAX_STOP_IDS           100
#define KRS_MAX_LOGIT_BIAS         1024 /* entries; OpenAI allows 300 */
#define KRS_MAX_TOP_LOGPROBS       20   /* OpenAI's own limit */
#define KRS_MAX_CHOICES            16   /* n; each is a sequence */
#define KRS_MAX_TEMPERATURE        2.0
#define KRS_MAX_BIAS               100.0 /* of one logit, either way: decides alone */
#define KRS_MAX_PENALTY            2.0   /* presence, frequency: -2 .. 2 */
#define KRS_MAX_REPETITION_PENALTY 10.0
#define KRS_MAX_NEW_TOKENS         (1u << 20) /* of one answer; the context ends it sooner */
#define KRS_MODEL_ID_BYTES         256
#define KRS_CORRELATION_ID_BYTES   64 /* with the NUL; X-Request-Id is cut to it */
#define KRS_MAX_SPECULATION        15 /* tokens proposed at a time: with the row before them, 16 rows */
#define KRS_CREDIT_UNLIMITED       UINT32_MAX
#define KRS_MAX_TENANTS            4096 /* tenant numbers are below it */

typedef struct krs_logit_bias {
    uint32_t token;
    float bias; /* added to the logit, -100 .. 100 */
} krs_logit_bias;

/* How to choose tokens. Defaults: KRS_SAMPLING_INIT; temperature 0 is greedy. */
typedef struct krs_sampling {
    double temperature;        /* 0 .. KRS_MAX_TEMPERATURE */
    double top_p;              /* (0, 1] */
    double min_p;              /* [0, 1) */
    int32_t top_k;             /* 0: off */
    double repetition_penalty; /* (0, KRS_MAX_REPETITION_PENALTY], 1: off; over prompt and answer */
    double presence_penalty;   /* over the answer, as OpenAI defines it */
    double frequency_penalty;
    uint64_t seed;              /* equal seeds give equal draws at equal positions */
    const krs_logit_bias *bias; /* [n_bias] */
    uint32_t n_bias;
    int32_t n_logprobs; /* -1: none; 0 .. KRS_MAX_TOP_LOGPROBS: the token's own plus so many best */
} krs_sampling;

#define KRS_SAMPLING_INIT                                                                          \
    {                                                                                              \
        1.0, 1.0, 0.0, 0, 1.0, 0.0, 0.0, 0, NULL, 0, -1                                            \
    }

/* When to end. */
typedef struct krs_stopping {
    uint32_t max_tokens; /* of the answer; 0: until the context is full */
    uint32_t min_tokens; /* before it, no stop token and no stop string ends the answer */
    bool is_eos_ignored;
    bool has_stop_text;   /* include the matched stop string in the text */
    const krs_str *stops; /* [n_stops] */
    uint32_t n_stops;
    const uint32_t *stop_ids; /* [n_stop_ids], beside the model's own */
    uint32_t n_stop_ids;
} krs_stopping;

/* Who proposes tokens that the model then checks, several in one step. The answer is the same whoever does,
 * byte for byte: only how soon it comes may differ. */
typedef enum krs_speculation_mode {
    KRS_SPECULATION_MODEL, /* as the model was loaded */
    KRS_SPECULATION_OFF,
    KRS_SPECULATION_NGRAM, /* what followed the same words earlier in prompt and answer */
    KRS_SPECULATION_DRAFT, /* a small model of the same vocabulary */
    KRS_SPECULATION_COUNT
} krs_speculation_mode;

/* "model", "off", "ngram", "draft". */
const char *krs_speculation_name(krs_speculation_mode mode);

typedef struct krs_speculation {
    krs_speculation_mode mode;
    uint32_t max_tokens; /* proposed at a time, at most KRS_MAX_SPECULATION; 0: as many as pay */
} krs_speculation;

typedef enum krs_prompt_kind {
    KRS_PROMPT_TEXT, /* text, tokenised with special tokens as the model's post-processor adds them */
    KRS_PROMPT_TOKENS, /* ids, used as they are */
    KRS_PROMPT_CHAT,   /* chat: {"messages": [...], "tools": [...]?, ...} for the chat template */
} krs_prompt_kind;

typedef struct krs_prompt {
    krs_prompt_kind kind;
    krs_str text;
    const uint32_t *tokens; /* [n_tokens] */
    size_t n_tokens;
    json_t *chat; /* a reference the request holds */
} krs_prompt;

typedef enum krs_priority {
    KRS_PRIORITY_URGENT,
    KRS_PRIORITY_NORMAL,
    KRS_PRIORITY_BACKGROUND,
} krs_priority;

typedef enum krs_task {
    KRS_TASK_GENERATE,
    KRS_TASK_EMBED, /* prompt to one vector: the pooled last hidden states, normalised as the model says */
    KRS_TASK_TOKENIZE,   /* prompt text or chat to ids; takes no step of the engine */
    KRS_TASK_DETOKENIZE, /* prompt ids to text; takes no step of the engine */
    KRS_TASK_COUNT
} krs_task;

typedef enum krs_pooling {
    KRS_POOLING_MODEL, /* as the model's files say; if nothing, MEAN of an encoder, LAST of others */
    KRS_POOLING_LAST,
    KRS_POOLING_MEAN,
    KRS_POOLING_CLS, /* of the first token */
} krs_pooling;

/* What only some tasks read. */
typedef struct krs_task_options {
    krs_pooling pooling; /* EMBED */
    bool has_no_special; /* TOKENIZE: without the special tokens of the post-processor */
    bool has_pieces;     /* TOKENIZE: also what each id stands for */
    /* DETOKENIZE, GENERATE: special tokens as their text. Of an answer all but the model's end tokens: what
     * sets calls of tools apart may be special tokens. */
    bool is_special_shown;
} krs_task_options;

typedef struct krs_request {
    krs_arena arena; /* holds this struct's arrays and strings */
    krs_task task;
    krs_task_options task_options;
    char model[KRS_MODEL_ID_BYTES];
    char correlation_id[KRS_CORRELATION_ID_BYTES];
    krs_prompt prompt;
    krs_sampling sampling;
    krs_stopping stopping;
    krs_guidance guidance; /* what the answer must look like */
    krs_speculation speculation;
    krs_priority priority;
    uint64_t deadline_ns;   /* krs_os_now_ns time; UINT64_MAX: none */
    uint32_t tenant;        /* who asks, below KRS_MAX_TENANTS; 0: nobody in particular */
    uint32_t tenant_weight; /* its share of the engine beside others; 0: 1 */
    uint32_t credit;        /* tokens the reader takes before its first grant */
    uint64_t cache_salt;    /* prompts share cached KV only with prompts of the same salt */
    krs_trace trace;        /* the span of this request; unset: not traced */
} krs_request;

/* A request with defaults, on the heap. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_request_new(const krs_alloc *alloc, krs_request **out);
void krs_request_free(krs_request *request);

/* Are all values in range? Errors: KRS_EINVAL naming field, value, limit (err->field set). */
KRS_MUST_USE krs_status krs_request_check(const krs_request *request, krs_error *err);

/* The field that errors about its prompt name: "messages", "prompt", "input" (EMBED) or "tokens"
 * (DETOKENIZE). */
const char *krs_request_prompt_field(const krs_request *request);

typedef enum krs_finish {
    KRS_FINISH_STOP,      /* a stop token or string */
    KRS_FINISH_LENGTH,    /* max_tokens or the context */
    KRS_FINISH_CANCELLED, /* by its owner, or the owner went away */
    KRS_FINISH_DEADLINE,
    KRS_FINISH_ERROR, /* see the event's error */
    KRS_FINISH_COUNT
} krs_finish;

/* "stop", "length", "cancelled", "deadline", "error". */
const char *krs_finish_name(krs_finish finish);

typedef struct krs_logprob {
    uint32_t token;
    float logprob; /* natural log, of the distribution before temperature and filters */
    krs_str bytes; /* what the token stands for; filled by the runtime that delivers it */
} krs_logprob;

/* One chosen token. */
typedef struct krs_token {
    uint32_t id;
    float logprob;          /* 0 unless logprobs were asked for */
    const krs_logprob *top; /* [n_top], best first */
    uint32_t n_top;
    krs_str bytes; /* what the token stands for, before detokenisation */
    uint32_t
        n_text; /* bytes of the event's text that became certain with it, behind those before it */
    /* Characters of the answer before its own, whether or not a stop string cut them. Tokens that make a character
     * together stand where it does; one whose text is not shown, where the next one does. */
    uint32_t text_at;
} krs_token;

/* Why the cached part of a prompt ended where it did. */
typedef enum krs_cache_end {
    KRS_CACHE_END_FULL,       /* all that can be reused was: the last token is always computed */
    KRS_CACHE_END_OFF,        /* no prefix cache here, or not for this task */
    KRS_CACHE_END_UNSEEN,     /* the next block was never computed: the text differs from here on */
    KRS_CACHE_END_EVICTED,    /* it was there and had to make room */
    KRS_CACHE_END_CHECKPOINT, /* a recurrent or windowed layer has no state saved at a later place */
    KRS_CACHE_END_COUNT
} krs_cache_end;

/* "full", "off", "unseen", "evicted", "checkpoint". */
const char *krs_cache_end_name(krs_cache_end end);

typedef struct krs_usage {
    uint32_t n_prompt_tokens;
    uint32_t n_cached_tokens; /* of the prompt, found in the KV cache */
    krs_cache_end cache_end;  /* why not more */
    uint32_t n_preempted;     /* times it lost its KV and was computed anew */
    uint32_t n_answer_tokens;
    uint32_t n_accepted;     /* of them, proposed by speculation and confirmed */
    uint32_t n_rejected;     /* proposed and computed for nothing */
    uint32_t stop;           /* which stop string ended it, from 1; 0: none did */
    uint64_t queued_ns;      /* until the first step that ran a row of it */
    uint64_t first_token_ns; /* from submission */
    uint64_t total_ns;
} krs_usage;

/* What a stream says at the end of a step. text: whole UTF-8 characters that became certain. The last
 * event of a stream has is_end set, once; nothing follows it. */
typedef struct krs_stream_event {
    uint64_t stream_id;
    void *user; /* as given to open */
    krs_str text;
    const krs_token *tokens; /* [n_tokens] of this step */
    uint32_t n_tokens;
    const uint32_t *ids;    /* [n_ids] the whole answer of TOKENIZE, with is_end */
    const krs_str *pieces;  /* [n_ids], or NULL unless has_pieces */
    const float *embedding; /* [n_embedding] the answer of EMBED, with is_end */
    uint32_t n_ids;
    uint32_t n_embedding;
    bool
        is_reasoning; /* the prompt's template opened reasoning: the answer begins within; every event */
    bool is_end;
    krs_finish finish; /* valid with is_end */
    /* Of the prompt (n_prompt_tokens, n_cached_tokens) with every event of GENERATE; all with is_end. */
    krs_usage usage;
    krs_error error; /* valid with KRS_FINISH_ERROR */
} krs_stream_event;
