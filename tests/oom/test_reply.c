/* Replies of every format taken apart, and shapes of their calls built, with each allocation failing once. */
#include "support/cmocka.h"
#include "support/oom.h"
#include "support/reply_cases.h"
#include "text/reply_shape.h"

typedef struct world {
    krs_test_reply_tools tools;
    const krs_test_reply_case *reply;
} world;

static krs_status count_only(void *user, const krs_reply_event *event)
{
    *(uint32_t *)user += event->kind == KRS_REPLY_CALL_BEGIN;
    return KRS_OK;
}

static krs_status read_reply(const krs_alloc *alloc, void *ctx)
{
    const world *w = ctx;
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style = w->reply->style;
    options.is_reasoning_open = w->reply->is_open;
    options.tools = w->tools.list;
    options.n_tools = 3;
    uint32_t n_calls = 0;
    const krs_reply_sink sink = {&n_calls, count_only};
    krs_reply_parser *parser = NULL;
    krs_status status = krs_reply_parser_new(&options, alloc, &parser);
    assert_true((status == KRS_OK) == (parser != NULL));
    for (const char *at = w->reply->text; status == KRS_OK && *at; at++) {
        status = krs_reply_parser_feed(parser, (krs_str){at, 1}, &sink);
    }
    status = status == KRS_OK ? krs_reply_parser_end(parser, &sink) : status;
    krs_reply_parser_free(parser);
    return status;
}

static krs_status build_shape(const krs_alloc *alloc, void *ctx)
{
    const world *w = ctx;
    krs_arena arena;
    krs_reply_shape shape;
    krs_arena_init(&arena, alloc, 256, 1u << 20);
    const krs_reply_demand demand = {
        w->tools.list, w->reply->style.format == KRS_REPLY_GEMMA ? 1 : 3, false, true};
    krs_status status = krs_reply_shape_calls(w->reply->style, &demand, true, &arena, &shape, NULL);
    if (status == KRS_OK) {
        status = krs_reply_shape_content_head(w->reply->style, true, &arena, &shape);
    }
    krs_arena_deinit(&arena);
    return status;
}

static void every_reply_survives_running_out_of_memory(void **state)
{
    (void)state;
    world w;
    krs_test_reply_tools_init(&w.tools);
    for (size_t i = 0; i < KRS_TEST_N_REPLIES; i++) {
        w.reply = &krs_test_reply_cases[i];
        krs_oom_sweep(read_reply, &w);
    }
    json_decref(w.tools.weather);
}

static void every_shape_survives_running_out_of_memory(void **state)
{
    (void)state;
    world w;
    krs_test_reply_tools_init(&w.tools);
    for (size_t i = 0; i < KRS_TEST_N_REPLIES; i++) {
        w.reply = &krs_test_reply_cases[i];
        const bool is_first = i == 0 || w.reply->style.format != w.reply[-1].style.format;
        if (is_first && w.reply->style.format != KRS_REPLY_PLAIN) {
            krs_oom_sweep(build_shape, &w);
        }
    }
    json_decref(w.tools.weather);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply_survives_running_out_of_memory),
        cmocka_unit_test(every_shape_survives_running_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
