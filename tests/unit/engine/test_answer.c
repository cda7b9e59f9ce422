/* tests/unit/engine/test_answer.c - what one stream of the demo model says: text, stops, lengths, log
 * probabilities, and every way its prompt can be refused. */
#include "support/engine_fixture.h"
#include "text/tokenizer.h"

#include <math.h>

static engine_fixture *fixture_of(void **state)
{
    return *state;
}

static int open_group(void **state)
{
    static engine_fixture f;
    const krs_engine_options options = fixture_options();
    f = fixture_open(&options);
    *state = &f;
    return 0;
}

static int close_group(void **state)
{
    fixture_close(*state);
    return 0;
}

static void a_sum_is_answered(void **state)
{
    static heard h;
    h = (heard){0};
    fixture_answer(fixture_of(state), question("What is 12 + 7?"), &h);
    assert_string_equal(h.text, "12 + 7 = 19.");
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    assert_int_equal(h.usage.n_prompt_tokens, 17);
    assert_int_equal(h.usage.n_answer_tokens, h.n_tokens + 1); /* and the stop token */
    assert_true(h.usage.total_ns >= h.usage.first_token_ns);
    assert_true(h.usage.first_token_ns >= h.usage.queued_ns);
}

static krs_request *raw(const char *text)
{
    krs_request *r = question("unused");
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = krs_str_of(text);
    return r;
}

static void text_and_ids_are_prompts_too(void **state)
{
    static heard by_text;
    static heard by_ids;
    by_text = (heard){0};
    by_ids = (heard){0};
    const char *markup = "<|im_start|>user\nWhat is 12 + 7?<|im_end|>\n<|im_start|>assistant\n";
    fixture_answer(fixture_of(state), raw(markup), &by_text);
    assert_string_equal(by_text.text, "12 + 7 = 19.");

    krs_tokenizer *tokenizer = NULL;
    krs_encoder *encoder = NULL;
    krs_ids ids;
    assert_int_equal(krs_tokenizer_load(KRS_SOURCE_DIR "/models/demo", NULL, &tokenizer, NULL),
                     KRS_OK);
    assert_int_equal(krs_encoder_new(tokenizer, &encoder, NULL), KRS_OK);
    assert_int_equal(krs_encode(encoder, krs_str_of(markup), true, &ids, NULL), KRS_OK);
    krs_request *r = raw(markup);
    uint32_t *copy = krs_arena_array(&r->arena, ids.n, sizeof(*copy));
    assert_non_null(copy);
    memcpy(copy, ids.ids, ids.n * sizeof(*copy));
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = copy;
    r->prompt.n_tokens = ids.n;
    krs_encoder_free(encoder);
    krs_tokenizer_free(tokenizer);
    fixture_answer(fixture_of(state), r, &by_ids);
    assert_string_equal(by_ids.text, "12 + 7 = 19.");
}

static void a_stop_string_ends_before_itself_or_after(void **state)
{
    static heard h;
    static const krs_str stop = {"7 = ", 4}; /* over several tokens */
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->stopping.stops = &stop;
    r->stopping.n_stops = 1;
    fixture_answer(fixture_of(state), r, &h);
    assert_string_equal(h.text, "12 + ");
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    h = (heard){0};
    r = question("What is 12 + 7?");
    r->stopping.stops = &stop;
    r->stopping.n_stops = 1;
    r->stopping.has_stop_text = true;
    fixture_answer(fixture_of(state), r, &h);
    assert_string_equal(h.text, "12 + 7 = ");
}

static void a_held_beginning_comes_out_at_the_end(void **state)
{
    static heard h;
    static const krs_str stop = {".never", 6};
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->stopping.stops = &stop;
    r->stopping.n_stops = 1;
    fixture_answer(fixture_of(state), r, &h);
    assert_string_equal(h.text, "12 + 7 = 19.");
}

static void max_tokens_ends_with_length(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = question("Tell me a story about a fox.");
    r->stopping.max_tokens = 5;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_LENGTH);
    assert_int_equal(h.n_tokens, 5);
    assert_int_equal(h.usage.n_answer_tokens, 5);
}

static void min_tokens_forbids_stopping_before(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->stopping.min_tokens = 20; /* it would be done after 11 */
    r->stopping.max_tokens = 25;
    fixture_answer(fixture_of(state), r, &h);
    assert_true(h.usage.n_answer_tokens > 20);
    assert_memory_equal(h.text, "12 + 7 = 19.", 12);
}

static void a_stop_id_ends_like_the_models_own(void **state)
{
    static heard h;
    h = (heard){0};
    fixture_answer(fixture_of(state), question("What is 12 + 7?"), &h);
    static uint32_t third;
    third = h.ids[2];
    uint32_t before = 0;
    while (h.ids[before] != third) {
        before++;
    }
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->stopping.stop_ids = &third;
    r->stopping.n_stop_ids = 1;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    assert_int_equal(h.n_tokens, before);
    h = (heard){0};
    r = question("What is 12 + 7?");
    r->stopping.stop_ids = &third;
    r->stopping.n_stop_ids = 1;
    r->stopping.has_stop_text = true;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.n_tokens, before + 1);
}

static void ignoring_the_end_token_goes_on(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->stopping.is_eos_ignored = true;
    r->stopping.max_tokens = 16;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_LENGTH);
    assert_int_equal(h.n_tokens, 16);
}

static void the_context_ends_an_answer(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = question("Tell me a story about a fox.");
    r->stopping.is_eos_ignored = true;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_LENGTH);
    assert_int_equal(h.usage.n_prompt_tokens + h.usage.n_answer_tokens, 512);
}

static void logprobs_come_when_asked_for(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->sampling.n_logprobs = 5;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.n_top, 5);
    assert_true(h.first_logprob < 0.0f && h.first_logprob > -5.0f);
    h = (heard){0};
    fixture_answer(fixture_of(state), question("What is 12 + 7?"), &h);
    assert_int_equal(h.n_top, 0);
}

static void a_seed_gives_one_text_and_another_another(void **state)
{
    static heard h[3];
    for (int i = 0; i < 3; i++) {
        h[i] = (heard){0};
        krs_request *r = question("Tell me a story about a fox.");
        r->sampling.temperature = 1.2;
        r->sampling.seed = i < 2 ? 7 : 8;
        r->stopping.max_tokens = 40;
        fixture_answer(fixture_of(state), r, &h[i]);
    }
    assert_string_equal(h[0].text, h[1].text);
    assert_string_not_equal(h[0].text, h[2].text);
}

static void expect_error(void **state, krs_request *r, krs_status status, const char *field,
                         const char *part)
{
    static heard h;
    h = (heard){0};
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_ERROR);
    assert_int_equal(h.error.status, status);
    assert_string_equal(h.error.field, field);
    assert_non_null(strstr(h.error.message, part));
    assert_int_equal(h.n_tokens, 0);
}

static void a_prompt_that_is_too_long_is_refused_with_numbers(void **state)
{
    krs_request *r = raw("");
    uint32_t *ids = krs_arena_array(&r->arena, 512, sizeof(*ids));
    assert_non_null(ids);
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = 512;
    expect_error(state, r, KRS_ETOOLARGE, "prompt", "512 tokens, want at most 511");
}

static void an_id_beyond_the_vocabulary_is_refused(void **state)
{
    krs_request *r = raw("");
    static const uint32_t ids[] = {5, 2048};
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = 2;
    expect_error(state, r, KRS_EINVAL, "prompt", "token 2048 at 1, want below 2048");
}

static void what_is_wrong_at_once_is_refused_at_once(void **state)
{
    static heard h;
    krs_error err = KRS_ERROR_INIT;
    krs_request *r = question("Hello");
    (void)snprintf(r->model, sizeof(r->model), "another-model");
    assert_int_equal(fixture_try(fixture_of(state), r, &h, &err), KRS_ENOTLOADED);
    assert_string_equal(err.field, "model");
    r = question("Hello");
    (void)snprintf(r->model, sizeof(r->model), "demo");
    r->sampling.temperature = 3.0;
    assert_int_equal(fixture_try(fixture_of(state), r, &h, &err), KRS_EINVAL);
    assert_string_equal(err.field, "temperature");
    r = question("Hello");
    static const krs_logit_bias bias = {2048, 1.0f};
    r->sampling.bias = &bias;
    r->sampling.n_bias = 1;
    assert_int_equal(fixture_try(fixture_of(state), r, &h, &err), KRS_EINVAL);
    assert_string_equal(err.field, "logit_bias");
    r = question("Hello");
    static const uint32_t stop_id = 9999;
    r->stopping.stop_ids = &stop_id;
    r->stopping.n_stop_ids = 1;
    assert_int_equal(fixture_try(fixture_of(state), r, &h, &err), KRS_EINVAL);
    assert_string_equal(err.field, "stop_token_ids");
    assert_int_equal(krs_runtime_health_of(fixture_of(state)->runtime).n_waiting, 0);
}

static void the_model_describes_itself(void **state)
{
    krs_model_info info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(krs_runtime_models(fixture_of(state)->runtime, &info, 1), 1);
    assert_string_equal(info.id, "demo");
    assert_string_equal(info.family, "qwen3");
    assert_int_equal(info.context_tokens, 512);
    assert_int_equal(info.vocab, 2048);
    assert_true(info.has_chat_template);
    assert_true(fabs(info.sampling.temperature - 0.7) < 1e-12);
    assert_true(fabs(info.sampling.top_p - 0.9) < 1e-12);
    assert_int_equal(info.sampling.top_k, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_answered),
        cmocka_unit_test(text_and_ids_are_prompts_too),
        cmocka_unit_test(a_stop_string_ends_before_itself_or_after),
        cmocka_unit_test(a_held_beginning_comes_out_at_the_end),
        cmocka_unit_test(max_tokens_ends_with_length),
        cmocka_unit_test(min_tokens_forbids_stopping_before),
        cmocka_unit_test(a_stop_id_ends_like_the_models_own),
        cmocka_unit_test(ignoring_the_end_token_goes_on),
        cmocka_unit_test(the_context_ends_an_answer),
        cmocka_unit_test(logprobs_come_when_asked_for),
        cmocka_unit_test(a_seed_gives_one_text_and_another_another),
        cmocka_unit_test(a_prompt_that_is_too_long_is_refused_with_numbers),
        cmocka_unit_test(an_id_beyond_the_vocabulary_is_refused),
        cmocka_unit_test(what_is_wrong_at_once_is_refused_at_once),
        cmocka_unit_test(the_model_describes_itself),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
