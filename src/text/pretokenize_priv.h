/* text/pretokenize_priv.h - what pretokenize.c and pretokenize_split.c share. */
#pragma once

#include "text/pretokenize.h"

/* Append [start, end) unless it is empty. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_spans_push(krs_spans *spans, const krs_alloc *alloc, size_t start,
                                       size_t end);

/* Cut the piece `span` of text by a SPLIT step into out. Errors: KRS_EINVAL, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_split_piece(const krs_pretokenizer_step *step, krs_pattern_room *room,
                                        const krs_pieces *pieces, krs_span span, krs_spans *out);
