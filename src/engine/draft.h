/* engine/draft.h - a small model that proposes what a large one checks.
 *
 *   open (its model, its vocabulary held against the large one's) -> plan -> start -> ... -> close
 *
 * It lives in the engine's thread, on the engine's backend, with a program, blocks and an index of prefixes of
 * its own: as many blocks as the large model has, so that whoever runs there finds a place here. It reads a
 * prompt when the answer begins, in chunks beside the steps, and proposes nothing until it has caught up.
 *
 * It draws with the request's own sampling values and the very dice the large model will use for the same
 * position. So where both see the same distribution they say the same token, at any temperature, and a
 * proposal is accepted about as often as the two agree.
 *
 * Thread: engine thread, but for open.  Memory: all in open and start.
 * Source: Leviathan et al. 2023, arXiv:2211.17192; common random numbers in place of rejection. */
#pragma once

#include "engine/draft_lane.h"
#include "engine/guided.h"

#include "compute/backend.h"
#include "kv/prefix.h"
#include "model/model.h"
#include "sample/pace.h"
#include "sample/sampler.h"
#include "text/tokenizer.h"

#define KRS_DRAFT_MAX_SEQS 16u /* that propose in one step */
/* Tokens a lane may lack and still propose in the step: as many as the pause of a pace, and one proposal. */
#define KRS_DRAFT_MAX_LAG  48u
#define KRS_DRAFT_MAX_ROWS 512u /* of one pass; also how much of a prompt a step catches up with */

/* A sequence in a pass: the draft computes what it lacks, then proposes n_draft tokens behind the known ones. */
typedef struct krs_draft_job {
    krs_lane *lane;
    krs_guided *guided; /* or NULL; the same again when the passes are over */
    uint32_t *tokens;   /* [n_tokens + n_draft], the last n_draft are written */
    const krs_sampling *sampling;
    const uint32_t *banned; /* [n_banned] that may not come before the answer has min_tokens */
    uint32_t n_banned;
    uint32_t min_tokens;
    uint32_t n_prompt;
    uint32_t n_tokens;
    uint32_t n_draft;  /* 0: it only catches up */
    uint32_t n_guided; /* tokens its matcher has taken meanwhile */
} krs_draft_job;

struct krs_draft {
    const krs_alloc *alloc;
    krs_model *model;
    krs_backend *backend; /* borrowed */
    krs_exec_limits limits;
    krs_exec *exec;
    krs_kv_pool *pool;
    krs_kv_prefix *prefix;
    uint32_t vocab;      /* rows of its logits, and what its tokens are below */
    uint32_t max_tokens; /* longest sequence */
    double share; /* of the large model's weights: what a pass costs before it has been measured */
    krs_pace_cost cost;
    uint32_t *tokens;     /* [KRS_DRAFT_MAX_ROWS] */
    krs_step_seq *seqs;   /* [KRS_DRAFT_MAX_SEQS] */
    uint32_t *logit_rows; /* [KRS_DRAFT_MAX_SEQS] */
};

/* dir: the draft's folder or file. target, tokenizer: of the model it proposes to.
 * Errors: those of loading; KRS_EINVAL (another vocabulary: what differs; a model with state, or one that
 * gives no logits). */
KRS_MUST_USE krs_status krs_draft_open(const char *dir, krs_os_map_mode map_mode,
                                       const krs_model *target, const krs_tokenizer *tokenizer,
                                       const krs_alloc *alloc, krs_draft **out, krs_error *err);
/* NULL is a no-op. No lane may hold a block. */
void krs_draft_close(krs_draft *draft);

/* What it takes with so many blocks, before it is taken. */
KRS_MUST_USE krs_status krs_draft_plan(krs_draft *draft, krs_backend *backend, krs_dtype kv_dtype,
                                       uint32_t n_kv_blocks, krs_exec_plan *out, krs_error *err);
/* As planned last. seed: of its index. */
KRS_MUST_USE krs_status krs_draft_start(krs_draft *draft, uint64_t seed, krs_error *err);
/* The device was opened anew: forget what was cached. Every lane has been released. */
KRS_MUST_USE krs_status krs_draft_restart(krs_draft *draft, krs_error *err);

/* Run jobs[n_jobs], at most KRS_DRAFT_MAX_SEQS and KRS_DRAFT_MAX_ROWS rows of what they lack; their lanes
 * hold the blocks. A row without a token to draw proposes token 0, which will be refused.
 * Errors: those of a step; then the large model's step is not run either. */
KRS_MUST_USE krs_status krs_draft_run(krs_draft *draft, krs_sampler *sampler, krs_draft_job *jobs,
                                      uint32_t n_jobs, krs_error *err);
