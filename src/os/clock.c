/* os/clock.c - see clock.h. */
#define _POSIX_C_SOURCE 200809L
#include "os/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec t = {0};
    (void)clock_gettime(id, &t); /* cannot fail for these two clocks and a valid pointer */
    return (uint64_t)t.tv_sec * KRS_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t krs_os_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t krs_os_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void krs_os_sleep_ns(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / KRS_NS_PER_S), (long)(ns % KRS_NS_PER_S)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
