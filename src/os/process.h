/* os/process.h - children: started without a shell, with the pipes they need and nothing else.
 *
 * Arguments go to the program as they are; no shell reads them. The child gets our standard streams, or
 * pipes to us where asked, an empty signal mask and default handlers; every other descriptor of ours is
 * close-on-exec.
 *
 * Thread: any; a process has one owner.  Memory: values.  Source: POSIX posix_spawn. */
#pragma once

#include "base/status.h"

typedef struct krs_os_process {
    int pid;       /* 0 after _wait told the end */
    int stdin_fd;  /* write end of the child's standard input, or -1; the owner closes it */
    int stdout_fd; /* read end of its standard output, or -1 */
    int stderr_fd; /* read end of its standard error, or -1 */
} krs_os_process;

typedef struct krs_os_process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL-terminated "NAME=value"; NULL: ours */
    bool has_stdin_pipe;
    bool has_stdout_pipe;
    bool has_stderr_pipe;
} krs_os_process_options;

typedef struct krs_os_process_end {
    bool is_signalled; /* killed by signal `code`; otherwise it exited with `code` */
    int code;
} krs_os_process_end;

typedef enum krs_os_process_stop {
    KRS_OS_PROCESS_TERMINATE, /* SIGTERM: please */
    KRS_OS_PROCESS_INTERRUPT, /* SIGINT: as Ctrl-C */
    KRS_OS_PROCESS_KILL,      /* SIGKILL */
} krs_os_process_stop;

/* Errors: KRS_EINVAL (empty argv), KRS_ENOENT (no such program), KRS_EPERM, KRS_EAGAIN, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_process_start(const krs_os_process_options *options,
                                             krs_os_process *out, krs_error *err);

/* Its end, waiting until deadline_ns (0: only look; UINT64_MAX: for ever).
 * Errors: KRS_EAGAIN (still running), KRS_EINVAL (not running: never started or waited for). */
KRS_MUST_USE krs_status krs_os_process_wait(krs_os_process *process, uint64_t deadline_ns,
                                            krs_os_process_end *out);

/* Ask or force it to end; nothing when it has ended and been waited for. */
void krs_os_process_signal(const krs_os_process *process, krs_os_process_stop how);

/* Close the pipes; a process not waited for is killed and waited for. */
void krs_os_process_close(krs_os_process *process);
