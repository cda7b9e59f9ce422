/* golden/test_quantised_families.c - every golden case through our quantiser to 4-bit affine, as krs quantize
 * would write it, against the same model with those weights dequantised.
 *
 * The cases are the folders of tests/data/golden, so a new family is in here by being there. What a code
 * means is taken apart here bit by bit, not by the reader; gpt2's turned weights are turned back for the
 * dense side, which keeps the hub's way. */
#include "format/quantize.h"
#include "support/golden_folder.h"
#include "support/quant_folder.h"

#define BITS  4
#define GROUP 32
#define BLOCK "{\"bits\":4,\"group_size\":32}"

#define MIN_CASES 20 /* of those there are; fewer would mean that the list is not read */

/* On cpu rows meet quantised weights in bytes (docs/numerics.md). */
static const double tolerances[2] = {1e-6, 3e-2};

static krs_quant_pair pair; /* two tables of tensors: too large for a stack */

static bool ends_with(krs_str s, const char *end)
{
    return krs_str_ends_with(s, krs_str_of(end));
}

/* The folder's tensors, quantised into a file of their own. */
static krs_safetensors *quantise(const char *model_type)
{
    char dir[KRS_OS_PATH_BYTES];
    krs_safetensors *made = NULL;
    krs_quantize_result result;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    const krs_safetensors_target target = {dir, false, "mlx", KRS_ST_DEFAULT_SHARD_BYTES};
    krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
    how.quant = (krs_quant){KRS_QUANT_AFFINE, BITS, GROUP};
    how.is_model = true;
    how.is_turned = strcmp(model_type, "gpt2") == 0;
    how.is_tied =
        how.is_turned || json_is_true(json_object_get(pair.config, "tie_word_embeddings"));
    krs_one_seq_must(krs_quantize(&pair.dir, &target, &how, NULL, &result, &err), &err);
    assert_true(result.n_quantised > 5);
    krs_one_seq_must(krs_safetensors_open(dir, KRS_OS_MAP_COPY, NULL, &made, &err), &err);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return made;
}

static float scale_at(const krs_tensor *t, int64_t i)
{
    float x;
    const size_t bytes = krs_dtype_bytes(t->dtype);
    assert_true(
        krs_f32_of_any(t->dtype, (const unsigned char *)t->data + (size_t)i * bytes, 1, &x));
    return x;
}

static const krs_tensor *beside(const krs_tensor_dir *dir, krs_str weight, const char *suffix)
{
    char name[256];
    (void)snprintf(name, sizeof(name), "%.*s%s", (int)(weight.len - strlen(".weight")), weight.ptr,
                   suffix);
    const krs_tensor *t = krs_tensor_dir_find(dir, krs_str_of(name));
    assert_non_null(t);
    return t;
}

/* A quantised weight's values, dense: [.., rows, columns], or turned [columns, rows]. */
static void add_dense(const krs_tensor_dir *dir, const krs_tensor *t, bool is_turned)
{
    const krs_tensor *scales = beside(dir, t->name, ".scales");
    const krs_tensor *biases = beside(dir, t->name, ".biases");
    const unsigned char *codes = t->data;
    int64_t dims[KRS_TENSOR_MAX_RANK];
    int64_t rows = 1;
    memcpy(dims, t->dims, sizeof(dims));
    const int32_t last = t->rank - 1;
    const int64_t columns = dims[last] * 32 / BITS;
    for (int32_t i = 0; i < last; i++) {
        rows *= dims[i];
    }
    dims[last] = columns;
    float *out = krs_quant_pair_bytes(&pair, (size_t)(rows * columns) * sizeof(*out));
    for (int64_t i = 0; i < rows * columns; i++) {
        const unsigned code = (unsigned)codes[i / 2] >> (i % 2 * 4) & 15u;
        const int64_t to = is_turned ? i % columns * rows + i / columns : i;
        out[to] = scale_at(scales, i / GROUP) * (float)code + scale_at(biases, i / GROUP);
    }
    if (is_turned) {
        dims[0] = columns;
        dims[1] = rows;
    }
    krs_quant_side_add(&pair, &pair.dense, t->name, "", KRS_DTYPE_F32, t->rank, dims, out);
}

static void add_both(const krs_tensor_dir *dir, const krs_tensor *t, const char *model_type)
{
    krs_quant_side_add(&pair, &pair.quantised, t->name, "", t->dtype, t->rank, t->dims, t->data);
    if (ends_with(t->name, ".scales") || ends_with(t->name, ".biases")) {
        return;
    }
    if (t->dtype != KRS_DTYPE_U32) {
        krs_quant_side_add(&pair, &pair.dense, t->name, "", t->dtype, t->rank, t->dims, t->data);
        return;
    }
    const bool is_turned =
        strcmp(model_type, "gpt2") == 0 &&
        (ends_with(t->name, ".c_attn.weight") || ends_with(t->name, ".c_proj.weight") ||
         ends_with(t->name, ".c_fc.weight"));
    add_dense(dir, t, is_turned);
}

static void check_case(const char *name)
{
    krs_golden_folder folder;
    krs_golden_folder_open(&folder, name);
    assert_true(krs_quant_pair_open(&pair, folder.dir));
    const char *model_type = json_string_value(json_object_get(pair.config, "model_type"));
    assert_non_null(model_type);
    krs_safetensors *made = quantise(model_type);
    const krs_tensor_dir *dir = krs_safetensors_dir(made);
    for (uint32_t i = 0; i < dir->n_tensors; i++) {
        add_both(dir, &dir->tensors[i], model_type);
    }
    (void)krs_quant_pair_check(&pair, name, "quantization", BLOCK, tolerances);
    krs_safetensors_close(made);
    krs_quant_pair_close(&pair);
    krs_golden_folder_close(&folder);
}

/* Cases without a model of their own are quantised already. */
static bool has_model(krs_str name)
{
    char path[KRS_OS_PATH_BYTES];
    const int n =
        snprintf(path, sizeof(path), "%s%.*s/config.json", KRS_GOLDEN_DIR, KRS_STR_ARGS(name));
    assert_true(n > 0 && (size_t)n < sizeof(path));
    return krs_os_path_kind(path) == KRS_OS_FILE;
}

static void every_family_is_its_dequantised_weights(void **state)
{
    krs_arena arena;
    const krs_str *names;
    size_t n;
    size_t n_cases = 0;
    (void)state;
    krs_arena_init(&arena, NULL, 1 << 16, 1 << 20);
    assert_int_equal(krs_os_dir_list(KRS_GOLDEN_DIR, &arena, &names, &n, NULL), KRS_OK);
    for (size_t i = 0; i < n; i++) {
        if (has_model(names[i])) {
            char name[128];
            (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(names[i]));
            check_case(name);
            n_cases++;
        }
    }
    krs_arena_deinit(&arena);
    assert_true(n_cases >= MIN_CASES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_is_its_dequantised_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
