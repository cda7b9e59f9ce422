/* text/bpe_seam.h - where a piece falls apart because no token crosses the place.
 *
 * Chinese, Japanese and Thai are written without spaces, so a pre-tokenizer leaves whole clauses as one
 * piece; no cache has seen them, and merging some forty symbols costs more than all else. But most
 * places between two of their characters are crossed by no token of the vocabulary. Such a place is a
 * seam: every symbol there ever is, is a token, so no merge reaches across, and the two sides never look
 * at each other. They can be encoded one by one, and short parts are in the word cache. The result is
 * the same id for id.
 *
 * A token with the place inside shows some bytes of the character c before it and some of d after it:
 * all of them, or fewer where the token begins inside c or ends inside d. Each (bytes of c, bytes of d)
 * that occurs in any token is a bit in a Bloom filter of one hash; a place is a seam if none of the ways to
 * cut c and d short is in it. A false bit costs a seam, never a result. Looked at are places before a
 * character of three bytes, after one of up to three; that is where the long pieces are. Places between two
 * ASCII characters have a table of their own: a SentencePiece vocabulary sees whole texts, and no token of
 * it joins a line to the next.
 *
 * It holds only if a character is never unknown (a run of those may be one token), so the filter is
 * built only for vocabularies that can say every byte.
 *
 * Thread: immutable after _build.  Memory: one block, a byte for each token place or so. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

typedef struct krs_bpe_seams {
    uint64_t *bits;         /* [2^n_bits / 64]; NULL: no place is a seam */
    uint64_t ascii[128][2]; /* bit d of row c: some token has c and then d */
    unsigned n_bits;
    bool has_short_right[2]; /* some token ends 1, 2 bytes into a character */
    uint16_t short_left[64]; /* of tokens that begin inside c: last byte of c, first byte of d */
} krs_bpe_seams;

/* The i-th text to look into, in raw bytes; ptr NULL: none. */
typedef krs_str (*krs_bpe_seam_text)(void *ctx, uint32_t i);

/* From n texts; every token must be among them. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_bpe_seams_build(krs_bpe_seams *seams, const krs_alloc *alloc,
                                            uint32_t n, krs_bpe_seam_text text, void *ctx);
void krs_bpe_seams_deinit(krs_bpe_seams *seams, const krs_alloc *alloc);

/* The first seam of a piece (well-formed UTF-8), its length if it has none. */
size_t krs_bpe_seams_next(const krs_bpe_seams *seams, krs_str piece);
