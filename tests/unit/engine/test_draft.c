/* tests/unit/engine/test_draft.c - a draft model: planned, refused by name where it does not fit, and who may
 * ask for what. That it changes no answer: tests/golden/test_speculation.c. */
#include "support/engine_fixture.h"
#include "support/synth_folder.h"
#include "wire/json.h"

#define DRAFT_DIR KRS_SOURCE_DIR "/models/demo-draft"

static krs_status try_open(const krs_engine_options *options, krs_error *err)
{
    krs_runtime *runtime = NULL;
    *err = (krs_error)KRS_ERROR_INIT;
    const krs_status status = krs_engine_open(options, &runtime, err);
    if (status == KRS_OK) {
        krs_runtime_free(runtime);
    }
    return status;
}

static krs_status ask_mode(engine_fixture *f, krs_speculation_mode mode, heard *h, krs_error *err)
{
    krs_request *r = question("Tell me a story about a fox.");
    r->speculation.mode = mode;
    r->stopping.max_tokens = 40;
    *h = (heard){0};
    *err = (krs_error)KRS_ERROR_INIT;
    const krs_status status = fixture_try(f, r, h, err);
    if (status == KRS_OK) {
        fixture_wait(f, h);
    }
    return status;
}

static void a_draft_is_planned_and_used_by_default(void **state)
{
    (void)state;
    static heard plain;
    static heard drafted;
    krs_error err;
    krs_engine_options options = fixture_options();
    options.draft_dir = DRAFT_DIR;
    engine_fixture f = fixture_open(&options);
    const krs_engine_plan *plan = krs_engine_plan_of(f.runtime);
    assert_true(plan->draft.kv_bytes > 0 && plan->draft.scratch_bytes > 0);
    assert_int_equal(plan->total_bytes, plan->exec.weight_bytes + plan->exec.copied_bytes +
                                            plan->exec.kv_bytes + plan->exec.state_bytes +
                                            plan->exec.scratch_bytes + plan->draft.weight_bytes +
                                            plan->draft.copied_bytes + plan->draft.kv_bytes +
                                            plan->draft.scratch_bytes + plan->engine_bytes +
                                            plan->process_bytes);
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_OFF, &plain, &err), KRS_OK);
    assert_int_equal(plain.usage.n_accepted + plain.usage.n_rejected, 0);
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_MODEL, &drafted, &err), KRS_OK);
    assert_true(drafted.usage.n_accepted + drafted.usage.n_rejected > 0);
    assert_string_equal(drafted.text, plain.text);
    fixture_close(&f);
}

static void what_cannot_be_had_is_refused_by_name(void **state)
{
    (void)state;
    static heard h;
    krs_error err;
    krs_engine_options options = fixture_options();
    options.speculation.mode = KRS_SPECULATION_DRAFT;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "speculation");
    options.speculation.mode = KRS_SPECULATION_MODEL;
    engine_fixture f = fixture_open(&options);
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_DRAFT, &h, &err), KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "speculation");
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_COUNT, &h, &err), KRS_EINVAL);
    assert_string_equal(err.field, "speculation.mode");
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_NGRAM, &h, &err), KRS_OK);
    fixture_close(&f);
}

/* The demo's own tokenizer, but for one token that is special no more. */
static void make_other_vocabulary(char *dir)
{
    char path[KRS_OS_PATH_BYTES];
    krs_synth_folder_make("{\"model_type\":\"qwen2\",\"num_hidden_layers\":1,"
                          "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                          "\"hidden_size\":64,\"intermediate_size\":64,\"vocab_size\":2048,"
                          "\"max_position_embeddings\":512}",
                          dir);
    assert_int_equal(krs_os_path_join(dir, "tokenizer.json", path, sizeof(path)), KRS_OK);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    json_t *added = json_array_get(json_object_get(root, "added_tokens"), 0);
    assert_true(json_is_true(json_object_get(added, "special")));
    assert_int_equal(json_object_set_new(added, "special", json_false()), 0);
    (void)remove(path);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
}

static void a_draft_of_another_vocabulary_is_refused_with_what_differs(void **state)
{
    (void)state;
    char dir[KRS_OS_PATH_BYTES];
    krs_error err;
    make_other_vocabulary(dir);
    krs_engine_options options = fixture_options();
    options.draft_dir = dir;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "draft"));
    assert_non_null(strstr(err.message, "is special in one and not in the other"));
    options.draft_dir = "/no/such/draft";
    assert_int_equal(try_open(&options, &err), KRS_ENOENT);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

static void a_model_with_state_does_not_speculate(void **state)
{
    (void)state;
    static heard h;
    char dir[KRS_OS_PATH_BYTES];
    krs_error err;
    krs_synth_folder_make(
        "{\"model_type\": \"qwen3_5_text\", \"num_key_value_heads\": 2, \"head_dim\": 32,"
        "\"linear_conv_kernel_dim\": 4, \"linear_key_head_dim\": 16, \"linear_num_key_heads\": 2,"
        "\"linear_num_value_heads\": 4, \"linear_value_head_dim\": 16, \"layer_types\":"
        "[\"linear_attention\", \"full_attention\"], \"vocab_size\": 2048, \"hidden_size\": 128,"
        "\"intermediate_size\": 256, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
        "\"max_position_embeddings\": 512, \"rms_norm_eps\": 1e-06, \"hidden_act\": \"silu\","
        "\"eos_token_id\": 2029, \"torch_dtype\": \"bfloat16\"}",
        dir);
    krs_engine_options options = fixture_options();
    options.model_dir = dir;
    options.draft_dir = DRAFT_DIR;
    assert_int_equal(try_open(&options, &err), KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "draft");
    options.draft_dir = NULL;
    options.speculation.mode = KRS_SPECULATION_NGRAM; /* as a default it is left out */
    engine_fixture f = fixture_open(&options);
    krs_request *r = question("x");
    json_decref(r->prompt.chat);
    r->prompt.chat = NULL;
    r->prompt.kind = KRS_PROMPT_TEXT;
    r->prompt.text = KRS_STR("a b a b a b");
    r->stopping.max_tokens = 20;
    h = (heard){0};
    fixture_answer(&f, r, &h);
    assert_int_equal(h.usage.n_accepted + h.usage.n_rejected, 0);
    assert_int_equal(ask_mode(&f, KRS_SPECULATION_NGRAM, &h, &err), KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "speculation");
    fixture_close(&f);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_is_planned_and_used_by_default),
        cmocka_unit_test(what_cannot_be_had_is_refused_by_name),
        cmocka_unit_test(a_draft_of_another_vocabulary_is_refused_with_what_differs),
        cmocka_unit_test(a_model_with_state_does_not_speculate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
