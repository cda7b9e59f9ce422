/* tests/unit/model/test_modules.c - the list of modules against files that transformers wrote, and against
 * our own loader: what synth makes of any family opens as a model. */
#include "format/safetensors.h"
#include "model/model.h"
#include "model/modules.h"
#include "os/dir.h"
#include "support/cmocka.h"
#include "support/golden_folder.h"

#include <stdio.h>

static const char *const cases[] = {
    "llama",       "llama-bias",    "llama-mha",   "llama3-rope", "mistral-headdim",
    "mistral-swa", "qwen2",         "qwen2-tied",  "qwen3",       "qwen3-yarn",
    "phi3",        "phi3-longrope", "gemma",       "gemma2",      "gemma3",
    "olmo2",       "smollm3",       "granite",     "cohere2",     "starcoder2",
    "stablelm",    "gpt2",          "gpt_neox",    "mixtral",     "qwen2_moe",
    "qwen3_moe",   "gpt_oss",       "deepseek_v3", "qwen3_next",  "qwen3_5"};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

typedef struct listing {
    krs_arena arena;
    krs_model_config config;
    krs_synth_module *modules;
    uint32_t n;
    krs_golden_folder folder;
} listing;

static void open_case(const char *name, listing *out)
{
    krs_error err = KRS_ERROR_INIT;
    krs_golden_folder_open(&out->folder, name);
    krs_arena_init(&out->arena, NULL, 4096, 1u << 20);
    if (krs_model_config_load(out->folder.dir, NULL, &out->config, &err) != KRS_OK ||
        krs_model_modules(&out->config, &out->arena, &out->modules, &out->n, &err) != KRS_OK) {
        fail_msg("%s: %s", name, err.message);
    }
}

static void close_case(listing *l)
{
    krs_model_config_deinit(&l->config);
    krs_arena_deinit(&l->arena);
    krs_golden_folder_close(&l->folder);
}

static const krs_tensor *find(const krs_safetensors *st, krs_str module, const char *suffix)
{
    char name[256];
    (void)snprintf(name, sizeof(name), "%.*s%s", KRS_STR_ARGS(module), suffix);
    return krs_safetensors_find(st, krs_str_of(name));
}

static void check_shape(const krs_tensor *weight, const krs_synth_module *m)
{
    int64_t want[4];
    int32_t rank = 0;
    if (m->n_stack > 0) {
        want[rank++] = m->n_stack;
    }
    if (m->n_out > 0) {
        want[rank++] = m->is_transposed ? m->n_in : m->n_out;
    }
    if (m->is_depthwise) {
        want[rank++] = 1;
    }
    want[rank++] = m->is_transposed ? m->n_out : m->n_in;
    assert_int_equal(weight->rank, rank);
    assert_memory_equal(weight->dims, want, (size_t)rank * sizeof(want[0]));
}

/* Number of tensors the module has in the file, each checked. */
static uint32_t check_module(const krs_safetensors *st, const krs_synth_module *m)
{
    const krs_tensor *weight = find(st, m->name, m->is_bare ? "" : ".weight");
    const krs_tensor *bias = find(st, m->name, m->is_bare ? "_bias" : ".bias");
    if (!weight) {
        print_error("no tensor for module %.*s\n", KRS_STR_ARGS(m->name));
        return 0;
    }
    check_shape(weight, m);
    assert_int_equal(bias != NULL, m->has_bias);
    return 1 + (bias != NULL);
}

static void the_list_is_what_transformers_writes(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CASES; c++) {
        listing l;
        krs_safetensors *st;
        open_case(cases[c], &l);
        assert_int_equal(
            krs_safetensors_open(l.folder.dir, KRS_OS_MAP_SHARED_PAGES, NULL, &st, NULL), KRS_OK);
        uint32_t n_tensors = 0;
        for (uint32_t i = 0; i < l.n; i++) {
            n_tensors += check_module(st, &l.modules[i]);
        }
        assert_int_equal(n_tensors, krs_safetensors_count(st));
        krs_safetensors_close(st);
        close_case(&l);
    }
}

/* The case's config.json with a quantization block, in dir. */
static void put_config(const listing *l, const krs_quant *quant, const char *dir)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, 1u << 20);
    assert_int_equal(krs_os_path_join(l->folder.dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    if (quant->kind == KRS_QUANT_AFFINE) {
        const char *open = strchr(text.data, '{');
        krs_buf_consume(&text, (size_t)(open - text.data) + 1);
        krs_buf rest = text;
        krs_buf_init(&text, NULL, 1u << 20);
        assert_int_equal(krs_buf_printf(&text,
                                        "{\"quantization\":{\"bits\":%d,\"group_size\":%d},%s",
                                        quant->bits, quant->group, rest.data),
                         KRS_OK);
        krs_buf_deinit(&rest);
    }
    assert_int_equal(krs_os_path_join(dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, text.data, text.len, NULL), KRS_OK);
    krs_buf_deinit(&text);
}

static void synthesise_and_open(const listing *l, const krs_synth_options *how)
{
    char dir[KRS_OS_PATH_BYTES];
    krs_error err = KRS_ERROR_INIT;
    krs_synth_result result;
    krs_model *model = NULL;
    const krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    put_config(l, &how->quant, dir);
    krs_status status = krs_synth_write(dir, l->modules, l->n, how, NULL, &result, &err);
    if (status == KRS_OK) {
        status = krs_model_open(dir, &options, NULL, &model, &err);
    }
    if (status != KRS_OK) {
        fail_msg("%s: %s", l->folder.dir, err.message);
        return;
    }
    assert_int_equal(krs_model_stats_of(model).n_parameters, result.n_parameters);
    krs_model_close(model);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

/* Can every row be cut into groups? The experts of some tiny models are 48 wide. */
static bool can_be_quantised(const listing *l, int32_t group)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const krs_synth_module *m = &l->modules[i];
        if (m->n_out > 0 && !m->is_bare && !m->is_depthwise && m->n_in % group != 0) {
            return false;
        }
    }
    return true;
}

static void every_family_can_be_made_and_opened(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CASES; c++) {
        listing l;
        open_case(cases[c], &l);
        krs_synth_options how = KRS_SYNTH_OPTIONS_INIT;
        synthesise_and_open(&l, &how);
        how.max_shard_bytes = 65536;
        how.dtype = KRS_DTYPE_F16;
        synthesise_and_open(&l, &how);
        how.quant = (krs_quant){KRS_QUANT_AFFINE, c % 2 ? 4 : 8, 32};
        if (can_be_quantised(&l, how.quant.group)) {
            synthesise_and_open(&l, &how);
        }
        close_case(&l);
    }
}

static void a_family_that_is_not_known_is_named(void **state)
{
    (void)state;
    krs_model_config config = {.model_type = "novel", .n_layers = 1};
    krs_arena arena;
    krs_synth_module *modules;
    uint32_t n;
    krs_error err = KRS_ERROR_INIT;
    krs_arena_init(&arena, NULL, 4096, 65536);
    assert_int_equal(krs_model_modules(&config, &arena, &modules, &n, &err), KRS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "novel"));
    assert_non_null(strstr(err.message, "nearest: "));
    krs_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_what_transformers_writes),
        cmocka_unit_test(every_family_can_be_made_and_opened),
        cmocka_unit_test(a_family_that_is_not_known_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
