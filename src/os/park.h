/* os/park.h - sleep until a word changes: what a lock-free hand-over falls back on when spinning is over.
 *
 * A condition variable would need a lock that the waking side has to take and every woken thread has to
 * take again, one after the other. Here the word itself is the condition: a sleeper names the value it
 * has seen and sleeps only if the word still has it, which the kernel checks in one with going to
 * sleep, so no wake-up is lost when the waker changes the word before it calls. Both sides order
 * themselves against a count of sleepers with sequentially consistent operations when the waker wants
 * to leave the call out. Everything that is not fork and join inside one operation wants os/queue.h.
 *
 * Thread: any.  Memory: none.  Source: futex(2). */
#pragma once

#include <stdint.h>

/* Sleep while *word is `seen`; returns at once when it is not. May return early: look again. */
void krs_os_park(const _Atomic uint32_t *word, uint32_t seen);

/* Wake at most max_threads that sleep on word, 1 .. INT32_MAX. */
void krs_os_unpark(const _Atomic uint32_t *word, uint32_t max_threads);
