/* text/bytelevel.h - GPT-2's alphabet: every byte as a printable character.
 *
 *   bytes 21-7E, A1-AC, AE-FF    stand for themselves (U+0021 ... U+00FF)
 *   the other 68, in order       U+0100 ... U+0143
 *
 * So any text can be written with 256 symbols and no vocabulary needs an unknown token. The mapping is
 * arithmetic, so there is no table to build or to guard.
 *
 * Thread: any; pure.  Source: Radford et al. 2019, the released encoder's bytes_to_unicode. */
#pragma once

#include <stdint.h>

static inline uint32_t krs_bytelevel_char(unsigned char byte)
{
    if (byte <= 0x20) {
        return 0x100u + byte;
    }
    if (byte >= 0x7F && byte <= 0xA0) {
        return 0x121u + (byte - 0x7Fu);
    }
    return byte == 0xAD ? 0x143u : byte;
}

/* The byte that c stands for, or -1. */
static inline int krs_bytelevel_byte(uint32_t c)
{
    if (c >= 0x100 && c <= 0x143) {
        const uint32_t n = c - 0x100;
        return (int)(n <= 0x20 ? n : n == 0x43 ? 0xADu : n - 0x21 + 0x7F);
    }
    return c < 0x100 && krs_bytelevel_char((unsigned char)c) == c ? (int)c : -1;
}
