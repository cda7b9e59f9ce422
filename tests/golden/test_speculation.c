/* tests/golden/test_speculation.c - the same bytes with speculation and without.
 *
 * The 64 mixed requests of the storms (greedy and sampled, penalties, bias, stop strings, min_tokens, log
 * probabilities, texts and ids) are answered one after the other without speculation, then with each kind of
 * it, one at a time and a few together: text, ids, log probabilities and ends must be equal bit for bit. In a
 * quiet engine nearly every step has room for proposals; storms (test_storm.c) are for what happens beside
 * cancels, preemptions and full steps.
 *
 * KRS_STORM_TEST: the tests to run. KRS_TEST_DEVICE: the device. */
#include "support/storm_weather.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 4u /* of four requests one: the sanitizers look at memory, not at bytes */
#else
#define STRIDE 1u
#endif

static const subject demo = {KRS_SOURCE_DIR "/models/demo", KRS_DTYPE_COUNT,
                             KRS_SOURCE_DIR "/models/demo-draft"};

/* Long answers, so that there is something to copy from. */
static krs_request *request_of(uint32_t i, krs_speculation speculation)
{
    krs_request *r = storm_request(i);
    r->stopping.max_tokens = STORM_MAX_TOKENS;
    r->speculation = speculation;
    return r;
}

static void answer_all(storm *s, uint32_t max_seqs, krs_speculation speculation)
{
    krs_engine_options options = options_of(&demo);
    options.max_seqs = max_seqs;
    options.draft_dir = demo.draft;
    memset(s, 0, sizeof(*s));
    storm_open(s, &options);
    uint32_t n = 0;
    for (uint32_t i = 0; i < STORM_REQUESTS; i += STRIDE) {
        storm_ask(s, request_of(i, speculation), &s->answers[i]);
        n++;
        if (max_seqs == 1) {
            wait_ended(s, n);
        }
    }
    wait_ended(s, n);
    storm_close(s);
}

static void expect_equal(const storm *plain, const storm *s, krs_usage *sum)
{
    for (uint32_t i = 0; i < STORM_REQUESTS; i += STRIDE) {
        const storm_said *a = &plain->answers[i].said;
        const storm_said *b = &s->answers[i].said;
        if (memcmp(a, b, sizeof(*a)) != 0) {
            fail_msg("request %u: \"%s\" without, \"%s\" with speculation", i, a->text, b->text);
        }
        sum->n_accepted += s->answers[i].usage.n_accepted;
        sum->n_rejected += s->answers[i].usage.n_rejected;
        sum->n_answer_tokens += s->answers[i].usage.n_answer_tokens;
    }
}

static void every_mode_says_what_none_says(void **state)
{
    (void)state;
    static storm plain;
    static storm s;
    static const krs_speculation modes[] = {{KRS_SPECULATION_NGRAM, 0},
                                            {KRS_SPECULATION_NGRAM, 3},
                                            {KRS_SPECULATION_DRAFT, 0},
                                            {KRS_SPECULATION_DRAFT, 2},
                                            {KRS_SPECULATION_MODEL, 0}};
    uint32_t n_accepted = 0;
    uint32_t n_rejected = 0;
    answer_all(&plain, 1, (krs_speculation){KRS_SPECULATION_OFF, 0});
    for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
        for (uint32_t max_seqs = 1; max_seqs <= 4; max_seqs += 3) {
            krs_usage sum = {0};
            answer_all(&s, max_seqs, modes[m]);
            expect_equal(&plain, &s, &sum);
            print_message("%s, at most %u, %u together: %u of %u tokens proposed, %u rejected\n",
                          krs_speculation_name(modes[m].mode), modes[m].max_tokens, max_seqs,
                          sum.n_accepted, sum.n_answer_tokens, sum.n_rejected);
            n_accepted += sum.n_accepted;
            n_rejected += sum.n_rejected;
        }
    }
    assert_true(n_accepted > 0 && n_rejected > 0); /* how many is up to what steps cost here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_says_what_none_says),
    };
    return storms_run(tests, sizeof(tests) / sizeof(tests[0]));
}
