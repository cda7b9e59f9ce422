/* kv/hash.c - see hash.h. Two lanes that feed each other, so that the order and place of every token
 * count; constants are odd with about half their bits set (golden ratio, and primes of that kind). */
#include "kv/hash.h"

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

/* The finisher of splitmix64: every input bit flips every output bit with chance one half. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static krs_kv_hash feed(krs_kv_hash h, uint64_t word)
{
    h.lo = rotate(h.lo ^ word, 29) * UINT64_C(0x9E3779B97F4A7C15) + h.hi;
    h.hi = (rotate(h.hi + word, 37) * UINT64_C(0xC2B2AE3D27D4EB4F)) ^ h.lo;
    return h;
}

static krs_kv_hash finish(krs_kv_hash h)
{
    const uint64_t lo = mix(h.lo + rotate(h.hi, 17));
    return (krs_kv_hash){lo, mix(h.hi ^ lo)};
}

krs_kv_hash krs_kv_hash_root(uint64_t seed, uint64_t salt)
{
    return finish(feed((krs_kv_hash){seed, UINT64_C(0x6B72732D6B76)}, salt));
}

krs_kv_hash krs_kv_hash_block(krs_kv_hash parent, const uint32_t *tokens, uint32_t n)
{
    krs_kv_hash h = parent;
    for (uint32_t i = 0; i < n; i++) {
        h = feed(h, tokens[i]);
    }
    return finish(h);
}
