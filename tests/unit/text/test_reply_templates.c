/* text/reply against chat templates: which style each is of, and that calls as a template itself writes
 * them, between its prompt and its end of turn, are read as the calls it was given.
 *
 * tests/data/templates holds what may be shipped; the folder named by KRS_TESTDATA holds more. */
#include "os/file.h"
#include "support/cmocka.h"
#include "support/reply_record.h"
#include "text/template.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_BYTES (16u << 20) /* any one file */
#define NOW       1767323045u /* 2026-01-02T03:04:05Z */

/* Beginnings of the files' names, and the style of all that begin so: the first that fits. */
static const struct {
    const char *name;
    const char *format;
    const char *reasoning;
} styles[] = {
    {"kr-serve--demo", "hermes", "none"},
    {"chujiezheng--granite", "granite", "none"},
    {"chujiezheng--qwen2.5", "hermes", "none"},
    {"chujiezheng--", "plain", "none"},
    {"exaone--", "hermes", "think"},
    {"misc--exaone", "hermes", "think"},
    {"extracted--deepseek-r1", "deepseek-v3", "think"},
    {"extracted--mistral-7b-instruct-v0.3", "mistral", "none"},
    {"extracted--qwen3", "hermes", "think"},
    {"extracted--", "plain", "none"},
    {"gemma-3", "plain", "none"},
    {"gemma-4", "gemma", "gemma"},
    {"misc--gemma-4", "gemma", "gemma"},
    {"llama.cpp--google-gemma-4", "gemma", "gemma"},
    {"llama-3.1", "llama3", "none"},
    {"llama-3--", "plain", "none"},
    {"llama.cpp--meta-llama", "llama3", "none"},
    {"llama.cpp--Apriel", "apriel", "none"},
    {"llama.cpp--unsloth-Apriel", "apriel", "none"},
    {"llama.cpp--Cohere2MoE", "cohere", "cohere"},
    {"llama.cpp--deepseek-ai-DeepSeek-R1", "deepseek-v3", "think"},
    {"llama.cpp--llama-cpp-deepseek-r1", "deepseek-v3", "think"},
    {"llama.cpp--deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1", "think"},
    {"llama.cpp--fireworks", "firefunction", "none"},
    {"llama.cpp--GLM", "glm", "think"},
    {"misc--gpt-oss", "harmony", "harmony"},
    {"llama.cpp--Kimi-K2-Thinking", "kimi-k2", "think"},
    {"llama.cpp--Kimi-K2", "kimi-k2", "none"},
    {"llama.cpp--moonshotai-Kimi-K2", "kimi-k2", "none"},
    {"llama.cpp--Mistral-Small", "mistral", "none"},
    {"llama.cpp--mistralai-Mistral-Nemo", "mistral", "none"},
    {"llama.cpp--NousResearch-Hermes", "hermes", "none"},
    {"llama.cpp--Qwen3-Coder", "qwen3-coder", "none"},
    {"llama.cpp--Qwen-", "hermes", "think"},
    {"llama.cpp--NVIDIA-Nemotron", "qwen3-coder", "think"},
    {"llama.cpp--StepFun", "qwen3-coder", "think"},
    {"llama.cpp--stepfun", "qwen3-coder", "think"},
    {"minja--Qwen-Qwen3-Coder", "qwen3-coder", "none"},
    {"misc--qwen3", "hermes", "think"},
    {"qwen3-vl", "hermes", "none"},
    {"qwen3--", "hermes", "think"},
};

typedef struct tally {
    size_t n_files;
    size_t n_styles; /* looked at */
    size_t n_turns;  /* with calls, read back */
    size_t n_failed;
    bool has_format[KRS_REPLY_FORMAT_COUNT]; /* read back in it */
} tally;

static json_t *read_json(const char *path)
{
    krs_buf bytes;
    json_t *out = NULL;
    const krs_json_limits limits = {MAX_BYTES, true};
    krs_buf_init(&bytes, NULL, MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_json_parse(krs_buf_view(&bytes), &limits, &out, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
    return out;
}

static void check_style(const char *name, krs_reply_style style, tally *t)
{
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
        if (krs_str_starts_with(krs_str_of(name), krs_str_of(styles[i].name))) {
            const char *format = krs_reply_format_name(style.format);
            const char *reasoning = krs_reply_reasoning_name(style.reasoning);
            t->n_styles++;
            if (strcmp(format, styles[i].format) != 0 ||
                strcmp(reasoning, styles[i].reasoning) != 0) {
                print_error("%s: %s, %s\n", name, format, reasoning);
                t->n_failed++;
            }
            return;
        }
    }
}

/* Arguments that are strings of JSON become what they say, as a server hands them to templates. */
static void parse_arguments(const json_t *messages)
{
    size_t i;
    size_t k;
    const json_t *message;
    const json_t *call;
    json_array_foreach(messages, i, message)
    {
        json_array_foreach(json_object_get(message, "tool_calls"), k, call)
        {
            json_t *function = json_object_get(call, "function");
            const char *text = json_string_value(json_object_get(function, "arguments"));
            if (text) {
                json_object_set_new(function, "arguments", json_loads(text, 0, NULL));
            }
        }
    }
}

/* The first n messages of a conversation, rendered. False: the template refuses them. */
static bool render(const krs_template *template, const json_t *inputs, size_t n, bool is_prompt,
                   krs_buf *out)
{
    json_t *copy = json_deep_copy(inputs);
    json_t *messages = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append(messages, json_array_get(json_object_get(copy, "messages"), i));
    }
    json_object_set_new(copy, "messages", messages);
    json_object_set_new(copy, "add_generation_prompt", json_boolean(is_prompt));
    json_object_set_new(copy, "bos_token", json_string("<s>"));
    json_object_set_new(copy, "eos_token", json_string("</s>"));
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    options.now_unix_s = NOW;
    krs_buf_reset(out);
    const krs_status status = krs_template_render(template, copy, &options, out, NULL);
    json_decref(copy);
    return status == KRS_OK;
}

/* name{arguments}; of each call, arguments as JSON writes them without choice. */
static void expect_calls(const json_t *calls, krs_buf *out)
{
    size_t i;
    const json_t *call;
    json_array_foreach(calls, i, call)
    {
        const json_t *function = json_object_get(call, "function");
        char *text =
            json_dumps(json_object_get(function, "arguments"), JSON_SORT_KEYS | JSON_COMPACT);
        assert_int_equal(krs_buf_printf(out, "%s%s;",
                                        json_string_value(json_object_get(function, "name")), text),
                         KRS_OK);
        free(text);
    }
}

/* Is there a word of a call in the text? Some templates leave the calls of earlier turns out. */
static bool has_call(krs_str text, const json_t *message)
{
    const json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0);
    const json_t *name = json_object_get(json_object_get(call, "function"), "name");
    return krs_str_find(text, krs_str_of(json_string_value(name)), 0) != SIZE_MAX;
}

typedef struct calls {
    krs_buf line;
    krs_buf arguments;
} calls;

static krs_status take_event(void *user, const krs_reply_event *event)
{
    calls *c = user;
    if (event->kind == KRS_REPLY_CALL_BEGIN) {
        krs_buf_reset(&c->arguments);
        return krs_buf_append_str(&c->line, event->text);
    }
    if (event->kind == KRS_REPLY_CALL_TEXT) {
        return krs_buf_append_str(&c->arguments, event->text);
    }
    if (event->kind == KRS_REPLY_CALL_END) {
        json_t *parsed = json_loadb(c->arguments.data, c->arguments.len, 0, NULL);
        char *text = parsed ? json_dumps(parsed, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
        const krs_status status =
            krs_buf_printf(&c->line, "%s;", text && !event->is_broken ? text : "(broken)");
        free(text);
        json_decref(parsed);
        return status;
    }
    return KRS_OK;
}

static void read_reply(krs_reply_style style, const json_t *tools, krs_str prompt, krs_str text,
                       calls *out)
{
    krs_reply_tool list[16];
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style = style;
    options.tools = list;
    options.is_reasoning_open = krs_reply_style_is_open(style, prompt);
    for (; options.n_tools < json_array_size(tools); options.n_tools++) {
        const json_t *function =
            json_object_get(json_array_get(tools, options.n_tools), "function");
        list[options.n_tools] =
            (krs_reply_tool){krs_str_of(json_string_value(json_object_get(function, "name"))),
                             json_object_get(function, "parameters")};
    }
    krs_reply_parser *parser = NULL;
    const krs_reply_sink sink = {out, take_event};
    assert_int_equal(krs_reply_parser_new(&options, NULL, &parser), KRS_OK);
    assert_int_equal(krs_reply_parser_feed(parser, text, &sink), KRS_OK);
    assert_int_equal(krs_reply_parser_end(parser, &sink), KRS_OK);
    krs_reply_parser_free(parser);
}

/* One assistant turn with calls, the i-th message. */
static void check_turn(const char *name, const krs_template *template, krs_reply_style style,
                       const json_t *inputs, size_t i, tally *t)
{
    krs_buf prompt;
    krs_buf whole;
    krs_buf want;
    calls got;
    krs_buf_init(&prompt, NULL, MAX_BYTES);
    krs_buf_init(&whole, NULL, MAX_BYTES);
    krs_buf_init(&want, NULL, MAX_BYTES);
    krs_buf_init(&got.line, NULL, MAX_BYTES);
    krs_buf_init(&got.arguments, NULL, MAX_BYTES);
    /* Templates that rewrite what went before are not asked: their reply is not in the difference. */
    if (render(template, inputs, i, true, &prompt) &&
        render(template, inputs, i + 1, false, &whole) &&
        krs_str_starts_with(krs_buf_view(&whole), krs_buf_view(&prompt))) {
        const krs_str text = {whole.data + prompt.len, whole.len - prompt.len};
        const json_t *message = json_array_get(json_object_get(inputs, "messages"), i);
        if (!has_call(text, message)) {
            goto done;
        }
        expect_calls(json_object_get(message, "tool_calls"), &want);
        read_reply(style, json_object_get(inputs, "tools"), krs_buf_view(&prompt), text, &got);
        t->n_turns++;
        t->has_format[style.format] = true;
        if (!krs_str_equal(krs_buf_view(&want), krs_buf_view(&got.line))) {
            print_error("%s (%s):\n  %.*s\n  got:  %.*s\n  want: %.*s\n", name,
                        krs_reply_format_name(style.format), KRS_STR_ARGS(text),
                        KRS_STR_ARGS(krs_buf_view(&got.line)), KRS_STR_ARGS(krs_buf_view(&want)));
            t->n_failed++;
        }
    }
done:
    krs_buf_deinit(&prompt);
    krs_buf_deinit(&whole);
    krs_buf_deinit(&want);
    krs_buf_deinit(&got.line);
    krs_buf_deinit(&got.arguments);
}

static void check_file(const char *dir, const char *stem, tally *t)
{
    char path[1024];
    krs_buf source;
    krs_buf_init(&source, NULL, MAX_BYTES);
    (void)snprintf(path, sizeof(path), "%s/%s.jinja", dir, stem);
    assert_int_equal(krs_os_file_read(path, &source, NULL), KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/%s.json", dir, stem);
    json_t *doc = read_json(path);
    krs_template *template = NULL;
    const krs_reply_style style = krs_reply_style_detect(krs_buf_view(&source));
    t->n_files++;
    check_style(stem, style, t);
    if (style.format != KRS_REPLY_PLAIN &&
        krs_template_parse(krs_buf_view(&source), NULL, &template, NULL) == KRS_OK) {
        size_t k;
        size_t i;
        const json_t *c;
        const json_t *message;
        json_array_foreach(json_object_get(doc, "cases"), k, c)
        {
            const json_t *inputs = json_object_get(c, "inputs");
            parse_arguments(json_object_get(inputs, "messages"));
            json_array_foreach(json_object_get(inputs, "messages"), i, message)
            {
                if (json_array_size(json_object_get(message, "tool_calls")) > 0 &&
                    json_array_size(json_object_get(inputs, "tools")) > 0) {
                    check_turn(stem, template, style, inputs, i, t);
                }
            }
        }
    }
    krs_template_free(template);
    json_decref(doc);
    krs_buf_deinit(&source);
}

static void check_folder(const char *dir, tally *t)
{
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        const krs_str name = krs_str_of(entry->d_name);
        if (krs_str_ends_with(name, KRS_STR(".jinja"))) {
            char stem[512];
            (void)snprintf(stem, sizeof(stem), "%.*s", (int)(name.len - 6), name.ptr);
            check_file(dir, stem, t);
        }
    }
    closedir(folder);
}

static void report(const tally *t)
{
    print_message("%zu templates, %zu styles known, %zu turns with calls read back, %zu wrong\n",
                  t->n_files, t->n_styles, t->n_turns, t->n_failed);
    for (int i = 0; i < KRS_REPLY_FORMAT_COUNT; i++) {
        if (t->has_format[i]) {
            print_message("  %s\n", krs_reply_format_name((krs_reply_format)i));
        }
    }
    assert_int_equal(t->n_failed, 0);
    assert_true(t->n_turns > 0);
}

static void shipped_templates_are_known(void **state)
{
    (void)state;
    tally t = {0};
    check_folder(KRS_SOURCE_DIR "/tests/data/templates", &t);
    report(&t);
}

static void more_templates_are_known(void **state)
{
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        return;
    }
    char dir[1024];
    tally t = {0};
    (void)snprintf(dir, sizeof(dir), "%s/templates", data);
    check_folder(dir, &t);
    report(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_templates_are_known),
        cmocka_unit_test(more_templates_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
