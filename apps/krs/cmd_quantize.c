/* apps/krs/cmd_quantize.c - krs quantize: a model folder, or one safetensors file, quantised as MLX does.
 *
 * A folder OUT is a model only when its config.json is there, so that is written last, and with --force an
 * old one goes first: whatever interrupts the work leaves no model that looks whole. A file OUT gets its
 * name when it is complete. Files of SRC that are no weights are copied.
 *
 * Thread: main.  Memory: as format/quantize.h, and one copied file at a time. */
#include "command.h"
#include "format/config.h"
#include "format/quantize.h"
#include "os/clock.h"
#include "os/dir.h"
#include "os/file.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK_BYTES (64u * 1024u)
#define ARENA_MAX_BYTES   (64u << 20)  /* names of KRS_OS_DIR_MAX_ENTRIES files */
#define COPY_MAX_BYTES    (256u << 20) /* a tokenizer.json; the largest have 35 MB */

typedef struct quantize_job {
    const krs_config *options;
    const char *src;
    const char *out;
    json_t *config; /* of a folder: config.json as read, then as written */
    krs_safetensors *tensors;
    krs_quantize_options how;
    krs_quantize_result result;
    krs_progress bar;
    uint64_t spent_ns;
} quantize_job;

/* --mode, --bits, --group. */
static krs_status read_layout(quantize_job *job, krs_error *err)
{
    static const krs_quant modes[] = {{KRS_QUANT_AFFINE, 4, 64},
                                      {KRS_QUANT_MXFP4, 4, 32},
                                      {KRS_QUANT_MXFP8, 8, 32},
                                      {KRS_QUANT_NVFP4, 4, 16}};
    const krs_str mode = krs_str_of(krs_config_text(job->options, KRS_OPTION_QUANT_MODE));
    const int32_t bits = (int32_t)krs_config_int(job->options, KRS_OPTION_QUANT_BITS);
    const int32_t group = (int32_t)krs_config_int(job->options, KRS_OPTION_QUANT_GROUP);
    krs_quant *quant = &job->how.quant;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (krs_quant_kind_of_name(mode) == modes[i].kind) {
            *quant = modes[i];
        }
    }
    quant->bits = bits > 0 ? bits : quant->bits;
    quant->group = group > 0 ? group : quant->group;
    krs_error why = KRS_ERROR_INIT;
    /* The user's numbers, not a file's. */
    return krs_quant_check(quant, quant->group, &why) == KRS_OK
               ? KRS_OK
               : krs_fail_field(err, KRS_EINVAL, "mode", "%s", why.message);
}

static krs_status path_in(const char *dir, krs_str name, char out[KRS_OS_PATH_BYTES],
                          krs_error *err)
{
    const int n = snprintf(out, KRS_OS_PATH_BYTES, "%s/%.*s", dir, KRS_STR_ARGS(name));
    return n > 0 && n < KRS_OS_PATH_BYTES
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "path of %.*s longer than %d bytes",
                          KRS_STR_ARGS(name), KRS_OS_PATH_BYTES);
}

static krs_status read_config(quantize_job *job, krs_error *err)
{
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_status status = path_in(job->src, KRS_STR("config.json"), path, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_buf_init(&text, NULL, KRS_CONFIG_MAX_BYTES);
    status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        status = krs_json_parse(krs_buf_view(&text), &limits, &job->config, err);
    }
    krs_buf_deinit(&text);
    if (status == KRS_OK && !json_is_object(job->config)) {
        status = krs_fail(err, KRS_EFORMAT, "%s: want a JSON object", path);
    }
    return status;
}

/* A block, here or in the text part, says that there is nothing left to quantise. */
static krs_status check_dense(const quantize_job *job, krs_error *err)
{
    static const char *const fields[] = {"quantization", "quantization_config"};
    const json_t *text = json_object_get(job->config, "text_config");
    for (size_t i = 0; i < 2; i++) {
        if (json_is_object(json_object_get(job->config, fields[i])) ||
            json_is_object(json_object_get(text, fields[i]))) {
            return krs_fail(err, KRS_EUNSUPPORTED, "%s is quantised already: config.json has %s",
                            job->src, fields[i]);
        }
    }
    return KRS_OK;
}

/* What of config.json decides which tensors are written, and how. */
static krs_status read_rules(quantize_job *job, krs_error *err)
{
    krs_str model_type = KRS_STR("");
    krs_status status = read_config(job, err);
    if (status == KRS_OK) {
        status = check_dense(job, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_str(job->config, "model_type", 64, &model_type, err);
    }
    job->how.is_model = true;
    job->how.is_turned = krs_str_equal(model_type, KRS_STR("gpt2"));
    job->how.is_tied =
        job->how.is_turned; /* its default; elsewhere a file without the field is untied */
    if (status == KRS_OK) {
        status = krs_json_get_bool(job->config, "tie_word_embeddings", &job->how.is_tied, err);
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%s", job->src);
}

/* config.json says how the weights are stored. */
static krs_status describe(const quantize_job *job, krs_error *err)
{
    const krs_quant *quant = &job->how.quant;
    json_t *block =
        json_pack("{s:i,s:i}", "group_size", (int)quant->group, "bits", (int)quant->bits);
    int failed = block == NULL;
    if (quant->kind != KRS_QUANT_AFFINE) {
        failed |= json_object_set_new(block, "mode", json_string(krs_quant_name(quant->kind)));
    }
    failed |= json_object_set(job->config, "quantization", block);
    failed |= json_object_set_new(job->config, "quantization_config", block);
    return failed ? krs_fail(err, KRS_ENOMEM, "config.json: out of memory") : KRS_OK;
}

static bool ends_with_any(krs_str name, const char *const *ends)
{
    for (; *ends; ends++) {
        if (krs_str_ends_with(name, krs_str_of(*ends))) {
            return true;
        }
    }
    return false;
}

/* Weights in any format, and what is written anew. */
static bool is_copied(krs_str name)
{
    static const char *const weights[] = {".safetensors",
                                          ".safetensors.index.json",
                                          ".bin",
                                          ".bin.index.json",
                                          ".gguf",
                                          ".pth",
                                          ".pt",
                                          ".onnx",
                                          ".h5",
                                          ".msgpack",
                                          NULL};
    return name.ptr[0] != '.' && !krs_str_equal(name, KRS_STR("config.json")) &&
           !ends_with_any(name, weights);
}

static krs_status copy_file(const quantize_job *job, krs_str name, krs_error *err)
{
    char from[KRS_OS_PATH_BYTES];
    char to[KRS_OS_PATH_BYTES];
    krs_status status = path_in(job->src, name, from, err);
    if (status == KRS_OK) {
        status = path_in(job->out, name, to, err);
    }
    if (status != KRS_OK || krs_os_path_kind(from) != KRS_OS_FILE) {
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

/* fn(name) for every file in dir. */
static krs_status for_files(const quantize_job *job, const char *dir,
                            krs_status (*fn)(const quantize_job *job, krs_str name, krs_error *err),
                            krs_error *err)
{
    krs_arena arena;
    const krs_str *names = NULL;
    size_t n = 0;
    krs_arena_init(&arena, NULL, ARENA_CHUNK_BYTES, ARENA_MAX_BYTES);
    krs_status status = krs_os_dir_list(dir, &arena, &names, &n, err);
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = fn(job, names[i], err);
    }
    krs_arena_deinit(&arena);
    return status;
}

static krs_status copy_if_wanted(const quantize_job *job, krs_str name, krs_error *err)
{
    return is_copied(name) ? copy_file(job, name, err) : KRS_OK;
}

/* A file that is part of a model in OUT: refused, or with --force removed. */
static krs_status clear_file(const quantize_job *job, krs_str name, krs_error *err)
{
    static const char *const ends[] = {".safetensors", ".safetensors.index.json", NULL};
    char path[KRS_OS_PATH_BYTES];
    const bool is_model = krs_str_equal(name, KRS_STR("config.json")) || ends_with_any(name, ends);
    const krs_status status = path_in(job->out, name, path, err);
    if (status != KRS_OK || !is_model) {
        return status;
    }
    return krs_config_bool(job->options, KRS_OPTION_FORCE)
               ? krs_os_file_remove(path, err)
               : krs_fail(err, KRS_EEXIST, "%s holds a model already: %.*s (--force replaces it)",
                          job->out, KRS_STR_ARGS(name));
}

static krs_status check_apart(const quantize_job *job, krs_error *err)
{
    char src[KRS_OS_PATH_BYTES];
    char out[KRS_OS_PATH_BYTES];
    if (krs_os_path_kind(job->out) == KRS_OS_ABSENT) {
        return KRS_OK;
    }
    krs_status status = krs_os_path_real(job->src, src, err);
    if (status == KRS_OK) {
        status = krs_os_path_real(job->out, out, err);
    }
    return status == KRS_OK && strcmp(src, out) == 0
               ? krs_fail(err, KRS_EINVAL, "SRC and OUT are the same: %s", src)
               : status;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    quantize_job *job = ctx;
    if (!job->bar.label) {
        krs_progress_start(&job->bar, job->options, "quantize", total > 0 ? total : 1);
    }
    krs_progress_set(&job->bar, done);
}

static krs_status write_weights(quantize_job *job, bool is_file, krs_error *err)
{
    const krs_safetensors_target target = {
        .path = job->out,
        .is_file = is_file,
        .format = "mlx",
        .max_shard_bytes = (uint64_t)krs_config_int(job->options, KRS_OPTION_SHARD_BYTES),
    };
    const krs_status status = krs_quantize(krs_safetensors_dir(job->tensors), &target, &job->how,
                                           NULL, &job->result, err);
    krs_progress_end(&job->bar);
    return status;
}

static krs_status write_config(const quantize_job *job, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    krs_status status = path_in(job->out, KRS_STR("config.json"), path, err);
    if (status == KRS_OK) {
        status = describe(job, err);
    }
    char *text = status == KRS_OK ? json_dumps(job->config, JSON_INDENT(2)) : NULL;
    if (status == KRS_OK && !text) {
        status = krs_fail(err, KRS_ENOMEM, "config.json: out of memory");
    }
    if (text) {
        status = krs_os_file_write(path, text, strlen(text), err);
    }
    free(text);
    return status;
}

static krs_status quantize_folder(quantize_job *job, krs_error *err)
{
    krs_status status = read_rules(job, err);
    if (status == KRS_OK) {
        status = krs_safetensors_open(job->src, KRS_OS_MAP_SHARED_PAGES, NULL, &job->tensors, err);
    }
    if (status == KRS_OK) {
        status = krs_os_dir_make(job->out, err);
    }
    if (status == KRS_OK) {
        status = for_files(job, job->out, clear_file, err);
    }
    if (status == KRS_OK) {
        status = for_files(job, job->src, copy_if_wanted, err);
    }
    if (status == KRS_OK) {
        status = write_weights(job, false, err);
    }
    return status == KRS_OK ? write_config(job, err) : status;
}

static krs_status quantize_file(quantize_job *job, krs_error *err)
{
    const krs_os_kind kind = krs_os_path_kind(job->out);
    if (kind == KRS_OS_DIR) {
        return krs_fail(err, KRS_EINVAL, "%s is a folder, but %s is a file", job->out, job->src);
    }
    if (kind == KRS_OS_FILE && !krs_config_bool(job->options, KRS_OPTION_FORCE)) {
        return krs_fail(err, KRS_EEXIST, "%s exists already (--force replaces it)", job->out);
    }
    const krs_status status =
        krs_safetensors_open(job->src, KRS_OS_MAP_SHARED_PAGES, NULL, &job->tensors, err);
    return status == KRS_OK ? write_weights(job, true, err) : status;
}

static krs_status quantize(quantize_job *job, krs_error *err)
{
    const uint64_t started_ns = krs_os_now_ns();
    const bool is_folder = krs_os_path_kind(job->src) == KRS_OS_DIR;
    krs_status status = check_apart(job, err);
    if (status == KRS_OK) {
        status = is_folder ? quantize_folder(job, err) : quantize_file(job, err);
    }
    job->spent_ns = krs_os_now_ns() - started_ns;
    return status;
}

static int report(const quantize_job *job)
{
    const krs_quantize_result *r = &job->result;
    const double seconds = (double)job->spent_ns / 1e9;
    const double bits =
        r->n_weights > 0 ? 8.0 * (double)r->quantised_bytes / (double)r->n_weights : 0;
    if (krs_config_bool(job->options, KRS_OPTION_JSON)) {
        return krs_say_json(
            json_pack("{s:s,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:f,s:f}", "out", job->out, "mode",
                      krs_quant_name(job->how.quant.kind), "bits", (int)job->how.quant.bits,
                      "group", (int)job->how.quant.group, "quantised", (json_int_t)r->n_quantised,
                      "copied", (json_int_t)r->n_kept, "files", (json_int_t)r->n_files, "bytes",
                      (json_int_t)r->n_bytes, "bits_per_weight", bits, "seconds", seconds));
    }
    krs_say_note(job->options,
                 "%s: %u matrices quantised to %.2f bits a weight, %u tensors copied, %.3f GB in "
                 "%u files, %.1f s",
                 job->out, r->n_quantised, bits, r->n_kept, (double)r->n_bytes / 1e9, r->n_files,
                 seconds);
    return 0;
}

int krs_cmd_quantize(const krs_config *config)
{
    quantize_job job = {.options = config,
                        .src = config->positionals[0],
                        .out = config->positionals[1],
                        .how = KRS_QUANTIZE_OPTIONS_INIT};
    krs_error err = KRS_ERROR_INIT;
    job.how.progress = show_progress;
    job.how.ctx = &job;
    krs_status status = read_layout(&job, &err);
    if (status == KRS_OK) {
        status = quantize(&job, &err);
    }
    krs_safetensors_close(job.tensors);
    json_decref(job.config);
    return status == KRS_OK ? report(&job) : krs_say_error(config, &err);
}
