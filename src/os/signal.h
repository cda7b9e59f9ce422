/* os/signal.h - Ctrl-C, SIGTERM and SIGHUP as a readable file descriptor; no work in signal handlers.
 *
 * Opened by the main thread before it starts any other (they inherit the blocked mask).
 *
 * Thread: main.  Source: signalfd(2). */
#pragma once

#include "base/status.h"

typedef struct krs_os_signals {
    int fd; /* readable when a signal waits; -1 when closed */
} krs_os_signals;

/* Block SIGINT and SIGTERM in this thread and route them to fd. Errors: KRS_EIO. */
KRS_MUST_USE krs_status krs_os_signals_open(krs_os_signals *out, krs_error *err);

/* Stop listening; all of them do what they did before. */
void krs_os_signals_close(krs_os_signals *signals);

/* Route SIGHUP to fd too, for programs that read their configuration again on it. Errors: KRS_EIO. */
KRS_MUST_USE krs_status krs_os_signals_add_hangup(krs_os_signals *signals, krs_error *err);

/* Take one waiting signal: its number, or 0 when none waits. */
int krs_os_signals_take(const krs_os_signals *signals);

bool krs_os_signal_is_hangup(int signal);
