/* engine/memory.c - plan memory before taking it, and say no with the numbers.
 *
 * Weights, copies, scratch and the engine's own tables are fixed by the model and the limits; what the
 * process holds already (the tokenizer, above all) is measured; the KV cache is what can be chosen.
 * Asked-for sizes (context, KV tokens) are kept or refused. Sizes left to us take
 * KRS_ENGINE_AUTO_KV_CONTEXTS full contexts, but at most half of what is free beside the fixed part,
 * because the machine has other things to do; a context left to us shrinks to what that holds.
 *
 * Thread: open.  Memory: none. */
#include "engine/engine_priv.h"
#include "os/cpu.h"

#include <stdio.h>

#define MIB (1024.0 * 1024.0)

krs_exec_limits krs_engine_exec_limits(const krs_engine *engine, uint32_t n_kv_blocks)
{
    return (krs_exec_limits){
        .max_rows = engine->limits.max_step_tokens,
        .max_seqs = engine->limits.max_running,
        .max_logit_rows = engine->info.can_generate ? krs_engine_max_logit_rows(engine) : 0,
        /* A mean is over every row of a text. */
        .max_hidden_rows = engine->info.hidden > 0 ? engine->limits.max_step_tokens : 0,
        .n_kv_blocks = n_kv_blocks,
        .kv_dtype = engine->plan.kv_dtype,
        .n_state_slots = 2 * engine->limits.max_running + KRS_ENGINE_SPARE_STATES,
    };
}

/* The sampler, the step's arrays, the outbox and a request's arrays for every sequence there can be. */
static uint64_t engine_bytes(const krs_engine *engine)
{
    const uint64_t n_streams = krs_engine_max_streams(engine);
    const uint64_t context = engine->plan.context_tokens;
    const uint64_t table_bytes = context / KRS_KV_BLOCK_TOKENS * sizeof(krs_kv_block);
    return krs_sampler_bytes(engine->info.vocab) +
           engine->limits.max_running * (context * sizeof(uint32_t) + table_bytes +
                                         krs_ngram_bytes(engine->plan.context_tokens)) +
           n_streams * (sizeof(krs_stream) + 2 * sizeof(krs_stream_event)) +
           (uint64_t)engine->limits.max_step_tokens * 2 * sizeof(uint32_t);
}

static uint64_t bytes_of(const krs_exec_plan *plan)
{
    return plan->weight_bytes + plan->copied_bytes + plan->kv_bytes + plan->state_bytes +
           plan->scratch_bytes;
}

static krs_status plan_exec(krs_engine *engine, uint32_t n_kv_blocks, krs_error *err)
{
    krs_engine_plan *plan = &engine->plan;
    const krs_exec_limits limits = krs_engine_exec_limits(engine, n_kv_blocks);
    const krs_status status = krs_exec_plan_of(engine->backend, krs_model_program(engine->model),
                                               &limits, &plan->exec, err);
    plan->n_kv_blocks = n_kv_blocks;
    plan->engine_bytes = engine_bytes(engine);
    plan->total_bytes = bytes_of(&plan->exec) + plan->engine_bytes + plan->process_bytes;
    if (status != KRS_OK || !engine->draft) {
        return status;
    }
    const krs_status drafted = krs_draft_plan(engine->draft, engine->backend, plan->kv_dtype,
                                              n_kv_blocks, &plan->draft, err);
    plan->total_bytes += bytes_of(&plan->draft);
    return drafted;
}

void krs_engine_plan_text(const krs_engine_plan *plan, char *out, size_t max_bytes)
{
    (void)snprintf(out, max_bytes,
                   "weights %.1f MiB, copies %.1f MiB, KV %.1f MiB (%llu tokens, context %u), "
                   "states %.1f MiB, scratch %.1f MiB, draft %.1f MiB, engine %.1f MiB, "
                   "process %.1f MiB: %.1f MiB",
                   (double)plan->exec.weight_bytes / MIB, (double)plan->exec.copied_bytes / MIB,
                   (double)plan->exec.kv_bytes / MIB,
                   (unsigned long long)plan->n_kv_blocks * KRS_KV_BLOCK_TOKENS,
                   plan->context_tokens, (double)plan->exec.state_bytes / MIB,
                   (double)plan->exec.scratch_bytes / MIB, (double)bytes_of(&plan->draft) / MIB,
                   (double)plan->engine_bytes / MIB, (double)plan->process_bytes / MIB,
                   (double)plan->total_bytes / MIB);
}

static krs_status refuse(const krs_engine_plan *plan, krs_error *err)
{
    char text[KRS_ERROR_MESSAGE_BYTES];
    krs_engine_plan_text(plan, text, sizeof(text));
    return krs_fail_field(err, KRS_ENOMEM, "memory", "memory: limit %.1f MiB; plan: %s",
                          (double)plan->limit_bytes / MIB, text);
}

/* Blocks the memory holds beside the fixed part; share: of what is free. The plan for one block is in
 * engine->plan. */
static uint64_t blocks_that_fit(const krs_engine_plan *one, double share)
{
    const uint64_t block_bytes = one->exec.kv_bytes + one->draft.kv_bytes;
    const uint64_t fixed_bytes = one->total_bytes - block_bytes;
    if (one->limit_bytes <= fixed_bytes || block_bytes == 0) {
        return 0;
    }
    const double free_bytes = (double)(one->limit_bytes - fixed_bytes) * share;
    const double n = free_bytes / (double)block_bytes;
    return n < (double)KRS_KV_POOL_MAX_BLOCKS ? (uint64_t)n : KRS_KV_POOL_MAX_BLOCKS;
}

/* The cache's size when nobody asked for one; may shrink a context that nobody asked for either. */
static uint64_t choose_blocks(krs_engine *engine, const krs_engine_options *options)
{
    krs_engine_plan *plan = &engine->plan;
    const uint64_t context_blocks = krs_kv_blocks_for(plan->context_tokens, KRS_KV_BLOCK_TOKENS);
    const uint32_t n_contexts = options->max_seqs < KRS_ENGINE_AUTO_KV_CONTEXTS
                                    ? options->max_seqs
                                    : KRS_ENGINE_AUTO_KV_CONTEXTS;
    const uint64_t wanted = context_blocks * n_contexts;
    const uint64_t fit = blocks_that_fit(plan, 0.5);
    if (wanted <= fit) {
        return wanted;
    }
    if (options->max_context_tokens == 0 && context_blocks > fit &&
        fit * KRS_KV_BLOCK_TOKENS >= KRS_ENGINE_MIN_CONTEXT) {
        plan->context_tokens = (uint32_t)(fit * KRS_KV_BLOCK_TOKENS);
        return fit;
    }
    return context_blocks > fit ? context_blocks : fit;
}

static krs_status asked_blocks(const krs_engine *engine, const krs_engine_options *options,
                               uint64_t *out, krs_error *err)
{
    const uint64_t tokens = options->kv_tokens;
    if (tokens < engine->plan.context_tokens && options->max_context_tokens != 0) {
        return krs_fail_field(err, KRS_EINVAL, "kv-tokens",
                              "kv-tokens: %llu, want at least the context of %u",
                              (unsigned long long)tokens, engine->plan.context_tokens);
    }
    *out = tokens / KRS_KV_BLOCK_TOKENS + (tokens % KRS_KV_BLOCK_TOKENS != 0);
    if (*out * KRS_KV_BLOCK_TOKENS < KRS_ENGINE_MIN_CONTEXT || *out > KRS_KV_POOL_MAX_BLOCKS) {
        return krs_fail_field(err, KRS_EINVAL, "kv-tokens", "kv-tokens: %llu, want %u .. %llu",
                              (unsigned long long)tokens, KRS_ENGINE_MIN_CONTEXT,
                              (unsigned long long)KRS_KV_POOL_MAX_BLOCKS * KRS_KV_BLOCK_TOKENS);
    }
    return KRS_OK;
}

/* What the model was made for; where a text is one step, no more than a step holds. */
static int64_t longest_context(const krs_engine *engine)
{
    const krs_program *program = krs_model_program(engine->model);
    const int64_t step = engine->limits.max_step_tokens;
    return program->is_whole && program->max_positions > step ? step : program->max_positions;
}

static krs_status set_context(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    /* As the model was opened: the length asked for, or its own. */
    const int64_t longest = longest_context(engine);
    const uint32_t asked = options->max_context_tokens;
    if (asked != 0 && (asked < KRS_ENGINE_MIN_CONTEXT || (int64_t)asked > longest)) {
        return krs_fail_field(err, KRS_EINVAL, "ctx",
                              "ctx: %u tokens, want %u .. %lld (what the model was made for)",
                              asked, KRS_ENGINE_MIN_CONTEXT, (long long)longest);
    }
    engine->plan.context_tokens = asked ? asked : (uint32_t)longest;
    return KRS_OK;
}

/* Device, limit, context, and the plan of one block: what every choice needs. */
static krs_status start_plan(krs_engine *engine, const krs_engine_options *options, krs_error *err)
{
    krs_engine_plan *plan = &engine->plan;
    (void)snprintf(plan->device, sizeof(plan->device), "%s", krs_backend_describe(engine->backend));
    plan->kv_dtype = options->kv_dtype == KRS_DTYPE_COUNT ? krs_backend_kv_dtype(engine->backend)
                                                          : options->kv_dtype;
    plan->process_bytes = options->process_bytes ? options->process_bytes : krs_os_resident_bytes();
    plan->limit_bytes = options->memory_bytes ? options->memory_bytes : krs_os_memory_bytes();
    if (plan->limit_bytes == 0) {
        plan->limit_bytes = UINT64_MAX;
    }
    const krs_status status = set_context(engine, options, err);
    return status == KRS_OK ? plan_exec(engine, 1, err) : status;
}

/* A whole text leaves with its step and keeps nothing, so blocks cost no memory here and are only the
 * scheduler's way of counting: as many as the texts of one step can take, and one on top for each. */
static uint64_t places_of_step(const krs_engine *engine)
{
    const krs_sched_limits *limits = &engine->limits;
    return krs_kv_blocks_for(limits->max_step_tokens, KRS_KV_BLOCK_TOKENS) +
           2 * (uint64_t)limits->max_running;
}

krs_status krs_engine_make_plan(krs_engine *engine, const krs_engine_options *options,
                                krs_error *err)
{
    krs_engine_plan *plan = &engine->plan;
    krs_status status = start_plan(engine, options, err);
    if (status != KRS_OK) {
        return status;
    }
    uint64_t n_blocks = 0;
    if (krs_model_program(engine->model)->is_whole) {
        n_blocks = places_of_step(engine);
    } else if (options->kv_tokens != 0) {
        status = asked_blocks(engine, options, &n_blocks, err);
    } else {
        n_blocks = choose_blocks(engine, options);
    }
    if (status != KRS_OK) {
        return status;
    }
    n_blocks = n_blocks < KRS_KV_POOL_MAX_BLOCKS ? n_blocks : KRS_KV_POOL_MAX_BLOCKS;
    /* A cache smaller than one context bounds the context. */
    if (n_blocks * KRS_KV_BLOCK_TOKENS < plan->context_tokens) {
        plan->context_tokens = (uint32_t)(n_blocks * KRS_KV_BLOCK_TOKENS);
    }
    status = plan_exec(engine, (uint32_t)n_blocks, err);
    if (status == KRS_OK && plan->total_bytes > plan->limit_bytes) {
        return refuse(plan, err);
    }
    return status;
}
