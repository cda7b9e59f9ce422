/* engine/advance.c - the results of a step to the streams: hidden states to vectors, logits to tokens,
 * tokens to text and ends.
 *
 * All tokens are chosen first and then told to their streams, so that the time choosing takes is known
 * for two looks at the clock. A stream fails alone when its own row has no token to choose from. One that
 * speculates may be given several tokens: it says them one by one, as if each had come in its own step, and
 * what comes after its end is dropped.
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

/* Choose tokens from the rows of logits, into the streams. */
static void pick_all(krs_engine *engine, const krs_sched_step *plan, const krs_step_result *result)
{
    const uint64_t begin_ns = krs_os_now_ns();
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const krs_sched_item *item = &plan->items[i];
        if (has_logits(item)) {
            krs_stream *stream = (krs_stream *)item->seq;
            const float *logits = result->logits + (size_t)n * engine->info.vocab;
            krs_stream_pick(stream, engine->sampler, logits, engine->info.vocab, item->n_draft);
            engine->round.n_tokens += stream->n_picked;
            n += item->n_wanted;
        }
    }
    KRS_CHECK(n == result->n_logit_rows);
    engine->round.sampling_ns = krs_os_now_ns() - begin_ns;
}

/* n tokens came together: their reader waited for each as long as for all of them, divided. */
static void observe_tokens(krs_engine *engine, krs_stream *stream, uint32_t n, uint64_t now_ns)
{
    if (stream->last_ns == 0) {
        krs_metrics_observe(engine->metrics, KRS_METRIC_ENGINE_FIRST_TOKEN,
                            now_ns - stream->opened_ns);
    } else {
        for (uint32_t i = 0; i < n; i++) {
            krs_metrics_observe(engine->metrics, KRS_METRIC_ENGINE_TOKEN_GAP,
                                (now_ns - stream->last_ns) / n);
        }
    }
    stream->last_ns = now_ns;
}

/* No token could be chosen. */
static void fail_pick(krs_stream *stream)
{
    krs_error error = KRS_ERROR_INIT;
    const char *field = stream->request->guidance.field;
    field = field ? field : "guidance";
    if (!krs_guided_is_on(&stream->guided)) {
        (void)krs_fail(&error, stream->picked,
                       "sampling: no token has a finite logit at position %u", stream->n_tokens);
    } else if (stream->picked == KRS_EFORMAT) {
        (void)krs_fail(&error, stream->picked,
                       "%s: no token that may come has a finite logit at position %u", field,
                       stream->n_tokens);
    } else {
        (void)krs_fail_field(&error, stream->picked, field,
                             "%s: too hard to follow beyond token %u of the answer: %s", field,
                             stream->n_tokens - stream->n_prompt,
                             krs_status_sentence(stream->picked));
    }
    krs_stream_end(stream, KRS_FINISH_ERROR, &error);
}

/* Say what was chosen, up to the end of the answer. Returns how many tokens are shown. */
static uint32_t say(krs_stream *stream, uint32_t *n_said, uint64_t now_ns)
{
    uint32_t n_shown = 0;
    *n_said = 0;
    while (*n_said < stream->n_picked && !stream->is_ended) {
        n_shown += krs_stream_advance(stream, (*n_said)++, now_ns);
    }
    if (stream->picked != KRS_OK && !stream->is_ended) {
        fail_pick(stream);
    }
    return n_shown;
}

static void learn(krs_engine *engine, krs_stream *stream, uint32_t n_proposed, uint32_t n_accepted)
{
    static const krs_metric accepted[] = {
        [KRS_SPECULATION_NGRAM] = KRS_METRIC_SPECULATION_NGRAM_ACCEPTED,
        [KRS_SPECULATION_DRAFT] = KRS_METRIC_SPECULATION_DRAFT_ACCEPTED};
    static const krs_metric rejected[] = {
        [KRS_SPECULATION_NGRAM] = KRS_METRIC_SPECULATION_NGRAM_REJECTED,
        [KRS_SPECULATION_DRAFT] = KRS_METRIC_SPECULATION_DRAFT_REJECTED};
    krs_speculator_learn(&stream->speculator, n_proposed, n_accepted);
    krs_metrics_add(engine->metrics, accepted[stream->speculator.mode], n_accepted);
    krs_metrics_add(engine->metrics, rejected[stream->speculator.mode], n_proposed - n_accepted);
}

static void advance(krs_engine *engine, const krs_sched_item *item, uint64_t now_ns)
{
    krs_stream *stream = (krs_stream *)item->seq;
    uint32_t n_said = 0;
    const uint32_t n_shown = say(stream, &n_said, now_ns);
    if (n_said > 0) {
        observe_tokens(engine, stream, n_said, now_ns);
        krs_sched_append(engine->sched, &stream->seq, n_said);
    }
    if (item->n_draft > 0 && !stream->was_forced) {
        learn(engine, stream, item->n_draft, n_said > 0 ? n_said - 1 : 0);
    }
    if (stream->is_ended) {
        krs_sched_finish(engine->sched, &stream->seq);
    } else {
        krs_engine_speculate(engine, stream);
    }
    krs_engine_post(engine, stream, n_shown);
}

void krs_engine_advance(krs_engine *engine, const krs_sched_step *plan,
                        const krs_step_result *result)
{
    krs_engine_set_pace(engine, plan);
    pick_all(engine, plan, result);
    advance_embeddings(engine, plan, result);
    const uint64_t now_ns = krs_os_now_ns();
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (has_logits(&plan->items[i])) {
            advance(engine, &plan->items[i], now_ns);
        }
    }
}
