/* wire/digest: known digests, hexadecimal both ways, comparing. */
#include "support/cmocka.h"
#include "wire/digest.h"

static void known_digests(void **state)
{
    (void)state;
    /* FIPS 180-4's own examples. */
    static const struct {
        const char *text;
        const char *hex;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t digest[KRS_SHA256_BYTES];
        char hex[KRS_SHA256_HEX_BYTES];
        krs_sha256(krs_str_of(known[i].text), digest);
        krs_sha256_write(digest, hex);
        assert_string_equal(hex, known[i].hex);
    }
    uint8_t digest[KRS_SHA256_BYTES];
    krs_sha256((krs_str){NULL, 0}, digest);
    assert_int_equal(digest[0], 0xe3);
}

static void hexadecimal_is_read_in_either_case_and_in_full(void **state)
{
    (void)state;
    char text[KRS_SHA256_HEX_BYTES];
    uint8_t out[KRS_SHA256_BYTES];
    memset(text, 'A', 64);
    text[64] = '\0';
    text[0] = '0';
    assert_true(krs_sha256_read(krs_str_of(text), out));
    assert_int_equal(out[0], 0x0a);
    assert_int_equal(out[31], 0xaa);
    text[5] = 'g';
    assert_false(krs_sha256_read(krs_str_of(text), out));
    text[5] = '@'; /* one below 'A' */
    assert_false(krs_sha256_read(krs_str_of(text), out));
    assert_false(krs_sha256_read((krs_str){text, 63}, out));
    assert_false(krs_sha256_read(KRS_STR(""), out));
}

static void secrets_compare_by_all_their_bytes(void **state)
{
    (void)state;
    uint8_t a[KRS_SHA256_BYTES] = {1};
    uint8_t b[KRS_SHA256_BYTES] = {1};
    assert_true(krs_secret_equal(a, b, sizeof(a)));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] ^= 0x80;
        assert_false(krs_secret_equal(a, b, sizeof(a)));
        b[i] ^= 0x80;
    }
    krs_secret_wipe(a, sizeof(a));
    assert_int_equal(a[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(hexadecimal_is_read_in_either_case_and_in_full),
        cmocka_unit_test(secrets_compare_by_all_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
