/* engine/speculate.h - what a stream's speculation is made of, and how far it goes.
 *
 *   tokens are said -> krs_engine_speculate: how many more are worth proposing (sample/pace.h); n-gram
 *                      proposals are written behind the known tokens (sample/ngram.h)
 *   plan            -> rows for some of them (sched.h, rule 7)
 *   draft           -> the draft model writes its own, for the rows that were given (draft.h)
 *   step, choose    -> row by row the sampler draws the token it would have drawn there anyway; while it is
 *                      the proposed one, the next row is the right one, too
 *
 * Nothing here can change an answer. A draw depends on the logits of its row, the tokens before it and its
 * position (sampler.h), and a row on nothing but its own past (docs/adr/0003), so the tokens are those of an
 * answer without speculation, greedy or not: no token is accepted that would not have been drawn. A model with
 * recurrent layers is the exception in kind: its state goes forward with every row and cannot come back
 * without a copy of tens of megabytes, so it does not speculate.
 *
 * Proposals are for steps with few rows, which take as long as reading the weights does: see
 * KRS_ENGINE_DRAFT_ROWS.
 *
 * Thread: prepared by a prep thread, then the engine's.  Memory: all when a stream is prepared. */
#pragma once

#include "engine/draft_lane.h"

#include "api/generate.h"
#include "sample/ngram.h"
#include "sample/pace.h"

/* How long a run was matched says much about what follows it, so each kind has its own chance. */
#define KRS_SPECULATOR_KINDS 3u

typedef struct krs_speculator {
    krs_speculation_mode mode;            /* OFF, NGRAM or DRAFT */
    uint32_t max_tokens;                  /* of a proposal; 0: off */
    krs_ngram *ngram;                     /* of NGRAM */
    krs_lane *lane;                       /* of DRAFT */
    krs_pace paces[KRS_SPECULATOR_KINDS]; /* DRAFT: the first */
    uint32_t kind;                        /* whose pace the newest proposal goes by */
    uint32_t n_accepted;
    uint32_t n_rejected;
} krs_speculator;

/* asked: a mode that the model can do, or OFF. Takes what it needs for a sequence of at most max_tokens.
 * Errors: KRS_ENOMEM; what was taken is left to _deinit. */
KRS_MUST_USE krs_status krs_speculator_init(krs_speculator *speculator, krs_speculation asked,
                                            uint32_t max_tokens, krs_draft *draft,
                                            const krs_alloc *alloc);
void krs_speculator_deinit(krs_speculator *speculator);

/* Of n_proposed tokens that had rows, n_accepted were confirmed. */
void krs_speculator_learn(krs_speculator *speculator, uint32_t n_proposed, uint32_t n_accepted);
