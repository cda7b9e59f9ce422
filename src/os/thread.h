/* os/thread.h - threads, and the only locks of the program.
 *
 * Locks are leaves: never two at once, never held across a callback, a device call or I/O. Most code
 * wants os/queue.h (a bounded queue between threads) and no lock of its own. No thread is detached.
 *
 * Thread: any.  Source: POSIX threads. */
#pragma once

#include "base/alloc.h"
#include "base/status.h"

typedef struct krs_os_thread krs_os_thread;
typedef struct krs_os_mutex krs_os_mutex;
typedef struct krs_os_cond krs_os_cond;

/* Run body(arg) on a new thread called name (at most 15 bytes are kept), all signals blocked.
 * Errors: KRS_EAGAIN (the system has no more threads), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_os_thread_start(const char *name, void (*body)(void *arg), void *arg,
                                            krs_os_thread **out, krs_error *err);

/* Keep the thread on one CPU. Errors: KRS_EINVAL (not a CPU this process may use). */
KRS_MUST_USE krs_status krs_os_thread_pin(krs_os_thread *thread, uint32_t cpu);

/* Wait for the thread's end and free it; NULL is a no-op. */
void krs_os_thread_join(krs_os_thread *thread);

KRS_MUST_USE krs_status krs_os_mutex_new(krs_os_mutex **out);
void krs_os_mutex_free(krs_os_mutex *mutex);
void krs_os_mutex_lock(krs_os_mutex *mutex);
void krs_os_mutex_unlock(krs_os_mutex *mutex);

KRS_MUST_USE krs_status krs_os_cond_new(krs_os_cond **out);
void krs_os_cond_free(krs_os_cond *cond);
void krs_os_cond_wait(krs_os_cond *cond, krs_os_mutex *mutex);
/* False when deadline_ns (krs_os_now_ns time) passed first. */
bool krs_os_cond_wait_until(krs_os_cond *cond, krs_os_mutex *mutex, uint64_t deadline_ns);
void krs_os_cond_signal(krs_os_cond *cond);
void krs_os_cond_broadcast(krs_os_cond *cond);
