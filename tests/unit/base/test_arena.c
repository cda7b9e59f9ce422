/* base/arena: zeroed, aligned, bounded, and poisoned after reset where ASan can tell. */
#include "base/arena.h"
#include "support/cmocka.h"
#include "support/oom.h"

#include <stdalign.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define IS_POISONED(ptr) __asan_address_is_poisoned(ptr)
#define HAS_ASAN         true
#else
#define IS_POISONED(ptr) ((void)(ptr), 0)
#define HAS_ASAN         false
#endif

static void bytes_are_zero_and_aligned(void **state)
{
    (void)state;
    krs_arena arena;
    krs_arena_init(&arena, NULL, 256, 1u << 16);
    for (size_t n = 0; n < 700; n += 13) {
        unsigned char *bytes = krs_arena_bytes(&arena, n);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(bytes[i], 0);
        }
        memset(bytes, 0xFF, n);
    }
    krs_arena_deinit(&arena);
    assert_null(arena.head);
}

static void the_ceiling_bounds_all_chunks_together(void **state)
{
    (void)state;
    krs_arena arena;
    krs_arena_init(&arena, NULL, 128, 512);
    assert_non_null(krs_arena_bytes(&arena, 300));
    assert_null(krs_arena_bytes(&arena, 300));
    assert_null(krs_arena_bytes(&arena, 513));
    assert_null(krs_arena_bytes(&arena, SIZE_MAX));
    assert_null(krs_arena_array(&arena, SIZE_MAX / 2, 4));
    assert_null(krs_arena_copy(&arena, (krs_str){"x", SIZE_MAX}).ptr);
    assert_non_null(krs_arena_bytes(&arena, 100)); /* refusals took nothing */
    assert_true(arena.total_bytes <= 512);
    krs_arena_deinit(&arena);
}

static void a_copy_ends_in_nul(void **state)
{
    (void)state;
    krs_arena arena;
    krs_arena_init(&arena, NULL, 64, 1024);
    const krs_str copy = krs_arena_copy(&arena, KRS_STR("abc"));
    assert_string_equal(copy.ptr, "abc");
    assert_int_equal(copy.len, 3);
    const krs_str empty = krs_arena_copy(&arena, (krs_str){NULL, 0});
    assert_string_equal(empty.ptr, "");
    krs_arena_deinit(&arena);
}

static void a_reused_arena_stops_allocating(void **state)
{
    (void)state;
    krs_oom oom;
    krs_oom_init(&oom, 0);
    krs_arena arena;
    krs_arena_init(&arena, krs_oom_alloc(&oom), 1024, 1u << 16);
    for (int round = 0; round < 100; round++) {
        const unsigned char *bytes = krs_arena_bytes(&arena, 900);
        assert_non_null(bytes);
        assert_int_equal(bytes[899], 0);
        krs_arena_reset(&arena);
    }
    assert_int_equal(atomic_load(&oom.n_takes), 1);
    /* A step that needed more gives the surplus back at its reset. */
    assert_non_null(krs_arena_bytes(&arena, 900));
    assert_non_null(krs_arena_bytes(&arena, 5000));
    krs_arena_reset(&arena);
    assert_int_equal(atomic_load(&oom.n_live), 1);
    krs_arena_deinit(&arena);
    assert_int_equal(atomic_load(&oom.n_live), 0);
}

static void memory_of_a_lifetime_that_ended_is_poisoned(void **state)
{
    (void)state;
    krs_arena arena;
    krs_arena_init(&arena, NULL, 256, 1024);
    const char *bytes = krs_arena_bytes(&arena, 10);
    assert_non_null(bytes);
    assert_false(IS_POISONED(bytes + 9));
    assert_int_equal(IS_POISONED(bytes + 10) != 0, HAS_ASAN); /* past what was asked for */
    krs_arena_reset(&arena);
    assert_int_equal(IS_POISONED(bytes) != 0, HAS_ASAN);
    krs_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_zero_and_aligned),
        cmocka_unit_test(the_ceiling_bounds_all_chunks_together),
        cmocka_unit_test(a_copy_ends_in_nul),
        cmocka_unit_test(a_reused_arena_stops_allocating),
        cmocka_unit_test(memory_of_a_lifetime_that_ended_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
