/* The index of n-grams against a search through the whole sequence, and what it must never do. */
#include "sample/ngram.h"

#include "support/cmocka.h"
#include "support/counted_alloc.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST (3 * KRS_NGRAM_WINDOW)

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* The rule of ngram.h, word by word, in as many comparisons as it takes. */
typedef struct naive {
    uint32_t begin;
    uint32_t n_tokens;
    uint32_t source;
    uint32_t n_matched;
    uint32_t window;
} naive;

static void naive_search(naive *n, const uint32_t *tokens, uint32_t length)
{
    if (n->begin + length > n->n_tokens) {
        return;
    }
    const uint32_t *last = tokens + n->n_tokens - length;
    for (uint32_t end = n->n_tokens - 1; n->n_matched == 0 && end >= n->begin + length; end--) {
        if (memcmp(tokens + end - length, last, length * sizeof(*last)) == 0) {
            n->source = end;
            n->n_matched = length;
        }
    }
}

static void naive_push(naive *n, const uint32_t *tokens)
{
    if (n->n_tokens - n->begin == n->window) {
        n->begin = n->n_tokens - n->window / 2;
    }
    const uint32_t token = tokens[n->n_tokens++];
    if (n->n_matched >= KRS_NGRAM_MAX && tokens[n->source] == token) {
        n->source++;
        n->n_matched++;
        return;
    }
    n->n_matched = 0;
    for (uint32_t length = KRS_NGRAM_MAX; length >= KRS_NGRAM_MIN && n->n_matched == 0; length--) {
        naive_search(n, tokens, length);
    }
}

/* Few different tokens, and now and then a passage copied from before. */
static void make_tokens(uint32_t *tokens, uint32_t n, uint64_t *random)
{
    const uint32_t n_kinds = 2 + (uint32_t)(random_next(random) % 30);
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = (uint32_t)(random_next(random) % n_kinds);
        if (i > 20 && random_next(random) % 40 == 0) {
            const uint32_t from = (uint32_t)(random_next(random) % (i - 10));
            uint32_t n_copied = (uint32_t)(random_next(random) % 30);
            for (uint32_t k = 0; k < n_copied && i < n; k++) {
                tokens[i++] = tokens[from + k];
            }
            i--;
        }
    }
}

static void compare(const krs_ngram *ngram, const naive *n, const uint32_t *tokens)
{
    assert_int_equal(krs_ngram_n_matched(ngram), n->n_matched);
    if (n->n_matched == 0) {
        return;
    }
    uint32_t proposed[12];
    krs_ngram_propose(ngram, tokens, 12, proposed);
    const uint32_t period = n->n_tokens - n->source;
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(proposed[i], tokens[n->source + i % period]);
    }
}

static void says_what_a_search_of_the_whole_sequence_says(void **state)
{
    (void)state;
    static uint32_t tokens[400];
    const char *text = getenv("KRS_SEED");
    uint64_t random = text ? strtoull(text, NULL, 10) : 20261122;
    print_message("seed %llu\n", (unsigned long long)random);
    for (uint32_t round = 0; round < 200; round++) {
        const uint32_t n = 1 + (uint32_t)(random_next(&random) % 400);
        make_tokens(tokens, n, &random);
        /* Room for fewer than come: the window moves on. */
        const uint32_t max_tokens = 1 + (uint32_t)(random_next(&random) % n);
        krs_ngram *ngram = NULL;
        assert_int_equal(krs_ngram_new(max_tokens, NULL, &ngram), KRS_OK);
        naive twin = {.window = 64};
        while (twin.window < max_tokens) {
            twin.window *= 2;
        }
        while (twin.n_tokens < n) {
            naive_push(&twin, tokens);
            krs_ngram_extend(ngram, tokens, twin.n_tokens);
            compare(ngram, &twin, tokens);
        }
        krs_ngram_free(ngram);
    }
}

static void many_tokens_at_once_are_as_one_by_one(void **state)
{
    (void)state;
    static uint32_t tokens[400];
    uint64_t random = 7;
    make_tokens(tokens, 400, &random);
    krs_ngram *a = NULL;
    krs_ngram *b = NULL;
    assert_int_equal(krs_ngram_new(400, NULL, &a), KRS_OK);
    assert_int_equal(krs_ngram_new(400, NULL, &b), KRS_OK);
    for (uint32_t n = 1; n <= 400; n++) {
        krs_ngram_extend(a, tokens, n);
        if (n % 50 == 0) {
            krs_ngram_extend(b, tokens, n);
            assert_int_equal(krs_ngram_n_matched(a), krs_ngram_n_matched(b));
        }
    }
    krs_ngram_free(a);
    krs_ngram_free(b);
}

static void a_loop_is_proposed_round_and_round(void **state)
{
    (void)state;
    const uint32_t tokens[] = {9, 1, 2, 3, 1, 2, 3};
    uint32_t proposed[7];
    krs_ngram *ngram = NULL;
    assert_int_equal(krs_ngram_new(7, NULL, &ngram), KRS_OK);
    krs_ngram_extend(ngram, tokens, 7);
    krs_ngram_propose(ngram, tokens, 7, proposed);
    const uint32_t expected[] = {1, 2, 3, 1, 2, 3, 1};
    assert_memory_equal(proposed, expected, sizeof(expected));
    krs_ngram_free(ngram);
}

static void long_sequences_cost_bounded_memory_and_no_allocation(void **state)
{
    (void)state;
    uint32_t *tokens = malloc(LONGEST * sizeof(*tokens));
    assert_non_null(tokens);
    for (uint32_t i = 0; i < LONGEST; i++) {
        tokens[i] = i % 5000; /* runs of 5000 tokens, seen again and again */
    }
    assert_true(krs_ngram_bytes(LONGEST) <= (256u << 10) + 128);
    assert_int_equal(krs_ngram_bytes(LONGEST), krs_ngram_bytes(1u << 30));
    counted c = {0};
    const krs_alloc alloc = counted_alloc(&c);
    krs_ngram *ngram = NULL;
    assert_int_equal(krs_ngram_new(LONGEST, &alloc, &ngram), KRS_OK);
    assert_int_equal(c.n_takes, 1);
    assert_int_equal(c.n_bytes, krs_ngram_bytes(LONGEST));
    krs_ngram_extend(ngram, tokens, LONGEST);
    assert_int_equal(c.n_takes, 1);
    assert_true(krs_ngram_n_matched(ngram) > KRS_NGRAM_MAX);
    uint32_t next = 0;
    krs_ngram_propose(ngram, tokens, 1, &next);
    assert_int_equal(next, LONGEST % 5000);
    krs_ngram_free(ngram);
    free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_search_of_the_whole_sequence_says),
        cmocka_unit_test(many_tokens_at_once_are_as_one_by_one),
        cmocka_unit_test(a_loop_is_proposed_round_and_round),
        cmocka_unit_test(long_sequences_cost_bounded_memory_and_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
