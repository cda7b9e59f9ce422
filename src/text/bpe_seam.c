/* text/bpe_seam.c - see bpe_seam.h. */
#include "text/bpe_seam.h"

#define BITS_PER_PLACE 8 /* one false bit in nine: the parts grow by as much */
#define MIN_BITS       10
#define MAX_BITS       27 /* 16 MiB; 2^24 places, three times what the largest vocabularies have */

/* A few bytes as a number; the number of bytes shows, since none of them is zero. */
static inline uint32_t value_of(const uint8_t *p, size_t n)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

static inline size_t bit_of(const krs_bpe_seams *seams, uint32_t left, uint32_t right)
{
    const uint64_t key = (uint64_t)left << 32 | right;
    return (size_t)(key * 0x9E3779B97F4A7C15u >> (64 - seams->n_bits));
}

static inline bool is_set(const krs_bpe_seams *seams, uint32_t left, uint32_t right)
{
    const size_t bit = bit_of(seams, left, right);
    return seams->bits[bit / 64] >> bit % 64 & 1u;
}

static inline bool is_lead(uint8_t byte)
{
    return byte >= 0xE0 && byte <= 0xEF;
}

static inline bool is_inside(uint8_t byte)
{
    return (byte & 0xC0u) == 0x80u;
}

/* Bytes before p that belong to the character that ends there, down to floor; 0: more than three. */
static inline size_t left_length(const uint8_t *floor, const uint8_t *p)
{
    size_t n = 1;
    while (n < 4 && p - floor > (ptrdiff_t)n && is_inside(p[-(ptrdiff_t)n])) {
        n++;
    }
    return n < 4 ? n : 0;
}

static inline bool is_ascii(const uint8_t *p)
{
    return (p[0] | p[-1]) < 0x80;
}

/* Is the place before p, between two of ASCII, inside a token? */
static inline bool is_ascii_crossed(const krs_bpe_seams *seams, const uint8_t *p)
{
    return seams->ascii[p[-1]][p[0] / 64] >> p[0] % 64 & 1u;
}

/* The place before p, inside a token. */
static void add_place(krs_bpe_seams *seams, const uint8_t *start, const uint8_t *p,
                      const uint8_t *end)
{
    const size_t n_left = left_length(start, p);
    const size_t n_right = end - p < 3 ? (size_t)(end - p) : 3;
    if (n_left == 0) {
        return; /* after a character of four bytes: not looked at */
    }
    const size_t bit = bit_of(seams, value_of(p - n_left, n_left), value_of(p, n_right));
    seams->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    if (n_right < 3) {
        seams->has_short_right[n_right - 1] = true;
    }
    if (is_inside(p[-(ptrdiff_t)n_left])) {
        seams->short_left[p[-1] & 0x3Fu] |= (uint16_t)(1u << (p[0] & 0x0Fu));
    }
}

/* Add the ASCII places of a text; count the others, or add them too. */
static size_t each_place(krs_bpe_seams *seams, krs_str text, bool is_counting)
{
    const uint8_t *start = (const uint8_t *)text.ptr;
    const uint8_t *end = start + text.len;
    size_t n = 0;
    for (const uint8_t *p = start + 1; p < end; p++) {
        if (is_ascii(p)) {
            seams->ascii[p[-1]][p[0] / 64] |= UINT64_C(1) << p[0] % 64;
        } else if (is_lead(p[0])) {
            n++;
            if (!is_counting) {
                add_place(seams, start, p, end);
            }
        }
    }
    return n;
}

krs_status krs_bpe_seams_build(krs_bpe_seams *seams, const krs_alloc *alloc, uint32_t n,
                               krs_bpe_seam_text text, void *ctx)
{
    *seams = (krs_bpe_seams){.n_bits = MIN_BITS};
    size_t n_places = 0;
    for (uint32_t i = 0; i < n; i++) {
        const krs_str s = text(ctx, i);
        n_places += s.len > 0 ? each_place(seams, s, true) : 0;
    }
    while (seams->n_bits < MAX_BITS && ((size_t)1 << seams->n_bits) < BITS_PER_PLACE * n_places) {
        seams->n_bits++;
    }
    seams->bits = krs_alloc_array(alloc, ((size_t)1 << seams->n_bits) / 64, sizeof(uint64_t));
    if (!seams->bits) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        const krs_str s = text(ctx, i);
        n_places += s.len > 0 ? each_place(seams, s, false) : 0;
    }
    return KRS_OK;
}

void krs_bpe_seams_deinit(krs_bpe_seams *seams, const krs_alloc *alloc)
{
    krs_alloc_free(alloc, seams->bits);
    *seams = (krs_bpe_seams){0};
}

/* Does a token have `left` and then some of the three bytes at p? */
static inline bool is_crossed(const krs_bpe_seams *seams, uint32_t left, const uint8_t *p)
{
    return is_set(seams, left, value_of(p, 3)) ||
           (seams->has_short_right[1] && is_set(seams, left, value_of(p, 2))) ||
           (seams->has_short_right[0] && is_set(seams, left, value_of(p, 1)));
}

/* Is the place before the three-byte character at p, behind start, a seam? */
static bool is_seam(const krs_bpe_seams *seams, const uint8_t *start, const uint8_t *p)
{
    const size_t n_left = left_length(start, p);
    if (n_left == 0 || is_crossed(seams, value_of(p - n_left, n_left), p)) {
        return false;
    }
    if (n_left == 1 || !(seams->short_left[p[-1] & 0x3Fu] >> (p[0] & 0x0Fu) & 1u)) {
        return true; /* no token begins inside the character before */
    }
    return !is_crossed(seams, p[-1], p) &&
           (n_left == 2 || !is_crossed(seams, value_of(p - 2, 2), p));
}

size_t krs_bpe_seams_next(const krs_bpe_seams *seams, krs_str piece)
{
    if (seams->bits) {
        const uint8_t *start = (const uint8_t *)piece.ptr;
        for (size_t i = 1; i < piece.len; i++) {
            const uint8_t *p = start + i;
            const bool is_place = is_ascii(p) || is_lead(p[0]);
            if (is_place &&
                (is_ascii(p) ? !is_ascii_crossed(seams, p) : is_seam(seams, start, p))) {
                return i;
            }
        }
    }
    return piece.len;
}
