/* tests/parity/test_quant.c - MLX's quantised matrices multiplied and looked up, on ref and on every
 * instruction set of this machine: all modes, widths, groups and dtypes.
 *
 * A sum of 384 products in f32 is off by some roundings of the sum of their magnitudes, so that is what
 * errors are measured by. The truth is the sum in double over krs_matrix_row; where MLX's dequantised
 * rows are those same numbers (f32, and all modes without biases) its own y_f32 must be met as well.
 * The cpu backend takes x in bytes wherever codes are integers (tensor/codes.h): 1/254 of the largest of a group.
 * The cpu backend must give the same bytes on 1, 2 and 3 threads and for rows alone. */
#include "compute/cpu/isa.h"
#include "support/mlx_vectors.h"
#include "support/tiny_decoder.h"
#include "tensor/codes.h"

#define TOL_F32     (32 * 0x1p-24)
#define TOL_BYTES   0x1p-6
#define MAX_THREADS 3
#define N_OUT       MLX_ROWS
#define TALL_OUT    1000 /* outputs of a product that is worth a fork */
#define TALL_IN     1024

/* isa NULL: ref. */
static void run(const krs_program *program, const char *isa, int32_t n_threads, uint32_t first,
                uint32_t n_rows, float *out)
{
    static const uint32_t tokens[] = {0, 1, 2, 3, 4};
    static const uint32_t blocks[] = {0};
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    krs_backend *backend;
    krs_exec *exec;
    krs_step_result result;
    krs_error err = KRS_ERROR_INIT;
    options.isa = isa;
    options.n_threads = n_threads;
    const krs_exec_limits limits = {.max_rows = MLX_X_ROWS,
                                    .max_seqs = 1,
                                    .max_logit_rows = MLX_X_ROWS,
                                    .n_kv_blocks = 1,
                                    .kv_dtype = KRS_DTYPE_F32};
    const krs_step_seq seq = {.n_rows = n_rows, .n_blocks = 1, .blocks = blocks};
    const krs_step step = {.n_rows = n_rows,
                           .n_seqs = 1,
                           .n_logit_rows = n_rows,
                           .tokens = tokens + first,
                           .seqs = &seq,
                           .logit_rows = tokens};
    assert_int_equal(krs_backend_open(isa ? "cpu" : "ref", &options, NULL, &backend, NULL), KRS_OK);
    if (krs_exec_new(backend, program, &limits, &exec, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_exec_submit(exec, &step, &err), KRS_OK);
    assert_int_equal(krs_exec_collect(exec, &result, NULL), KRS_OK);
    const size_t width = (size_t)program->slots[program->logits].width;
    memcpy(out, result.logits, n_rows * width * sizeof(*out));
    krs_exec_free(exec);
    krs_backend_close(backend);
}

/* fn for every case on ref and every instruction set that is here. */
static void for_all(void (*fn)(const mlx_file *file, const mlx_case *c, const char *isa))
{
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};
    static mlx_file file;
    for (size_t i = 0; i < 3 * MLX_N_LAYOUTS; i++) {
        if (i % MLX_N_LAYOUTS == 0) {
            mlx_open(dtypes[i / MLX_N_LAYOUTS], &file);
        }
        const mlx_case c = mlx_case_of(&file, (int)(i % MLX_N_LAYOUTS));
        fn(&file, &c, NULL);
        for (uint32_t k = 0; krs_cpu_isa_name(k); k++) {
            if (krs_cpu_isa_is_here(krs_cpu_isa_name(k))) {
                fn(&file, &c, krs_cpu_isa_name(k));
            }
        }
        if (i % MLX_N_LAYOUTS == MLX_N_LAYOUTS - 1) {
            mlx_close(&file);
        }
    }
}

/* Rows of `rows` by token, in slot 0. */
static void start_program(tiny_decoder *tiny, const krs_matrix *rows)
{
    uint32_t index;
    *tiny = (tiny_decoder){.random = 1};
    krs_program_init(&tiny->program, NULL);
    tiny->program.max_positions = 16;
    const krs_slot x = tiny_slot(tiny, rows->n_in, KRS_ROWS_ALL);
    assert_int_equal(krs_program_add_matrix(&tiny->program, rows, &index), KRS_OK);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = index, .embed = {1.0f}});
}

/* Slot 0 times the matrix, as logits. */
static void multiply(tiny_decoder *tiny, const krs_matrix *m)
{
    uint32_t index;
    krs_program *program = &tiny->program;
    const krs_slot y = tiny_slot(tiny, m->n_out, KRS_ROWS_ALL);
    assert_int_equal(krs_program_add_matrix(program, m, &index), KRS_OK);
    tiny_op(
        tiny,
        (krs_op){.kind = KRS_OP_LINEAR, .in = 0, .out = y, .matrix = index, .bias = KRS_NO_MATRIX});
    program->logits = tiny_slot(tiny, m->n_out, KRS_ROWS_LOGITS);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = y, .out = program->logits});
}

static bool is_rounded(const mlx_case *c, const char *isa)
{
    krs_codes codes;
    return isa && krs_codes_of(&c->m, &codes);
}

static void check_product(const mlx_file *file, const mlx_case *c, const char *isa,
                          const float *got)
{
    float w[MLX_COLS];
    const float *mlx = c->y->data;
    const bool is_mlx_exact = file->dtype == KRS_DTYPE_F32 || !c->biases;
    const double tol = is_rounded(c, isa) ? TOL_BYTES : TOL_F32;
    for (int64_t o = 0; o < N_OUT; o++) {
        krs_matrix_row(&c->m, o, w);
        for (int64_t r = 0; r < MLX_X_ROWS; r++) {
            const float y = got[r * N_OUT + o];
            double sum = 0;
            double magnitude = 0;
            for (int64_t i = 0; i < MLX_COLS; i++) {
                const double product = (double)w[i] * (double)file->x[r * MLX_COLS + i];
                sum += product;
                magnitude += fabs(product);
            }
            float theirs;
            memcpy(&theirs, mlx + r * N_OUT + o, sizeof(theirs));
            const bool is_near = fabs((double)y - sum) <= tol * magnitude;
            const bool is_mlx =
                !is_mlx_exact || fabs((double)y - (double)theirs) <= (tol + TOL_F32) * magnitude;
            if (!is_near || !is_mlx) {
                fail_msg("%s of %s on %s: y[%d][%d] %g, want %g (MLX %g)", c->name,
                         krs_dtype_name(file->dtype), isa ? isa : "ref", (int)r, (int)o, (double)y,
                         sum, (double)theirs);
            }
        }
    }
}

static void check_linear(const mlx_file *file, const mlx_case *c, const char *isa)
{
    tiny_decoder tiny;
    float got[MLX_X_ROWS * N_OUT];
    float other[N_OUT];
    const krs_matrix x = {
        .n_out = MLX_X_ROWS, .n_in = MLX_COLS, .dtype = KRS_DTYPE_F32, .data = file->x};
    start_program(&tiny, &x);
    multiply(&tiny, &c->m);
    run(&tiny.program, isa, 1, 0, MLX_X_ROWS, got);
    check_product(file, c, isa, got);
    run(&tiny.program, isa, 1, 3, 1, other); /* a row alone */
    assert_memory_equal(other, got + 3 * N_OUT, sizeof(other));
    tiny_decoder_deinit(&tiny);
}

static void products_are_mlx_within_f32_rounding(void **state)
{
    (void)state;
    for_all(check_linear);
}

static void check_embed(const mlx_file *file, const mlx_case *c, const char *isa)
{
    tiny_decoder tiny;
    float got[MLX_X_ROWS * MLX_COLS];
    float want[MLX_COLS];
    (void)file;
    start_program(&tiny, &c->m);
    krs_program *program = &tiny.program;
    program->logits = tiny_slot(&tiny, MLX_COLS, KRS_ROWS_LOGITS);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = 0, .out = program->logits});
    run(program, isa, 1, 0, MLX_X_ROWS, got);
    for (int64_t r = 0; r < MLX_X_ROWS; r++) {
        krs_matrix_row(&c->m, r, want);
        assert_memory_equal(got + r * MLX_COLS, want, sizeof(want));
    }
    tiny_decoder_deinit(&tiny);
}

static void looked_up_rows_are_the_definition(void **state)
{
    (void)state;
    for_all(check_embed);
}

/* A product large enough for the team, of every layout: threads change no byte. */
static void check_threads(tiny_decoder *tiny, const char *isa)
{
    static float one[MLX_X_ROWS * TALL_OUT];
    static float other[MLX_X_ROWS * TALL_OUT];
    run(&tiny->program, isa, 1, 0, MLX_X_ROWS, one);
    for (int32_t n = 2; n <= MAX_THREADS; n++) {
        run(&tiny->program, isa, n, 0, MLX_X_ROWS, other);
        assert_memory_equal(other, one, sizeof(one));
    }
    run(&tiny->program, isa, MAX_THREADS, 2, 1, other);
    assert_memory_equal(other, one + 2 * TALL_OUT, TALL_OUT * sizeof(*one));
}

static void threads_and_neighbours_change_no_byte(void **state)
{
    (void)state;
    for (int i = 0; i < MLX_N_LAYOUTS; i += 2) {
        tiny_decoder tiny = {.random = (uint64_t)i * 2 + 1};
        const tiny_shape dense = {.dtype = KRS_DTYPE_F32};
        const tiny_shape shape = {.dtype = KRS_DTYPE_BF16, .quant = mlx_layout(i)};
        krs_program_init(&tiny.program, NULL);
        tiny.program.max_positions = 16;
        const krs_slot x = tiny_slot(&tiny, TALL_IN, KRS_ROWS_ALL);
        const uint32_t rows = tiny_matrix(&tiny, &dense, MLX_X_ROWS, TALL_IN, 0, 1.0f);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f}});
        const krs_slot y = tiny_slot(&tiny, TALL_OUT, KRS_ROWS_ALL);
        tiny_linear(&tiny, &shape, x, y, true);
        tiny.program.logits = tiny_slot(&tiny, TALL_OUT, KRS_ROWS_LOGITS);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = y, .out = tiny.program.logits});
        for (uint32_t k = 0; krs_cpu_isa_name(k); k++) {
            if (krs_cpu_isa_is_here(krs_cpu_isa_name(k))) {
                check_threads(&tiny, krs_cpu_isa_name(k));
            }
        }
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_mlx_within_f32_rounding),
        cmocka_unit_test(looked_up_rows_are_the_definition),
        cmocka_unit_test(threads_and_neighbours_change_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
