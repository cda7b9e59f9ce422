/* tests/unit/format/test_safetensors.c - files that tell the truth open; every way to lie is refused
 * with the tensor and the reason. */
#include "format/safetensors.h"
#include "support/cmocka.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES 4096

/* A file with this header and n_data bytes after it, in `out`; returns its size. */
static size_t make_file(const char *header, size_t n_data, unsigned char *out)
{
    const size_t n = strlen(header);
    assert_true(8 + n + n_data <= FILE_BYTES);
    for (size_t i = 0; i < 8; i++) {
        out[i] = (unsigned char)(n >> (8 * i));
    }
    for (size_t i = 0; i < n; i++) {
        out[8 + i] = (unsigned char)header[i];
    }
    for (size_t i = 0; i < n_data; i++) {
        out[8 + n + i] = (unsigned char)i;
    }
    return 8 + n + n_data;
}

static krs_status check(const char *header, size_t n_data, krs_error *err)
{
    unsigned char file[FILE_BYTES];
    *err = (krs_error)KRS_ERROR_INIT;
    const size_t n = make_file(header, n_data, file);
    /* Exact allocation, so that the sanitizer sees a byte read too far. */
    unsigned char *exact = malloc(n);
    assert_non_null(exact);
    memcpy(exact, file, n);
    const krs_status status = krs_safetensors_check(exact, n, err);
    free(exact);
    return status;
}

/* The header must be refused with this status, saying all of these. */
static void refuse(const char *header, size_t n_data, krs_status want, const char *who,
                   const char *why)
{
    krs_error err;
    const krs_status status = check(header, n_data, &err);
    if (status != want || !strstr(err.message, who) || !strstr(err.message, why)) {
        print_error("%s\n  gave %s: %s\n  want \"%s\" and \"%s\"\n", header,
                    krs_status_name(status), err.message, who, why);
        fail();
    }
    assert_int_equal(err.status, want);
}

static void accept(const char *header, size_t n_data)
{
    krs_error err;
    const krs_status status = check(header, n_data, &err);
    if (status != KRS_OK) {
        print_error("%s\n  gave %s: %s\n", header, krs_status_name(status), err.message);
        fail();
    }
}

#define T(dtype, shape, begin, end)                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static void ordinary_files_are_accepted(void **state)
{
    (void)state;
    accept("{}", 0);
    accept("{\"a\":" T("F32", "2,3", "0", "24") "}", 24);
    accept("{\"b\":" T("BF16", "2", "4", "8") ",\"a\":" T("F32", "1", "0", "4") "}   ", 8);
    accept("{\"__metadata__\":{\"format\":\"pt\",\"n\\u00e9\":\"\\ud83d\\ude00\\n\"},\"a\":" T(
               "U8", "1", "0", "1") "}",
           1);
    accept(
        "{ \"a\" :\n{ \"shape\" : [ ] , \"data_offsets\" : [ 0 , 1 ] ,\t\"dtype\" : \"BOOL\" } }",
        1);
}

static void scalars_and_empty_tensors_are_accepted(void **state)
{
    (void)state;
    accept("{\"s\":" T("F64", "", "0", "8") "}", 8);
    accept("{\"e\":" T("F32", "0,7", "0", "0") ",\"a\":" T("U8", "3", "0", "3") ",\"z\":" T(
               "F32", "4,0", "3", "3") "}",
           3);
    /* Nothing times a lot is nothing, not an overflow. */
    accept("{\"e\":" T("F64", "4611686018427387904,4611686018427387904,0", "0", "0") "}", 0);
}

static void names_may_be_any_text(void **state)
{
    (void)state;
    accept("{\"\\u4e2d\\\"\\/\":" T("U8", "1", "0", "1") ",\"\xE4\xB8\xAD\":" T("U8", "1", "1",
                                                                                "2") "}",
           2);
    refuse("{\"a\\u001b[2J\":" T("U8", "1", "0", "1") "}", 1, KRS_EFORMAT, "name", "control");
    refuse("{\"\":" T("U8", "1", "0", "1") "}", 1, KRS_EFORMAT, "name", "0 bytes");
}

static void a_file_too_short_for_its_header_is_refused(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    const unsigned char bytes[16] = {0x09, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' '};
    assert_int_equal(krs_safetensors_check(NULL, 0, &err), KRS_EFORMAT);
    assert_int_equal(krs_safetensors_check(bytes, 7, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "7 bytes"));
    assert_int_equal(krs_safetensors_check(bytes, 16, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "header of 9 bytes in a file of 16"));
    const unsigned char huge[9] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, '{'};
    assert_int_equal(krs_safetensors_check(huge, 9, &err), KRS_ETOOLARGE);
    const unsigned char zero[8] = {0};
    assert_int_equal(krs_safetensors_check(zero, 8, &err), KRS_EFORMAT);
}

static void a_header_that_is_no_object_is_refused(void **state)
{
    (void)state;
    refuse("[]", 0, KRS_EFORMAT, "header", "'{'");
    refuse(" {}", 0, KRS_EFORMAT, "header", "'{'");
    refuse("\xEF\xBB\xBF{}", 0, KRS_EFORMAT, "header", "'{'");
    refuse("{", 0, KRS_EFORMAT, "ends at byte 1", "want");
    refuse("{\"a\":1}", 0, KRS_EFORMAT, "tensor a", "'{'");
    refuse("{\"a\":" T("U8", "1", "0", "1") ",}", 1, KRS_EFORMAT, "byte", "'\"'");
    refuse("{\"a\" " T("U8", "1", "0", "1") "}", 1, KRS_EFORMAT, "byte", "':'");
    refuse("{\"a\":" T("U8", "1", "0", "1") " \"b\"}", 1, KRS_EFORMAT, "byte", "','");
}

static void text_after_the_header_object_is_refused(void **state)
{
    (void)state;
    refuse("{} x", 0, KRS_EFORMAT, "byte 3", "the end");
    refuse("{}{}", 0, KRS_EFORMAT, "byte 2", "the end");
}

static void invalid_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\xFF",     "\x80",    "\xC0\xAF", "\xE0\x80\x80",   "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\xE4\xB8", "\\ud800", "\\udc00",  "\\ud800\\u0041", "\\x",          "\\u12",
        "\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char header[256];
        (void)snprintf(header, sizeof(header), "{\"a%s\":%s}", bad[i], T("U8", "1", "0", "1"));
        refuse(header, 1, KRS_EFORMAT, "JSON", "valid UTF-8");
    }
}

static void offsets_outside_the_file_are_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("F32", "2", "0", "8") "}", 7, KRS_EFORMAT, "tensor a", "7 bytes");
    refuse("{\"a\":" T("U8", "18446744073709551615", "0", "18446744073709551615") "}", 4,
           KRS_EFORMAT, "tensor a", "dimension");
    refuse("{\"a\":" T("U8", "4", "9223372036854775807", "9223372036854775811") "}", 4, KRS_EFORMAT,
           "tensor a", "ends at");
    refuse("{\"a\":" T("U8", "4", "8", "4") "}", 8, KRS_EFORMAT, "tensor a", "backwards");
}

static void offsets_that_contradict_the_shape_are_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("F32", "2", "0", "7") "}", 7, KRS_EFORMAT, "tensor a", "takes 8");
    refuse("{\"a\":" T("F16", "2,2", "0", "16") "}", 16, KRS_EFORMAT, "tensor a", "takes 8");
    refuse("{\"a\":" T("U8", "0", "0", "1") "}", 1, KRS_EFORMAT, "tensor a", "takes 0");
}

static void shapes_that_overflow_are_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("F32", "4294967296,4294967296", "0", "0") "}", 0, KRS_EFORMAT, "tensor a",
           "more than 2^63");
    refuse("{\"a\":" T("F64", "2305843009213693952", "0", "0") "}", 0, KRS_EFORMAT, "tensor a",
           "more than 2^63");
    refuse("{\"a\":" T("U8", "9223372036854775808", "0", "0") "}", 0, KRS_EFORMAT, "tensor a",
           "dimension 0");
    refuse("{\"a\":" T("U8", "99999999999999999999", "0", "0") "}", 0, KRS_EFORMAT, "tensor a",
           "under 2^64");
    refuse("{\"a\":" T("U8", "1,1,1,1,1,1,1,1,1", "0", "1") "}", 1, KRS_EUNSUPPORTED, "tensor a",
           "more than 8");
}

static void numbers_that_are_no_counts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"-1",   "1.0",   "1e0", "01", "+1",
                                      "null", "\"1\"", "[1]", "0x1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char header[256];
        (void)snprintf(header, sizeof(header),
                       "{\"a\":{\"dtype\":\"U8\",\"shape\":[%s],\"data_offsets\":[0,1]}}", bad[i]);
        krs_error err;
        assert_int_equal(check(header, 1, &err), KRS_EFORMAT);
        assert_non_null(strstr(err.message, "tensor a: shape"));
        (void)snprintf(header, sizeof(header),
                       "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,%s]}}", bad[i]);
        assert_int_equal(check(header, 1, &err), KRS_EFORMAT);
        assert_non_null(strstr(err.message, "tensor a: data_offsets"));
    }
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, KRS_EFORMAT,
           "tensor a", "1 numbers, want 2");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, KRS_EUNSUPPORTED,
           "tensor a", "more than 2");
}

static void an_unknown_dtype_is_named(void **state)
{
    (void)state;
    refuse("{\"a\":" T("F4", "1", "0", "1") "}", 1, KRS_EUNSUPPORTED, "tensor a", "dtype F4");
    refuse("{\"a\":" T("f32", "1", "0", "4") "}", 4, KRS_EUNSUPPORTED, "tensor a", "dtype f32");
    refuse("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, KRS_EFORMAT, "tensor a",
           "'\"'");
}

static void fields_must_stand_once_each_and_no_others(void **state)
{
    (void)state;
    refuse("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, KRS_EFORMAT, "tensor a",
           "dtype is missing");
    refuse("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, KRS_EFORMAT, "tensor a",
           "shape is missing");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, KRS_EFORMAT, "tensor a",
           "data_offsets is missing");
    refuse("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           KRS_EFORMAT, "tensor a", "dtype stands twice");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
           KRS_EFORMAT, "tensor a", "unknown field x");
}

static void overlapping_tensors_are_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("U8", "4", "0", "4") ",\"b\":" T("U8", "4", "3", "7") "}", 7, KRS_EFORMAT,
           "tensor b", "inside a");
    refuse("{\"a\":" T("U8", "4", "0", "4") ",\"b\":" T("U8", "4", "0", "4") "}", 4, KRS_EFORMAT,
           "tensor", "inside");
    refuse("{\"a\":" T("U8", "8", "0", "8") ",\"b\":" T("U8", "0", "4", "4") "}", 8, KRS_EFORMAT,
           "tensor b", "inside a");
}

static void holes_and_left_over_bytes_are_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("U8", "4", "0", "4") ",\"b\":" T("U8", "4", "5", "9") "}", 9, KRS_EFORMAT,
           "tensor b", "a hole of 1 bytes");
    refuse("{\"a\":" T("U8", "4", "4", "8") "}", 8, KRS_EFORMAT, "tensor a", "a hole of 4 bytes");
    refuse("{\"a\":" T("U8", "4", "0", "4") "}", 6, KRS_EFORMAT, "2 bytes",
           "after the last tensor");
    refuse("{}", 1, KRS_EFORMAT, "1 bytes", "after the last tensor");
}

static void a_name_that_stands_twice_is_refused(void **state)
{
    (void)state;
    refuse("{\"a\":" T("U8", "1", "0", "1") ",\"a\":" T("U8", "1", "1", "2") "}", 2, KRS_EFORMAT,
           "tensor a", "twice");
    refuse("{\"a\":" T("U8", "1", "0", "1") ",\"\\u0061\":" T("U8", "1", "1", "2") "}", 2,
           KRS_EFORMAT, "tensor a", "twice");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, KRS_EFORMAT, "__metadata__", "twice");
}

static void metadata_must_be_strings(void **state)
{
    (void)state;
    refuse("{\"__metadata__\":{\"a\":1}}", 0, KRS_EFORMAT, "__metadata__", "'\"'");
    refuse("{\"__metadata__\":[]}", 0, KRS_EFORMAT, "__metadata__", "'{'");
}

static void a_long_name_leaves_room_for_the_reason(void **state)
{
    (void)state;
    char header[1400];
    char name[1001];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)snprintf(header, sizeof(header), "{\"%s\":%s}", name, T("F32", "2", "0", "7"));
    refuse(header, 7, KRS_EFORMAT, "tensor nnnn", "takes 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_files_are_accepted),
        cmocka_unit_test(scalars_and_empty_tensors_are_accepted),
        cmocka_unit_test(names_may_be_any_text),
        cmocka_unit_test(a_file_too_short_for_its_header_is_refused),
        cmocka_unit_test(a_header_that_is_no_object_is_refused),
        cmocka_unit_test(text_after_the_header_object_is_refused),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(offsets_outside_the_file_are_refused),
        cmocka_unit_test(offsets_that_contradict_the_shape_are_refused),
        cmocka_unit_test(shapes_that_overflow_are_refused),
        cmocka_unit_test(numbers_that_are_no_counts_are_refused),
        cmocka_unit_test(an_unknown_dtype_is_named),
        cmocka_unit_test(fields_must_stand_once_each_and_no_others),
        cmocka_unit_test(overlapping_tensors_are_refused),
        cmocka_unit_test(holes_and_left_over_bytes_are_refused),
        cmocka_unit_test(a_name_that_stands_twice_is_refused),
        cmocka_unit_test(metadata_must_be_strings),
        cmocka_unit_test(a_long_name_leaves_room_for_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
