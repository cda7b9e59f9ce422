/* engine/load.c - everything an engine holds, taken in order and given back in reverse.
 *
 * Thread: open and free.  Memory: from engine->alloc. */
#include "engine/engine_priv.h"
#include "model/source.h"
#include "os/clock.h"
#include "os/random.h"
#include "text/tokenizer_compare.h"

#include <math.h>
#include <stdio.h>

#define WAITING_CONTEXTS 16u /* prompts queued, in full contexts, when nobody says otherwise */

static krs_status check_range(const char *field, uint64_t value, uint64_t min, uint64_t max,
                              krs_error *err)
{
    if (value >= min && value <= max) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EINVAL, field, "%s: %llu, want %llu .. %llu", field,
                          (unsigned long long)value, (unsigned long long)min,
                          (unsigned long long)max);
}

static krs_status check_options(const krs_engine_options *o, krs_error *err)
{
    if (o->size != sizeof(*o) || !o->model_dir || !o->device) {
        return krs_fail(err, KRS_EINVAL,
                        "engine options: size %zu, want %zu; model_dir and device "
                        "are required",
                        o->size, sizeof(*o));
    }
    krs_status status = check_range("max-seqs", o->max_seqs, 1, KRS_ENGINE_MAX_SEQS, err);
    if (status == KRS_OK) {
        status = check_range("max-waiting", o->max_waiting, 1, KRS_ENGINE_MAX_WAITING, err);
    }
    if (status == KRS_OK) {
        status =
            check_range("prep-threads", o->n_prep_threads, 1, KRS_ENGINE_MAX_PREP_THREADS, err);
    }
    if (status == KRS_OK && o->max_step_tokens != 0) {
        status =
            check_range("max_step_tokens", o->max_step_tokens, o->max_seqs, KRS_EXEC_MAX_ROWS, err);
    }
    return status;
}

/* As told, or the model's own. */
static krs_status name_model(krs_model_info *info, const krs_engine_options *options,
                             krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    const char *name = options->model_id;
    if (!name) {
        const krs_status status = krs_model_source_name(options->model_dir, path, &name, err);
        if (status != KRS_OK) {
            return status;
        }
    }
    (void)snprintf(info->id, sizeof(info->id), "%.*s", KRS_MODEL_ID_BYTES - 1, name);
    return KRS_OK;
}

/* NAN: the file does not say. Values no request could have are left out as well. */
static void take_default(double *to, double value, double min, double max)
{
    if (!isnan(value) && value >= min && value <= max) {
        *to = value;
    }
}

static krs_status load_defaults(krs_engine *engine, const char *dir, krs_error *err)
{
    krs_generation_config g;
    const krs_status status = krs_model_source_generation(dir, &g, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_sampling *s = &engine->info.sampling;
    *s = (krs_sampling)KRS_SAMPLING_INIT;
    take_default(&s->temperature, g.temperature, 0.0, KRS_MAX_TEMPERATURE);
    take_default(&s->top_p, g.top_p, 1e-6, 1.0);
    take_default(&s->min_p, g.min_p, 0.0, 0.999999);
    take_default(&s->repetition_penalty, g.repetition_penalty, 1e-6, KRS_MAX_REPETITION_PENALTY);
    if (g.top_k >= 0 && g.top_k <= INT32_MAX) {
        s->top_k = (int32_t)g.top_k;
    }
    if (g.do_sample == 0) {
        s->temperature = 0.0;
    }
    const krs_model_config *config = krs_model_config_of(engine->model);
    const uint32_t *eos = g.n_eos ? g.eos_ids : config->eos_ids;
    engine->n_eos = g.n_eos ? g.n_eos : config->n_eos;
    memcpy(engine->eos, eos, engine->n_eos * sizeof(*eos));
    return KRS_OK;
}

/* How the answers are to be read. */
static krs_status choose_reply(krs_engine *engine, const char *name, krs_error *err)
{
    if (strcmp(name, "none") == 0) {
        return KRS_OK; /* plain, and no reasoning */
    }
    if (engine->chat) {
        engine->reply = krs_chat_template_style(engine->chat);
    }
    if (strcmp(name, "auto") != 0 &&
        !krs_reply_format_find(krs_str_of(name), &engine->reply.format)) {
        return krs_fail_field(err, KRS_EINVAL, "tool-format",
                              "tool-format: \"%.40s\" is no format of tool calls", name);
    }
    return KRS_OK;
}

static krs_status load_text(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    const char *dir = options->model_dir;
    krs_status status = krs_model_source_tokenizer(dir, engine->alloc, &engine->tokenizer, err);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_model_source_chat_template(dir, engine->alloc, &engine->chat, err);
    if (status == KRS_ENOENT) {
        status = KRS_OK; /* a base model: text prompts only */
    }
    if (status == KRS_OK) {
        status = choose_reply(engine, options->tool_format, err);
    }
    for (uint32_t i = 0; status == KRS_OK && i < engine->n_prep_threads; i++) {
        status = krs_encoder_new(engine->tokenizer, &engine->encoders[i], err);
    }
    return status;
}

/* What KRS_POOLING_MODEL means. */
static krs_status load_pooling(krs_engine *engine, const char *dir, krs_error *err)
{
    krs_pooling_files files;
    const krs_status status = krs_model_source_pooling(dir, &files, err);
    if (status != KRS_OK) {
        return status;
    }
    const bool is_encoder = krs_model_program(engine->model)->is_whole;
    engine->pooling = files.mode == KRS_POOLING_MODE_MEAN   ? KRS_POOLING_MEAN
                      : files.mode == KRS_POOLING_MODE_CLS  ? KRS_POOLING_CLS
                      : files.mode == KRS_POOLING_MODE_LAST ? KRS_POOLING_LAST
                      : is_encoder                          ? KRS_POOLING_MEAN
                                                            : KRS_POOLING_LAST;
    engine->is_normalised = files.is_normalised;
    const char *mode = files.mode == KRS_POOLING_MODE_OTHER ? "another pooling" : "";
    (void)snprintf(engine->odd_pooling, sizeof(engine->odd_pooling), "%s",
                   files.other[0] != '\0' ? files.other : mode);
    return KRS_OK;
}

/* As `krs synth` calls it: "bf16", "affine4"; or the mode or the maker's method: "mxfp4", "gptq". */
static void name_dtype(const krs_engine *engine, krs_model_info *info,
                       const krs_model_config *config)
{
    if (config->quant.kind == KRS_QUANT_AFFINE) {
        (void)snprintf(info->dtype, sizeof(info->dtype), "affine%d", (int)config->quant.bits);
        return;
    }
    if (config->quant.kind != KRS_QUANT_NONE) {
        (void)snprintf(info->dtype, sizeof(info->dtype), "%s", krs_quant_name(config->quant.kind));
        return;
    }
    if (config->hub_quant.method != KRS_HUB_NONE) { /* "compressed" of compressed-tensors */
        (void)snprintf(info->dtype, sizeof(info->dtype), "%.10s",
                       krs_hub_method_name(config->hub_quant.method));
        return;
    }
    const char *name = config->dtype < KRS_DTYPE_COUNT ? krs_dtype_name(config->dtype)
                                                       : krs_model_main_type(engine->model);
    (void)snprintf(info->dtype, sizeof(info->dtype), "%s", name);
    for (char *c = info->dtype; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
}

static void describe(krs_engine *engine, const krs_engine_options *options)
{
    const krs_model_config *config = krs_model_config_of(engine->model);
    const krs_program *program = krs_model_program(engine->model);
    const krs_model_stats stats = krs_model_stats_of(engine->model);
    krs_model_info *info = &engine->info;
    (void)snprintf(info->family, sizeof(info->family), "%s", config->model_type);
    name_dtype(engine, info, config);
    info->n_parameters = stats.n_parameters;
    info->file_bytes = stats.file_bytes;
    info->created_unix_s = krs_os_wall_ns() / KRS_NS_PER_S;
    info->vocab = (uint32_t)config->vocab;
    info->hidden =
        program->hidden == KRS_NO_SLOT ? 0 : (uint32_t)program->slots[program->hidden].width;
    info->bos = config->bos_id >= 0 ? (uint32_t)config->bos_id : UINT32_MAX;
    info->eos = engine->n_eos > 0 ? engine->eos[0] : UINT32_MAX;
    info->tokens_hash = krs_tokenizer_fingerprint(engine->tokenizer);
    info->specials_hash = krs_tokenizer_special_fingerprint(engine->tokenizer);
    info->has_draft = options->draft_dir != NULL;
    info->has_chat_template = engine->chat != NULL;
    (void)snprintf(info->reply_format, sizeof(info->reply_format), "%s",
                   krs_reply_format_name(engine->reply.format));
    (void)snprintf(info->reply_reasoning, sizeof(info->reply_reasoning), "%s",
                   krs_reply_reasoning_name(engine->reply.reasoning));
    info->can_generate = program->logits != KRS_NO_SLOT;
}

/* What answers under guidance need. */
static krs_status load_guides(krs_engine *engine, krs_error *err)
{
    if (!engine->info.can_generate) {
        return KRS_OK;
    }
    const uint32_t spoken = krs_tokenizer_vocab_size(engine->tokenizer);
    const krs_guides_options options = {
        .tokenizer = engine->tokenizer,
        .vocab = spoken < engine->info.vocab ? spoken : engine->info.vocab,
        .eos = engine->eos,
        .n_eos = engine->n_eos,
        .metrics = engine->metrics,
    };
    krs_status status = krs_guides_new(&options, engine->alloc, &engine->guides, err);
    if (status == KRS_OK) {
        status = krs_encoder_new(engine->tokenizer, &engine->forced_encoder, err);
    }
    for (uint32_t i = 0; status == KRS_OK && i < engine->n_prep_threads; i++) {
        status =
            krs_encoder_new(engine->tokenizer, &engine->encoders[engine->n_prep_threads + i], err);
    }
    return status;
}

static krs_status load_model(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_model_options model_options = KRS_MODEL_OPTIONS_INIT;
    model_options.map_mode = options->map_mode;
    model_options.context_tokens = options->max_context_tokens;
    krs_status status =
        krs_model_open(options->model_dir, &model_options, engine->alloc, &engine->model, err);
    if (status == KRS_OK) {
        status = load_defaults(engine, options->model_dir, err);
    }
    if (status == KRS_OK) {
        status = load_text(engine, options, err);
    }
    if (status == KRS_OK) {
        status = load_pooling(engine, options->model_dir, err);
    }
    if (status == KRS_OK) {
        status = name_model(&engine->info, options, err);
    }
    if (status == KRS_OK) {
        describe(engine, options);
        status = krs_engine_load_speculation(engine, options, err);
    }
    if (status == KRS_OK) {
        status = load_guides(engine, err);
    }
    return status;
}

static krs_status load_device(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_backend_options backend_options = KRS_BACKEND_OPTIONS_INIT;
    backend_options.n_threads = options->n_threads;
    backend_options.is_exact = options->is_exact;
    backend_options.isa = options->isa;
    backend_options.is_pinned = options->is_pinned;
    krs_status status =
        krs_backend_open(options->device, &backend_options, engine->alloc, &engine->backend, err);
    if (status == KRS_OK) {
        status = krs_engine_make_plan(engine, options, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    engine->info.context_tokens = engine->plan.context_tokens;
    const krs_exec_limits limits = krs_engine_exec_limits(engine, engine->plan.n_kv_blocks);
    status = krs_exec_new(engine->backend, krs_model_program(engine->model), &limits, &engine->exec,
                          err);
    return status == KRS_OK && engine->draft
               ? krs_draft_start(engine->draft, krs_os_random_u64(), err)
               : status;
}

/* The books of what the device holds: blocks, states of recurrent layers, and what is in them. */
static krs_status make_books(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_status status =
        krs_kv_pool_new(engine->plan.n_kv_blocks, engine->alloc, &engine->pool, err);
    if (status == KRS_OK && krs_model_program(engine->model)->state_floats > 0) {
        const krs_exec_limits exec = krs_engine_exec_limits(engine, engine->plan.n_kv_blocks);
        status = krs_kv_state_new(exec.n_state_slots, engine->alloc, &engine->states, err);
    }
    const bool is_kept = !krs_model_program(engine->model)->is_whole;
    if (status == KRS_OK && is_kept && !options->has_no_prefix_cache) {
        const krs_kv_prefix_options prefix = {.block_tokens = KRS_KV_BLOCK_TOKENS,
                                              .seed = krs_os_random_u64(),
                                              .states = engine->states};
        status = krs_kv_prefix_new(engine->pool, &prefix, engine->alloc, &engine->prefix, err);
    }
    return status;
}

static krs_status make_sched(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_sched_limits *limits = &engine->limits;
    limits->max_seq_tokens = engine->plan.context_tokens;
    limits->max_waiting_tokens = options->max_waiting_tokens
                                     ? options->max_waiting_tokens
                                     : (uint64_t)WAITING_CONTEXTS * engine->plan.context_tokens;
    engine->prompt_rows = limits->max_step_tokens;
    const krs_status status =
        krs_sched_new(limits, engine->pool, engine->prefix, engine->alloc, &engine->sched, err);
    return status == KRS_OK && engine->states
               ? krs_sched_use_states(engine->sched, engine->states, err)
               : status;
}

/* The rooms of policy and choice. */
static krs_status make_rooms(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_status status = make_books(engine, options, err);
    if (status == KRS_OK) {
        status = make_sched(engine, options, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    /* Rows of padded vocabularies have logits no tokenizer can speak: they are not candidates. */
    const uint32_t spoken = krs_tokenizer_vocab_size(engine->tokenizer);
    const uint32_t vocab = spoken < engine->info.vocab ? spoken : engine->info.vocab;
    status = krs_sampler_new(vocab, engine->alloc, &engine->sampler);
    return status == KRS_OK ? status : krs_fail(err, status, "sampler: out of memory");
}

static krs_status make_step_room(krs_engine *engine)
{
    const krs_alloc *alloc = engine->alloc;
    const uint32_t max_seqs = engine->limits.max_running;
    const uint32_t max_rows = engine->limits.max_step_tokens;
    krs_step_room *step = &engine->step;
    step->tokens = krs_alloc_array(alloc, max_rows, sizeof(*step->tokens));
    step->seqs = krs_alloc_array(alloc, max_seqs, sizeof(*step->seqs));
    step->logit_rows =
        krs_alloc_array(alloc, krs_engine_max_logit_rows(engine), sizeof(*step->logit_rows));
    step->hidden_rows = krs_alloc_array(alloc, max_rows, sizeof(*step->hidden_rows));
    step->copies = krs_alloc_array(alloc, 2 * (size_t)max_seqs, sizeof(*step->copies));
    const bool has_rows = step->tokens && step->logit_rows && step->hidden_rows;
    return has_rows && step->seqs && step->copies ? KRS_OK : KRS_ENOMEM;
}

static krs_status make_tables(krs_engine *engine, uint32_t n_streams)
{
    const krs_alloc *alloc = engine->alloc;
    krs_outbox *outbox = &engine->outbox;
    outbox->max = n_streams;
    outbox->events = krs_alloc_array(alloc, n_streams, sizeof(*outbox->events));
    outbox->grouped = krs_alloc_array(alloc, n_streams, sizeof(*outbox->grouped));
    outbox->streams = krs_alloc_array(alloc, n_streams, sizeof(krs_stream *));
    engine->by_slot = krs_alloc_array(alloc, n_streams, sizeof(krs_stream *));
    const bool has_outbox = outbox->events && outbox->grouped && outbox->streams;
    if (!has_outbox || !engine->by_slot) {
        return KRS_ENOMEM;
    }
    for (uint32_t i = 0; i < n_streams; i++) {
        engine->by_slot[i] = NULL;
    }
    return make_step_room(engine);
}

static krs_status make_queues(krs_engine *engine, uint32_t n_streams)
{
    krs_status status = krs_controls_init(&engine->controls, n_streams, engine->alloc);
    if (status == KRS_OK) {
        status = krs_os_queue_new(n_streams, engine->alloc, &engine->prep_queue);
    }
    if (status == KRS_OK) {
        status = krs_os_queue_new(n_streams, engine->alloc, &engine->form_queue);
    }
    if (status == KRS_OK) {
        /* Each stream opened and home, and a wake. */
        status = krs_os_queue_new(2 * n_streams + 1, engine->alloc, &engine->inbox);
    }
    return status;
}

/* A step of a model whose texts are one step each holds the longest. */
static void fit_step(krs_engine *engine, const krs_engine_options *options)
{
    const krs_program *program = krs_model_program(engine->model);
    if (!program->is_whole || options->max_step_tokens != 0) {
        return;
    }
    const uint64_t asked = options->max_context_tokens;
    uint64_t n = asked ? asked : (uint64_t)program->max_positions;
    n = n < KRS_EXEC_MAX_ROWS ? n : KRS_EXEC_MAX_ROWS;
    if (n > engine->limits.max_step_tokens) {
        engine->limits.max_step_tokens = (uint32_t)n;
    }
}

krs_status krs_engine_load(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_status status = check_options(options, err);
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t step_tokens =
        options->max_step_tokens ? options->max_step_tokens : KRS_ENGINE_STEP_TOKENS;
    engine->metrics = options->metrics;
    engine->bus = options->bus;
    engine->log = options->log;
    engine->max_waiting = options->max_waiting;
    engine->n_prep_threads = options->n_prep_threads;
    engine->away_deadline_ns = UINT64_MAX;
    engine->limits = (krs_sched_limits){
        .max_running = options->max_seqs,
        /* Preempted sequences come back into the queue beside the full house that may wait. */
        .max_waiting = options->max_waiting + options->max_seqs,
        /* A parked stream holds host memory only, as much as one that waits. */
        .max_parked = options->max_waiting,
        .max_tenants = KRS_MAX_TENANTS,
        .max_step_tokens = step_tokens > options->max_seqs ? step_tokens : options->max_seqs,
        .block_tokens = KRS_KV_BLOCK_TOKENS,
    };
    status = load_model(engine, options, err);
    if (status == KRS_OK) {
        fit_step(engine, options);
        status = load_device(engine, options, err);
    }
    if (status == KRS_OK) {
        status = make_rooms(engine, options, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    const uint32_t n_streams = krs_engine_max_streams(engine);
    status = make_tables(engine, n_streams);
    if (status == KRS_OK) {
        status = make_queues(engine, n_streams);
    }
    return status == KRS_OK ? status : krs_fail(err, status, "engine: out of memory");
}

void krs_engine_unload(krs_engine *engine)
{
    const krs_alloc *alloc = engine->alloc;
    krs_os_queue_free(engine->inbox);
    krs_os_queue_free(engine->form_queue);
    krs_os_queue_free(engine->prep_queue);
    krs_controls_deinit(&engine->controls);
    krs_alloc_free(alloc, engine->by_slot);
    krs_alloc_free(alloc, engine->outbox.streams);
    krs_alloc_free(alloc, engine->outbox.grouped);
    krs_alloc_free(alloc, engine->outbox.events);
    krs_alloc_free(alloc, engine->step.copies);
    krs_alloc_free(alloc, engine->step.hidden_rows);
    krs_alloc_free(alloc, engine->step.logit_rows);
    krs_alloc_free(alloc, engine->step.seqs);
    krs_alloc_free(alloc, engine->step.tokens);
    krs_sampler_free(engine->sampler);
    krs_sched_free(engine->sched);
    krs_kv_prefix_free(engine->prefix);
    krs_kv_state_free(engine->states);
    krs_kv_pool_free(engine->pool);
    krs_exec_free(engine->exec);
    krs_draft_close(engine->draft);
    krs_backend_close(engine->backend);
    for (uint32_t i = 0; i < 2 * KRS_ENGINE_MAX_PREP_THREADS; i++) {
        krs_encoder_free(engine->encoders[i]);
    }
    krs_encoder_free(engine->forced_encoder);
    krs_guides_free(engine->guides);
    krs_chat_template_free(engine->chat);
    krs_tokenizer_free(engine->tokenizer);
    krs_model_close(engine->model);
}
