/* apps/krs/bench_speculation.h - what speculation is worth: whole answers with it and without, in turn.
 *
 * Through the engine, for proposing, checking and choosing are all part of the price. With n-grams the prompt
 * is one passage again and again, and the answer is kept among BENCH_WORDS of its tokens, so that a model of any
 * weights, also of random ones, repeats itself: a setting that copies much, and the report says how much. With
 * a draft they are questions to a chat, answered as the model will.
 *
 * Thread: main.  Memory: an engine. */
#pragma once

#include "api/config.h"

/* krs bench MODEL --speculation MODE: prints a report; returns an exit code. */
int krs_bench_speculation(const krs_config *config);
