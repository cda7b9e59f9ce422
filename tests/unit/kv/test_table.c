/* tests/unit/kv/test_table.c - a sequence's list of blocks grows whole, stops at its ceiling, and gives
 * everything back. */
#include "kv/table.h"
#include "support/cmocka.h"

typedef struct fixture {
    krs_kv_pool *pool;
    krs_kv_table table;
} fixture;

static fixture fixture_of(uint32_t n_blocks, uint32_t max_blocks)
{
    fixture f;
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &f.pool, NULL), KRS_OK);
    assert_int_equal(krs_kv_table_init(&f.table, max_blocks, NULL), KRS_OK);
    return f;
}

static void fixture_end(fixture *f)
{
    krs_kv_table_clear(&f->table, f->pool);
    krs_kv_table_deinit(&f->table);
    krs_kv_pool_free(f->pool);
}

static void tokens_fill_blocks_from_the_first(void **state)
{
    (void)state;
    assert_int_equal(krs_kv_blocks_for(0, 16), 0);
    assert_int_equal(krs_kv_blocks_for(1, 16), 1);
    assert_int_equal(krs_kv_blocks_for(16, 16), 1);
    assert_int_equal(krs_kv_blocks_for(17, 16), 2);
    assert_int_equal(krs_kv_blocks_for(UINT32_MAX, 1), UINT32_MAX);
}

static void grow_keeps_what_it_has_and_takes_what_is_missing(void **state)
{
    (void)state;
    fixture f = fixture_of(6, 6);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 2), KRS_OK);
    const krs_kv_block first = f.table.blocks[0];
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 5), KRS_OK);
    assert_int_equal(f.table.blocks[0], first);
    assert_int_equal(f.table.n_blocks, 5);
    assert_int_equal(krs_kv_pool_n_free(f.pool), 1);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 3), KRS_OK);
    assert_int_equal(f.table.n_blocks, 5);
    fixture_end(&f);
}

static void grow_is_all_or_nothing(void **state)
{
    (void)state;
    fixture f = fixture_of(3, 8);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 2), KRS_OK);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 4), KRS_EAGAIN);
    assert_int_equal(f.table.n_blocks, 2);
    assert_int_equal(krs_kv_pool_n_free(f.pool), 1);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 9), KRS_ETOOLARGE);
    fixture_end(&f);
}

static void clear_gives_everything_back(void **state)
{
    (void)state;
    fixture f = fixture_of(4, 4);
    assert_int_equal(krs_kv_table_grow(&f.table, f.pool, 4), KRS_OK);
    krs_kv_table_clear(&f.table, f.pool);
    assert_int_equal(f.table.n_blocks, 0);
    assert_int_equal(krs_kv_pool_n_free(f.pool), 4);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_fill_blocks_from_the_first),
        cmocka_unit_test(grow_keeps_what_it_has_and_takes_what_is_missing),
        cmocka_unit_test(grow_is_all_or_nothing),
        cmocka_unit_test(clear_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
