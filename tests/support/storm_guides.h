/* support/storm_guides.h - what some of a storm's requests must answer: every kind of guidance, with long forced runs,
 * counts, words that begin alike, recursion, calls with free text before them and reasoning.
 *
 * Memory: static tables, as requests may point to what outlives them. */
#pragma once

#include "api/generate.h"
#include "support/cmocka.h"

#define STORM_GUIDES 8

static const krs_guide storm_words[] = {
    {.kind = KRS_GUIDE_LITERAL, .text = {"the old map", 11}},
    {.kind = KRS_GUIDE_LITERAL, .text = {"the old", 7}},
    {.kind = KRS_GUIDE_LITERAL, .text = {"a boat and a long day, with a fox", 33}},
    {.kind = KRS_GUIDE_LITERAL, .text = {"\xC3\xA9t\xC3\xA9", 5}},
};

#define STORM_CALL_SCHEMA                                                                          \
    "{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":[\"Oslo\",\"Bergen\",\"Rome\"]},"     \
    "\"days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":31}},\"required\":[\"city\"],"       \
    "\"additionalProperties\":false}"

static const krs_guide storm_call[] = {
    {.kind = KRS_GUIDE_TOKEN, .text = {"<|im_start|>call\n", 17}},
    {.kind = KRS_GUIDE_LITERAL, .text = {"{\"name\": \"weather\", \"arguments\": ", 33}},
    {.kind = KRS_GUIDE_SCHEMA, .text = {STORM_CALL_SCHEMA, sizeof(STORM_CALL_SCHEMA) - 1}},
    {.kind = KRS_GUIDE_LITERAL, .text = {"}\n", 2}},
};

static const krs_guide storm_called[] = {
    {.kind = KRS_GUIDE_FREE, .text = {"<|im_start|>", 12}},
    {.kind = KRS_GUIDE_REPEAT, .parts = storm_call, .n_parts = 4, .min = 1, .max = 3},
};

#define STORM_PERSON                                                                               \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},"        \
    "\"born\":{\"type\":\"integer\"},\"kind\":{\"enum\":[\"fox\",\"bear\",\"boat\"]},"             \
    "\"friends\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"maxItems\":2}},"                 \
    "\"required\":[\"name\",\"kind\"],\"additionalProperties\":false}"
#define STORM_MAP                                                                                  \
    "{\"type\":\"object\",\"patternProperties\":{\"^[a-z]+$\":{\"type\":[\"number\",\"null\"]}},"  \
    "\"properties\":{\"total_of_all_members\":{\"type\":\"number\"},\"is_complete\":"              \
    "{\"type\":\"boolean\"}},\"required\":[\"total_of_all_members\",\"is_complete\"],"             \
    "\"additionalProperties\":false}"
#define STORM_PATTERN "[A-Z][a-z]{2,8} (is|was) [1-9][0-9]{0,2}(\\.[0-9]{2})?( \\p{L}{3,}){0,40}"
#define STORM_RULES                                                                                \
    "start: sum\nsum: product (\" \" (\"+\" | \"-\") \" \" product)*\n"                            \
    "product: atom (\"*\" atom)*\natom: /[0-9]{1,4}/ | \"(\" sum \")\"\n"

typedef struct storm_guide {
    krs_guidance_kind kind;
    krs_guide root;
    krs_guidance_space space;
    bool is_any_order;
    bool has_reasoning;
} storm_guide;

#define STORM_TEXT(text)                                                                           \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const storm_guide storm_guides[STORM_GUIDES] = {
    {KRS_GUIDANCE_JSON_SCHEMA,
     {.kind = KRS_GUIDE_SCHEMA, .text = STORM_TEXT(STORM_PERSON)},
     0,
     0,
     0},
    {KRS_GUIDANCE_REGEX, {.kind = KRS_GUIDE_REGEX, .text = STORM_TEXT(STORM_PATTERN)}, 0, 0, 0},
    {KRS_GUIDANCE_CHOICE, {.kind = KRS_GUIDE_ALT, .parts = storm_words, .n_parts = 4}, 0, 0, 0},
    {KRS_GUIDANCE_GRAMMAR, {.kind = KRS_GUIDE_GRAMMAR, .text = STORM_TEXT(STORM_RULES)}, 0, 0, 0},
    {KRS_GUIDANCE_CALLS, {.kind = KRS_GUIDE_SEQ, .parts = storm_called, .n_parts = 2}, 0, 0, 0},
    {KRS_GUIDANCE_JSON_OBJECT, {.kind = KRS_GUIDE_OBJECT}, KRS_GUIDANCE_SPACE_COMPACT, 0, 0},
    {KRS_GUIDANCE_JSON_SCHEMA,
     {.kind = KRS_GUIDE_SCHEMA, .text = STORM_TEXT(STORM_MAP)},
     KRS_GUIDANCE_SPACE_COMPACT,
     true,
     0},
    {KRS_GUIDANCE_CALLS,
     {.kind = KRS_GUIDE_REPEAT, .parts = storm_call, .n_parts = 4, .min = 1, .max = 1},
     KRS_GUIDANCE_SPACE_COMPACT,
     0,
     true},
};

/* Two requests of five, but for those to embed. */
static inline void storm_guide_some(krs_request *r, uint32_t i)
{
    if ((i % 5 != 3 && i % 5 != 1) || r->task != KRS_TASK_GENERATE) {
        return;
    }
    const storm_guide *guide = &storm_guides[(i / 5 * 2 + i % 5 / 3) % STORM_GUIDES];
    r->guidance = (krs_guidance){.kind = guide->kind,
                                 .root = guide->root,
                                 .space = guide->space,
                                 .is_any_order = guide->is_any_order,
                                 .field = "guidance"};
    if (guide->has_reasoning) {
        r->guidance.reasoning_open = KRS_STR("<t>");
        r->guidance.reasoning_close = KRS_STR("</t>");
    }
    r->task_options.is_special_shown = guide->kind == KRS_GUIDANCE_CALLS;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_guidance_check(&r->guidance, &err), KRS_OK);
}
