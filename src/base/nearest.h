/* base/nearest.h - "did you mean": the known word that is closest to a mistyped one.
 *
 * The distance counts insertions, deletions, substitutions and swaps of neighbours, which is what typing
 * mistakes are made of. A word is only suggested when a third of it at most is wrong: a wild guess
 * helps nobody.
 *
 * Thread: any.  Memory: none; words longer than KRS_NEAREST_MAX_BYTES have no near ones.
 * Source: optimal string alignment; Damerau 1964. */
#pragma once

#include "base/str.h"

#define KRS_NEAREST_MAX_BYTES 48 /* option, command and field names are shorter */

/* Candidates come one by one; start with the zero value and the word. */
typedef struct krs_nearest {
    krs_str word;
    krs_str best;    /* borrowed from the caller of _offer; empty: none is near */
    size_t distance; /* of best */
} krs_nearest;

/* Edits that make b of a, SIZE_MAX when either is longer than KRS_NEAREST_MAX_BYTES. Cost: O(a b). */
size_t krs_nearest_distance(krs_str a, krs_str b);

/* Keep candidate when it is near the word and nearer than what was offered before. */
void krs_nearest_offer(krs_nearest *nearest, krs_str candidate);
