/* engine/draft_step.c - the passes of a draft model: first what each sequence lacks, then token after token.
 *
 * All sequences go through a pass together. Those that want fewer tokens leave it earlier.
 *
 * Thread: engine thread.  Memory: the draft's arrays, none taken here. */
#include "base/check.h"
#include "engine/draft.h"
#include "os/clock.h"

/* Rows of a job in this pass: all it lacks, or the token it proposed last. */
static uint32_t rows_of(const krs_draft_job *job, uint32_t pass)
{
    if (pass == 0) {
        return job->n_tokens - job->lane->n_computed;
    }
    return pass < job->n_draft ? 1 : 0;
}

static krs_step build(krs_draft *draft, const krs_draft_job *jobs, uint32_t n_jobs, uint32_t pass)
{
    krs_step step = {.tokens = draft->tokens, .seqs = draft->seqs, .logit_rows = draft->logit_rows};
    for (uint32_t i = 0; i < n_jobs; i++) {
        const krs_draft_job *job = &jobs[i];
        const uint32_t n_past = job->lane->n_computed;
        const uint32_t n_left = draft->limits.max_rows - step.n_rows;
        const uint32_t n_all = rows_of(job, pass);
        const uint32_t n_rows = n_all < n_left ? n_all : n_left;
        if (n_rows == 0) {
            continue;
        }
        memcpy(draft->tokens + step.n_rows, job->tokens + n_past, n_rows * sizeof(*job->tokens));
        draft->seqs[step.n_seqs++] = (krs_step_seq){.row_begin = step.n_rows,
                                                    .n_rows = n_rows,
                                                    .n_past = n_past,
                                                    .n_blocks = job->lane->table.n_blocks,
                                                    .blocks = job->lane->table.blocks};
        step.n_rows += n_rows;
        job->lane->n_computed += n_rows;
        if (job->n_draft > pass) {
            KRS_CHECK(n_rows == n_all);
            draft->logit_rows[step.n_logit_rows++] = step.n_rows - 1;
        }
    }
    return step;
}

/* What the large model would draw from; false: the grammar cannot be followed. */
static bool lay_mask(const krs_draft_job *job, krs_sample_input *input)
{
    return !job->guided ||
           krs_guided_mask(job->guided, &input->allowed, &input->n_allowed_words) == KRS_OK;
}

/* The token the large model would draw from these logits. Log probabilities are nobody's business here. */
static uint32_t draw(krs_sampler *sampler, krs_draft_job *job, uint32_t pass, const float *logits)
{
    krs_sampling sampling = *job->sampling;
    sampling.n_logprobs = -1;
    const uint32_t n_tokens = job->n_tokens + pass;
    const bool may_stop = n_tokens - job->n_prompt >= job->min_tokens;
    krs_sample_input input = {.logits = logits,
                              .sampling = &sampling,
                              .tokens = job->tokens,
                              .n_prompt = job->n_prompt,
                              .n_tokens = n_tokens,
                              .banned = job->banned,
                              .n_banned = may_stop ? 0 : job->n_banned};
    krs_sample sample;
    if (!lay_mask(job, &input) || krs_sampler_pick(sampler, &input, &sample) != KRS_OK) {
        return 0;
    }
    if (job->guided && krs_matcher_accept_token(job->guided->matcher, sample.token) == KRS_OK) {
        job->n_guided++;
    }
    return sample.token;
}

/* Matchers back to where the known tokens end. */
static void take_back(krs_draft_job *jobs, uint32_t n_jobs)
{
    for (uint32_t i = 0; i < n_jobs; i++) {
        if (jobs[i].guided) {
            krs_matcher_undo(jobs[i].guided->matcher, jobs[i].n_guided);
            jobs[i].n_guided = 0;
        }
    }
}

static krs_status run_pass(krs_draft *draft, const krs_step *step, krs_step_result *result,
                           krs_error *err)
{
    const uint64_t begin_ns = krs_os_now_ns();
    krs_status status = krs_exec_submit(draft->exec, step, err);
    if (status == KRS_OK) {
        status = krs_exec_collect(draft->exec, result, err);
    }
    if (status == KRS_OK && step->n_rows <= KRS_DRAFT_MAX_SEQS) {
        krs_pace_cost_learn(&draft->cost, step->n_rows, krs_os_now_ns() - begin_ns);
    }
    return status == KRS_OK ? status : krs_error_wrap(err, status, "draft");
}

static krs_status run_passes(krs_draft *draft, krs_sampler *sampler, krs_draft_job *jobs,
                             uint32_t n_jobs, krs_error *err)
{
    for (uint32_t pass = 0;; pass++) {
        const krs_step step = build(draft, jobs, n_jobs, pass);
        if (step.n_rows == 0) {
            return KRS_OK;
        }
        krs_step_result result = {0};
        const krs_status status = run_pass(draft, &step, &result, err);
        if (status != KRS_OK) {
            return status;
        }
        const float *logits = result.logits;
        for (uint32_t i = 0; i < n_jobs; i++) {
            if (jobs[i].n_draft > pass) {
                jobs[i].tokens[jobs[i].n_tokens + pass] = draw(sampler, &jobs[i], pass, logits);
                logits += draft->vocab;
            }
        }
    }
}

krs_status krs_draft_run(krs_draft *draft, krs_sampler *sampler, krs_draft_job *jobs,
                         uint32_t n_jobs, krs_error *err)
{
    KRS_CHECK(n_jobs <= KRS_DRAFT_MAX_SEQS);
    const krs_status status = run_passes(draft, sampler, jobs, n_jobs, err);
    take_back(jobs, n_jobs);
    return status;
}
