/* tests/unit/api/test_guidance.c - what a guidance may be: its limits, each at and beyond, with the field. */
#include "api/generate.h"
#include "support/cmocka.h"

#include <stdlib.h>

static krs_guidance guidance_of(krs_guide root)
{
    return (krs_guidance){.kind = KRS_GUIDANCE_CALLS, .root = root, .field = "tools"};
}

static void expect(const krs_guidance *g, krs_status want)
{
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_guidance_check(g, &err), want);
    if (want != KRS_OK) {
        assert_string_equal(err.field, g->field);
        assert_non_null(strstr(err.message, g->field));
    }
}

static void a_tree_of_every_kind_is_taken(void **state)
{
    (void)state;
    const krs_guide call[] = {
        {.kind = KRS_GUIDE_TOKEN, .text = KRS_STR("<tool_call>")},
        {.kind = KRS_GUIDE_SCHEMA, .text = KRS_STR("{}")},
        {.kind = KRS_GUIDE_REGEX, .text = KRS_STR("[0-9]+")},
        {.kind = KRS_GUIDE_GRAMMAR, .text = KRS_STR("start: \"a\"")},
        {.kind = KRS_GUIDE_OBJECT},
        {.kind = KRS_GUIDE_LITERAL},
    };
    const krs_guide parts[] = {
        {.kind = KRS_GUIDE_FREE, .text = KRS_STR("<tool_call>")},
        {.kind = KRS_GUIDE_REPEAT, .parts = call, .n_parts = 6, .max = KRS_GUIDANCE_REPEAT_INF},
        {.kind = KRS_GUIDE_ALT, .parts = call, .n_parts = 6},
    };
    krs_guidance g = guidance_of((krs_guide){.kind = KRS_GUIDE_SEQ, .parts = parts, .n_parts = 3});
    expect(&g, KRS_OK);
    g.reasoning_open = KRS_STR("<think>");
    expect(&g, KRS_EINVAL);
    g.reasoning_close = KRS_STR("</think>");
    expect(&g, KRS_OK);
    g.reasoning_close.len = KRS_GUIDANCE_MAX_TEXT_BYTES + 1;
    expect(&g, KRS_ETOOLARGE);
    g.kind = KRS_GUIDANCE_NONE; /* nothing is read */
    expect(&g, KRS_OK);
}

static void texts_have_their_limits(void **state)
{
    (void)state;
    char *text = calloc(1, KRS_GUIDANCE_MAX_BYTES + 1);
    assert_non_null(text);
    krs_guidance g =
        guidance_of((krs_guide){.kind = KRS_GUIDE_SCHEMA, .text = {text, KRS_GUIDANCE_MAX_BYTES}});
    expect(&g, KRS_OK);
    g.root.text.len++;
    expect(&g, KRS_ETOOLARGE);
    g.root.text.len = 0;
    expect(&g, KRS_EINVAL);
    const krs_guide two[] = {
        {.kind = KRS_GUIDE_LITERAL, .text = {text, KRS_GUIDANCE_MAX_BYTES}},
        {.kind = KRS_GUIDE_LITERAL, .text = {text, 1}},
    };
    g.root = (krs_guide){.kind = KRS_GUIDE_ALT, .parts = two, .n_parts = 2};
    expect(&g, KRS_ETOOLARGE); /* together */
    g.root = (krs_guide){.kind = KRS_GUIDE_TOKEN, .text = {text, KRS_GUIDANCE_MAX_TEXT_BYTES}};
    expect(&g, KRS_OK);
    g.root.text.len++;
    expect(&g, KRS_ETOOLARGE);
    free(text);
}

static void trees_have_their_limits(void **state)
{
    (void)state;
    krs_guide deep[KRS_GUIDANCE_MAX_DEPTH + 2] = {{.kind = KRS_GUIDE_OBJECT}};
    for (uint32_t i = 1; i < KRS_GUIDANCE_MAX_DEPTH + 2; i++) {
        deep[i] = (krs_guide){.kind = KRS_GUIDE_SEQ, .parts = &deep[i - 1], .n_parts = 1};
    }
    krs_guidance g = guidance_of(deep[KRS_GUIDANCE_MAX_DEPTH]);
    expect(&g, KRS_OK);
    g.root = deep[KRS_GUIDANCE_MAX_DEPTH + 1];
    expect(&g, KRS_ETOOLARGE);
    krs_guide *wide = calloc(KRS_GUIDANCE_MAX_PARTS, sizeof(*wide)); /* empty literals */
    assert_non_null(wide);
    g.root =
        (krs_guide){.kind = KRS_GUIDE_ALT, .parts = wide, .n_parts = KRS_GUIDANCE_MAX_PARTS - 1};
    expect(&g, KRS_OK);
    g.root.n_parts++;
    expect(&g, KRS_ETOOLARGE);
    g.root.n_parts = 0;
    expect(&g, KRS_EINVAL);
    g.root = (krs_guide){.kind = KRS_GUIDE_REPEAT, .parts = wide, .n_parts = 1, .min = 2, .max = 1};
    expect(&g, KRS_EINVAL);
    g.root = (krs_guide){.kind = KRS_GUIDE_COUNT};
    expect(&g, KRS_EINVAL);
    free(wide);
}

static void only_answers_are_guided(void **state)
{
    (void)state;
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = KRS_STR("hello");
    r->guidance = guidance_of((krs_guide){.kind = KRS_GUIDE_OBJECT});
    assert_int_equal(krs_request_check(r, NULL), KRS_OK);
    r->task = KRS_TASK_EMBED;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_request_check(r, &err), KRS_EINVAL);
    assert_string_equal(err.field, "tools");
    krs_request_free(r);
}

static void kinds_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(krs_guidance_name(KRS_GUIDANCE_NONE), "none");
    assert_string_equal(krs_guidance_name(KRS_GUIDANCE_JSON_OBJECT), "json_object");
    assert_string_equal(krs_guidance_name(KRS_GUIDANCE_CALLS), "calls");
    assert_string_equal(krs_guidance_name(KRS_GUIDANCE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_of_every_kind_is_taken), cmocka_unit_test(texts_have_their_limits),
        cmocka_unit_test(trees_have_their_limits),       cmocka_unit_test(only_answers_are_guided),
        cmocka_unit_test(kinds_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
