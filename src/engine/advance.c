/* engine/advance.c - the results of a step to the streams: hidden states to vectors, logits to tokens,
 * tokens to text and ends.
 *
 * All tokens are chosen first and then told to their streams, so that the time choosing takes is known
 * for two looks at the clock. A stream fails alone when its own row has no token to choose from.
 *
 * Thread: engine thread.  Memory: none. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

/* Rows of an embedding; the last one ends its stream. */
static void advance_embedding(krs_engine *engine, const krs_sched_item *item, const float *hidden)
{
    krs_stream *stream = (krs_stream *)item->seq;
    krs_embedding *embedding = &stream->embedding;
    if (item->n_past == 0 || !krs_embedding_wants_all(embedding)) {
        krs_embedding_begin(embedding);
    }
    for (uint32_t i = 0; i < item->n_wanted; i++) {
        krs_embedding_add(embedding, hidden + (size_t)i * embedding->n);
    }
    if (item->is_last_known) {
        krs_sched_finish(engine->sched, &stream->seq);
        krs_stream_end_embedding(stream);
        krs_engine_post(engine, stream, 0);
    }
}

static void advance_embeddings(krs_engine *engine, const krs_sched_step *plan,
                               const krs_step_result *result)
{
    uint32_t n = 0;
    for (uint32_t i = 0; n < result->n_hidden_rows && i < plan->n_items; i++) {
        const krs_sched_item *item = &plan->items[i];
        if (((const krs_stream *)item->seq)->embedding.n > 0) {
            advance_embedding(engine, item, result->hidden + (size_t)n * engine->info.hidden);
            n += item->n_wanted;
        }
    }
    KRS_CHECK(n == result->n_hidden_rows);
}

/* Does an item end in a row of logits? */
static bool has_logits(const krs_sched_item *item)
{
    return item->n_wanted > 0 && ((const krs_stream *)item->seq)->embedding.n == 0;
}

/* Choose a token for each row of logits, into the streams. */
static void pick_all(krs_engine *engine, const krs_sched_step *plan, const krs_step_result *result)
{
    const uint64_t begin_ns = krs_os_now_ns();
    const float *logits = result->logits;
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (has_logits(&plan->items[i])) {
            krs_stream *stream = (krs_stream *)plan->items[i].seq;
            const krs_sample_input input = krs_stream_sample_input(stream, logits);
            stream->picked = krs_sampler_pick(engine->sampler, &input, &stream->sample);
            logits += engine->info.vocab;
            n++;
        }
    }
    KRS_CHECK(n == result->n_logit_rows);
    engine->round.n_tokens = n;
    engine->round.sampling_ns = krs_os_now_ns() - begin_ns;
}

static void observe_token(krs_engine *engine, krs_stream *stream, uint64_t now_ns)
{
    if (stream->last_ns == 0) {
        krs_metrics_observe(engine->metrics, KRS_METRIC_ENGINE_FIRST_TOKEN,
                            now_ns - stream->opened_ns);
    } else {
        krs_metrics_observe(engine->metrics, KRS_METRIC_ENGINE_TOKEN_GAP, now_ns - stream->last_ns);
    }
    stream->last_ns = now_ns;
}

static void advance(krs_engine *engine, krs_stream *stream, uint64_t now_ns)
{
    uint32_t n_shown = 0;
    if (stream->picked == KRS_OK) {
        observe_token(engine, stream, now_ns);
        n_shown = krs_stream_advance(stream, now_ns);
    } else {
        krs_error error;
        (void)krs_fail(&error, stream->picked,
                       "sampling: no token has a finite logit at position %u", stream->n_tokens);
        krs_stream_end(stream, KRS_FINISH_ERROR, &error);
    }
    if (stream->is_ended) {
        krs_sched_finish(engine->sched, &stream->seq);
    } else {
        krs_sched_append(engine->sched, &stream->seq);
    }
    krs_engine_post(engine, stream, n_shown);
}

void krs_engine_advance(krs_engine *engine, const krs_sched_step *plan,
                        const krs_step_result *result)
{
    pick_all(engine, plan, result);
    advance_embeddings(engine, plan, result);
    const uint64_t now_ns = krs_os_now_ns();
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (has_logits(&plan->items[i])) {
            advance(engine, (krs_stream *)plan->items[i].seq, now_ns);
        }
    }
}
