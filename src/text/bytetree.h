/* text/bytetree.h - all prefixes of a set of texts, walked a byte at a time.
 *
 * Unigram asks at each place of a text which tokens begin there, WordPiece which is the longest. Both
 * are one walk down this tree, whose cost is the length of the longest candidate and nothing else.
 *
 *   labels  a b | b c | x        the children of a node lie side by side, so a child is found by memchr
 *   nodes   0   1   2 ...        over a few bytes; the root, whose children are many, has a table
 *
 * Built from sorted texts, one level after the other, with exact sizes counted beforehand.
 *
 * Thread: immutable after _init.  Memory: two blocks from alloc. */
#pragma once

#include "text/vocab.h"

#define KRS_BYTETREE_NO_ID UINT32_MAX
#define KRS_BYTETREE_NONE  0u /* no node: nothing leads back to the root */

/* Longest text of a tree. It bounds the work at each place of an adversary's text; real tokens stay
 * below 300 bytes. */
#define KRS_BYTETREE_MAX_TEXT_BYTES 4096u

typedef struct krs_bytetree_node {
    uint32_t id;      /* of the text that ends here, or KRS_BYTETREE_NO_ID */
    uint32_t child;   /* the first one */
    uint32_t n_child; /* at most 256 */
} krs_bytetree_node;

typedef struct krs_bytetree {
    const krs_alloc *alloc;
    krs_bytetree_node *nodes; /* [n_nodes], the root first */
    unsigned char *labels;    /* [n_nodes] the byte that leads to each */
    uint32_t n_nodes;
    uint32_t roots[256]; /* the root's children by byte */
} krs_bytetree;

/* The tree of all texts of vocab that are not empty, each with the id that krs_vocab_find gives.
 * Errors: KRS_ETOOLARGE (a text, or all of them together), KRS_ENOMEM. On failure the tree is empty and
 * deinit is harmless. Cost: sorting; then linear in all bytes. */
KRS_MUST_USE krs_status krs_bytetree_init(krs_bytetree *tree, const krs_vocab *vocab,
                                          const krs_alloc *alloc, krs_error *err);
void krs_bytetree_deinit(krs_bytetree *tree);

/* The node one byte further down, or KRS_BYTETREE_NONE. */
static inline uint32_t krs_bytetree_step(const krs_bytetree *tree, uint32_t node,
                                         unsigned char byte)
{
    if (node == 0) {
        return tree->roots[byte];
    }
    const krs_bytetree_node *from = &tree->nodes[node];
    if (from->n_child == 0) {
        return KRS_BYTETREE_NONE;
    }
    const unsigned char *labels = tree->labels + from->child;
    const unsigned char *found = memchr(labels, byte, from->n_child);
    return found ? from->child + (uint32_t)(found - labels) : KRS_BYTETREE_NONE;
}
