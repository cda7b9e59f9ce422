/* tensor/minifloat.c - see minifloat.h. */
#include "tensor/minifloat.h"

#define SMALLEST_NORMAL (121u << 23) /* 2^-6 as f32 bits */
#define FIRST_TOO_LARGE (543u << 21) /* 480, what the NaN pattern would be: 448 is the last below */
#define LARGEST         0x7Eu

uint8_t krs_e4m3_of_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint32_t sign = bits >> 24 & 0x80u;
    bits &= 0x7FFFFFFFu;
    if (bits >= FIRST_TOO_LARGE) {
        return (uint8_t)(sign | LARGEST);
    }
    if (bits < SMALLEST_NORMAL) {
        /* 2^14 + x: the sum's last bit is 2^-9, the subnormals' step, so the addition rounds. */
        const float sum = krs_float_of_bits(bits) + 0x1p14f;
        uint32_t sum_bits;
        memcpy(&sum_bits, &sum, sizeof(sum_bits));
        return (uint8_t)(sign | (sum_bits - (141u << 23)));
    }
    const uint32_t odd = bits >> 20 & 1u;
    const uint32_t rounded = (bits - (120u << 23) + 0x7FFFFu + odd) >> 20;
    return (uint8_t)(sign | (rounded > LARGEST ? LARGEST : rounded));
}
