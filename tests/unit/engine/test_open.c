/* tests/unit/engine/test_open.c - opening an engine: the memory plan and its refusals, options out of range,
 * folders that are no models, and failures in the middle of it. */
#include "base/fault.h"
#include "support/engine_fixture.h"
#include "support/oom.h"
#include "support/synth_folder.h"

/* Of some 2,000 allocations of an engine's life most are of loading a model and a tokenizer, which have sweeps of their own in
 * oom/: sanitizers, ten times as slow, look at every seventh. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SWEEP_STEP 7
#else
#define SWEEP_STEP 1
#endif

static krs_status try_open(const krs_engine_options *options, krs_error *err)
{
    krs_runtime *runtime = NULL;
    *err = (krs_error)KRS_ERROR_INIT;
    const krs_status status = krs_engine_open(options, &runtime, err);
    if (status == KRS_OK) {
        krs_runtime_free(runtime);
    } else {
        assert_null(runtime);
    }
    return status;
}

static void the_plan_adds_up_and_speaks(void **state)
{
    (void)state;
    const krs_engine_options options = fixture_options();
    engine_fixture f = fixture_open(&options);
    const krs_engine_plan *plan = krs_engine_plan_of(f.runtime);
    assert_int_equal(plan->context_tokens, 512);
    assert_int_equal(plan->n_kv_blocks, 4 * 512 / KRS_KV_BLOCK_TOKENS);
    assert_int_equal(plan->total_bytes, plan->exec.weight_bytes + plan->exec.copied_bytes +
                                            plan->exec.kv_bytes + plan->exec.state_bytes +
                                            plan->exec.scratch_bytes + plan->engine_bytes +
                                            plan->process_bytes);
    char text[300];
    krs_engine_plan_text(plan, text, sizeof(text));
    assert_non_null(strstr(text, "KV"));
    assert_non_null(strstr(text, "2048 tokens"));
    fixture_close(&f);
}

static void a_plan_above_the_limit_is_refused_with_its_numbers(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.kv_tokens = 100000;
    options.memory_bytes = 64u << 20;
    krs_error err;
    assert_int_equal(try_open(&options, &err), KRS_ENOMEM);
    assert_string_equal(err.field, "memory");
    assert_non_null(strstr(err.message, "limit 64.0 MiB"));
    assert_non_null(strstr(err.message, "weights"));
    options.kv_tokens = 0;
    options.memory_bytes = 1u << 20; /* not even the weights */
    assert_int_equal(try_open(&options, &err), KRS_ENOMEM);
}

/* YaRN carries 32768 positions four times as far; so far goes --ctx, and its cache is planned. */
static void a_context_of_128k_is_planned_or_refused_with_its_numbers(void **state)
{
    (void)state;
    char dir[KRS_OS_PATH_BYTES];
    krs_synth_folder_make("{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,"
                          "\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                          "\"hidden_size\":64,\"intermediate_size\":64,\"vocab_size\":2048,"
                          "\"max_position_embeddings\":32768,\"rope_scaling\":{\"type\":\"yarn\","
                          "\"factor\":4,\"original_max_position_embeddings\":32768}}",
                          dir);
    krs_engine_options options = fixture_options();
    options.model_dir = dir;
    options.max_seqs = 1;
    options.max_context_tokens = 131072;
    engine_fixture f = fixture_open(&options);
    const krs_engine_plan plan = *krs_engine_plan_of(f.runtime);
    assert_int_equal(plan.context_tokens, 131072);
    /* K and V of 2 layers, one head of 32, two bytes each, where the cache is 16 bits wide */
    assert_true(plan.exec.kv_bytes >= UINT64_C(131072) * 2 * 2 * 32 * 2);
    fixture_close(&f);
    krs_error err;
    options.memory_bytes = plan.total_bytes - plan.exec.kv_bytes / 2;
    options.process_bytes = plan.process_bytes;
    assert_int_equal(try_open(&options, &err), KRS_ENOMEM);
    assert_non_null(strstr(err.message, "131072 tokens, context 131072"));
    options.memory_bytes = 0;
    options.max_context_tokens = 131073;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "131073"));
    assert_non_null(strstr(err.message, "131072"));
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

static void a_context_left_to_us_shrinks_to_the_memory(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.max_seqs = 1;
    options.max_context_tokens = 0;
    options.process_bytes = 1u << 20; /* measured, it would grow from one opening to the next */
    engine_fixture f = fixture_open(&options);
    const krs_engine_plan whole = *krs_engine_plan_of(f.runtime);
    assert_int_equal(whole.context_tokens, 2048);
    fixture_close(&f);
    options.memory_bytes = whole.total_bytes - whole.exec.kv_bytes / 2;
    f = fixture_open(&options);
    const krs_engine_plan *plan = krs_engine_plan_of(f.runtime);
    assert_true(plan->context_tokens < 2048 && plan->context_tokens >= KRS_ENGINE_MIN_CONTEXT);
    assert_true(plan->total_bytes <= plan->limit_bytes);
    static heard h;
    h = (heard){0};
    fixture_answer(&f, question("What is 12 + 7?"), &h);
    assert_string_equal(h.text, "12 + 7 = 19.");
    fixture_close(&f);
}

static void options_out_of_range_are_refused_by_name(void **state)
{
    (void)state;
    krs_error err;
    krs_engine_options options = fixture_options();
    options.max_context_tokens = 4096; /* the model knows 2048 positions */
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "ctx");
    options = fixture_options();
    options.kv_tokens = 256; /* below the context asked for */
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "kv-tokens");
    options = fixture_options();
    options.max_seqs = 0;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "max-seqs");
    options = fixture_options();
    options.max_waiting = KRS_ENGINE_MAX_WAITING + 1;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "max-waiting");
    options = fixture_options();
    options.n_prep_threads = 0;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    assert_string_equal(err.field, "prep-threads");
    options = fixture_options();
    options.device = "abacus";
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
    options = fixture_options();
    options.size = 8;
    assert_int_equal(try_open(&options, &err), KRS_EINVAL);
}

static void a_folder_that_is_no_model_is_refused(void **state)
{
    (void)state;
    krs_error err;
    krs_engine_options options = fixture_options();
    options.model_dir = KRS_SOURCE_DIR "/src";
    assert_int_equal(try_open(&options, &err), KRS_ENOENT);
    assert_true(err.message[0] != '\0');
}

static void the_model_id_is_the_folders_name_unless_given(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.model_dir = KRS_SOURCE_DIR "/models/demo///";
    engine_fixture f = fixture_open(&options);
    krs_model_info info;
    assert_int_equal(krs_runtime_models(f.runtime, &info, 1), 1);
    assert_string_equal(info.id, "demo");
    fixture_close(&f);
    options.model_id = "org/name";
    f = fixture_open(&options);
    assert_int_equal(krs_runtime_models(f.runtime, &info, 1), 1);
    assert_string_equal(info.id, "org/name");
    fixture_close(&f);
}

static void threads_that_do_not_start_undo_everything(void **state)
{
    (void)state;
    krs_engine_options options = fixture_options();
    options.n_prep_threads = 3;
    krs_oom oom;
    krs_oom_init(&oom, 0);
    options.alloc = krs_oom_alloc(&oom);
    for (uint32_t nth = 1; nth <= 4; nth++) {
        krs_error err;
        krs_fault_arm(KRS_FAULT_THREAD_START, nth);
        const krs_status status = try_open(&options, &err);
        krs_fault_arm(KRS_FAULT_THREAD_START, 0);
        assert_int_equal(status, KRS_EAGAIN);
        assert_int_equal(atomic_load(&oom.n_live), 0);
    }
}

/* One request of each task, by number. */
static krs_request *request_of(uint32_t i)
{
    static const uint32_t ids[] = {5, 6, 7};
    krs_request *r = question("What is 12 + 7?");
    if (i == 1) {
        r->task = KRS_TASK_TOKENIZE;
        r->task_options.has_pieces = true;
    } else if (i >= 2) {
        r->task = i == 2 ? KRS_TASK_DETOKENIZE : KRS_TASK_EMBED;
        r->prompt.kind = KRS_PROMPT_TOKENS;
        r->prompt.tokens = ids;
        r->prompt.n_tokens = 3;
    }
    return r;
}

/* Ask one; the status it ends with. */
static krs_status survive_one(engine_fixture *f, uint32_t i)
{
    static heard h;
    h = (heard){0};
    krs_status status = fixture_try(f, request_of(i), &h, NULL);
    if (status == KRS_OK) {
        fixture_wait(f, &h);
        status = h.finish == KRS_FINISH_ERROR ? h.error.status : KRS_OK;
        assert_true(status != KRS_OK || i != 0 || strcmp(h.text, "12 + 7 = 19.") == 0);
        assert_true(status != KRS_OK || i == 0 || h.n_tokens + h.n_text + h.n_vector > 0);
    }
    return status;
}

/* One request of each task to an engine whose nth allocation fails. Returns false when it needed fewer. */
static bool survive(uint64_t nth)
{
    krs_oom oom;
    krs_oom_init(&oom, nth);
    krs_engine_options options = fixture_options();
    options.max_seqs = 1;
    options.max_context_tokens = 128;
    options.alloc = krs_oom_alloc(&oom);
    static engine_fixture f;
    memset(&f, 0, sizeof(f));
    assert_int_equal(krs_os_mutex_new(&f.lock), KRS_OK);
    assert_int_equal(krs_os_cond_new(&f.changed), KRS_OK);
    krs_status status = krs_engine_open(&options, &f.runtime, NULL);
    uint32_t n_failed = status != KRS_OK;
    for (uint32_t i = 0; f.runtime && i < 4; i++) {
        status = survive_one(&f, i);
        n_failed += status != KRS_OK;
        if (status != KRS_OK && status != KRS_ENOMEM) {
            fail_msg("allocation %llu, task %u: %s", (unsigned long long)nth, i,
                     krs_status_name(status));
        }
    }
    krs_runtime_free(f.runtime);
    krs_os_cond_free(f.changed);
    krs_os_mutex_free(f.lock);
    assert_true(n_failed <= 1); /* the others do not notice */
    assert_int_equal(atomic_load(&oom.n_live), 0);
    return atomic_load(&oom.n_failed) != 0;
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    uint64_t n = 1;
    while (survive(n)) {
        n += SWEEP_STEP;
    }
    printf("some %llu allocations\n", (unsigned long long)n);
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_adds_up_and_speaks),
        cmocka_unit_test(a_plan_above_the_limit_is_refused_with_its_numbers),
        cmocka_unit_test(a_context_of_128k_is_planned_or_refused_with_its_numbers),
        cmocka_unit_test(a_context_left_to_us_shrinks_to_the_memory),
        cmocka_unit_test(options_out_of_range_are_refused_by_name),
        cmocka_unit_test(a_folder_that_is_no_model_is_refused),
        cmocka_unit_test(the_model_id_is_the_folders_name_unless_given),
        cmocka_unit_test(threads_that_do_not_start_undo_everything),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
