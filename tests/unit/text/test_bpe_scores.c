/* Byte-pair encoding by scores, against the plainest reading of SentencePiece: of all neighbours whose sum
 * is a token, join the one of best score, leftmost of equals; again, until none is left. */
#include "support/cmocka.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_TOKENS 64
#define MAX_TEXT   64
#define ROUNDS     400

typedef struct vocab {
    char texts[MAX_TOKENS][8];
    double scores[MAX_TOKENS];
    uint32_t n;
} vocab;

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int find(const vocab *v, const char *text, size_t n)
{
    for (uint32_t i = 0; i < v->n; i++) {
        if (strlen(v->texts[i]) == n && memcmp(v->texts[i], text, n) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Letters a, b, c and sums of them; few scores, so that many are equal. */
static void make_vocab(vocab *v, uint32_t *seed)
{
    v->n = 0;
    while (v->n < 24) {
        char text[8] = "";
        const size_t n = v->n < 3 ? 1 : 2 + next(seed) % 4;
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)('a' + (v->n < 3 ? v->n : next(seed) % 3));
        }
        if (find(v, text, n) < 0) {
            memcpy(v->texts[v->n], text, sizeof(text));
            v->scores[v->n++] = -(double)(next(seed) % 6);
        }
    }
}

static krs_tokenizer *make_tokenizer(const vocab *v)
{
    json_t *ids = json_object();
    json_t *scores = json_array();
    for (uint32_t i = 0; i < v->n; i++) {
        assert_int_equal(json_object_set_new(ids, v->texts[i], json_integer(i)), 0);
        assert_int_equal(json_array_append_new(scores, json_real(v->scores[i])), 0);
    }
    json_t *doc =
        json_pack("{s:{s:s, s:o, s:o}}", "model", "type", "BPE", "vocab", ids, "scores", scores);
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_tokenizer_read(doc, NULL, &t, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    json_decref(doc);
    return t;
}

static size_t naive(const vocab *v, const char *text, uint32_t *out)
{
    size_t starts[MAX_TEXT + 1];
    size_t n = strlen(text);
    for (size_t i = 0; i <= n; i++) {
        starts[i] = i;
    }
    for (;;) {
        int best = -1;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const int id = find(v, text + starts[i], starts[i + 2] - starts[i]);
            if (id >= 0 && (best < 0 || v->scores[id] > v->scores[best])) {
                best = id;
                where = i;
            }
        }
        if (best < 0) {
            break;
        }
        memmove(&starts[where + 1], &starts[where + 2], (n - where - 1) * sizeof(starts[0]));
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint32_t)find(v, text + starts[i], starts[i + 1] - starts[i]);
    }
    return n;
}

static void random_vocabularies_encode_as_the_plain_rule_says(void **state)
{
    (void)state;
    uint32_t seed = 4711;
    (void)printf("seed %u\n", seed);
    for (int round = 0; round < ROUNDS; round++) {
        vocab v;
        char text[MAX_TEXT + 1];
        uint32_t want[MAX_TEXT];
        make_vocab(&v, &seed);
        const size_t n_text = 1 + next(&seed) % MAX_TEXT; /* on both sides of the long-word merge */
        for (size_t i = 0; i < n_text; i++) {
            text[i] = (char)('a' + next(&seed) % 3);
        }
        text[n_text] = '\0';
        krs_tokenizer *t = make_tokenizer(&v);
        krs_encoder *e = NULL;
        krs_ids ids;
        assert_int_equal(krs_encoder_new(t, &e, NULL), KRS_OK);
        assert_int_equal(krs_encode(e, krs_str_of(text), false, &ids, NULL), KRS_OK);
        const size_t n = naive(&v, text, want);
        if (ids.n != n || memcmp(ids.ids, want, n * sizeof(want[0])) != 0) {
            fail_msg("round %d, text %s: %zu ids, want %zu", round, text, ids.n, n);
        }
        krs_encoder_free(e);
        krs_tokenizer_free(t);
    }
}

static void scores_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *scores;
        const char *words;
    } cases[] = {
        {"[0]", "scores[1]: want a number or null"},
        {"[0, \"x\"]", "scores[1]: want a number or null"},
        {"{}", "merges: want an array"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text),
                       "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1},"
                       " \"scores\": %s}}",
                       cases[i].scores);
        krs_tokenizer *t = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_tokenizer_parse(krs_str_of(text), NULL, &t, &err), KRS_EFORMAT);
        assert_non_null(strstr(err.message, cases[i].words));
    }
}

static void a_token_without_a_score_is_never_made(void **state)
{
    (void)state;
    krs_tokenizer *t = NULL;
    krs_encoder *e = NULL;
    krs_ids ids;
    assert_int_equal(krs_tokenizer_parse(KRS_STR("{\"model\": {\"type\": \"BPE\", \"vocab\":"
                                                 " {\"a\": 0, \"b\": 1, \"ab\": 2, \"ba\": 3},"
                                                 " \"scores\": [0, 0, null, -1]}}"),
                                         NULL, &t, NULL),
                     KRS_OK);
    assert_int_equal(krs_encoder_new(t, &e, NULL), KRS_OK);
    assert_int_equal(krs_encode(e, KRS_STR("abab"), false, &ids, NULL), KRS_OK);
    assert_int_equal(ids.n, 3); /* a ba b */
    assert_int_equal(ids.ids[1], 3);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_vocabularies_encode_as_the_plain_rule_says),
        cmocka_unit_test(scores_of_the_wrong_kind_are_refused),
        cmocka_unit_test(a_token_without_a_score_is_never_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
