/* kv/hash.h - a 128-bit hash of tokens, chained block by block.
 *
 * Not a cryptographic hash: who uses it compares what it found. It has to be fast (a prompt of 100,000
 * tokens is hashed whenever it is looked up) and to spread well under a seed that clients do not know.
 *
 * Thread: any.  Memory: none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct krs_kv_hash {
    uint64_t lo;
    uint64_t hi;
} krs_kv_hash;

static inline bool krs_kv_hash_is_equal(krs_kv_hash a, krs_kv_hash b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* Of nothing, under a salt. */
krs_kv_hash krs_kv_hash_root(uint64_t seed, uint64_t salt);

/* Of tokens[n] behind what parent stands for. */
krs_kv_hash krs_kv_hash_block(krs_kv_hash parent, const uint32_t *tokens, uint32_t n);
