/* grammar/vocab_priv.h - the vocabulary's trees.
 *
 *   node: byte (8 bits) | depth (8) | token (21) | nodes in its subtree, itself included (27)
 *
 * in depth-first order, siblings by byte: the next node is the first child or, past the subtree, the next
 * sibling or an uncle; depth says whose. A node that ends no token has one of 64 spare numbers past the last
 * token, so that a walk sets a bit without asking; those bits are cut off. Of tokens with equal bytes the
 * tree has the first; the others follow it (`twins`).
 *
 * tree[0] has all tokens; tree[i] has those that slice i has not.
 *
 * Thread: immutable. */
#pragma once

#include "grammar/vocab.h"

#define KRS_NODE_DEPTH_SHIFT 8
#define KRS_NODE_TOKEN_SHIFT 16
#define KRS_NODE_SKIP_SHIFT  37
#define KRS_NODE_TOKEN_MASK  ((1u << 21) - 1)
#define KRS_TREE_MAX_NODES   ((1u << 27) - 1)

#define KRS_SPARE_WORDS     64 /* past the mask's words; a bit of each takes what ends no token */
#define KRS_N_SLICES        4
#define KRS_SLICE_MAX_CHARS 255 /* of the last slice: any length */
/* Of the slice before: nearly all plain tokens. Further ahead is not looked in a string of bounded length. */
#define KRS_SLICE_ENOUGH_CHARS 32

typedef struct krs_vocab_tree {
    uint64_t *nodes; /* [n_nodes] */
    uint32_t n_nodes;
} krs_vocab_tree;

typedef struct krs_vocab_twin {
    uint32_t token;
    uint32_t first; /* with the same bytes */
} krs_vocab_twin;

struct krs_grammar_vocab {
    const krs_alloc *alloc;
    uint32_t n_tokens;
    size_t n_words;
    size_t n_bytes; /* held */
    char *bytes;
    uint32_t *offsets; /* [n_tokens + 1], of tokens in bytes */
    uint64_t *ends;    /* [n_words], end tokens */
    krs_vocab_tree trees[KRS_N_SLICES + 1];
    uint64_t *slices[KRS_N_SLICES]; /* [n_words] each; slice i goes with trees[i + 1] */
    krs_vocab_twin *twins;
    uint32_t n_twins;
    uint32_t max_depth; /* of the trees */
};

/* Characters of the longest token of slice i. */
int krs_slice_chars(int slice);

/* Plain characters in bytes, or -1 when there is something else in them. */
int krs_plain_chars(krs_str bytes);

/* Make the tree of sorted tokens order[n] (by bytes, single). The nodes are the caller's. Errors: KRS_ENOMEM,
 * KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_vocab_tree_new(const krs_grammar_vocab *v, const uint32_t *order,
                                           uint32_t n, krs_vocab_tree *out);
