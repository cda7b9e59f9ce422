/* text/wordpiece: the longest token first, by a naive twin on random words, and work that is counted. */
#include "support/cmocka.h"
#include "text/wordpiece.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED_DEFAULT 13u
#define MAX_TEXT     64
#define N_WORDS      4000
#define LONG_BYTES   (1u << 20)

static const char *const tokens[] = {
    "[UNK]",
    "a",
    "ab",
    "abc",
    "##a",
    "##b",
    "##bc",
    "##ca",
    "b",
    "##",
    "##\xC3\xA9",
    "\xC3\xA9"
    "a",
    "##\xC3\xA9"
    "b",
    "##cab",
};
#define N_TOKENS (sizeof(tokens) / sizeof(tokens[0]))

typedef struct fixture {
    krs_vocab vocab;
    krs_text_model model;
    void *scratch;
} fixture;

static void open_model(fixture *f, const krs_wordpiece_options *options)
{
    krs_wordpiece *wordpiece = NULL;
    assert_int_equal(krs_vocab_init(&f->vocab, NULL, N_TOKENS, N_TOKENS, 1000), KRS_OK);
    for (size_t i = 0; i < N_TOKENS; i++) {
        assert_true(krs_vocab_add(&f->vocab, (uint32_t)i, krs_str_of(tokens[i])));
    }
    assert_int_equal(krs_wordpiece_new(&f->vocab, options, NULL, &wordpiece, NULL), KRS_OK);
    f->model = krs_wordpiece_seal(wordpiece);
    f->scratch = f->model.ops->scratch_new(f->model.self, NULL);
    assert_non_null(f->scratch);
}

static void close_model(fixture *f)
{
    f->model.ops->scratch_free(f->scratch);
    f->model.ops->free(f->model.self);
    krs_vocab_deinit(&f->vocab);
}

static krs_wordpiece_options options_of(const char *prefix, uint32_t max_chars)
{
    krs_wordpiece_options options = KRS_WORDPIECE_OPTIONS_INIT;
    options.unk_id = 0;
    options.prefix = krs_str_of(prefix);
    options.max_chars = max_chars;
    return options;
}

/* As the original does it: try ever shorter ends. */
static size_t encode_by_hand(const fixture *f, const char *prefix, const char *word, uint32_t *ids)
{
    const size_t n_word = strlen(word);
    size_t n_ids = 0;
    for (size_t at = 0, end; at < n_word; at = end) {
        int64_t id = -1;
        for (end = n_word; end > at; end--) {
            char part[2 * MAX_TEXT];
            (void)snprintf(part, sizeof(part), "%s%.*s", at > 0 ? prefix : "", (int)(end - at),
                           word + at);
            id = krs_vocab_find(&f->vocab, krs_str_of(part));
            if (id >= 0) {
                break;
            }
        }
        if (id < 0) {
            ids[0] = 0;
            return 1;
        }
        ids[n_ids++] = (uint32_t)id;
    }
    return n_ids;
}

static void check(fixture *f, const char *word, const uint32_t *want, size_t n)
{
    krs_idlist got;
    krs_idlist_init(&got, NULL, MAX_TEXT + 1);
    assert_int_equal(krs_idlist_push(&got, 99), KRS_OK); /* what came before stays */
    assert_int_equal(f->model.ops->encode(f->model.self, f->scratch, krs_str_of(word), &got, NULL),
                     KRS_OK);
    if (got.n != n + 1 || got.ids[0] != 99 || memcmp(got.ids + 1, want, n * sizeof(want[0])) != 0) {
        fail_msg("\"%s\": %zu ids, want %zu", word, got.n - 1, n);
    }
    krs_idlist_deinit(&got);
}

static void equals_the_book_on_random_words(void **state)
{
    static const char *const prefixes[] = {"##", "", "no such"};
    static const char *const letters[] = {"a", "b", "c", "\xC3\xA9"};
    (void)state;
    const char *given = getenv("KRS_TEST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
        fixture f;
        const krs_wordpiece_options options = options_of(prefixes[p], 100);
        open_model(&f, &options);
        for (int k = 0; k < N_WORDS; k++) {
            char word[MAX_TEXT] = "";
            uint32_t want[MAX_TEXT];
            random = random * 6364136223846793005u + 1442695040888963407u;
            const uint64_t bits = random >> 20;
            for (unsigned i = 0; i < 1 + (bits & 15); i++) {
                const char *c = letters[bits >> (4 + 2 * i) & 3];
                (void)memcpy(word + strlen(word), c, strlen(c) + 1);
            }
            check(&f, word, want, encode_by_hand(&f, prefixes[p], word, want));
        }
        close_model(&f);
    }
}

static void a_word_of_too_many_characters_is_unknown(void **state)
{
    (void)state;
    fixture f;
    const krs_wordpiece_options options = options_of("##", 3);
    open_model(&f, &options);
    check(&f, "aaa", ((const uint32_t[]){1, 4, 4}), 3);
    check(&f, "aaaa", ((const uint32_t[]){0}), 1);
    check(&f, "a\xC3\xA9\xC3\xA9", ((const uint32_t[]){1, 10, 10}), 3); /* characters, not bytes */
    close_model(&f);
}

static void wordlevel_knows_whole_words_only(void **state)
{
    (void)state;
    fixture f;
    krs_wordpiece_options options = options_of("##", 3);
    options.is_whole = true;
    open_model(&f, &options);
    check(&f, "abc", ((const uint32_t[]){3}), 1);
    check(&f, "abca", ((const uint32_t[]){0}), 1);
    close_model(&f);
    options.unk_id = -1;
    open_model(&f, &options);
    krs_idlist got;
    krs_error err = KRS_ERROR_INIT;
    krs_idlist_init(&got, NULL, 8);
    assert_int_equal(f.model.ops->encode(f.model.self, f.scratch, KRS_STR("x"), &got, &err),
                     KRS_EINVAL);
    assert_non_null(strstr(err.message, "\"x\" has no token"));
    assert_int_equal(got.n, 0);
    krs_idlist_deinit(&got);
    close_model(&f);
}

/* A model that allows any length, and a word whose end cannot be said: no place is looked at twice more
 * than the longest token is long. */
static void work_is_linear_in_the_word(void **state)
{
    (void)state;
    fixture f;
    const krs_wordpiece_options options = options_of("##", UINT32_MAX);
    open_model(&f, &options);
    char *word = krs_alloc_bytes(NULL, LONG_BYTES);
    assert_non_null(word);
    memset(word, 'a', LONG_BYTES);
    word[LONG_BYTES - 1] = 'x';
    krs_idlist got;
    krs_idlist_init(&got, NULL, LONG_BYTES);
    assert_int_equal(
        f.model.ops->encode(f.model.self, f.scratch, (krs_str){word, LONG_BYTES}, &got, NULL),
        KRS_OK);
    assert_int_equal(got.n, 1);
    const uint64_t n_steps = krs_wordpiece_n_steps(f.scratch);
    assert_true(n_steps >= LONG_BYTES && n_steps <= 6 * (uint64_t)LONG_BYTES);
    krs_idlist_deinit(&got);
    krs_alloc_free(NULL, word);
    close_model(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_book_on_random_words),
        cmocka_unit_test(a_word_of_too_many_characters_is_unknown),
        cmocka_unit_test(wordlevel_knows_whole_words_only),
        cmocka_unit_test(work_is_linear_in_the_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
