/* tests/unit/kv/test_prefix.c - equal prefixes share blocks, different ones never do; what is dropped stays
 * until somebody needs the room, ends of prefixes first; a miss says why. Blocks of 4 tokens. */
#include "kv/prefix.h"
#include "support/cmocka.h"

#include <string.h>

#define BT 4

typedef struct fixture {
    krs_kv_pool *pool;
    krs_kv_state *states;
    krs_kv_prefix *prefix;
} fixture;

typedef struct sequence {
    krs_kv_table table;
    krs_kv_chain chain;
} sequence;

static void fixture_init(fixture *f, uint32_t n_blocks, uint32_t n_states, uint32_t n_ghosts)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &f->pool, NULL), KRS_OK);
    if (n_states > 0) {
        assert_int_equal(krs_kv_state_new(n_states, NULL, &f->states, NULL), KRS_OK);
    }
    const krs_kv_prefix_options options = {BT, n_ghosts, 7, f->states};
    assert_int_equal(krs_kv_prefix_new(f->pool, &options, NULL, &f->prefix, NULL), KRS_OK);
}

static void fixture_end(fixture *f)
{
    krs_kv_prefix_check(f->prefix);
    assert_int_equal(krs_kv_pool_n_free(f->pool), krs_kv_pool_n_blocks(f->pool));
    krs_kv_prefix_free(f->prefix);
    krs_kv_state_free(f->states);
    krs_kv_pool_free(f->pool);
}

/* tokens[n] = text's bytes: readable prompts. */
static uint32_t ids(const char *text, uint32_t *tokens)
{
    const uint32_t n = (uint32_t)strlen(text);
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = (uint32_t)text[i];
    }
    return n;
}

static krs_kv_match begin(fixture *f, sequence *s, const char *text, uint64_t salt)
{
    uint32_t tokens[64];
    const uint32_t n = ids(text, tokens);
    assert_int_equal(krs_kv_table_init(&s->table, 16, NULL), KRS_OK);
    s->chain = krs_kv_prefix_root(f->prefix, salt);
    return krs_kv_prefix_match(f->prefix, tokens, n, &s->table, &s->chain);
}

static void compute(fixture *f, sequence *s, const char *text)
{
    uint32_t tokens[64];
    const uint32_t n = ids(text, tokens);
    assert_int_equal(krs_kv_table_grow(&s->table, f->pool, krs_kv_blocks_for(n, BT)), KRS_OK);
    krs_kv_prefix_extend(f->prefix, tokens, n, &s->table, &s->chain);
    krs_kv_prefix_check(f->prefix);
}

static void end(fixture *f, sequence *s)
{
    krs_kv_table_clear(&s->table, f->pool);
    krs_kv_table_deinit(&s->table);
    krs_kv_prefix_check(f->prefix);
}

static void run(fixture *f, const char *text, uint64_t salt)
{
    sequence s;
    (void)begin(f, &s, text, salt);
    compute(f, &s, text);
    end(f, &s);
}

static krs_kv_match probe(fixture *f, const char *text, uint64_t salt)
{
    sequence s;
    const krs_kv_match match = begin(f, &s, text, salt);
    if (match.state != KRS_KV_NO_STATE) {
        krs_kv_state_drop_hold(f->states, match.state);
    }
    end(f, &s);
    return match;
}

static void a_prompt_seen_before_is_found_but_for_its_last_token(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 16, 0, 0);
    assert_int_equal(probe(&f, "aaaabbbbcccc", 0).end, KRS_CACHE_END_UNSEEN);
    run(&f, "aaaabbbbcccc", 0);
    assert_int_equal(krs_kv_pool_n_cached(f.pool), 3);
    assert_int_equal(krs_kv_pool_n_free(f.pool), 16);
    const krs_kv_match same = probe(&f, "aaaabbbbcccc", 0);
    assert_int_equal(same.n_blocks, 2);
    assert_int_equal(same.end, KRS_CACHE_END_FULL);
    const krs_kv_match longer = probe(&f, "aaaabbbbccccd", 0);
    assert_int_equal(longer.n_blocks, 3);
    assert_int_equal(longer.end, KRS_CACHE_END_FULL);
    const krs_kv_match other = probe(&f, "aaaabbbXcccc", 0);
    assert_int_equal(other.n_blocks, 1);
    assert_int_equal(other.end, KRS_CACHE_END_UNSEEN);
    assert_int_equal(probe(&f, "abc", 0).end, KRS_CACHE_END_FULL); /* nothing to find */
    fixture_end(&f);
}

static void what_came_before_and_the_salt_are_part_of_a_block(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 16, 0, 0);
    run(&f, "aaaabbbbx", 0);
    assert_int_equal(probe(&f, "bbbbaaaax", 0).n_blocks, 0);
    assert_int_equal(probe(&f, "ccccbbbbx", 0).n_blocks, 0);
    assert_int_equal(probe(&f, "aaaabbbbx", 1).n_blocks, 0);
    assert_int_equal(probe(&f, "aaaabbbbx", 0).n_blocks, 2);
    fixture_end(&f);
}

static void running_sequences_share_blocks_and_duplicates_are_given_up(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 16, 0, 0);
    sequence one, two, three;
    (void)begin(&f, &one, "aaaabbbbc", 0);
    (void)begin(&f, &two, "aaaabbbbd", 0); /* at the same time: nothing to find yet */
    compute(&f, &one, "aaaabbbbc");
    compute(&f, &two, "aaaabbbbd");
    assert_int_equal(one.table.blocks[0], two.table.blocks[0]);
    assert_int_equal(one.table.blocks[1], two.table.blocks[1]);
    assert_int_not_equal(one.table.blocks[2], two.table.blocks[2]);
    assert_int_equal(krs_kv_pool_n_free(f.pool), 16 - 4);
    assert_int_equal(krs_kv_prefix_stats_of(f.prefix).n_swapped, 2);
    assert_int_equal(begin(&f, &three, "aaaabbbbe", 0).n_blocks, 2);
    assert_int_equal(krs_kv_pool_n_refs(f.pool, one.table.blocks[1]), 3);
    end(&f, &one);
    end(&f, &three);
    end(&f, &two);
    fixture_end(&f);
}

static void ends_make_room_first_and_a_miss_says_evicted(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 4, 0, 64);
    run(&f, "aaaabbbbcccc", 0); /* 3 cached, 1 free */
    krs_kv_block taken[4];
    assert_int_equal(krs_kv_pool_take(f.pool, 2, taken), KRS_OK);
    const krs_kv_match match = probe(&f, "aaaabbbbccccd", 0);
    assert_int_equal(match.n_blocks, 2); /* "cccc" went, the beginning stayed */
    assert_int_equal(match.end, KRS_CACHE_END_EVICTED);
    assert_int_equal(krs_kv_pool_take(f.pool, 3, taken + 2), KRS_EAGAIN);
    krs_kv_pool_release(f.pool, taken[0]);
    krs_kv_pool_release(f.pool, taken[1]);
    run(&f, "aaaabbbbcccc", 0); /* it lives again */
    assert_int_equal(probe(&f, "aaaabbbbccccd", 0).end, KRS_CACHE_END_FULL);
    fixture_end(&f);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 3, 0, 0);
    run(&f, "aaaa", 0);
    run(&f, "bbbb", 0);
    run(&f, "cccc", 0);
    (void)probe(&f, "aaaax", 0); /* used again */
    krs_kv_block taken;
    assert_int_equal(krs_kv_pool_take(f.pool, 1, &taken), KRS_OK);
    assert_int_equal(probe(&f, "bbbbx", 0).n_blocks, 0);
    assert_int_equal(probe(&f, "aaaax", 0).n_blocks, 1);
    assert_int_equal(probe(&f, "ccccx", 0).n_blocks, 1);
    krs_kv_pool_release(f.pool, taken);
    fixture_end(&f);
}

static void pinned_blocks_are_never_evicted(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 6, 0, 0);
    uint32_t tokens[16];
    const uint32_t n = ids("aaaabbbbcccc", tokens);
    uint32_t n_pinned = 0;
    run(&f, "aaaabbbbcccc", 0);
    krs_kv_pool_set_max_pinned(f.pool, 2);
    assert_int_equal(krs_kv_prefix_pin(f.prefix, 0, tokens, n, &n_pinned), KRS_EBUSY);
    assert_int_equal(krs_kv_pool_n_pinned(f.pool), 0);
    assert_int_equal(krs_kv_prefix_pin(f.prefix, 0, tokens, 8, &n_pinned), KRS_OK);
    assert_int_equal(n_pinned, 8);
    assert_int_equal(krs_kv_pool_n_pinned(f.pool), 2);
    krs_kv_block taken[4];
    assert_int_equal(krs_kv_pool_take(f.pool, 4, taken), KRS_OK);
    assert_int_equal(krs_kv_pool_take(f.pool, 1, taken), KRS_EAGAIN);
    assert_int_equal(probe(&f, "aaaabbbbccccd", 0).n_blocks, 2);
    for (int i = 0; i < 4; i++) {
        krs_kv_pool_release(f.pool, taken[i]);
    }
    krs_kv_prefix_unpin(f.prefix, 0, tokens, n_pinned);
    assert_int_equal(krs_kv_pool_n_pinned(f.pool), 0);
    fixture_end(&f);
}

/* A pin that fails half way has touched the end of the run: its beginning must still go later. */
static void a_failed_pin_leaves_ends_before_beginnings(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 3, 0, 0);
    uint32_t tokens[16];
    const uint32_t n = ids("aaaabbbbcccc", tokens);
    run(&f, "aaaabbbbcccc", 0);
    krs_kv_pool_set_max_pinned(f.pool, 1);
    uint32_t n_pinned = 0;
    assert_int_equal(krs_kv_prefix_pin(f.prefix, 0, tokens, n, &n_pinned), KRS_EBUSY);
    krs_kv_block taken[3];
    assert_int_equal(krs_kv_pool_take(f.pool, 1, taken), KRS_OK);
    assert_int_equal(probe(&f, "aaaabbbbc", 0).n_blocks, 2);
    krs_kv_pool_release(f.pool, taken[0]);
    fixture_end(&f);
}

static void checkpoint_after(fixture *f, sequence *s)
{
    uint32_t slot;
    assert_int_equal(krs_kv_state_take(f->states, &slot), KRS_OK);
    krs_kv_prefix_checkpoint(f->prefix, &s->chain, &s->table, slot);
}

static void with_state_a_match_ends_at_the_last_checkpoint(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 16, 2, 0);
    sequence s;
    (void)begin(&f, &s, "aaaabbbbccccdddd", 0);
    compute(&f, &s, "aaaabbbb");
    checkpoint_after(&f, &s);
    checkpoint_after(&f, &s); /* a second one is given back */
    compute(&f, &s, "aaaabbbbccccdddd");
    end(&f, &s);
    assert_int_equal(krs_kv_state_n_kept(f.states), 1);
    const krs_kv_match match = probe(&f, "aaaabbbbccccdddde", 0);
    assert_int_equal(match.n_blocks, 2);
    assert_int_equal(match.end, KRS_CACHE_END_CHECKPOINT);
    assert_int_not_equal(match.state, KRS_KV_NO_STATE);
    assert_int_equal(probe(&f, "aaaaXXXX", 0).n_blocks, 0);
    assert_int_equal(probe(&f, "aaaabbbbX", 0).end, KRS_CACHE_END_FULL);
    fixture_end(&f);
}

static void checkpoints_make_room_least_recently_used_first_unless_held(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 16, 2, 0);
    sequence a, b;
    (void)begin(&f, &a, "aaaa", 0);
    compute(&f, &a, "aaaa");
    checkpoint_after(&f, &a);
    (void)begin(&f, &b, "bbbb", 0);
    compute(&f, &b, "bbbb");
    checkpoint_after(&f, &b);
    sequence reader;
    const krs_kv_match match = begin(&f, &reader, "aaaax", 0); /* holds a's state */
    uint32_t slots[2];
    assert_int_equal(krs_kv_state_take(f.states, &slots[0]), KRS_OK); /* b's */
    assert_int_equal(krs_kv_state_take(f.states, &slots[1]), KRS_EAGAIN);
    assert_int_equal(probe(&f, "bbbbx", 0).end, KRS_CACHE_END_CHECKPOINT);
    krs_kv_state_drop_hold(f.states, match.state);
    assert_int_equal(krs_kv_state_take(f.states, &slots[1]), KRS_OK);
    assert_int_equal(slots[1], match.state);
    krs_kv_state_give(f.states, slots[0]);
    krs_kv_state_give(f.states, slots[1]);
    end(&f, &reader);
    end(&f, &b);
    end(&f, &a);
    fixture_end(&f);
}

static void an_evicted_block_frees_its_checkpoint(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 1, 1, 0);
    sequence s;
    (void)begin(&f, &s, "aaaa", 0);
    compute(&f, &s, "aaaa");
    checkpoint_after(&f, &s);
    end(&f, &s);
    krs_kv_block taken;
    assert_int_equal(krs_kv_pool_take(f.pool, 1, &taken), KRS_OK);
    assert_int_equal(krs_kv_state_n_kept(f.states), 0);
    krs_kv_pool_release(f.pool, taken);
    fixture_end(&f);
}

static void new_names_the_option_out_of_range(void **state)
{
    (void)state;
    krs_kv_pool *pool = NULL;
    krs_kv_prefix *prefix = NULL;
    krs_kv_state *states = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_kv_pool_new(4, NULL, &pool, NULL), KRS_OK);
    krs_kv_prefix_options options = {0};
    assert_int_equal(krs_kv_prefix_new(pool, &options, NULL, &prefix, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "blocks of 0 tokens"));
    assert_null(prefix);
    assert_int_equal(krs_kv_state_new(0, NULL, &states, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "0 slots"));
    krs_kv_prefix_free(NULL);
    krs_kv_state_free(NULL);
    krs_kv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_seen_before_is_found_but_for_its_last_token),
        cmocka_unit_test(what_came_before_and_the_salt_are_part_of_a_block),
        cmocka_unit_test(running_sequences_share_blocks_and_duplicates_are_given_up),
        cmocka_unit_test(ends_make_room_first_and_a_miss_says_evicted),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(pinned_blocks_are_never_evicted),
        cmocka_unit_test(a_failed_pin_leaves_ends_before_beginnings),
        cmocka_unit_test(with_state_a_match_ends_at_the_last_checkpoint),
        cmocka_unit_test(checkpoints_make_room_least_recently_used_first_unless_held),
        cmocka_unit_test(an_evicted_block_frees_its_checkpoint),
        cmocka_unit_test(new_names_the_option_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
