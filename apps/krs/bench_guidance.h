/* apps/krs/bench_guidance.h - krs bench --schema: what following a schema costs, at the engine with everything but
 * HTTP around it: --streams answers of --gen-tokens tokens at once with the schema, and as many without.
 *
 * Thread: main; the engine's thread counts.  Memory: the engine's. */
#pragma once

#include "api/config.h"

/* Returns the exit code. */
int krs_bench_guidance(const krs_config *config);
