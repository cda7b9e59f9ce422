/* unit/server/test_mutation.c - 10,000 random mutations of valid requests against a live server.
 *
 * Half of them change the body only, under a right Content-Length: each must be answered whole, with a status
 * that is no 500, on one connection that goes on. The other half change any byte of the request and end the
 * sending: the connection must end, and what was answered before must be HTTP. A neighbour streams all the
 * while and must not miss a word; nothing may be left running at the end.
 * The seed is printed; KRS_MUTATION_SEED runs others. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"

#if defined(__SANITIZE_THREAD__)
#define N_MUTATIONS                                                                                \
    1000 /* ten times slower, and after races between few threads that take few requests */
#else
#define N_MUTATIONS 10000
#endif
#define MAX_BYTES 4096

typedef struct dice {
    uint64_t state;
} dice;

static uint32_t roll(dice *d, uint32_t n)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return (uint32_t)((d->state >> 11) % n);
}

static const char *const seeds[][2] = {
    {CHAT, "{\"model\":\"fake\",\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
           "{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":3,\"temperature\":0.5}"},
    {CHAT, "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":"
           "true,\"stream_options\":{\"include_usage\":true},\"n\":2,\"logprobs\":true}"},
    {COMPLETIONS, "{\"model\":\"fake\",\"prompt\":[\"a\",\"b\"],\"max_tokens\":2,\"stop\":[\"x\"],"
                  "\"logit_bias\":{\"5\":-1.5},\"seed\":7}"},
    {COMPLETIONS, "{\"model\":\"fake\",\"prompt\":[1,2,3],\"stream\":true,\"logprobs\":2}"},
    {"/v1/embeddings",
     "{\"model\":\"fake\",\"input\":[\"a\",\"bc\"],\"encoding_format\":\"base64\"}"},
    {"/v1/responses",
     "{\"model\":\"fake\",\"input\":\"hi\",\"stream\":true,\"metadata\":{\"a\":\"b\"}}"},
    {"/v1/messages",
     "{\"model\":\"fake\",\"max_tokens\":3,\"system\":\"s\",\"messages\":[{\"role\":"
     "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],\"stream\":true}"},
    {"/v1/messages/count_tokens",
     "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {"/tokenize", "{\"model\":\"fake\",\"prompt\":\"hi\",\"return_token_strs\":true}"},
    {"/detokenize", "{\"model\":\"fake\",\"tokens\":[104,105]}"},
};

/* What hurts readers of JSON and HTTP more than a random byte does. */
static const char *const pieces[] = {
    "null",    "\"",          "{",         "}",       "[",          "]",        ",",      ":",
    "-1",      "1e999",       "0.1e-400",  "\\u0000", "\\ud800",    "\xC0\xAF", "\xFF",   "true",
    "\r\n",    "\n",          "\r",        " ",       "999999999",  "\"\"",     "\\",     "/**/",
    "\"n\":0", "\"stream\":", "\"stop\":", "NaN",     "4294967296", "{\"a\":",  "[[[[[[", "]]",
};

/* Change text[*n] in place, up to MAX_BYTES. */
static void mutate_once(dice *d, char *text, size_t *n)
{
    const uint32_t at = roll(d, (uint32_t)*n + 1);
    const char *piece = pieces[roll(d, sizeof(pieces) / sizeof(pieces[0]))];
    const size_t n_piece = strlen(piece);
    const size_t n_cut = at < *n ? roll(d, (uint32_t)(*n - at < 16 ? *n - at : 16)) + 1 : 0;
    switch (roll(d, 4)) {
    case 0: /* another byte */
        if (at < *n) {
            text[at] = (char)roll(d, 256);
        }
        break;
    case 1: /* less */
        memmove(text + at, text + at + n_cut, *n - at - n_cut);
        *n -= n_cut;
        break;
    case 2: /* more of what hurts */
        if (*n + n_piece <= MAX_BYTES) {
            memmove(text + at + n_piece, text + at, *n - at);
            memcpy(text + at, piece, n_piece);
            *n += n_piece;
        }
        break;
    default: /* twice the same */
        if (*n + n_cut <= MAX_BYTES) {
            memmove(text + at + n_cut, text + at, *n - at);
            *n += n_cut;
        }
        break;
    }
}

static void mutate(dice *d, char *text, size_t *n)
{
    for (uint32_t i = roll(d, 6) + 1; i > 0; i--) {
        mutate_once(d, text, n);
    }
}

static bool is_clean(int status)
{
    static const int clean[] = {200, 400, 403, 404, 405, 408, 413, 414, 415,
                                417, 422, 429, 431, 501, 503, 504, 505};
    for (size_t i = 0; i < sizeof(clean) / sizeof(clean[0]); i++) {
        if (status == clean[i]) {
            return true;
        }
    }
    return false;
}

static void change_a_body(fixture *f, dice *d, client *c, uint32_t i)
{
    char body[MAX_BYTES];
    char head[256];
    const char *const *seed = seeds[i % (sizeof(seeds) / sizeof(seeds[0]))];
    size_t n = strlen(seed[1]);
    memcpy(body, seed[1], n);
    mutate(d, body, &n);
    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   seed[0], n);
    client_send(c, head);
    client_send_bytes(c, body, n);
    if (!client_read(c, &f->r, true) || !is_clean(f->r.status) ||
        (f->r.status != 200 && !strstr(f->r.body, "\"error\":"))) {
        fail_msg("mutation %u of %s: status %d\n%.*s\n%s", i, seed[0], f->r.status, (int)n, body,
                 f->r.body);
    }
}

static void change_anything(const fixture *f, dice *d, uint32_t i)
{
    char text[MAX_BYTES];
    const char *const *seed = seeds[i % (sizeof(seeds) / sizeof(seeds[0]))];
    const int length = snprintf(text, sizeof(text),
                                "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                seed[0], strlen(seed[1]), seed[1]);
    size_t n = (size_t)length;
    mutate(d, text, &n);
    client *c = client_open(f->port);
    client_send_bytes(c, text, n);
    (void)shutdown(c->fd, SHUT_WR);
    while (client_more(c)) {
    }
    const int status = c->n_in > 12 ? (int)strtol(c->in + 9, NULL, 10) : 0;
    const bool is_http = c->n_in == 0 || strncmp(c->in, "HTTP/1.1 ", 9) == 0;
    if (!is_http || (status != 0 && status != 100 && !is_clean(status))) {
        fail_msg("mutation %u: %.*s\nwas answered %.300s", i, (int)n, text, c->in);
    }
    client_close(c);
}

/* Take the words that have been read; returns the next one that is waited for. */
static uint32_t take_words(client *c, uint32_t next)
{
    char want[32];
    for (;;) {
        (void)snprintf(want, sizeof(want), "\"content\":\"w%u \"", next);
        const char *at = strstr(c->in, want);
        if (!at) {
            return next;
        }
        client_drop(c, (size_t)(at - c->in) + strlen(want));
        next++;
    }
}

/* Read the neighbour's stream up to now. A word that is missing would fill the buffer and end this. */
static uint32_t follow(client *c, uint32_t next)
{
    char byte;
    while (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        assert_true(client_more(c));
        next = take_words(c, next);
    }
    return next;
}

static void wait_until_all_ended(const fixture *f)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(&f->fake->n_ended) < atomic_load(&f->fake->n_opened)) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void every_mutation_gets_a_clean_answer_and_nobody_waits(void **state)
{
    (void)state;
    const char *given = getenv("KRS_MUTATION_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    dice d = {seed * UINT64_C(0x9E3779B97F4A7C15) + 1};
    fixture_options options = defaults();
    options.step_ns = 50000;
    options.timeout_ns = 200 * KRS_NS_PER_MS; /* a mutated max_tokens may ask for very much */
    options.server.times.head_ms = 500;
    options.server.times.body_ms = 500;
    fixture *f = start_fixture(&options);
    client *neighbour = client_open(f->port);
    post_chat(neighbour, "forever", ",\"stream\":true,\"timeout_ms\":600000");
    uint32_t next = 0;
    client *c = client_open(f->port);
    for (uint32_t i = 0; i < N_MUTATIONS / 2; i++) {
        change_a_body(f, &d, c, i);
        change_anything(f, &d, i);
        next = follow(neighbour, next);
    }
    client_close(c);
    assert_true(next > N_MUTATIONS / 100);
    const uint32_t before = next;
    while (next < before + 100) { /* it still goes on */
        assert_true(client_more(neighbour));
        next = take_words(neighbour, next);
    }
    client_close(neighbour);
    wait_until_all_ended(f);
    end_fixture(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mutation_gets_a_clean_answer_and_nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
