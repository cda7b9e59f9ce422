/* grammar/vocab_priv.h - the vocabulary's trees.
 *
 *   node: byte (8 bits) | depth (8) | token (21) | nodes in its subtree, itself included (27)
 *
 * in depth-first order, siblings by byte: the next node is the first child or, past the subtree, the next
 * sibling or an uncle; depth says whose. A node that ends no token has one of 64 spare numbers past the last
 * token, so that a walk sets a bit without asking; those bits are cut off. Of tokens with equal bytes the
 * tree has the first; the others follow it (`twins`).
 *
 * Slices: slices[n - 1] has the tokens of at most n plain characters, n = 1 .. KRS_SLICE_ENOUGH_CHARS, and the
 * last slice those of any number. trees[0] has all tokens, trees[i] those that slice krs_tree_chars(i) has not:
 * the last one, those that are not plain. `lengthy` are the tokens of more than KRS_LENGTHY_BYTES: runs of
 * blanks and the like.
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
#define KRS_N_TREES         5
#define KRS_LENGTHY_BYTES   32  /* 99.5 of 100 tokens are not longer */
#define KRS_SLICE_MAX_CHARS 255 /* of the last slice: any length */
/* Of the slice before: nearly all plain tokens. Further ahead is not looked in a string of bounded length. */
#define KRS_SLICE_ENOUGH_CHARS 32
#define KRS_N_SLICES           (KRS_SLICE_ENOUGH_CHARS + 1)

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
    krs_vocab_tree trees[KRS_N_TREES];
    uint64_t *slices;  /* [KRS_N_SLICES][n_words] */
    uint64_t *lengthy; /* [n_words] */
    krs_vocab_tree lengthy_tree;
    krs_vocab_twin *twins;
    uint32_t n_twins;
    uint32_t longest; /* bytes of the longest token in the trees */
};

/* Characters of the longest plain token that tree i has not; 0 for the tree that has all. */
int krs_tree_chars(int tree);

/* The slice of tokens of at most n_chars plain characters, n_chars > 0. */
static inline const uint64_t *krs_vocab_slice(const krs_grammar_vocab *v, int n_chars)
{
    const int slice = n_chars > KRS_SLICE_ENOUGH_CHARS ? KRS_N_SLICES - 1 : n_chars - 1;
    return v->slices + (size_t)slice * v->n_words;
}

/* May this byte begin a plain character, or go on with one? */
static inline bool krs_is_plain_byte(uint8_t c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F;
}

/* Plain characters in bytes, or -1 when there is something else in them. */
int krs_plain_chars(krs_str bytes);

/* Make the tree of sorted tokens order[n] (by bytes, single). The nodes are the caller's. Errors: KRS_ENOMEM,
 * KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_vocab_tree_new(const krs_grammar_vocab *v, const uint32_t *order,
                                           uint32_t n, krs_vocab_tree *out);
