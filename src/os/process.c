/* os/process.c - see process.h.
 *
 * Waiting with a deadline sleeps in small steps: a descriptor of the process (pidfd) would need a newer
 * kernel than some hosts run, and nothing waits for a child on a path where milliseconds count. */
#define _GNU_SOURCE /* pipe2, environ */
#include "os/process.h"

#include "os/clock.h"
#include "os/errno_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_STEP_NS (2 * KRS_NS_PER_MS)

/* ends[0] is read, ends[1] written; both close on exec, and dup2 in the child clears that. */
typedef struct pipe_pair {
    int ends[2];
} pipe_pair;

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void close_pipes(pipe_pair pipes[3])
{
    for (int i = 0; i < 3; i++) {
        close_fd(&pipes[i].ends[0]);
        close_fd(&pipes[i].ends[1]);
    }
}

/* The child's end of stream i: it reads its standard input and writes the other two. */
static int child_end(const pipe_pair *pair, int i)
{
    return pair->ends[i == 0 ? 0 : 1];
}

static int make_pipes(const krs_os_process_options *options, pipe_pair pipes[3])
{
    const bool wanted[3] = {options->has_stdin_pipe, options->has_stdout_pipe,
                            options->has_stderr_pipe};
    for (int i = 0; i < 3; i++) {
        if (wanted[i] && pipe2(pipes[i].ends, O_CLOEXEC) != 0) {
            return errno;
        }
    }
    return 0;
}

static int add_pipes(posix_spawn_file_actions_t *actions, const pipe_pair pipes[3])
{
    int code = 0;
    for (int i = 0; i < 3 && code == 0; i++) {
        const int end = child_end(&pipes[i], i);
        code = end >= 0 ? posix_spawn_file_actions_adddup2(actions, end, i) : 0;
    }
    return code;
}

/* Empty mask, default handlers for what our main ignores or blocks. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigfillset(&defaults);
    int code = posix_spawnattr_setsigmask(attributes, &none);
    code = code ? code : posix_spawnattr_setsigdefault(attributes, &defaults);
    return code ? code
                : posix_spawnattr_setflags(attributes,
                                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* posix_spawn takes char *const[], though it changes nothing. */
static char *const *as_argv(const char *const *words)
{
    return (char *const *)(uintptr_t)words;
}

static int spawn(const krs_os_process_options *options, const pipe_pair pipes[3], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) {
        return code;
    }
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = add_pipes(&actions, pipes);
        code = code ? code : set_signals(&attributes);
        if (code == 0) {
            code =
                posix_spawnp(pid, options->argv[0], &actions, &attributes, as_argv(options->argv),
                             options->env ? as_argv(options->env) : environ);
        }
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

krs_status krs_os_process_start(const krs_os_process_options *options, krs_os_process *out,
                                krs_error *err)
{
    *out = (krs_os_process){0, -1, -1, -1};
    if (!options->argv || !options->argv[0]) {
        return krs_fail(err, KRS_EINVAL, "process: no program named");
    }
    pipe_pair pipes[3] = {{{-1, -1}}, {{-1, -1}}, {{-1, -1}}};
    pid_t pid = 0;
    int code = make_pipes(options, pipes);
    code = code ? code : spawn(options, pipes, &pid);
    if (code == 0) {
        *out = (krs_os_process){pid, pipes[0].ends[1], pipes[1].ends[0], pipes[2].ends[0]};
        pipes[0].ends[1] = pipes[1].ends[0] = pipes[2].ends[0] = -1;
    }
    close_pipes(pipes);
    return code == 0 ? KRS_OK : krs_os_fail_errno(err, code, "start", options->argv[0]);
}

/* Ask once, or block. Errors: KRS_EAGAIN (running), KRS_EINVAL (not ours to wait for). */
static krs_status reap(krs_os_process *process, bool is_blocking, krs_os_process_end *out)
{
    int how = 0;
    pid_t got;
    do {
        got = waitpid(process->pid, &how, is_blocking ? 0 : WNOHANG);
    } while (got < 0 && errno == EINTR);
    if (got != process->pid) {
        return got == 0 ? KRS_EAGAIN : KRS_EINVAL;
    }
    process->pid = 0;
    *out = WIFSIGNALED(how) ? (krs_os_process_end){true, WTERMSIG(how)}
                            : (krs_os_process_end){false, WEXITSTATUS(how)};
    return KRS_OK;
}

krs_status krs_os_process_wait(krs_os_process *process, uint64_t deadline_ns,
                               krs_os_process_end *out)
{
    if (process->pid <= 0) {
        return KRS_EINVAL;
    }
    krs_status status = reap(process, deadline_ns == UINT64_MAX, out);
    while (status == KRS_EAGAIN && krs_os_now_ns() < deadline_ns) {
        krs_os_sleep_ns(WAIT_STEP_NS);
        status = reap(process, false, out);
    }
    return status;
}

void krs_os_process_signal(const krs_os_process *process, krs_os_process_stop how)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGKILL};
    if (process->pid > 0) {
        (void)kill(process->pid, signals[how]); /* it may have ended: then there is nothing to do */
    }
}

void krs_os_process_close(krs_os_process *process)
{
    close_fd(&process->stdin_fd);
    close_fd(&process->stdout_fd);
    close_fd(&process->stderr_fd);
    if (process->pid > 0) {
        krs_os_process_end end;
        krs_os_process_signal(process, KRS_OS_PROCESS_KILL);
        const krs_status status = krs_os_process_wait(process, UINT64_MAX, &end);
        (void)status; /* not ours any more: somebody else waited for it */
    }
}
