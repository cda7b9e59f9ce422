/* Attention of a few rows over a context so long that threads share its parts, more of them than one wave
 * has room for: the rows have the bytes they have on one thread, one by one or together, and are ref's. */
#include "compute/cpu/isa.h"

#include "support/cmocka.h"
#include "support/tiny_decoder.h"

#include <math.h>

enum {
    VOCAB = 53,
    HEADS = 2,
    DIM = 8,
    N_POSITIONS = 40000,
    N_LAST = 3, /* rows that are looked at */
    N_BLOCKS = N_POSITIONS / KRS_KV_BLOCK_TOKENS,
    FILL_SEQS = 64,
    MAX_ROWS = FILL_SEQS * KRS_KV_BLOCK_TOKENS,
    WIDTH = HEADS * DIM,
};

typedef struct fixture {
    tiny_decoder tiny;
    uint32_t tokens[N_POSITIONS];
    uint32_t blocks[N_BLOCKS];
} fixture;

static krs_slot embed(tiny_decoder *tiny, int64_t width)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot x = tiny_slot(tiny, width, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, VOCAB, width, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {3.0f}});
    return x;
}

static void set_up(fixture *f)
{
    tiny_decoder *tiny = &f->tiny;
    *tiny = (tiny_decoder){.random = 5};
    krs_program_init(&tiny->program, NULL);
    tiny->program.max_positions = N_POSITIONS;
    tiny->program.n_kv_layers = tiny->program.n_kv_heads = 1;
    tiny->program.head_dim = DIM;
    const krs_slot q = embed(tiny, WIDTH);
    const krs_slot k = embed(tiny, DIM);
    const krs_slot v = embed(tiny, DIM);
    tiny->program.logits = tiny_slot(tiny, WIDTH, KRS_ROWS_LOGITS);
    const krs_slot out = tiny_slot(tiny, WIDTH, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {0, HEADS, 1, DIM, 0, 0.4f}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = q;
    op.out = out;
    tiny_op(tiny, op);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = out, .out = tiny->program.logits});
    for (uint32_t i = 0; i < N_POSITIONS; i++) {
        f->tokens[i] = i * 7919 % VOCAB;
    }
    for (uint32_t b = 0; b < N_BLOCKS; b++) {
        f->blocks[b] = N_BLOCKS - 1 - b;
    }
}

static void run(krs_exec *exec, const krs_step *step, krs_step_result *result)
{
    krs_error err = KRS_ERROR_INIT;
    if (krs_exec_submit(exec, step, &err) != KRS_OK ||
        krs_exec_collect(exec, result, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
}

/* Every block as the beginning of a text of its own: without it this would take the square of the
 * context. */
static void fill(const fixture *f, krs_exec *exec)
{
    krs_step_seq seqs[FILL_SEQS];
    krs_step_result result;
    for (uint32_t b = 0; b < N_BLOCKS;) {
        krs_step step = {.seqs = seqs, .tokens = f->tokens + (size_t)b * KRS_KV_BLOCK_TOKENS};
        for (; b < N_BLOCKS && step.n_seqs < FILL_SEQS; b++, step.n_seqs++) {
            seqs[step.n_seqs] =
                (krs_step_seq){step.n_rows, KRS_KV_BLOCK_TOKENS, 0, 1, &f->blocks[b], 0};
            step.n_rows += KRS_KV_BLOCK_TOKENS;
        }
        run(exec, &step, &result);
    }
}

/* The last rows, `at_once` in a step, into out[N_LAST][WIDTH]. */
static void attend(const fixture *f, krs_exec *exec, uint32_t at_once, float *out)
{
    static const uint32_t wanted[N_LAST] = {0, 1, 2};
    for (uint32_t r = 0; r < N_LAST; r += at_once) {
        const uint32_t n_past = N_POSITIONS - N_LAST + r;
        const krs_step_seq seq = {0, at_once, n_past, N_BLOCKS, f->blocks, 0};
        const krs_step step = {.n_rows = at_once,
                               .n_seqs = 1,
                               .n_logit_rows = at_once,
                               .tokens = f->tokens + n_past,
                               .seqs = &seq,
                               .logit_rows = wanted};
        krs_step_result result;
        run(exec, &step, &result);
        memcpy(out + (size_t)r * WIDTH, result.logits, at_once * WIDTH * sizeof(float));
    }
}

static void attend_on(const fixture *f, const char *name, const char *isa, int32_t n_threads,
                      float *at_once, float *one_by_one)
{
    const krs_exec_limits limits = {MAX_ROWS, FILL_SEQS, N_LAST, 0, N_BLOCKS, KRS_DTYPE_F32, 0};
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    krs_backend *backend;
    krs_exec *exec;
    options.isa = isa;
    options.n_threads = n_threads;
    assert_int_equal(krs_backend_open(name, &options, NULL, &backend, NULL), KRS_OK);
    assert_int_equal(krs_exec_new(backend, &f->tiny.program, &limits, &exec, NULL), KRS_OK);
    fill(f, exec);
    attend(f, exec, N_LAST, at_once);
    attend(f, exec, 1, one_by_one);
    krs_exec_free(exec);
    krs_backend_close(backend);
}

static void parts_of_a_long_context_come_to_the_same_on_any_number_of_threads(void **state)
{
    (void)state;
    static fixture f;
    float ref[N_LAST * WIDTH];
    float alone[N_LAST * WIDTH];
    float got[2][N_LAST * WIDTH];
    set_up(&f);
    attend_on(&f, "ref", NULL, 1, ref, got[0]);
    const char *isa;
    for (uint32_t i = 0; (isa = krs_cpu_isa_name(i)) != NULL; i++) {
        for (int32_t n = 1; krs_cpu_isa_is_here(isa) && n <= 3; n++) {
            attend_on(&f, "cpu", isa, n, got[0], got[1]);
            memcpy(alone, n == 1 ? got[0] : alone, sizeof(alone));
            assert_memory_equal(got[0], alone, sizeof(alone));
            assert_memory_equal(got[1], alone, sizeof(alone));
        }
        for (size_t k = 0; krs_cpu_isa_is_here(isa) && k < N_LAST * WIDTH; k++) {
            assert_true(fabsf(alone[k] - ref[k]) <= 1e-5f);
        }
    }
    tiny_decoder_deinit(&f.tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_long_context_come_to_the_same_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
