/* apps/krs/cmd_synth.c - krs synth: a model folder of any supported shape with random weights.
 *
 * The configuration is a real one; its weights are drawn from --seed. config.json is written last, so a
 * folder whose making was cut short is no model. A folder that holds a model already is refused: half
 * of the old files beside half of the new ones would be a third model. */
#include "command.h"
#include "format/config.h"
#include "format/safetensors.h"
#include "format/synth.h"
#include "model/modules.h"
#include "os/clock.h"
#include "os/file.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (64u << 20)  /* module names of the deepest model: under 4 MiB */
#define COPY_MAX_BYTES    (256u << 20) /* a tokenizer.json; the largest have 35 MB */

typedef struct synth_job {
    const krs_config *options;
    const char *out;
    json_t *shape; /* config.json as given, then as written */
    krs_model_config config;
    krs_synth_options how;
    krs_synth_result result;
    krs_progress bar;
    uint64_t spent_ns;
} synth_job;

static const char *const tokenizer_files[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "added_tokens.json",
};

#define N_TOKENIZER_FILES (sizeof(tokenizer_files) / sizeof(tokenizer_files[0]))

/* --dtype and --group. */
static krs_status read_layout(synth_job *job, krs_error *err)
{
    static const struct {
        const char *name;
        krs_dtype dtype;
        int32_t bits; /* 0: dense */
    } layouts[] = {
        {"bf16", KRS_DTYPE_BF16, 0},    {"f16", KRS_DTYPE_F16, 0},      {"f32", KRS_DTYPE_F32, 0},
        {"affine4", KRS_DTYPE_BF16, 4}, {"affine8", KRS_DTYPE_BF16, 8},
    };
    const char *name = krs_config_text(job->options, KRS_OPTION_DTYPE);
    const int32_t group = (int32_t)krs_config_int(job->options, KRS_OPTION_GROUP);
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (strcmp(name, layouts[i].name) == 0) {
            job->how.dtype = layouts[i].dtype;
            job->how.quant = layouts[i].bits ? (krs_quant){KRS_QUANT_AFFINE, layouts[i].bits, group}
                                             : (krs_quant){KRS_QUANT_NONE, 0, 0};
            return KRS_OK;
        }
    }
    return krs_fail_field(err, KRS_EINVAL, "dtype", "dtype: %s is not known", name);
}

static krs_status read_json(const char *path, json_t **out, krs_error *err)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_CONFIG_MAX_BYTES);
    krs_status status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        status = krs_json_parse(krs_buf_view(&text), &limits, out, err);
    }
    krs_buf_deinit(&text);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", path);
}

/* The shape: how its own weights were quantised does not matter, since ours replace them. */
static krs_status read_shape(synth_job *job, krs_error *err)
{
    const char *path = krs_config_text(job->options, KRS_OPTION_SHAPE);
    if (!path) {
        return krs_fail_field(err, KRS_EINVAL, "config", "config: which shape? give --config FILE");
    }
    krs_status status = read_json(path, &job->shape, err);
    if (status != KRS_OK) {
        return status;
    }
    (void)json_object_del(job->shape, "quantization");
    (void)json_object_del(job->shape, "quantization_config");
    status = krs_model_config_read(job->shape, NULL, &job->config, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", path);
}

/* config.json says how the weights are stored, in the spelling of the file it came from. */
static krs_status describe(synth_job *job, krs_error *err)
{
    const char *dtype = job->how.dtype == KRS_DTYPE_F32   ? "float32"
                        : job->how.dtype == KRS_DTYPE_F16 ? "float16"
                                                          : "bfloat16";
    const bool is_v5 = json_object_get(job->shape, "dtype") != NULL;
    int failed =
        json_object_set_new(job->shape, is_v5 ? "dtype" : "torch_dtype", json_string(dtype));
    if (job->how.quant.kind == KRS_QUANT_AFFINE) {
        json_t *block = json_pack("{s:i,s:i,s:s}", "group_size", (int)job->how.quant.group, "bits",
                                  (int)job->how.quant.bits, "mode", "affine");
        failed |= json_object_set(job->shape, "quantization", block);
        failed |= json_object_set_new(job->shape, "quantization_config", block);
    }
    return failed ? krs_fail(err, KRS_ENOMEM, "config.json: out of memory") : KRS_OK;
}

static krs_status path_in(const char *dir, const char *name, char out[KRS_OS_PATH_BYTES],
                          krs_error *err)
{
    return krs_os_path_join(dir, name, out, KRS_OS_PATH_BYTES) == KRS_OK
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "path of %s longer than %d bytes", name,
                          KRS_OS_PATH_BYTES);
}

/* dir/name to out/name; *is_there false when there is none. */
static krs_status copy_file(const synth_job *job, const char *dir, const char *name, bool *is_there,
                            krs_error *err)
{
    char from[KRS_OS_PATH_BYTES];
    char to[KRS_OS_PATH_BYTES];
    krs_status status = path_in(dir, name, from, err);
    if (status == KRS_OK) {
        status = path_in(job->out, name, to, err);
    }
    *is_there = status == KRS_OK && krs_os_path_kind(from) == KRS_OS_FILE;
    if (!*is_there) {
        return status;
    }
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, COPY_MAX_BYTES);
    status = krs_os_file_read(from, &bytes, err);
    if (status == KRS_OK) {
        status = krs_os_file_write(to, bytes.data ? bytes.data : "", bytes.len, err);
    }
    krs_buf_deinit(&bytes);
    return status;
}

static krs_status copy_tokenizer(const synth_job *job, krs_error *err)
{
    const char *dir = krs_config_text(job->options, KRS_OPTION_TOKENIZER);
    bool has_any = !dir;
    krs_status status = KRS_OK;
    for (size_t i = 0; dir && status == KRS_OK && i < N_TOKENIZER_FILES; i++) {
        bool is_there = false;
        status = copy_file(job, dir, tokenizer_files[i], &is_there, err);
        has_any = has_any || is_there;
    }
    if (status == KRS_OK && !has_any) {
        return krs_fail_field(err, KRS_ENOENT, "tokenizer", "tokenizer: no tokenizer files in %s",
                              dir);
    }
    return status;
}

/* generation_config.json from beside the shape, where there is one. */
static krs_status copy_generation(const synth_job *job, krs_error *err)
{
    char dir[KRS_OS_PATH_BYTES];
    bool is_there;
    const char *shape = krs_config_text(job->options, KRS_OPTION_SHAPE);
    const char *slash = strrchr(shape, '/');
    const int n = slash ? (int)(slash - shape) + 1 : 0;
    (void)snprintf(dir, sizeof(dir), "%.*s", n, shape);
    return copy_file(job, n ? dir : ".", "generation_config.json", &is_there, err);
}

/* A new folder, or one without a model. */
static krs_status make_folder(const synth_job *job, krs_error *err)
{
    static const char *const taken[] = {"config.json", "model.safetensors",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        const krs_status status = path_in(job->out, taken[i], path, err);
        if (status != KRS_OK) {
            return status;
        }
        if (krs_os_path_kind(path) != KRS_OS_ABSENT) {
            return krs_fail(err, KRS_EEXIST, "%s holds a model already: %s", job->out, taken[i]);
        }
    }
    const krs_status status = krs_os_dir_make(job->out, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", job->out);
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    synth_job *job = ctx;
    if (!job->bar.label) {
        krs_progress_start(&job->bar, job->options, "synth", total);
    }
    krs_progress_set(&job->bar, done);
}

static krs_status write_weights(synth_job *job, krs_error *err)
{
    krs_arena arena;
    krs_synth_module *modules = NULL;
    uint32_t n = 0;
    krs_arena_init(&arena, NULL, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    krs_status status = krs_model_modules(&job->config, &arena, &modules, &n, err);
    if (status == KRS_OK) {
        status = krs_synth_write(job->out, modules, n, &job->how, NULL, &job->result, err);
    }
    krs_progress_end(&job->bar);
    krs_arena_deinit(&arena);
    return status;
}

static krs_status write_config(const synth_job *job, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    krs_status status = path_in(job->out, "config.json", path, err);
    if (status != KRS_OK) {
        return status;
    }
    char *text = json_dumps(job->shape, JSON_INDENT(2));
    if (!text) {
        return krs_fail(err, KRS_ENOMEM, "config.json: out of memory");
    }
    status = krs_os_file_write(path, text, strlen(text), err);
    free(text);
    return status;
}

static krs_status write_folder(synth_job *job, krs_error *err)
{
    const uint64_t started_ns = krs_os_now_ns();
    krs_status status = make_folder(job, err);
    if (status == KRS_OK) {
        status = copy_tokenizer(job, err);
    }
    if (status == KRS_OK) {
        status = copy_generation(job, err);
    }
    if (status == KRS_OK) {
        status = write_weights(job, err);
    }
    if (status == KRS_OK) {
        status = write_config(job, err);
    }
    job->spent_ns = krs_os_now_ns() - started_ns;
    return status;
}

static int report(const synth_job *job)
{
    const krs_synth_result *r = &job->result;
    const double seconds = (double)job->spent_ns / 1e9;
    if (krs_config_bool(job->options, KRS_OPTION_JSON)) {
        return krs_say_json(json_pack("{s:s,s:I,s:I,s:I,s:I,s:f}", "model", job->out, "parameters",
                                      (json_int_t)r->n_parameters, "bytes", (json_int_t)r->n_bytes,
                                      "tensors", (json_int_t)r->n_tensors, "shards",
                                      (json_int_t)r->n_shards, "seconds", seconds));
    }
    krs_say_note(job->options, "%s: %.3f G parameters, %.3f GB in %u tensors and %u files, %.1f s",
                 job->out, (double)r->n_parameters / 1e9, (double)r->n_bytes / 1e9, r->n_tensors,
                 r->n_shards, seconds);
    return 0;
}

int krs_cmd_synth(const krs_config *config)
{
    synth_job job = {
        .options = config, .out = config->positionals[0], .how = KRS_SYNTH_OPTIONS_INIT};
    krs_error err = KRS_ERROR_INIT;
    job.how.seed = (uint64_t)krs_config_int(config, KRS_OPTION_SEED);
    job.how.max_shard_bytes = (uint64_t)krs_config_int(config, KRS_OPTION_SHARD_BYTES);
    job.how.progress = show_progress;
    job.how.ctx = &job;
    krs_status status = read_layout(&job, &err);
    if (status == KRS_OK) {
        status = read_shape(&job, &err);
    }
    if (status == KRS_OK) {
        status = describe(&job, &err);
    }
    if (status == KRS_OK) {
        status = write_folder(&job, &err);
    }
    krs_model_config_deinit(&job.config);
    json_decref(job.shape);
    return status == KRS_OK ? report(&job) : krs_say_error(config, &err);
}
