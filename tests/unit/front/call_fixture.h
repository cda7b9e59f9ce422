/* unit/front/call_fixture.h - bodies to calls and events to bytes, for the tests of every API.
 *
 * The model is "m": 50 tokens, context 100, vectors of 4 numbers. */
#pragma once

#include "front/call_priv.h"
#include "os/clock.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct bad_case {
    const char *fields; /* after the model, in an otherwise good body */
    const char *param;
} bad_case;

static inline krs_model_info model_info(void)
{
    krs_model_info info = {.id = "m", .context_tokens = 100, .vocab = 50, .hidden = 4};
    info.sampling = (krs_sampling)KRS_SAMPLING_INIT;
    info.sampling.temperature = 0.7;
    info.sampling.top_p = 0.9;
    return info;
}

static inline krs_call_context context_of(const krs_model_info *info)
{
    return (krs_call_context){.models = info,
                              .n_models = 1,
                              .correlation_id = "req-1",
                              .now_ns = 1000,
                              .now_unix_s = 1700000000,
                              .random = 0xAB,
                              .max_body_bytes = 1u << 20};
}

static inline krs_status parse(krs_call_kind kind, const char *body, krs_call **call,
                               krs_error *err)
{
    const krs_model_info info = model_info();
    const krs_call_context context = context_of(&info);
    return krs_call_parse(&context, kind, krs_str_of(body), call, err);
}

static inline krs_call *parse_good(krs_call_kind kind, const char *body)
{
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (parse(kind, body, &call, &err) != KRS_OK) {
        fail_msg("%s: %s", body, err.message);
    }
    return call;
}

/* Each body is refused with KRS_EINVAL, and both param and message name the field. */
static inline void check_bad(krs_call_kind kind, const bad_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char body[2048];
        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", cases[i].fields);
        krs_call *call = NULL;
        krs_error err = KRS_ERROR_INIT;
        const krs_status status = parse(kind, body, &call, &err);
        if (status != KRS_EINVAL || strcmp(err.field, cases[i].param) != 0) {
            fail_msg("%s: %s, param \"%s\" (%s), want param \"%s\"", body, krs_status_name(status),
                     err.field, err.message, cases[i].param);
        }
        assert_null(call);
        assert_non_null(strstr(err.message, cases[i].param));
    }
}

/* The tree of a chat, as JSON with sorted keys. */
static inline void expect_tree(const json_t *tree, const char *want)
{
    char *got = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    assert_string_equal(got, want);
    free(got);
}

/* An answer and what it wrote. */
typedef struct talk {
    krs_answer *answer;
    krs_buf out;
} talk;

static inline talk talk_of(krs_call_kind kind, const char *body)
{
    talk t;
    assert_int_equal(krs_answer_new(parse_good(kind, body), &t.answer), KRS_OK);
    krs_buf_init(&t.out, NULL, 1u << 20);
    return t;
}

static inline void talk_end(talk *t)
{
    krs_answer_free(t->answer);
    krs_buf_deinit(&t->out);
}

/* What one event makes of it: only the new bytes. */
static inline const char *hear(talk *t, uint32_t i, const krs_stream_event *event)
{
    krs_buf_reset(&t->out);
    assert_int_equal(krs_answer_add(t->answer, i, event, &t->out), KRS_OK);
    return t->out.data ? t->out.data : "";
}

static inline const char *hear_text(talk *t, uint32_t i, const char *text)
{
    const krs_stream_event event = {.text = krs_str_of(text)};
    return hear(t, i, &event);
}

static inline krs_stream_event end_event(krs_finish finish)
{
    return (krs_stream_event){
        .is_end = true,
        .finish = finish,
        .usage = {.n_prompt_tokens = 7, .n_cached_tokens = 3, .n_answer_tokens = 5}};
}

static inline const char *hear_end(talk *t, uint32_t i, krs_finish finish)
{
    const krs_stream_event event = end_event(finish);
    return hear(t, i, &event);
}

/* What was written last, as JSON with sorted keys, is want. */
static inline void expect_json(const talk *t, const char *want)
{
    json_t *tree = json_loadb(t->out.data, t->out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(tree);
    expect_tree(tree, want);
    json_decref(tree);
}

/* The value at "a.0.b": member a, entry 0 of it, member b of that. */
static inline const json_t *dig(const json_t *tree, const char *path)
{
    while (*path) {
        const size_t n = strcspn(path, ".");
        tree = json_is_array(tree) ? json_array_get(tree, (size_t)strtoul(path, NULL, 10))
                                   : json_object_getn(tree, path, n);
        path += n + (path[n] == '.');
    }
    return tree;
}

/* The data of the n-th server-sent event of what was written last; checks its name when there is one. */
static inline json_t *sse_data(const char *bytes, size_t n, const char *name)
{
    const char *at = bytes;
    for (size_t i = 0; i < n; i++) {
        at = strstr(at, "\n\n");
        assert_non_null(at);
        at += 2;
    }
    if (name) {
        assert_memory_equal(at, "event: ", 7);
        assert_memory_equal(at + 7, name, strlen(name));
        at = strchr(at, '\n') + 1;
    }
    assert_memory_equal(at, "data: ", 6);
    json_t *tree = json_loads(at + 6, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(tree);
    if (name) {
        assert_string_equal(json_string_value(json_object_get(tree, "type")), name);
    }
    return tree;
}

static inline void expect_sse(const char *bytes, size_t n, const char *name, const char *want)
{
    json_t *tree = sse_data(bytes, n, name);
    expect_tree(tree, want);
    json_decref(tree);
}

static inline size_t count_sse(const char *bytes)
{
    size_t n = 0;
    for (const char *at = strstr(bytes, "\n\n"); at; at = strstr(at + 2, "\n\n")) {
        n++;
    }
    return n;
}
