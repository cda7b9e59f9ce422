/* os/pages: zeros, aligned, whole; interleaving asked for where the kernel lets us; too much, a failed
 * mapping and a failed record are KRS_ENOMEM and leave nothing. */
#define _GNU_SOURCE /* syscall */
#include "os/pages.h"

#include "base/fault.h"
#include "support/cmocka.h"
#include "support/oom.h"

#include <linux/mempolicy.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static const size_t sizes[] = {0,
                               1,
                               4096,
                               100000,
                               KRS_OS_HUGE_PAGE_BYTES - 1,
                               KRS_OS_HUGE_PAGE_BYTES,
                               3 * KRS_OS_HUGE_PAGE_BYTES + 17};

static void they_are_zero_aligned_and_wholly_ours(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int place = KRS_OS_PLACE_FIRST_TOUCH; place <= KRS_OS_PLACE_INTERLEAVED; place++) {
            krs_os_pages *pages;
            assert_int_equal(krs_os_pages_new(sizes[i], (krs_os_place)place, NULL, &pages, NULL),
                             KRS_OK);
            unsigned char *data = krs_os_pages_data(pages);
            const size_t alignment =
                sizes[i] >= KRS_OS_HUGE_PAGE_BYTES ? KRS_OS_HUGE_PAGE_BYTES : 4096;
            assert_int_equal((uintptr_t)data % alignment, 0);
            for (size_t at = 0; at < sizes[i]; at += 511) {
                assert_int_equal(data[at], 0);
                data[at] = 1;
            }
            if (sizes[i] > 0) {
                data[sizes[i] - 1] = 1;
            }
            krs_os_pages_free(pages);
        }
    }
    krs_os_pages_free(NULL);
}

static int mode_at(void *address)
{
    int mode = -1;
    const long code = syscall(SYS_get_mempolicy, &mode, NULL, 0, address, MPOL_F_ADDR);
    return code == 0 ? mode : -1;
}

static void interleaved_pages_have_that_policy_and_others_do_not(void **state)
{
    (void)state;
    krs_os_pages *near;
    krs_os_pages *dealt;
    assert_int_equal(krs_os_pages_new(1 << 20, KRS_OS_PLACE_FIRST_TOUCH, NULL, &near, NULL),
                     KRS_OK);
    assert_int_equal(krs_os_pages_new(1 << 20, KRS_OS_PLACE_INTERLEAVED, NULL, &dealt, NULL),
                     KRS_OK);
    const int near_mode = mode_at(krs_os_pages_data(near));
    const int dealt_mode = mode_at(krs_os_pages_data(dealt));
    krs_os_pages_free(near);
    krs_os_pages_free(dealt);
    if (near_mode < 0) {
        skip(); /* no NUMA in this kernel, or a container that forbids the question */
    }
    assert_int_equal(dealt_mode, MPOL_INTERLEAVE);
    assert_int_not_equal(near_mode, MPOL_INTERLEAVE);
}

static void more_than_there_is_fails_and_says_how_much(void **state)
{
    (void)state;
    static const size_t too_many[] = {SIZE_MAX, SIZE_MAX - KRS_OS_HUGE_PAGE_BYTES, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof(too_many) / sizeof(too_many[0]); i++) {
        krs_os_pages *pages;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(
            krs_os_pages_new(too_many[i], KRS_OS_PLACE_FIRST_TOUCH, NULL, &pages, &err),
            KRS_ENOMEM);
        assert_null(pages);
        assert_non_null(strstr(err.message, "pages: "));
    }
}

static void a_failed_mapping_is_an_error_that_leaks_nothing(void **state)
{
    (void)state;
    krs_oom oom;
    krs_oom_init(&oom, 0);
    krs_os_pages *pages;
    krs_fault_arm(KRS_FAULT_MEMORY_MAP, 1);
    assert_int_equal(
        krs_os_pages_new(100, KRS_OS_PLACE_INTERLEAVED, krs_oom_alloc(&oom), &pages, NULL),
        KRS_ENOMEM);
    assert_null(pages);
    assert_int_equal(atomic_load(&oom.n_live), 0);
}

static krs_status take_and_free(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_os_pages *pages;
    const krs_status status = krs_os_pages_new(100, KRS_OS_PLACE_FIRST_TOUCH, alloc, &pages, NULL);
    krs_os_pages_free(pages);
    return status;
}

static void sweeps_of_failing_allocations_meet_it_once(void **state)
{
    (void)state;
    assert_int_equal(krs_oom_sweep(take_and_free, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_zero_aligned_and_wholly_ours),
        cmocka_unit_test(interleaved_pages_have_that_policy_and_others_do_not),
        cmocka_unit_test(more_than_there_is_fails_and_says_how_much),
        cmocka_unit_test(a_failed_mapping_is_an_error_that_leaks_nothing),
        cmocka_unit_test(sweeps_of_failing_allocations_meet_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
