/* grammar/vocab_tree.c - a tree of sorted tokens, in depth-first order; see vocab_priv.h.
 *
 * Sorted tokens are already in that order: each adds the nodes below what it shares with the one before.
 * A node's subtree is closed, and its size known, when a token comes that does not share it. */
#include "grammar/vocab_priv.h"

/* Bytes that two tokens begin with in common. */
static size_t shared_bytes(krs_str x, krs_str y)
{
    size_t n = 0;
    while (n < x.len && n < y.len && x.ptr[n] == y.ptr[n]) {
        n++;
    }
    return n;
}

static size_t count_nodes(const krs_grammar_vocab *v, const uint32_t *order, uint32_t n)
{
    size_t n_nodes = 0;
    krs_str before = {NULL, 0};
    for (uint32_t i = 0; i < n; i++) {
        const krs_str bytes = krs_grammar_vocab_token(v, order[i]);
        n_nodes += bytes.len - shared_bytes(before, bytes);
        before = bytes;
    }
    return n_nodes;
}

/* The nodes on the way to the token before; depth 0 is a first byte. */
typedef struct open_nodes {
    krs_vocab_tree *tree;
    uint32_t at[KRS_GRAMMAR_MAX_TOKEN_BYTES];
    size_t n;
} open_nodes;

static void close_nodes(open_nodes *open, size_t depth)
{
    while (open->n > depth) {
        const uint32_t at = open->at[--open->n];
        open->tree->nodes[at] |= (uint64_t)(open->tree->n_nodes - at) << KRS_NODE_SKIP_SHIFT;
    }
}

static void add_token(const krs_grammar_vocab *v, open_nodes *open, uint32_t token, krs_str bytes)
{
    krs_vocab_tree *tree = open->tree;
    for (size_t depth = open->n; depth < bytes.len; depth++) {
        /* A spare number, another one each time: their words are many, so no bit waits for another. */
        const uint64_t spare = v->n_words * 64 + tree->n_nodes % KRS_SPARE_WORDS * 64;
        const uint64_t number = depth + 1 == bytes.len ? token : spare;
        tree->nodes[tree->n_nodes] = (uint64_t)(uint8_t)bytes.ptr[depth] |
                                     (uint64_t)depth << KRS_NODE_DEPTH_SHIFT |
                                     number << KRS_NODE_TOKEN_SHIFT;
        open->at[open->n++] = tree->n_nodes++;
    }
}

krs_status krs_vocab_tree_new(const krs_grammar_vocab *v, const uint32_t *order, uint32_t n,
                              krs_vocab_tree *out)
{
    const size_t n_nodes = count_nodes(v, order, n);
    if (n_nodes > KRS_TREE_MAX_NODES) {
        return KRS_ETOOLARGE;
    }
    out->nodes = krs_alloc_array(v->alloc, n_nodes + 1, sizeof(*out->nodes));
    if (!out->nodes) {
        return KRS_ENOMEM;
    }
    open_nodes open = {.tree = out};
    krs_str before = {NULL, 0};
    for (uint32_t i = 0; i < n; i++) {
        const krs_str bytes = krs_grammar_vocab_token(v, order[i]);
        close_nodes(&open, shared_bytes(before, bytes));
        add_token(v, &open, order[i], bytes);
        before = bytes;
    }
    close_nodes(&open, 0);
    return KRS_OK;
}
