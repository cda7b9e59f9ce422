/* tests/unit/kv/test_pool.c - blocks are counted right: taken whole or not at all, freed with the last
 * reference, and a long random run agrees with a naive twin that keeps a plain array. */
#include "kv/pool.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

#define TWIN_BLOCKS 37
#define TWIN_STEPS  200000

static krs_kv_pool *pool_of(uint32_t n)
{
    krs_kv_pool *pool = NULL;
    assert_int_equal(krs_kv_pool_new(n, NULL, &pool, NULL), KRS_OK);
    return pool;
}

static void new_refuses_sizes_out_of_range(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_kv_pool *pool = (krs_kv_pool *)&err;
    assert_int_equal(krs_kv_pool_new(0, NULL, &pool, &err), KRS_EINVAL);
    assert_null(pool);
    assert_non_null(strstr(err.message, "0 blocks"));
    assert_int_equal(krs_kv_pool_new(KRS_KV_POOL_MAX_BLOCKS + 1, NULL, &pool, &err), KRS_EINVAL);
    krs_kv_pool_free(NULL);
}

static void take_is_all_or_nothing_when_short(void **state)
{
    (void)state;
    krs_kv_pool *pool = pool_of(4);
    krs_kv_block blocks[5] = {9, 9, 9, 9, 9};
    assert_int_equal(krs_kv_pool_take(pool, 5, blocks), KRS_EAGAIN);
    assert_int_equal(blocks[0], 9);
    assert_int_equal(krs_kv_pool_n_free(pool), 4);
    assert_int_equal(krs_kv_pool_take(pool, 4, blocks), KRS_OK);
    assert_int_equal(krs_kv_pool_n_free(pool), 0);
    assert_int_equal(krs_kv_pool_n_blocks(pool), 4);
    assert_int_equal(krs_kv_pool_take(pool, 0, blocks), KRS_OK);
    for (int i = 0; i < 4; i++) {
        krs_kv_pool_release(pool, blocks[i]);
    }
    krs_kv_pool_free(pool);
}

static void a_shared_block_is_free_after_its_last_release(void **state)
{
    (void)state;
    krs_kv_pool *pool = pool_of(2);
    krs_kv_block block;
    assert_int_equal(krs_kv_pool_take(pool, 1, &block), KRS_OK);
    krs_kv_pool_retain(pool, block);
    krs_kv_pool_release(pool, block);
    assert_int_equal(krs_kv_pool_n_free(pool), 1);
    krs_kv_pool_release(pool, block);
    assert_int_equal(krs_kv_pool_n_free(pool), 2);
    krs_kv_pool_free(pool);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t n_free_of(const uint32_t *refs)
{
    uint32_t n = 0;
    for (int i = 0; i < TWIN_BLOCKS; i++) {
        n += refs[i] == 0;
    }
    return n;
}

static void take_some(krs_kv_pool *pool, uint32_t *refs, uint32_t n)
{
    krs_kv_block blocks[8];
    const bool fits = n <= n_free_of(refs);
    assert_int_equal(krs_kv_pool_take(pool, n, blocks), fits ? KRS_OK : KRS_EAGAIN);
    for (uint32_t i = 0; fits && i < n; i++) {
        assert_in_range(blocks[i], 0, TWIN_BLOCKS - 1);
        assert_int_equal(refs[blocks[i]], 0);
        refs[blocks[i]] = 1;
    }
}

static void a_long_run_agrees_with_a_naive_twin(void **state)
{
    (void)state;
    uint64_t seed = 20240917;
    printf("seed %llu\n", (unsigned long long)seed);
    uint32_t refs[TWIN_BLOCKS] = {0};
    krs_kv_pool *pool = pool_of(TWIN_BLOCKS);
    for (int step = 0; step < TWIN_STEPS; step++) {
        const uint64_t r = next_random(&seed);
        const uint32_t block = (uint32_t)((r >> 8) % TWIN_BLOCKS);
        if (r % 3 == 0) {
            take_some(pool, refs, (uint32_t)((r >> 8) % 8));
        } else if (refs[block] > 0 && r % 3 == 1) {
            krs_kv_pool_retain(pool, block);
            refs[block]++;
        } else if (refs[block] > 0) {
            krs_kv_pool_release(pool, block);
            refs[block]--;
        }
        assert_int_equal(krs_kv_pool_n_free(pool), n_free_of(refs));
    }
    for (uint32_t b = 0; b < TWIN_BLOCKS; b++) {
        for (; refs[b] > 0; refs[b]--) {
            krs_kv_pool_release(pool, b);
        }
    }
    krs_kv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_refuses_sizes_out_of_range),
        cmocka_unit_test(take_is_all_or_nothing_when_short),
        cmocka_unit_test(a_shared_block_is_free_after_its_last_release),
        cmocka_unit_test(a_long_run_agrees_with_a_naive_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
