/* text/tokenizer_compare.h - do two tokenizers mean the same by every id?
 *
 * What a draft model proposes are ids, and the model that checks them reads them by its own vocabulary. How a
 * text is cut into ids does not matter for that, only what each id stands for.
 *
 * Thread: any.  Memory: none. */
#pragma once

#include "text/tokenizer.h"

/* Errors: KRS_EINVAL: the sizes differ, or the first id that stands for another text, or is special in one
 * and not in the other. */
KRS_MUST_USE krs_status krs_tokenizer_compare(const krs_tokenizer *a, const krs_tokenizer *b,
                                              krs_error *err);

/* A number that is the same for tokenizers that compare equal, and hardly ever for others. */
uint64_t krs_tokenizer_fingerprint(const krs_tokenizer *tokenizer);
/* The same of its special ids alone, to tell what differs. */
uint64_t krs_tokenizer_special_fingerprint(const krs_tokenizer *tokenizer);
