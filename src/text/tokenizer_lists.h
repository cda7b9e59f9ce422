/* text/tokenizer_lists.h - the two long lists of a tokenizer.json, read without a tree.
 *
 * "vocab" and "merges" are all but one part in a hundred of the file: a few hundred thousand short strings,
 * which as a tree of values take 150 bytes each and most of the time to load. So they are cut out of the
 * text first, and the rest, a few kilobytes, is parsed as usual with "{}" and "[]" in their places.
 *
 * Only plain files are cut: well-formed UTF-8, one "model" with one of each list, ids as plain digits, no
 * surrogate escapes. Whatever else there is, right or wrong, is left to the parser, so that there is one
 * place that decides what a file means and one that explains what is wrong with it.
 *
 * Thread: one owner.  Memory: a cursor borrows the text, and a buffer for strings with escapes.
 * Source: RFC 8259. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

typedef struct krs_tokenizer_lists {
    krs_str vocab; /* inside of the braces; ptr NULL: it is in the tree */
    krs_str merges;
    size_t n_vocab; /* entries */
    size_t n_merges;
} krs_tokenizer_lists;

/* Find the lists of json and append the rest to rest. false: not a plain file, and rest is of no use. */
bool krs_tokenizer_lists_cut(krs_str json, krs_tokenizer_lists *lists, krs_buf *rest);

/* A walk over a list. */
typedef struct krs_list_cursor {
    const char *p;
    const char *end;
    krs_buf spare[2]; /* strings without their escapes */
    size_t n;         /* entries so far */
    bool is_bad;      /* not plain: the walk ended there */
} krs_list_cursor;

void krs_list_cursor_init(krs_list_cursor *cursor, krs_str list, const krs_alloc *alloc);
void krs_list_cursor_deinit(krs_list_cursor *cursor);

/* The next entry; false at the end. Strings are borrowed until the next call. */
bool krs_list_next_token(krs_list_cursor *cursor, krs_str *text, uint32_t *id);
/* second.ptr is NULL where the merge is one string. */
bool krs_list_next_merge(krs_list_cursor *cursor, krs_str *first, krs_str *second);
