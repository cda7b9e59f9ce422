/* text/detok.h - tokens to text as they come, never half a character.
 *
 * Feeding the ids one by one gives, concatenated, exactly what krs_decode gives for all of them (up
 * to a final incomplete character, which _finish turns into U+FFFD as the whole decode does).
 *
 * Thread: one owner.  Memory: no allocation per token after warm-up. */
#pragma once

#include "text/tokenizer.h"

typedef struct krs_detok krs_detok;

KRS_MUST_USE krs_status krs_detok_new(const krs_tokenizer *tokenizer, bool skip_special,
                                      const krs_alloc *alloc, krs_detok **out);
void krs_detok_free(krs_detok *detok);

/* Append to out the text that became certain with this token (often nothing).
 * Errors: KRS_EINVAL (id out of range), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_detok_push(krs_detok *detok, uint32_t id, krs_buf *out);

/* Append what was held back. The object may be reused after _reset only. */
KRS_MUST_USE krs_status krs_detok_finish(krs_detok *detok, krs_buf *out);
void krs_detok_reset(krs_detok *detok);
