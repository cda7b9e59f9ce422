/* os/thread.c - see thread.h. Lock failures other than "no memory" are our own bugs: KRS_CHECK. */
#define _GNU_SOURCE /* pthread_setname_np, pthread_setaffinity_np, CPU_ALLOC */
#include "os/thread.h"

#include "base/check.h"
#include "base/fault.h"
#include "os/clock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

struct krs_os_thread {
    pthread_t handle;
    void (*body)(void *arg);
    void *arg;
    char name[16]; /* Linux keeps 15 bytes and a NUL */
};

struct krs_os_mutex {
    pthread_mutex_t handle;
};

struct krs_os_cond {
    pthread_cond_t handle;
};

static void *thread_main(void *arg)
{
    krs_os_thread *thread = arg;
    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->body(thread->arg);
    return NULL;
}

krs_status krs_os_thread_start(const char *name, void (*body)(void *arg), void *arg,
                               krs_os_thread **out, krs_error *err)
{
    *out = NULL;
    krs_os_thread *thread = krs_alloc_zero(NULL, sizeof(*thread));
    if (!thread) {
        return krs_fail(err, KRS_ENOMEM, "thread %s: out of memory", name);
    }
    thread->body = body;
    thread->arg = arg;
    (void)snprintf(thread->name, sizeof(thread->name), "%s", name);
    /* Signals belong to the main thread: block all while the child inherits the mask. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = krs_fault_hit(KRS_FAULT_THREAD_START)
                         ? EAGAIN
                         : pthread_create(&thread->handle, NULL, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        krs_alloc_free(NULL, thread);
        return krs_fail_os(err, KRS_EAGAIN, code, "thread %s", name);
    }
    *out = thread;
    return KRS_OK;
}

krs_status krs_os_thread_pin(krs_os_thread *thread, uint32_t cpu)
{
    cpu_set_t *mask = CPU_ALLOC(cpu + 1);
    if (!mask) {
        return KRS_EINVAL; /* a number no machine has */
    }
    const size_t n_bytes = CPU_ALLOC_SIZE(cpu + 1);
    CPU_ZERO_S(n_bytes, mask);
    CPU_SET_S(cpu, n_bytes, mask);
    const int code = pthread_setaffinity_np(thread->handle, n_bytes, mask);
    CPU_FREE(mask);
    return code == 0 ? KRS_OK : KRS_EINVAL;
}

void krs_os_thread_join(krs_os_thread *thread)
{
    if (thread) {
        KRS_CHECK(pthread_join(thread->handle, NULL) == 0);
        krs_alloc_free(NULL, thread);
    }
}

krs_status krs_os_mutex_new(krs_os_mutex **out)
{
    krs_os_mutex *mutex = krs_alloc_zero(NULL, sizeof(*mutex));
    *out = mutex;
    if (!mutex) {
        return KRS_ENOMEM;
    }
    KRS_CHECK(pthread_mutex_init(&mutex->handle, NULL) == 0);
    return KRS_OK;
}

void krs_os_mutex_free(krs_os_mutex *mutex)
{
    if (mutex) {
        KRS_CHECK(pthread_mutex_destroy(&mutex->handle) == 0);
        krs_alloc_free(NULL, mutex);
    }
}

void krs_os_mutex_lock(krs_os_mutex *mutex)
{
    KRS_CHECK(pthread_mutex_lock(&mutex->handle) == 0);
}

void krs_os_mutex_unlock(krs_os_mutex *mutex)
{
    KRS_CHECK(pthread_mutex_unlock(&mutex->handle) == 0);
}

krs_status krs_os_cond_new(krs_os_cond **out)
{
    krs_os_cond *cond = krs_alloc_zero(NULL, sizeof(*cond));
    *out = cond;
    if (!cond) {
        return KRS_ENOMEM;
    }
    pthread_condattr_t attributes;
    KRS_CHECK(pthread_condattr_init(&attributes) == 0);
    KRS_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    KRS_CHECK(pthread_cond_init(&cond->handle, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    return KRS_OK;
}

void krs_os_cond_free(krs_os_cond *cond)
{
    if (cond) {
        KRS_CHECK(pthread_cond_destroy(&cond->handle) == 0);
        krs_alloc_free(NULL, cond);
    }
}

void krs_os_cond_wait(krs_os_cond *cond, krs_os_mutex *mutex)
{
    KRS_CHECK(pthread_cond_wait(&cond->handle, &mutex->handle) == 0);
}

bool krs_os_cond_wait_until(krs_os_cond *cond, krs_os_mutex *mutex, uint64_t deadline_ns)
{
    const struct timespec t = {(time_t)(deadline_ns / KRS_NS_PER_S),
                               (long)(deadline_ns % KRS_NS_PER_S)};
    const int code = pthread_cond_timedwait(&cond->handle, &mutex->handle, &t);
    KRS_CHECK(code == 0 || code == ETIMEDOUT);
    return code == 0;
}

void krs_os_cond_signal(krs_os_cond *cond)
{
    KRS_CHECK(pthread_cond_signal(&cond->handle) == 0);
}

void krs_os_cond_broadcast(krs_os_cond *cond)
{
    KRS_CHECK(pthread_cond_broadcast(&cond->handle) == 0);
}
