/* tests/unit/engine/test_answer_edges.c - what is told of an answer, and when, at all its edges: characters made of
 * several tokens, stop strings across tokens and characters, min_tokens, forced tokens; against a naive twin that
 * looks at the whole text each time.
 *
 * Of every event: its text is whole characters; all that is certain has been told, and nothing that may still become
 * a stop string. Of every token: its bytes, put together, are the text, and text_at is where they stand. */
#include "base/utf8.h"
#include "support/engine_fixture.h"

#define MAX_EDGE_TOKENS 64u
#define MAX_EDGE_BYTES  1024u
#define N_ROUNDS        48u

typedef struct edge_token {
    char bytes[64];
    size_t n_bytes;
    uint32_t text_at;
    uint32_t told; /* bytes of text that were told with its event and those before */
    bool is_last;  /* of its event */
} edge_token;

typedef struct edge {
    engine_fixture *fixture;
    edge_token tokens[MAX_EDGE_TOKENS];
    uint32_t n_tokens;
    char text[MAX_EDGE_BYTES];
    size_t n_text;
    size_t n_of_tokens; /* bytes of text that tokens account for */
    bool is_ended;
    krs_finish finish;
    uint32_t stop;
} edge;

/* A reader sees no half of a character. */
static bool is_whole(krs_str text)
{
    size_t i = 0;
    while (i < text.len) {
        const size_t n = krs_utf8_length(text.ptr + i, text.len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

static void note_event(edge *e, const krs_stream_event *event)
{
    assert_true(is_whole(event->text));
    assert_true(e->n_text + event->text.len <= MAX_EDGE_BYTES);
    if (event->text.len > 0) {
        memcpy(e->text + e->n_text, event->text.ptr, event->text.len);
    }
    e->n_text += event->text.len;
    for (uint32_t i = 0; i < event->n_tokens; i++) {
        const krs_token *token = &event->tokens[i];
        assert_true(e->n_tokens < MAX_EDGE_TOKENS &&
                    token->bytes.len <= sizeof(e->tokens[0].bytes));
        edge_token *to = &e->tokens[e->n_tokens++];
        memcpy(to->bytes, token->bytes.ptr, token->bytes.len);
        to->n_bytes = token->bytes.len;
        to->text_at = token->text_at;
        to->is_last = i + 1 == event->n_tokens;
        to->told = (uint32_t)e->n_text;
        e->n_of_tokens += token->n_text;
    }
    e->is_ended = event->is_end;
    e->finish = event->finish;
    e->stop = event->usage.stop;
}

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    edge *e = ctx;
    krs_os_mutex_lock(e->fixture->lock);
    for (uint32_t i = 0; i < n; i++) {
        note_event(e, &events[i]);
    }
    krs_os_cond_broadcast(e->fixture->changed);
    krs_os_mutex_unlock(e->fixture->lock);
}

static void answer(engine_fixture *f, krs_request *request, edge *e)
{
    krs_error err = KRS_ERROR_INIT;
    uint64_t id;
    memset(e, 0, sizeof(*e));
    e->fixture = f;
    const krs_sink sink = {e, deliver};
    if (krs_runtime_open(f->runtime, request, &sink, NULL, &id, &err) != KRS_OK) {
        fail_msg("ask: %s", err.message);
    }
    krs_os_mutex_lock(f->lock);
    while (!e->is_ended) {
        krs_os_cond_wait(f->changed, f->lock);
    }
    krs_os_mutex_unlock(f->lock);
}

/* ---- the twin ---- */

typedef struct twin {
    const krs_stopping *stopping;
    char bytes[MAX_EDGE_BYTES + 64]; /* of all tokens so far */
    size_t n_bytes;
    size_t n_whole; /* of them, whole characters */
    uint32_t n_chars;
    size_t end;     /* where a stop string ended the text, or SIZE_MAX */
    size_t stop_at; /* where it begins */
} twin;

/* Does a stop string end at byte n? The longest. */
static size_t stop_before(const twin *t, size_t n)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < t->stopping->n_stops; i++) {
        const krs_str stop = t->stopping->stops[i];
        if (stop.len <= n && stop.len > longest &&
            memcmp(t->bytes + n - stop.len, stop.ptr, stop.len) == 0) {
            longest = stop.len;
        }
    }
    return longest;
}

/* How many bytes at the end of the whole characters may yet become a stop string? */
static size_t held(const twin *t)
{
    size_t most = 0;
    for (uint32_t i = 0; i < t->stopping->n_stops; i++) {
        const krs_str stop = t->stopping->stops[i];
        for (size_t n = most + 1; n < stop.len && n <= t->n_whole; n++) {
            most = memcmp(t->bytes + t->n_whole - n, stop.ptr, n) == 0 ? n : most;
        }
    }
    return most;
}

static void twin_add(twin *t, const edge_token *token, uint32_t n_tokens)
{
    const size_t before = t->n_whole;
    if (token->n_bytes > 2 && memcmp(token->bytes, "<|", 2) == 0) {
        return; /* special: never shown */
    }
    memcpy(t->bytes + t->n_bytes, token->bytes, token->n_bytes);
    t->n_bytes += token->n_bytes;
    size_t n;
    while ((n = krs_utf8_length(t->bytes + t->n_whole, t->n_bytes - t->n_whole)) > 0) {
        t->n_whole += n;
        t->n_chars++;
    }
    for (size_t at = before + 1; at <= t->n_whole && t->end == SIZE_MAX; at++) {
        const size_t len = stop_before(t, at);
        if (len > 0 && n_tokens >= t->stopping->min_tokens) {
            t->end = at;
            t->stop_at = at - len;
        }
    }
}

/* Bytes of the text, when it is over. */
static size_t end_of(const twin *t)
{
    if (t->end == SIZE_MAX) {
        return t->n_whole;
    }
    return t->stopping->has_stop_text ? t->end : t->stop_at;
}

static void check(const edge *e, const krs_stopping *stopping)
{
    static twin t;
    memset(&t, 0, sizeof(t));
    t.stopping = stopping;
    t.end = SIZE_MAX;
    for (uint32_t i = 0; i < e->n_tokens; i++) {
        assert_int_equal(e->tokens[i].text_at, t.n_chars);
        assert_true(t.end == SIZE_MAX); /* nothing comes behind a stop string */
        twin_add(&t, &e->tokens[i], i + 1);
        const bool is_end = i + 1 == e->n_tokens;
        if (e->tokens[i].is_last && !is_end) {
            assert_int_equal(e->tokens[i].told, t.n_whole - held(&t));
        }
    }
    const size_t want = end_of(&t);
    if (e->n_text < want || memcmp(e->text, t.bytes, want) != 0) {
        fail_msg("told \"%.*s\", want \"%.*s\"", (int)e->n_text, e->text, (int)want, t.bytes);
    }
    /* An answer cut in the midst of a character ends with the sign for that. */
    const bool is_cut = t.end == SIZE_MAX && t.n_whole < t.n_bytes;
    assert_int_equal(e->n_text, want + (is_cut ? 3 : 0));
    assert_int_equal(e->stop > 0, t.end != SIZE_MAX);
    assert_true(t.end == SIZE_MAX || e->finish == KRS_FINISH_STOP);
    assert_true(e->n_of_tokens <= e->n_text);
}

/* ---- requests ---- */

#define SMILE "\xF0\x9F\x98\x80"
#define KANJI "\xE6\xBC\xA2"
#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    } /* of a static table */

static const krs_str stop_lists[][2] = {
    {TEXT(SMILE SMILE), TEXT(KANJI "a")},
    {TEXT("he o"), TEXT(" " KANJI)},
    {TEXT("aba"), TEXT(SMILE " " SMILE KANJI)},
    {TEXT("never said"), TEXT("\xC3\xA9")},
};

static krs_guide guide_of(uint32_t i)
{
    static const krs_guide guides[] = {
        {.kind = KRS_GUIDE_LITERAL,
         .text = TEXT("The other " KANJI SMILE " " SMILE "caf\xC3\xA9 ab" SMILE SMILE " " KANJI
                      "abab.")},
        {.kind = KRS_GUIDE_REGEX, .text = TEXT("[ab \xC3\xA9" KANJI SMILE "]{4,40}")},
        {.kind = KRS_GUIDE_REGEX,
         .text = TEXT("(" SMILE SMILE "|" SMILE " |aba|" KANJI "){3,12}[.!]")},
    };
    return guides[i % 3];
}

static krs_request *round_request(uint32_t i)
{
    krs_request *r = question(i % 8 == 7 ? "Tell me a story about a fox." : "Say something.");
    r->sampling.temperature =
        i % 4 == 3 ? 0.5 : 1.5; /* no broken characters, where nothing forbids them */
    r->sampling.seed = i;
    r->sampling.n_logprobs = i % 2 ? 1 : -1;
    r->stopping.max_tokens = MAX_EDGE_TOKENS;
    r->stopping.stops = stop_lists[i % 4];
    r->stopping.n_stops = i % 5 == 4 ? 0 : 2;
    r->stopping.has_stop_text = i / 4 % 2 == 1;
    r->stopping.min_tokens = i % 3 == 2 ? 9 : 0;
    r->stopping.is_eos_ignored = i % 7 == 3;
    if (i % 4 != 3) {
        r->guidance = (krs_guidance){
            .kind = KRS_GUIDANCE_REGEX, .root = guide_of(i / 2), .field = "guided_regex"};
    }
    return r;
}

static void edges_are_where_the_twin_sees_them(void **state)
{
    static edge e;
    uint32_t n_stopped = 0;
    uint32_t n_split = 0; /* tokens that end within a character */
    for (uint32_t i = 0; i < N_ROUNDS; i++) {
        krs_request *request = round_request(i);
        const krs_stopping stopping = request->stopping; /* its strings are static */
        answer(*state, request, &e);
        check(&e, &stopping);
        n_stopped += e.stop > 0;
        for (uint32_t k = 1; k < e.n_tokens; k++) {
            n_split += e.tokens[k].text_at == e.tokens[k - 1].text_at;
        }
    }
    printf("%u of %u ended by a stop string, %u tokens within characters\n", n_stopped, N_ROUNDS,
           n_split);
    assert_true(n_stopped > N_ROUNDS / 8 && n_stopped < N_ROUNDS && n_split > N_ROUNDS);
}

static int open_demo(void **state)
{
    static engine_fixture f;
    const krs_engine_options options = fixture_options();
    f = fixture_open(&options);
    *state = &f;
    return 0;
}

static int close_demo(void **state)
{
    fixture_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(edges_are_where_the_twin_sees_them)};
    return cmocka_run_group_tests(tests, open_demo, close_demo);
}
