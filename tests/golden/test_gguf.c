/* golden/test_gguf.c - whole models through GGUF.
 *
 * The golden folders are converted as the public converter would (support/gguf_convert.h), opened, and
 * held to the logits that were computed elsewhere from the folder. Block types have no reference of
 * their own: a model of random weights in each of them must answer as the same model does with the
 * numbers its blocks stand for, which tests/unit/tensor/test_gguf_block.c holds to the published layout. */
#include "model/model.h"
#include "os/dir.h"
#include "support/gguf_convert.h"
#include "support/golden_folder.h"
#include "support/one_seq.h"
#include "support/synth_folder.h"

#include <math.h>

#define CASES_DIR  KRS_SOURCE_DIR "/tests/data/golden/"
#define MAX_PROMPT 128

typedef struct logits {
    float *values; /* [n_tokens, vocab] */
    size_t n;
} logits;

static void write_model(const char *dir, uint32_t type, char path[KRS_OS_PATH_BYTES])
{
    char folder[KRS_OS_PATH_BYTES];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_convert(dir, type, &f);
    const krs_buf *file = krs_gguf_file_finish(&f, 3);
    assert_int_equal(krs_os_dir_temporary(folder, NULL), KRS_OK);
    assert_int_equal(krs_os_path_join(folder, "m.gguf", path, KRS_OS_PATH_BYTES), KRS_OK);
    assert_int_equal(krs_os_file_write(path, file->data, file->len, NULL), KRS_OK);
    krs_gguf_file_deinit(&f);
}

static void remove_model(char path[KRS_OS_PATH_BYTES])
{
    *strrchr(path, '/') = '\0';
    assert_int_equal(krs_os_dir_remove(path, NULL), KRS_OK);
}

/* Logits of every token of the prompt. */
static logits answer(const char *path, const char *device, const uint32_t *prompt, uint32_t n)
{
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    krs_one_seq_must(krs_model_open(path, NULL, NULL, &model, &err), &err);
    krs_one_seq seq;
    krs_one_seq_open(&seq, device, NULL, KRS_DTYPE_COUNT, krs_model_program(model));
    logits out = {.n = (size_t)n * (size_t)seq.vocab};
    out.values = calloc(out.n, sizeof(float));
    assert_non_null(out.values);
    krs_one_seq_feed(&seq, prompt, n, out.values);
    krs_one_seq_close(&seq);
    krs_model_close(model);
    return out;
}

/* Relative RMS over the first n_columns of n_rows rows; want has only those. */
static double distance(const logits *got, const float *want, size_t n_rows, size_t n_columns)
{
    const size_t vocab = got->n / n_rows;
    double off = 0;
    double size = 0;
    assert_true(n_columns <= vocab);
    for (size_t i = 0; i < n_rows * n_columns; i++) {
        const double d = (double)got->values[i / n_columns * vocab + i % n_columns] - want[i];
        off += d * d;
        size += (double)want[i] * want[i];
    }
    return sqrt(off / size);
}

static const char *const names[] = {
    "llama",   "llama-bias", "llama-mha", "llama3-rope",   "mistral-headdim",
    "qwen2",   "qwen2-tied", "qwen3",     "qwen3-yarn",    "gemma",
    "gemma2",  "gemma3",     "phi3",      "phi3-longrope", "olmo2",
    "granite", "smollm3",    "cohere2",   "starcoder2",    "stablelm",
    "mixtral", "qwen2_moe",  "qwen3_moe", "gpt_oss",       "gpt2",
};

static uint32_t read_prompt(const char *dir, uint32_t prompt[MAX_PROMPT])
{
    json_t *root = krs_gguf_read_json(dir, "golden.json");
    const json_t *list = json_object_get(root, "prompt_ids");
    const size_t n = json_array_size(list);
    assert_in_range(n, 1, MAX_PROMPT);
    for (size_t i = 0; i < n; i++) {
        prompt[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
    json_decref(root);
    return (uint32_t)n;
}

static void check_case(const char *name, uint32_t type, const char *device, double tolerance)
{
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    uint32_t prompt[MAX_PROMPT];
    krs_buf expected;
    (void)snprintf(dir, sizeof(dir), CASES_DIR "%s", name);
    (void)snprintf(path, sizeof(path), CASES_DIR "%s/logits.f32", name);
    krs_buf_init(&expected, NULL, 16u << 20);
    assert_int_equal(krs_os_file_read(path, &expected, NULL), KRS_OK);
    const uint32_t n = read_prompt(dir, prompt);
    krs_golden_folder folder;
    krs_golden_folder_open(&folder, name);
    write_model(folder.dir, type, path);
    krs_golden_folder_close(&folder);
    logits got = answer(path, device, prompt, n);
    const size_t n_columns =
        expected.len / sizeof(float) / n; /* the file may have the first ones only */
    assert_true(n_columns > 0 && expected.len == n * n_columns * sizeof(float));
    const double off = distance(&got, (const float *)(const void *)expected.data, n, n_columns);
    (void)printf("%-16s %-4s %-4s relative RMS %.2e, at most %.1e\n", name,
                 krs_gguf_type_find(type)->name, device, off, tolerance);
    assert_true(off <= tolerance);
    free(got.values);
    krs_buf_deinit(&expected);
    remove_model(path);
}

/* The weights are bfloat16: F32 and BF16 hold them whole, F16 all but the smallest. */
static void every_case_answers_as_its_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        check_case(names[i], 0, "ref", 1e-4);
        check_case(names[i], 30, "cpu", 1.5e-2);
    }
    /* What a type holds does not depend on the family. */
    check_case("llama", 30, "ref", 1e-4);
    check_case("llama", 1, "ref", 1e-3);
}

static const char wide[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 256, \"intermediate_size\": 512,"
    " \"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    " \"vocab_size\": 2048, \"rms_norm_eps\": 1e-5, \"max_position_embeddings\": 256,"
    " \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0},"
    " \"hidden_act\": \"silu\", \"tie_word_embeddings\": false}";

static void every_block_type_answers_as_its_numbers(void **state)
{
    (void)state;
    static const uint32_t types[] = {2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20};
    static const uint32_t prompt[] = {1, 1027, 3, 2047};
    const uint32_t n = sizeof(prompt) / sizeof(prompt[0]);
    char dir[KRS_OS_PATH_BYTES];
    krs_synth_folder_make(wide, dir);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char blocks[KRS_OS_PATH_BYTES];
        char widened[KRS_OS_PATH_BYTES];
        write_model(dir, types[i], blocks);
        write_model(dir, types[i] | KRS_GGUF_WIDENED, widened);
        logits want = answer(widened, "ref", prompt, n);
        logits ref = answer(blocks, "ref", prompt, n);
        logits cpu = answer(blocks, "cpu", prompt, n);
        const double off_ref = distance(&ref, want.values, n, want.n / n);
        const double off_cpu = distance(&cpu, want.values, n, want.n / n);
        (void)printf("%-6s ref %.1e, cpu %.1e from its numbers as F32\n",
                     krs_gguf_type_find(types[i])->name, off_ref, off_cpu);
        assert_true(off_ref == 0.0);
        assert_true(off_cpu <= 1.5e-2);
        free(want.values);
        free(ref.values);
        free(cpu.values);
        remove_model(blocks);
        remove_model(widened);
    }
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

/* Stacks of experts are cut into their blocks. */
static void experts_in_blocks_answer_as_their_numbers(void **state)
{
    (void)state;
    static const char *const mixtures[] = {"mixtral", "qwen3_moe", "gpt_oss"};
    for (size_t i = 0; i < sizeof(mixtures) / sizeof(mixtures[0]); i++) {
        char dir[KRS_OS_PATH_BYTES];
        char blocks[KRS_OS_PATH_BYTES];
        char widened[KRS_OS_PATH_BYTES];
        uint32_t prompt[MAX_PROMPT];
        (void)snprintf(dir, sizeof(dir), CASES_DIR "%s", mixtures[i]);
        const uint32_t n = read_prompt(dir, prompt);
        krs_golden_folder folder;
        krs_golden_folder_open(&folder, mixtures[i]);
        write_model(folder.dir, 2, blocks);
        write_model(folder.dir, 2 | KRS_GGUF_WIDENED, widened);
        krs_golden_folder_close(&folder);
        logits want = answer(widened, "ref", prompt, n);
        logits got = answer(blocks, "ref", prompt, n);
        assert_true(distance(&got, want.values, n, want.n / n) == 0.0);
        free(want.values);
        free(got.values);
        remove_model(blocks);
        remove_model(widened);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_answers_as_its_folder),
        cmocka_unit_test(every_block_type_answers_as_its_numbers),
        cmocka_unit_test(experts_in_blocks_answer_as_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
