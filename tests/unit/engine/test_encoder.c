/* tests/unit/engine/test_encoder.c - models whose texts are one step each: vectors that do not depend on
 * what ran beside them, texts that are too long, and everything they do not do. */
#include "support/engine_fixture.h"
#include "support/synth_folder.h"

#include <math.h>

#define N_HIDDEN   64
#define POSITIONS  256
#define N_TEXTS    16
#define MAX_ROUNDS 6
#define MAX_TOKENS (POSITIONS + 1)
#define SMALL_STEP 100u
#define STORM_SEED 20241u

static const char shape[] =
    "{\"architectures\": [\"ModernBertModel\"], \"model_type\": \"modernbert\", \"vocab_size\": "
    "2048,"
    "\"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 3,"
    "\"num_attention_heads\": 4, \"max_position_embeddings\": 256, \"norm_eps\": 1e-05,"
    "\"local_attention\": 16, \"global_attn_every_n_layers\": 2, \"hidden_activation\": \"gelu\","
    "\"torch_dtype\": \"bfloat16\"}";

typedef struct group {
    char dir[KRS_OS_PATH_BYTES];
    engine_fixture f;
} group;

static krs_engine_options options_of(const group *g)
{
    krs_engine_options options = fixture_options();
    options.model_dir = g->dir;
    options.model_id = "encoder";
    options.max_context_tokens = 0;
    options.max_seqs = N_TEXTS;
    return options;
}

static int open_group(void **state)
{
    static group g;
    krs_synth_folder_make(shape, g.dir);
    const krs_engine_options options = options_of(&g);
    g.f = fixture_open(&options);
    *state = &g;
    return 0;
}

static int close_group(void **state)
{
    group *g = *state;
    fixture_close(&g->f);
    return krs_os_dir_remove(g->dir, NULL) == KRS_OK ? 0 : 1;
}

/* A text of n tokens that begins at `first`. */
static krs_request *text_of(uint32_t first, uint32_t n, krs_pooling pooling)
{
    krs_request *r = NULL;
    assert_int_equal(krs_request_new(NULL, &r), KRS_OK);
    uint32_t *ids = krs_arena_array(&r->arena, n + 1, sizeof(*ids));
    assert_non_null(ids);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = (first * 977 + i * 31) % 2048;
    }
    r->task = KRS_TASK_EMBED;
    r->task_options.pooling = pooling;
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = n;
    return r;
}

static void ask(group *g, uint32_t first, uint32_t n, krs_pooling pooling, heard *h)
{
    *h = (heard){0};
    fixture_answer(&g->f, text_of(first, n, pooling), h);
    assert_int_equal(h->finish, KRS_FINISH_STOP);
    assert_int_equal(h->n_vector, N_HIDDEN);
    assert_int_equal(h->usage.n_prompt_tokens, n);
    assert_int_equal(h->usage.n_cached_tokens, 0);
}

static double length_of(const heard *h)
{
    double squares = 0;
    for (uint32_t i = 0; i < h->n_vector; i++) {
        squares += (double)h->vector[i] * (double)h->vector[i];
    }
    return sqrt(squares);
}

/* Sixteen texts of mixed lengths at once, again and again in another order: each vector has the bytes it has
 * alone. */
static void vectors_are_the_same_alone_and_together(void **state)
{
    group *g = *state;
    static heard alone[N_TEXTS];
    static heard together[N_TEXTS];
    uint32_t lens[N_TEXTS];
    uint32_t random = STORM_SEED;
    print_message("seed %u\n", random);
    for (uint32_t i = 0; i < N_TEXTS; i++) {
        random = random * 1664525u + 1013904223u;
        lens[i] = i == 3 ? POSITIONS : i % 3 == 0 ? 1 + (random >> 8) % POSITIONS : 1 + i;
        ask(g, i, lens[i], (krs_pooling)(KRS_POOLING_LAST + i % 3), &alone[i]);
    }
    for (uint32_t round = 0; round < MAX_ROUNDS; round++) {
        for (uint32_t k = 0; k < N_TEXTS; k++) {
            const uint32_t i = (k * (2 * round + 1) + round) % N_TEXTS; /* odd: each once */
            together[i] = (heard){0};
            fixture_ask(&g->f, text_of(i, lens[i], (krs_pooling)(KRS_POOLING_LAST + i % 3)),
                        &together[i]);
        }
        for (uint32_t i = 0; i < N_TEXTS; i++) {
            fixture_wait(&g->f, &together[i]);
            assert_int_equal(together[i].finish, KRS_FINISH_STOP);
            assert_memory_equal(together[i].vector, alone[i].vector, sizeof(alone[i].vector));
        }
    }
}

static void poolings_differ_but_for_a_text_of_one_token(void **state)
{
    group *g = *state;
    static heard of[4];
    for (int p = KRS_POOLING_MODEL; p <= KRS_POOLING_CLS; p++) {
        ask(g, 1, 9, (krs_pooling)p, &of[p]);
        assert_true(fabs(length_of(&of[p]) - 1.0) < 1e-6);
    }
    assert_memory_equal(of[KRS_POOLING_MODEL].vector, of[KRS_POOLING_MEAN].vector,
                        sizeof(of[0].vector)); /* no file says otherwise */
    assert_memory_not_equal(of[KRS_POOLING_LAST].vector, of[KRS_POOLING_MEAN].vector,
                            sizeof(of[0].vector));
    assert_memory_not_equal(of[KRS_POOLING_LAST].vector, of[KRS_POOLING_CLS].vector,
                            sizeof(of[0].vector));
    for (int p = KRS_POOLING_LAST; p <= KRS_POOLING_CLS; p++) {
        ask(g, 1, 1, (krs_pooling)p, &of[p]);
        assert_memory_equal(of[p].vector, of[KRS_POOLING_LAST].vector, sizeof(of[0].vector));
    }
}

static void expect_too_long(engine_fixture *f, uint32_t n, const char *says)
{
    static heard h;
    h = (heard){0};
    fixture_answer(f, text_of(1, n, KRS_POOLING_MEAN), &h);
    assert_int_equal(h.finish, KRS_FINISH_ERROR);
    assert_int_equal(h.error.status, KRS_ETOOLARGE);
    assert_string_equal(h.error.field, "input");
    assert_string_equal(h.error.message, says);
}

static void a_text_longer_than_the_positions_is_refused_with_numbers(void **state)
{
    group *g = *state;
    expect_too_long(&g->f, MAX_TOKENS, "input: 257 tokens, want at most 256 (the context)");
    static heard h;
    ask(g, 1, POSITIONS, KRS_POOLING_MEAN, &h);
}

/* Who sets the size of a step sets the longest text: nothing else could run it. */
static void a_text_longer_than_a_step_is_refused_with_numbers(void **state)
{
    const group *g = *state;
    static heard h;
    krs_engine_options options = options_of(g);
    options.max_step_tokens = SMALL_STEP;
    engine_fixture f = fixture_open(&options);
    krs_model_info info;
    (void)krs_runtime_models(f.runtime, &info, 1);
    assert_int_equal(info.context_tokens, SMALL_STEP);
    expect_too_long(&f, SMALL_STEP + 1, "input: 101 tokens, want at most 100 (the context)");
    h = (heard){0};
    fixture_answer(&f, text_of(1, SMALL_STEP, KRS_POOLING_MEAN), &h);
    assert_int_equal(h.finish, KRS_FINISH_STOP);
    fixture_close(&f);
}

static void an_encoder_says_what_it_cannot_do(void **state)
{
    group *g = *state;
    static heard h;
    krs_model_info info;
    krs_error err = KRS_ERROR_INIT;
    (void)krs_runtime_models(g->f.runtime, &info, 1);
    assert_false(info.can_generate);
    assert_int_equal(info.hidden, N_HIDDEN);
    assert_string_equal(info.family, "modernbert");
    krs_request *r = text_of(1, 5, KRS_POOLING_MODEL);
    r->task = KRS_TASK_GENERATE;
    assert_int_equal(fixture_try(&g->f, r, &h, &err), KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "model");
    assert_string_equal(err.message, "model: encoder (modernbert) gives embeddings, not answers");
    assert_int_equal(fixture_try(&g->f, question("Hello"), &h, &err), KRS_EUNSUPPORTED);
}

/* The plan has no cache: blocks are books only. */
static void an_encoder_takes_no_memory_for_a_cache(void **state)
{
    group *g = *state;
    const krs_engine_plan *plan = krs_engine_plan_of(g->f.runtime);
    assert_true(plan->exec.kv_bytes <= 64); /* alignment */
    assert_int_equal(plan->context_tokens, POSITIONS);
    static heard h;
    ask(g, 5, 40, KRS_POOLING_MEAN, &h);
    ask(g, 5, 40, KRS_POOLING_MEAN, &h); /* nothing was kept: n_cached_tokens is 0 again */
    const krs_runtime_health health = krs_runtime_health_of(g->f.runtime);
    assert_int_equal(health.n_kv_blocks_cached, 0);
}

/* What the folder says of pooling and length. */
static void the_folders_pooling_and_length_hold(void **state)
{
    const group *g = *state;
    static heard cls;
    static heard own;
    char path[KRS_OS_PATH_BYTES + 32];
    static const char modules[] =
        "[{\"idx\": 0, \"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"},"
        " {\"idx\": 1, \"path\": \"1_Pooling\", \"type\": "
        "\"sentence_transformers.models.Pooling\"}]";
    static const char pooling[] = "{\"pooling_mode_cls_token\": true}";
    (void)snprintf(path, sizeof(path), "%s/1_Pooling", g->dir);
    assert_int_equal(krs_os_dir_make(path, NULL), KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/1_Pooling/config.json", g->dir);
    assert_int_equal(krs_os_file_write(path, pooling, strlen(pooling), NULL), KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/modules.json", g->dir);
    assert_int_equal(krs_os_file_write(path, modules, strlen(modules), NULL), KRS_OK);
    const krs_engine_options options = options_of(g);
    engine_fixture f = fixture_open(&options);
    own = (heard){0};
    fixture_answer(&f, text_of(1, 9, KRS_POOLING_MODEL), &own);
    cls = (heard){0};
    fixture_answer(&f, text_of(1, 9, KRS_POOLING_CLS), &cls);
    assert_memory_equal(own.vector, cls.vector, sizeof(own.vector));
    assert_true(fabs(length_of(&own) - 1.0) > 1e-3); /* no Normalize in the list */
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_the_same_alone_and_together),
        cmocka_unit_test(poolings_differ_but_for_a_text_of_one_token),
        cmocka_unit_test(a_text_longer_than_the_positions_is_refused_with_numbers),
        cmocka_unit_test(a_text_longer_than_a_step_is_refused_with_numbers),
        cmocka_unit_test(an_encoder_says_what_it_cannot_do),
        cmocka_unit_test(an_encoder_takes_no_memory_for_a_cache),
        cmocka_unit_test(the_folders_pooling_and_length_hold),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
