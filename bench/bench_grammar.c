/* bench/bench_grammar.c - what a schema costs a server: compiling it, and the mask of each token.
 *
 *     bench_grammar [--tokens=N] [--seed=N] [--any-order] [--verbose] TOKENIZER SCHEMAS...
 *
 * TOKENIZER: a model folder or tokenizer.json[.gz]; SCHEMAS: files of lines {"id": .., "data": schema},
 * packed or not (as jsonschemabench has them). Each schema is compiled, and an answer of at most N tokens (200)
 * is written: a token is drawn from the mask, one in four of those that close or separate something, so that
 * answers come to their ends; after the end a new one begins. Every mask is timed, whether it was kept or is new.
 *
 * Times are CPU times of the thread: what other programs take does not count; page faults do. Prints the times of
 * compiling, of all masks and of the new ones alone, with tails, the slowest, and which schemas were refused. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "grammar/matcher.h"
#include "grammar/schema.h"
#include "os/file.h"
#include "text/tokenizer.h"
#include "wire/gzip.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_TOKENS 200
#define MAX_FILE_BYTES (256u << 20)
#define MAX_SAMPLES    (8u << 20)
#define N_WORST        10
#define ID_BYTES       80

typedef struct sample {
    uint32_t ns;
    uint32_t schema;
} sample;

typedef struct samples {
    sample *items;
    size_t n;
} samples;

typedef struct bench {
    krs_grammar_vocab *vocab;
    krs_schema_options options;
    uint32_t n_tokens;
    bool is_verbose;
    uint64_t first_seed;
    uint64_t seed;
    char (*ids)[ID_BYTES]; /* of the schemas */
    uint32_t n_schemas;
    uint32_t n_refused;
    uint32_t n_stuck; /* an answer could not go on */
    samples compile, masks, made, drops;
    size_t worst_bytes;
    uint32_t most_steps; /* of one call */
} bench;

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what, const krs_error *err)
{
    (void)fprintf(stderr, "bench_grammar: %s: %s\n", what, err->message);
    exit(1);
}

static void add(samples *to, uint64_t ns, uint32_t schema)
{
    if (!to->items) {
        to->items = calloc(MAX_SAMPLES, sizeof(*to->items));
    }
    if (to->items && to->n < MAX_SAMPLES) {
        to->items[to->n++] = (sample){(uint32_t)(ns > UINT32_MAX ? UINT32_MAX : ns), schema};
    }
}

static int compare(const void *x, const void *y)
{
    const uint32_t a = ((const sample *)x)->ns;
    const uint32_t b = ((const sample *)y)->ns;
    return (a > b) - (a < b);
}

static void print(const bench *b, const char *what, samples *s)
{
    if (s->n == 0) {
        return;
    }
    qsort(s->items, s->n, sizeof(*s->items), compare);
    static const double at[] = {0.5, 0.9, 0.99, 0.999, 1};
    printf("%-10s n %8zu  us p50 p90 p99 p99.9 worst:", what, s->n);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        printf(" %9.1f", s->items[(size_t)((double)(s->n - 1) * at[i])].ns * 1e-3);
    }
    printf("\n");
    for (size_t i = 0; i < N_WORST && i < s->n && b->is_verbose; i++) {
        const sample worst = s->items[s->n - 1 - i];
        printf("    %9.1f %s\n", worst.ns * 1e-3, b->ids[worst.schema]);
    }
}

static void load_vocab(bench *b, const char *path)
{
    krs_error err = KRS_ERROR_INIT;
    krs_tokenizer *tokenizer;
    if (krs_tokenizer_load(path, NULL, &tokenizer, &err) != KRS_OK) {
        fail(path, &err);
    }
    const uint32_t n = krs_tokenizer_vocab_size(tokenizer);
    krs_grammar_token *tokens = calloc(n, sizeof(*tokens));
    if (!tokens) {
        (void)snprintf(err.message, sizeof(err.message), "no memory for %u tokens", n);
        fail(path, &err);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        tokens[i].bytes = krs_tokenizer_token_bytes(tokenizer, i);
        tokens[i].kind =
            krs_tokenizer_is_special(tokenizer, i) ? KRS_TOKEN_SPECIAL : KRS_TOKEN_TEXT;
    }
    tokens[n - 1].kind =
        KRS_TOKEN_END; /* some token must end an answer; in public models the last is special */
    const uint64_t start = now_ns();
    if (krs_grammar_vocab_new(tokens, n, NULL, &b->vocab, &err) != KRS_OK) {
        fail(path, &err);
    }
    printf("vocabulary %s: %u tokens, %.1f ms, %.1f MiB\n", path, n,
           (double)(now_ns() - start) * 1e-6,
           (double)krs_grammar_vocab_n_bytes(b->vocab) / 1048576.0);
    free(tokens);
    krs_tokenizer_free(tokenizer);
}

static uint32_t draw(bench *b)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(b->seed >> 33);
}

static bool is_closing(const bench *b, uint32_t token)
{
    const krs_str bytes = krs_grammar_vocab_token(b->vocab, token);
    return bytes.len == 0 || strchr("\"}],", bytes.ptr[0]) != NULL;
}

/* An allowed token after a random one; a closing one if there is one and it is its turn; or NO_TOKEN. */
#define NO_TOKEN UINT32_MAX

static uint32_t choose(bench *b, const uint64_t *mask)
{
    const uint32_t n = krs_grammar_vocab_n_tokens(b->vocab);
    const bool is_to_close = draw(b) % 4 == 0;
    const uint32_t from = draw(b) % n;
    uint32_t any = NO_TOKEN;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t token = (from + i) % n;
        if (mask[token / 64] == 0) {
            i += 63 - token % 64;
        } else if ((mask[token / 64] >> token % 64 & 1) != 0) {
            any = any == NO_TOKEN ? token : any;
            if (!is_to_close || is_closing(b, token)) {
                return token;
            }
        }
    }
    return any;
}

/* One token; false when the answer has ended or cannot go on. */
static bool write_token(bench *b, krs_automaton *a, krs_matcher *m)
{
    krs_automaton_stats before;
    krs_automaton_stats after;
    const uint64_t *mask = NULL;
    krs_automaton_stats_get(a, &before);
    const uint64_t start = now_ns();
    const krs_status status = krs_matcher_mask(m, &mask);
    const uint64_t ns = now_ns() - start;
    krs_automaton_stats_get(a, &after);
    add(&b->masks, ns, b->n_schemas - 1);
    if (after.made_masks != before.made_masks) {
        add(&b->made, ns, b->n_schemas - 1);
    }
    if (after.drops != before.drops) {
        add(&b->drops, ns, b->n_schemas - 1);
    }
    const uint32_t token = status == KRS_OK ? choose(b, mask) : NO_TOKEN;
    if (token == NO_TOKEN || krs_matcher_accept_token(m, token) != KRS_OK) {
        b->n_stuck++;
        printf("stuck: %s (%s)\n", b->ids[b->n_schemas - 1], krs_status_name(status));
        return false;
    }
    if (krs_matcher_is_finished(m) || krs_grammar_vocab_token(b->vocab, token).len == 0) {
        krs_matcher_reset(m);
    }
    return true;
}

static krs_status compile(bench *b, const json_t *schema, krs_automaton **out, krs_error *err)
{
    krs_grammar_builder *builder;
    krs_grammar *grammar;
    krs_expr root;
    krs_status status = krs_grammar_builder_new(NULL, NULL, &builder);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_grammar_schema(builder, schema, &b->options, &root, err);
    if (status != KRS_OK) {
        krs_grammar_builder_free(builder);
        return status;
    }
    status = krs_grammar_build(builder, root, &grammar, err);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_automaton_new(&grammar, b->vocab, NULL, NULL, out, err);
    krs_grammar_free(grammar);
    return status;
}

/* The answers of a schema do not depend on which schemas came before it. */
static void run_schema(bench *b, const json_t *schema)
{
    b->seed = b->first_seed + b->n_schemas;
    krs_error err = KRS_ERROR_INIT;
    krs_automaton *a = NULL;
    const uint64_t start = now_ns();
    const krs_status status = compile(b, schema, &a, &err);
    const uint64_t ns = now_ns() - start;
    if (status != KRS_OK) {
        b->n_refused++;
        printf("refused: %s: %s\n", b->ids[b->n_schemas - 1], err.message);
        return;
    }
    add(&b->compile, ns, b->n_schemas - 1);
    krs_matcher *m;
    if (krs_matcher_new(a, &m) != KRS_OK) {
        fail("matcher", &err);
    }
    bool goes_on = true;
    for (uint32_t i = 0; i < b->n_tokens && goes_on; i++) {
        goes_on = write_token(b, a, m);
    }
    krs_automaton_stats stats;
    krs_automaton_stats_get(a, &stats);
    b->worst_bytes = stats.n_bytes > b->worst_bytes ? stats.n_bytes : b->worst_bytes;
    b->most_steps = stats.most_steps > b->most_steps ? stats.most_steps : b->most_steps;
    krs_matcher_free(m);
    krs_automaton_free(a);
}

static void run_line(bench *b, krs_str line)
{
    const krs_json_limits limits = {.max_bytes = MAX_FILE_BYTES, .is_duplicate_ok = true};
    krs_error err = KRS_ERROR_INIT;
    json_t *tree;
    if (krs_json_parse(line, &limits, &tree, &err) != KRS_OK) {
        printf("no schema: %s\n", err.message);
        return;
    }
    const json_t *schema = json_object_get(tree, "data");
    const json_t *id = json_object_get(tree, "id");
    b->ids = realloc(b->ids, (b->n_schemas + 1) * sizeof(*b->ids));
    (void)snprintf(b->ids[b->n_schemas++], ID_BYTES, "%s", id ? json_string_value(id) : "");
    run_schema(b, schema ? schema : tree);
    json_decref(tree);
}

static void run_file(bench *b, const char *path)
{
    krs_error err = KRS_ERROR_INIT;
    krs_buf text;
    krs_buf plain;
    krs_buf_init(&text, NULL, MAX_FILE_BYTES);
    krs_buf_init(&plain, NULL, MAX_FILE_BYTES);
    if (krs_os_file_read(path, &text, &err) != KRS_OK) {
        fail(path, &err);
    }
    krs_str rest = krs_buf_view(&text);
    if (krs_gzip_is(rest)) {
        if (krs_gunzip(rest, &plain, &err) != KRS_OK) {
            fail(path, &err);
        }
        rest = krs_buf_view(&plain);
    }
    while (rest.len > 0) {
        const size_t end = krs_str_find(rest, KRS_STR("\n"), 0);
        const krs_str line = {rest.ptr, end == SIZE_MAX ? rest.len : end};
        if (line.len > 0) {
            run_line(b, line);
        }
        const size_t n = end == SIZE_MAX ? rest.len : end + 1;
        rest = (krs_str){rest.ptr + n, rest.len - n};
    }
    krs_buf_deinit(&text);
    krs_buf_deinit(&plain);
}

int main(int argc, char **argv)
{
    bench b = {.options = KRS_SCHEMA_OPTIONS_INIT, .n_tokens = DEFAULT_TOKENS, .first_seed = 1};
    int n_paths = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--tokens=", 9) == 0) {
            b.n_tokens = (uint32_t)strtoul(argv[i] + 9, NULL, 10);
        } else if (strncmp(argv[i], "--seed=", 7) == 0) {
            b.first_seed = strtoull(argv[i] + 7, NULL, 10);
        } else if (strcmp(argv[i], "--any-order") == 0) {
            b.options.is_any_order = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            b.is_verbose = true;
        } else if (n_paths++ == 0) {
            load_vocab(&b, argv[i]);
        } else {
            run_file(&b, argv[i]);
        }
    }
    if (n_paths < 2) {
        (void)fprintf(stderr, "usage: bench_grammar TOKENIZER SCHEMAS... (options come before)\n");
        return 2;
    }
    printf(
        "%u schemas, %u refused, %u stuck; largest automaton %.1f MiB; at most %u steps a call\n",
        b.n_schemas, b.n_refused, b.n_stuck, (double)b.worst_bytes / 1048576.0, b.most_steps);
    print(&b, "compile", &b.compile);
    print(&b, "masks", &b.masks);
    print(&b, "new masks", &b.made);
    print(&b, "drops", &b.drops);
    return 0;
}
