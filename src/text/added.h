/* text/added.h - added tokens: texts that are one token wherever they stand.
 *
 * They are looked for before anything else: those marked "normalized" in the normalised text, the
 * others in the raw text. The search takes the longest token at the leftmost place (a byte trie), and
 * then applies the token's flags: single_word, lstrip, rstrip.
 *
 * Thread: immutable after krs_added_build.  Memory: from alloc.
 * Source: huggingface/tokenizers added_vocabulary.rs. */
#pragma once

#include "text/normalize.h"
#include "text/vocab.h"

typedef struct krs_added_token {
    uint32_t id;
    krs_str text; /* borrowed from the vocabulary of added tokens */
    bool is_special;
    bool is_normalized;
    bool has_lstrip; /* takes the white space before it */
    bool has_rstrip; /* and after */
    bool is_single_word;
} krs_added_token;

typedef struct krs_trie_node {
    uint32_t child;   /* first, 0 = none */
    uint32_t sibling; /* next, 0 = none */
    uint32_t token;   /* index + 1 of the token that ends here, 0 = none */
    unsigned char byte;
} krs_trie_node;

typedef struct krs_trie {
    krs_trie_node *nodes; /* nodes[0] is the root */
    uint32_t n;
    uint32_t cap;
    uint32_t roots[256]; /* the root's children by byte */
    bool is_empty;
} krs_trie;

typedef struct krs_added {
    const krs_alloc *alloc;
    krs_added_token *tokens; /* [n_tokens], owned */
    size_t n_tokens;
    krs_trie raw;
    krs_trie normalized;
} krs_added;

/* Build the tries over added->tokens. Errors: KRS_EINVAL (match limit), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_added_build(krs_added *added, const krs_normalizer *normalizer,
                                        krs_pattern_room *room);
void krs_added_deinit(krs_added *added);

/* One walk over a text: stretches of plain text and the tokens between them. */
typedef struct krs_added_walk {
    const krs_added *added;
    const krs_trie *trie;
    krs_str text; /* well-formed, borrowed */
    size_t at;    /* where the search goes on */
    size_t done;  /* up to here everything was handed out */
} krs_added_walk;

typedef struct krs_added_part {
    krs_str plain;                /* text before the token; may be empty */
    size_t offset;                /* of plain in the text */
    const krs_added_token *token; /* NULL: the text ended */
} krs_added_part;

krs_added_walk krs_added_walk_of(const krs_added *added, krs_str text, bool is_normalized);

/* The next part; false when the walk is over. */
bool krs_added_next(krs_added_walk *walk, krs_added_part *part);
