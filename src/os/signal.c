/* os/signal.c - see signal.h. */
#define _POSIX_C_SOURCE 200809L
#include "os/signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t our_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

krs_status krs_os_signals_open(krs_os_signals *out, krs_error *err)
{
    const sigset_t set = our_signals();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* fails only for a bad first argument */
    out->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return out->fd >= 0 ? KRS_OK : krs_fail_os(err, KRS_EIO, errno, "signalfd");
}

void krs_os_signals_close(krs_os_signals *signals)
{
    if (signals->fd >= 0) {
        sigset_t set = our_signals();
        (void)sigaddset(&set, SIGHUP); /* harmless when it was never added */
        (void)close(signals->fd);
        (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        signals->fd = -1;
    }
}

krs_status krs_os_signals_add_hangup(krs_os_signals *signals, krs_error *err)
{
    sigset_t set = our_signals();
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(signals->fd, &set, 0) >= 0 ? KRS_OK
                                               : krs_fail_os(err, KRS_EIO, errno, "signalfd");
}

bool krs_os_signal_is_hangup(int signal)
{
    return signal == SIGHUP;
}

int krs_os_signals_take(const krs_os_signals *signals)
{
    struct signalfd_siginfo info;
    const ssize_t n = read(signals->fd, &info, sizeof(info));
    return n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}
