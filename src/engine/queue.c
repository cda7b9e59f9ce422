/* engine/queue.c - a stream and the scheduler: what the policy is told of a request.
 *
 * Thread: engine thread.  Memory: the sequence's block table, taken by the scheduler. */
#include "engine/engine_priv.h"

/* At the beginning of its answer, which may have forced tokens. */
static krs_status start_guidance(krs_engine *engine, krs_stream *stream)
{
    return krs_guided_is_on(&stream->guided)
               ? krs_guided_start(&stream->guided, engine->forced_encoder, engine->metrics)
               : KRS_OK;
}

krs_status krs_engine_queue(krs_engine *engine, krs_stream *stream)
{
    const krs_request *request = stream->request;
    krs_sched_seq *seq = &stream->seq;
    const bool is_whole = krs_model_program(engine->model)->is_whole;
    seq->is_whole = is_whole;
    seq->tokens = is_whole ? NULL : stream->tokens; /* nothing of it is cached */
    seq->cache_salt = request->cache_salt;
    seq->priority = request->priority;
    seq->tenant = request->tenant;
    seq->is_sampling = stream->embedding.n == 0;
    seq->wants_all = stream->embedding.n > 0 && krs_embedding_wants_all(&stream->embedding);
    const uint32_t weight = request->tenant_weight ? request->tenant_weight : 1;
    krs_status status = start_guidance(engine, stream);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_sched_set_weight(engine->sched, seq->tenant,
                                  weight < KRS_SCHED_MAX_WEIGHT ? weight : KRS_SCHED_MAX_WEIGHT);
    return status == KRS_OK ? krs_sched_add(engine->sched, seq, stream->alloc) : status;
}

void krs_engine_cancel(krs_engine *engine, krs_stream *stream)
{
    krs_sched_cancel(engine->sched, &stream->seq);
}

void krs_engine_grant(krs_engine *engine, krs_stream *stream, uint32_t n_tokens)
{
    const uint32_t before = stream->seq.credit;
    /* The first grant is what makes a stream without a limit limited. */
    const uint64_t sum = (before == KRS_SCHED_UNLIMITED ? 0 : (uint64_t)before) + n_tokens;
    const uint32_t credit = sum < KRS_SCHED_UNLIMITED ? (uint32_t)sum : KRS_SCHED_UNLIMITED - 1;
    if (stream->seq.state == KRS_SCHED_OUT) {
        stream->seq.credit = credit; /* not queued yet; or ended, and then it does not matter */
    } else {
        krs_sched_set_credit(engine->sched, &stream->seq, credit);
    }
}
