/* tests/prop/test_prefix.c - pool, prefix index and state slots against a naive twin that keeps whole prefixes
 * as text and finds everything by looking at all of it. Sequences come with prompts over a tiny alphabet (so
 * that they meet), grow, save checkpoints and go, in random order. Always:
 *
 *   - a match is exactly the longest run of blocks whose every prefix the twin knows, cut at a checkpoint;
 *   - what is taken when nothing is free is what was given back longest ago, and has no child left;
 *   - nothing held, and nothing pinned, is ever evicted; nothing is freed twice or lost.
 *
 * The seed is printed; KRS_PROP_SEED runs other worlds. */
#include "kv/prefix.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORLDS 20
#else
#define WORLDS 300
#endif
#define WORLD_STEPS 4000
#define MAX_BLOCKS  40
#define MAX_SLOTS   6
#define MAX_SEQS    6
#define BT          3 /* tokens of a block: not a power of two */
#define MAX_TOKENS  30

typedef struct twin_block {
    uint32_t refs; /* of sequences; pins beside them */
    uint32_t n_pins;
    uint64_t released; /* when it became cached */
    uint32_t n_tokens; /* 0: content unknown */
    uint64_t salt;
    uint32_t tokens[MAX_TOKENS]; /* its own and all before */
    uint32_t slot;
} twin_block;

typedef struct sequence {
    bool is_there;
    uint64_t salt;
    uint32_t tokens[MAX_TOKENS];
    uint32_t n_tokens;
    uint32_t n_computed;
    krs_kv_table table;
    krs_kv_chain chain;
} sequence;

typedef struct world {
    uint64_t seed;
    uint64_t now;
    uint32_t n_blocks;
    krs_kv_pool *pool;
    krs_kv_state *states; /* or NULL */
    krs_kv_prefix *prefix;
    twin_block twin[MAX_BLOCKS];
    uint64_t slot_used[MAX_SLOTS]; /* when kept or read last */
    sequence seqs[MAX_SEQS];
    bool has_pin;
    sequence pin; /* what was pinned: salt, tokens, n_tokens */
    uint64_t n_found;
    uint64_t n_evicted;
    uint64_t n_checkpoint_cuts;
} world;

static uint64_t draw(world *w, uint64_t n)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 11) % n;
}

/* ---- the twin ---- */

static bool is_prefix(const twin_block *b, const sequence *s, uint32_t n_tokens)
{
    return b->n_tokens == n_tokens && b->salt == s->salt &&
           memcmp(b->tokens, s->tokens, n_tokens * sizeof(uint32_t)) == 0;
}

/* The block that stands for the first n_tokens of s, or MAX_BLOCKS. */
static uint32_t twin_find(const world *w, const sequence *s, uint32_t n_tokens)
{
    uint32_t b = 0;
    while (b < w->n_blocks && !is_prefix(&w->twin[b], s, n_tokens)) {
        b++;
    }
    return b < w->n_blocks ? b : MAX_BLOCKS;
}

static bool is_cached(const twin_block *b)
{
    return b->refs + b->n_pins == 0 && b->n_tokens > 0;
}

static uint32_t twin_oldest(const world *w)
{
    uint32_t oldest = MAX_BLOCKS;
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        if (is_cached(&w->twin[b]) &&
            (oldest == MAX_BLOCKS || w->twin[b].released < w->twin[oldest].released)) {
            oldest = b;
        }
    }
    return oldest;
}

static uint32_t n_plain_free(const world *w)
{
    uint32_t n = 0;
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        n += w->twin[b].refs + w->twin[b].n_pins == 0 && w->twin[b].n_tokens == 0;
    }
    return n;
}

static bool has_child(const world *w, uint32_t parent)
{
    const twin_block *p = &w->twin[parent];
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        const twin_block *c = &w->twin[b];
        if (c->n_tokens == p->n_tokens + BT && c->salt == p->salt &&
            memcmp(c->tokens, p->tokens, p->n_tokens * sizeof(uint32_t)) == 0) {
            return true;
        }
    }
    return false;
}

static void twin_release(world *w, uint32_t b)
{
    assert_true(w->twin[b].refs > 0);
    if (--w->twin[b].refs == 0 && w->twin[b].n_pins == 0) {
        w->twin[b].released = ++w->now;
    }
}

/* The pool took this block: was it its turn? */
static void twin_take(world *w, uint32_t b)
{
    twin_block *t = &w->twin[b];
    assert_int_equal(t->refs + t->n_pins, 0);
    if (t->n_tokens > 0) {
        assert_int_equal(n_plain_free(w), 0);
        assert_int_equal(b, twin_oldest(w));
        assert_false(has_child(w, b));
        w->n_evicted++;
    }
    *t = (twin_block){.refs = 1, .slot = KRS_KV_NO_STATE};
}

/* ---- what sequences do ---- */

static void write_tokens(world *w, sequence *s, uint32_t n)
{
    while (s->n_tokens < n) {
        s->tokens[s->n_tokens++] = (uint32_t)draw(w, 10) == 0;
    }
}

/* What a match must find: blocks whose every prefix is known, then only up to a checkpoint. */
static uint32_t expected_blocks(const world *w, const sequence *s, bool *is_cut)
{
    uint32_t n = 0;
    while (n < (s->n_tokens - 1) / BT && twin_find(w, s, (n + 1) * BT) != MAX_BLOCKS) {
        n++;
    }
    *is_cut = false;
    while (w->states && n > 0 && w->twin[twin_find(w, s, n * BT)].slot == KRS_KV_NO_STATE) {
        n--;
        *is_cut = true;
    }
    return n;
}

static void check_match(world *w, const sequence *s, const krs_kv_match *match, uint32_t n,
                        bool is_cut)
{
    assert_int_equal(match->n_blocks, n);
    assert_int_equal(s->table.n_blocks, n);
    assert_int_equal(s->chain.n_blocks, n);
    assert_int_equal(match->end == KRS_CACHE_END_CHECKPOINT, is_cut);
    if (!is_cut) {
        assert_int_equal(match->end == KRS_CACHE_END_FULL, n == (s->n_tokens - 1) / BT);
    }
    const bool has_state = w->states && n > 0;
    assert_int_equal(match->state != KRS_KV_NO_STATE, has_state);
    if (has_state) {
        assert_int_equal(match->state, w->twin[s->table.blocks[n - 1]].slot);
        krs_kv_state_drop_hold(w->states, match->state);
        w->slot_used[match->state] = ++w->now;
    }
    w->n_found += n;
    w->n_checkpoint_cuts += is_cut;
}

static void come(world *w, sequence *s)
{
    s->is_there = true;
    s->salt = draw(w, 2);
    s->n_tokens = 0;
    write_tokens(w, s, 1 + (uint32_t)draw(w, MAX_TOKENS));
    assert_int_equal(krs_kv_table_init(&s->table, MAX_TOKENS / BT, NULL), KRS_OK);
    s->chain = krs_kv_prefix_root(w->prefix, s->salt);
    bool is_cut;
    const uint32_t n = expected_blocks(w, s, &is_cut);
    const krs_kv_match match =
        krs_kv_prefix_match(w->prefix, s->tokens, s->n_tokens, &s->table, &s->chain);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(s->table.blocks[i], twin_find(w, s, (i + 1) * BT));
        w->twin[s->table.blocks[i]].refs++;
    }
    check_match(w, s, &match, n, is_cut);
    if (w->states) { /* what was found behind the cut has been touched, its end first */
        sequence probe = *s;
        uint32_t end = n;
        while (end < (s->n_tokens - 1) / BT && twin_find(w, &probe, (end + 1) * BT) != MAX_BLOCKS) {
            end++;
        }
        for (; end > n; end--) {
            twin_block *b = &w->twin[twin_find(w, &probe, end * BT)];
            b->released = b->refs + b->n_pins == 0 ? ++w->now : b->released;
        }
    }
    s->n_computed = n * BT;
}

static void compute(world *w, sequence *s)
{
    const uint32_t n = s->n_computed + (uint32_t)draw(w, s->n_tokens - s->n_computed + 1);
    const uint32_t before = s->table.n_blocks;
    const krs_status status = krs_kv_table_grow(&s->table, w->pool, krs_kv_blocks_for(n, BT));
    if (status != KRS_OK) {
        assert_int_equal(status, KRS_EAGAIN);
        return;
    }
    for (uint32_t i = before; i < s->table.n_blocks; i++) {
        twin_take(w, s->table.blocks[i]);
    }
    s->n_computed = n;
    for (uint32_t i = s->chain.n_blocks; i < n / BT; i++) {
        const uint32_t known = twin_find(w, s, (i + 1) * BT);
        if (known != MAX_BLOCKS) {
            w->twin[known].refs++;
            twin_release(w, s->table.blocks[i]);
            continue;
        }
        twin_block *b = &w->twin[s->table.blocks[i]];
        b->salt = s->salt;
        b->n_tokens = (i + 1) * BT;
        memcpy(b->tokens, s->tokens, b->n_tokens * sizeof(uint32_t));
    }
    krs_kv_prefix_extend(w->prefix, s->tokens, n, &s->table, &s->chain);
    for (uint32_t i = 0; i < n / BT; i++) {
        assert_int_equal(s->table.blocks[i], twin_find(w, s, (i + 1) * BT));
    }
}

static uint32_t twin_slot_oldest(const world *w)
{
    uint32_t oldest = KRS_KV_NO_STATE;
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        const uint32_t slot = w->twin[b].slot;
        if (w->twin[b].n_tokens > 0 && slot != KRS_KV_NO_STATE &&
            (oldest == KRS_KV_NO_STATE || w->slot_used[slot] < w->slot_used[oldest])) {
            oldest = slot;
        }
    }
    return oldest;
}

static void checkpoint(world *w, sequence *s)
{
    const bool is_full = krs_kv_state_n_kept(w->states) == krs_kv_state_n_slots(w->states);
    const uint32_t oldest = twin_slot_oldest(w);
    uint32_t slot;
    assert_int_equal(krs_kv_state_take(w->states, &slot), KRS_OK);
    if (is_full) {
        assert_int_equal(slot, oldest);
    }
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        w->twin[b].slot = w->twin[b].slot == slot ? KRS_KV_NO_STATE : w->twin[b].slot;
    }
    krs_kv_prefix_checkpoint(w->prefix, &s->chain, &s->table, slot);
    twin_block *b = &w->twin[s->table.blocks[s->chain.n_blocks - 1]];
    if (b->slot == KRS_KV_NO_STATE) {
        b->slot = slot;
        w->slot_used[slot] = ++w->now;
    }
}

static void go(world *w, sequence *s)
{
    for (uint32_t i = s->table.n_blocks; i-- > 0;) {
        twin_release(w, s->table.blocks[i]);
    }
    krs_kv_table_clear(&s->table, w->pool);
    krs_kv_table_deinit(&s->table);
    s->is_there = false;
}

static void toggle_pin(world *w, const sequence *s)
{
    uint32_t n = 0;
    if (!w->has_pin) {
        w->pin = *s;
        const krs_status status =
            krs_kv_prefix_pin(w->prefix, s->salt, s->tokens, s->n_computed, &n);
        if (status != KRS_OK) { /* room for all was made sure of */
            fail();
        }
        w->pin.n_tokens = n;
        w->has_pin = true;
    } else {
        krs_kv_prefix_unpin(w->prefix, w->pin.salt, w->pin.tokens, w->pin.n_tokens);
        w->has_pin = false;
        n = w->pin.n_tokens;
    }
    for (uint32_t end = n; end > 0; end -= BT) {
        twin_block *b = &w->twin[twin_find(w, &w->pin, end)];
        b->n_pins = w->has_pin;
        b->released = b->refs + b->n_pins == 0 ? ++w->now : b->released;
    }
}

static void act(world *w)
{
    sequence *s = &w->seqs[draw(w, MAX_SEQS)];
    const uint64_t what = draw(w, 8);
    if (!s->is_there) {
        come(w, s);
    } else if (what < 4) {
        compute(w, s);
    } else if (what == 4) {
        write_tokens(w, s, s->n_tokens + (s->n_tokens < MAX_TOKENS));
    } else if (what == 5 && w->states && s->chain.n_blocks > 0) {
        checkpoint(w, s);
    } else if (what == 6) {
        go(w, s);
    } else if (what == 7 && draw(w, 4) == 0) {
        toggle_pin(w, s);
    }
}

static void check(const world *w)
{
    uint32_t n_cached = 0;
    uint32_t n_entries = 0;
    for (uint32_t b = 0; b < w->n_blocks; b++) {
        const twin_block *t = &w->twin[b];
        assert_int_equal(krs_kv_pool_n_refs(w->pool, b), t->refs + t->n_pins);
        n_cached += is_cached(t);
        n_entries += t->n_tokens > 0;
    }
    assert_int_equal(krs_kv_pool_n_cached(w->pool), n_cached);
    assert_int_equal(krs_kv_pool_n_free(w->pool), n_cached + n_plain_free(w));
    assert_int_equal(krs_kv_prefix_stats_of(w->prefix).n_entries, n_entries);
    krs_kv_prefix_check(w->prefix);
}

static void run_world(uint64_t seed, uint64_t *sums)
{
    static world w;
    memset(&w, 0, sizeof(w));
    w.seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w.n_blocks = 10 + (uint32_t)draw(&w, MAX_BLOCKS - 10);
    for (uint32_t b = 0; b < w.n_blocks; b++) {
        w.twin[b].slot = KRS_KV_NO_STATE;
    }
    assert_int_equal(krs_kv_pool_new(w.n_blocks, NULL, &w.pool, NULL), KRS_OK);
    krs_kv_pool_set_max_pinned(w.pool, w.n_blocks);
    if (seed % 2 == 0) {
        const uint32_t n_slots = 1 + (uint32_t)draw(&w, MAX_SLOTS);
        assert_int_equal(krs_kv_state_new(n_slots, NULL, &w.states, NULL), KRS_OK);
    }
    const krs_kv_prefix_options options = {BT, 0, seed, w.states};
    assert_int_equal(krs_kv_prefix_new(w.pool, &options, NULL, &w.prefix, NULL), KRS_OK);
    for (uint32_t step = 0; step < WORLD_STEPS; step++) {
        act(&w);
        check(&w);
    }
    if (w.has_pin) {
        toggle_pin(&w, &w.seqs[0]);
    }
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        if (w.seqs[i].is_there) {
            go(&w, &w.seqs[i]);
        }
    }
    assert_int_equal(krs_kv_pool_n_free(w.pool), w.n_blocks);
    sums[0] += w.n_found;
    sums[1] += w.n_evicted;
    sums[2] += w.n_checkpoint_cuts;
    krs_kv_prefix_free(w.prefix);
    krs_kv_state_free(w.states);
    krs_kv_pool_free(w.pool);
}

static void the_books_agree_with_a_naive_twin(void **state)
{
    (void)state;
    const char *text = getenv("KRS_PROP_SEED");
    const uint64_t first = text ? strtoull(text, NULL, 10) : 1;
    uint64_t sums[3] = {0, 0, 0};
    printf("seeds from %llu\n", (unsigned long long)first);
    for (uint64_t seed = first; seed < first + WORLDS; seed++) {
        run_world(seed, sums);
    }
    printf("%llu blocks found, %llu evicted, %llu cuts at checkpoints\n",
           (unsigned long long)sums[0], (unsigned long long)sums[1], (unsigned long long)sums[2]);
    assert_true(sums[0] > 100 * WORLDS && sums[1] > 50 * WORLDS && sums[2] > 5 * WORLDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_books_agree_with_a_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
