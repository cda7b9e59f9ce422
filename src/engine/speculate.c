/* engine/speculate.c - see speculate.h. How far a stream's speculation goes in the next step, and what the
 * draft model is asked for.
 *
 * Thread: as speculate.h.  Memory: none after _init. */
#include "base/check.h"
#include "engine/engine_priv.h"

/* Matches shorter than these are of the first, second kind. */
#define SHORT_MATCH 4u
#define LONG_MATCH  8u

krs_status krs_speculator_init(krs_speculator *speculator, krs_speculation asked,
                               uint32_t max_tokens, krs_draft *draft, const krs_alloc *alloc)
{
    *speculator = (krs_speculator){.mode = asked.mode};
    for (uint32_t i = 0; i < KRS_SPECULATOR_KINDS; i++) {
        speculator->paces[i] = krs_pace_start();
    }
    if (asked.mode == KRS_SPECULATION_OFF) {
        return KRS_OK;
    }
    speculator->max_tokens = asked.max_tokens ? asked.max_tokens : KRS_MAX_SPECULATION;
    return asked.mode == KRS_SPECULATION_NGRAM
               ? krs_ngram_new(max_tokens, alloc, &speculator->ngram)
               : krs_lane_new(draft, max_tokens, alloc, &speculator->lane);
}

void krs_speculator_deinit(krs_speculator *speculator)
{
    krs_ngram_free(speculator->ngram);
    krs_lane_free(speculator->lane);
    speculator->ngram = NULL;
    speculator->lane = NULL;
}

void krs_speculator_learn(krs_speculator *speculator, uint32_t n_proposed, uint32_t n_accepted)
{
    krs_pace_learn(&speculator->paces[speculator->kind], n_proposed, n_accepted);
    speculator->n_accepted += n_accepted;
    speculator->n_rejected += n_proposed - n_accepted;
}

/* ---- loading ---- */

/* What a request that does not say gets. */
static krs_speculation_mode default_mode(const krs_engine *engine,
                                         const krs_engine_options *options)
{
    if (!krs_engine_can_speculate(engine)) {
        return KRS_SPECULATION_OFF;
    }
    if (options->speculation.mode != KRS_SPECULATION_MODEL) {
        return options->speculation.mode;
    }
    return options->draft_dir ? KRS_SPECULATION_DRAFT : KRS_SPECULATION_OFF;
}

krs_status krs_engine_load_speculation(krs_engine *engine, const krs_engine_options *options,
                                       krs_error *err)
{
    const bool can_speculate = krs_engine_can_speculate(engine);
    const uint32_t max_rows = engine->limits.max_step_tokens;
    const uint32_t n_rows = max_rows < KRS_ENGINE_DRAFT_ROWS ? max_rows : KRS_ENGINE_DRAFT_ROWS;
    engine->limits.max_draft_rows = can_speculate ? n_rows : 0;
    engine->speculation = options->speculation;
    engine->speculation.mode = default_mode(engine, options);
    if (!options->draft_dir) {
        return options->speculation.mode != KRS_SPECULATION_DRAFT
                   ? KRS_OK
                   : krs_fail_field(err, KRS_EINVAL, "speculation",
                                    "speculation: draft, but no draft model is given");
    }
    if (!can_speculate) {
        return krs_fail_field(
            err, KRS_EUNSUPPORTED, "draft",
            "draft: %.100s cannot speculate: it gives embeddings, or its recurrent "
            "layers cannot go back behind a refused token",
            engine->info.id);
    }
    return krs_draft_open(options->draft_dir, options->map_mode, engine->model, engine->tokenizer,
                          engine->alloc, &engine->draft, err);
}

/* ---- how many ---- */

/* A proposal's last useful token is the one before the answer's last: that one comes with it. */
static uint32_t room_of(const krs_stream *stream)
{
    const uint32_t n_left = stream->max_tokens - stream->n_tokens;
    const uint32_t max = stream->speculator.max_tokens;
    return n_left - 1 < max ? n_left - 1 : max;
}

static uint32_t propose_ngram(const krs_engine *engine, krs_stream *stream)
{
    krs_speculator *s = &stream->speculator;
    krs_ngram_extend(s->ngram, stream->tokens, stream->n_tokens);
    const uint32_t n_matched = krs_ngram_n_matched(s->ngram);
    if (n_matched == 0) {
        return 0;
    }
    s->kind = n_matched < SHORT_MATCH ? 0 : n_matched < LONG_MATCH ? 1 : 2;
    const uint32_t n = krs_pace_length(&s->paces[s->kind], &engine->pace, room_of(stream));
    if (n > 0) {
        krs_ngram_propose(s->ngram, stream->tokens, n, stream->tokens + stream->n_tokens);
    }
    return n;
}

/* What a token of the draft costs beside its row, shared by who had one in the last step. */
static double draft_cost(const krs_engine *engine)
{
    const double own = krs_pace_cost_one(&engine->draft->cost);
    const double other = krs_pace_cost_one(&engine->cost);
    const double share = own > 0.0 && other > 0.0 ? own / other : engine->draft->share;
    return share / (engine->round.n_drafting > 1 ? engine->round.n_drafting : 1);
}

/* Streams that have lost their places give theirs with the draft, once a round. */
static bool reclaim_lanes(krs_engine *engine)
{
    if (engine->round.has_reclaimed) {
        return false;
    }
    engine->round.has_reclaimed = true;
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        if (stream->speculator.lane && stream->seq.state != KRS_SCHED_RUNNING) {
            krs_lane_release(stream->speculator.lane);
        }
    }
    return true;
}

/* As room_of, and as far as the draft's own context goes. */
static uint32_t draft_room(const krs_engine *engine, const krs_stream *stream)
{
    const uint32_t max_tokens = engine->draft->max_tokens;
    const uint32_t n_left = stream->n_tokens < max_tokens ? max_tokens - stream->n_tokens : 0;
    const uint32_t room = room_of(stream);
    return room < n_left ? room : n_left;
}

/* Blocks of the draft for n tokens more; streams without a place give way. */
static bool reserve_lane(krs_engine *engine, krs_stream *stream, uint32_t n)
{
    krs_lane *lane = stream->speculator.lane;
    const uint64_t salt = stream->request->cache_salt;
    krs_status status = krs_lane_reserve(lane, salt, stream->tokens, stream->n_tokens, n);
    if (status != KRS_OK && reclaim_lanes(engine)) {
        status = krs_lane_reserve(lane, salt, stream->tokens, stream->n_tokens, n);
    }
    return status == KRS_OK;
}

static uint32_t propose_draft(krs_engine *engine, krs_stream *stream)
{
    krs_speculator *s = &stream->speculator;
    const uint32_t room = draft_room(engine, stream);
    krs_pace_step step = engine->pace;
    step.row += draft_cost(engine);
    uint32_t n = s->lane->is_behind && room > 0 ? 1 : krs_pace_length(&s->paces[0], &step, room);
    s->lane->is_behind = false;
    if (n > 0 && !reserve_lane(engine, stream, n)) {
        n = 0;
    }
    if (n > 0 && stream->n_tokens - s->lane->n_computed > KRS_DRAFT_MAX_LAG) {
        s->lane->is_behind = true;
        n = 0;
    }
    return n;
}

/* Forced tokens behind the known ones: no guess, but rows all the same. */
static bool propose_forced(krs_stream *stream)
{
    const krs_guided *guided = &stream->guided;
    const uint32_t n_left = stream->max_tokens - stream->n_tokens;
    stream->was_forced = guided->n_forced > 0;
    stream->seq.is_draft_sure =
        stream->was_forced && stream->request->sampling.n_logprobs < 0; /* which need its row */
    if (stream->was_forced) {
        const uint32_t n = guided->n_forced < n_left ? guided->n_forced : n_left - 1;
        memcpy(stream->tokens + stream->n_tokens, guided->forced, n * sizeof(*guided->forced));
        stream->seq.n_draft = n;
    }
    return stream->was_forced;
}

/* Guesses that the grammar refuses get no rows. */
static void check_guesses(krs_stream *stream)
{
    if (krs_guided_is_on(&stream->guided) && stream->speculator.mode == KRS_SPECULATION_NGRAM) {
        stream->seq.n_draft = krs_guided_check(&stream->guided, stream->tokens + stream->n_tokens,
                                               stream->seq.n_draft);
    }
}

static void guess(krs_engine *engine, krs_stream *stream)
{
    switch (stream->speculator.mode) {
    case KRS_SPECULATION_NGRAM:
        stream->seq.n_draft = propose_ngram(engine, stream);
        break;
    case KRS_SPECULATION_DRAFT:
        stream->seq.n_draft = propose_draft(engine, stream);
        break;
    default:
        break;
    }
}

void krs_engine_speculate(krs_engine *engine, krs_stream *stream)
{
    if (!propose_forced(stream)) {
        guess(engine, stream);
        check_guesses(stream);
    }
}

/* Rows that were no proposals: what a proposal would slow down. */
void krs_engine_set_pace(krs_engine *engine, const krs_sched_step *plan)
{
    const double row = krs_pace_cost_row(&engine->cost);
    const double n_rows = plan->n_rows - plan->n_drafts;
    engine->pace =
        (krs_pace_step){.base = 1.0 - row + row * n_rows, .row = row, .n_tokens = n_rows};
}

/* ---- the draft's part of a step ---- */

static krs_draft_job job_of(krs_stream *stream, uint32_t n_draft)
{
    return (krs_draft_job){.lane = stream->speculator.lane,
                           .tokens = stream->tokens,
                           .sampling = &stream->request->sampling,
                           .banned = stream->stops,
                           .n_banned = stream->n_stops,
                           .min_tokens = stream->request->stopping.min_tokens,
                           .guided = krs_guided_is_on(&stream->guided) ? &stream->guided : NULL,
                           .n_prompt = stream->n_prompt,
                           .n_tokens = stream->n_tokens,
                           .n_draft = n_draft};
}

/* Have rows been given for tokens that the draft is to write? */
static bool wants_guesses(const krs_stream *stream, const krs_sched_item *item)
{
    return stream->speculator.lane && item->n_draft > 0 && !stream->was_forced;
}

krs_status krs_engine_draft(krs_engine *engine, const krs_sched_step *plan, krs_error *err)
{
    krs_draft_job jobs[KRS_DRAFT_MAX_SEQS];
    uint32_t n = 0;
    if (!engine->draft) {
        return KRS_OK;
    }
    for (uint32_t i = 0; i < plan->n_items && n < KRS_DRAFT_MAX_SEQS; i++) {
        krs_stream *stream = (krs_stream *)plan->items[i].seq;
        if (wants_guesses(stream, &plan->items[i])) {
            jobs[n++] = job_of(stream, plan->items[i].n_draft);
        }
    }
    engine->round.n_drafting = n;
    /* Behind those, so that only these are cut where a pass is full. */
    for (uint32_t i = 0; i < plan->n_items && n < KRS_DRAFT_MAX_SEQS; i++) {
        krs_stream *stream = (krs_stream *)plan->items[i].seq;
        if (stream->speculator.lane && stream->speculator.lane->is_behind) {
            jobs[n++] = job_of(stream, 0);
        }
    }
    return krs_draft_run(engine->draft, engine->sampler, jobs, n, err);
}
