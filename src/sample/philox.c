/* sample/philox.c - see philox.h. The constants are the paper's. */
#include "sample/philox.h"

#define PHILOX_ROUNDS 10
#define PHILOX_M0     0xD2511F53u
#define PHILOX_M1     0xCD9E8D57u
#define PHILOX_W0     0x9E3779B9u /* golden ratio */
#define PHILOX_W1     0xBB67AE85u /* sqrt(3) - 1 */

krs_philox_block krs_philox(const uint32_t counter[4], const uint32_t key[2])
{
    krs_philox_block c = {{counter[0], counter[1], counter[2], counter[3]}};
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c.word[0];
        const uint64_t p1 = (uint64_t)PHILOX_M1 * c.word[2];
        c = (krs_philox_block){{(uint32_t)(p1 >> 32) ^ c.word[1] ^ k0, (uint32_t)p1,
                                (uint32_t)(p0 >> 32) ^ c.word[3] ^ k1, (uint32_t)p0}};
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    return c;
}

double krs_philox_real(uint64_t seed, uint64_t position)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), 0, 0};
    const krs_philox_block block = krs_philox(counter, key);
    const uint64_t bits = ((uint64_t)block.word[1] << 32 | block.word[0]) >> 11;
    return (double)bits * 0x1p-53;
}
