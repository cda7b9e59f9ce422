/* tests/unit/engine/test_guided.c - answers under guidance by the demo model: every kind gives what it says, and
 * neither speculation, load, preemption nor log probabilities change a token of it. */
#include "support/engine_fixture.h"

#define N_STORM 12

static const char weather[] =
    "{\"type\":\"object\",\"properties\":{\"temperature_celsius\":{\"type\":\"integer\"},"
    "\"description\":{\"type\":\"string\",\"maxLength\":12}},"
    "\"required\":[\"temperature_celsius\",\"description\"],\"additionalProperties\":false}";

static krs_request *guided(const char *text, krs_guidance_kind kind, krs_guide root)
{
    krs_request *r = question(text);
    r->guidance = (krs_guidance){.kind = kind,
                                 .root = root,
                                 .space = KRS_GUIDANCE_SPACE_COMPACT,
                                 .field = "response_format"};
    r->stopping.max_tokens = 120;
    return r;
}

static krs_request *schema_of(const char *text, const char *schema)
{
    return guided(text, KRS_GUIDANCE_JSON_SCHEMA,
                  (krs_guide){.kind = KRS_GUIDE_SCHEMA, .text = krs_str_of(schema)});
}

static krs_request *warm(krs_request *r, uint64_t seed)
{
    r->sampling.temperature = 1.5;
    r->sampling.seed = seed;
    return r;
}

static krs_request *choice(const char *text)
{
    static const krs_guide words[] = {
        {.kind = KRS_GUIDE_LITERAL, .text = {"sunny", 5}},
        {.kind = KRS_GUIDE_LITERAL, .text = {"rainy", 5}},
        {.kind = KRS_GUIDE_LITERAL, .text = {"sun", 3}},
    };
    return guided(text, KRS_GUIDANCE_CHOICE,
                  (krs_guide){.kind = KRS_GUIDE_ALT, .parts = words, .n_parts = 3});
}

static void expect_same(const heard *a, const heard *b)
{
    assert_int_equal(a->finish, b->finish);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_memory_equal(a->ids, b->ids, a->n_tokens * sizeof(a->ids[0]));
}

static void expect_weather(const heard *h)
{
    json_t *value = json_loads(h->text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    assert_int_equal(json_object_size(value), 2);
    assert_true(json_is_integer(json_object_get(value, "temperature_celsius")));
    assert_true(json_is_string(json_object_get(value, "description")));
    json_decref(value);
    assert_int_equal(h->finish, KRS_FINISH_STOP);
}

static void every_kind_gives_what_it_says(void **state)
{
    engine_fixture *f = *state;
    static heard h;
    for (uint64_t seed = 0; seed < 6; seed++) {
        h = (heard){0};
        fixture_answer(f, warm(choice("How is it?"), seed), &h);
        assert_int_equal(h.finish, KRS_FINISH_STOP);
        assert_true(strcmp(h.text, "sunny") == 0 || strcmp(h.text, "rainy") == 0 ||
                    strcmp(h.text, "sun") == 0);
        h = (heard){0};
        fixture_answer(f, warm(schema_of("What is the weather?", weather), seed), &h);
        expect_weather(&h);
        h = (heard){0};
        const krs_guide digits = {.kind = KRS_GUIDE_REGEX, .text = KRS_STR("[0-9]{3}")};
        fixture_answer(f, warm(guided("A number?", KRS_GUIDANCE_REGEX, digits), seed), &h);
        assert_int_equal(h.n_text, 3);
        assert_int_equal(strspn(h.text, "0123456789"), 3);
        assert_int_equal(h.finish, KRS_FINISH_STOP);
        h = (heard){0};
        const krs_guide rules = {.kind = KRS_GUIDE_GRAMMAR,
                                 .text = KRS_STR("start: \"a\" (\"b\" | \"c\") start | \"d\"")};
        fixture_answer(f, warm(guided("Letters?", KRS_GUIDANCE_GRAMMAR, rules), seed), &h);
        assert_int_equal(strspn(h.text, "abcd"), h.n_text);
        h = (heard){0};
        const krs_guide object = {.kind = KRS_GUIDE_OBJECT};
        fixture_answer(f, warm(guided("JSON?", KRS_GUIDANCE_JSON_OBJECT, object), seed), &h);
        if (h.finish == KRS_FINISH_STOP) {
            json_t *value = json_loads(h.text, 0, NULL);
            assert_true(json_is_object(value));
            json_decref(value);
        }
    }
}

static void calls_are_free_text_until_their_trigger(void **state)
{
    engine_fixture *f = *state;
    static heard h;
    const krs_guide call[] = {{.kind = KRS_GUIDE_TOKEN, .text = KRS_STR("<call>")},
                              {.kind = KRS_GUIDE_SCHEMA, .text = krs_str_of(weather)},
                              {.kind = KRS_GUIDE_LITERAL, .text = KRS_STR("</call>")}};
    const krs_guide parts[] = {
        {.kind = KRS_GUIDE_FREE, .text = KRS_STR("<call>")},
        {.kind = KRS_GUIDE_REPEAT, .parts = call, .n_parts = 3, .min = 0, .max = 2}};
    const krs_guide root = {.kind = KRS_GUIDE_SEQ, .parts = parts, .n_parts = 2};
    h = (heard){0};
    krs_request *r = guided("What is 12 + 7?", KRS_GUIDANCE_CALLS, root);
    fixture_answer(f, r, &h);
    static heard plain;
    plain = (heard){0};
    r = question("What is 12 + 7?");
    r->stopping.max_tokens = 120;
    fixture_answer(f, r, &plain);
    expect_same(&h, &plain); /* nothing was in its way */
    h = (heard){0};
    r = guided("What is 12 + 7?", KRS_GUIDANCE_CALLS,
               (krs_guide){.kind = KRS_GUIDE_SEQ, .parts = call, .n_parts = 3});
    fixture_answer(f, r, &h);
    assert_memory_equal(h.text, "<call>{", 7);
    assert_non_null(strstr(h.text, "}</call>"));
}

static void guidance_begins_behind_the_reasoning(void **state)
{
    engine_fixture *f = *state;
    static heard h;
    for (uint64_t seed = 0; seed < 6; seed++) {
        h = (heard){0};
        krs_request *r = warm(choice("Think."), seed);
        r->guidance.reasoning_open = KRS_STR("<t>");
        r->guidance.reasoning_close = KRS_STR("</t>");
        fixture_answer(f, r, &h);
        if (h.finish == KRS_FINISH_STOP) {
            const char *close = strstr(h.text, "</t>");
            const char *answer = close ? close + 4 + strspn(close + 4, " \n") : h.text;
            assert_true(strcmp(answer, "sunny") == 0 || strcmp(answer, "rainy") == 0 ||
                        strcmp(answer, "sun") == 0);
        }
    }
}

static void limits_and_ends_keep_their_meaning(void **state)
{
    engine_fixture *f = *state;
    static heard h;
    h = (heard){0};
    krs_request *r = schema_of("What is the weather?", weather);
    r->stopping.max_tokens = 3;
    fixture_answer(f, r, &h);
    assert_int_equal(h.finish, KRS_FINISH_LENGTH);
    assert_int_equal(h.n_tokens, 3);
    h = (heard){0}; /* a complete answer ends, whatever these two say */
    r = schema_of("What is the weather?", weather);
    r->stopping.min_tokens = 100;
    r->stopping.is_eos_ignored = true;
    fixture_answer(f, r, &h);
    expect_weather(&h);
    h = (heard){0}; /* one that may go on goes on, while it may */
    r = choice("How is it?");
    r->stopping.is_eos_ignored = true;
    fixture_answer(f, r, &h);
    assert_true(strcmp(h.text, "sunny") == 0 || strcmp(h.text, "rainy") == 0);
    h = (heard){0}; /* the request's own stop string ends it early */
    const krs_str stop[] = {KRS_STR("celsius")};
    r = schema_of("What is the weather?", weather);
    r->stopping.stops = stop;
    r->stopping.n_stops = 1;
    fixture_answer(f, r, &h);
    assert_string_equal(h.text, "{\"temperature_");
    assert_int_equal(h.finish, KRS_FINISH_STOP);
}

static void what_is_refused_names_its_field(void **state)
{
    engine_fixture *f = *state;
    static heard h;
    h = (heard){0};
    fixture_answer(f, schema_of("Hi", "{\"type\":\"objekt\"}"), &h);
    assert_int_equal(h.finish, KRS_FINISH_ERROR);
    assert_int_equal(h.error.status, KRS_EINVAL);
    assert_string_equal(h.error.field, "response_format");
    assert_non_null(strstr(h.error.message, "type"));
    h = (heard){0};
    fixture_answer(f, schema_of("Hi", "{\"type\":"), &h);
    assert_int_equal(h.error.status, KRS_EINVAL);
    assert_string_equal(h.error.field, "response_format");
    h = (heard){0};
    fixture_answer(f, schema_of("Hi", "false"), &h); /* nothing matches */
    assert_int_equal(h.error.status, KRS_EINVAL);
    h = (heard){0}; /* of two fields, the one that is wrong */
    const krs_guide parts[] = {
        {.kind = KRS_GUIDE_SCHEMA, .text = krs_str_of(weather)},
        {.kind = KRS_GUIDE_SCHEMA, .text = KRS_STR("{\"minimum\":\"a\"}"), .field = "tools"}};
    const krs_guide either = {.kind = KRS_GUIDE_ALT, .parts = parts, .n_parts = 2};
    fixture_answer(f, guided("Hi", KRS_GUIDANCE_JSON_SCHEMA, either), &h);
    assert_int_equal(h.error.status, KRS_EINVAL);
    assert_string_equal(h.error.field, "tools");
    assert_memory_equal(h.error.message, "tools: ", 7);
}

/* Three letters, then a text that can be read in twice as many ways with each character. */
static const char *exploding(void)
{
    static char rules[2048];
    int n = snprintf(rules, sizeof(rules), "start: /[a-z]{3}/ s0\n");
    for (int i = 0; i < 24; i++) {
        n += snprintf(rules + n, sizeof(rules) - (size_t)n, "s%d: \"a\" (s%d \"x\" | s%d \"y\")\n",
                      i, i + 1, i + 1);
    }
    (void)snprintf(rules + n, sizeof(rules) - (size_t)n, "s24: \"b\"\n");
    return rules;
}

/* The answer ends with an error where the grammar cannot be followed, and nothing beside it does. */
static void what_cannot_be_followed_fails_alone(void **state)
{
    engine_fixture *f = *state;
    static heard wild[3];
    static heard other;
    const krs_guide rules = {.kind = KRS_GUIDE_GRAMMAR, .text = krs_str_of(exploding())};
    other = (heard){0};
    fixture_ask(f, warm(schema_of("What is the weather?", weather), 3), &other);
    for (uint32_t i = 0; i < 3; i++) { /* the last meets what the others left */
        wild[i] = (heard){0};
        fixture_ask(f, warm(guided("A word?", KRS_GUIDANCE_GRAMMAR, rules), 5), &wild[i]);
    }
    fixture_wait(f, &other);
    expect_weather(&other);
    for (uint32_t i = 0; i < 3; i++) {
        fixture_wait(f, &wild[i]);
        assert_int_equal(wild[i].finish, KRS_FINISH_ERROR);
        assert_int_equal(wild[i].error.status, KRS_ETOOLARGE);
        assert_string_equal(wild[i].error.field, "response_format");
        assert_non_null(strstr(wild[i].error.message, "response_format: too hard to follow"));
        assert_true(wild[i].n_text <= 3); /* and nothing that is not of the grammar */
        expect_same(&wild[i], &wild[0]);
    }
    other = (heard){0};
    fixture_answer(f, schema_of("What is the weather?", weather), &other);
    expect_weather(&other);
}

/* Two questions, cold and warm: what the variations below must give, too. */
static krs_request *varied(uint32_t i)
{
    switch (i % 4) {
    case 0:
        return schema_of("What is the weather?", weather);
    case 1:
        return warm(schema_of("What is the weather?", weather), i);
    case 2:
        return warm(choice("How is it?"), i);
    default:
        return question("What is 12 + 7?");
    }
}

static void alone(heard *out)
{
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    for (uint32_t i = 0; i < N_STORM; i++) {
        out[i] = (heard){0};
        fixture_answer(&f, varied(i), &out[i]);
    }
    fixture_close(&f);
}

/* All at once with these options, and some with speculation and log probabilities: the same tokens. */
static void expect_alike(const krs_engine_options *options, krs_speculation_mode mode,
                         const heard *want)
{
    static heard got[N_STORM];
    engine_fixture f = fixture_open(options);
    for (uint32_t i = 0; i < N_STORM; i++) {
        got[i] = (heard){0};
        krs_request *r = varied(i);
        r->speculation.mode = mode;
        r->sampling.n_logprobs = i % 2 ? 2 : -1;
        fixture_ask(&f, r, &got[i]);
    }
    for (uint32_t i = 0; i < N_STORM; i++) {
        fixture_wait(&f, &got[i]);
        expect_same(&got[i], &want[i]);
    }
    fixture_close(&f);
}

static void nothing_beside_it_changes_a_guided_answer(void **state)
{
    (void)state;
    static heard want[N_STORM];
    alone(want);
    krs_engine_options options = fixture_options();
    expect_alike(&options, KRS_SPECULATION_MODEL, want);
    expect_alike(&options, KRS_SPECULATION_NGRAM, want);
    options.kv_tokens = 512; /* one context for all: they put each other out */
    expect_alike(&options, KRS_SPECULATION_MODEL, want);
    options = fixture_options();
    options.draft_dir = KRS_SOURCE_DIR "/models/demo-draft";
    expect_alike(&options, KRS_SPECULATION_DRAFT, want);
    options = fixture_options();
    options.has_no_prefix_cache = true;
    options.max_step_tokens = 8; /* few rows of forced tokens in a step */
    expect_alike(&options, KRS_SPECULATION_OFF, want);
}

static void forced_tokens_share_their_steps(void **state)
{
    (void)state;
    static heard h;
    krs_metrics *metrics = NULL;
    assert_int_equal(krs_metrics_new(NULL, &metrics), KRS_OK);
    krs_engine_options options = fixture_options();
    options.metrics = metrics;
    engine_fixture f = fixture_open(&options);
    h = (heard){0};
    fixture_answer(&f, schema_of("What is the weather?", weather), &h);
    expect_weather(&h);
    const int64_t n_steps = krs_metrics_read(metrics, KRS_METRIC_STEPS);
    const int64_t n_forced = krs_metrics_read(metrics, KRS_METRIC_GUIDANCE_FORCED);
    printf("%u tokens, %lld forced, %lld steps\n", h.n_tokens, (long long)n_forced,
           (long long)n_steps);
    assert_true(n_forced >= 4);
    assert_true(n_steps < h.n_tokens);
    h = (heard){0};
    fixture_answer(&f, schema_of("And now?", weather), &h); /* the automaton is there already */
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_GUIDANCE_COMPILED), 1);
    assert_int_equal(krs_metrics_read(metrics, KRS_METRIC_GUIDANCE_FOUND), 1);
    fixture_close(&f);
    krs_metrics_free(metrics);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_gives_what_it_says),
        cmocka_unit_test(calls_are_free_text_until_their_trigger),
        cmocka_unit_test(guidance_begins_behind_the_reasoning),
        cmocka_unit_test(limits_and_ends_keep_their_meaning),
        cmocka_unit_test(what_is_refused_names_its_field),
        cmocka_unit_test(what_cannot_be_followed_fails_alone),
        cmocka_unit_test(nothing_beside_it_changes_a_guided_answer),
        cmocka_unit_test(forced_tokens_share_their_steps),
    };
    return cmocka_run_group_tests(tests, open_demo, close_demo);
}
