/* apps/krs/raw_rows.h - given tokens through a model, every row of the result into a file: what `krs logits`
 * and `krs embed --hidden` share, for comparing with other programs.
 *
 * The file is float32, little-endian, [n_tokens, width], and nothing else. It is written beside its name and
 * renamed when whole, so a reader never sees half of it.
 *
 * Thread: main. */
#pragma once

#include "api/config.h"
#include "compute/program.h"

/* Runs --tokens through --model and writes --out. kind: KRS_ROWS_LOGITS or KRS_ROWS_HIDDEN; width_name: of
 * the width in the --json line, "vocab". Returns the exit code. */
int krs_raw_rows_run(const krs_config *config, krs_rows kind, const char *width_name);
