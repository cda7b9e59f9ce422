/* os/random.h - bytes nobody can guess, for ids and default seeds. Draws of a model use sample/'s own
 * counter-based generator, never this: they must be repeatable.
 *
 * Thread: any.  Source: Linux getrandom(2). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fill out[n_bytes]. Cannot fail on a running system; aborts when the kernel has no such call. */
void krs_os_random_bytes(void *out, size_t n_bytes);

uint64_t krs_os_random_u64(void);
