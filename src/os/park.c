/* os/park.c - see park.h. Private futexes: no word is shared between processes. */
#define _GNU_SOURCE /* syscall */
#include "os/park.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* EAGAIN (it has changed) and EINTR are reasons to look again, which the caller does; nothing else can
 * happen to a word of our own. */
void krs_os_park(const _Atomic uint32_t *word, uint32_t seen)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void krs_os_unpark(const _Atomic uint32_t *word, uint32_t max_threads)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, max_threads, NULL, NULL, 0);
}
