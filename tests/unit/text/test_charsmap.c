/* text/charsmap: rules built here by hand, the odd ways of the original, and blocks that lie. */
#include "support/cmocka.h"
#include "text/charsmap.h"
#include "text/unicode.h"

#include <stdlib.h>

#define SEED_DEFAULT 17u
#define MAX_BLOCK    (64u << 10)
#define MAX_UNITS    (MAX_BLOCK / 4 - 256)
#define NODE_UNITS   256u /* each node of the trie has its children in a row of its own */

typedef struct block {
    uint32_t units[MAX_UNITS];
    size_t n_units;
    char texts[256];
    size_t n_texts;
} block;

static size_t new_node(block *b)
{
    const size_t base = b->n_units;
    b->n_units += NODE_UNITS;
    assert_true(b->n_units <= MAX_UNITS);
    return base;
}

/* Unit 0 leads to the first node; the children of the node at `base` are at base + byte, its value at
 * base + 0, since XOR with a multiple of 256 leaves the byte alone. */
static void block_init(block *b)
{
    memset(b, 0, sizeof(*b));
    b->n_units = NODE_UNITS;
    b->units[0] = (uint32_t)new_node(b) << 10;
}

static void add_rule(block *b, const char *from, const char *to)
{
    size_t base = b->units[0] >> 10;
    uint32_t *unit = NULL;
    for (const char *c = from; *c; c++) {
        const size_t at = base + (unsigned char)*c;
        unit = &b->units[at];
        if (*unit == 0) {
            *unit = (uint32_t)(at ^ new_node(b)) << 10 | (unsigned char)*c;
        }
        base = at ^ (*unit >> 10);
    }
    assert_non_null(unit);
    *unit |= 1u << 8;
    b->units[base] = 1u << 31 | (uint32_t)b->n_texts;
    (void)memcpy(b->texts + b->n_texts, to, strlen(to) + 1);
    b->n_texts += strlen(to) + 1;
}

/* base64 of n bytes; free. */
static char *encode(const unsigned char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = krs_alloc_zero(NULL, 4 * (n / 3 + 2));
    assert_non_null(out);
    char *to = out;
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t bits = (uint32_t)bytes[i] << 16 |
                              (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                              (i + 2 < n ? bytes[i + 2] : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = i + 1 < n ? digits[bits >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[bits & 63] : '=';
    }
    return out;
}

static krs_status parse_bytes(const unsigned char *bytes, size_t n, krs_charsmap **out,
                              krs_error *err)
{
    char *base64 = encode(bytes, n);
    const krs_status status = krs_charsmap_parse(krs_str_of(base64), NULL, out, err);
    krs_alloc_free(NULL, base64);
    return status;
}

static krs_charsmap *parse(const block *b)
{
    unsigned char *bytes = krs_alloc_zero(NULL, MAX_BLOCK);
    assert_non_null(bytes);
    const size_t n_trie = 4 * b->n_units;
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(n_trie >> (8 * i));
    }
    for (size_t i = 0; i < n_trie; i++) {
        bytes[4 + i] = (unsigned char)(b->units[i / 4] >> (8 * (i % 4)));
    }
    (void)memcpy(bytes + 4 + n_trie, b->texts, b->n_texts);
    krs_charsmap *map = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (parse_bytes(bytes, 4 + n_trie + b->n_texts, &map, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    krs_alloc_free(NULL, bytes);
    return map;
}

static void check(const krs_charsmap *map, const char *text, const char *want)
{
    krs_buf out;
    krs_buf_init(&out, NULL, 1000);
    assert_int_equal(krs_charsmap_apply(map, krs_str_of(text), &out), KRS_OK);
    if (!krs_str_equal(krs_buf_view(&out), krs_str_of(want))) {
        fail_msg("\"%s\": \"%s\", want \"%s\"", text, out.data ? out.data : "", want);
    }
    krs_buf_deinit(&out);
}

static void rules_rewrite_characters_and_clusters(void **state)
{
    (void)state;
    block *b = krs_alloc_zero(NULL, sizeof(*b));
    assert_non_null(b);
    block_init(b);
    add_rule(b, "\xEF\xAC\x81", "fi");    /* a ligature */
    add_rule(b, "\xC2\xAD", "");          /* a soft hyphen goes */
    add_rule(b, "e\xCC\x81", "\xC3\xA9"); /* e and an accent */
    add_rule(b, "\t", " ");
    add_rule(b, "\r", " ");
    add_rule(b, "\xCC\x82", "^");
    krs_charsmap *map = parse(b);
    krs_alloc_free(NULL, b);
    check(map, "", "");
    check(map, "abc \xE6\xBC\xA2", "abc \xE6\xBC\xA2");
    check(map,
          "\xEF\xAC\x81n\xC2\xAD"
          "al",
          "final");
    check(map, "e\xCC\x81t", "\xC3\xA9t");
    check(map, "\tx", " x");
    /* A cluster is looked up as a whole, by its shortest rule: CR LF is one space, not two signs. */
    check(map, "a\r\nb", "a b");
    check(map, "a\n\rb", "a\n b");
    /* Six bytes and more: character by character, so the e and its accent stay two. */
    check(map, "e\xCC\x81\xCC\x82\xCC\x82", "e\xCC\x81^^");
    /* "e" alone has no rule, though one begins with it. */
    check(map, "e\xCC\x82", "e^");
    krs_charsmap_free(map);
}

static void what_is_no_charsmap_is_refused(void **state)
{
    static const struct {
        const char *base64;
        const char *words;
    } cases[] = {
        {"", "block of 0"},
        {"AAA", "not base64"},
        {"A===", "not base64"},
        {"AA=A", "not base64"},
        {"AA B", "not base64"},
        {"AAAAAA==", "trie of 0"},
        {"/////w==", "trie of 4294967295"},
        {"BAAAAA==", "trie of 4"},
        {"AB==", "not base64"},
        {"BAAAAAAAAAD/", "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_charsmap *map = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_charsmap_parse(krs_str_of(cases[i].base64), NULL, &map, &err),
                         KRS_EFORMAT);
        assert_null(map);
        if (!strstr(err.message, cases[i].words)) {
            fail_msg("%s: \"%s\", want \"%s\"", cases[i].base64, err.message, cases[i].words);
        }
    }
}

/* Random units: whatever they say, reading stays inside and text comes out well-formed. */
static void units_that_lie_lead_nowhere(void **state)
{
    (void)state;
    const char *given = getenv("KRS_TEST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    static const char text[] = "ab\xC3\xA9\xCC\x81\r\n\xE6\xBC\xA2\xF0\x9F\x99\x82 z\x7F";
    for (int round = 0; round < 3000; round++) {
        unsigned char bytes[4 + 4 * 260 + 40] = {0};
        const size_t n_units = 1 + (random >> 40) % 260;
        bytes[0] = (unsigned char)(4 * n_units);
        bytes[1] = (unsigned char)(4 * n_units >> 8);
        for (size_t i = 0; i < n_units; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            const uint32_t noise = (uint32_t)(random >> 32);
            /* Labels mostly right, offsets mostly small, so that walks go some way. */
            const uint32_t unit =
                (noise & 7) == 0 ? noise
                                 : (noise >> 3 & 0x1FF) << 10 | (noise >> 12 & 1) << 8 | (i & 0xFF);
            for (size_t k = 0; k < 4; k++) {
                bytes[4 + 4 * i + k] = (unsigned char)(unit >> (8 * k));
            }
        }
        (void)memcpy(bytes + 4 + 4 * n_units, "x\0\xC3\xA9\0\xE6\xBC\xA2", 9);
        krs_charsmap *map = NULL;
        krs_buf out;
        krs_buf_init(&out, NULL, 4000);
        assert_int_equal(parse_bytes(bytes, 4 + 4 * n_units + 9, &map, NULL), KRS_OK);
        assert_int_equal(krs_charsmap_apply(map, KRS_STR(text), &out), KRS_OK);
        assert_int_equal(out.len > 0 ? krs_utf8_valid_prefix(krs_buf_view(&out)) : 0, out.len);
        krs_buf_deinit(&out);
        krs_charsmap_free(map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_rewrite_characters_and_clusters),
        cmocka_unit_test(what_is_no_charsmap_is_refused),
        cmocka_unit_test(units_that_lie_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
