/* tests/oom/test_format.c - the readers of model files, with every allocation failing in turn. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "format/config.h"
#include "format/quantize.h"
#include "format/safetensors.h"
#include "format/synth.h"
#include "os/dir.h"
#include "support/oom.h"

#define N_TENSORS 200 /* enough for the table to grow twice */

typedef struct folder {
    char path[64];
} folder;

static void put(const folder *f, const char *name, const void *bytes, size_t n)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(f->path, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, bytes, n, NULL), KRS_OK);
}

static void drop(const folder *f, const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(f->path, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(remove(path), 0);
}

/* N_TENSORS tensors of one byte, whose names need unescaping, from number `first` on. */
static void put_shard(const folder *f, const char *name, int first)
{
    krs_buf header;
    krs_buf_init(&header, NULL, 1u << 20);
    unsigned char length[8] = {0};
    assert_int_equal(krs_buf_append(&header, length, sizeof(length)), KRS_OK);
    for (int i = 0; i < N_TENSORS; i++) {
        assert_int_equal(krs_buf_printf(&header,
                                        "%c\"\\u006d.%d\":{\"dtype\":\"U8\",\"shape\":[1],"
                                        "\"data_offsets\":[%d,%d]}",
                                        i ? ',' : '{', first + i, i, i + 1),
                         KRS_OK);
    }
    assert_int_equal(krs_buf_append_char(&header, '}'), KRS_OK);
    const size_t n_header = header.len - 8;
    header.data[0] = (char)(n_header & 0xFF);
    header.data[1] = (char)(n_header >> 8);
    const unsigned char data[N_TENSORS] = {0};
    assert_int_equal(krs_buf_append(&header, data, sizeof(data)), KRS_OK);
    put(f, name, header.data, header.len);
    krs_buf_deinit(&header);
}

static void put_index(const folder *f)
{
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    for (int i = 0; i < 2 * N_TENSORS; i++) {
        assert_int_equal(krs_buf_printf(&text, "%s\"m.%d\":\"%s.safetensors\"",
                                        i ? "," : "{\"weight_map\":{", i,
                                        i < N_TENSORS ? "one" : "tw\\u006f"),
                         KRS_OK);
    }
    assert_int_equal(krs_buf_append_str(&text, KRS_STR("}}")), KRS_OK);
    put(f, "model.safetensors.index.json", text.data, text.len);
    krs_buf_deinit(&text);
}

static krs_status open_and_close(const krs_alloc *alloc, void *ctx)
{
    const folder *f = ctx;
    krs_safetensors *st;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_safetensors_open(f->path, KRS_OS_MAP_COPY, alloc, &st, &err);
    assert_int_equal(st != NULL, status == KRS_OK);
    if (status == KRS_OK) {
        assert_int_equal(krs_safetensors_count(st), 2 * N_TENSORS);
        assert_non_null(krs_safetensors_find(st, KRS_STR("m.0")));
    }
    krs_safetensors_close(st);
    return status;
}

static void opening_shards_survives_every_failed_allocation(void **state)
{
    (void)state;
    folder f = {"/tmp/krs-oom-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    put_shard(&f, "one.safetensors", 0);
    put_shard(&f, "two.safetensors", N_TENSORS);
    put_index(&f);
    const uint64_t n_runs = krs_oom_sweep(open_and_close, &f);
    assert_true(n_runs > 8); /* object, maps, text, arenas, three tables: all were reached */
    drop(&f, "one.safetensors");
    drop(&f, "two.safetensors");
    drop(&f, "model.safetensors.index.json");
    assert_int_equal(remove(f.path), 0);
}

static krs_status load_config(const krs_alloc *alloc, void *ctx)
{
    const folder *f = ctx;
    krs_model_config config;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_model_config_load(f->path, alloc, &config, &err);
    if (status == KRS_OK) {
        assert_int_equal(config.n_overrides, 1);
    } else {
        assert_null(config.overrides);
    }
    krs_model_config_deinit(&config);
    return status;
}

static void loading_a_config_survives_every_failed_allocation(void **state)
{
    (void)state;
    static const char text[] =
        "{\"model_type\":\"llama\",\"num_hidden_layers\":4,\"num_attention_heads\":4,"
        "\"hidden_size\":64,\"intermediate_size\":160,\"vocab_size\":512,"
        "\"quantization\":{\"bits\":4,\"group_size\":32,\"lm_head\":false}}";
    folder f = {"/tmp/krs-oom-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    put(&f, "config.json", text, sizeof(text) - 1);
    assert_true(krs_oom_sweep(load_config, &f) > 2);
    drop(&f, "config.json");
    assert_int_equal(remove(f.path), 0);
}

static krs_status write_model(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    static const krs_synth_module modules[] = {
        {.name = {"up", 2}, .n_out = 64, .n_in = 64, .has_bias = true},
        {.name = {"norm", 4}, .n_out = 0, .n_in = 64},
    };
    char dir[KRS_OS_PATH_BYTES];
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    krs_error err = KRS_ERROR_INIT;
    options.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 32};
    options.max_shard_bytes = 2048;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    const krs_status status = krs_synth_write(dir, modules, 2, &options, alloc, NULL, &err);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return status;
}

static void writing_a_model_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(write_model, NULL) > 8);
}

static krs_status quantise(const krs_alloc *alloc, void *ctx)
{
    static const float values[4 * 64];
    const krs_tensor tensors[] = {
        {.name = {"m.experts.0.w1.weight", 21}, .rank = 2, .dims = {2, 64}, .data = values},
        {.name = {"m.experts.1.w1.weight", 21}, .rank = 2, .dims = {2, 64}, .data = values},
        {.name = {"m.weight", 8}, .rank = 2, .dims = {4, 64}, .data = values},
        {.name = {"norm.weight", 11}, .rank = 1, .dims = {64}, .data = values},
    };
    krs_tensor_dir source = {.tensors = tensors, .n_tensors = 4};
    krs_tensor sized[4];
    for (size_t i = 0; i < 4; i++) {
        sized[i] = tensors[i];
        sized[i].dtype = KRS_DTYPE_F32;
        sized[i].n_bytes = (size_t)(sized[i].rank == 2 ? sized[i].dims[0] : 1) * 64 * sizeof(float);
    }
    source.tensors = sized;
    char dir[KRS_OS_PATH_BYTES];
    krs_quantize_options options = KRS_QUANTIZE_OPTIONS_INIT;
    krs_quantize_result result;
    krs_error err = KRS_ERROR_INIT;
    (void)ctx;
    options.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 32};
    options.is_model = true;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    const krs_safetensors_target target = {dir, false, "mlx", 256};
    const krs_status status = krs_quantize(&source, &target, &options, alloc, &result, &err);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return status;
}

static void quantising_a_model_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(quantise, NULL) > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantising_a_model_survives_every_failed_allocation),
        cmocka_unit_test(opening_shards_survives_every_failed_allocation),
        cmocka_unit_test(loading_a_config_survives_every_failed_allocation),
        cmocka_unit_test(writing_a_model_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
