/* grammar/mask.c - the mask of a state: one walk over the vocabulary's tree, and where it is kept.
 *
 * The walk is the inner loop of constrained decoding: a load of a node, a load of a row's entry, a bit. It
 * sets a bit for every node, also for those that end no token (they have bits of their own past the mask),
 * because asking would cost more than setting.
 *
 * Kept masks are in slots, found through the state. A slot that some matcher shows is not reused; of the
 * others, a clock chooses one that was not shown lately. */
#include "grammar/automaton_priv.h"

#include <string.h>

static krs_mask_slot *slot_at(const krs_automaton *a, uint32_t slot)
{
    return (krs_mask_slot *)a->slots.items + slot;
}

/* A walk of a tree, setting bits. */
typedef struct walker {
    const uint64_t *node;
    const uint64_t *end;
    uint64_t *words;
    uint32_t rows_at[KRS_GRAMMAR_MAX_TOKEN_BYTES + 2]; /* by depth, 256 times states */
} walker;

static void set_bit(const walker *w, uint64_t node)
{
    const uint32_t token = (uint32_t)(node >> KRS_NODE_TOKEN_SHIFT) & KRS_NODE_TOKEN_MASK;
    w->words[token / 64] |= 1ull << token % 64;
}

static uint32_t depth_of(uint64_t node)
{
    return (uint32_t)(node >> KRS_NODE_DEPTH_SHIFT) & 0xFF;
}

/* Where the node's byte leads from there, as entries of rows say it; DEAD after a failure. */
static uint32_t look_up(krs_automaton *a, uint32_t row_at, uint64_t node)
{
    return krs_state_next(a, row_at / KRS_ROW_BYTES, (uint8_t)node) * KRS_ROW_BYTES;
}

/* As far as all states are in the block of rows. */
static void walk_block(krs_automaton *a, walker *w)
{
    const uint32_t *block = a->rows.block;
    const uint64_t *node = w->node;
    while (node < w->end) {
        const uint64_t v = *node;
        const uint32_t depth = depth_of(v);
        uint32_t next = block[w->rows_at[depth] + (uint8_t)v];
        if (next == KRS_ROW_UNKNOWN) {
            next = look_up(a, w->rows_at[depth], v);
            block = a->rows.block; /* it may have moved */
            if (krs_automaton_status(a) != KRS_OK) {
                node = w->end;
                break;
            }
        }
        if (next == KRS_STATE_DEAD) {
            node += v >> KRS_NODE_SKIP_SHIFT;
            continue;
        }
        if (next >= KRS_ROWS_IN_BLOCK * KRS_ROW_BYTES) {
            break;
        }
        w->rows_at[depth + 1] = next;
        set_bit(w, v);
        node++;
    }
    w->node = node;
}

/* Wherever they are: there are chunks, so nothing moves. */
static void walk_chunks(krs_automaton *a, walker *w)
{
    const uint32_t *rows[KRS_GRAMMAR_MAX_TOKEN_BYTES + 2];
    const uint64_t *node = w->node;
    for (uint32_t i = 0; node < w->end && i <= depth_of(*node); i++) {
        rows[i] = krs_row_at(a, w->rows_at[i] / KRS_ROW_BYTES);
    }
    while (node < w->end) {
        const uint64_t v = *node;
        const uint32_t depth = depth_of(v);
        uint32_t next = rows[depth][(uint8_t)v];
        if (next == KRS_ROW_UNKNOWN) {
            next = look_up(a, w->rows_at[depth], v);
            if (krs_automaton_status(a) != KRS_OK) {
                return;
            }
        }
        if (next == KRS_STATE_DEAD) {
            node += v >> KRS_NODE_SKIP_SHIFT;
            continue;
        }
        w->rows_at[depth + 1] = next;
        rows[depth + 1] = krs_row_at(a, next / KRS_ROW_BYTES);
        set_bit(w, v);
        node++;
    }
}

static void walk(krs_automaton *a, uint32_t state, const krs_vocab_tree *tree, uint64_t *words)
{
    walker w = {.node = tree->nodes,
                .end = tree->nodes + tree->n_nodes,
                .words = words,
                .rows_at = {state * KRS_ROW_BYTES}};
    if (state < KRS_ROWS_IN_BLOCK) {
        walk_block(a, &w);
    }
    walk_chunks(a, &w);
}

/* The mask of a state by a walk over all that is in no slice. */
static void walk_all(krs_automaton *a, uint32_t state)
{
    const krs_grammar_vocab *v = a->vocab;
    uint64_t *words = a->scratch_mask;
    const krs_plain plain = krs_state_plain(a, state);
    int tree = 0;
    int n_chars = plain.n_chars;
    if (plain.is_all) {
        tree = KRS_N_TREES - 1; /* all that is plain is in the slice, or not allowed */
    } else {
        while (tree + 1 < KRS_N_TREES && krs_tree_chars(tree + 1) <= n_chars) {
            tree++;
        }
        n_chars = krs_tree_chars(tree);
    }
    if (n_chars > 0) {
        memcpy(words, krs_vocab_slice(v, n_chars), v->n_words * sizeof(*words));
    } else {
        memset(words, 0, v->n_words * sizeof(*words));
    }
    walk(a, state, &v->trees[tree], words);
}

/* The mask of a state into the scratch mask. */
static void fill(krs_automaton *a, uint32_t state)
{
    const krs_grammar_vocab *v = a->vocab;
    uint64_t *words = a->scratch_mask;
    const uint32_t near = krs_state_near(a, state, KRS_LENGTHY_BYTES);
    if (near == state) {
        walk_all(a, state);
    } else {
        /* Only lengthy tokens can tell the two apart. */
        const uint32_t slot = krs_mask_of(a, near);
        for (size_t i = 0; i < v->n_words && slot != KRS_NO_ID; i++) {
            words[i] = slot_at(a, slot)->words[i] & ~v->lengthy[i];
        }
        walk(a, state, &v->lengthy_tree, words);
    }
    for (uint32_t i = 0; i < v->n_twins; i++) {
        const krs_vocab_twin twin = v->twins[i];
        words[twin.token / 64] |= (words[twin.first / 64] >> twin.first % 64 & 1)
                                  << twin.token % 64;
    }
    if (krs_state_at(a, state)->is_accepting) {
        for (size_t i = 0; i < v->n_words; i++) {
            words[i] |= v->ends[i];
        }
    }
}

/* A slot nobody shows, chosen by the clock, or KRS_NO_ID. */
static uint32_t reusable(krs_automaton *a)
{
    for (uint32_t i = 0; i < 2 * a->slots.n; i++) {
        a->hand = (a->hand + 1) % a->slots.n;
        krs_mask_slot *slot = slot_at(a, a->hand);
        if (slot->n_refs == 0 && !slot->is_recent) {
            return a->hand;
        }
        slot->is_recent = false;
    }
    return KRS_NO_ID;
}

static uint32_t new_slot(krs_automaton *a)
{
    const size_t n_bytes = a->vocab->n_words * sizeof(uint64_t);
    krs_mask_slot slot = {.state = KRS_NO_ID};
    uint32_t at = KRS_NO_ID;
    krs_status status = krs_pool_reserve(&a->slots, 1);
    if (status == KRS_OK) {
        slot.words = krs_alloc_bytes(a->alloc, n_bytes);
        status = slot.words ? krs_pool_push(&a->slots, &slot, 1, &at) : KRS_ENOMEM;
    }
    if (status != KRS_OK) {
        krs_automaton_failed(a, status);
        return KRS_NO_ID;
    }
    a->mask_ledger.n_bytes += n_bytes;
    return at;
}

static uint32_t take_slot(krs_automaton *a)
{
    const size_t n_bytes = a->vocab->n_words * sizeof(uint64_t);
    uint32_t slot = KRS_NO_ID;
    if (a->mask_ledger.n_bytes + n_bytes > a->max_mask_bytes) {
        slot = reusable(a);
    }
    if (slot == KRS_NO_ID) {
        return new_slot(a);
    }
    if (slot_at(a, slot)->state != KRS_NO_ID) {
        krs_state_at(a, slot_at(a, slot)->state)->mask = KRS_NO_ID;
        slot_at(a, slot)->state = KRS_NO_ID;
    }
    return slot;
}

uint32_t krs_mask_of(krs_automaton *a, uint32_t state)
{
    if (krs_state_at(a, state)->mask != KRS_NO_ID) {
        return krs_state_at(a, state)->mask;
    }
    const uint32_t near = krs_state_near(a, state, a->vocab->longest);
    if (near != state) {
        return krs_automaton_status(a) == KRS_OK ? krs_mask_of(a, near) : KRS_NO_ID;
    }
    fill(a, state);
    const uint32_t slot = krs_automaton_status(a) == KRS_OK ? take_slot(a) : KRS_NO_ID;
    if (slot != KRS_NO_ID) {
        memcpy(slot_at(a, slot)->words, a->scratch_mask, a->vocab->n_words * sizeof(uint64_t));
        slot_at(a, slot)->state = state;
        krs_state_at(a, state)->mask = slot;
        a->made_masks++;
    }
    return slot;
}

void krs_masks_free(krs_automaton *a)
{
    for (uint32_t i = 0; i < a->slots.n; i++) {
        krs_alloc_free(a->alloc, slot_at(a, i)->words);
    }
    krs_pool_deinit(&a->slots);
}
