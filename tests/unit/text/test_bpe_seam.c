/* text/bpe_seam: pieces cut at seams, and the caches behind them, give what merging the whole piece by the
 * book gives. Vocabularies are random: bytes and characters of one to four bytes, merges of whatever
 * there is (so tokens begin and end inside characters), and tokens that no merge makes. */
#include "support/cmocka.h"
#include "text/bpe.h"
#include "text/bpe_seam.h"
#include "text/bytelevel.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>

#define SEED_DEFAULT   5u
#define N_BYTES        256
#define MAX_TOKENS     700
#define MAX_TEXT       40 /* bytes of a token */
#define MAX_WORD       400
#define N_VOCABULARIES 60
#define N_WORDS        150

typedef struct raw {
    char bytes[MAX_TEXT];
    size_t n;
    bool
        is_named; /* the file's spelling has "<0xE4>" in it, so no text is looked up as this token */
} raw;

/* Tokens 0..255 are the bytes; the others by id. */
typedef struct twin {
    bool is_byte_level;
    bool is_whole_word_ok;
    raw texts[MAX_TOKENS];
    size_t n_tokens;
    uint32_t left[MAX_TOKENS];
    uint32_t right[MAX_TOKENS];
    uint32_t made[MAX_TOKENS];
    size_t n_merges;
} twin;

static const char *const letters[] = {"a",
                                      "b",
                                      "\xC3\xA9",
                                      "\xC3\xA8",
                                      "\xE6\x97\xA5",
                                      "\xE6\x9C\xAC",
                                      "\xE3\x81\x82",
                                      "\xE3\x82\x82",
                                      "\xE2\x96\x81",
                                      "\xF0\x9F\x98\x80"};
#define N_LETTERS (sizeof(letters) / sizeof(letters[0]))

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static int find(const twin *w, krs_str text, size_t from)
{
    for (size_t i = from; i < w->n_tokens; i++) {
        if (krs_str_equal((krs_str){w->texts[i].bytes, w->texts[i].n}, text)) {
            return (int)i;
        }
    }
    return -1;
}

/* The token that a piece or character of text is, or -1. */
static int look_up(const twin *w, krs_str text)
{
    const int id = find(w, text, w->is_byte_level ? 0 : N_BYTES);
    return id >= 0 && w->texts[id].is_named ? -1 : id;
}

static void add_token(twin *w, krs_str text)
{
    raw *token = &w->texts[w->n_tokens++];
    memcpy(token->bytes, text.ptr, text.len);
    token->n = text.len;
}

static bool is_byte(uint32_t id)
{
    return id < N_BYTES;
}

/* Half of a merge: a byte of one of the letters, where bytes may merge, or a later token. */
static uint32_t draw_half(const twin *w, uint64_t *random, bool may_be_byte)
{
    const char *letter = letters[next(random, N_LETTERS)];
    const size_t n_later = w->n_tokens - N_BYTES;
    if (n_later == 0 || (may_be_byte && next(random, 3) == 0)) {
        return (uint8_t)letter[next(random, (uint32_t)strlen(letter))];
    }
    return N_BYTES + next(random, (uint32_t)n_later);
}

/* Of fallback: spelled as the name of a byte, not as a letter. */
static bool has_name(const twin *w, uint32_t id)
{
    return !w->is_byte_level && (is_byte(id) || w->texts[id].is_named);
}

/* A token of two there are, and mostly the merge that makes it; nothing when it is too long or there. */
static void invent_token(twin *w, uint64_t *random, bool may_be_byte)
{
    const uint32_t left = draw_half(w, random, may_be_byte);
    const uint32_t right = draw_half(w, random, may_be_byte);
    char sum[2 * MAX_TEXT];
    const size_t n = w->texts[left].n + w->texts[right].n;
    memcpy(sum, w->texts[left].bytes, w->texts[left].n);
    memcpy(sum + w->texts[left].n, w->texts[right].bytes, w->texts[right].n);
    if (n >= MAX_TEXT || find(w, (krs_str){sum, n}, 0) >= 0 ||
        (!may_be_byte && (is_byte(left) || is_byte(right)))) {
        return;
    }
    if (next(random, 8) > 0) { /* else a token that no merge makes */
        w->texts[w->n_tokens].is_named = has_name(w, left) || has_name(w, right);
        w->left[w->n_merges] = left;
        w->right[w->n_merges] = right;
        w->made[w->n_merges++] = (uint32_t)w->n_tokens;
    }
    add_token(w, (krs_str){sum, n});
}

/* The bytes; with fallback, some of the letters; then merges of what there is. Bytes of fallback merge
 * only if has_byte_merges. */
static void invent(twin *w, uint64_t *random, bool has_byte_merges)
{
    for (unsigned byte = 0; byte < N_BYTES; byte++) {
        const char c = (char)byte;
        add_token(w, (krs_str){&c, 1});
    }
    for (size_t i = 0; i < N_LETTERS; i++) {
        if (!w->is_byte_level && next(random, 4) > 0) {
            add_token(w, krs_str_of(letters[i]));
        }
    }
    for (uint32_t i = next(random, MAX_TOKENS - N_BYTES - N_LETTERS - 1); i > 0; i--) {
        invent_token(w, random, w->is_byte_level || has_byte_merges);
    }
}

/* How the file spells a token. A merged byte of fallback has its name inside. */
static void spell(const twin *w, uint32_t id, krs_buf *out)
{
    for (size_t m = 0; m < w->n_merges && !w->is_byte_level; m++) {
        if (w->made[m] == id) {
            spell(w, w->left[m], out);
            spell(w, w->right[m], out);
            return;
        }
    }
    if (w->is_byte_level) {
        for (size_t i = 0; i < w->texts[id].n; i++) {
            char c[KRS_UTF8_MAX_BYTES];
            const size_t n = krs_utf8_encode(krs_bytelevel_char((uint8_t)w->texts[id].bytes[i]), c);
            assert_int_equal(krs_buf_append(out, c, n), KRS_OK);
        }
    } else if (id < N_BYTES) {
        assert_int_equal(krs_buf_printf(out, "<0x%02X>", id), KRS_OK);
    } else {
        assert_int_equal(krs_buf_append(out, w->texts[id].bytes, w->texts[id].n), KRS_OK);
    }
}

static krs_vocab vocab_of(const twin *w)
{
    krs_vocab vocab;
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 16);
    assert_int_equal(krs_vocab_init(&vocab, NULL, w->n_tokens, w->n_tokens, 1u << 20), KRS_OK);
    for (uint32_t id = 0; id < w->n_tokens; id++) {
        krs_buf_reset(&text);
        spell(w, id, &text);
        assert_true(krs_vocab_add(&vocab, id, krs_buf_view(&text)));
    }
    krs_buf_deinit(&text);
    return vocab;
}

static krs_text_model model_of(const twin *w, const krs_vocab *vocab)
{
    krs_bpe_options options = KRS_BPE_OPTIONS_INIT;
    options.is_byte_level = w->is_byte_level;
    options.has_byte_fallback = !w->is_byte_level;
    options.is_whole_word_ok = w->is_whole_word_ok;
    krs_bpe *bpe;
    assert_int_equal(krs_bpe_new(vocab, &options, w->n_merges, NULL, &bpe, NULL), KRS_OK);
    krs_buf text[2];
    krs_buf_init(&text[0], NULL, 1u << 16);
    krs_buf_init(&text[1], NULL, 1u << 16);
    for (size_t m = 0; m < w->n_merges; m++) {
        krs_buf_reset(&text[0]);
        krs_buf_reset(&text[1]);
        spell(w, w->left[m], &text[0]);
        spell(w, w->right[m], &text[1]);
        assert_int_equal(
            krs_bpe_add_merge(bpe, krs_buf_view(&text[0]), krs_buf_view(&text[1]), NULL), KRS_OK);
    }
    krs_buf_deinit(&text[0]);
    krs_buf_deinit(&text[1]);
    return krs_bpe_seal(bpe);
}

static size_t first_symbols(const twin *w, krs_str word, uint32_t *ids)
{
    size_t n_ids = 0;
    for (size_t i = 0, n = 1; i < word.len; i += n) {
        int id = -1;
        if (!w->is_byte_level) {
            (void)krs_utf8_decode((krs_str){word.ptr + i, word.len - i}, &n);
            id = look_up(w, (krs_str){word.ptr + i, n});
        }
        for (size_t k = 0; id < 0 && k < n; k++) {
            ids[n_ids++] = (uint8_t)word.ptr[i + k];
        }
        if (id >= 0) {
            ids[n_ids++] = (uint32_t)id;
        }
    }
    return n_ids;
}

/* By the book: again and again the first merge of the list that applies, at its leftmost place. */
static size_t encode_naively(const twin *w, krs_str word, uint32_t *ids)
{
    const int whole = w->is_whole_word_ok ? look_up(w, word) : -1;
    if (whole >= 0) {
        ids[0] = (uint32_t)whole;
        return 1;
    }
    size_t n = first_symbols(w, word, ids);
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

static void check_words(const twin *w, const krs_text_model *model, uint64_t *random)
{
    void *scratch = model->ops->scratch_new(model->self, NULL);
    assert_non_null(scratch);
    krs_idlist got;
    krs_idlist_init(&got, NULL, MAX_WORD);
    for (size_t i = 0; i < N_WORDS; i++) {
        char word[MAX_WORD];
        uint32_t want[MAX_WORD];
        size_t n_word = 0;
        const uint32_t n_letters = 1 + next(random, i % 3 == 0 ? 90 : 8);
        const uint32_t n_kinds = 1 + next(random, N_LETTERS);
        for (uint32_t k = 0; k < n_letters; k++) {
            const char *letter = letters[next(random, n_kinds)];
            memcpy(word + n_word, letter, strlen(letter));
            n_word += strlen(letter);
        }
        const size_t n_want = encode_naively(w, (krs_str){word, n_word}, want);
        for (int again = 0; again < 2; again++) { /* the second time out of the caches */
            got.n = 0;
            assert_int_equal(
                model->ops->encode(model->self, scratch, (krs_str){word, n_word}, &got, NULL),
                KRS_OK);
            assert_int_equal(got.n, n_want);
            assert_memory_equal(got.ids, want, n_want * sizeof(want[0]));
        }
    }
    krs_idlist_deinit(&got);
    model->ops->scratch_free(scratch);
}

static void check_kind(bool is_byte_level, bool has_byte_merges)
{
    const char *text = getenv("KRS_TEST_SEED");
    uint64_t random = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("seed %llu (KRS_TEST_SEED)\n", (unsigned long long)random);
    for (size_t i = 0; i < N_VOCABULARIES; i++) {
        twin *w = calloc(1, sizeof(*w));
        assert_non_null(w);
        w->is_byte_level = is_byte_level;
        w->is_whole_word_ok = next(&random, 2) == 0;
        invent(w, &random, has_byte_merges);
        krs_vocab vocab = vocab_of(w);
        const krs_text_model model = model_of(w, &vocab);
        check_words(w, &model, &random);
        model.ops->free(model.self);
        krs_vocab_deinit(&vocab);
        free(w);
    }
}

static void byte_level_pieces_merge_by_the_book(void **state)
{
    (void)state;
    check_kind(true, true);
}

static void pieces_with_byte_fallback_merge_by_the_book(void **state)
{
    (void)state;
    check_kind(false, false);
}

static void merged_bytes_of_fallback_undo_the_seams(void **state)
{
    (void)state;
    check_kind(false, true);
}

typedef struct list {
    const char *const *texts;
} list;

static krs_str text_at(void *ctx, uint32_t i)
{
    const list *all = ctx;
    return krs_str_of(all->texts[i]);
}

/* Where the piece is cut, seam by seam, as "|". */
static void check_cuts(const char *const *texts, uint32_t n, const char *piece, const char *want)
{
    krs_bpe_seams seams;
    list all = {texts};
    assert_int_equal(krs_bpe_seams_build(&seams, NULL, n, text_at, &all), KRS_OK);
    char got[200];
    size_t n_got = 0;
    krs_str rest = krs_str_of(piece);
    while (rest.len > 0) {
        const size_t n_part = krs_bpe_seams_next(&seams, rest);
        n_got += (size_t)snprintf(got + n_got, sizeof(got) - n_got, "%s%.*s", n_got > 0 ? "|" : "",
                                  (int)n_part, rest.ptr);
        rest = (krs_str){rest.ptr + n_part, rest.len - n_part};
    }
    assert_string_equal(got, want);
    krs_bpe_seams_deinit(&seams, NULL);
}

static void a_place_that_no_token_crosses_is_a_seam(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xE6\x97\xA5\xE6\x9C\xAC", /* U+65E5 U+672C */
        "a\xE3\x81",                /* ends inside U+3042 and its like */
        "\xA9\xE6",                 /* begins inside U+00E9, ends inside U+65E5 */
    };
    check_cuts(texts, 3, "\xE6\x97\xA5\xE6\x9C\xAC\xE6\x97\xA5",
               "\xE6\x97\xA5\xE6\x9C\xAC|\xE6\x97\xA5");
    check_cuts(texts, 3, "a\xE3\x81\x82", "a\xE3\x81\x82");
    check_cuts(texts, 3, "a\xE3\x82\x82", "a|\xE3\x82\x82");
    check_cuts(texts, 3, "b\xE3\x81\x82", "b|\xE3\x81\x82");
    check_cuts(texts, 3, "\xC3\xA9\xE6\x97\xA5", "\xC3\xA9\xE6\x97\xA5");
    check_cuts(texts, 3, "\xC3\xA8\xE6\x97\xA5", "\xC3\xA8|\xE6\x97\xA5");
    static const char *const inside[] = {"\x97\xA5\xE3"}; /* the last two bytes of U+65E5 */
    check_cuts(inside, 1, "\xE6\x97\xA5\xE3\x82\x82", "\xE6\x97\xA5\xE3\x82\x82");
    check_cuts(inside, 1, "\xE6\x98\xA5\xE3\x82\x82", "\xE6\x98\xA5|\xE3\x82\x82");
    check_cuts(texts, 3, "a\xC3\xA9", "a\xC3\xA9"); /* two bytes: not looked at */
    static const char *const ascii[] = {"ab", "xbc"};
    check_cuts(ascii, 2, "abc\nab\n", "abc|\n|ab|\n");
    check_cuts(ascii, 2, "acxb", "a|c|xb");
    check_cuts(texts, 3, "\xF0\x9F\x98\x80\xE6\x97\xA5", "\xF0\x9F\x98\x80\xE6\x97\xA5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_that_no_token_crosses_is_a_seam),
        cmocka_unit_test(byte_level_pieces_merge_by_the_book),
        cmocka_unit_test(pieces_with_byte_fallback_merge_by_the_book),
        cmocka_unit_test(merged_bytes_of_fallback_undo_the_seams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
