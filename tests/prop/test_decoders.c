/* tests/prop/test_decoders.c - chains of decoders against a naive twin that has all tokens at once and takes
 * the Rust library's definitions literally, a list of strings to a list of strings. Random chains over random
 * tokens; always:
 *
 *   - krs_decode gives what the twin gives;
 *   - the stream's pieces, joined, are the same, each a beginning of the whole, never half a character;
 *   - a chain that cannot stream is refused by name, and only such a chain.
 *
 * The seed is printed; KRS_PROP_SEED runs other worlds. */
#include "support/tokenizers.h"
#include "text/bytelevel.h"
#include "text/unicode.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAINS 400
#else
#define CHAINS 6000
#endif
#define LISTS        12 /* of tokens for each chain */
#define MAX_STEPS    4
#define MAX_LIST     14
#define TOKEN_BYTES  1024
#define SEED_DEFAULT 20260214u

static const char *const vocabulary[] = {
    "a",
    "b",
    "_a",
    "_",
    "##a",
    "##",
    ".",
    "n't",
    "do not",
    "<0xC3>",
    "<0xA9>",
    "<0x41>",
    "b</w>",
    "</w>",
    "x",
    "\xC3\xA9",
    "\xC4\xA0"
    "a",
    "'s",
    "aa",
    " ",
    "_a_",
    "__",
    "b_b",
    "?",
    "\xC3\x83",
    "\xC2\xA9",
    "<0x4>",
    "a b",
};
#define N_TOKENS (sizeof(vocabulary) / sizeof(vocabulary[0]))

typedef struct list {
    char tokens[MAX_LIST][TOKEN_BYTES];
    size_t n;
} list;

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static void add(char *to, const char *text, size_t n)
{
    const size_t at = strlen(to);
    assert_true(at + n < TOKEN_BYTES);
    (void)memcpy(to + at, text, n);
    to[at + n] = '\0';
}

static void replace(char *token, const char *from, const char *to)
{
    char out[TOKEN_BYTES] = "";
    const char *at = token;
    for (const char *hit = strstr(at, from); hit; hit = strstr(at, from)) {
        add(out, at, (size_t)(hit - at));
        add(out, to, strlen(to));
        at = hit + strlen(from);
    }
    add(out, at, strlen(at));
    (void)memcpy(token, out, sizeof(out));
}

static void clean_up(char *token)
{
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        replace(token, rules[i][0], rules[i][1]);
    }
}

static void fuse(list *l)
{
    for (size_t i = 1; i < l->n; i++) {
        add(l->tokens[0], l->tokens[i], strlen(l->tokens[i]));
    }
    if (l->n == 0) {
        l->tokens[0][0] = '\0';
    }
    l->n = 1;
}

static void replace_underscore(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        replace(l->tokens[i], "_", " ");
    }
}

static void replace_pair(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        replace(l->tokens[i], "aa", "b");
    }
}

static void replace_a_by_nothing(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        replace(l->tokens[i], "a", "");
    }
}

static void replace_class(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        for (char *c = l->tokens[i]; *c; c++) {
            *c = *c == 'a' || *c == 'b' ? '-' : *c;
        }
    }
}

/* The end of a run of n byte tokens. */
static void end_bytes(list *out, char *bytes, size_t *n)
{
    if (*n > 0 && krs_utf8_valid_prefix((krs_str){bytes, *n}) == *n) {
        out->tokens[out->n][0] = '\0';
        add(out->tokens[out->n++], bytes, *n);
    } else {
        for (size_t i = 0; i < *n; i++) {
            (void)snprintf(out->tokens[out->n++], TOKEN_BYTES, "\xEF\xBF\xBD");
        }
    }
    *n = 0;
}

static void byte_fallback(list *l)
{
    list out = {.n = 0};
    char bytes[MAX_LIST];
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        const char *token = l->tokens[i];
        if (strlen(token) == 6 && strncmp(token, "<0x", 3) == 0 && token[5] == '>') {
            bytes[n++] = (char)strtoul(token + 3, NULL, 16);
        } else {
            end_bytes(&out, bytes, &n);
            (void)memcpy(out.tokens[out.n++], token, TOKEN_BYTES);
        }
    }
    end_bytes(&out, bytes, &n);
    *l = out;
}

/* Two spaces in front and one behind, of each token. */
static void strip(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        char *token = l->tokens[i];
        size_t n = strspn(token, " ");
        n = n > 2 ? 2 : n;
        memmove(token, token + n, strlen(token) - n + 1);
        n = strlen(token);
        if (n > 0 && token[n - 1] == ' ') {
            token[n - 1] = '\0';
        }
    }
}

static void metaspace(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        replace(l->tokens[i], "_", i == 0 ? "" : " ");
    }
}

static void wordpiece(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        char *token = l->tokens[i];
        char out[TOKEN_BYTES] = "";
        const bool goes_on = strncmp(token, "##", 2) == 0;
        add(out, i > 0 && !goes_on ? " " : "", i > 0 && !goes_on);
        add(out, token + (i > 0 && goes_on ? 2 : 0), strlen(token) - (i > 0 && goes_on ? 2 : 0));
        clean_up(out);
        (void)memcpy(token, out, sizeof(out));
    }
}

static void bpe(list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        replace(l->tokens[i], "</w>", i + 1 == l->n ? "" : " ");
    }
}

static void ctc(list *l)
{
    list out = {.n = 0};
    for (size_t i = 0; i < l->n; i++) {
        char *to = out.tokens[out.n];
        (void)memcpy(to, l->tokens[i], TOKEN_BYTES);
        replace(to, "b", "");
        clean_up(to);
        replace(to, "_", " ");
        out.n += to[0] != '\0' && (i == 0 || strcmp(l->tokens[i], l->tokens[i - 1]) != 0);
    }
    *l = out;
}

/* The bytes of all tokens that are spelled in the alphabet, of others as they are, as one text. */
static void bytelevel(list *l)
{
    krs_buf bytes;
    krs_buf text;
    krs_buf_init(&bytes, NULL, 1u << 16);
    krs_buf_init(&text, NULL, 1u << 16);
    for (size_t i = 0; i < l->n; i++) {
        const size_t before = bytes.len;
        krs_str rest = krs_str_of(l->tokens[i]);
        while (rest.len > 0) {
            size_t n;
            const int byte = krs_bytelevel_byte(krs_utf8_decode(rest, &n));
            if (byte < 0) {
                bytes.len = before;
                assert_int_equal(krs_buf_append_str(&bytes, krs_str_of(l->tokens[i])), KRS_OK);
                break;
            }
            assert_int_equal(krs_buf_append_char(&bytes, (char)byte), KRS_OK);
            rest = (krs_str){rest.ptr + n, rest.len - n};
        }
    }
    assert_int_equal(krs_utf8_repair(krs_buf_view(&bytes), &text), KRS_OK);
    l->tokens[0][0] = '\0';
    add(l->tokens[0], text.data ? text.data : "", text.len);
    l->n = 1;
    krs_buf_deinit(&bytes);
    krs_buf_deinit(&text);
}

static const struct {
    const char *json;
    void (*apply)(list *l);
    bool is_fusing;     /* what follows sees one token */
    bool cannot_follow; /* a fusing one */
} steps[] = {
    {"{\"type\":\"Fuse\"}", fuse, true, false},
    {"{\"type\":\"ByteLevel\"}", bytelevel, true, true},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},\"content\":\" \"}", replace_underscore,
     false, false},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"b\"}", replace_pair,
     false, false},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"\"}", replace_a_by_nothing,
     false, false},
    {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[ab]\"},\"content\":\"-\"}", replace_class,
     false, true},
    {"{\"type\":\"ByteFallback\"}", byte_fallback, false, true},
    {"{\"type\":\"Strip\",\"content\":\" \",\"start\":2,\"stop\":1}", strip, false, false},
    {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\"}", metaspace,
     false, false},
    {"{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", wordpiece, false, true},
    {"{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}", bpe, false, true},
    {"{\"type\":\"CTC\",\"pad_token\":\"b\",\"word_delimiter_token\":\"_\",\"cleanup\":true}", ctc,
     false, true},
};
#define N_KINDS (sizeof(steps) / sizeof(steps[0]))

typedef struct chain {
    size_t kinds[MAX_STEPS];
    size_t n;
    krs_tokenizer *t; /* NULL: refused, as it had to be */
} chain;

static void make_chain(chain *c, uint64_t *random)
{
    char json[4096] = "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{";
    size_t n = strlen(json);
    for (size_t i = 0; i < N_TOKENS; i++) {
        n += (size_t)snprintf(json + n, sizeof(json) - n, "%s\"%s\":%zu", i > 0 ? "," : "",
                              vocabulary[i], i);
    }
    n += (size_t)snprintf(json + n, sizeof(json) - n,
                          "}},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[");
    bool is_fused = false;
    bool is_refused = false;
    c->n = 1 + next(random, MAX_STEPS);
    for (size_t i = 0; i < c->n; i++) {
        c->kinds[i] = next(random, N_KINDS);
        n += (size_t)snprintf(json + n, sizeof(json) - n, "%s%s", i > 0 ? "," : "",
                              steps[c->kinds[i]].json);
        is_refused |= is_fused && steps[c->kinds[i]].cannot_follow;
        is_fused |= steps[c->kinds[i]].is_fusing;
    }
    n += (size_t)snprintf(json + n, sizeof(json) - n, "]}}");
    assert_true(n < sizeof(json));
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_tokenizer_parse(krs_str_of(json), NULL, &c->t, &err);
    if (status != (is_refused ? KRS_EUNSUPPORTED : KRS_OK) ||
        (is_refused && !strstr(err.message, "after Fuse"))) {
        fail_msg("%s: %s", json, err.message);
    }
}

static void tell(const chain *c, const uint32_t *ids, size_t n, krs_str got, krs_str want)
{
    for (size_t i = 0; i < c->n; i++) {
        print_message("  %s\n", steps[c->kinds[i]].json);
    }
    for (size_t i = 0; i < n; i++) {
        print_message("  \"%s\"\n", vocabulary[ids[i]]);
    }
    fail_msg("\"%.*s\", want \"%.*s\"", KRS_STR_ARGS(got), KRS_STR_ARGS(want));
}

static void check_list(const chain *c, const uint32_t *ids, size_t n)
{
    static list twin;
    twin.n = n;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(twin.tokens[i], TOKEN_BYTES, "%s", vocabulary[ids[i]]);
    }
    for (size_t i = 0; i < c->n; i++) {
        steps[c->kinds[i]].apply(&twin);
    }
    fuse(&twin);
    const krs_str want = krs_str_of(twin.tokens[0]);
    krs_detok *d = NULL;
    krs_buf whole;
    krs_buf streamed;
    krs_buf_init(&whole, NULL, 1u << 16);
    krs_buf_init(&streamed, NULL, 1u << 16);
    assert_int_equal(krs_decode(c->t, ids, n, false, &whole, NULL), KRS_OK);
    if (!krs_str_equal(krs_buf_view(&whole), want)) {
        tell(c, ids, n, krs_buf_view(&whole), want);
    }
    assert_int_equal(krs_detok_new(c->t, false, NULL, &d), KRS_OK);
    for (size_t i = 0; i < n; i++) {
        const size_t before = streamed.len;
        assert_int_equal(krs_detok_push(d, ids[i], &streamed), KRS_OK);
        const krs_str piece = {streamed.data ? streamed.data + before : "", streamed.len - before};
        assert_int_equal(krs_utf8_valid_prefix(piece), piece.len);
        if (!krs_str_starts_with(want, krs_buf_view(&streamed))) {
            tell(c, ids, n, krs_buf_view(&streamed), want);
        }
    }
    assert_int_equal(krs_detok_finish(d, &streamed), KRS_OK);
    if (!krs_str_equal(krs_buf_view(&streamed), want)) {
        tell(c, ids, n, krs_buf_view(&streamed), want);
    }
    krs_detok_free(d);
    krs_buf_deinit(&whole);
    krs_buf_deinit(&streamed);
}

static void chains_say_what_a_naive_twin_says(void **state)
{
    (void)state;
    const char *given = getenv("KRS_PROP_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_PROP_SEED=%llu\n", (unsigned long long)random);
    size_t n_open = 0;
    for (int k = 0; k < CHAINS; k++) {
        chain c = {.t = NULL};
        make_chain(&c, &random);
        for (int i = 0; c.t && i < LISTS; i++) {
            uint32_t ids[MAX_LIST];
            const size_t n = next(&random, MAX_LIST + 1);
            for (size_t j = 0; j < n; j++) {
                ids[j] = next(&random, N_TOKENS);
            }
            check_list(&c, ids, n);
        }
        n_open += c.t != NULL;
        krs_tokenizer_free(c.t);
    }
    assert_true(n_open > CHAINS / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_say_what_a_naive_twin_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
