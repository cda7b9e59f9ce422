/* sample/philox.h - random numbers that depend on a key and a counter, and on nothing else.
 *
 * A generator with state would make a draw depend on how many came before it, in what order, on which
 * thread. Philox is a function: the same seed at the same position gives the same draw, whether the
 * sequence ran alone, in a storm, or again after a preemption.
 *
 * Thread: any; pure.
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Philox4x32-10. */
#pragma once

#include <stdint.h>

typedef struct krs_philox_block {
    uint32_t word[4];
} krs_philox_block;

/* The ten-round function. */
krs_philox_block krs_philox(const uint32_t counter[4], const uint32_t key[2]);

/* A real in [0, 1) with 53 random bits: key = seed (low word first), counter = {position, 0, 0, 0}. */
double krs_philox_real(uint64_t seed, uint64_t position);
