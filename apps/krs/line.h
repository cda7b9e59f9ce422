/* apps/krs/line.h - one line typed at a terminal, with editing and history; Ctrl-C clears it.
 *
 * Thread: main.  Memory: libedit's heap. */
#pragma once

#include "os/signal.h"

typedef struct krs_line krs_line;

typedef enum krs_line_end {
    KRS_LINE_TYPED,
    KRS_LINE_CLEARED, /* Ctrl-C: nothing was said */
    KRS_LINE_OVER,    /* Ctrl-D on an empty line, SIGTERM, or the terminal went away */
} krs_line_end;

/* signals: open, borrowed. NULL when there is no memory or standard input is no terminal libedit knows. */
krs_line *krs_line_new(const krs_os_signals *signals);
void krs_line_free(krs_line *line);

/* Show "> " and wait. *text: the line without its end, valid until the next call; with KRS_LINE_TYPED. */
krs_line_end krs_line_read(krs_line *line, const char **text);
