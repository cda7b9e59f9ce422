/* engine/draft.c - a draft model from its folder to its memory. See draft.h.
 *
 * Thread: open and free, but for _restart.  Memory: from the engine's allocator. */
#include "engine/draft.h"

#include "model/source.h"
#include "text/tokenizer_compare.h"

/* Can it propose at all? */
static krs_status check_program(const krs_program *program, krs_error *err)
{
    if (program->logits == KRS_NO_SLOT) {
        return krs_fail_field(err, KRS_EINVAL, "draft", "draft: gives embeddings, not tokens");
    }
    if (program->state_floats > 0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "draft",
                              "draft: its recurrent layers cannot go back behind a refused token");
    }
    return KRS_OK;
}

static krs_status check_vocabulary(const char *dir, const krs_tokenizer *tokenizer,
                                   const krs_alloc *alloc, krs_error *err)
{
    krs_tokenizer *own = NULL;
    krs_status status = krs_model_source_tokenizer(dir, alloc, &own, err);
    if (status == KRS_OK) {
        status = krs_tokenizer_compare(tokenizer, own, err);
        krs_tokenizer_free(own);
    }
    return status;
}

static double share_of(const krs_model *draft, const krs_model *target)
{
    const uint64_t own = krs_model_stats_of(draft).file_bytes;
    const uint64_t other = krs_model_stats_of(target).file_bytes;
    return other > own ? (double)own / (double)other : 1.0;
}

static krs_status take_arrays(krs_draft *draft)
{
    const krs_alloc *alloc = draft->alloc;
    draft->tokens = krs_alloc_array(alloc, KRS_DRAFT_MAX_ROWS, sizeof(*draft->tokens));
    draft->seqs = krs_alloc_array(alloc, KRS_DRAFT_MAX_SEQS, sizeof(*draft->seqs));
    draft->logit_rows = krs_alloc_array(alloc, KRS_DRAFT_MAX_SEQS, sizeof(*draft->logit_rows));
    return draft->tokens && draft->seqs && draft->logit_rows ? KRS_OK : KRS_ENOMEM;
}

static krs_status load(krs_draft *draft, const char *dir, krs_os_map_mode map_mode,
                       const krs_tokenizer *tokenizer, krs_error *err)
{
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.map_mode = map_mode;
    krs_status status = krs_model_open(dir, &options, draft->alloc, &draft->model, err);
    if (status == KRS_OK) {
        status = check_program(krs_model_program(draft->model), err);
    }
    if (status == KRS_OK) {
        status = check_vocabulary(dir, tokenizer, draft->alloc, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    const krs_program *program = krs_model_program(draft->model);
    draft->vocab = (uint32_t)krs_model_config_of(draft->model)->vocab;
    draft->max_tokens = (uint32_t)program->max_positions;
    status = take_arrays(draft);
    return status == KRS_OK ? status : krs_fail(err, status, "out of memory");
}

krs_status krs_draft_open(const char *dir, krs_os_map_mode map_mode, const krs_model *target,
                          const krs_tokenizer *tokenizer, const krs_alloc *alloc, krs_draft **out,
                          krs_error *err)
{
    *out = NULL;
    krs_draft *draft = krs_alloc_zero(alloc, sizeof(*draft));
    if (!draft) {
        return krs_fail(err, KRS_ENOMEM, "draft: out of memory");
    }
    draft->alloc = alloc;
    const krs_status status = load(draft, dir, map_mode, tokenizer, err);
    if (status != KRS_OK) {
        krs_draft_close(draft);
        return krs_error_wrap(err, status, "draft %.100s", dir);
    }
    draft->share = share_of(draft->model, target);
    *out = draft;
    return KRS_OK;
}

void krs_draft_close(krs_draft *draft)
{
    if (draft) {
        krs_exec_free(draft->exec);
        krs_kv_prefix_free(draft->prefix);
        krs_kv_pool_free(draft->pool);
        krs_alloc_free(draft->alloc, draft->logit_rows);
        krs_alloc_free(draft->alloc, draft->seqs);
        krs_alloc_free(draft->alloc, draft->tokens);
        krs_model_close(draft->model);
        krs_alloc_free(draft->alloc, draft);
    }
}

krs_status krs_draft_plan(krs_draft *draft, krs_backend *backend, krs_dtype kv_dtype,
                          uint32_t n_kv_blocks, krs_exec_plan *out, krs_error *err)
{
    draft->backend = backend;
    draft->limits = (krs_exec_limits){
        .max_rows = KRS_DRAFT_MAX_ROWS,
        .max_seqs = KRS_DRAFT_MAX_SEQS,
        .max_logit_rows = KRS_DRAFT_MAX_SEQS,
        .n_kv_blocks = n_kv_blocks,
        .kv_dtype = kv_dtype,
    };
    const krs_status status =
        krs_exec_plan_of(backend, krs_model_program(draft->model), &draft->limits, out, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "draft");
}

static krs_status open_exec(krs_draft *draft, krs_error *err)
{
    const krs_status status = krs_exec_new(draft->backend, krs_model_program(draft->model),
                                           &draft->limits, &draft->exec, err);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "draft");
}

krs_status krs_draft_start(krs_draft *draft, uint64_t seed, krs_error *err)
{
    krs_status status = open_exec(draft, err);
    if (status == KRS_OK) {
        status = krs_kv_pool_new(draft->limits.n_kv_blocks, draft->alloc, &draft->pool, err);
    }
    if (status == KRS_OK) {
        const krs_kv_prefix_options prefix = {.block_tokens = KRS_KV_BLOCK_TOKENS, .seed = seed};
        status = krs_kv_prefix_new(draft->pool, &prefix, draft->alloc, &draft->prefix, err);
    }
    return status;
}

krs_status krs_draft_restart(krs_draft *draft, krs_error *err)
{
    krs_exec_free(draft->exec);
    draft->exec = NULL;
    krs_kv_pool_flush(draft->pool);
    return open_exec(draft, err);
}
