/* text/reply_shape: what a shape allows is what the parser of the same format reads as calls.
 *
 * Shapes are walked by chance, leaves filled with what they stand for, and the text is fed to the parser. */
#include "support/cmocka.h"
#include "support/reply_cases.h"
#include "text/reply_shape.h"

#include <stdlib.h>

#define SEED_DEFAULT 20261124u /* any; printed, and taken from KRS_TEST_SEED when set */
#define ROUNDS       300       /* of each format */

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static const char *const free_texts[] = {"", "x", "a < b, \"c\"\n", "K\xC3\xB6ln }] \\", " "};

/* Something that the leaf allows; every regex and schema that can come is here, or the test fails. */
static const char *leaf_text(const krs_reply_shape *leaf, uint64_t *random)
{
    static const struct {
        const char *what;
        const char *texts[2];
    } known[] = {
        {"\\n?", {"", "\n"}},
        {"\\n{0,2}", {"", "\n\n"}},
        {" ?\\[", {"[", " ["}},
        {" ?functools\\[", {"functools[", " functools["}},
        {":[0-9]{1,3}", {":0", ":12"}},
        {"\\{\"tool_call_id\": \"[0-9]{1,3}\"",
         {"{\"tool_call_id\": \"0\"", "{\"tool_call_id\": \"31\""}},
        {"[A-Za-z_][A-Za-z0-9_.-]{0,63}", {"k", "_key-2"}},
        {"[A-Za-z_][A-Za-z0-9_]{0,63}:", {"k:", "_key2:"}},
        {"\\s*([^\\s{][\\s\\S]*)?", {"", " Hi {"}},
        {"{\"type\":[\"number\",\"boolean\",\"null\"]}", {"-2.5", "null"}},
        {"{\"type\":\"integer\"}", {"3", "-40"}},
        {"{\"type\":\"boolean\"}", {"true", "false"}},
        {"{\"anyOf\":[{\"type\":\"object\"},{\"type\":\"null\"}]}", {"{\"x\": [1]}", "null"}},
    };
    if (leaf->kind == KRS_REPLY_SHAPE_FREE) {
        return free_texts[next(random, 5)];
    }
    if (leaf->kind == KRS_REPLY_SHAPE_OBJECT) {
        return next(random, 2) ? "{}" : "{\"a\": \"}\"}";
    }
    if (krs_str_find(leaf->text, KRS_STR("\"city\""), 0) != SIZE_MAX) {
        return "{\"city\": \"</tool_call>\", \"days\": 3}"; /* the whole schema */
    }
    if (krs_str_find(leaf->text, KRS_STR("\"hour\""), 0) != SIZE_MAX) {
        return "{\"hour\": 7, \"tag\": \"\\n\"}";
    }
    if (krs_str_find(leaf->text, KRS_STR("\"array\""), 0) != SIZE_MAX) {
        return "[ ]";
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (krs_str_equal(leaf->text, krs_str_of(known[i].what))) {
            return known[i].texts[next(random, 2)];
        }
    }
    fail_msg("no text for %.*s", KRS_STR_ARGS(leaf->text));
    return "";
}

static void write_shape(const krs_reply_shape *shape, uint64_t *random, krs_buf *out)
{
    switch (shape->kind) {
    case KRS_REPLY_SHAPE_LITERAL:
    case KRS_REPLY_SHAPE_TOKEN:
        assert_int_equal(krs_buf_append_str(out, shape->text), KRS_OK);
        return;
    case KRS_REPLY_SHAPE_ALT:
        write_shape(&shape->parts[next(random, shape->n_parts)], random, out);
        return;
    case KRS_REPLY_SHAPE_SEQ:
    case KRS_REPLY_SHAPE_REPEAT: {
        const uint32_t more = shape->max > shape->min + 2 ? 3 : shape->max - shape->min + 1;
        const uint32_t n = shape->kind == KRS_REPLY_SHAPE_SEQ ? 1 : shape->min + next(random, more);
        for (uint32_t i = 0; i < n * shape->n_parts; i++) {
            write_shape(&shape->parts[i % shape->n_parts], random, out);
        }
        return;
    }
    default:
        assert_int_equal(krs_buf_append_str(out, krs_str_of(leaf_text(shape, random))), KRS_OK);
    }
}

typedef struct counts {
    uint32_t n_calls;
    uint32_t n_content;
    krs_buf arguments;
} counts;

static krs_status count_event(void *user, const krs_reply_event *event)
{
    counts *c = user;
    c->n_calls += event->kind == KRS_REPLY_CALL_BEGIN;
    c->n_content += event->kind == KRS_REPLY_CONTENT;
    if (event->kind == KRS_REPLY_CALL_TEXT) {
        return krs_buf_append_str(&c->arguments, event->text);
    }
    if (event->kind == KRS_REPLY_CALL_END) {
        json_t *tree = json_loadb(c->arguments.data, c->arguments.len, 0, NULL);
        const bool is_well = json_is_object(tree) && !event->is_broken;
        json_decref(tree);
        krs_buf_reset(&c->arguments);
        return is_well ? KRS_OK : KRS_EFORMAT;
    }
    return KRS_OK;
}

/* One text of the shape, read. */
static void check_text(krs_reply_style style, const krs_reply_demand *demand, krs_str text)
{
    counts c = {0};
    krs_reply_parser *parser = NULL;
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style = style;
    options.tools = demand->tools;
    options.n_tools = demand->n_tools;
    krs_buf_init(&c.arguments, NULL, 1u << 20);
    const krs_reply_sink sink = {&c, count_event};
    assert_int_equal(krs_reply_parser_new(&options, NULL, &parser), KRS_OK);
    krs_status status = krs_reply_parser_feed(parser, text, &sink);
    status = status == KRS_OK ? krs_reply_parser_end(parser, &sink) : status;
    const bool is_well = status == KRS_OK && (!demand->is_required || c.n_calls > 0) &&
                         (!demand->is_required || c.n_content == 0) &&
                         (demand->is_parallel || c.n_calls <= 1);
    if (!is_well) {
        print_error("%s: %u calls, %u pieces of content in\n%.*s\n",
                    krs_reply_format_name(style.format), c.n_calls, c.n_content,
                    KRS_STR_ARGS(text));
        fail();
    }
    krs_reply_parser_free(parser);
    krs_buf_deinit(&c.arguments);
}

static void check_demand(krs_reply_style style, const krs_reply_demand *demand, uint64_t *random)
{
    krs_arena arena;
    krs_buf text;
    krs_reply_shape shape;
    krs_error err = KRS_ERROR_INIT;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    krs_buf_init(&text, NULL, 1u << 20);
    const krs_status status =
        krs_reply_shape_calls(style, demand, next(random, 2) == 0, &arena, &shape, &err);
    if (status != KRS_OK) { /* gemma: types that it cannot hold to */
        assert_int_equal(style.format, KRS_REPLY_GEMMA);
        assert_int_equal(status, KRS_EUNSUPPORTED);
        assert_non_null(strstr(err.message, "extra"));
    }
    for (int i = 0; i < ROUNDS && status == KRS_OK; i++) {
        krs_buf_reset(&text);
        write_shape(&shape, random, &text);
        check_text(style, demand, krs_buf_view(&text));
    }
    krs_buf_deinit(&text);
    krs_arena_deinit(&arena);
}

static void what_shapes_allow_is_read_as_calls(void **state)
{
    static const krs_reply_style styles[] = {HERMES,  CODER, GLM,   LLAMA,  MISTRAL, DS3,  DS31,
                                             HARMONY, KIMI,  GEMMA, COHERE, APRIEL,  FIRE, GRANITE};
    (void)state;
    const char *text = getenv("KRS_TEST_SEED");
    uint64_t random = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
        for (uint32_t k = 0; k < 8; k++) {
            const krs_reply_demand demand = {.tools = t.list + (k & 1),
                                             .n_tools = 1 + (k & 1),
                                             .is_required = (k & 2) != 0,
                                             .is_parallel = (k & 4) != 0};
            check_demand(styles[i], &demand, &random);
        }
    }
    json_decref(t.weather);
}

/* Objects, lists, enums, with and without something required. */
static void formats_of_their_own_syntax_hold_to_schemas(void **state)
{
    static const char objects[] =
        "{\"properties\":{\"place\":{\"type\":\"string\"},\"unit\":{\"enum\":[\"c\",\"f\"]},"
        "\"at\":{\"type\":\"object\",\"properties\":{\"hour\":{\"type\":\"integer\"},\"tag\":"
        "{\"type\":\"string\"}},\"required\":[\"hour\"]},\"days\":{\"type\":\"array\",\"items\":"
        "{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}},\"required\":[\"at\"]}";
    static const char optional[] =
        "{\"properties\":{\"a\":{\"type\":\"boolean\"},\"b\":{\"type\":\"string\"},\"c\":"
        "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}";
    static const char *const schemas[] = {objects, optional, "{}"};
    static const krs_reply_style styles[] = {GEMMA, CODER, GLM};
    (void)state;
    uint64_t random = SEED_DEFAULT;
    for (size_t i = 0; i < 3; i++) {
        json_t *tree = json_loads(schemas[i], 0, NULL);
        assert_non_null(tree);
        const krs_reply_tool tool = {KRS_STR("f"), tree};
        for (size_t k = 0; k < 3; k++) {
            const krs_reply_demand demand = {&tool, 1, true, k == 1};
            check_demand(styles[k], &demand, &random);
        }
        json_decref(tree);
    }
}

/* A tool of one schema in a format: refused, and why. */
static void check_refused(krs_reply_style style, const char *schema, const char *why)
{
    krs_arena arena;
    krs_reply_shape shape;
    krs_error err = KRS_ERROR_INIT;
    json_t *tree = json_loads(schema, 0, NULL);
    assert_non_null(tree);
    const krs_reply_tool tool = {KRS_STR("f"), tree};
    const krs_reply_demand demand = {&tool, 1, true, true};
    krs_arena_init(&arena, NULL, 4096, 1u << 22);
    assert_int_equal(krs_reply_shape_calls(style, &demand, false, &arena, &shape, &err),
                     KRS_EUNSUPPORTED);
    if (!strstr(err.message, why)) {
        fail_msg("%s: %s", schema, err.message);
    }
    krs_arena_deinit(&arena);
    json_decref(tree);
}

static void what_a_format_cannot_hold_to_is_refused(void **state)
{
    (void)state;
    const krs_reply_style plain = PLAIN;
    const krs_reply_style coder = CODER;
    const krs_reply_style gemma = GEMMA;
    const krs_reply_style lfm2 = {KRS_REPLY_LFM2, KRS_REPLY_REASONING_NONE};
    check_refused(plain, "{}", "no format of tool calls");
    check_refused(lfm2, "{}", "calls of the format lfm2");
    check_refused(coder, "{\"properties\":{\"k\":{\"type\":\"string\",\"pattern\":\"a\"}}}",
                  "\"k\"");
    check_refused(coder, "{\"properties\":{\"k\":{\"enum\":[\"</parameter>\"]}}}", "closing tag");
    check_refused(coder, "{\"properties\":{\"k>\":{}}}", "cannot stand in a tag");
    check_refused(coder, "{\"required\":[\"z\"]}", "\"z\"");
    check_refused(coder, "{\"anyOf\":[{}]}", "anyOf");
    check_refused(gemma, "{\"properties\":{\"k\":{\"type\":\"string\",\"minLength\":2}}}", "\"k\"");
    check_refused(gemma, "{\"properties\":{\"k\":{\"type\":\"array\",\"uniqueItems\":true}}}",
                  "uniqueItems");
    check_refused(gemma, "{\"properties\":{\"a b\":{\"type\":\"null\"}}}", "bare");
    check_refused(gemma, "{\"properties\":{\"k\":{\"$ref\":\"#/x\"}}}", "one type");
}

/* What a shape would pass over, and with it arguments that the schema refuses. */
static void nothing_that_binds_is_passed_over(void **state)
{
    static const char *const both[] = {
        "{\"patternProperties\":{\"k\":{\"type\":\"null\"}},\"properties\":{\"k\":{\"type\":"
        "\"string\"}}}",
        "{\"dependencies\":{\"k\":[\"x\"]},\"properties\":{\"k\":{\"type\":\"string\"}}}",
        "{\"properties\":{\"k\":{\"type\":\"string\",\"$ref\":\"#/$defs/a\"}}}",
        "{\"properties\":{\"k\":{\"type\":\"string\",\"enum\":[1,2]}}}",
        "{\"properties\":{\"k\":{\"type\":\"string\",\"const\":\"a\",\"enum\":[\"b\"]}}}",
    };
    static const char *const braces[] = {
        "{\"properties\":{\"k\":{\"type\":\"string\",\"not\":{\"const\":\"a\"}}}}",
        "{\"properties\":{\"k\":{\"type\":\"array\",\"const\":[1]}}}",
        "{\"properties\":{\"k\":{\"type\":\"array\",\"items\":[{\"type\":\"null\"}]}}}",
        "{\"properties\":{\"k\":{\"type\":\"array\",\"items\":false}}}",
        "{\"properties\":{\"k\":{\"type\":\"integer\",\"enum\":[\"a\"]}}}",
        "{\"properties\":{\"k\":{\"enum\":[1,5],\"maximum\":2}}}",
        "{\"properties\":{\"k\":false}}",
    };
    (void)state;
    const krs_reply_style coder = CODER;
    const krs_reply_style gemma = GEMMA;
    for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        check_refused(coder, both[i], "tool \"f\"");
        check_refused(gemma, both[i], "tool \"f\"");
    }
    for (size_t i = 0; i < sizeof(braces) / sizeof(braces[0]); i++) {
        check_refused(gemma, braces[i], "tool \"f\"");
    }
}

static bool is_held_to_objects(const krs_reply_shape *shape)
{
    bool is_held = krs_str_find(shape->text, KRS_STR("\"type\":\"object\""), 0) != SIZE_MAX;
    for (uint32_t i = 0; i < shape->n_parts; i++) {
        is_held = is_held || is_held_to_objects(&shape->parts[i]);
    }
    return is_held;
}

/* Calls have objects for arguments, whatever the schema leaves open; where it allows none it is refused. */
static void arguments_are_objects(void **state)
{
    static const struct {
        const char *schema;
        krs_status status;
    } cases[] = {
        {"{}", KRS_OK},
        {"{\"anyOf\":[{\"type\":\"string\"},{}]}", KRS_OK},
        {"{\"type\":[\"object\",\"null\"]}", KRS_OK},
        {"{\"type\":\"string\"}", KRS_EINVAL},
        {"{\"type\":[\"array\",\"null\"]}", KRS_EINVAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const krs_reply_style style = HERMES;
        krs_arena arena;
        krs_reply_shape shape = {0};
        krs_error err = KRS_ERROR_INIT;
        json_t *tree = json_loads(cases[i].schema, 0, NULL);
        const krs_reply_tool tool = {KRS_STR("f"), tree};
        const krs_reply_demand demand = {&tool, 1, true, false};
        krs_arena_init(&arena, NULL, 4096, 1u << 20);
        assert_int_equal(krs_reply_shape_calls(style, &demand, false, &arena, &shape, &err),
                         cases[i].status);
        assert_true(is_held_to_objects(&shape) == (cases[i].status == KRS_OK));
        krs_arena_deinit(&arena);
        json_decref(tree);
    }
}

static void no_tools_and_long_names_are_errors(void **state)
{
    (void)state;
    static char name[KRS_REPLY_MAX_NAME_BYTES + 1];
    memset(name, 'n', sizeof(name));
    const krs_reply_style style = HERMES;
    const krs_reply_tool tool = {{name, sizeof(name)}, NULL};
    const krs_reply_demand none = {NULL, 0, true, true};
    const krs_reply_demand longer = {&tool, 1, true, true};
    krs_arena arena;
    krs_reply_shape shape;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    assert_int_equal(krs_reply_shape_calls(style, &none, false, &arena, &shape, NULL), KRS_EINVAL);
    assert_int_equal(krs_reply_shape_calls(style, &longer, false, &arena, &shape, NULL),
                     KRS_ETOOLARGE);
    krs_arena_deinit(&arena);
}

static void content_of_harmony_has_a_head(void **state)
{
    (void)state;
    uint64_t random = 1;
    krs_arena arena;
    krs_buf text;
    krs_reply_shape shape;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    krs_buf_init(&text, NULL, 4096);
    assert_int_equal(krs_reply_shape_content_head((krs_reply_style)HARMONY, true, &arena, &shape),
                     KRS_OK);
    write_shape(&shape, &random, &text);
    assert_true(krs_str_equal(krs_buf_view(&text),
                              KRS_STR("<|start|>assistant<|channel|>final<|message|>")));
    assert_int_equal(krs_reply_shape_content_head((krs_reply_style)HERMES, true, &arena, &shape),
                     KRS_OK);
    assert_int_equal(shape.kind, KRS_REPLY_SHAPE_LITERAL);
    assert_int_equal(shape.text.len, 0);
    krs_buf_deinit(&text);
    krs_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_shapes_allow_is_read_as_calls),
        cmocka_unit_test(formats_of_their_own_syntax_hold_to_schemas),
        cmocka_unit_test(what_a_format_cannot_hold_to_is_refused),
        cmocka_unit_test(nothing_that_binds_is_passed_over),
        cmocka_unit_test(arguments_are_objects),
        cmocka_unit_test(no_tools_and_long_names_are_errors),
        cmocka_unit_test(content_of_harmony_has_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
