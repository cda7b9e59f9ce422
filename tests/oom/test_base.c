/* Every constructor and growing operation of base/ and os/, with each allocation failing once. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/ring.h"
#include "os/queue.h"
#include "support/cmocka.h"
#include "support/oom.h"

static krs_status use_buf(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_buf buf;
    krs_buf_init(&buf, alloc, 1u << 20);
    krs_status status = KRS_OK;
    for (int i = 0; i < 200 && status == KRS_OK; i++) {
        const size_t before = buf.len;
        status = krs_buf_printf(&buf, "line %d\n", i);
        if (status != KRS_OK) {
            assert_int_equal(buf.len, before); /* a failed append changes nothing */
        }
    }
    krs_buf_deinit(&buf);
    return status;
}

static krs_status use_arena(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_arena arena;
    krs_arena_init(&arena, alloc, 256, 1u << 20);
    krs_status status = KRS_OK;
    for (size_t n = 1; n < 2000 && status == KRS_OK; n *= 2) {
        const unsigned char *bytes = krs_arena_bytes(&arena, n);
        status = bytes ? KRS_OK : KRS_ENOMEM;
        assert_true(!bytes || bytes[n - 1] == 0); /* zeroed, though the heap is dirty */
    }
    krs_arena_reset(&arena);
    if (status == KRS_OK) {
        status = krs_arena_copy(&arena, KRS_STR("text")).ptr ? KRS_OK : KRS_ENOMEM;
    }
    krs_arena_deinit(&arena);
    assert_int_equal(arena.total_bytes, 0);
    return status;
}

static krs_status use_ring(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_ring ring;
    const krs_status status = krs_ring_init(&ring, alloc, 5, sizeof(int));
    if (status == KRS_OK) {
        krs_ring_deinit(&ring);
    }
    return status;
}

static krs_status use_queue(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_os_queue *queue;
    const krs_status status = krs_os_queue_new(4, alloc, &queue);
    assert_true((status == KRS_OK) == (queue != NULL));
    krs_os_queue_free(queue);
    return status;
}

static void every_failed_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(use_buf, NULL) > 3);
    assert_true(krs_oom_sweep(use_arena, NULL) > 3);
    assert_int_equal(krs_oom_sweep(use_ring, NULL), 2);
    assert_int_equal(krs_oom_sweep(use_queue, NULL), 2);
}

static void failing_onward_fails_all_later_allocations(void **state)
{
    (void)state;
    krs_oom oom;
    krs_oom_init(&oom, 2);
    oom.is_failing_onward = true;
    void *first = krs_alloc_bytes(krs_oom_alloc(&oom), 8);
    assert_non_null(first);
    assert_null(krs_alloc_bytes(krs_oom_alloc(&oom), 8));
    assert_null(krs_alloc_array(krs_oom_alloc(&oom), 2, 8));
    assert_int_equal(atomic_load(&oom.n_live), 1);
    assert_int_equal(atomic_load(&oom.live_bytes), 8);
    krs_alloc_free(krs_oom_alloc(&oom), first);
    assert_int_equal(atomic_load(&oom.n_live), 0);
}

static void checked_forms_refuse_overflow_without_allocating(void **state)
{
    (void)state;
    krs_oom oom;
    krs_oom_init(&oom, 0);
    assert_null(krs_alloc_array(krs_oom_alloc(&oom), SIZE_MAX / 2, 3));
    assert_null(krs_alloc_resize(krs_oom_alloc(&oom), NULL, SIZE_MAX / 2, 3));
    assert_null(krs_alloc_text(krs_oom_alloc(&oom), "", SIZE_MAX));
    assert_int_equal(atomic_load(&oom.n_takes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_leaves_nothing_behind),
        cmocka_unit_test(failing_onward_fails_all_later_allocations),
        cmocka_unit_test(checked_forms_refuse_overflow_without_allocating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
