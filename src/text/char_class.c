/* text/char_class.c - see char_class.h. Filled in about a millisecond. */
#include "text/char_class.h"

#include "text/unicode.h"

#include "base/check.h"

#include <utf8proc.h>

#include <string.h>

#define N_KINDS       256      /* classes that a uniform block may have */
#define MAX_ROWS      1024     /* Unicode 15 needs 265; more than this would be no Unicode */
#define FIRST_EMPTY   0x40000u /* planes 4 to 13: nothing assigned */
#define LAST_EMPTY    0xDFFFFu
#define FIRST_PRIVATE 0xF0000u /* planes 15, 16 */

static uint8_t class_of(uint32_t c)
{
    if (c == '\n' || c == '\r') {
        return KRS_CHAR_BREAK;
    }
    if (krs_unicode_is_space(c)) {
        return KRS_CHAR_SPACE;
    }
    static const uint8_t kinds[] = {
        [UTF8PROC_CATEGORY_LU] = KRS_CHAR_UPPER,
        [UTF8PROC_CATEGORY_LL] = KRS_CHAR_LOWER,
        [UTF8PROC_CATEGORY_LT] = KRS_CHAR_UPPER,
        [UTF8PROC_CATEGORY_LM] = KRS_CHAR_OTHER,
        [UTF8PROC_CATEGORY_LO] = KRS_CHAR_OTHER,
        [UTF8PROC_CATEGORY_MN] = KRS_CHAR_MARK,
        [UTF8PROC_CATEGORY_MC] = KRS_CHAR_MARK,
        [UTF8PROC_CATEGORY_ME] = KRS_CHAR_MARK,
        [UTF8PROC_CATEGORY_ND] = KRS_CHAR_NUMBER,
        [UTF8PROC_CATEGORY_NL] = KRS_CHAR_NUMBER,
        [UTF8PROC_CATEGORY_NO] = KRS_CHAR_NUMBER,
        [UTF8PROC_CATEGORY_PC] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PD] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PS] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PE] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PI] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PF] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_PO] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_SM] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_SC] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_SK] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_SO] = KRS_CHAR_SIGN,
        [UTF8PROC_CATEGORY_CO] = 0,
    };
    return kinds[utf8proc_category((utf8proc_int32_t)c)];
}

/* The classes of one block; true when they are all the same. */
static bool classify(uint32_t first, uint8_t row[KRS_CHAR_BLOCK])
{
    if ((first >= FIRST_EMPTY && first <= LAST_EMPTY) || first >= FIRST_PRIVATE) {
        memset(row, 0, KRS_CHAR_BLOCK);
        return true;
    }
    bool is_uniform = true;
    for (uint32_t i = 0; i < KRS_CHAR_BLOCK; i++) {
        row[i] = class_of(first + i);
        is_uniform = is_uniform && row[i] == row[0];
    }
    return is_uniform;
}

krs_char_classes *krs_char_classes_new(const krs_alloc *alloc)
{
    krs_char_classes *classes =
        krs_alloc_bytes(alloc, sizeof(*classes) + (size_t)MAX_ROWS * KRS_CHAR_BLOCK);
    if (!classes) {
        return NULL;
    }
    uint16_t uniform[N_KINDS] = {0}; /* row + 1 of the block with this class throughout; 0: none */
    uint16_t n_rows = 0;
    for (uint32_t block = 0; block < KRS_CHAR_N_BLOCKS; block++) {
        uint8_t *row = classes->kinds[n_rows];
        const bool is_uniform = classify(block << KRS_CHAR_BLOCK_BITS, row);
        if (is_uniform && uniform[row[0]] > 0) {
            classes->blocks[block] = (uint16_t)(uniform[row[0]] - 1);
            continue; /* its row is overwritten by the next block */
        }
        classes->blocks[block] = n_rows++;
        KRS_CHECK(n_rows < MAX_ROWS);
        if (is_uniform) {
            uniform[row[0]] = n_rows;
        }
    }
    const size_t n_rest = n_rows * sizeof(classes->kinds[0]); /* one item of resize: the head */
    krs_char_classes *shrunk = krs_alloc_resize(alloc, classes, 1, sizeof(*classes) + n_rest);
    return shrunk ? shrunk : classes;
}
