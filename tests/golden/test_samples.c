/* The demo models say what they were recorded saying (tests/data/samples), through the whole engine:
 * template, tokenizer, model, sampler, detokenizer. Recorded in f32 on another machine, so an answer
 * may leave the recorded path where the best two tokens nearly tie: such a place is printed, with its
 * margin, and any other difference fails. */
#include "support/cmocka.h"

#include "engine/engine.h"
#include "os/thread.h"
#include "support/sanitized.h"

#include <stdio.h>

#define NEAR_TIE     0.1 /* nats between the best two: what bf16 activations may turn round */
#define MAX_ANSWER   (64u << 10)  /* bytes; stories are under 1 KiB */
#define SHORT_ANSWER 100          /* bytes; the reference takes minutes over a story under ASan */
#define MAX_SAMPLES  (256u << 10) /* bytes of a samples file */
#define LENGTH_LIMIT 400          /* tokens; the longest recorded answer has under 200 */

typedef struct listener {
    krs_os_mutex *lock;
    krs_os_cond *ended;
    krs_buf text;
    bool is_end;
    krs_finish finish;
    krs_error error;
    const char *expected;
    double margin; /* of the token at which text first left expected; -1: it has not */
} listener;

/* Has text left the path of expected? */
static bool has_left(const listener *l)
{
    const size_t n = strlen(l->expected);
    return l->text.len > n ||
           memcmp(l->text.data ? l->text.data : "", l->expected, l->text.len) != 0;
}

static void deliver(void *ctx, const krs_stream_event *events, uint32_t n)
{
    listener *l = ctx;
    krs_os_mutex_lock(l->lock);
    for (uint32_t i = 0; i < n; i++) {
        const krs_stream_event *e = &events[i];
        assert_int_equal(krs_buf_append_str(&l->text, e->text), KRS_OK);
        if (l->margin < 0 && has_left(l) && e->n_tokens > 0 && e->tokens[0].n_top >= 2) {
            l->margin = (double)(e->tokens[0].top[0].logprob - e->tokens[0].top[1].logprob);
        }
        if (e->is_end) {
            l->is_end = true;
            l->finish = e->finish;
            l->error = e->error;
        }
    }
    krs_os_cond_signal(l->ended);
    krs_os_mutex_unlock(l->lock);
}

static const char weather_tool[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"Get the "
    "weather of a city\",\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":"
    "\"string\"}},\"required\":[\"city\"]}}}]";

/* tools: JSON, or NULL. */
static krs_request *greedy_request(const char *prompt, const char *tools)
{
    krs_request *request = NULL;
    assert_int_equal(krs_request_new(NULL, &request), KRS_OK);
    request->prompt.kind = KRS_PROMPT_CHAT;
    request->prompt.chat =
        json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", prompt);
    if (tools) {
        assert_int_equal(
            json_object_set_new(request->prompt.chat, "tools", json_loads(tools, 0, NULL)), 0);
    }
    request->sampling.temperature = 0;
    request->sampling.n_logprobs = 2;
    request->stopping.max_tokens = LENGTH_LIMIT;
    return request;
}

static void listen_to(krs_runtime *runtime, const char *prompt, const char *tools, listener *l)
{
    const krs_sink sink = {l, deliver};
    uint64_t id = 0;
    krs_error err = KRS_ERROR_INIT;
    krs_request *request = greedy_request(prompt, tools);
    assert_int_equal(krs_runtime_open(runtime, request, &sink, NULL, &id, &err), KRS_OK);
    krs_os_mutex_lock(l->lock);
    while (!l->is_end) {
        krs_os_cond_wait(l->ended, l->lock);
    }
    krs_os_mutex_unlock(l->lock);
}

/* One sample; true when the answer is as recorded. */
static bool check_sample(krs_runtime *runtime, const char *prompt, const char *tools,
                         const char *expected)
{
    listener l = {.expected = expected, .margin = -1, .finish = KRS_FINISH_ERROR};
    krs_buf_init(&l.text, NULL, MAX_ANSWER);
    assert_int_equal(krs_os_mutex_new(&l.lock), KRS_OK);
    assert_int_equal(krs_os_cond_new(&l.ended), KRS_OK);
    listen_to(runtime, prompt, tools, &l);
    assert_int_equal(l.finish, KRS_FINISH_STOP);
    const bool is_same = l.text.len == strlen(expected) && !has_left(&l);
    if (!is_same) {
        print_message("\"%s\": leaves the recorded answer where the best two tokens are %.4f nats "
                      "apart\n  recorded: %s\n  now:      %s\n",
                      prompt, l.margin, expected, l.text.data ? l.text.data : "");
        assert_true(l.margin >= 0 && l.margin < NEAR_TIE);
    }
    krs_os_cond_free(l.ended);
    krs_os_mutex_free(l.lock);
    krs_buf_deinit(&l.text);
    return is_same;
}

static json_t *load_samples(const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/tests/data/samples/%s.json", KRS_SOURCE_DIR, name);
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_SAMPLES);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    const krs_json_limits limits = {MAX_SAMPLES, false};
    json_t *samples = NULL;
    assert_int_equal(krs_json_parse(krs_buf_view(&text), &limits, &samples, NULL), KRS_OK);
    krs_buf_deinit(&text);
    return samples;
}

static krs_runtime *open_model(const char *name, const char *device)
{
    char dir[KRS_OS_PATH_BYTES];
    (void)snprintf(dir, sizeof(dir), "%s/models/%s", KRS_SOURCE_DIR, name);
    krs_engine_options options = KRS_ENGINE_OPTIONS_INIT;
    options.model_dir = dir;
    options.device = device;
    options.max_seqs = 1;
    krs_runtime *runtime = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_engine_open(&options, &runtime, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    return runtime;
}

/* max_bytes: longer answers are left out. */
static void check_model(const char *name, const char *device, size_t max_bytes)
{
    krs_runtime *runtime = open_model(name, device);
    json_t *samples = load_samples(name);
    size_t n_same = 0;
    size_t n_asked = 0;
    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        const char *answer = json_string_value(json_object_get(sample, "answer"));
        if (strlen(answer) <= max_bytes) {
            n_asked++;
            n_same += check_sample(runtime, json_string_value(json_object_get(sample, "prompt")),
                                   NULL, answer);
        }
    }
    assert_true(n_asked > 0);
    print_message("%s on %s: %zu of %zu answers exactly as recorded\n", name, device, n_same,
                  n_asked);
    json_decref(samples);
    krs_runtime_free(runtime);
}

static void demo_answers_as_recorded_on_cpu(void **state)
{
    (void)state;
    check_model("demo", "cpu", MAX_ANSWER);
}

static void demo_answers_as_recorded_on_ref(void **state)
{
    (void)state;
    if (KRS_IS_SANITIZED) {
        skip(); /* there golden cases run ref */
    }
    check_model("demo", "ref", SHORT_ANSWER);
}

static void draft_answers_as_recorded_on_cpu(void **state)
{
    (void)state;
    check_model("demo-draft", "cpu", MAX_ANSWER);
}

/* Not among the recorded ones: the template with tools, and the call in the model's own tags. */
static void demo_calls_a_tool(void **state)
{
    (void)state;
    krs_runtime *runtime = open_model("demo", "cpu");
    assert_true(check_sample(runtime, "What is the weather in Paris?", weather_tool,
                             "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
                             "\"Paris\"}}\n</tool_call>"));
    krs_runtime_free(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(demo_answers_as_recorded_on_cpu),
        cmocka_unit_test(demo_answers_as_recorded_on_ref),
        cmocka_unit_test(draft_answers_as_recorded_on_cpu),
        cmocka_unit_test(demo_calls_a_tool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
