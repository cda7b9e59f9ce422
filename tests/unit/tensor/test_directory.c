/* Lookups in a directory of tensors. */
#include "tensor/directory.h"

#include "support/cmocka.h"

static void every_name_is_found_and_no_other(void **state)
{
    (void)state;
    const krs_tensor tensors[] = {
        {.name = KRS_STR("a")}, {.name = KRS_STR("a.b")}, {.name = KRS_STR("ab")},
        {.name = KRS_STR("b")}, {.name = KRS_STR("ba")},
    };
    for (uint32_t n = 0; n <= 5; n++) {
        const krs_tensor_dir dir = {.tensors = tensors, .n_tensors = n};
        for (uint32_t i = 0; i < 5; i++) {
            const krs_tensor *want = i < n ? &tensors[i] : NULL;
            assert_ptr_equal(krs_tensor_dir_find(&dir, tensors[i].name), want);
        }
        assert_null(krs_tensor_dir_find(&dir, KRS_STR("")));
        assert_null(krs_tensor_dir_find(&dir, KRS_STR("a.")));
        assert_null(krs_tensor_dir_find(&dir, KRS_STR("c")));
    }
}

static void a_prefix_comes_before_what_it_begins(void **state)
{
    (void)state;
    assert_true(krs_tensor_name_order(KRS_STR("a"), KRS_STR("a.b")) < 0);
    assert_true(krs_tensor_name_order(KRS_STR("a.b"), KRS_STR("a")) > 0);
    assert_true(krs_tensor_name_order(KRS_STR("\x7F"), KRS_STR("\x80")) < 0); /* bytes, unsigned */
    assert_int_equal(krs_tensor_name_order((krs_str){NULL, 0}, (krs_str){NULL, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_and_no_other),
        cmocka_unit_test(a_prefix_comes_before_what_it_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
