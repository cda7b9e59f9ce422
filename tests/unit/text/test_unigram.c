/* text/unigram against a naive twin: on random vocabularies and words, the walk down the tree gives what
 * trying every token at every place gives; and its work is counted, because time would tell nothing. */
#include "support/cmocka.h"
#include "text/unigram.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED_DEFAULT   11u
#define MAX_TOKENS     60
#define MAX_WORD       48 /* characters */
#define MAX_TEXT       256
#define N_VOCABULARIES 60
#define N_WORDS        60
#define LONG_BYTES     (1u << 20)
#define LONGEST_TOKEN  16

typedef struct twin {
    char texts[MAX_TOKENS][64];
    double scores[MAX_TOKENS];
    size_t n;
    krs_vocab vocab;
    krs_text_model model;
    void *scratch;
    bool has_unk; /* id 0 */
    bool has_bytes;
} twin;

static const char *const letters[] = {"a", "b", "c", "\xC3\xA9", "\xE6\xBC\xA2"};
static const char *const strangers[] = {"x", "\xC3\xBF"}; /* in no vocabulary */

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static int find(const twin *w, const char *text, size_t n)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strlen(w->texts[i]) == n && memcmp(w->texts[i], text, n) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void add(twin *w, const char *text, double score)
{
    if (w->n < MAX_TOKENS && find(w, text, strlen(text)) < 0) {
        (void)snprintf(w->texts[w->n], sizeof(w->texts[0]), "%s", text);
        w->scores[w->n++] = score;
    }
}

static void open_model(twin *w)
{
    krs_unigram_options options = KRS_UNIGRAM_OPTIONS_INIT;
    krs_unigram *unigram = NULL;
    options.unk_id = w->has_unk ? 0 : -1;
    options.has_byte_fallback = w->has_bytes;
    assert_int_equal(krs_vocab_init(&w->vocab, NULL, w->n, w->n, w->n * sizeof(w->texts[0])),
                     KRS_OK);
    for (size_t i = 0; i < w->n; i++) {
        krs_vocab_add_again(&w->vocab, (uint32_t)i, krs_str_of(w->texts[i]));
    }
    assert_int_equal(krs_unigram_new(&w->vocab, w->scores, &options, NULL, &unigram, NULL), KRS_OK);
    w->model = krs_unigram_seal(unigram);
    w->scratch = w->model.ops->scratch_new(w->model.self, NULL);
    assert_non_null(w->scratch);
}

static void close_model(twin *w)
{
    w->model.ops->scratch_free(w->scratch);
    w->model.ops->free(w->model.self);
    krs_vocab_deinit(&w->vocab);
}

/* Scores from a few values, so that ties happen; sometimes the bytes of the strangers. */
static void invent(twin *w, uint64_t *random)
{
    memset(w, 0, sizeof(*w));
    w->has_unk = next(random, 8) > 0;
    w->has_bytes = next(random, 2) > 0;
    add(w, "<unk>", 0);
    const uint32_t n_letters = 1 + next(random, 5);
    for (uint32_t i = 0; i < n_letters; i++) {
        add(w, letters[i], -1.0 - next(random, 4));
    }
    for (uint32_t i = next(random, 40); i > 0; i--) {
        char sum[64];
        (void)snprintf(sum, sizeof(sum), "%s%s", w->texts[1 + next(random, (uint32_t)w->n - 1)],
                       w->texts[1 + next(random, (uint32_t)w->n - 1)]);
        if (strlen(sum) < LONGEST_TOKEN) {
            add(w, sum, -1.0 - next(random, 6));
        }
    }
    if (w->has_bytes) {
        add(w, "<0x78>", -20);
        add(w, "<0xC3>", -20);
        if (next(random, 2) > 0) {
            add(w, "<0xBF>", -20);
        }
    }
    open_model(w);
}

/* The run of unknown characters [start, end). */
static size_t say_unknown(const twin *w, const char *text, size_t start, size_t end, uint32_t *ids)
{
    const int whole = find(w, text + start, end - start);
    size_t n = 0;
    for (size_t i = start; whole < 0 && w->has_bytes && i < end; i++) {
        char byte[8];
        (void)snprintf(byte, sizeof(byte), "<0x%02X>", (unsigned char)text[i]);
        const int id = find(w, byte, 6);
        if (id < 0) {
            n = 0;
            break;
        }
        ids[n++] = (uint32_t)id;
    }
    if (n == 0) {
        ids[n++] = whole >= 0 ? (uint32_t)whole : 0;
    }
    return n;
}

static size_t char_bytes(const char *text)
{
    const unsigned char c = (unsigned char)*text;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : 3;
}

/* The best way to arrive at each place of a text. */
typedef struct plan {
    double score[MAX_TEXT];
    size_t from[MAX_TEXT]; /* SIZE_MAX: no way */
    int with[MAX_TEXT];
    double unk_score;
} plan;

static void plan_init(plan *p, const twin *w)
{
    double low = w->scores[0];
    for (size_t i = 1; i < w->n; i++) {
        low = w->scores[i] < low ? w->scores[i] : low;
    }
    *p = (plan){.unk_score = low - 10.0};
    for (size_t i = 0; i < MAX_TEXT; i++) {
        p->from[i] = SIZE_MAX;
    }
}

/* The token (id < 0: the unknown character) of n bytes at `at`. False: it would need an unknown token. */
static bool try_token(plan *p, const twin *w, size_t at, size_t n, int id)
{
    const double score = p->score[at] + (id >= 0 ? w->scores[id] : p->unk_score);
    if (p->from[at + n] != SIZE_MAX && score <= p->score[at + n]) {
        return true;
    }
    p->score[at + n] = score;
    p->from[at + n] = at;
    p->with[at + n] = id >= 0 ? id : 0;
    return id >= 0 || w->has_unk;
}

static bool try_all_at(plan *p, const twin *w, const char *text, size_t at)
{
    const size_t n_char = char_bytes(text + at);
    bool is_said = true;
    for (size_t n = 1; is_said && n <= strlen(text) - at; n++) {
        const int id = find(w, text + at, n);
        is_said = (id < 0 && n != n_char) || try_token(p, w, at, n, id);
    }
    return is_said;
}

/* The ids of the best way, a run of unknown characters at once. */
static size_t read_back(const plan *p, const twin *w, const char *text, uint32_t *ids)
{
    size_t cuts[MAX_TEXT];
    size_t n_cuts = 0;
    for (size_t at = strlen(text); at > 0; at = p->from[at]) {
        cuts[n_cuts++] = at;
    }
    size_t n_ids = 0;
    for (size_t i = n_cuts; i > 0; i--) {
        size_t end = cuts[i - 1];
        const size_t start = p->from[end];
        if (p->with[end] != 0 || !w->has_unk) {
            ids[n_ids++] = (uint32_t)p->with[end];
            continue;
        }
        while (i > 1 && p->with[cuts[i - 2]] == 0) {
            end = cuts[--i - 1];
        }
        n_ids += say_unknown(w, text, start, end, ids + n_ids);
    }
    return n_ids;
}

/* By the book: every token at every place. Returns the number of ids, or SIZE_MAX when it cannot be said. */
static size_t encode_by_hand(const twin *w, const char *text, uint32_t *ids)
{
    plan p;
    plan_init(&p, w);
    for (size_t at = 0; at < strlen(text); at += char_bytes(text + at)) {
        if (!try_all_at(&p, w, text, at)) {
            return SIZE_MAX;
        }
    }
    return read_back(&p, w, text, ids);
}

static void check_word(twin *w, const char *text)
{
    uint32_t want[MAX_TEXT];
    krs_idlist got;
    krs_error err = KRS_ERROR_INIT;
    krs_idlist_init(&got, NULL, MAX_TEXT);
    const size_t n = encode_by_hand(w, text, want);
    const krs_status status =
        w->model.ops->encode(w->model.self, w->scratch, krs_str_of(text), &got, &err);
    if (n == SIZE_MAX) {
        assert_int_equal(status, KRS_EINVAL);
        assert_non_null(strstr(err.message, "has no token"));
    } else {
        assert_int_equal(status, KRS_OK);
        if (got.n != n || memcmp(got.ids, want, n * sizeof(want[0])) != 0) {
            fail_msg("\"%s\": %zu ids, want %zu", text, got.n, n);
        }
    }
    krs_idlist_deinit(&got);
}

static void equals_the_book_on_random_vocabularies(void **state)
{
    (void)state;
    const char *given = getenv("KRS_TEST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    for (int v = 0; v < N_VOCABULARIES; v++) {
        twin w;
        invent(&w, &random);
        for (int k = 0; k < N_WORDS; k++) {
            char text[MAX_TEXT] = "";
            for (uint32_t i = 1 + next(&random, MAX_WORD); i > 0; i--) {
                const char *c =
                    next(&random, 6) > 0 ? letters[next(&random, 5)] : strangers[next(&random, 2)];
                (void)memcpy(text + strlen(text), c, strlen(c) + 1);
            }
            check_word(&w, text);
        }
        check_word(&w, "<unk>");
        check_word(&w, "x<unk>\xC3\xBF");
        close_model(&w);
    }
}

/* Sum -3 both ways: the cut whose last token begins first wins, as in the Rust library. */
static void equal_sums_keep_the_earlier_start(void **state)
{
    (void)state;
    twin w = {.has_unk = true};
    add(&w, "<unk>", 0);
    add(&w, "a", -1);
    add(&w, "ab", -2);
    add(&w, "b", -1);
    add(&w, "bb", -2);
    open_model(&w);
    krs_idlist got;
    krs_idlist_init(&got, NULL, 8);
    assert_int_equal(w.model.ops->encode(w.model.self, w.scratch, KRS_STR("abb"), &got, NULL),
                     KRS_OK);
    assert_int_equal(got.n, 2);
    assert_int_equal(got.ids[0], 1); /* a bb, not ab b */
    assert_int_equal(got.ids[1], 4);
    krs_idlist_deinit(&got);
    close_model(&w);
}

static void a_text_said_twice_has_the_later_id_and_score(void **state)
{
    (void)state;
    twin w = {.has_unk = true, .n = 4};
    static const char *const texts[] = {"<unk>", "ab", "a", "ab"};
    static const double scores[] = {0, -1, -1, -9};
    for (size_t i = 0; i < w.n; i++) {
        (void)snprintf(w.texts[i], sizeof(w.texts[i]), "%s", texts[i]);
        w.scores[i] = scores[i];
    }
    open_model(&w);
    krs_idlist got;
    krs_idlist_init(&got, NULL, 8);
    assert_int_equal(w.model.ops->encode(w.model.self, w.scratch, KRS_STR("ab"), &got, NULL),
                     KRS_OK);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.ids[0], 3);
    assert_true(krs_str_equal(krs_vocab_text(&w.vocab, 1), KRS_STR("ab"))); /* still decodes */
    krs_idlist_deinit(&got);
    close_model(&w);
}

/* A megabyte of one letter, with tokens of it up to sixteen long: the work is that product at most. */
static void work_is_linear_in_the_text(void **state)
{
    (void)state;
    twin w = {.has_unk = true};
    char token[LONGEST_TOKEN + 1] = "";
    add(&w, "<unk>", 0);
    for (size_t n = 1; n <= LONGEST_TOKEN; n++) {
        token[n - 1] = 'a';
        add(&w, token, -(double)n - 0.5);
    }
    open_model(&w);
    char *text = krs_alloc_bytes(NULL, LONG_BYTES);
    assert_non_null(text);
    memset(text, 'a', LONG_BYTES);
    krs_idlist got;
    krs_idlist_init(&got, NULL, LONG_BYTES);
    const krs_str piece = {text, LONG_BYTES};
    assert_int_equal(w.model.ops->encode(w.model.self, w.scratch, piece, &got, NULL), KRS_OK);
    assert_int_equal(got.n, LONG_BYTES / LONGEST_TOKEN);
    const uint64_t n_steps = krs_unigram_n_steps(w.scratch);
    assert_true(n_steps >= LONG_BYTES && n_steps <= (LONGEST_TOKEN + 1) * (uint64_t)LONG_BYTES);
    krs_idlist_deinit(&got);
    krs_alloc_free(NULL, text);
    close_model(&w);
}

static void a_token_without_end_is_refused(void **state)
{
    (void)state;
    const size_t n_text = 5000;
    char *text = krs_alloc_zero(NULL, n_text);
    assert_non_null(text);
    memset(text, 'a', n_text);
    krs_vocab vocab;
    const double score = 0;
    const krs_unigram_options options = KRS_UNIGRAM_OPTIONS_INIT;
    krs_unigram *unigram = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_vocab_init(&vocab, NULL, 1, 1, n_text), KRS_OK);
    krs_vocab_add_again(&vocab, 0, (krs_str){text, n_text});
    assert_int_equal(krs_unigram_new(&vocab, &score, &options, NULL, &unigram, &err),
                     KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "5000"));
    assert_null(unigram);
    krs_vocab_deinit(&vocab);
    krs_alloc_free(NULL, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_book_on_random_vocabularies),
        cmocka_unit_test(equal_sums_keep_the_earlier_start),
        cmocka_unit_test(a_text_said_twice_has_the_later_id_and_score),
        cmocka_unit_test(work_is_linear_in_the_text),
        cmocka_unit_test(a_token_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
