/* kv/prefix.c - see prefix.h.
 *
 * Entry b lives as long as block b is kept in the pool. Entries hang in buckets by hash; the tokens of all
 * lie in one array beside them, so walking a bucket touches them only when hashes are equal.
 *
 * Serial numbers: every registration gets the next one, and a child names its parent by it. Equal serials
 * mean equal content all the way to the root, by induction; a stale one equals nothing.
 *
 * Invariants: 1. an entry whose block is held has a parent whose block is held (see krs_kv_prefix_extend);
 *             2. so a block that the pool evicts has no children: they were given back before it. */
#include "kv/prefix.h"

#include "base/check.h"
#include "kv/ghost.h"
#include "kv/lru.h"

#include <string.h>

#define MAX_BLOCK_TOKENS 1024u

typedef struct prefix_entry {
    krs_kv_hash hash;
    uint64_t serial; /* 0: this block has no entry */
    uint64_t parent_serial;
    uint64_t salt;
    krs_kv_block parent; /* KRS_KV_NONE: the root */
    uint32_t next;       /* in its bucket, or KRS_KV_NONE */
    uint32_t n_children;
    uint32_t slot; /* checkpoint after its last token, or KRS_KV_NO_STATE */
} prefix_entry;

struct krs_kv_prefix {
    const krs_alloc *alloc;
    krs_kv_pool *pool;
    krs_kv_prefix_options options;
    prefix_entry *entries; /* [n_blocks] */
    uint32_t *tokens;      /* [n_blocks, block_tokens] */
    uint32_t *buckets;     /* [n_buckets], first entry or KRS_KV_NONE */
    uint32_t n_buckets;    /* a power of two */
    krs_kv_ghosts ghosts;
    uint64_t next_serial;
    krs_kv_prefix_stats stats;
};

krs_kv_hash krs_kv_prefix_hash(const krs_kv_prefix *prefix, krs_kv_hash parent,
                               const uint32_t *tokens)
{
    return krs_kv_hash_block(parent, tokens, prefix->options.block_tokens);
}

krs_kv_chain krs_kv_prefix_root(const krs_kv_prefix *prefix, uint64_t salt)
{
    const krs_kv_hash hash = krs_kv_hash_root(prefix->options.seed, salt);
    return (krs_kv_chain){.hash = hash, .salt = salt};
}

/* ---- entries ---- */

static uint32_t *bucket_of(const krs_kv_prefix *prefix, krs_kv_hash hash)
{
    return prefix->buckets + (hash.lo & (prefix->n_buckets - 1));
}

static uint32_t *tokens_of(const krs_kv_prefix *prefix, krs_kv_block block)
{
    return prefix->tokens + (size_t)block * prefix->options.block_tokens;
}

static size_t token_bytes(const krs_kv_prefix *prefix)
{
    return prefix->options.block_tokens * sizeof(*prefix->tokens);
}

/* The block behind `chain` with these tokens, or KRS_KV_NONE. Hashes only lead here: what counts is that
 * parent, salt and every token are the same. */
static krs_kv_block find(const krs_kv_prefix *prefix, const krs_kv_chain *chain, krs_kv_hash hash,
                         const uint32_t *tokens)
{
    krs_kv_block block = *bucket_of(prefix, hash);
    while (block != KRS_KV_NONE) {
        const prefix_entry *entry = &prefix->entries[block];
        if (krs_kv_hash_is_equal(entry->hash, hash) && entry->parent_serial == chain->serial &&
            entry->salt == chain->salt &&
            memcmp(tokens_of(prefix, block), tokens, token_bytes(prefix)) == 0) {
            return block;
        }
        block = entry->next;
    }
    return KRS_KV_NONE;
}

bool krs_kv_prefix_has(const krs_kv_prefix *prefix, krs_kv_hash hash)
{
    krs_kv_block block = *bucket_of(prefix, hash);
    while (block != KRS_KV_NONE && !krs_kv_hash_is_equal(prefix->entries[block].hash, hash)) {
        block = prefix->entries[block].next;
    }
    return block != KRS_KV_NONE;
}

static void insert(krs_kv_prefix *prefix, const krs_kv_chain *chain, krs_kv_hash hash,
                   const uint32_t *tokens, const krs_kv_table *table)
{
    const uint32_t i = chain->n_blocks;
    const krs_kv_block block = table->blocks[i];
    const krs_kv_block parent = i > 0 ? table->blocks[i - 1] : KRS_KV_NONE;
    prefix_entry *entry = &prefix->entries[block];
    KRS_CHECK(entry->serial == 0);
    uint32_t *bucket = bucket_of(prefix, hash);
    *entry = (prefix_entry){.hash = hash,
                            .serial = prefix->next_serial++,
                            .parent_serial = chain->serial,
                            .salt = chain->salt,
                            .parent = parent,
                            .next = *bucket,
                            .slot = KRS_KV_NO_STATE};
    *bucket = block;
    if (parent != KRS_KV_NONE) {
        KRS_CHECK(prefix->entries[parent].serial == chain->serial);
        prefix->entries[parent].n_children++;
    }
    memcpy(tokens_of(prefix, block), tokens, token_bytes(prefix));
    krs_kv_pool_keep(prefix->pool, block);
    krs_kv_ghosts_remove(&prefix->ghosts, hash);
    prefix->stats.n_entries++;
}

/* The pool's call: the block is about to hold something else. */
static void forget(void *ctx, krs_kv_block block)
{
    krs_kv_prefix *prefix = ctx;
    prefix_entry *entry = &prefix->entries[block];
    KRS_CHECK(entry->serial != 0 && entry->n_children == 0);
    uint32_t *link = bucket_of(prefix, entry->hash);
    while (*link != block) {
        link = &prefix->entries[*link].next;
    }
    *link = entry->next;
    if (entry->parent != KRS_KV_NONE) {
        prefix->entries[entry->parent].n_children--;
    }
    if (entry->slot != KRS_KV_NO_STATE) {
        krs_kv_state_drop(prefix->options.states, entry->slot);
    }
    krs_kv_ghosts_add(&prefix->ghosts, entry->hash);
    entry->serial = 0;
    prefix->stats.n_entries--;
    prefix->stats.n_evicted++;
}

/* The state pool's call: the block stays, its checkpoint goes. */
static void forget_state(void *ctx, krs_kv_block block)
{
    krs_kv_prefix *prefix = ctx;
    prefix->entries[block].slot = KRS_KV_NO_STATE;
}

/* ---- life ---- */

static krs_status take_room(krs_kv_prefix *prefix, const krs_alloc *alloc)
{
    const uint32_t n_blocks = krs_kv_pool_n_blocks(prefix->pool);
    const size_t n = n_blocks;
    prefix->n_buckets = 1;
    while (prefix->n_buckets < n_blocks) {
        prefix->n_buckets *= 2;
    }
    prefix->entries = krs_alloc_array(alloc, n, sizeof(*prefix->entries));
    prefix->tokens = krs_alloc_array(alloc, n, token_bytes(prefix));
    prefix->buckets = krs_alloc_array(alloc, prefix->n_buckets, sizeof(*prefix->buckets));
    const uint32_t n_ghosts = prefix->options.n_ghosts ? prefix->options.n_ghosts : n_blocks;
    if (!prefix->entries || !prefix->tokens || !prefix->buckets) {
        return KRS_ENOMEM;
    }
    memset(prefix->buckets, 0xFF, prefix->n_buckets * sizeof(*prefix->buckets)); /* KRS_KV_NONE */
    return krs_kv_ghosts_init(&prefix->ghosts, n_ghosts, alloc);
}

static void give_room(krs_kv_prefix *prefix)
{
    const krs_alloc *alloc = prefix->alloc;
    krs_kv_ghosts_deinit(&prefix->ghosts, alloc);
    krs_alloc_free(alloc, prefix->buckets);
    krs_alloc_free(alloc, prefix->tokens);
    krs_alloc_free(alloc, prefix->entries);
    krs_alloc_free(alloc, prefix);
}

krs_status krs_kv_prefix_new(krs_kv_pool *pool, const krs_kv_prefix_options *options,
                             const krs_alloc *alloc, krs_kv_prefix **out, krs_error *err)
{
    *out = NULL;
    if (options->block_tokens == 0 || options->block_tokens > MAX_BLOCK_TOKENS ||
        options->n_ghosts > KRS_KV_POOL_MAX_BLOCKS) {
        return krs_fail(err, KRS_EINVAL, "kv prefix: blocks of %u tokens, want 1 .. %u; %u ghosts",
                        options->block_tokens, MAX_BLOCK_TOKENS, options->n_ghosts);
    }
    krs_kv_prefix *prefix = krs_alloc_zero(alloc, sizeof(*prefix));
    if (!prefix) {
        return krs_fail(err, KRS_ENOMEM, "kv prefix: %zu bytes", sizeof(*prefix));
    }
    prefix->alloc = alloc;
    prefix->pool = pool;
    prefix->options = *options;
    prefix->next_serial = 1;
    const krs_status status = take_room(prefix, alloc);
    if (status != KRS_OK) {
        give_room(prefix);
        return krs_fail(err, status, "kv prefix: an index of %u blocks",
                        krs_kv_pool_n_blocks(pool));
    }
    krs_kv_pool_on_evict(pool, forget, prefix);
    if (options->states) {
        krs_kv_state_on_evict(options->states, forget_state, prefix);
    }
    *out = prefix;
    return KRS_OK;
}

void krs_kv_prefix_free(krs_kv_prefix *prefix)
{
    if (!prefix) {
        return;
    }
    krs_kv_pool_flush(prefix->pool);
    KRS_CHECK(prefix->stats.n_entries == 0);
    krs_kv_pool_on_evict(prefix->pool, NULL, NULL);
    if (prefix->options.states) {
        krs_kv_state_on_evict(prefix->options.states, NULL, NULL);
    }
    give_room(prefix);
}

/* ---- operations ---- */

static void step_chain(krs_kv_chain *chain, const krs_kv_prefix *prefix, krs_kv_block block)
{
    chain->hash = prefix->entries[block].hash;
    chain->serial = prefix->entries[block].serial;
    chain->n_blocks++;
}

/* A model with state goes on only from a checkpoint: give back what lies behind the last one. */
static void cut_at_checkpoint(krs_kv_prefix *prefix, krs_kv_table *table, krs_kv_chain *chain,
                              krs_kv_match *match)
{
    const krs_kv_chain root = krs_kv_prefix_root(prefix, chain->salt);
    while (table->n_blocks > 0 &&
           prefix->entries[table->blocks[table->n_blocks - 1]].slot == KRS_KV_NO_STATE) {
        krs_kv_pool_release(prefix->pool, table->blocks[--table->n_blocks]);
        match->end = KRS_CACHE_END_CHECKPOINT;
    }
    if (table->n_blocks == 0) {
        *chain = root;
        return;
    }
    const prefix_entry *last = &prefix->entries[table->blocks[table->n_blocks - 1]];
    *chain = (krs_kv_chain){last->hash, last->serial, chain->salt, table->n_blocks};
    krs_kv_state_hold(prefix->options.states, last->slot);
    match->state = last->slot;
}

krs_kv_match krs_kv_prefix_match(krs_kv_prefix *prefix, const uint32_t *tokens, uint32_t n_tokens,
                                 krs_kv_table *table, krs_kv_chain *chain)
{
    KRS_CHECK(table->n_blocks == 0 && chain->n_blocks == 0 && n_tokens > 0);
    const uint32_t block_tokens = prefix->options.block_tokens;
    const uint32_t max_blocks = (n_tokens - 1) / block_tokens;
    KRS_CHECK(max_blocks <= table->max_blocks);
    krs_kv_match match = {.state = KRS_KV_NO_STATE, .end = KRS_CACHE_END_FULL};
    while (chain->n_blocks < max_blocks) {
        const uint32_t *block_at = tokens + (size_t)chain->n_blocks * block_tokens;
        const krs_kv_hash hash = krs_kv_prefix_hash(prefix, chain->hash, block_at);
        const krs_kv_block block = find(prefix, chain, hash, block_at);
        if (block == KRS_KV_NONE) {
            const bool is_ghost = krs_kv_ghosts_has(&prefix->ghosts, hash);
            match.end = is_ghost ? KRS_CACHE_END_EVICTED : KRS_CACHE_END_UNSEEN;
            break;
        }
        krs_kv_pool_retain(prefix->pool, block);
        table->blocks[table->n_blocks++] = block;
        step_chain(chain, prefix, block);
    }
    match.n_seen = table->n_blocks;
    if (prefix->options.states) {
        cut_at_checkpoint(prefix, table, chain, &match);
    }
    match.n_blocks = table->n_blocks;
    return match;
}

void krs_kv_prefix_extend(krs_kv_prefix *prefix, const uint32_t *tokens, uint32_t n_computed,
                          krs_kv_table *table, krs_kv_chain *chain)
{
    const uint32_t block_tokens = prefix->options.block_tokens;
    const uint32_t n_full = n_computed / block_tokens;
    KRS_CHECK(n_full <= table->n_blocks);
    while (chain->n_blocks < n_full) {
        const uint32_t i = chain->n_blocks;
        const uint32_t *block_at = tokens + (size_t)i * block_tokens;
        const krs_kv_hash hash = krs_kv_prefix_hash(prefix, chain->hash, block_at);
        const krs_kv_block known = find(prefix, chain, hash, block_at);
        if (known == KRS_KV_NONE) {
            insert(prefix, chain, hash, block_at, table);
        } else if (known != table->blocks[i]) {
            /* Computed twice: hold the one that others will find, so that it outlives our next block. */
            krs_kv_pool_retain(prefix->pool, known);
            krs_kv_pool_release(prefix->pool, table->blocks[i]);
            table->blocks[i] = known;
            prefix->stats.n_swapped++;
        }
        step_chain(chain, prefix, table->blocks[i]);
    }
}

/* The last entry of the run of full blocks of tokens that is known, KRS_KV_NONE when not even the first. */
static krs_kv_block deepest(const krs_kv_prefix *prefix, uint64_t salt, const uint32_t *tokens,
                            uint32_t n_tokens)
{
    const uint32_t block_tokens = prefix->options.block_tokens;
    krs_kv_chain chain = krs_kv_prefix_root(prefix, salt);
    krs_kv_block last = KRS_KV_NONE;
    while ((uint64_t)(chain.n_blocks + 1) * block_tokens <= n_tokens) {
        const uint32_t *block_at = tokens + (size_t)chain.n_blocks * block_tokens;
        const krs_kv_hash hash = krs_kv_prefix_hash(prefix, chain.hash, block_at);
        const krs_kv_block block = find(prefix, &chain, hash, block_at);
        if (block == KRS_KV_NONE) {
            break;
        }
        step_chain(&chain, prefix, block);
        last = block;
    }
    return last;
}

/* Unpin from `first` up to, not including, `end`. */
static void unpin_up(krs_kv_prefix *prefix, krs_kv_block first, krs_kv_block end)
{
    for (krs_kv_block block = first; block != end; block = prefix->entries[block].parent) {
        krs_kv_pool_unpin(prefix->pool, block);
    }
}

/* Make the run that ends in this cached or held block the most recently used, its end first. */
static void touch_up(krs_kv_prefix *prefix, krs_kv_block block)
{
    for (; block != KRS_KV_NONE; block = prefix->entries[block].parent) {
        krs_kv_pool_retain(prefix->pool, block);
        krs_kv_pool_release(prefix->pool, block);
    }
}

krs_status krs_kv_prefix_pin(krs_kv_prefix *prefix, uint64_t salt, const uint32_t *tokens,
                             uint32_t n_tokens, uint32_t *n_pinned)
{
    const krs_kv_block last = deepest(prefix, salt, tokens, n_tokens);
    uint32_t n = 0;
    for (krs_kv_block block = last; block != KRS_KV_NONE; block = prefix->entries[block].parent) {
        const krs_status status = krs_kv_pool_pin(prefix->pool, block);
        if (status != KRS_OK) {
            unpin_up(prefix, last, block);
            touch_up(prefix, block); /* parents stay behind their children in the pool's list */
            return status;
        }
        n++;
    }
    *n_pinned = n * prefix->options.block_tokens;
    return KRS_OK;
}

void krs_kv_prefix_unpin(krs_kv_prefix *prefix, uint64_t salt, const uint32_t *tokens,
                         uint32_t n_pinned)
{
    unpin_up(prefix, deepest(prefix, salt, tokens, n_pinned), KRS_KV_NONE);
}

void krs_kv_prefix_checkpoint(krs_kv_prefix *prefix, const krs_kv_chain *chain,
                              const krs_kv_table *table, uint32_t slot)
{
    KRS_CHECK(prefix->options.states && chain->n_blocks > 0);
    const krs_kv_block block = table->blocks[chain->n_blocks - 1];
    prefix_entry *entry = &prefix->entries[block];
    KRS_CHECK(entry->serial == chain->serial);
    if (entry->slot != KRS_KV_NO_STATE) {
        krs_kv_state_give(prefix->options.states, slot);
        return;
    }
    entry->slot = slot;
    krs_kv_state_keep(prefix->options.states, slot, block);
}

bool krs_kv_prefix_has_checkpoint(const krs_kv_prefix *prefix, const krs_kv_chain *chain,
                                  const krs_kv_table *table)
{
    const prefix_entry *entry = &prefix->entries[table->blocks[chain->n_blocks - 1]];
    KRS_CHECK(chain->n_blocks > 0 && entry->serial == chain->serial);
    return entry->slot != KRS_KV_NO_STATE;
}

bool krs_kv_prefix_take_checkpoint(krs_kv_prefix *prefix, krs_kv_block block, uint32_t slot)
{
    prefix_entry *entry = &prefix->entries[block];
    if (entry->serial == 0 || entry->slot != slot ||
        !krs_kv_state_reclaim(prefix->options.states, slot)) {
        return false;
    }
    entry->slot = KRS_KV_NO_STATE;
    return true;
}

krs_kv_prefix_stats krs_kv_prefix_stats_of(const krs_kv_prefix *prefix)
{
    return prefix->stats;
}

/* Entry b against its bucket, its parent and the pool; returns whether there is one. */
static bool check_entry(const krs_kv_prefix *prefix, krs_kv_block b)
{
    const prefix_entry *entry = &prefix->entries[b];
    if (entry->serial == 0) {
        return false;
    }
    const krs_kv_chain parent = {.serial = entry->parent_serial, .salt = entry->salt};
    KRS_CHECK(find(prefix, &parent, entry->hash, tokens_of(prefix, b)) == b);
    if (entry->parent != KRS_KV_NONE) {
        KRS_CHECK(prefix->entries[entry->parent].serial == entry->parent_serial);
        KRS_CHECK(prefix->entries[entry->parent].n_children > 0);
        KRS_CHECK(krs_kv_pool_n_refs(prefix->pool, entry->parent) >=
                  (krs_kv_pool_n_refs(prefix->pool, b) > 0));
    }
    return true;
}

void krs_kv_prefix_check(const krs_kv_prefix *prefix)
{
    uint32_t n_entries = 0;
    uint32_t n_cached = 0;
    uint32_t n_children = 0;
    uint32_t n_with_parent = 0;
    for (krs_kv_block b = 0; b < krs_kv_pool_n_blocks(prefix->pool); b++) {
        if (check_entry(prefix, b)) {
            n_entries++;
            n_cached += krs_kv_pool_n_refs(prefix->pool, b) == 0;
            n_children += prefix->entries[b].n_children;
            n_with_parent += prefix->entries[b].parent != KRS_KV_NONE;
        }
    }
    KRS_CHECK(n_entries == prefix->stats.n_entries && n_children == n_with_parent);
    KRS_CHECK(n_cached == krs_kv_pool_n_cached(prefix->pool));
}
