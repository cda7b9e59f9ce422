/* tests/unit/engine/test_tasks.c - what is not an answer of tokens: text to ids and back without a step, and
 * embeddings; and that a stream can be ended while its prompt is still being read. */
#include "support/engine_fixture.h"
#include "support/synth_folder.h"

#include <math.h>

#define N_HIDDEN 256 /* of the demo model */

static krs_request *task(krs_task kind, const char *text)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    r->task = kind;
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = krs_arena_copy(&r->arena, krs_str_of(text));
    assert_non_null(r->prompt.text.ptr);
    return r;
}

static krs_request *ids_task(krs_task kind, const uint32_t *ids, size_t n)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    uint32_t *copy = krs_arena_array(&r->arena, n + 1, sizeof(*copy));
    assert_non_null(copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = ids[i];
    }
    r->task = kind;
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = copy;
    r->prompt.n_tokens = n;
    return r;
}

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

static void text_becomes_ids_with_their_pieces(void **state)
{
    static heard plain;
    static heard pieces;
    plain = (heard){0};
    pieces = (heard){0};
    const char *text = "Tell me a story about Bj\xc3\xb6rn.<|im_end|>";
    fixture_answer(fixture_of(state), task(KRS_TASK_TOKENIZE, text), &plain);
    assert_int_equal(plain.finish, KRS_FINISH_STOP);
    assert_true(plain.n_tokens > 3);
    assert_false(plain.has_pieces);
    assert_int_equal(plain.n_text, 0);
    assert_int_equal(plain.usage.n_prompt_tokens, plain.n_tokens);
    krs_request *r = task(KRS_TASK_TOKENIZE, text);
    r->task_options.has_pieces = true;
    fixture_answer(fixture_of(state), r, &pieces);
    assert_string_equal(pieces.text, text);
    assert_int_equal(pieces.n_tokens, plain.n_tokens);
    assert_memory_equal(pieces.ids, plain.ids, plain.n_tokens * sizeof(plain.ids[0]));
}

static void nothing_becomes_nothing(void **state)
{
    static heard h;
    h = (heard){0};
    krs_request *r = task(KRS_TASK_TOKENIZE, "");
    r->task_options.has_no_special = true;
    r->task_options.has_pieces = true;
    fixture_answer(fixture_of(state), r, &h);
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    assert_int_equal(h.n_tokens, 0);
    h = (heard){0};
    fixture_answer(fixture_of(state), ids_task(KRS_TASK_DETOKENIZE, NULL, 0), &h);
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    assert_string_equal(h.text, "");
}

static void a_chat_becomes_the_ids_it_is_answered_from(void **state)
{
    static heard ids;
    static heard answer;
    ids = (heard){0};
    answer = (heard){0};
    krs_request *r = question("What is 12 + 7?");
    r->task = KRS_TASK_TOKENIZE;
    fixture_answer(fixture_of(state), r, &ids);
    fixture_answer(fixture_of(state), question("What is 12 + 7?"), &answer);
    assert_int_equal(ids.n_tokens, answer.usage.n_prompt_tokens);
    r = ids_task(KRS_TASK_GENERATE, ids.ids, ids.n_tokens);
    r->sampling.temperature = 0.0;
    answer = (heard){0};
    fixture_answer(fixture_of(state), r, &answer);
    assert_string_equal(answer.text, "12 + 7 = 19.");
}

static void ids_become_text_with_special_tokens_or_without(void **state)
{
    static heard ids;
    static heard h;
    ids = (heard){0};
    fixture_answer(fixture_of(state), task(KRS_TASK_TOKENIZE, "a bear<|im_end|>"), &ids);
    h = (heard){0};
    fixture_answer(fixture_of(state), ids_task(KRS_TASK_DETOKENIZE, ids.ids, ids.n_tokens), &h);
    assert_string_equal(h.text, "a bear");
    assert_int_equal(h.usage.n_prompt_tokens, ids.n_tokens);
    h = (heard){0};
    krs_request *r = ids_task(KRS_TASK_DETOKENIZE, ids.ids, ids.n_tokens);
    r->task_options.is_special_shown = true;
    fixture_answer(fixture_of(state), r, &h);
    assert_string_equal(h.text, "a bear<|im_end|>");
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
}

static void bad_tasks_are_refused_by_field(void **state)
{
    static const uint32_t beyond[] = {5, 2048};
    expect_error(state, ids_task(KRS_TASK_DETOKENIZE, beyond, 2), KRS_EINVAL, "tokens",
                 "token 2048 at 1, want below 2048");
    static uint32_t many[KRS_ENGINE_MAX_TEXT_IDS + 1];
    expect_error(state, ids_task(KRS_TASK_DETOKENIZE, many, KRS_ENGINE_MAX_TEXT_IDS + 1),
                 KRS_ETOOLARGE, "tokens", "1048577 tokens, want at most 1048576");
    expect_error(state, ids_task(KRS_TASK_EMBED, many, 513), KRS_ETOOLARGE, "input",
                 "513 tokens, want at most 512");
    expect_error(state, ids_task(KRS_TASK_EMBED, beyond, 2), KRS_EINVAL, "input",
                 "token 2048 at 1");
    static heard h;
    krs_error err = KRS_ERROR_INIT;
    krs_request *r = task(KRS_TASK_TOKENIZE, "text");
    r->prompt.kind = KRS_PROMPT_TOKENS;
    assert_int_equal(fixture_try(fixture_of(state), r, &h, &err), KRS_EINVAL);
    assert_string_equal(err.field, "prompt");
}

static double length_of(const heard *h)
{
    double squares = 0.0;
    for (uint32_t i = 0; i < h->n_vector; i++) {
        squares += (double)h->vector[i] * (double)h->vector[i];
    }
    return sqrt(squares);
}

static krs_request *embedding(krs_pooling pooling)
{
    krs_request *r = task(KRS_TASK_EMBED, "Tell me a story about a fox and a bear in a boat.");
    r->task_options.pooling = pooling;
    return r;
}

static void an_embedding_is_one_vector_of_length_one(void **state)
{
    static heard last;
    static heard mean;
    static heard own;
    last = (heard){0};
    mean = (heard){0};
    own = (heard){0};
    fixture_answer(fixture_of(state), embedding(KRS_POOLING_LAST), &last);
    fixture_answer(fixture_of(state), embedding(KRS_POOLING_MEAN), &mean);
    fixture_answer(fixture_of(state), embedding(KRS_POOLING_MODEL), &own);
    assert_int_equal(last.finish, KRS_FINISH_STOP);
    assert_int_equal(last.n_vector, N_HIDDEN);
    assert_int_equal(last.usage.n_answer_tokens, 0);
    assert_true(last.usage.n_prompt_tokens > 10);
    assert_true(fabs(length_of(&last) - 1.0) < 1e-6);
    assert_true(fabs(length_of(&mean) - 1.0) < 1e-6);
    assert_memory_equal(own.vector, last.vector, sizeof(own.vector)); /* no file says otherwise */
    assert_memory_not_equal(mean.vector, last.vector, sizeof(own.vector));
}

static void an_embedding_does_not_depend_on_chunks_or_neighbours(void **state)
{
    static heard alone[3];
    static heard crowded[3];
    static heard others[6];
    memset(alone, 0, sizeof(alone));
    memset(crowded, 0, sizeof(crowded));
    memset(others, 0, sizeof(others));
    static const krs_pooling poolings[] = {KRS_POOLING_LAST, KRS_POOLING_MEAN, KRS_POOLING_CLS};
    krs_engine_options options = fixture_options();
    options.max_step_tokens = 8; /* a prompt takes several steps */
    engine_fixture f = fixture_open(&options);
    for (int i = 0; i < 6; i++) {
        krs_request *r = question("Tell me a story about a fox.");
        r->stopping.max_tokens = 20;
        fixture_ask(&f, r, &others[i]);
    }
    for (int i = 0; i < 3; i++) {
        fixture_answer(fixture_of(state), embedding(poolings[i]), &alone[i]);
        fixture_ask(&f, embedding(poolings[i]), &crowded[i]);
    }
    for (int i = 0; i < 3; i++) {
        fixture_wait(&f, &crowded[i]);
        assert_memory_equal(alone[i].vector, crowded[i].vector, sizeof(alone[i].vector));
    }
    for (int i = 0; i < 6; i++) {
        fixture_wait(&f, &others[i]);
    }
    fixture_close(&f);
}

#define SHAPE                                                                                      \
    "{\"model_type\": \"llama\", \"vocab_size\": 2048, \"hidden_size\": 32,"                       \
    "\"intermediate_size\": 64, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"             \
    "\"num_key_value_heads\": 1, \"max_position_embeddings\": 512, \"rms_norm_eps\": 1e-06,"       \
    "\"hidden_act\": \"silu\", \"eos_token_id\": 2029, \"bos_token_id\": 2027,"                    \
    "\"tie_word_embeddings\": true, \"torch_dtype\": \"bfloat16\"}"

/* The answers of a folder whose pooling file says `text`. */
static krs_status embed_with_file(const char *text, krs_pooling pooling, heard *h, krs_error *err)
{
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES + 32];
    krs_synth_folder_make(SHAPE, dir);
    (void)snprintf(path, sizeof(path), "%s/1_Pooling", dir);
    assert_int_equal(krs_os_dir_make(path, NULL), KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/1_Pooling/config.json", dir);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
    krs_engine_options options = fixture_options();
    options.model_dir = dir;
    engine_fixture f = fixture_open(&options);
    *h = (heard){0};
    const krs_status status = fixture_try(&f, embedding(pooling), h, err);
    if (status == KRS_OK) {
        fixture_wait(&f, h);
    }
    krs_model_info info;
    assert_int_equal(krs_runtime_models(f.runtime, &info, 1), 1);
    assert_int_equal(info.hidden, 32);
    assert_int_equal(info.bos, 2027);
    assert_int_equal(info.eos, 2029);
    assert_string_equal(info.dtype, "bf16");
    fixture_close(&f);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return status;
}

static void the_models_own_pooling_is_kept(void **state)
{
    (void)state;
    static heard own;
    static heard mean;
    krs_error err = KRS_ERROR_INIT;
    const char *file = "{\"pooling_mode_mean_tokens\": true}";
    assert_int_equal(embed_with_file(file, KRS_POOLING_MODEL, &own, &err), KRS_OK);
    assert_int_equal(embed_with_file(file, KRS_POOLING_MEAN, &mean, &err), KRS_OK);
    assert_int_equal(own.n_vector, 32);
    assert_memory_equal(own.vector, mean.vector, sizeof(own.vector));
    file = "{\"pooling_mode_cls_token\": true}";
    assert_int_equal(embed_with_file(file, KRS_POOLING_MODEL, &own, &err), KRS_OK);
    assert_int_equal(embed_with_file(file, KRS_POOLING_CLS, &mean, &err), KRS_OK);
    assert_memory_equal(own.vector, mean.vector, sizeof(own.vector));
    file = "{\"pooling_mode_max_tokens\": true}";
    assert_int_equal(embed_with_file(file, KRS_POOLING_MODEL, &own, &err), KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "pooling");
    assert_int_equal(embed_with_file(file, KRS_POOLING_LAST, &own, &err), KRS_OK);
}

static void text_is_answered_while_a_step_is_running(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    static heard slow;
    static heard text;
    slow = (heard){.shut_at = 2};
    text = (heard){0};
    fixture_ask(&f, question("What is 12 + 7?"), &slow);
    fixture_wait_gate(&f); /* the engine thread is held, as by a long step */
    fixture_ask_with(&f, task(KRS_TASK_TOKENIZE, "Hello"), &quick, &text);
    fixture_wait(&f, &text);
    assert_int_equal(text.finish, KRS_FINISH_STOP);
    assert_int_equal(slow.n_ends, 0);
    fixture_open_gate(&f);
    fixture_wait(&f, &slow);
    fixture_close(&f);
}

/* Answered at once, but home only after the step: so many that a crowd of them would fill every slot. */
static void a_crowd_of_texts_keeps_no_question_out(void **state)
{
    (void)state;
    enum { CROWD = 600 };
    krs_engine_options options = fixture_options();
    options.max_waiting = 2;
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    static heard slow;
    static heard text;
    static heard asked;
    slow = (heard){.shut_at = 2};
    asked = (heard){0};
    fixture_ask(&f, question("What is 12 + 7?"), &slow);
    fixture_wait_gate(&f); /* the engine thread is held, as by a long step */
    krs_error err = KRS_ERROR_INIT;
    krs_status status = KRS_OK;
    int n = 0;
    for (; status == KRS_OK && n < CROWD; n++) {
        text = (heard){0};
        krs_request *r = task(KRS_TASK_TOKENIZE, "Hello");
        status = krs_runtime_open(f.runtime, r, &quick, &text, &text.id, &err);
        if (status == KRS_OK) {
            fixture_wait(&f, &text);
        } else {
            krs_request_free(r);
        }
    }
    assert_int_equal(status, KRS_EBUSY);
    assert_int_equal(n - 1, options.max_waiting + KRS_ENGINE_TEXTS_BESIDE);
    fixture_ask_with(&f, question("What is 12 + 7?"), &quick, &asked);
    fixture_open_gate(&f);
    fixture_wait(&f, &slow);
    fixture_wait(&f, &asked);
    assert_string_equal(asked.text, "12 + 7 = 19.");
    fixture_close(&f);
}

static void a_stream_ends_while_its_prompt_waits_to_be_read(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options(); /* one prep thread */
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    const krs_sink holding = {&f, fixture_hear_and_hold};
    static heard holder;
    static heard h[4];
    holder = (heard){0};
    memset(h, 0, sizeof(h));
    fixture_ask_with(&f, task(KRS_TASK_TOKENIZE, "Hello"), &holding, &holder);
    fixture_wait_gate(&f); /* the prep thread is held, as by a long prompt */
    fixture_ask_with(&f, question("What is 12 + 7?"), &quick, &h[0]);
    fixture_ask_with(&f, task(KRS_TASK_TOKENIZE, "Hello"), &quick, &h[1]);
    krs_request *late = question("What is 12 + 7?");
    late->deadline_ns = krs_os_now_ns() + 5 * KRS_NS_PER_MS;
    fixture_ask_with(&f, late, &quick, &h[2]);
    fixture_ask_with(&f, question("What is 12 + 7?"), &quick, &h[3]);
    krs_runtime_cancel(f.runtime, h[0].id);
    krs_runtime_cancel(f.runtime, h[1].id);
    for (int i = 0; i < 3; i++) {
        fixture_wait(&f, &h[i]);
        assert_int_equal(h[i].finish, i == 2 ? KRS_FINISH_DEADLINE : KRS_FINISH_CANCELLED);
    }
    assert_int_equal(krs_runtime_health_of(f.runtime).n_waiting, 1); /* their places are free */
    krs_runtime_cancel(f.runtime, h[0].id);
    fixture_open_gate(&f);
    fixture_wait(&f, &h[3]); /* behind them in the queue: they have come home */
    assert_string_equal(h[3].text, "12 + 7 = 19.");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(h[i].n_ends, 1);
    }
    fixture_close(&f);
}

/* Forms are compiled by threads of their own, so neither kind of prompt waits for the other. */
static void a_guided_answer_does_not_wait_for_other_prompts(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options(); /* one prep thread of each kind */
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    const krs_sink holding = {&f, fixture_hear_and_hold};
    static const krs_guide word = {.kind = KRS_GUIDE_LITERAL, .text = {"sunny", 5}};
    static heard holder;
    static heard h;
    holder = (heard){0};
    h = (heard){0};
    fixture_ask_with(&f, task(KRS_TASK_TOKENIZE, "Hello"), &holding, &holder);
    fixture_wait_gate(&f); /* the prep thread is held, as by a long prompt */
    krs_request *r = question("How is the weather?");
    r->guidance = (krs_guidance){
        .kind = KRS_GUIDANCE_CHOICE,
        .root = {.kind = KRS_GUIDE_ALT, .parts = &word, .n_parts = 1},
    };
    fixture_ask_with(&f, r, &quick, &h);
    fixture_wait(&f, &h);
    assert_string_equal(h.text, "sunny");
    fixture_open_gate(&f);
    fixture_close(&f);
}

#define N_BATCH 24

/* Long, short, with special tokens, broken UTF-8: what a batch may hold. */
static krs_request *batch_item(int i)
{
    static const char *const texts[] = {
        "Tell me a story about Bj\xc3\xb6rn.",
        "",
        "a bear<|im_end|>",
        "12 + 7 = ?",
        "\xff\xe6\xbc",
        "again and again and again and again and again and again and again and again and again",
    };
    krs_request *r = task(KRS_TASK_TOKENIZE, texts[i % 6]);
    r->task_options.has_pieces = i % 2 == 0;
    return r;
}

/* One thread is held in the middle of its text; the others encode the rest of the batch meanwhile, and
 * every text gives what it gives alone. */
static void a_batch_is_encoded_by_all_prep_threads(void **state)
{
    krs_engine_options options = fixture_options();
    options.n_prep_threads = 4;
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    const krs_sink holding = {&f, fixture_hear_and_hold};
    static heard alone[6]; /* static memory is zero */
    static heard together[N_BATCH];
    static heard held;
    for (int i = 0; i < 6; i++) {
        fixture_answer(fixture_of(state), batch_item(i),
                       &alone[i]); /* another engine's one thread */
    }
    fixture_ask_with(&f, task(KRS_TASK_TOKENIZE, "Hello"), &holding, &held);
    fixture_wait_gate(&f);
    for (int i = 0; i < N_BATCH; i++) {
        fixture_ask_with(&f, batch_item(i), &quick, &together[i]);
    }
    for (int i = 0; i < N_BATCH; i++) {
        fixture_wait(&f, &together[i]);
        assert_int_equal(together[i].finish, KRS_FINISH_STOP);
        assert_int_equal(together[i].n_tokens, alone[i % 6].n_tokens);
        assert_memory_equal(together[i].ids, alone[i % 6].ids, alone[i % 6].n_tokens * 4);
        assert_string_equal(together[i].text, alone[i % 6].text);
    }
    assert_int_equal(held.n_ends, 1);
    fixture_open_gate(&f);
    fixture_close(&f);
}

static void free_ends_what_prep_threads_hold(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.n_prep_threads = 2;
    engine_fixture f = fixture_open(&options);
    const krs_sink quick = {&f, fixture_hear_only};
    static heard h[20];
    memset(h, 0, sizeof(h));
    for (int i = 0; i < 20; i++) {
        fixture_ask_with(&f, i % 2 ? embedding(KRS_POOLING_MEAN) : task(KRS_TASK_TOKENIZE, "Hello"),
                         &quick, &h[i]);
    }
    fixture_close(&f);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(h[i].n_ends, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_ids_with_their_pieces),
        cmocka_unit_test(nothing_becomes_nothing),
        cmocka_unit_test(a_chat_becomes_the_ids_it_is_answered_from),
        cmocka_unit_test(ids_become_text_with_special_tokens_or_without),
        cmocka_unit_test(bad_tasks_are_refused_by_field),
        cmocka_unit_test(an_embedding_is_one_vector_of_length_one),
        cmocka_unit_test(an_embedding_does_not_depend_on_chunks_or_neighbours),
        cmocka_unit_test(the_models_own_pooling_is_kept),
        cmocka_unit_test(text_is_answered_while_a_step_is_running),
        cmocka_unit_test(a_crowd_of_texts_keeps_no_question_out),
        cmocka_unit_test(a_stream_ends_while_its_prompt_waits_to_be_read),
        cmocka_unit_test(a_guided_answer_does_not_wait_for_other_prompts),
        cmocka_unit_test(a_batch_is_encoded_by_all_prep_threads),
        cmocka_unit_test(free_ends_what_prep_threads_hold),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
