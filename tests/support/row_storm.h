/* support/row_storm.h - rows keep their bytes whatever else the device is doing: the storm that shows it.
 *
 * For every case, on ref, on each instruction set of this machine and on a CUDA device where there is
 * one: 64 sequences run alone, each as one prefill on one thread; then the same sequences in storms:
 * steps of 1 to 64 of them in random order, cut into random chunks (but for encoders' texts, which are
 * one piece), with their KV in other blocks and their states moved about, on 1, 2 and 3 threads, with
 * logits and hidden states of random rows wanted. Every row that comes out is compared byte by byte with
 * the row of the sequence alone.
 *
 * Sizes are such that steps lie on both sides of every choice a backend makes by the number of rows: a
 * fork or none (KRS_CPU_FORK_ELEMENTS), whole and partial tiles, blocks, and parts of attention. Seeds
 * are printed.
 *
 * Thread: one.  Memory: the heap, freed with each case. */
#pragma once

#include "compute/cpu/isa.h"

#include "support/cmocka.h"
#include "support/sanitized.h"
#include "support/tiny_decoder.h"

#include <stdio.h>

enum {
    N_SEQS = 64,
    MAX_STEP_ROWS = 600,
    MAX_LEN = 530,   /* longest sequence: more than two parts of attention */
    MAX_THREADS = 3, /* a storm for each number of them */
    VOCAB = 53,
    N_STATES = N_SEQS + 7, /* some are free: states move into those */
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
    bool is_capped;
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
    bool has_state;
    bool is_whole; /* a sequence is never cut */
    uint32_t lens[N_SEQS];
    uint32_t begins[N_SEQS]; /* first row of a sequence in the arrays below */
    uint32_t n_rows;         /* of all sequences */
    uint32_t n_blocks;
    uint32_t *tokens;
    uint32_t *blocks; /* tables, one after the other; a sequence's begins at table_begins */
    uint32_t table_begins[N_SEQS];
    uint32_t states[N_STATES]; /* slots: of the sequences, then those that are free */
    float *logits;             /* of every row, its sequence alone */
    float *hidden;
    uint64_t random;
} storm;

static inline uint32_t draw(storm *s, uint32_t n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(s->random >> 33) % n;
}

/* FNV-1a of the name: every case has its own storm, and the same every time. */
static inline uint64_t seed_of(const char *name)
{
    uint64_t seed = UINT64_C(14695981039346656037);
    for (; *name; name++) {
        seed = (seed ^ (unsigned char)*name) * UINT64_C(1099511628211);
    }
    return seed;
}

static inline void *take(size_t n, size_t item_bytes)
{
    void *items = krs_alloc_array(NULL, n, item_bytes);
    assert_non_null(items);
    return items;
}

static inline krs_slot start(tiny_decoder *tiny, int64_t width)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot x = tiny_slot(tiny, width, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, VOCAB, width, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f}});
    return x;
}

static inline void finish(tiny_decoder *tiny, krs_slot from)
{
    const int64_t width = tiny->program.slots[from].width;
    tiny->program.logits = tiny_slot(tiny, width, KRS_ROWS_LOGITS);
    tiny->program.hidden = tiny_slot(tiny, width, KRS_ROWS_HIDDEN);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.logits});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.hidden});
}

static const device devices[] = {
    {"ref", NULL},         {"cpu", "portable"},   {"cpu", "avx2"},      {"cpu", "avx512"},
    {"cpu", "avx512vnni"}, {"cpu", "avx512bf16"}, {"cpu", "avx512amx"}, {"cpu", "neon"},
    {"cpu", "neondot"},    {"cpu", "neoni8mm"},   {"cpu", "neonbf16"},  {"cuda:0", NULL},
};

#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))

/* KRS_EUNSUPPORTED: this build or machine has no such device. */
static inline krs_status open_device(storm *s, const device *on, int32_t n_threads,
                                     const krs_program *program)
{
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = on->isa;
    options.n_threads = n_threads;
    krs_status status = krs_backend_open(on->name, &options, NULL, &s->backend, NULL);
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
        .n_state_slots = N_STATES,
    };
    krs_error err = KRS_ERROR_INIT;
    status = krs_exec_new(s->backend, program, &limits, &s->exec, &err);
    if (status == KRS_EUNSUPPORTED && strncmp(on->name, "cuda", 4) == 0) {
        print_message("skipped: %s\n", err.message); /* cuda lacks some ops, ref and cpu none */
        krs_backend_close(s->backend);
        return status;
    }
    if (status != KRS_OK) {
        fail_msg("%s", err.message);
    }
    return KRS_OK;
}

static inline void close_device(storm *s)
{
    krs_exec_free(s->exec);
    krs_backend_close(s->backend);
}

/* Lengths, tokens, and where everything lies. */
static inline void lay_out(storm *s)
{
    for (uint32_t i = 0; i < N_SEQS; i++) {
        s->lens[i] = s->c->is_long && i % 21 == 0 ? MAX_LEN / (1 + i / 7) : 1 + draw(s, 24);
        s->begins[i] = s->n_rows;
        s->table_begins[i] = s->n_blocks;
        s->n_rows += s->lens[i];
        s->n_blocks += (s->lens[i] + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    }
    for (uint32_t i = 0; i < N_STATES; i++) {
        s->states[i] = N_STATES - 1 - i;
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
static inline void deal_blocks(storm *s)
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
    krs_state_copy copies[N_SEQS];
    uint32_t n_copies;
} batch;

static inline void add_rows(storm *s, batch *b, uint32_t seq, uint32_t n_past, uint32_t n)
{
    b->seqs[b->n_seqs++] = (krs_step_seq){
        .row_begin = b->n_rows,
        .n_rows = n,
        .n_past = n_past,
        .n_blocks = (s->lens[seq] + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS,
        .blocks = s->blocks + s->table_begins[seq],
        .state = s->states[seq],
    };
    for (uint32_t i = 0; i < n; i++, b->n_rows++) {
        b->origins[b->n_rows] = s->begins[seq] + n_past + i;
        b->tokens[b->n_rows] = s->tokens[b->origins[b->n_rows]];
    }
}

/* Copy states of sequences of the step into free slots, and go on there. */
static inline void move_states(storm *s, batch *b)
{
    for (uint32_t i = 0; s->has_state && i < b->n_seqs; i++) {
        if (draw(s, 4) == 0) {
            const uint32_t to = N_SEQS + draw(s, N_STATES - N_SEQS);
            const uint32_t from = b->seqs[i].state;
            b->copies[b->n_copies++] = (krs_state_copy){from, s->states[to]};
            b->seqs[i].state = s->states[to];
            for (uint32_t k = 0; k < N_SEQS; k++) {
                s->states[k] = s->states[k] == from ? s->states[to] : s->states[k];
            }
            s->states[to] = from;
        }
    }
}

/* Want each row's logits, and its hidden state, `of` times in 4. */
static inline void want(storm *s, batch *b, uint32_t of)
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

static inline krs_step_result run(storm *s, const batch *b)
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
        .n_copies = b->n_copies,
        .copies = b->copies,
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
static inline void run_alone(storm *s)
{
    static batch b;
    deal_blocks(s);
    for (uint32_t i = 0; i < N_SEQS; i++) {
        b.n_seqs = b.n_rows = b.n_logit_rows = b.n_hidden_rows = b.n_copies = 0;
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
static inline void compare(const storm *s, const batch *b, const uint32_t *rows, uint32_t n,
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
static inline void run_storm(storm *s)
{
    static batch b;
    uint32_t n_past[N_SEQS] = {0};
    deal_blocks(s);
    for (uint32_t n_done = 0; n_done < s->n_rows;) {
        b.n_seqs = b.n_rows = b.n_logit_rows = b.n_hidden_rows = b.n_copies = 0;
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
        move_states(s, &b);
        want(s, &b, 1 + draw(s, 4));
        const krs_step_result result = run(s, &b);
        compare(s, &b, b.logit_rows, b.n_logit_rows, result.logits, s->logits, s->width);
        compare(s, &b, b.hidden_rows, b.n_hidden_rows, result.hidden, s->hidden, s->hidden_width);
        n_done += b.n_rows;
    }
}

static inline void check_device(storm *s, const device *on, const krs_program *program)
{
    const bool has_threads = strcmp(on->name, "cpu") == 0;
    const int32_t most = has_threads ? MAX_THREADS : 1;
    if (KRS_IS_TSAN && !has_threads) {
        return; /* nobody to race with */
    }
    if (open_device(s, on, 1, program) != KRS_OK) {
        return; /* not here */
    }
    run_alone(s);
    close_device(s);
    for (int32_t n_threads = KRS_IS_SANITIZED ? most : 1; n_threads <= most; n_threads++) {
        assert_int_equal(open_device(s, on, n_threads, program), KRS_OK);
        run_storm(s);
        close_device(s);
    }
}

static inline void rows_have_the_same_bytes_alone_and_in_storms(void **state)
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
    storm s = {.c = c, .random = seed_of(c->name)};
    print_message("seed %llu\n", (unsigned long long)s.random);
    s.width = tiny.program.slots[tiny.program.logits].width;
    s.hidden_width = tiny.program.slots[tiny.program.hidden].width;
    s.has_state = tiny.program.state_floats > 0;
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
