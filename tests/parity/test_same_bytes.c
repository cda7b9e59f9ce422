/* tests/parity/test_same_bytes.c - a row has the same bytes whatever else the device is doing.
 *
 * For every op, weight layout and KV type, on ref, on each instruction set of this machine and on a
 * CUDA device where there is one: 64 sequences run alone, each as one prefill on one thread; then the
 * same sequences in storms: steps of 1 to 64 of them in random order, cut into random chunks (but for
 * encoders' texts, which are one piece), with their KV in other blocks, on 1, 2 and 3 threads, with logits and hidden states of random rows wanted. Every
 * row that comes out is compared byte by byte with the row of the sequence alone.
 *
 * Sizes are such that steps lie on both sides of every choice a backend makes by the number of rows: a
 * fork or none (KRS_CPU_FORK_ELEMENTS), whole and partial tiles, blocks, and parts of attention. Seeds
 * are printed. */
#include "compute/cpu/isa.h"

#include "support/cmocka.h"
#include "support/tiny_decoder.h"

#include <stdio.h>

enum {
    N_SEQS = 64,
    MAX_STEP_ROWS = 600,
    MAX_LEN = 530,   /* longest sequence: more than two parts of attention */
    MAX_THREADS = 3, /* a storm for each number of them */
    VOCAB = 53,
};

/* One op (or a whole decoder) to run on one device. */
typedef struct same_case {
    const char *name;
    void (*build)(tiny_decoder *tiny, const struct same_case *c);
    krs_dtype dtype;
    krs_quant quant;
    krs_dtype kv_dtype;
    int32_t window;
    krs_activation act;
    bool is_long; /* a few sequences of hundreds of tokens among the short ones */
    bool has_bias;
} same_case;

typedef struct device {
    const char *name;
    const char *isa;
} device;

typedef struct storm {
    const same_case *c;
    krs_backend *backend;
    krs_exec *exec;
    int64_t width;        /* of logits */
    int64_t hidden_width; /* 0: the program has none */
    bool is_whole;        /* a sequence is never cut */
    uint32_t lens[N_SEQS];
    uint32_t begins[N_SEQS]; /* first row of a sequence in the arrays below */
    uint32_t n_rows;         /* of all sequences */
    uint32_t n_blocks;
    uint32_t *tokens;
    uint32_t *blocks; /* tables, one after the other; a sequence's begins at table_begins */
    uint32_t table_begins[N_SEQS];
    float *logits; /* of every row, its sequence alone */
    float *hidden;
    uint64_t random;
} storm;

static uint32_t draw(storm *s, uint32_t n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(s->random >> 33) % n;
}

static void *take(size_t n, size_t item_bytes)
{
    void *items = krs_alloc_array(NULL, n, item_bytes);
    assert_non_null(items);
    return items;
}

static krs_slot start(tiny_decoder *tiny, int64_t width)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot x = tiny_slot(tiny, width, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, VOCAB, width, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f}});
    return x;
}

static void finish(tiny_decoder *tiny, krs_slot from)
{
    const int64_t width = tiny->program.slots[from].width;
    tiny->program.logits = tiny_slot(tiny, width, KRS_ROWS_LOGITS);
    tiny->program.hidden = tiny_slot(tiny, width, KRS_ROWS_HIDDEN);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.logits});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.hidden});
}

static void build_embed(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const krs_slot x = tiny_slot(tiny, 192, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &shape, VOCAB, 192, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {3.7f}});
    finish(tiny, x);
}

static void build_norm(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype};
    const krs_slot x = start(tiny, 1161); /* odd parts; 64 rows are worth a fork */
    const krs_slot y = tiny_slot(tiny, 1161, KRS_ROWS_ALL);
    tiny_norm(tiny, &shape, x, y, 1);
    tiny_norm(tiny, &shape, y, y, 9);
    finish(tiny, y);
}

static void build_linear(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const int64_t n_in = c->quant.kind == KRS_QUANT_AFFINE ? 5 * (int64_t)c->quant.group : 333;
    const krs_slot x = start(tiny, n_in);
    const krs_slot y = tiny_slot(tiny, 131, KRS_ROWS_ALL);
    tiny_linear(tiny, &shape, x, y, true);
    finish(tiny, y);
}

static void build_rope(tiny_decoder *tiny, const same_case *c)
{
    (void)c;
    const krs_slot x = start(tiny, 36 * 38);
    const uint32_t freqs = tiny_freqs(tiny, 17);
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_ROPE, .in = x, .out = x, .rope = {36, 38, 17, freqs, 1.1f}});
    finish(tiny, x);
}

static void build_glu(tiny_decoder *tiny, const same_case *c)
{
    const krs_slot x = start(tiny, 1131);
    const krs_slot y = tiny_slot(tiny, 1131, KRS_ROWS_ALL);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_GLU, .in = x, .in2 = x, .out = y, .glu = {c->act}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ADD, .in = x, .in2 = y, .out = y, .add = {1.0f}});
    finish(tiny, y);
}

static void build_attention(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 5, KV_HEADS = 1, DIM = 11 };
    const krs_slot x = start(tiny, HEADS * DIM);
    const krs_slot k = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, HEADS * DIM, KRS_ROWS_ALL);
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    tiny->program.n_kv_layers = 2;
    tiny->program.n_kv_heads = KV_HEADS;
    tiny->program.head_dim = DIM;
    const uint32_t keys = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * DIM, 0, 1.0f);
    const uint32_t values = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * DIM, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = k, .matrix = keys, .embed = {1.0f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = v, .matrix = values, .embed = {1.0f}});
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {1, HEADS, KV_HEADS, DIM, c->window, 0.7f}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = x;
    op.out = y;
    tiny_op(tiny, op);
    finish(tiny, y);
}

static void build_attend_rows(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 6, KV_HEADS = 3, DIM = 11, BUCKETS = 32 };
    const krs_slot x = start(tiny, HEADS * DIM);
    const krs_slot k = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, HEADS * DIM, KRS_ROWS_ALL);
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    tiny_linear(tiny, &f32, x, k, false);
    tiny_linear(tiny, &f32, x, v, false);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ATTEND_ROWS,
                           .in = x,
                           .in2 = k,
                           .in3 = v,
                           .out = y,
                           .matrix = c->has_bias ? tiny_matrix(tiny, &f32, BUCKETS, HEADS, 0, 1.0f)
                                                 : KRS_NO_MATRIX,
                           .attention = {.n_heads = HEADS,
                                         .n_kv_heads = KV_HEADS,
                                         .head_dim = DIM,
                                         .window = c->window,
                                         .scale = 0.7f,
                                         .max_distance = 128}});
    finish(tiny, y);
}

static void build_decoder(tiny_decoder *tiny, const same_case *c)
{
    tiny_shape shape = tiny_shape_default();
    shape.vocab = VOCAB;
    shape.hidden = 64;
    shape.ffn = 96;
    shape.n_heads = 4;
    shape.head_dim = 32; /* rows of whole groups */
    shape.dtype = c->dtype;
    shape.quant = c->quant;
    tiny_decoder_init(tiny, &shape);
}

#define DENSE(type)        .dtype = KRS_DTYPE_##type
#define AFFINE(bits, each) .dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, bits, each}
#define KV(type, seen)     .kv_dtype = KRS_DTYPE_##type, .window = (seen), .is_long = true

static const same_case cases[] = {
    {"embed_f16", build_embed, DENSE(F16)},
    {"embed_4_bits", build_embed, AFFINE(4, 64)},
    {"rms_norm", build_norm, DENSE(F32)},
    {"linear_f32", build_linear, DENSE(F32)},
    {"linear_f16", build_linear, DENSE(F16)},
    {"linear_bf16", build_linear, DENSE(BF16)},
    {"linear_4_bits", build_linear, AFFINE(4, 64)},
    {"linear_8_bits", build_linear, AFFINE(8, 64)},
    {"linear_4_bits_by_32", build_linear, AFFINE(4, 32)},
    {"linear_8_bits_by_128", build_linear, AFFINE(8, 128)},
    {"rope", build_rope, .is_long = true},
    {"silu_and_add", build_glu, .act = KRS_ACT_SILU},
    {"gelu_and_add", build_glu, .act = KRS_ACT_GELU},
    {"gelu_tanh_and_add", build_glu, .act = KRS_ACT_GELU_TANH},
    {"attention_f32", build_attention, KV(F32, 0)},
    {"attention_f16", build_attention, KV(F16, 0)},
    {"attention_bf16", build_attention, KV(BF16, 0)},
    {"attention_int8", build_attention, KV(I8, 0)},
    {"attention_f16_in_a_window", build_attention, KV(F16, 37)},
    {"attention_int8_in_a_window", build_attention, KV(I8, 300)},
    {"attend_rows", build_attend_rows, .is_long = true},
    {"attend_rows_with_bias", build_attend_rows, .has_bias = true, .is_long = true},
    {"attend_rows_in_a_window", build_attend_rows, .window = 5, .is_long = true},
    {"decoder_bf16", build_decoder, DENSE(BF16), .kv_dtype = KRS_DTYPE_F16},
    {"decoder_4_bits", build_decoder, AFFINE(4, 32), .kv_dtype = KRS_DTYPE_I8},
};

static const device devices[] = {
    {"ref", NULL},     {"cpu", "portable"},   {"cpu", "avx2"},
    {"cpu", "avx512"}, {"cpu", "avx512bf16"}, {"cuda:0", NULL},
};

#define N_CASES   (sizeof(cases) / sizeof(cases[0]))
#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))

/* KRS_EUNSUPPORTED: this build or machine has no such device. */
static krs_status open_device(storm *s, const device *on, int32_t n_threads,
                              const krs_program *program)
{
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = on->isa;
    options.n_threads = n_threads;
    const krs_status status = krs_backend_open(on->name, &options, NULL, &s->backend, NULL);
    if (status != KRS_OK) {
        return status;
    }
    const krs_exec_limits limits = {
        .max_rows = MAX_STEP_ROWS,
        .max_seqs = N_SEQS,
        .max_logit_rows = MAX_STEP_ROWS,
        .max_hidden_rows = MAX_STEP_ROWS,
        .n_kv_blocks = s->n_blocks,
        .kv_dtype = s->c->kv_dtype ? s->c->kv_dtype : KRS_DTYPE_F32,
    };
    krs_error err = KRS_ERROR_INIT;
    if (krs_exec_new(s->backend, program, &limits, &s->exec, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    return KRS_OK;
}

static void close_device(storm *s)
{
    krs_exec_free(s->exec);
    krs_backend_close(s->backend);
}

/* Lengths, tokens, and where everything lies. */
static void lay_out(storm *s)
{
    for (uint32_t i = 0; i < N_SEQS; i++) {
        s->lens[i] = s->c->is_long && i % 21 == 0 ? MAX_LEN / (1 + i / 7) : 1 + draw(s, 24);
        s->begins[i] = s->n_rows;
        s->table_begins[i] = s->n_blocks;
        s->n_rows += s->lens[i];
        s->n_blocks += (s->lens[i] + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    }
    s->tokens = take(s->n_rows, sizeof(*s->tokens));
    s->blocks = take(s->n_blocks, sizeof(*s->blocks));
    s->logits = take((size_t)s->n_rows * (size_t)s->width, sizeof(float));
    s->hidden = take((size_t)s->n_rows * (size_t)s->hidden_width, sizeof(float));
    for (uint32_t r = 0; r < s->n_rows; r++) {
        s->tokens[r] = draw(s, VOCAB);
    }
}

/* Give every sequence other blocks. */
static void deal_blocks(storm *s)
{
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        s->blocks[i] = i;
    }
    for (uint32_t i = s->n_blocks - 1; i > 0; i--) {
        const uint32_t k = draw(s, i + 1);
        const uint32_t held = s->blocks[i];
        s->blocks[i] = s->blocks[k];
        s->blocks[k] = held;
    }
}

/* A step being put together. */
typedef struct batch {
    krs_step_seq seqs[N_SEQS];
    uint32_t n_seqs;
    uint32_t tokens[MAX_STEP_ROWS];
    uint32_t origins[MAX_STEP_ROWS]; /* which row of all sequences a row is */
    uint32_t n_rows;
    uint32_t logit_rows[MAX_STEP_ROWS];
    uint32_t n_logit_rows;
    uint32_t hidden_rows[MAX_STEP_ROWS];
    uint32_t n_hidden_rows;
} batch;

static void add_rows(storm *s, batch *b, uint32_t seq, uint32_t n_past, uint32_t n)
{
    b->seqs[b->n_seqs++] = (krs_step_seq){
        .row_begin = b->n_rows,
        .n_rows = n,
        .n_past = n_past,
        .n_blocks = (s->lens[seq] + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS,
        .blocks = s->blocks + s->table_begins[seq],
    };
    for (uint32_t i = 0; i < n; i++, b->n_rows++) {
        b->origins[b->n_rows] = s->begins[seq] + n_past + i;
        b->tokens[b->n_rows] = s->tokens[b->origins[b->n_rows]];
    }
}

/* Want each row's logits, and its hidden state, `of` times in 4. */
static void want(storm *s, batch *b, uint32_t of)
{
    for (uint32_t r = 0; r < b->n_rows; r++) {
        if (draw(s, 4) < of) {
            b->logit_rows[b->n_logit_rows++] = r;
        }
        if (draw(s, 4) < of) {
            b->hidden_rows[b->n_hidden_rows++] = r;
        }
    }
}

static krs_step_result run(storm *s, const batch *b)
{
    const krs_step step = {
        .n_rows = b->n_rows,
        .n_seqs = b->n_seqs,
        .n_logit_rows = b->n_logit_rows,
        .n_hidden_rows = b->n_hidden_rows,
        .tokens = b->tokens,
        .seqs = b->seqs,
        .logit_rows = b->logit_rows,
        .hidden_rows = b->hidden_rows,
    };
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result = {0};
    if (krs_exec_submit(s->exec, &step, &err) != KRS_OK ||
        krs_exec_collect(s->exec, &result, &err) != KRS_OK) {
        fail_msg("%s: %s", s->c->name, err.message);
    }
    return result;
}

/* Every sequence alone: what its rows are. */
static void run_alone(storm *s)
{
    static batch b;
    deal_blocks(s);
    for (uint32_t i = 0; i < N_SEQS; i++) {
        b.n_seqs = b.n_rows = b.n_logit_rows = b.n_hidden_rows = 0;
        add_rows(s, &b, i, 0, s->lens[i]);
        want(s, &b, 4);
        const krs_step_result result = run(s, &b);
        memcpy(s->logits + (size_t)s->begins[i] * (size_t)s->width, result.logits,
               (size_t)b.n_rows * (size_t)s->width * sizeof(float));
        memcpy(s->hidden + (size_t)s->begins[i] * (size_t)s->hidden_width, result.hidden,
               (size_t)b.n_rows * (size_t)s->hidden_width * sizeof(float));
    }
}

/* rows[n] of the step, as it gave them, against those of the sequences alone. */
static void compare(const storm *s, const batch *b, const uint32_t *rows, uint32_t n,
                    const float *got, const float *alone, int64_t width)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *want_row = alone + (size_t)b->origins[rows[i]] * (size_t)width;
        if (memcmp(got + (size_t)i * (size_t)width, want_row, (size_t)width * sizeof(float)) != 0) {
            fail_msg("%s on %s: row %u of %u in a step of %u sequences has other bytes than alone",
                     s->c->name, krs_backend_describe(s->backend), rows[i], b->n_rows, b->n_seqs);
        }
    }
}

/* All sequences to their ends, in steps of some of them. */
static void run_storm(storm *s)
{
    static batch b;
    uint32_t n_past[N_SEQS] = {0};
    deal_blocks(s);
    for (uint32_t n_done = 0; n_done < s->n_rows;) {
        b.n_seqs = b.n_rows = b.n_logit_rows = b.n_hidden_rows = 0;
        const uint32_t n_wanted = 1 + draw(s, N_SEQS);
        const uint32_t longest = 1 + draw(s, 3) * draw(s, 150);
        const uint32_t first = draw(s, N_SEQS);
        for (uint32_t k = 0; k < N_SEQS && b.n_seqs < n_wanted; k++) {
            const uint32_t seq = (first + k * 37) % N_SEQS; /* 37 and 64 are coprime */
            const uint32_t left = s->lens[seq] - n_past[seq];
            const uint32_t room = MAX_STEP_ROWS - b.n_rows;
            const uint32_t most = left < longest ? left : longest;
            const uint32_t n = most < room ? most : room;
            if (s->is_whole ? left > 0 && left <= room : n > 0) {
                const uint32_t n_taken = s->is_whole ? left : 1 + draw(s, n);
                add_rows(s, &b, seq, n_past[seq], n_taken);
                n_past[seq] += n_taken;
            }
        }
        if (b.n_rows == 0) {
            continue;
        }
        want(s, &b, 1 + draw(s, 4));
        const krs_step_result result = run(s, &b);
        compare(s, &b, b.logit_rows, b.n_logit_rows, result.logits, s->logits, s->width);
        compare(s, &b, b.hidden_rows, b.n_hidden_rows, result.hidden, s->hidden, s->hidden_width);
        n_done += b.n_rows;
    }
}

static void check_device(storm *s, const device *on, const krs_program *program)
{
    const bool has_threads = strcmp(on->name, "cpu") == 0;
    if (open_device(s, on, 1, program) != KRS_OK) {
        return; /* not here */
    }
    run_alone(s);
    close_device(s);
    for (int32_t n_threads = 1; n_threads <= (has_threads ? MAX_THREADS : 1); n_threads++) {
        assert_int_equal(open_device(s, on, n_threads, program), KRS_OK);
        run_storm(s);
        close_device(s);
    }
}

static void rows_have_the_same_bytes_alone_and_in_storms(void **state)
{
    const same_case *c = *state;
    tiny_decoder tiny = {.random = 77};
    krs_program_init(&tiny.program, NULL);
    tiny.program.max_positions = 1024;
    c->build(&tiny, c);
    krs_error err = KRS_ERROR_INIT;
    if (krs_program_check(&tiny.program, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    storm s = {.c = c, .random = (uint64_t)(c - cases) + 5};
    print_message("seed %llu\n", (unsigned long long)s.random);
    s.width = tiny.program.slots[tiny.program.logits].width;
    s.hidden_width = tiny.program.slots[tiny.program.hidden].width;
    s.is_whole = tiny.program.is_whole;
    lay_out(&s);
    for (size_t i = 0; i < N_DEVICES; i++) {
        if (!devices[i].isa || krs_cpu_isa_is_here(devices[i].isa)) {
            check_device(&s, &devices[i], &tiny.program);
        }
    }
    krs_alloc_free(NULL, s.tokens);
    krs_alloc_free(NULL, s.blocks);
    krs_alloc_free(NULL, s.logits);
    krs_alloc_free(NULL, s.hidden);
    tiny_decoder_deinit(&tiny);
}

int main(void)
{
    struct CMUnitTest tests[N_CASES];
    for (size_t i = 0; i < N_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, rows_have_the_same_bytes_alone_and_in_storms,
                                       NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
