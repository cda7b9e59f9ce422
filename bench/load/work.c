/* bench/load/work.c - see work.h. */
#include "work.h"

#include "os/file.h"
#include "stats.h"
#include "wire/json.h"

#include <stdio.h>

#define MAX_TEXT_BYTES  (1u << 20) /* of one answer */
#define MAX_TEXTS_BYTES (64u << 20)
#define MAX_TOLD        5 /* differences shown; one is enough to look for the fault */

typedef struct answer_text {
    krs_buf text;
    bool is_whole; /* it is complete, not the start that was seen so far */
} answer_text;

struct load_work {
    const load_options *options;
    answer_text *texts; /* [n_prompts] */
    uint32_t n_told;
    bool was_read; /* texts come from the file */
};

static const char *const words[] = {
    "a",     "the",   "fox",  "house", "river", "small", "red",    "old",   "walks",
    "sings", "under", "over", "tree",  "what",  "is",    "why",    "story", "tell",
    "me",    "about", "sun",  "snow",  "green", "seven", "twelve", "and",   "or",
    "not",   "happy", "boat", "king",  "bread", "night",
};

/* Mixed so that neighbouring questions have nothing in common. */
static uint64_t state_of(const load_work *work, uint32_t i)
{
    uint64_t state = work->options->seed * UINT64_C(0x9E3779B97F4A7C15) + i;
    (void)load_random(&state);
    return state;
}

static krs_status append_words(uint64_t *state, uint32_t n, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        const size_t at = (size_t)(load_random(state) % (sizeof(words) / sizeof(words[0])));
        status = krs_buf_printf(out, "%s%s", i > 0 ? " " : "", words[at]);
    }
    return status;
}

static krs_status append_body(const load_work *work, uint32_t i, krs_buf *out)
{
    const load_options *o = work->options;
    uint64_t state = state_of(work, i);
    const uint32_t n_words = load_random_between(&state, o->prompt_words.low, o->prompt_words.high);
    const uint32_t max_tokens = load_random_between(&state, o->max_tokens.low, o->max_tokens.high);
    const uint32_t seed = (uint32_t)(load_random(&state) >> 33);
    krs_status status = krs_buf_printf(
        out,
        "{\"model\":\"%s\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_"
        "tokens\":%u,"
        "\"temperature\":%.3f,\"seed\":%u,\"ignore_eos\":%s,\"messages\":[{\"role\":\"user\","
        "\"content\":\"",
        o->model, max_tokens, o->temperature, seed, o->ignore_eos ? "true" : "false");
    if (status == KRS_OK) {
        status = append_words(&state, n_words, out);
    }
    return status == KRS_OK ? krs_buf_printf(out, "\"}]}") : status;
}

krs_status load_work_request(const load_work *work, uint32_t i, const load_tenant *tenant,
                             krs_buf *out)
{
    krs_buf body;
    krs_buf_init(&body, NULL, MAX_TEXT_BYTES);
    krs_status status = append_body(work, i, &body);
    if (status == KRS_OK) {
        const bool has_key = tenant->key[0] != '\0';
        status =
            krs_buf_printf(out,
                           "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\n"
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n%s%s%s\r\n",
                           work->options->host, body.len, has_key ? "Authorization: Bearer " : "",
                           tenant->key, has_key ? "\r\n" : "");
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, krs_buf_view(&body));
    }
    krs_buf_deinit(&body);
    return status;
}

static void tell(load_work *work, uint32_t i, krs_str want, krs_str got)
{
    if (work->n_told++ < MAX_TOLD) {
        (void)fprintf(stderr, "bench_load: question %u: «%.*s» was «%.*s»\n", i, KRS_STR_ARGS(got),
                      KRS_STR_ARGS(want));
    }
}

/* Can text be what was seen before, or go on from there? */
static bool fits(const answer_text *known, krs_str text, bool is_whole)
{
    const krs_str want = krs_buf_view(&known->text);
    const bool is_longer = text.len > want.len;
    if (is_longer) {
        return !known->is_whole && krs_str_starts_with(text, want);
    }
    return krs_str_starts_with(want, text) && (!is_whole || text.len == want.len);
}

bool load_work_check(load_work *work, uint32_t i, krs_str text, bool is_whole)
{
    answer_text *known = &work->texts[i];
    const krs_str want = krs_buf_view(&known->text);
    if (!fits(known, text, is_whole)) {
        tell(work, i, want, text);
        return false;
    }
    krs_status status = KRS_OK;
    if (text.len > want.len) {
        const krs_str rest = {text.ptr + want.len, text.len - want.len};
        status = krs_buf_append_str(&known->text, rest);
    }
    known->is_whole = known->is_whole || (is_whole && status == KRS_OK);
    return true; /* without memory less is compared next time */
}

/* What decides the texts, in the file so that they are not compared with those of other questions. */
static json_t *key_of(const load_options *o)
{
    return json_pack("[s, I, i, i, i, i, f, b]", o->model, (json_int_t)o->seed,
                     (int)o->prompt_words.low, (int)o->prompt_words.high, (int)o->max_tokens.low,
                     (int)o->max_tokens.high, o->temperature, o->ignore_eos);
}

static krs_status take_texts(load_work *work, const json_t *tree, krs_error *err)
{
    json_t *key = key_of(work->options);
    const json_t *texts = json_object_get(tree, "texts");
    const bool is_ours = key && json_equal(key, json_object_get(tree, "questions")) &&
                         json_array_size(texts) == work->options->n_prompts;
    json_decref(key);
    if (!is_ours) {
        return krs_fail(err, KRS_EFORMAT, "%s: texts of other questions",
                        work->options->texts_path);
    }
    for (uint32_t i = 0; i < work->options->n_prompts; i++) {
        const json_t *text = json_array_get(texts, i);
        if (json_is_string(text)) {
            const krs_str value = {json_string_value(text), json_string_length(text)};
            work->texts[i].is_whole = true;
            if (krs_buf_append_str(&work->texts[i].text, value) != KRS_OK) {
                return krs_fail(err, KRS_ENOMEM, "texts: no memory");
            }
        }
    }
    work->was_read = true;
    return KRS_OK;
}

static krs_status read_texts(load_work *work, krs_error *err)
{
    const char *path = work->options->texts_path;
    if (!path || krs_os_path_kind(path) == KRS_OS_ABSENT) {
        return KRS_OK;
    }
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_TEXTS_BYTES);
    json_t *tree = NULL;
    const krs_json_limits limits = {.max_bytes = MAX_TEXTS_BYTES};
    krs_status status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        status = krs_json_parse(krs_buf_view(&text), &limits, &tree, err);
    }
    if (status == KRS_OK) {
        status = take_texts(work, tree, err);
    }
    json_decref(tree);
    krs_buf_deinit(&text);
    return status;
}

krs_status load_work_save(const load_work *work, krs_error *err)
{
    if (!work->options->texts_path || work->was_read) {
        return KRS_OK;
    }
    json_t *texts = json_array();
    for (uint32_t i = 0; i < work->options->n_prompts; i++) {
        const answer_text *known = &work->texts[i];
        json_t *text = known->is_whole
                           ? json_stringn(known->text.data ? known->text.data : "", known->text.len)
                           : json_null();
        (void)json_array_append_new(texts, text);
    }
    json_t *tree = json_pack("{s:o, s:o}", "questions", key_of(work->options), "texts", texts);
    char *text = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
    krs_status status = text ? krs_os_file_write(work->options->texts_path, text, strlen(text), err)
                             : krs_fail(err, KRS_ENOMEM, "texts: no memory");
    krs_alloc_free(NULL, text);
    json_decref(tree);
    return status;
}

krs_status load_work_new(const load_options *options, load_work **out, krs_error *err)
{
    *out = NULL;
    load_work *work = krs_alloc_zero(NULL, sizeof(*work));
    answer_text *texts = krs_alloc_array(NULL, options->n_prompts, sizeof(*texts));
    if (!work || !texts) {
        krs_alloc_free(NULL, work);
        krs_alloc_free(NULL, texts);
        return krs_fail(err, KRS_ENOMEM, "texts: no memory");
    }
    work->options = options;
    work->texts = texts;
    for (uint32_t i = 0; i < options->n_prompts; i++) {
        krs_buf_init(&texts[i].text, NULL, MAX_TEXT_BYTES);
    }
    const krs_status status = read_texts(work, err);
    if (status != KRS_OK) {
        load_work_free(work);
        return status;
    }
    *out = work;
    return KRS_OK;
}

void load_work_free(load_work *work)
{
    if (work) {
        for (uint32_t i = 0; i < work->options->n_prompts; i++) {
            krs_buf_deinit(&work->texts[i].text);
        }
        krs_alloc_free(NULL, work->texts);
        krs_alloc_free(NULL, work);
    }
}
