/* os/stream.h - byte streams that were opened by somebody else: our standard streams, whatever they are.
 *
 * A parent gives a child sockets (node does), pipes (a shell does), a terminal or files, and the child may not
 * make them non-blocking: that would change them for everyone who has them open. So reads and writes here
 * never wait, and leave the descriptor as it is.
 *
 * Thread: any.  Source: POSIX.1-2008; pipe(7), unix(7), socket(7) of Linux. */
#pragma once

#include "base/status.h"

#include <stddef.h>

/* What is there, up to max_bytes; *n 0: nothing now. Errors: KRS_EEOF, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_stream_read(int fd, void *bytes, size_t max_bytes, size_t *n);

/* As much as fits; *n 0: nothing does now. Errors: KRS_EIO (the reader went, or a full disk). */
KRS_MUST_USE krs_status krs_os_stream_write(int fd, const void *bytes, size_t n_bytes, size_t *n);

/* Let the system hold about n bytes that the reader has not taken, at least a page. Best effort: a file
 * has no such limit. */
void krs_os_stream_limit(int fd, int n_bytes);
