/* support/storm_weather.h - storms over one model: each of the 64 requests of storm.h alone, then all at once under
 * random limits, some of them with speculation, and what must be equal. A file of tests says which models, and how many storms of each.
 *
 * KRS_STORM_SEEDS: storms of each model, instead of the file's own number. KRS_STORM_FIRST: the first seed, to see one
 * again. KRS_STORM_TEST: the tests to run, a pattern with * and ?. KRS_TEST_DEVICE: the device;
 * KRS_ISA: its instruction set.
 *
 * Thread: the test's own, beside the engine's.  Memory: fixed. */
#pragma once

#include "support/storm.h"

#define ENOUGH_SEEDS   10 /* so many storms have everything in them */
#define WAIT_NS        (2 * KRS_NS_PER_MS)
#define MAX_EVENTS_GAP 40 /* between two arrivals, in events */

/* A folder and how its engine keeps keys and values. */
typedef struct subject {
    const char *dir;
    krs_dtype kv_dtype; /* KRS_DTYPE_COUNT: the device's choice */
    const char *draft;  /* a folder, or NULL */
} subject;

/* One of the 64 or a decoy, in the order they come. */
typedef struct arrival {
    uint32_t index; /* of the request it is, or resembles */
    storm_answer *answer;
} arrival;

typedef struct weather {
    uint64_t n_preempted;
    uint64_t n_cached;
    uint64_t n_cancelled;
    uint64_t n_paused;
    uint64_t n_accepted; /* proposals of speculation */
    uint64_t n_rejected;
} weather;

static inline uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static inline krs_engine_options options_of(const subject *model)
{
    const char *device = getenv("KRS_TEST_DEVICE");
    krs_engine_options options = KRS_ENGINE_OPTIONS_INIT;
    options.model_dir = model->dir;
    options.kv_dtype = model->kv_dtype;
    options.device = device ? device : "cpu";
    options.isa = getenv("KRS_ISA");
    options.n_threads = 1;
    options.max_context_tokens = STORM_CONTEXT;
    options.max_seqs = 1;
    options.max_waiting = STORM_REQUESTS + STORM_DECOYS;
    options.max_waiting_tokens = (uint64_t)options.max_waiting * STORM_CONTEXT;
    return options;
}

static inline void wait_ended(storm *s, uint32_t n)
{
    krs_os_mutex_lock(s->lock);
    while (s->n_ended < n) {
        krs_os_cond_wait(s->changed, s->lock);
    }
    krs_os_mutex_unlock(s->lock);
}

/* Each request in an empty engine's company of one, with nothing to find in a cache. */
static inline void answer_alone(const subject *model, storm *s)
{
    krs_engine_options options = options_of(model);
    options.has_no_prefix_cache = true;
    memset(s, 0, sizeof(*s));
    storm_open(s, &options);
    for (uint32_t i = 0; i < STORM_REQUESTS; i++) {
        storm_ask(s, storm_request(i), &s->answers[i]);
        wait_ended(s, i + 1);
        assert_int_equal(s->answers[i].said.status, KRS_OK);
    }
    storm_close(s);
}

static inline krs_engine_options random_options(const subject *model, uint64_t *random)
{
    krs_engine_options options = options_of(model);
    options.max_seqs = storm_between(random, 2, 24);
    options.max_step_tokens = options.max_seqs + storm_between(random, 0, 96);
    options.kv_tokens = STORM_CONTEXT + storm_between(random, 0, 1536);
    options.n_prep_threads = storm_between(random, 1, 3);
    options.n_threads = (int32_t)storm_between(random, 1, 2);
    options.has_no_prefix_cache = storm_between(random, 0, 7) == 0;
    options.draft_dir = model->draft;
    options.speculation.mode = KRS_SPECULATION_NGRAM;
    return options;
}

/* All requests and decoys in random order. */
static inline uint32_t shuffle(storm *s, arrival *order)
{
    const uint32_t n = STORM_REQUESTS + STORM_DECOYS;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t index =
            i < STORM_REQUESTS ? i : storm_between(&s->random, 0, STORM_REQUESTS - 1);
        order[i] = (arrival){index, &s->answers[i]};
        s->answers[i].is_decoy = i >= STORM_REQUESTS;
    }
    for (uint32_t i = n - 1; i > 0; i--) {
        const uint32_t j = storm_between(&s->random, 0, i);
        const arrival t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    return n;
}

/* Whose answer does not matter: it takes room, steps and blocks, and goes away. */
static inline void make_decoy(storm *s, krs_request *r, storm_answer *answer)
{
    r->stopping.max_tokens = 200;
    r->stopping.is_eos_ignored = true;
    r->sampling.seed = storm_random(&s->random);
    const uint32_t mood = storm_between(&s->random, 0, 3);
    answer->cancel_at = mood == 0 ? 0 : storm_between(&s->random, 1, 30);
    if (mood == 3 && r->task == KRS_TASK_GENERATE) { /* never reads: paused, then parked */
        r->credit = storm_between(&s->random, 0, 5);
        answer->cancel_at = UINT32_MAX;
    }
}

/* One of three does not, the others as the model was loaded or as they say themselves. */
static inline void speculate(storm *s, krs_request *r)
{
    const uint32_t last = s->has_draft ? KRS_SPECULATION_DRAFT : KRS_SPECULATION_OFF;
    r->speculation.mode = (krs_speculation_mode)storm_between(&s->random, 0, last);
    r->speculation.max_tokens = storm_between(&s->random, 0, KRS_MAX_SPECULATION);
}

static inline void arrive(storm *s, const arrival *who)
{
    krs_request *r = storm_request(who->index);
    r->tenant = storm_between(&s->random, 0, 3);
    r->priority =
        (krs_priority)storm_between(&s->random, KRS_PRIORITY_URGENT, KRS_PRIORITY_BACKGROUND);
    r->cache_salt = storm_between(&s->random, 0, 7) == 0;
    speculate(s, r);
    if (who->answer->is_decoy) {
        make_decoy(s, r, who->answer);
    } else if (r->task == KRS_TASK_GENERATE && storm_between(&s->random, 0, 3) == 0) {
        r->credit = storm_between(&s->random, 0, 4);
    }
    storm_ask(s, r, who->answer);
}

/* What the storm's thread owes a stream; decided under the lock, done without it. */
typedef struct duty {
    uint64_t id;
    uint32_t n_grant; /* 0: cancel */
} duty;

static inline uint32_t find_duties(storm *s, const arrival *order, uint32_t n_arrived, duty *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_arrived; i++) {
        storm_answer *a = order[i].answer;
        if (a->n_ends > 0 || a->is_cancelled) {
            continue;
        }
        if (a->is_decoy && (a->n_heard >= a->cancel_at)) {
            a->is_cancelled = true;
            out[n++] = (duty){a->id, 0};
        } else if (!a->is_decoy && a->n_granted <= a->n_heard &&
                   storm_between(&s->random, 0, 1) == 0) {
            const uint32_t n_grant = storm_between(&s->random, 1, 8);
            a->n_granted += n_grant;
            out[n++] = (duty){a->id, n_grant};
        }
    }
    return n;
}

static inline void do_duties(storm *s, const duty *duties, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (duties[i].n_grant > 0) {
            krs_runtime_grant(s->runtime, duties[i].id, duties[i].n_grant);
        } else {
            krs_runtime_cancel(s->runtime, duties[i].id);
        }
    }
}

/* Until every request has its answer. */
static inline void drive(storm *s, const arrival *order, uint32_t n, weather *seen)
{
    static duty duties[STORM_REQUESTS + STORM_DECOYS];
    uint32_t n_arrived = 0;
    uint32_t n_asked = 0; /* requests, decoys apart */
    uint32_t next_event = 0;
    bool is_over = false;
    while (!is_over) {
        krs_os_mutex_lock(s->lock);
        (void)krs_os_cond_wait_until(s->changed, s->lock, krs_os_now_ns() + WAIT_NS);
        const uint32_t n_duties = find_duties(s, order, n_arrived, duties);
        const bool is_due = s->n_events >= next_event || s->n_ended == n_asked;
        next_event =
            is_due ? s->n_events + storm_between(&s->random, 0, MAX_EVENTS_GAP) : next_event;
        is_over = s->n_ended == STORM_REQUESTS;
        krs_os_mutex_unlock(s->lock);
        do_duties(s, duties, n_duties);
        seen->n_paused += krs_runtime_health_of(s->runtime).n_paused;
        const uint32_t n_come = is_due ? storm_between(&s->random, 1, 12) : 0;
        for (uint32_t i = 0; i < n_come && n_arrived < n; i++) {
            n_asked += !order[n_arrived].answer->is_decoy;
            arrive(s, &order[n_arrived++]);
        }
    }
}

static inline void expect_same(const storm *alone, const storm *s, uint64_t seed)
{
    for (uint32_t i = 0; i < STORM_REQUESTS; i++) {
        const storm_said *a = &alone->answers[i].said;
        const storm_said *b = &s->answers[i].said;
        assert_int_equal(s->answers[i].n_ends, 1);
        if (memcmp(a, b, sizeof(*a)) != 0) {
            uint32_t at = 0;
            while (at < a->n_tokens && a->ids[at] == b->ids[at] &&
                   memcmp(&a->logprobs[at], &b->logprobs[at], sizeof(float)) == 0) {
                at++;
            }
            fail_msg("seed %llu, request %u: alone \"%s\" (%s, %u tokens, status %d), in the storm "
                     "\"%s\" (%s, %u tokens, status %d); they part at token %u",
                     (unsigned long long)seed, i, a->text, krs_finish_name(a->finish), a->n_tokens,
                     (int)a->status, b->text, krs_finish_name(b->finish), b->n_tokens,
                     (int)b->status, at);
        }
    }
}

static inline void count_weather(const storm *s, weather *seen)
{
    for (uint32_t i = 0; i < STORM_REQUESTS + STORM_DECOYS; i++) {
        const storm_answer *a = &s->answers[i];
        seen->n_preempted += a->usage.n_preempted;
        seen->n_cached += a->usage.n_cached_tokens;
        seen->n_accepted += a->usage.n_accepted;
        seen->n_rejected += a->usage.n_rejected;
        seen->n_cancelled += a->n_ends > 0 && a->said.finish == KRS_FINISH_CANCELLED;
    }
}

static inline void one_storm(const subject *model, const storm *alone, uint64_t seed, weather *seen)
{
    static storm s;
    static arrival order[STORM_REQUESTS + STORM_DECOYS];
    memset(&s, 0, sizeof(s));
    s.random = seed;
    s.has_draft = model->draft != NULL;
    const krs_engine_options options = random_options(model, &s.random);
    const uint32_t n = shuffle(&s, order);
    storm_open(&s, &options);
    drive(&s, order, n, seen);
    storm_close(&s);
    expect_same(alone, &s, seed);
    count_weather(&s, seen);
}

static inline void storms_of(const subject *model, uint64_t n_seeds)
{
    static storm alone;
    weather seen = {0};
    const uint64_t first = number_of("KRS_STORM_FIRST", 1);
    n_seeds = number_of("KRS_STORM_SEEDS", n_seeds);
    answer_alone(model, &alone);
    for (uint64_t seed = first; seed < first + n_seeds; seed++) {
        one_storm(model, &alone, seed, &seen);
    }
    printf("seeds %llu .. %llu: %llu preempted, %llu tokens cached, %llu cancelled, %llu paused, "
           "%llu proposals accepted, %llu rejected\n",
           (unsigned long long)first, (unsigned long long)(first + n_seeds - 1),
           (unsigned long long)seen.n_preempted, (unsigned long long)seen.n_cached,
           (unsigned long long)seen.n_cancelled, (unsigned long long)seen.n_paused,
           (unsigned long long)seen.n_accepted, (unsigned long long)seen.n_rejected);
    if (n_seeds >= ENOUGH_SEEDS) {
        assert_true(seen.n_preempted > 0 && seen.n_cached > 0);
        assert_true(seen.n_cancelled > 0 && seen.n_paused > 0);
        assert_true(!model->draft || (seen.n_accepted > 0 && seen.n_rejected > 0));
    }
}

static inline int storms_run(const struct CMUnitTest *tests, size_t n)
{
    cmocka_set_test_filter(getenv("KRS_STORM_TEST"));
    return _cmocka_run_group_tests("storms", tests, n, NULL, NULL);
}
