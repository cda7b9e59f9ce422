/* text/bpe against a naive twin: on random vocabularies and words, the scan, the heap, the cache and
 * the splitting at U+2581 all give what merging by the book gives. */
#include "support/cmocka.h"
#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_DEFAULT   7u
#define MAX_TOKENS     400
#define MAX_WORD       600 /* symbols: well into the heap's range */
#define N_VOCABULARIES 40
#define N_WORDS        120

typedef struct twin {
    char texts[MAX_TOKENS][128];
    size_t n_tokens;
    uint32_t left[MAX_TOKENS];
    uint32_t right[MAX_TOKENS];
    uint32_t made[MAX_TOKENS];
    size_t n_merges;
} twin;

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static int find(const twin *w, const char *text)
{
    for (size_t i = 0; i < w->n_tokens; i++) {
        if (strcmp(w->texts[i], text) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* A few letters, and merges of random pairs of what there is. */
static void invent(twin *w, uint64_t *random)
{
    static const char *const letters[] = {"a", "b", "c", "\xE2\x96\x81", "\xC3\xA9"};
    memset(w, 0, sizeof(*w));
    const uint32_t n_letters = 2 + next(random, 4);
    for (uint32_t i = 0; i < n_letters; i++) {
        (void)snprintf(w->texts[w->n_tokens++], 128, "%s", letters[i]);
    }
    const uint32_t n_tries = 1 + next(random, MAX_TOKENS - 6);
    for (uint32_t i = 0; i < n_tries; i++) {
        const uint32_t a = next(random, (uint32_t)w->n_tokens);
        const uint32_t b = next(random, (uint32_t)w->n_tokens);
        char sum[128];
        (void)snprintf(sum, sizeof(sum), "%s%s", w->texts[a], w->texts[b]);
        if (strlen(sum) > 30 || find(w, sum) >= 0) {
            continue;
        }
        w->left[w->n_merges] = a;
        w->right[w->n_merges] = b;
        w->made[w->n_merges++] = (uint32_t)w->n_tokens;
        (void)snprintf(w->texts[w->n_tokens++], 128, "%s", sum);
    }
}

/* By the book: again and again the first merge of the list that applies, at its leftmost place. */
static size_t merge_naively(const twin *w, uint32_t *ids, size_t n)
{
    for (size_t m = 0; m < w->n_merges;) {
        size_t at = 0;
        while (at + 1 < n && !(ids[at] == w->left[m] && ids[at + 1] == w->right[m])) {
            at++;
        }
        if (at + 1 >= n) {
            m++;
            continue;
        }
        ids[at] = w->made[m];
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof(ids[0]));
        n--;
        m = 0; /* a new symbol may have a better merge */
    }
    return n;
}

static krs_text_model build(const twin *w, krs_vocab *vocab)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < w->n_tokens; i++) {
        n_bytes += strlen(w->texts[i]);
    }
    assert_int_equal(krs_vocab_init(vocab, NULL, w->n_tokens, w->n_tokens, n_bytes), KRS_OK);
    for (size_t i = 0; i < w->n_tokens; i++) {
        assert_true(krs_vocab_add(vocab, (uint32_t)i, krs_str_of(w->texts[i])));
    }
    const krs_bpe_options options = KRS_BPE_OPTIONS_INIT;
    krs_bpe *bpe = NULL;
    assert_int_equal(krs_bpe_new(vocab, &options, w->n_merges, NULL, &bpe, NULL), KRS_OK);
    for (size_t i = 0; i < w->n_merges; i++) {
        assert_int_equal(krs_bpe_add_merge(bpe, krs_str_of(w->texts[w->left[i]]),
                                           krs_str_of(w->texts[w->right[i]]), NULL),
                         KRS_OK);
    }
    return krs_bpe_seal(bpe);
}

/* One random word both ways. */
static void compare(const twin *w, const krs_text_model *model, void *scratch, uint64_t *random)
{
    uint32_t ids[MAX_WORD];
    char text[4 * MAX_WORD];
    size_t n_text = 0;
    const uint32_t n_letters = (uint32_t)(w->n_tokens - w->n_merges);
    /* Short words mostly, so the cache is hit; few letters at times, so runs are long. */
    size_t n = 1 + next(random, next(random, 3) ? 8 : MAX_WORD - 1);
    const uint32_t n_used = 1 + next(random, n_letters);
    for (size_t i = 0; i < n; i++) {
        ids[i] = next(random, n_used);
        const size_t len = strlen(w->texts[ids[i]]);
        memcpy(text + n_text, w->texts[ids[i]], len);
        n_text += len;
    }
    n = merge_naively(w, ids, n);
    krs_idlist got;
    krs_idlist_init(&got, NULL, 4 * MAX_WORD);
    assert_int_equal(model->ops->encode(model->self, scratch, (krs_str){text, n_text}, &got, NULL),
                     KRS_OK);
    if (got.n != n || memcmp(got.ids, ids, n * sizeof(ids[0])) != 0) {
        fail_msg("%.*s: %zu ids, want %zu", (int)n_text, text, got.n, n);
    }
    krs_idlist_deinit(&got);
}

static void merges_as_the_naive_twin_does(void **state)
{
    (void)state;
    const char *given = getenv("KRS_TEST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    static twin w;
    for (int i = 0; i < N_VOCABULARIES; i++) {
        invent(&w, &random);
        krs_vocab vocab;
        const krs_text_model model = build(&w, &vocab);
        void *scratch = model.ops->scratch_new(model.self, NULL);
        assert_non_null(scratch);
        for (int k = 0; k < N_WORDS; k++) {
            compare(&w, &model, scratch, &random);
        }
        model.ops->scratch_free(scratch);
        model.ops->free(model.self);
        krs_vocab_deinit(&vocab);
    }
}

/* "?" and "!" are unknown; <0x3F> is a byte to fall back to. */
static size_t encode_unknown(const krs_bpe_options *options, const char *text, uint32_t *ids,
                             krs_status want)
{
    static const char *const texts[] = {"a", "<unk>", "<0x3F>"};
    krs_vocab vocab;
    krs_bpe *bpe = NULL;
    assert_int_equal(krs_vocab_init(&vocab, NULL, 3, 3, 20), KRS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(krs_vocab_add(&vocab, i, krs_str_of(texts[i])));
    }
    assert_int_equal(krs_bpe_new(&vocab, options, 0, NULL, &bpe, NULL), KRS_OK);
    const krs_text_model model = krs_bpe_seal(bpe);
    void *scratch = model.ops->scratch_new(model.self, NULL);
    krs_idlist got;
    krs_error err = KRS_ERROR_INIT;
    krs_idlist_init(&got, NULL, 100);
    assert_int_equal(model.ops->encode(model.self, scratch, krs_str_of(text), &got, &err), want);
    assert_true(want == KRS_OK || strstr(err.message, "has no token"));
    const size_t n = got.n;
    if (n > 0) {
        memcpy(ids, got.ids, n * sizeof(ids[0]));
    }
    krs_idlist_deinit(&got);
    model.ops->scratch_free(scratch);
    model.ops->free(model.self);
    krs_vocab_deinit(&vocab);
    return n;
}

static void unknown_characters_go_where_the_options_say(void **state)
{
    (void)state;
    uint32_t ids[100];
    krs_bpe_options options = KRS_BPE_OPTIONS_INIT;
    assert_int_equal(encode_unknown(&options, "a!a", ids, KRS_EINVAL), 0);
    options.unk_id = 1;
    assert_int_equal(encode_unknown(&options, "a!!a", ids, KRS_OK), 4);
    assert_memory_equal(ids, ((const uint32_t[]){0, 1, 1, 0}), 16);
    options.has_fused_unk = true;
    assert_int_equal(encode_unknown(&options, "a!!a!", ids, KRS_OK), 4);
    assert_memory_equal(ids, ((const uint32_t[]){0, 1, 0, 1}), 16);
    options.has_byte_fallback = true;
    assert_int_equal(encode_unknown(&options, "a?a", ids, KRS_OK), 3);
    assert_memory_equal(ids, ((const uint32_t[]){0, 2, 0}), 12);
}

static void a_merge_of_what_is_no_token_is_refused(void **state)
{
    (void)state;
    krs_vocab vocab;
    krs_bpe *bpe = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_bpe_options options = KRS_BPE_OPTIONS_INIT;
    assert_int_equal(krs_vocab_init(&vocab, NULL, 2, 2, 2), KRS_OK);
    assert_true(krs_vocab_add(&vocab, 0, KRS_STR("a")));
    assert_true(krs_vocab_add(&vocab, 1, KRS_STR("b")));
    assert_int_equal(krs_bpe_new(&vocab, &options, 1, NULL, &bpe, NULL), KRS_OK);
    assert_int_equal(krs_bpe_add_merge(bpe, KRS_STR("a"), KRS_STR("b"), &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "merges[0]: \"ab\""));
    krs_bpe_free(bpe);
    krs_vocab_deinit(&vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_as_the_naive_twin_does),
        cmocka_unit_test(unknown_characters_go_where_the_options_say),
        cmocka_unit_test(a_merge_of_what_is_no_token_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
