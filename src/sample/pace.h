/* sample/pace.h - how many tokens are worth proposing.
 *
 * A proposed token costs a row of a step, and a pass of the model that proposes if there is one. It earns a
 * token when it and all before it are accepted. So the next token of a proposal is worth its row while
 *
 *   chance of its acceptance / its cost  >  tokens the step gives so far / time the step takes so far
 *
 * which is one rule for everything: long proposals where text is copied, none where it is not, short ones
 * from an expensive draft, and none at all in a step that is full of other rows, whose time they would take.
 *
 * Both sides are measured. A pace learns the chance from what became of its proposals; one that does not pay
 * proposes a single token every KRS_PACE_PROBE-th time, to learn when that has changed. A cost learns what a step
 * takes, as time = base + rows * row, from the steps themselves. Neither can change an answer: they
 * decide how many rows are tried, never which token is said.
 *
 * Thread: values, one owner.  Memory: none.
 * Source: the rule maximises tokens a second, as the analysis of Leviathan et al. 2023, arXiv:2211.17192,
 * section 3.4, does for a fixed length. */
#pragma once

#include <stdint.h>

#define KRS_PACE_PROBE   32u
#define KRS_PACE_MIN_ROW 0.02 /* no device does a row for nothing, and noise must not say so */
#define KRS_PACE_ANY_ROW 0.15 /* before steps of different sizes were seen */

/* How likely a token is accepted whose forerunners were. */
typedef struct krs_pace {
    double chance;      /* (0, 1) */
    uint32_t n_skipped; /* times nothing was proposed since something was */
} krs_pace;

/* What a step costs by its rows, as a line through the recent ones. All zero: nothing is known. */
typedef struct krs_pace_cost {
    double weight; /* sums over recent steps, older ones fading */
    double rows;
    double ns;
    double rows_rows;
    double rows_ns;
    double row; /* what a row more costs, in steps of one row; 0: not known yet */
} krs_pace_cost;

/* What one more token of a proposal is held against. */
typedef struct krs_pace_step {
    double base;     /* of the step as it stands, without proposals, in any unit of time */
    double row;      /* of a row more, and of proposing it, in the same unit */
    double n_tokens; /* that the step gives as it stands, >= 1 */
} krs_pace_step;

/* Nothing is known yet: as likely as not. */
krs_pace krs_pace_start(void);
/* How many tokens to propose now, 0 .. max. */
uint32_t krs_pace_length(krs_pace *pace, const krs_pace_step *step, uint32_t max);
/* Of n_proposed tokens, 1 or more, the first n_accepted were. */
void krs_pace_learn(krs_pace *pace, uint32_t n_proposed, uint32_t n_accepted);

/* A step of so many rows took so long. */
void krs_pace_cost_learn(krs_pace_cost *cost, uint32_t n_rows, uint64_t ns);
/* What a row more costs, as a share of a step of one row: KRS_PACE_MIN_ROW .. 1. */
double krs_pace_cost_row(const krs_pace_cost *cost);
/* What a step of one row takes, in ns; 0: not known yet. */
double krs_pace_cost_one(const krs_pace_cost *cost);
