/* tests/prop/test_calls.c - calls of tools from the body of a request to the body of its answer, in every format.
 *
 * A model of random weights, whose tokenizer knows the format's special tokens, is asked with tools: calls required, one
 * named, some allowed, and beside a form of the content. Whatever it draws at temperature 1, the answer is what was
 * promised: calls of tools that may be called, whose arguments follow their schemas, or content of the form.
 *
 * Memory: a folder in the temporary directory for the time of a format. */
#include "api/config.h"
#include "front/call.h"
#include "support/engine_fixture.h"
#include "support/synth_folder.h"
#include "text/reply.h"

#define FIRST_SPECIAL 2030 /* ids of the demo's tokenizer that are free, up to 2047 */
#define MAX_SPECIALS  9
#define N_CHOICES     4 /* of a request, each drawn from its own seed */
#define BODY_BYTES    4096

#define BAR "\xEF\xBD\x9C"
#define LOW "\xE2\x96\x81"

typedef struct format_case {
    const char *name;
    const char *specials[MAX_SPECIALS]; /* the first ends reasoning, "" where there is none */
    const char *sign;                   /* words of the template by which reasoning is known */
} format_case;

static const format_case cases[] = {
    {"hermes", {"</think>", "<think>", "<tool_call>", "</tool_call>"}, "<think>"},
    {"qwen3-coder", {"", "<tool_call>", "</tool_call>"}, ""},
    {"glm",
     {"</think>", "<think>", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>",
      "<arg_value>", "</arg_value>"},
     "<think>"},
    {"llama3", {"", "<|python_tag|>"}, ""},
    {"mistral", {"[/THINK]", "[THINK]", "[TOOL_CALLS]"}, "[THINK]"},
    {"deepseek-v3",
     {"</think>", "<think>", "<" BAR "tool" LOW "calls" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "calls" LOW "end" BAR ">", "<" BAR "tool" LOW "call" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "call" LOW "end" BAR ">", "<" BAR "tool" LOW "sep" BAR ">"},
     "<think>"},
    {"deepseek-v3.1",
     {"", "<" BAR "tool" LOW "calls" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "calls" LOW "end" BAR ">", "<" BAR "tool" LOW "call" LOW "begin" BAR ">",
      "<" BAR "tool" LOW "call" LOW "end" BAR ">", "<" BAR "tool" LOW "sep" BAR ">"},
     ""},
    {"harmony",
     {"<|end|>", "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"},
     "<|channel|>analysis"},
    {"kimi-k2",
     {"", "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
      "<|tool_call_end|>", "<|tool_call_argument_begin|>"},
     ""},
    {"gemma",
     {"<channel|>", "<|channel>", "<|tool_call>", "<tool_call|>", "<|\"|>"},
     "<|channel>thought"},
    {"cohere",
     {"<|END_THINKING|>", "<|START_THINKING|>", "<|START_ACTION|>", "<|END_ACTION|>"},
     "<|START_THINKING|>"},
    {"apriel", {""}, ""},
    {"firefunction", {""}, ""},
    {"granite", {"", "<|tool_call|>"}, ""},
};

#define CONFIG                                                                                     \
    "{\"model_type\": \"llama\", \"vocab_size\": 2048, \"hidden_size\": 64,"                       \
    "\"intermediate_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 2,"             \
    "\"num_key_value_heads\": 1, \"max_position_embeddings\": 1024, \"rms_norm_eps\": 1e-06,"      \
    "\"hidden_act\": \"silu\", \"bos_token_id\": 2027, \"eos_token_id\": 2029,"                    \
    "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\"}"

/* ---- the model ---- */

/* The file of the folder as a tree; the caller writes it back. */
static json_t *read_file(const char *dir, const char *name, char path[KRS_OS_PATH_BYTES])
{
    assert_int_equal(krs_os_path_join(dir, name, path, KRS_OS_PATH_BYTES), KRS_OK);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    return root;
}

static void write_file(json_t *root, const char *path)
{
    assert_int_equal(json_dump_file(root, path, JSON_COMPACT), 0);
    json_decref(root);
}

static void make_folder(const format_case *c, char dir[KRS_OS_PATH_BYTES])
{
    char path[KRS_OS_PATH_BYTES];
    krs_synth_folder_make(CONFIG, dir);
    json_t *root = read_file(dir, "tokenizer.json", path);
    for (int i = 0; i < MAX_SPECIALS && c->specials[i]; i++) {
        if (c->specials[i][0] != '\0') {
            json_t *token = json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", FIRST_SPECIAL + i,
                                      "content", c->specials[i], "special", 1, "single_word", 0,
                                      "lstrip", 0, "rstrip", 0, "normalized", 0);
            assert_int_equal(json_array_append_new(json_object_get(root, "added_tokens"), token),
                             0);
        }
    }
    write_file(root, path);
    root = read_file(dir, "tokenizer_config.json", path);
    json_t *source = json_sprintf(
        "%s{#- %s -#}", json_string_value(json_object_get(root, "chat_template")), c->sign);
    assert_int_equal(json_object_set_new(root, "chat_template", source), 0);
    write_file(root, path);
}

/* ---- one request, from body to body ---- */

typedef struct asked {
    engine_fixture *fixture;
    krs_answer *answer;
    krs_buf out;
    uint32_t n_left;
    uint32_t order[N_CHOICES]; /* what streams know themselves by */
} asked;

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    asked *a = ctx;
    krs_os_mutex_lock(a->fixture->lock);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t choice = *(const uint32_t *)events[i].user;
        assert_int_equal(krs_answer_add(a->answer, choice, &events[i], &a->out), KRS_OK);
        a->n_left -= events[i].is_end;
    }
    krs_os_cond_broadcast(a->fixture->changed);
    krs_os_mutex_unlock(a->fixture->lock);
}

static json_t *ask(engine_fixture *f, const krs_model_info *info, const char *body)
{
    const krs_call_context context = {.models = info,
                                      .n_models = 1,
                                      .correlation_id = "test",
                                      .now_ns = krs_os_now_ns(),
                                      .random = 7,
                                      .max_body_bytes = BODY_BYTES};
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_call_parse(&context, KRS_CALL_CHAT, krs_str_of(body), &call, &err) != KRS_OK) {
        fail_msg("%s: %s", body, err.message);
    }
    asked a = {.fixture = f, .n_left = N_CHOICES};
    krs_request *requests[N_CHOICES];
    assert_int_equal(call->n_requests, N_CHOICES);
    for (uint32_t i = 0; i < N_CHOICES; i++) {
        a.order[i] = i;
        requests[i] = call->requests[i];
        call->requests[i] = NULL;
    }
    krs_buf_init(&a.out, NULL, 1u << 20);
    assert_int_equal(krs_answer_new(call, &a.answer), KRS_OK);
    const krs_sink sink = {&a, deliver};
    for (uint32_t i = 0; i < N_CHOICES; i++) {
        uint64_t id;
        assert_int_equal(krs_runtime_open(f->runtime, requests[i], &sink, &a.order[i], &id, &err),
                         KRS_OK);
    }
    krs_os_mutex_lock(f->lock);
    while (a.n_left > 0) {
        krs_os_cond_wait(f->changed, f->lock);
    }
    krs_os_mutex_unlock(f->lock);
    if (krs_answer_state_of(a.answer) != KRS_ANSWER_DONE) {
        fail_msg("%s: %s", body, krs_answer_error(a.answer)->message);
    }
    json_t *tree = json_loadb(a.out.data, a.out.len, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(tree);
    krs_answer_free(a.answer);
    krs_buf_deinit(&a.out);
    return tree;
}

/* ---- what was promised ---- */

typedef struct promise {
    const char *fields; /* of the body */
    bool has_calls;     /* and nothing else; else calls or content of the form */
    bool is_single;     /* one call at most */
    const char *only;   /* the tool that may be called; NULL: either */
} promise;

#define FORM                                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":"    \
    "{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},\"required\":[\"ok\"],"   \
    "\"additionalProperties\":false}}}"

static const promise promises[] = {
    {"\"tool_choice\":\"required\"", true, false, NULL},
    {"\"tool_choice\":\"required\",\"parallel_tool_calls\":false", true, true, NULL},
    {"\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"weather\"}}", true, false,
     "weather"},
    {"\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\","
     "\"tools\":"
     "[{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]}}",
     true, false, "now"},
    {FORM, false, false, NULL},
    {FORM ",\"parallel_tool_calls\":false", false, true, NULL},
};

#define WEATHER                                                                                    \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":[\"Oslo\",\"K\xC3\xB6ln\",\"New "     \
    "York\"]},"                                                                                    \
    "\"days\":{\"type\":\"integer\"},\"is_long\":{\"type\":\"boolean\"}},\"required\":[\"city\","  \
    "\"days\"],\"additionalProperties\":false}"
#define NOW "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"

typedef struct tally {
    uint32_t n_calls;
    uint32_t n_contents;
    uint32_t n_thoughts;
    uint32_t n_cut; /* by max_tokens */
} tally;

static bool is_city(const char *city)
{
    return city && (strcmp(city, "Oslo") == 0 || strcmp(city, "K\xC3\xB6ln") == 0 ||
                    strcmp(city, "New York") == 0);
}

/* Do the arguments follow their schema? */
static bool is_right(const char *name, const char *text)
{
    json_t *args = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *is_long = json_object_get(args, "is_long");
    const bool is_weather = strcmp(name, "weather") == 0;
    bool is_right = json_is_object(args);
    if (is_right && is_weather) {
        is_right = is_city(json_string_value(json_object_get(args, "city"))) &&
                   json_is_number(json_object_get(args, "days")) &&
                   (!is_long || json_is_boolean(is_long)) &&
                   json_object_size(args) == (is_long ? 3u : 2u);
    } else if (is_right) {
        is_right = json_object_size(args) == 0;
    }
    json_decref(args);
    return is_right;
}

static void check_calls(const promise *p, const json_t *calls, bool is_cut, tally *sum)
{
    const size_t n = json_array_size(calls);
    assert_true(!p->is_single || n <= 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *function = json_object_get(json_array_get(calls, i), "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        const char *text = json_string_value(json_object_get(function, "arguments"));
        assert_true(strcmp(name, "weather") == 0 || strcmp(name, "now") == 0);
        assert_true(!p->only || strcmp(name, p->only) == 0);
        if (!is_right(name, text) && !(is_cut && i + 1 == n)) {
            fail_msg("%s: %s", name, text);
        }
        sum->n_calls++;
    }
}

/* One choice of an answer; false when it is not what was promised. */
static bool check_choice(const promise *p, const json_t *choice, tally *sum)
{
    const json_t *message = json_object_get(choice, "message");
    const json_t *calls = json_object_get(message, "tool_calls");
    const char *content = json_string_value(json_object_get(message, "content"));
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    const bool is_cut = strcmp(reason, "length") == 0;
    const bool has_content = content && content[0] != '\0';
    sum->n_cut += is_cut;
    sum->n_thoughts += json_object_get(message, "reasoning_content") != NULL;
    check_calls(p, calls, is_cut, sum);
    if (json_array_size(calls) > 0) {
        return !has_content || is_cut; /* a call cut in its head is text */
    }
    if (is_cut) {
        return true;
    }
    json_t *form = content ? json_loads(content, 0, NULL) : NULL;
    const bool is_form =
        json_object_size(form) == 1 && json_is_boolean(json_object_get(form, "ok"));
    json_decref(form);
    sum->n_contents += is_form;
    return is_form && !p->has_calls;
}

static void keep_promise(engine_fixture *f, const krs_model_info *info, const promise *p,
                         bool has_reasoning, tally *sum)
{
    char body[BODY_BYTES];
    /* Reasoning ends within some tokens: by chance alone it would take thousands. */
    const int n =
        snprintf(body, sizeof(body),
                 "{\"model\":\"%s\",\"n\":%d,\"seed\":11,\"temperature\":1,\"max_tokens\":160,"
                 "\"logprobs\":true,"
                 "\"logit_bias\":{\"%d\":%d},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                 "\"tools\":["
                 "{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"strict\":true,"
                 "\"parameters\":" WEATHER "}},{\"type\":\"function\",\"function\":{\"name\":"
                 "\"now\",\"strict\":true,\"parameters\":" NOW "}}],%s}",
                 info->id, N_CHOICES, FIRST_SPECIAL, has_reasoning ? 7 : 0, p->fields);
    assert_true(n > 0 && (size_t)n < sizeof(body));
    json_t *tree = ask(f, info, body);
    const json_t *choices = json_object_get(tree, "choices");
    for (size_t i = 0; i < N_CHOICES; i++) {
        if (!check_choice(p, json_array_get(choices, i), sum)) {
            char *text = json_dumps(json_array_get(choices, i), JSON_COMPACT);
            fail_msg("%s: %s", p->fields, text);
        }
    }
    json_decref(tree);
}

static void every_format_keeps_its_promises(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const format_case *c = &cases[i];
        char dir[KRS_OS_PATH_BYTES];
        tally sum = {0};
        krs_model_info info;
        make_folder(c, dir);
        krs_engine_options options = fixture_options();
        options.model_dir = dir;
        options.tool_format = c->name;
        engine_fixture f = fixture_open(&options);
        assert_int_equal(krs_runtime_models(f.runtime, &info, 1), 1);
        assert_string_equal(info.reply_format, c->name);
        const bool has_reasoning = c->specials[0][0] != '\0';
        assert_int_equal(strcmp(info.reply_reasoning, "none") != 0, has_reasoning);
        for (size_t k = 0; k < sizeof(promises) / sizeof(promises[0]); k++) {
            keep_promise(&f, &info, &promises[k], has_reasoning, &sum);
        }
        fixture_close(&f);
        assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
        print_message("%s: %u calls, %u contents, %u thoughts, %u cut\n", c->name, sum.n_calls,
                      sum.n_contents, sum.n_thoughts, sum.n_cut);
        assert_true(sum.n_calls >= N_CHOICES);
        assert_int_equal(sum.n_thoughts > 0, has_reasoning);
    }
}

/* Is there a row of the table of formats? */
static bool is_documented(const char *docs, const char *word)
{
    char row[64];
    (void)snprintf(row, sizeof(row), "\n| `%s` |", word);
    return strstr(docs, row) != NULL;
}

static void every_word_of_tool_format_is_a_format(void **state)
{
    (void)state;
    krs_buf docs;
    krs_buf_init(&docs, NULL, 1u << 20);
    assert_int_equal(krs_os_file_read(KRS_SOURCE_DIR "/docs/tool-calls.md", &docs, NULL), KRS_OK);
    const char *at = krs_option_row_of(KRS_OPTION_TOOL_FORMAT)->metavar; /* "auto|none|hermes|.." */
    uint32_t n = 0;
    while (*at != '\0') {
        char word[32];
        const size_t len = strcspn(at, "|");
        krs_reply_format format = KRS_REPLY_PLAIN;
        (void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
        if (strcmp(word, "auto") != 0 && strcmp(word, "none") != 0) {
            assert_true(krs_reply_format_find(krs_str_of(word), &format));
            assert_true(is_documented(docs.data, word));
            n++;
        }
        at += at[len] == '|' ? len + 1 : len;
    }
    assert_int_equal(n, KRS_REPLY_FORMAT_COUNT - 1); /* all but plain, which is "none" */
    krs_buf_deinit(&docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_format_keeps_its_promises),
                                       cmocka_unit_test(every_word_of_tool_format_is_a_format)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
