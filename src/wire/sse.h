/* wire/sse.h - server-sent events, as a browser and the OpenAI clients read them.
 *
 *   event: error\n          only when there is a name
 *   data: {"id":...}\n      one such line for each line of the data
 *   \n
 *
 * Line ends inside the data start a new data line, so a payload can never end an event early or
 * smuggle a field in.
 *
 * Thread: any.  Memory: appends to the caller's buffer.
 * Source: WHATWG HTML, section 9.2 "Server-sent events". */
#pragma once

#include "base/buf.h"

/* Append one event. name: NULL or "": none (the client sees "message"); no line end inside. data: any
 * text; CR, LF and CR LF each start a new line. All or nothing.
 * Errors: KRS_EINVAL (a line end in the name), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sse_append(krs_buf *out, const char *name, krs_str data);

/* Append a comment line, which keeps idle connections open and means nothing.
 * text: no line end inside. Errors: as krs_sse_append. */
KRS_MUST_USE krs_status krs_sse_append_comment(krs_buf *out, krs_str text);
