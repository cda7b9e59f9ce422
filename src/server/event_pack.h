/* server/event_pack.h - stream events as bytes, to carry them from the engine's thread to an io thread.
 *
 *   [ counts | is_end ] text [ token .. ] [ id .. ] [ piece .. ] [ embedding ]
 *                            token: [ id logprob n_top n_bytes ] bytes [ top .. ]
 *
 * Events live only while they are delivered, so the receiver copies. One flat buffer per stream keeps
 * that a few memcpys: after warm-up no allocation is made. Tokens are copied only for streams that asked
 * for log probabilities; others need the count alone. How a stream ended (finish, usage, error) travels beside
 * the records, not in them, so that it can not be lost when they do not fit.
 * Native byte order: the bytes never leave the process.
 *
 * Thread: any; pure.  Memory: into the caller's buffer and arena. */
#pragma once

#include "api/generate.h"
#include "base/arena.h"
#include "base/buf.h"

/* Append one event but for how it ended. All or nothing. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_event_pack(const krs_stream_event *event, bool has_tokens,
                                       krs_buf *out);

/* Read the record at *offset of packed and move *offset behind it; false at the end. Text views packed,
 * arrays come from arena; of an end, is_end is set and the caller adds finish, usage and error.
 * Errors (as *status): KRS_ENOMEM. */
bool krs_event_unpack(krs_str packed, size_t *offset, krs_arena *arena, krs_stream_event *out,
                      krs_status *status);
