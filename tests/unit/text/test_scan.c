/* text/scan against PCRE2: on random texts made of the characters that the expressions tell apart, on
 * the texts of the tokenizer vectors and on real files, every scanner cuts what the regex engine cuts.
 * The engine is reached by putting the expression in a group, which no scanner knows by heart. */
#include "os/file.h"
#include "support/cmocka.h"
#include "support/tokenizers.h"
#include "text/char_class.h"
#include "text/pattern.h"
#include "text/unicode.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_DEFAULT 11u
#define N_TEXTS      4000  /* random texts for each expression */
#define MAX_CHARS    40    /* of a random text */
#define MAX_DIFFER   10000 /* characters that a newer Unicode added: 4,489 from 14 to 15 */
#define MAX_FILE     (8u << 20)
#define N_CODES      0x110000u

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("KRS_TEST_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("seed %llu (KRS_TEST_SEED)\n", (unsigned long long)seed);
    return seed;
}

static krs_pattern *pattern_of(const char *expression)
{
    krs_pattern *pattern = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_pattern_new_regex(krs_str_of(expression), NULL, &pattern, &err) != KRS_OK) {
        fail_msg("%s: %s", expression, err.message);
    }
    return pattern;
}

/* The i-th known expression, by its scanner and by PCRE2. */
typedef struct both {
    krs_pattern *scanned;
    krs_pattern *searched;
    krs_pattern_room *room;
} both;

static both both_of(size_t i)
{
    char grouped[2000];
    (void)snprintf(grouped, sizeof(grouped), "(?:%s)", krs_scan_expression(i));
    const both b = {pattern_of(krs_scan_expression(i)), pattern_of(grouped),
                    krs_pattern_room_new(NULL)};
    assert_non_null(krs_pattern_scan(b.scanned));
    assert_null(krs_pattern_scan(b.searched));
    assert_non_null(b.room);
    return b;
}

static void both_free(both b)
{
    krs_pattern_free(b.scanned);
    krs_pattern_free(b.searched);
    krs_pattern_room_free(b.room);
}

static void print_text(krs_str text)
{
    for (size_t i = 0; i < text.len && i < 400; i++) {
        print_message("%02X ", (unsigned char)text.ptr[i]);
    }
    print_message("\n");
}

typedef struct match {
    krs_status status;
    size_t start;
    size_t end;
} match;

static match next_match(krs_pattern_walk *walk)
{
    match m = {.start = 0};
    m.status = krs_pattern_next(walk, &m.start, &m.end);
    return m;
}

static bool is_same_match(match a, match b)
{
    return a.status == b.status && (a.status != KRS_OK || (a.start == b.start && a.end == b.end));
}

/* Both cut text into the same matches, whether the scanner hands them out one by one or in batches. */
static void check_text(both b, krs_str text, size_t expression)
{
    krs_pattern_walk scanned = krs_pattern_walk_of(b.scanned, b.room, text);
    krs_pattern_walk searched = krs_pattern_walk_of(b.searched, b.room, text);
    krs_span batch[3];
    size_t n_batch = 0;
    size_t used = 0;
    size_t at = 0;
    match want;
    do {
        want = next_match(&searched);
        const match got = next_match(&scanned);
        if (used == n_batch) {
            n_batch = krs_scan_fill(krs_pattern_scan(b.scanned), text, &at, batch, 3);
            used = 0;
        }
        const match filled = used < n_batch ? (match){KRS_OK, batch[used].start, batch[used].end}
                                            : (match){.status = KRS_EEOF};
        if (!is_same_match(got, want) || !is_same_match(filled, want)) {
            print_text(text);
            fail_msg("expression %zu: scanner %d [%zu, %zu), PCRE2 %d [%zu, %zu)", expression,
                     (int)got.status, got.start, got.end, (int)want.status, want.start, want.end);
        }
        used++;
    } while (want.status == KRS_OK);
    assert_int_equal(want.status, KRS_EEOF);
    assert_true(n_batch == 0 || used == n_batch + 1);
}

/* Every scalar value, one after the other. */
static void write_all_codes(krs_buf *out)
{
    for (uint32_t c = 0; c < N_CODES; c++) {
        char bytes[KRS_UTF8_MAX_BYTES];
        if (c < 0xD800 || c > 0xDFFF) {
            assert_int_equal(krs_buf_append(out, bytes, krs_utf8_encode(c, bytes)), KRS_OK);
        }
    }
}

/* Set bit in classes[c] for every c that expression (a run of one property) matches. */
static void mark_matches(const char *expression, krs_str text, uint8_t bit, uint8_t *classes)
{
    krs_pattern *pattern = pattern_of(expression);
    krs_pattern_room *room = krs_pattern_room_new(NULL);
    krs_pattern_walk walk = krs_pattern_walk_of(pattern, room, text);
    size_t start;
    size_t end;
    while (krs_pattern_next(&walk, &start, &end) == KRS_OK) {
        for (size_t n; start < end; start += n) {
            classes[krs_utf8_decode((krs_str){text.ptr + start, end - start}, &n)] |= bit;
        }
    }
    krs_pattern_room_free(room);
    krs_pattern_free(pattern);
}

/* The classes of all characters as PCRE2 sees them; the caller frees. */
static uint8_t *classes_of_pcre2(void)
{
    static const struct {
        const char *expression;
        uint8_t bit;
    } runs[] = {{"[\\p{Lu}\\p{Lt}]+", KRS_CHAR_UPPER}, {"\\p{Ll}+", KRS_CHAR_LOWER},
                {"[\\p{Lm}\\p{Lo}]+", KRS_CHAR_OTHER}, {"\\p{M}+", KRS_CHAR_MARK},
                {"\\p{N}+", KRS_CHAR_NUMBER},          {"[^\\S\\r\\n]+", KRS_CHAR_SPACE},
                {"[\\r\\n]+", KRS_CHAR_BREAK},         {"[\\p{P}\\p{S}]+", KRS_CHAR_SIGN}};
    uint8_t *classes = calloc(N_CODES, 1);
    assert_non_null(classes);
    krs_buf text;
    krs_buf_init(&text, NULL, 8u << 20);
    write_all_codes(&text);
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        mark_matches(runs[i].expression, krs_buf_view(&text), runs[i].bit, classes);
    }
    krs_buf_deinit(&text);
    return classes;
}

static void classes_are_those_of_pcre2_but_for_newer_characters(void **state)
{
    (void)state;
    krs_char_classes *table = krs_char_classes_new(NULL);
    uint8_t *want = classes_of_pcre2();
    assert_non_null(table);
    size_t n_differ = 0;
    for (uint32_t c = 0; c < N_CODES; c++) {
        const uint8_t got = krs_char_class(table, c);
        if (got != want[c]) {
            n_differ++;
            if (got != 0 && want[c] != 0) {
                fail_msg("U+%04X: class %02X, PCRE2 %02X", c, got, want[c]);
            }
        }
    }
    print_message("%zu characters are in one Unicode version only\n", n_differ);
    assert_true(n_differ < MAX_DIFFER);
    free(want);
    krs_alloc_free(NULL, table);
}

/* What the expressions tell apart: contractions in both cases, the long s and the Kelvin sign, marks
 * and letters without case between capitals, every kind of space, and what is next to nothing. */
static const uint32_t telling[] = {
    'a',    's',    't',     'r',     'e',     'v',     'm',     'l',     'd',    'z',    'A',
    'S',    'T',    'R',     'E',     'V',     'M',     'L',     'D',     'Z',    '\'',   '\'',
    '\'',   '0',    '1',     '9',     ' ',     ' ',     ' ',     '\t',    '\n',   '\r',   '\n',
    '\v',   '\f',   '/',     '/',     '.',     '!',     '<',     '_',     '-',    '@',    '[',
    '`',    '{',    '~',     0x0,     0x1C,    0x7F,    0x85,    0xA0,    0xAA,   0xB2,   0xC9,
    0xE9,   0xDF,   0x130,   0x17F,   0x212A,  0x1C5,   0x2B0,   0x301,   0x301,  0x378,  0x41F,
    0x43F,  0x663,  0x903,   0x905,   0xE33,   0x180E,  0x1680,  0x2003,  0x200B, 0x200D, 0x2019,
    0x2028, 0x202F, 0x2160,  0x20AC,  0x3000,  0x3001,  0x303F,  0x3042,  0x30FC, 0x30FF, 0x3100,
    0x4DFF, 0x4E00, 0x65E5,  0x9FA5,  0x9FA6,  0xAC00,  0xD7A3,  0xE000,  0xFB06, 0xFEFF, 0xFF21,
    0xFFFD, 0xFFFF, 0x10400, 0x10428, 0x1D7D8, 0x1F600, 0xE0100, 0x10FFFF};

static void write_random(uint64_t *random, const uint8_t *of_pcre2, const krs_char_classes *table,
                         krs_buf *out)
{
    krs_buf_reset(out);
    const uint32_t n_chars = 1 + next(random, MAX_CHARS);
    /* Few different characters in a text, so that they meet in every order. */
    const uint32_t n_kinds = 1 + next(random, 12);
    const uint32_t first = next(random, sizeof(telling) / sizeof(telling[0]));
    for (uint32_t i = 0; i < n_chars; i++) {
        const uint32_t stride = 1 + next(random, 7);
        uint32_t c = telling[(first + stride * next(random, n_kinds)) %
                             (sizeof(telling) / sizeof(telling[0]))];
        if (next(random, 16) == 0) {
            c = next(random, N_CODES);
            const bool is_known = of_pcre2[c] == krs_char_class(table, c);
            c = is_known && (c < 0xD800 || c > 0xDFFF) ? c : 'x';
        }
        char bytes[KRS_UTF8_MAX_BYTES];
        assert_int_equal(krs_buf_append(out, bytes, krs_utf8_encode(c, bytes)), KRS_OK);
    }
}

static void random_texts_are_cut_as_pcre2_cuts_them(void **state)
{
    (void)state;
    uint64_t random = seed_of_run();
    uint8_t *of_pcre2 = classes_of_pcre2();
    krs_char_classes *table = krs_char_classes_new(NULL);
    assert_non_null(table);
    krs_buf text;
    krs_buf_init(&text, NULL, 4u * MAX_CHARS);
    for (size_t i = 0; krs_scan_expression(i); i++) {
        const both b = both_of(i);
        for (size_t n = 0; n < N_TEXTS; n++) {
            write_random(&random, of_pcre2, table, &text);
            check_text(b, krs_buf_view(&text), i);
        }
        both_free(b);
    }
    krs_buf_deinit(&text);
    krs_alloc_free(NULL, table);
    free(of_pcre2);
}

/* Characters that only the newer of two Unicode versions knows are left out. */
static void check_every_expression(krs_str text, const uint8_t *of_pcre2)
{
    krs_char_classes *table = krs_char_classes_new(NULL);
    krs_buf kept;
    krs_buf_init(&kept, NULL, text.len + 1);
    assert_non_null(table);
    for (size_t n; text.len > 0; text = (krs_str){text.ptr + n, text.len - n}) {
        const uint32_t c = krs_utf8_decode(text, &n);
        if (of_pcre2[c] == krs_char_class(table, c)) {
            assert_int_equal(krs_buf_append(&kept, text.ptr, n), KRS_OK);
        }
    }
    text = krs_buf_view(&kept);
    for (size_t i = 0; krs_scan_expression(i); i++) {
        const both b = both_of(i);
        check_text(b, text, i);
        both_free(b);
    }
    krs_buf_deinit(&kept);
    krs_alloc_free(NULL, table);
}

static void vectors_are_cut_as_pcre2_cuts_them(void **state)
{
    (void)state;
    json_t *root = krs_test_vectors(KRS_TEST_TOKENIZERS "/gpt-2");
    const json_t *list = json_object_get(root, "cases");
    krs_buf all; /* one after the other, and so they meet each other's ends */
    krs_buf_init(&all, NULL, MAX_FILE);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_object_get(json_array_get(list, i), "text");
        const krs_str s = {json_string_value(text), json_string_length(text)};
        assert_int_equal(krs_buf_append_str(&all, s), KRS_OK);
    }
    assert_true(all.len > 10000);
    uint8_t *of_pcre2 = classes_of_pcre2();
    check_every_expression(krs_buf_view(&all), of_pcre2);
    free(of_pcre2);
    krs_buf_deinit(&all);
    json_decref(root);
}

static void check_folder(const char *folder, const uint8_t *of_pcre2, size_t *n_files)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[KRS_OS_PATH_BYTES];
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_os_path_join(folder, entry->d_name, path, sizeof(path)), KRS_OK);
        if (krs_os_path_kind(path) != KRS_OS_FILE) {
            continue;
        }
        krs_buf file;
        krs_buf text;
        krs_buf_init(&file, NULL, MAX_FILE);
        krs_buf_init(&text, NULL, 4u * MAX_FILE);
        assert_int_equal(krs_os_file_read(path, &file, &err), KRS_OK);
        assert_int_equal(krs_utf8_repair(krs_buf_view(&file), &text), KRS_OK);
        check_every_expression(krs_buf_view(&text), of_pcre2);
        krs_buf_deinit(&text);
        krs_buf_deinit(&file);
        (*n_files)++;
    }
    (void)closedir(dir);
}

static void real_texts_are_cut_as_pcre2_cuts_them(void **state)
{
    (void)state;
    static const char *const folders[] = {
        "emoji", "gutenberg-canterbury", "naughty-strings", "source-code",
        "udhr",  "unicode_lipsum"};
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        return;
    }
    uint8_t *of_pcre2 = classes_of_pcre2();
    size_t n_files = 0;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char folder[KRS_OS_PATH_BYTES];
        (void)snprintf(folder, sizeof(folder), "%s/text/%s", data, folders[i]);
        check_folder(folder, of_pcre2, &n_files);
    }
    free(of_pcre2);
    print_message("%zu files\n", n_files);
    assert_true(n_files > 0);
}

static void an_expression_is_known_letter_for_letter(void **state)
{
    (void)state;
    krs_scan *scan = NULL;
    assert_int_equal(krs_scan_new(KRS_STR("\\p{N}{1,3}"), NULL, &scan), KRS_OK);
    krs_scan_free(scan);
    assert_int_equal(krs_scan_new(KRS_STR("\\p{N}{1,3}+"), NULL, &scan), KRS_ENOENT);
    assert_null(scan);
    assert_int_equal(krs_scan_new(KRS_STR("\\p{N}{1,3"), NULL, &scan), KRS_ENOENT);
    assert_int_equal(krs_scan_new(KRS_STR(""), NULL, &scan), KRS_ENOENT);
    /* CR and LF that stand for themselves, as in DeepSeek's files. */
    const char *qwen2 = krs_scan_expression(2);
    char raw[1000];
    size_t n = 0;
    for (size_t i = 0; qwen2[i]; i++, n++) {
        const bool is_escape = qwen2[i] == '\\' && (qwen2[i + 1] == 'r' || qwen2[i + 1] == 'n');
        raw[n] = qwen2[i];
        if (is_escape) {
            raw[n] = qwen2[++i] == 'r' ? '\r' : '\n';
        }
    }
    assert_true(n < strlen(qwen2));
    assert_int_equal(krs_scan_new((krs_str){raw, n}, NULL, &scan), KRS_OK);
    krs_scan_free(scan);
    *strchr(raw, '\r') = '\n'; /* [^\n\n...]: another expression */
    assert_int_equal(krs_scan_new((krs_str){raw, n}, NULL, &scan), KRS_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_is_known_letter_for_letter),
        cmocka_unit_test(classes_are_those_of_pcre2_but_for_newer_characters),
        cmocka_unit_test(random_texts_are_cut_as_pcre2_cuts_them),
        cmocka_unit_test(vectors_are_cut_as_pcre2_cuts_them),
        cmocka_unit_test(real_texts_are_cut_as_pcre2_cuts_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
