/* apps/krs/cmd_embed.c - krs embed: texts to vectors, on the shell.
 *
 *   krs embed --model DIR TEXT...                            a JSON array of numbers a line
 *   krs embed --model DIR [--jsonl] < texts                  one text, or with --jsonl a JSON string a line
 *   krs embed --model DIR --tokens 1,2,3 --hidden --out F    raw last hidden states: raw_rows.h
 *
 * With --json one object holds them all. Texts go through the engine as they do in a server, together and
 * pooled as the model's files say unless --pooling says otherwise, so the vectors are those of
 * /v1/embeddings, bit for bit.
 *
 * Thread: main; the engine's thread delivers.  Memory: all texts and all vectors. */
#include "base/check.h"
#include "command.h"
#include "local.h"
#include "os/file.h"
#include "os/thread.h"
#include "raw_rows.h"

#include <stdio.h>

#define MAX_INPUT_BYTES (1u << 30) /* all of standard input */
#define MAX_TEXTS       65536u     /* of one run; a megabyte of short lines */
#define MAX_SEQS        16u        /* texts computed together */
#define FLOAT_DIGITS    9          /* enough to read the same float32 back */

typedef struct texts {
    krs_buf in; /* standard input, or nothing */
    krs_str *items;
    uint32_t n;
    json_t *lines; /* parsed ones, which items point into */
} texts;

typedef struct vectors {
    krs_os_mutex *lock;
    krs_os_cond *changed;
    uint32_t width;
    float *values; /* [n][width] */
    uint32_t n_open;
    uint64_t n_tokens;
    krs_error error; /* of the first that failed */
} vectors;

/* One text on its way; user of its stream. */
typedef struct place {
    vectors *all;
    uint32_t index;
} place;

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    vectors *v = ctx;
    krs_os_mutex_lock(v->lock);
    for (uint32_t i = 0; i < n; i++) {
        if (!events[i].is_end) {
            continue;
        }
        const place *p = events[i].user;
        if (events[i].finish == KRS_FINISH_STOP) {
            memcpy(v->values + (size_t)p->index * v->width, events[i].embedding,
                   v->width * sizeof(float));
            v->n_tokens += events[i].usage.n_prompt_tokens;
        } else if (v->error.status == KRS_OK) {
            v->error = events[i].error;
        }
        v->n_open--;
    }
    krs_os_cond_broadcast(v->changed);
    krs_os_mutex_unlock(v->lock);
}

static krs_pooling pooling_of(const krs_config *config)
{
    static const struct {
        const char *name;
        krs_pooling pooling;
    } known[] = {{"last", KRS_POOLING_LAST}, {"mean", KRS_POOLING_MEAN}, {"cls", KRS_POOLING_CLS}};
    const char *name = krs_config_text(config, KRS_OPTION_POOLING);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].pooling;
        }
    }
    return KRS_POOLING_MODEL;
}

static krs_status open_one(const krs_config *config, krs_runtime *runtime, const krs_sink *sink,
                           krs_str text, place *p, krs_error *err)
{
    krs_request *request = NULL;
    uint64_t stream_id;
    krs_status status = krs_request_new(NULL, &request);
    if (status != KRS_OK) {
        return krs_fail(err, status, "request: out of memory");
    }
    request->task = KRS_TASK_EMBED;
    request->task_options.pooling = pooling_of(config);
    request->prompt.kind = KRS_PROMPT_TEXT;
    request->prompt.text = krs_arena_copy(&request->arena, text);
    status = request->prompt.text.ptr
                 ? krs_runtime_open(runtime, request, sink, p, &stream_id, err)
                 : krs_fail(err, KRS_ENOMEM, "request: out of memory for %zu bytes", text.len);
    if (status != KRS_OK) {
        krs_request_free(request);
    }
    return status;
}

/* Wait until no more than n streams are open. */
static void wait_until(vectors *v, uint32_t n)
{
    krs_os_mutex_lock(v->lock);
    while (v->n_open > n) {
        krs_os_cond_wait(v->changed, v->lock);
    }
    krs_os_mutex_unlock(v->lock);
}

/* A few more than are computed together, so that a step is never short of texts. */
static krs_status embed_all(const krs_config *config, krs_runtime *runtime, const texts *t,
                            vectors *v, place *places, krs_error *err)
{
    const krs_sink sink = {v, deliver};
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < t->n; i++) {
        wait_until(v, 2 * MAX_SEQS - 1);
        krs_os_mutex_lock(v->lock);
        v->n_open++;
        krs_os_mutex_unlock(v->lock);
        places[i] = (place){v, i};
        status = open_one(config, runtime, &sink, t->items[i], &places[i], err);
        if (status != KRS_OK) {
            krs_os_mutex_lock(v->lock);
            v->n_open--;
            krs_os_mutex_unlock(v->lock);
        }
    }
    wait_until(v, 0);
    if (status == KRS_OK && v->error.status != KRS_OK) {
        *err = v->error;
        status = v->error.status;
    }
    return status;
}

static krs_status vectors_init(vectors *v, uint32_t n, krs_error *err)
{
    v->values = krs_alloc_array(NULL, (size_t)n * v->width, sizeof(float));
    if (!v->values || krs_os_mutex_new(&v->lock) != KRS_OK ||
        krs_os_cond_new(&v->changed) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "%u vectors of %u numbers: out of memory", n, v->width);
    }
    return KRS_OK;
}

static void vectors_deinit(vectors *v)
{
    krs_os_cond_free(v->changed);
    krs_os_mutex_free(v->lock);
    krs_alloc_free(NULL, v->values);
}

/* ---- in ---- */

static krs_status add_text(texts *t, krs_str text, krs_error *err)
{
    if (t->n == MAX_TEXTS) {
        return krs_fail(err, KRS_ETOOLARGE, "input: more than %u texts", MAX_TEXTS);
    }
    t->items[t->n++] = text;
    return KRS_OK;
}

static krs_status add_line(texts *t, krs_str line, krs_error *err)
{
    const krs_json_limits limits = {MAX_INPUT_BYTES, false};
    json_t *value = NULL;
    const krs_status status = krs_json_parse(line, &limits, &value, err);
    if (status != KRS_OK) {
        return status;
    }
    if (!json_is_string(value) || json_array_append(t->lines, value) != 0) {
        json_decref(value);
        return krs_fail(err, KRS_EINVAL, "want a JSON string");
    }
    json_decref(value); /* the list holds it */
    return add_text(t, (krs_str){json_string_value(value), json_string_length(value)}, err);
}

static krs_status read_lines(texts *t, krs_error *err)
{
    krs_str in = krs_buf_view(&t->in);
    for (size_t n_line = 1; in.len > 0; n_line++) {
        const char *end = memchr(in.ptr, '\n', in.len);
        const size_t n = end ? (size_t)(end - in.ptr) : in.len;
        const krs_status status = add_line(t, (krs_str){in.ptr, n}, err);
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "line %zu", n_line);
        }
        in = (krs_str){in.ptr + n + (end ? 1 : 0), in.len - n - (end ? 1 : 0)};
    }
    return KRS_OK;
}

/* The arguments, or standard input. */
static krs_status read_texts(const krs_config *config, texts *t, krs_error *err)
{
    t->items = krs_alloc_array(NULL, MAX_TEXTS, sizeof(*t->items));
    t->lines = json_array();
    if (!t->items || !t->lines) {
        return krs_fail(err, KRS_ENOMEM, "input: out of memory");
    }
    krs_status status = KRS_OK;
    for (int i = 0; status == KRS_OK && i < config->n_positionals; i++) {
        status = add_text(t, krs_str_of(config->positionals[i]), err);
    }
    if (status != KRS_OK || config->n_positionals > 0) {
        return status;
    }
    status = krs_os_file_read("-", &t->in, err);
    if (status != KRS_OK) {
        return status;
    }
    return krs_config_bool(config, KRS_OPTION_JSONL) ? read_lines(t, err)
                                                     : add_text(t, krs_buf_view(&t->in), err);
}

static void texts_deinit(texts *t)
{
    json_decref(t->lines);
    krs_alloc_free(NULL, t->items);
    krs_buf_deinit(&t->in);
}

/* ---- out ---- */

static void print_vector(const float *vector, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++) {
        (void)printf("%s%.*g", i > 0 ? "," : "[", FLOAT_DIGITS, (double)vector[i]);
    }
    (void)fputc(']', stdout);
}

static int print_all(const krs_config *config, const vectors *v, uint32_t n)
{
    const bool is_json = krs_config_bool(config, KRS_OPTION_JSON);
    if (is_json) {
        (void)printf("{\"dimensions\": %u, \"prompt_tokens\": %llu, \"embeddings\": [", v->width,
                     (unsigned long long)v->n_tokens);
    }
    for (uint32_t i = 0; i < n; i++) {
        print_vector(v->values + (size_t)i * v->width, v->width);
        (void)fputs(!is_json ? "\n" : i + 1 < n ? ", " : "", stdout);
    }
    if (is_json) {
        (void)fputs("]}\n", stdout);
    }
    return krs_say_flush();
}

static krs_status run(const krs_config *config, const texts *t, vectors *v, krs_error *err)
{
    const char *dir = krs_config_text(config, KRS_OPTION_MODEL);
    if (!dir) {
        return krs_fail_field(err, KRS_EINVAL, "model", "--model: missing");
    }
    krs_engine_options options = krs_local_options(config, dir);
    options.max_seqs = MAX_SEQS;
    options.has_no_prefix_cache = true; /* a text comes once */
    krs_runtime *runtime = NULL;
    krs_model_info info;
    place *places = krs_alloc_array(NULL, t->n, sizeof(*places));
    krs_status status = places || t->n == 0 ? krs_local_open(config, &options, &runtime, err)
                                            : krs_fail(err, KRS_ENOMEM, "input: out of memory");
    if (status == KRS_OK) {
        KRS_CHECK(runtime);
        (void)krs_runtime_models(runtime, &info, 1);
        v->width = info.hidden;
        status = vectors_init(v, t->n, err);
    }
    if (status == KRS_OK) {
        status = embed_all(config, runtime, t, v, places, err);
    }
    krs_runtime_free(runtime);
    krs_alloc_free(NULL, places);
    return status;
}

int krs_cmd_embed(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    if (krs_config_bool(config, KRS_OPTION_HIDDEN)) {
        return krs_raw_rows_run(config, KRS_ROWS_HIDDEN, "hidden");
    }
    if (krs_config_text(config, KRS_OPTION_TOKENS) || krs_config_text(config, KRS_OPTION_OUT)) {
        (void)krs_fail_field(&err, KRS_EINVAL, "hidden",
                             "embed: --tokens and --out go with --hidden");
        return krs_say_error(config, &err);
    }
    texts t = {.n = 0};
    vectors v = {.error = KRS_ERROR_INIT};
    krs_buf_init(&t.in, NULL, MAX_INPUT_BYTES);
    krs_status status = read_texts(config, &t, &err);
    if (status == KRS_OK) {
        status = run(config, &t, &v, &err);
    }
    const int code = status == KRS_OK ? print_all(config, &v, t.n) : krs_say_error(config, &err);
    vectors_deinit(&v);
    texts_deinit(&t);
    return code;
}
