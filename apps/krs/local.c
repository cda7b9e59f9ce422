/* apps/krs/local.c - see local.h. */
#include "local.h"

#include "command.h"
#include "model/source.h"
#include "os/clock.h"

#define PLAN_TEXT_BYTES 256 /* one line */

krs_dtype krs_local_kv_dtype(const krs_config *config)
{
    static const struct {
        const char *name;
        krs_dtype dtype;
    } known[] = {{"f32", KRS_DTYPE_F32},
                 {"f16", KRS_DTYPE_F16},
                 {"bf16", KRS_DTYPE_BF16},
                 {"int8", KRS_DTYPE_I8}};
    const char *name = krs_config_text(config, KRS_OPTION_KV_DTYPE);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].dtype;
        }
    }
    return KRS_DTYPE_COUNT;
}

bool krs_local_is_exact(const krs_config *config)
{
    return strcmp(krs_config_text(config, KRS_OPTION_ACTIVATIONS), "exact") == 0;
}

krs_speculation krs_local_speculation(const krs_config *config)
{
    krs_speculation speculation = {
        .max_tokens = (uint32_t)krs_config_int(config, KRS_OPTION_SPECULATION_TOKENS)};
    const krs_str name = krs_str_of(krs_config_text(config, KRS_OPTION_SPECULATION));
    for (uint32_t i = 0; i < KRS_SPECULATION_COUNT; i++) {
        if (krs_str_equal(name, krs_str_of(krs_speculation_name((krs_speculation_mode)i)))) {
            speculation.mode = (krs_speculation_mode)i;
        }
    }
    return speculation; /* "auto" is no such name: as the model is loaded */
}

krs_engine_options krs_local_options(const krs_config *config, const char *model_dir)
{
    krs_engine_options options = KRS_ENGINE_OPTIONS_INIT;
    options.model_dir = model_dir;
    options.device = krs_config_text(config, KRS_OPTION_DEVICE);
    options.n_threads = (int32_t)krs_config_int(config, KRS_OPTION_THREADS);
    options.is_exact = krs_local_is_exact(config);
    options.isa = krs_config_text(config, KRS_OPTION_ISA);
    options.is_pinned = krs_config_bool(config, KRS_OPTION_PIN);
    options.map_mode =
        krs_config_bool(config, KRS_OPTION_MMAP) ? KRS_OS_MAP_SHARED_PAGES : KRS_OS_MAP_COPY;
    options.max_context_tokens = (uint32_t)krs_config_int(config, KRS_OPTION_CTX);
    options.kv_dtype = krs_local_kv_dtype(config);
    options.memory_bytes = (uint64_t)krs_config_int(config, KRS_OPTION_MEMORY);
    options.draft_dir = krs_config_text(config, KRS_OPTION_DRAFT);
    options.speculation = krs_local_speculation(config);
    if (config->command != KRS_COMMAND_SERVE && config->command != KRS_COMMAND_STDIO) {
        options.max_seqs = 1; /* one user, one answer at a time */
        return options;
    }
    options.model_id = krs_config_text(config, KRS_OPTION_MODEL_ID);
    options.tool_format = krs_config_text(config, KRS_OPTION_TOOL_FORMAT);
    options.max_seqs = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_SEQS);
    options.max_waiting = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_WAITING);
    options.kv_tokens = (uint64_t)krs_config_int(config, KRS_OPTION_KV_TOKENS);
    options.n_prep_threads = (uint32_t)krs_config_int(config, KRS_OPTION_PREP_THREADS);
    options.has_no_prefix_cache = !krs_config_bool(config, KRS_OPTION_PREFIX_CACHE);
    return options;
}

/* A folder, or a GGUF file: what may hold a model. */
static bool is_model_path(const char *path)
{
    const krs_os_kind kind = krs_os_path_kind(path);
    return kind == KRS_OS_DIR || (kind == KRS_OS_FILE && krs_model_source_is_gguf(path));
}

krs_status krs_local_check_folder(const char *model_dir, krs_error *err)
{
    const krs_os_kind kind = krs_os_path_kind(model_dir);
    if (is_model_path(model_dir)) {
        return KRS_OK;
    }
    const char *why = kind != KRS_OS_ABSENT ? "neither a folder nor a .gguf file"
                                            : "no such folder or .gguf file";
    return krs_error_wrap(err, krs_fail(err, KRS_ENOENT, "%s", why), "%s", model_dir);
}

krs_status krs_local_open(const krs_config *config, const krs_engine_options *options,
                          krs_runtime **out, krs_error *err)
{
    *out = NULL;
    krs_status status = krs_local_check_folder(options->model_dir, err);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_engine_open(options, out, err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "%s", options->model_dir);
    }
    char text[PLAN_TEXT_BYTES];
    krs_engine_plan_text(krs_engine_plan_of(*out), text, sizeof(text));
    krs_say_note(config, "%s", text);
    return KRS_OK;
}

/* Errors name no folder: they may be a client's. */
static krs_status open_model(void *ctx, const krs_model_spec *spec, krs_runtime **out,
                             krs_error *err)
{
    const krs_local *local = ctx;
    *out = NULL;
    if (!is_model_path(spec->path)) {
        return krs_fail_field(err, KRS_ENOENT, "local_path",
                              "local_path: no such folder or .gguf file");
    }
    krs_engine_options options = krs_local_options(local->config, spec->path);
    options.model_id = spec->id;
    const char *own = local->config->n_positionals > 0
                          ? local->config->positionals[0]
                          : krs_config_text(local->config, KRS_OPTION_MODEL);
    if (!own || strcmp(own, spec->path) != 0) { /* the draft is for the model it was named with */
        options.draft_dir = NULL;
        options.speculation.mode = options.speculation.mode == KRS_SPECULATION_DRAFT
                                       ? KRS_SPECULATION_OFF
                                       : options.speculation.mode;
    }
    options.metrics = local->metrics;
    options.log = local->log;
    options.bus = local->bus;
    if (spec->context_tokens > 0) {
        options.max_context_tokens = spec->context_tokens;
    }
    return krs_engine_open(&options, out, err);
}

krs_opener krs_local_opener(krs_local *local)
{
    return (krs_opener){.ctx = local, .open = open_model};
}

krs_service_options krs_local_service_options(const krs_config *config)
{
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    krs_governor_options *governor = &options.governor;
    options.key_file = krs_config_text(config, KRS_OPTION_API_KEYS);
    options.max_in_flight = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_IN_FLIGHT);
    options.default_timeout_ns =
        (uint64_t)krs_config_int(config, KRS_OPTION_TIMEOUT_MS) * KRS_NS_PER_MS;
    options.is_adaptive = strcmp(krs_config_text(config, KRS_OPTION_ADMISSION), "adaptive") == 0;
    governor->slo_ttft_ns =
        (uint64_t)krs_config_int(config, KRS_OPTION_SLO_TTFT_MS) * KRS_NS_PER_MS;
    governor->min_limit = (uint32_t)krs_config_int(config, KRS_OPTION_ADMISSION_MIN);
    governor->max_limit = (uint32_t)krs_config_int(config, KRS_OPTION_ADMISSION_MAX);
    governor->kp = krs_config_real(config, KRS_OPTION_ADMISSION_KP);
    governor->ki = krs_config_real(config, KRS_OPTION_ADMISSION_KI);
    governor->kd = krs_config_real(config, KRS_OPTION_ADMISSION_KD);
    return options;
}
