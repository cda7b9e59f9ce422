/* support/storm.h - 64 mixed requests, whoever hears their answers, and whoever disturbs them.
 *
 * A storm opens all requests in random order, on an engine with random limits and little KV, among
 * decoys that begin with the same prompts and are cancelled, paused and forgotten at random moments. What
 * the 64 answer must be, bit for bit, what each of them answers alone.
 *
 * Readers with credit are served by the storm's own thread: a sink may not call the runtime, so it notes
 * how much it has heard and the thread grants more.
 *
 * Thread: the test's own, but for storm_deliver.  Memory: fixed tables of a few MB. */
#pragma once

#include "engine/engine.h"
#include "os/clock.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/storm_guides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORM_REQUESTS   64
#define STORM_DECOYS     48
#define STORM_MAX_TOKENS 64 /* of an answer */
#define STORM_MAX_TOP    5
#define STORM_TEXT_BYTES 4096
#define STORM_MAX_VECTOR 512
#define STORM_CONTEXT    512u
#define STORM_VOCAB      2000u /* ids below it are ordinary tokens of the demo tokenizer */

/* What one request answered. Everything in `said` must be equal however it was served. */
typedef struct storm_said {
    char text[STORM_TEXT_BYTES];
    size_t n_text;
    uint32_t ids[STORM_MAX_TOKENS];
    float logprobs[STORM_MAX_TOKENS];
    uint32_t top_ids[STORM_MAX_TOKENS][STORM_MAX_TOP];
    float top_logprobs[STORM_MAX_TOKENS][STORM_MAX_TOP];
    uint32_t n_tokens;
    float vector[STORM_MAX_VECTOR];
    uint32_t n_vector;
    krs_finish finish;
    krs_status status;
    uint32_t n_prompt_tokens;
    uint32_t n_answer_tokens;
    uint32_t stop;
} storm_said;

typedef struct storm_answer {
    storm_said said;
    uint64_t id;
    krs_usage usage;
    uint32_t n_heard;   /* tokens, also of decoys, whose words are not kept */
    uint32_t n_granted; /* UINT32_MAX: no limit was set */
    uint32_t n_ends;
    bool is_decoy;
    bool is_cancelled;
    uint32_t cancel_at; /* a decoy's tokens; UINT32_MAX: at the end of the storm */
} storm_answer;

typedef struct storm {
    krs_runtime *runtime;
    krs_os_mutex *lock;
    krs_os_cond *changed;
    krs_sink sinks[2];
    storm_answer answers[STORM_REQUESTS + STORM_DECOYS];
    uint32_t n_opened;
    uint32_t n_ended; /* of the requests, decoys apart */
    uint32_t n_events;
    uint64_t random;
    bool has_draft; /* its requests may ask for it */
} storm;

/* SplitMix64: every storm is its seed. */
static inline uint64_t storm_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* min .. max */
static inline uint32_t storm_between(uint64_t *state, uint32_t min, uint32_t max)
{
    return min + (uint32_t)(storm_random(state) % (max - min + 1));
}

/* Ids of request i: groups of eight begin with the same run of tokens. */
static inline void storm_prompt_ids(krs_request *r, uint32_t i, uint32_t n)
{
    uint32_t *ids = krs_arena_array(&r->arena, n, sizeof(*ids));
    assert_non_null(ids);
    uint64_t shared = i / 8;
    uint64_t own = 1000 + i;
    const uint32_t n_shared = n < 128 ? n / 2 : 64;
    for (uint32_t t = 0; t < n; t++) {
        ids[t] = (uint32_t)(storm_random(t < n_shared ? &shared : &own) % STORM_VOCAB);
    }
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = n;
}

static inline void storm_prompt_text(krs_request *r, uint32_t i)
{
    static const char *const questions[] = {"Tell me a story about a fox.",
                                            "What is 12 + 7?",
                                            "What is the capital of Norway?",
                                            "Write a story with an old map.",
                                            "Spell happy.",
                                            "Tell me a story about a bear, a boat and a long day.",
                                            "What month comes after March?",
                                            "What is 58 + 34?"};
    char text[256];
    (void)snprintf(text, sizeof(text), "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
                   questions[i % (sizeof(questions) / sizeof(questions[0]))]);
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = krs_arena_copy(&r->arena, krs_str_of(text));
    assert_non_null(r->prompt.text.ptr);
}

/* Kinds of sampling, by i. */
static inline void storm_sampling(krs_request *r, uint32_t i)
{
    static const krs_logit_bias bias[] = {{17, -2.5f}, {300, 3.0f}, {1999, 1.0f}};
    krs_sampling *s = &r->sampling;
    s->temperature = i % 3 == 0 ? 0.0 : 0.4 + 0.1 * (i % 10);
    s->seed = i * 7919u;
    s->n_logprobs = i % 2 ? (int32_t)(i % (STORM_MAX_TOP + 1)) : -1;
    s->top_k = i % 5 == 1 ? 40 : 0;
    s->top_p = i % 4 == 1 ? 0.9 : 1.0;
    s->min_p = i % 7 == 2 ? 0.05 : 0.0;
    s->repetition_penalty = i % 6 == 5 ? 1.2 : 1.0;
    s->presence_penalty = i % 9 == 4 ? 0.5 : 0.0;
    s->frequency_penalty = i % 9 == 4 ? 0.3 : 0.0;
    s->bias = i % 8 == 6 ? bias : NULL;
    s->n_bias = i % 8 == 6 ? 3 : 0;
}

static inline void storm_stopping(krs_request *r, uint32_t i)
{
    static const krs_str stops[] = {{" the", 4}, {"ing", 3}, {"= ", 2}, {"on", 2}};
    krs_stopping *s = &r->stopping;
    s->max_tokens = 4 + i * 5 % (STORM_MAX_TOKENS - 4);
    s->is_eos_ignored = i % 3 == 1;
    s->min_tokens = i % 10 == 7 ? 3 : 0;
    if (i % 4 == 3) {
        s->stops = &stops[i % 3];
        s->n_stops = 2;
        s->has_stop_text = i % 8 == 3;
    }
}

/* Request i of the 64, always the same. */
static inline krs_request *storm_request(uint32_t i)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    storm_sampling(r, i);
    storm_stopping(r, i);
    if (i % 8 == 5 || i % 16 == 2) {
        r->task = KRS_TASK_EMBED;
        r->task_options.pooling = i % 16 == 5 ? KRS_POOLING_MEAN : KRS_POOLING_LAST;
        storm_prompt_ids(r, i, 20 + i * 2);
    } else if (i % 4 == 0) {
        storm_prompt_ids(r, i, i == 60 ? 390 : 80 + i * 2); /* many steps read them */
    } else if (i % 4 == 1) {
        storm_prompt_ids(r, i, 1 + i);
    } else {
        storm_prompt_text(r, i);
    }
    storm_guide_some(r, i);
    return r;
}

static inline void storm_note_token(storm_said *said, const krs_token *token)
{
    const uint32_t at = said->n_tokens++;
    assert_true(at < STORM_MAX_TOKENS && token->n_top <= STORM_MAX_TOP);
    said->ids[at] = token->id;
    said->logprobs[at] = token->logprob;
    for (uint32_t i = 0; i < token->n_top; i++) {
        said->top_ids[at][i] = token->top[i].token;
        said->top_logprobs[at][i] = token->top[i].logprob;
    }
}

static inline void storm_note_end(storm_answer *answer, const krs_stream_event *event)
{
    storm_said *said = &answer->said;
    assert_true(event->n_embedding <= STORM_MAX_VECTOR);
    if (event->n_embedding > 0) {
        memcpy(said->vector, event->embedding, event->n_embedding * sizeof(said->vector[0]));
    }
    said->n_vector = event->n_embedding;
    said->finish = event->finish;
    said->status = event->finish == KRS_FINISH_ERROR ? event->error.status : KRS_OK;
    said->n_prompt_tokens = event->usage.n_prompt_tokens;
    said->n_answer_tokens = event->usage.n_answer_tokens;
    said->stop = event->usage.stop;
    answer->usage = event->usage;
    answer->n_ends++;
}

static inline void storm_note(storm *s, const krs_stream_event *event)
{
    storm_answer *answer = event->user;
    answer->n_heard += event->n_tokens;
    if (!answer->is_decoy) {
        storm_said *said = &answer->said;
        assert_true(said->n_text + event->text.len < STORM_TEXT_BYTES);
        if (event->text.len > 0) {
            memcpy(said->text + said->n_text, event->text.ptr, event->text.len);
        }
        said->n_text += event->text.len;
        for (uint32_t i = 0; i < event->n_tokens; i++) {
            storm_note_token(said, &event->tokens[i]);
        }
        s->n_ended += event->is_end;
    }
    if (event->is_end) {
        storm_note_end(answer, event);
    }
    s->n_events++;
}

static inline void storm_deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    storm *s = ctx;
    krs_os_mutex_lock(s->lock);
    for (uint32_t i = 0; i < n; i++) {
        storm_note(s, &events[i]);
    }
    krs_os_cond_broadcast(s->changed);
    krs_os_mutex_unlock(s->lock);
}

static inline void storm_open(storm *s, const krs_engine_options *options)
{
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_mutex_new(&s->lock), KRS_OK);
    assert_int_equal(krs_os_cond_new(&s->changed), KRS_OK);
    s->sinks[0] = (krs_sink){s, storm_deliver};
    s->sinks[1] = s->sinks[0]; /* another sink, for all that the engine knows */
    if (krs_engine_open(options, &s->runtime, &err) != KRS_OK) {
        fail_msg("open: %s", err.message);
    }
}

static inline void storm_close(storm *s)
{
    krs_runtime_free(s->runtime);
    krs_os_cond_free(s->changed);
    krs_os_mutex_free(s->lock);
}

static inline void storm_ask(storm *s, krs_request *request, storm_answer *answer)
{
    krs_error err = KRS_ERROR_INIT;
    const krs_sink *sink = &s->sinks[s->n_opened % 2];
    answer->n_granted = request->credit;
    s->n_opened++;
    if (krs_runtime_open(s->runtime, request, sink, answer, &answer->id, &err) != KRS_OK) {
        fail_msg("ask: %s", err.message);
    }
}
