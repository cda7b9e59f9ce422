/* tests/unit/format/test_quantize.c - files and folders of tensors quantised: which, under which names, with
 * exactly the bytes of krs_quantise, in shards or in one file, and nothing left behind when it fails. */
#include "format/quantize.h"
#include "os/dir.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_TENSORS 32
#define MAX_VALUES  300000

/* A source in memory, sorted by name as every directory is. */
typedef struct source {
    krs_tensor tensors[MAX_TENSORS];
    uint32_t n;
    float values[MAX_VALUES]; /* of all of them, one after the other */
    size_t n_values;
} source;

static source s; /* too large for a stack */

static void add(const char *name, krs_dtype dtype, int32_t rank, int64_t rows, int64_t columns)
{
    krs_tensor *t = &s.tensors[s.n++];
    const size_t n = (size_t)rows * (size_t)(rank == 2 ? columns : 1);
    assert_true(s.n <= MAX_TENSORS && s.n_values + n <= MAX_VALUES);
    *t = (krs_tensor){.name = krs_str_of(name),
                      .dtype = dtype,
                      .rank = rank,
                      .dims = {rows, rank == 2 ? columns : 0},
                      .data = s.values + s.n_values,
                      .n_bytes = n * krs_dtype_bytes(dtype)};
    for (size_t i = 0; i < n; i++) {
        const float x = sinf((float)(s.n_values + i) * 0.7f) * 3.0f;
        if (dtype == KRS_DTYPE_BF16) {
            const uint16_t half = krs_bf16_of_f32(x);
            memcpy((unsigned char *)(s.values + s.n_values) + 2 * i, &half, sizeof(half));
        } else {
            s.values[s.n_values + i] = x;
        }
    }
    s.n_values += n;
}

static krs_tensor_dir directory(void)
{
    return (krs_tensor_dir){.tensors = s.tensors, .n_tensors = s.n};
}

static char folder[KRS_OS_PATH_BYTES];
static char file_path[KRS_OS_PATH_BYTES + 32];

static krs_safetensors_target into_folder(uint64_t max_shard_bytes)
{
    assert_int_equal(krs_os_dir_temporary(folder, NULL), KRS_OK);
    return (krs_safetensors_target){folder, false, "mlx", max_shard_bytes};
}

static krs_safetensors_target into_file(void)
{
    assert_int_equal(krs_os_dir_temporary(folder, NULL), KRS_OK);
    (void)snprintf(file_path, sizeof(file_path), "%s/out.safetensors", folder);
    return (krs_safetensors_target){file_path, true, "mlx", 0};
}

/* Quantise into target and open what was written. */
static krs_safetensors *run(const krs_safetensors_target *target, const krs_quantize_options *how,
                            krs_quantize_result *result)
{
    const krs_tensor_dir dir = directory();
    krs_safetensors *out;
    krs_error err = KRS_ERROR_INIT;
    if (krs_quantize(&dir, target, how, NULL, result, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_safetensors_open(target->path, KRS_OS_MAP_COPY, NULL, &out, &err), KRS_OK);
    assert_int_equal(krs_os_dir_remove(folder, NULL), KRS_OK);
    return out;
}

static const krs_tensor *need(const krs_safetensors *st, const char *name)
{
    const krs_tensor *t = krs_tensor_dir_find(krs_safetensors_dir(st), krs_str_of(name));
    if (!t) {
        fail_msg("no tensor %s", name);
    }
    return t;
}

static bool has(const krs_safetensors *st, const char *name)
{
    return krs_tensor_dir_find(krs_safetensors_dir(st), krs_str_of(name)) != NULL;
}

/* The three tensors of `name` are what krs_quantise makes of rows [at, at + ...) of them. */
static void check_bytes(const krs_safetensors *st, const char *weight, const char *stem,
                        const krs_tensor *from, const krs_quant *quant, size_t part, size_t n_parts)
{
    char name[128];
    static float w[MAX_VALUES];
    static unsigned char packed[MAX_VALUES];
    static unsigned char tables[MAX_VALUES];
    krs_matrix m = {.n_out = from->dims[0], .n_in = from->dims[1], .quant = *quant};
    const bool has_biases = krs_quant_has_biases(quant->kind);
    m.scale_dtype = has_biases ? from->dtype : KRS_DTYPE_U8;
    assert_true(krs_f32_of_any(from->dtype, from->data, (size_t)(m.n_out * m.n_in), w));
    const size_t table_bytes = krs_matrix_scale_bytes(&m) / (has_biases ? 2 : 1);
    assert_int_equal(krs_quantise(w, from->dtype, &m, packed, tables, tables + table_bytes, NULL),
                     KRS_OK);
    const krs_tensor *codes = need(st, weight);
    const size_t code_bytes = krs_matrix_data_bytes(&m);
    assert_int_equal(codes->dtype, KRS_DTYPE_U32);
    assert_int_equal(codes->n_bytes, n_parts * code_bytes);
    assert_memory_equal((const char *)codes->data + part * code_bytes, packed, code_bytes);
    (void)snprintf(name, sizeof(name), "%s.scales", stem);
    const krs_tensor *scales = need(st, name);
    assert_int_equal(scales->dtype, m.scale_dtype);
    assert_memory_equal((const char *)scales->data + part * table_bytes, tables, table_bytes);
    (void)snprintf(name, sizeof(name), "%s.biases", stem);
    assert_int_equal(has(st, name), has_biases);
    if (has_biases) {
        assert_memory_equal((const char *)need(st, name)->data + part * table_bytes,
                            tables + table_bytes, table_bytes);
    }
}

static void a_file_gets_scales_beside_each_matrix(void **state)
{
    (void)state;
    static const krs_quant kinds[] = {{KRS_QUANT_AFFINE, 3, 32},
                                      {KRS_QUANT_AFFINE, 8, 64},
                                      {KRS_QUANT_MXFP4, 4, 32},
                                      {KRS_QUANT_MXFP8, 8, 32},
                                      {KRS_QUANT_NVFP4, 4, 16}};
    s = (source){.n = 0};
    add("a", KRS_DTYPE_BF16, 2, 5, 192);
    add("b", KRS_DTYPE_F32, 2, 400, 320); /* several pieces */
    add("c", KRS_DTYPE_F32, 2, 4, 33);    /* does not divide */
    add("d", KRS_DTYPE_F32, 1, 64, 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
        krs_quantize_result result;
        how.quant = kinds[i];
        const krs_safetensors_target target = into_file();
        krs_safetensors *st = run(&target, &how, &result);
        check_bytes(st, "a", "a", &s.tensors[0], &how.quant, 0, 1);
        check_bytes(st, "b", "b", &s.tensors[1], &how.quant, 0, 1);
        for (uint32_t k = 2; k < 4; k++) {
            const krs_tensor *kept =
                krs_tensor_dir_find(krs_safetensors_dir(st), s.tensors[k].name);
            assert_non_null(kept);
            assert_int_equal(kept->n_bytes, s.tensors[k].n_bytes);
            assert_memory_equal(kept->data, s.tensors[k].data, kept->n_bytes);
        }
        assert_int_equal(result.n_quantised, 2);
        assert_int_equal(result.n_kept, 2);
        assert_int_equal(result.n_weights, 5 * 192 + 400 * 320);
        krs_safetensors_close(st);
    }
}

static void a_model_quantises_weights_and_stacks_experts(void **state)
{
    (void)state;
    s = (source){.n = 0};
    add("lm_head.weight", KRS_DTYPE_BF16, 2, 8, 64);
    add("model.embed_tokens.weight", KRS_DTYPE_BF16, 2, 8, 64);
    add("model.layers.0.mlp.experts.0.down_proj.weight", KRS_DTYPE_BF16, 2, 64, 48);
    add("model.layers.0.mlp.experts.0.up_proj.weight", KRS_DTYPE_BF16, 2, 48, 64);
    add("model.layers.0.mlp.experts.1.down_proj.weight", KRS_DTYPE_BF16, 2, 64, 48);
    add("model.layers.0.mlp.experts.1.up_proj.weight", KRS_DTYPE_BF16, 2, 48, 64);
    add("model.layers.1.block_sparse_moe.experts.0.w1.weight", KRS_DTYPE_BF16, 2, 32, 64);
    add("model.norm.weight", KRS_DTYPE_BF16, 1, 64, 0);
    add("table", KRS_DTYPE_BF16, 2, 4, 64); /* a matrix that is no module's weight */
    krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
    krs_quantize_result result;
    how.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 64};
    how.is_model = true;
    how.is_tied = true;
    const krs_safetensors_target target = into_folder(1 << 20);
    krs_safetensors *st = run(&target, &how, &result);
    assert_false(has(st, "lm_head.weight"));
    check_bytes(st, "model.embed_tokens.weight", "model.embed_tokens", &s.tensors[1], &how.quant, 0,
                1);
    const char *up = "model.layers.0.mlp.switch_mlp.up_proj";
    for (size_t e = 0; e < 2; e++) {
        check_bytes(st, "model.layers.0.mlp.switch_mlp.up_proj.weight", up, &s.tensors[3 + 2 * e],
                    &how.quant, e, 2);
    }
    /* Rows of 48 do not divide by 64: the stack stays dense. */
    const krs_tensor *down = need(st, "model.layers.0.mlp.switch_mlp.down_proj.weight");
    assert_int_equal(down->dtype, KRS_DTYPE_BF16);
    assert_true(down->rank == 3 && down->dims[0] == 2 && down->dims[1] == 64 &&
                down->dims[2] == 48);
    assert_memory_equal((const char *)down->data + 64 * 48 * 2, s.tensors[4].data, 64 * 48 * 2);
    check_bytes(st, "model.layers.1.block_sparse_moe.switch_mlp.gate_proj.weight",
                "model.layers.1.block_sparse_moe.switch_mlp.gate_proj", &s.tensors[6], &how.quant,
                0, 1);
    assert_int_equal(need(st, "table")->dtype, KRS_DTYPE_BF16);
    assert_int_equal(result.n_quantised, 3);
    krs_safetensors_close(st);
}

static void gpt2_is_turned_and_named_as_mlx_has_it(void **state)
{
    (void)state;
    s = (source){.n = 0};
    add("transformer.h.0.attn.bias", KRS_DTYPE_F32, 2, 4, 4);
    add("transformer.h.0.attn.c_attn.weight", KRS_DTYPE_F32, 2, 64, 192);
    add("transformer.wte.weight", KRS_DTYPE_F32, 2, 16, 64);
    krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
    krs_quantize_result result;
    how.quant = (krs_quant){KRS_QUANT_AFFINE, 8, 64};
    how.is_model = how.is_turned = true;
    krs_safetensors_target target = into_folder(1 << 20);
    krs_safetensors *st = run(&target, &how, &result);
    assert_int_equal(result.n_kept, 0);
    float turned[192 * 64];
    for (size_t o = 0; o < 192; o++) {
        for (size_t i = 0; i < 64; i++) {
            turned[o * 64 + i] = ((const float *)s.tensors[1].data)[i * 192 + o];
        }
    }
    krs_tensor rows = s.tensors[1];
    rows.dims[0] = 192;
    rows.dims[1] = 64;
    rows.data = turned;
    check_bytes(st, "model.h.0.attn.c_attn.weight", "model.h.0.attn.c_attn", &rows, &how.quant, 0,
                1);
    check_bytes(st, "model.wte.weight", "model.wte", &s.tensors[2], &how.quant, 0, 1);
    krs_safetensors_close(st);
    /* What MLX would read the wrong way round is refused. */
    const krs_tensor_dir dir = directory();
    krs_error err = KRS_ERROR_INIT;
    how.quant.group = 128;
    assert_int_equal(krs_quantize(&dir, &target, &how, NULL, &result, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "groups of 128"));
}

static void large_models_come_in_shards_with_an_index(void **state)
{
    (void)state;
    s = (source){.n = 0};
    add("a.weight", KRS_DTYPE_F32, 2, 128, 512);
    add("b.weight", KRS_DTYPE_F32, 2, 128, 512);
    add("c.weight", KRS_DTYPE_F32, 2, 128, 512);
    krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
    krs_quantize_result result;
    how.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 32};
    how.is_model = true;
    const krs_safetensors_target target = into_folder(60000);
    krs_safetensors *st = run(&target, &how, &result);
    assert_int_equal(result.n_files, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const char *const names[3][2] = {{"a.weight", "a"}, {"b.weight", "b"}, {"c.weight", "c"}};
        check_bytes(st, names[i][0], names[i][1], &s.tensors[i], &how.quant, 0, 1);
    }
    krs_safetensors_close(st);
}

/* The call fails so, and leaves an empty folder. */
static void refuse(const krs_quantize_options *how, krs_status want, const char *why)
{
    const krs_safetensors_target target = into_file();
    const krs_tensor_dir dir = directory();
    krs_quantize_result result;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_quantize(&dir, &target, how, NULL, &result, &err);
    if (status != want || !strstr(err.message, why)) {
        fail_msg("%s: %s; want \"%s\"", krs_status_name(status), err.message, why);
    }
    krs_arena arena;
    const krs_str *names;
    size_t n = 1;
    krs_arena_init(&arena, NULL, 4096, 1 << 20);
    assert_int_equal(krs_os_dir_list(folder, &arena, &names, &n, NULL), KRS_OK);
    assert_int_equal(n, 0);
    krs_arena_deinit(&arena);
    assert_int_equal(krs_os_dir_remove(folder, NULL), KRS_OK);
}

static void what_cannot_be_quantised_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    krs_quantize_options how = KRS_QUANTIZE_OPTIONS_INIT;
    s = (source){.n = 0};
    add("a", KRS_DTYPE_F32, 2, 4, 64);
    add("b", KRS_DTYPE_F32, 2, 300, 320);
    refuse(&how, KRS_EINVAL, "no way");
    how.quant = (krs_quant){KRS_QUANT_AFFINE, 7, 64};
    refuse(&how, KRS_EUNSUPPORTED, "7 bits");
    how.quant = (krs_quant){KRS_QUANT_FP8, 8, 64};
    refuse(&how, KRS_EUNSUPPORTED, "not made");
    how.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 64};
    s.values[4 * 64 + 70001] = NAN;
    refuse(&how, KRS_EFORMAT, "tensor b: element 70001 is no number");
    s.values[4 * 64 + 70001] = -INFINITY;
    refuse(&how, KRS_EFORMAT, "infinite");
    s = (source){.n = 0};
    add("a", KRS_DTYPE_F32, 2, 4, 64);
    add("a.scales", KRS_DTYPE_F32, 1, 4, 0);
    refuse(&how, KRS_EFORMAT, "a.scales would be there twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gets_scales_beside_each_matrix),
        cmocka_unit_test(a_model_quantises_weights_and_stacks_experts),
        cmocka_unit_test(gpt2_is_turned_and_named_as_mlx_has_it),
        cmocka_unit_test(large_models_come_in_shards_with_an_index),
        cmocka_unit_test(what_cannot_be_quantised_is_refused_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
