/* text/char_class.h - what kind of character, in one byte, by table.
 *
 * The scanners of text/scan.h ask for each character whether it is a letter, a number, a space and so
 * on. utf8proc answers through a record of 20 bytes in a table of half a megabyte; here it is two
 * loads from some 40 KB, of which a text of one script touches a few lines. Characters come in blocks
 * of 128; blocks of one kind throughout, as most ideographs and all of the unassigned planes are, are
 * stored once per kind. The first block is ASCII, so that a byte below 0x80 is its own index.
 *
 * The table is computed from utf8proc, so there is one source for properties in this folder. Planes
 * without letters, marks, numbers, punctuation or symbols (4 to 13, private use) are not asked about.
 *
 * Thread: immutable after _new.  Memory: one block, about 45 KB.
 * Source: Unicode 15 (utf8proc 2.8), general categories; UAX #44 White_Space. */
#pragma once

#include "base/alloc.h"

#include <stdint.h>

#define KRS_CHAR_UPPER  0x01u /* Lu, Lt */
#define KRS_CHAR_LOWER  0x02u /* Ll */
#define KRS_CHAR_OTHER  0x04u /* Lm, Lo */
#define KRS_CHAR_MARK   0x08u /* M* */
#define KRS_CHAR_NUMBER 0x10u /* N* */
#define KRS_CHAR_SPACE  0x20u /* White_Space but for the next two */
#define KRS_CHAR_BREAK  0x40u /* U+000A, U+000D */
#define KRS_CHAR_SIGN   0x80u /* P*, S* */
#define KRS_CHAR_LETTER (KRS_CHAR_UPPER | KRS_CHAR_LOWER | KRS_CHAR_OTHER)
#define KRS_CHAR_BLANK  (KRS_CHAR_SPACE | KRS_CHAR_BREAK) /* all of White_Space */

#define KRS_CHAR_BLOCK_BITS 7
#define KRS_CHAR_BLOCK      (1u << KRS_CHAR_BLOCK_BITS)
#define KRS_CHAR_N_BLOCKS   (0x110000u >> KRS_CHAR_BLOCK_BITS)

typedef struct krs_char_classes {
    uint16_t blocks[KRS_CHAR_N_BLOCKS]; /* which row of kinds each 128 characters have */
    uint8_t kinds[][KRS_CHAR_BLOCK];    /* row 0 is ASCII */
} krs_char_classes;

/* NULL when there is no memory; freed by krs_alloc_free. */
KRS_MUST_USE krs_char_classes *krs_char_classes_new(const krs_alloc *alloc);

/* Bits of the scalar value c; 0 for what has none of the kinds above. */
static inline uint8_t krs_char_class(const krs_char_classes *classes, uint32_t c)
{
    return classes->kinds[classes->blocks[c >> KRS_CHAR_BLOCK_BITS]][c & (KRS_CHAR_BLOCK - 1)];
}
