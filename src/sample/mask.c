/* sample/mask.c - see mask.h. */
#include "sample/mask.h"

#include <math.h>

#define WORD_BITS 64u
_Static_assert(WORD_BITS == KRS_ROW_BLOCK, "a word of a mask is a block of a row");

krs_row_mask krs_row_mask_of(const uint64_t *words, size_t n, uint32_t vocab)
{
    const uint32_t n_blocks = krs_row_blocks(vocab);
    return (krs_row_mask){words, n < n_blocks ? (uint32_t)n : n_blocks, vocab};
}

/* Word i without the bits of tokens that the row has not. */
static uint64_t word_of(const krs_row_mask *mask, uint32_t i)
{
    const uint32_t n_left = mask->vocab - i * WORD_BITS;
    return n_left >= WORD_BITS ? mask->words[i] : mask->words[i] & ((UINT64_C(1) << n_left) - 1);
}

uint32_t krs_row_mask_gather(const krs_row_mask *mask, uint32_t max, uint32_t *ids)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < mask->n_words; i++) {
        uint64_t word = word_of(mask, i);
        if (n + (uint32_t)__builtin_popcountll(word) > max) {
            return max + 1;
        }
        for (; word != 0; word &= word - 1) {
            ids[n++] = i * WORD_BITS + (uint32_t)__builtin_ctzll(word);
        }
    }
    return n;
}

static void fill(float *x, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        x[i] = -INFINITY;
    }
}

void krs_row_mask_apply(const krs_row_mask *mask, float *x)
{
    for (uint32_t i = 0; i < mask->n_words; i++) {
        const uint32_t begin = i * WORD_BITS;
        const uint32_t end = mask->vocab - begin > WORD_BITS ? begin + WORD_BITS : mask->vocab;
        const uint64_t word = mask->words[i];
        if (word == 0) {
            fill(x, begin, end);
        } else if (word != UINT64_MAX) {
            for (uint32_t t = begin; t < end; t++) {
                x[t] = (word >> (t - begin) & 1) != 0 ? x[t] : -INFINITY;
            }
        }
    }
    const uint64_t n_covered = (uint64_t)mask->n_words * WORD_BITS;
    fill(x, n_covered < mask->vocab ? (uint32_t)n_covered : mask->vocab, mask->vocab);
}
