/* text/charsmap.h - SentencePiece's compiled normaliser: rules "these bytes become those".
 *
 * The file has it as base64 of one block:
 *
 *   u32 LE n | n bytes: a trie as a double array of u32 units (darts-clone) | replacement texts, each
 *                                                                           | ended by a NUL
 *
 * A unit holds a label (its low byte), whether a value hangs below, and the offset to its children by
 * XOR; a value is the offset of a replacement. Each grapheme cluster of under six bytes is looked up as a
 * whole and, failing that, character by character; longer clusters only by character. The shortest
 * matching rule replaces all of what was looked up, also when there was more of it: odd, but the models
 * were trained with it.
 *
 * The block is data from outside: a unit that points outside the array, or a value that is no place of
 * the texts where a character begins, counts as no rule.
 *
 * Thread: immutable after _parse.  Memory: one object and two blocks from alloc.
 * Source: google/sentencepiece normalizer.cc; huggingface/spm_precompiled; darts-clone 0.32 (unit
 * layout); UAX #29 (clusters, by utf8proc). */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"

typedef struct krs_charsmap krs_charsmap;

/* base64: of the block, RFC 4648 with padding. *out: owned.
 * Errors: KRS_EFORMAT (what is wrong), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_charsmap_parse(krs_str base64, const krs_alloc *alloc,
                                           krs_charsmap **out, krs_error *err);
void krs_charsmap_free(krs_charsmap *map);

/* Append well-formed text, rewritten. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_charsmap_apply(const krs_charsmap *map, krs_str text, krs_buf *out);
