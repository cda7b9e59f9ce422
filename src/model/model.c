/* model/model.c - see model.h.
 * Opening is three steps that each either hold or leave nothing: read the configuration, map the
 * tensors, build the program. The order matters for the message: a folder of an unknown family should
 * say so, not that its tensors have unexpected names.
 *
 * Memory: the model owns configuration, mappings and program, and frees them in reverse. */
#include "model/model.h"

#include "model/bind.h"
#include "model/decoder.h"
#include "model/source.h"

#define F16_BYTES 2

struct krs_model {
    const krs_alloc *alloc;
    krs_model_config config;
    krs_model_source *source;
    krs_copies copies;
    krs_program program;
    krs_model_stats stats;
};

/* Read config.json and find its family. The family is named first even when more is wrong: a file of an
 * unknown family need not make sense to us. */
static krs_status read_config(krs_model *model, const char *path, krs_os_map_mode mode,
                              const krs_family **out, krs_error *err)
{
    krs_model_config *config = &model->config;
    const krs_status status =
        krs_model_source_open(path, mode, model->alloc, config, &model->source, err);
    *out = krs_family_find(config->model_type);
    if (*out != NULL || (status != KRS_OK && config->model_type[0] == '\0')) {
        return status;
    }
    char known[128];
    krs_family_nearest(config->model_type, known, sizeof(known));
    return krs_fail(err, KRS_EUNSUPPORTED,
                    "config.json: architecture \"%.60s\" is not known here; nearest: %s",
                    config->model_type, known);
}

static uint64_t kv_bytes_per_token(const krs_model_config *config)
{
    const krs_cache_shape cache = krs_model_config_cache(config);
    return (uint64_t)cache.n_layers * (uint64_t)cache.n_heads *
           ((uint64_t)cache.key_dim + (uint64_t)cache.value_dim) * F16_BYTES;
}

/* The context asked for, or the model's own. */
static krs_status choose_context(const krs_model_config *config, int64_t asked, int64_t *out,
                                 krs_error *err)
{
    const int64_t longest = krs_model_config_longest(config);
    if (asked < 0 || asked > longest) {
        return krs_fail_field(err, KRS_EINVAL, "ctx",
                              "ctx: %lld tokens, want 1 .. %lld (what the model was made for)",
                              (long long)asked, (long long)longest);
    }
    *out = asked > 0 ? asked : config->max_positions;
    return KRS_OK;
}

static krs_status build(krs_model *model, const krs_family *family, int64_t context, krs_error *err)
{
    krs_binder binder;
    krs_binder_init(&binder, family, &model->config, krs_model_tensors(model), &model->program,
                    &model->stats, &model->copies);
    model->program.maps = krs_model_tensors(model)->maps;
    model->program.n_maps = krs_model_tensors(model)->n_maps;
    const krs_status status = krs_decoder_build(&binder, context, err);
    model->stats.file_bytes = krs_model_tensors(model)->file_bytes;
    model->stats.kv_bytes_per_token_f16 = kv_bytes_per_token(&model->config);
    return status;
}

krs_status krs_model_open(const char *path, const krs_model_options *options,
                          const krs_alloc *alloc, krs_model **out, krs_error *err)
{
    static const krs_model_options defaults = KRS_MODEL_OPTIONS_INIT;
    const krs_model_options *opt = options != NULL ? options : &defaults;
    *out = NULL;
    if (opt->size != sizeof(*opt)) {
        return krs_fail(err, KRS_EINVAL, "model options: size %zu, want %zu", opt->size,
                        sizeof(*opt));
    }
    krs_model *model = krs_alloc_zero(alloc, sizeof(*model));
    if (model == NULL) {
        return krs_fail(err, KRS_ENOMEM, "model: %zu bytes", sizeof(*model));
    }
    model->alloc = alloc;
    krs_program_init(&model->program, alloc);
    krs_copies_init(&model->copies, alloc);
    const krs_family *family = NULL;
    int64_t context = 0;
    krs_status status = read_config(model, path, opt->map_mode, &family, err);
    if (status == KRS_OK) {
        status = choose_context(&model->config, opt->context_tokens, &context, err);
    }
    if (status == KRS_OK) {
        status = krs_model_source_open_tensors(model->source, err);
    }
    if (status == KRS_OK) {
        status = build(model, family, context, err);
    }
    if (status != KRS_OK) {
        krs_model_close(model);
        return status;
    }
    *out = model;
    return KRS_OK;
}

void krs_model_close(krs_model *model)
{
    if (model == NULL) {
        return;
    }
    krs_program_deinit(&model->program);
    krs_copies_deinit(&model->copies);
    krs_model_source_close(model->source);
    krs_model_config_deinit(&model->config);
    krs_alloc_free(model->alloc, model);
}

const krs_program *krs_model_program(const krs_model *model)
{
    return &model->program;
}

const krs_model_config *krs_model_config_of(const krs_model *model)
{
    return &model->config;
}

const char *krs_model_main_type(const krs_model *model)
{
    const krs_tensor_dir *dir = krs_model_tensors(model);
    uint64_t by_kind[KRS_QUANT_COUNT] = {0};
    uint64_t by_dtype[KRS_DTYPE_COUNT] = {0};
    for (uint32_t i = 0; i < dir->n_tensors; i++) {
        const krs_tensor *tensor = &dir->tensors[i];
        uint64_t *sum = tensor->quant.kind != KRS_QUANT_NONE ? &by_kind[tensor->quant.kind]
                                                             : &by_dtype[tensor->dtype];
        *sum += tensor->n_bytes;
    }
    const char *name = "none";
    uint64_t most = 0;
    for (krs_dtype dtype = 0; dtype < KRS_DTYPE_COUNT; dtype++) {
        name = by_dtype[dtype] > most ? krs_dtype_name(dtype) : name;
        most = by_dtype[dtype] > most ? by_dtype[dtype] : most;
    }
    for (krs_quant_kind kind = 0; kind < KRS_QUANT_COUNT; kind++) {
        name = by_kind[kind] > most ? krs_quant_name(kind) : name;
        most = by_kind[kind] > most ? by_kind[kind] : most;
    }
    return name;
}

const krs_tensor_dir *krs_model_tensors(const krs_model *model)
{
    return krs_model_source_tensors(model->source);
}

krs_model_stats krs_model_stats_of(const krs_model *model)
{
    return model->stats;
}
