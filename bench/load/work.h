/* bench/load/work.h - what is asked, and what must come back.
 *
 * There are n_prompts different questions; number, seed of the run and ranges decide everything about one:
 * its words, how long its answer may be, the seed of its sampling. So whoever asks it, whenever and beside
 * whatever, must get the same bytes; the first answer is kept, and every other one is compared with it, an
 * answer that was left in the middle as far as it came.
 *
 * Thread: one owner.  Memory: the texts, bounded by n_prompts and the longest answer. */
#pragma once

#include "base/buf.h"
#include "options.h"

typedef struct load_work load_work;

/* options: borrowed, outlives the work. Reads the texts of an earlier run when options say so.
 * Errors: KRS_ENOMEM, KRS_EFORMAT (the file of texts is not ours). */
KRS_MUST_USE krs_status load_work_new(const load_options *options, load_work **out, krs_error *err);
void load_work_free(load_work *work);

/* Append the whole HTTP request of question i for a tenant. */
KRS_MUST_USE krs_status load_work_request(const load_work *work, uint32_t i,
                                          const load_tenant *tenant, krs_buf *out);

/* Compare an answer to question i with the ones before it. is_whole: it came to its end.
 * Returns false when it differs; the first few differences are told on standard error. */
bool load_work_check(load_work *work, uint32_t i, krs_str text, bool is_whole);

/* Write the texts, when options say so and the file was not there. Errors: KRS_EIO. */
KRS_MUST_USE krs_status load_work_save(const load_work *work, krs_error *err);
