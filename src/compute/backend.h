/* compute/backend.h - the port behind which a device runs programs.
 *
 *   backend (a device in use) --compile--> exec (program + scratch + KV on it)
 *                                            --submit/collect--> logits, hidden states
 *
 * Shaped for devices that run behind the caller's back: submit queues a step and returns, collect
 * waits for the oldest one queued. The CPU backends do the work inside submit. At most
 * KRS_EXEC_MAX_IN_FLIGHT steps may be queued, so an engine can plan step n + 1 while step n runs.
 * docs/adr/0005 walks a CUDA decode step through this port.
 *
 * All memory a step needs is taken in _exec_new, after _plan told how much: submit and collect never
 * allocate. Device failure is a status (KRS_EDEVICE) and sticky: the exec refuses work after it.
 *
 * Thread: one owner (the engine thread) per exec.  Memory: see above. */
#pragma once

#include "compute/program.h"

#define KRS_EXEC_MAX_IN_FLIGHT 2
#define KRS_KV_BLOCK_TOKENS                                                                        \
    16 /* tokens of one KV block: small waste at the end, few table entries */
#define KRS_EXEC_MAX_ROWS        8192  /* tokens of one step */
#define KRS_EXEC_MAX_SEQS        1024  /* sequences of one step */
#define KRS_EXEC_MAX_STATE_SLOTS 65536 /* states kept: running sequences and checkpoints */
#define KRS_BACKEND_MAX_THREADS  512

typedef struct krs_backend krs_backend;
typedef struct krs_exec krs_exec;

typedef struct krs_exec_limits {
    uint32_t max_rows; /* tokens in one step, 1 .. KRS_EXEC_MAX_ROWS */
    uint32_t max_seqs; /* sequences in one step, 1 .. KRS_EXEC_MAX_SEQS */
    /* Rows whose logits are wanted in one step, 1 .. max_rows; 0 for a program that gives none. */
    uint32_t max_logit_rows;
    /* Rows whose hidden state is wanted in one step, <= max_rows; 0: none ever is, and nothing is kept
     * for it. */
    uint32_t max_hidden_rows;
    /* Blocks of KRS_KV_BLOCK_TOKENS tokens, all layers, K and V; 0 for a program that keeps none. */
    uint32_t n_kv_blocks;
    krs_dtype kv_dtype; /* F32, F16, BF16, or I8 (kv_int8.h) */
    /* Sequence states kept, 1 .. KRS_EXEC_MAX_STATE_SLOTS; not looked at when the program has none. */
    uint32_t n_state_slots;
} krs_exec_limits;

/* What an exec will take, before it takes it. */
typedef struct krs_exec_plan {
    /* Of the program's matrices that are read where they lie, through the mapping of their files; those a
     * backend has made its own of are not counted again. */
    uint64_t weight_bytes;
    uint64_t copied_bytes; /* of device copies or repacked weights, beyond the mapping */
    uint64_t kv_bytes;
    uint64_t state_bytes;   /* of all state slots; 0 when the program has no state */
    uint64_t scratch_bytes; /* activations, tables, logits */
} krs_exec_plan;

/* Rows of one sequence in a step: rows [row_begin, row_begin + n_rows) are its tokens at positions
 * n_past .. n_past + n_rows - 1. blocks covers all of them: position p lies in blocks[p / 16]; a program without
 * KV layers reads none. One that is_whole takes n_past 0 only. */
typedef struct krs_step_seq {
    uint32_t row_begin;
    uint32_t n_rows;
    uint32_t n_past;
    uint32_t n_blocks;
    const uint32_t *blocks; /* [n_blocks], each below n_kv_blocks */
    /* The slot that holds the sequence's state as it was after n_past tokens, and holds it as it is after
     * n_past + n_rows when the step is done; n_past 0 begins with zeros. Below n_state_slots, and no
     * two sequences of a step share one. Not looked at when the program has no state. */
    uint32_t state;
} krs_step_seq;

/* Copy the whole state in slot `from` to slot `to`: to keep a checkpoint, or to go back to one. */
typedef struct krs_state_copy {
    uint32_t from;
    uint32_t to;
} krs_state_copy;

/* One step. All arrays borrowed until the matching collect returns. */
typedef struct krs_step {
    uint32_t n_rows;
    uint32_t n_seqs;
    uint32_t n_logit_rows;
    uint32_t n_hidden_rows;
    const uint32_t *tokens;       /* [n_rows], each below the vocabulary */
    const krs_step_seq *seqs;     /* [n_seqs], in row order, covering all rows */
    const uint32_t *logit_rows;   /* [n_logit_rows], ascending */
    const uint32_t *hidden_rows;  /* the same; a row may be in both lists, or in none */
    uint32_t n_copies;            /* at most n_state_slots; 0 when the program has no state */
    const krs_state_copy *copies; /* [n_copies], done in this order before the step's first op */
} krs_step;

typedef struct krs_step_result {
    const float *logits; /* [n_logit_rows, vocab] f32 in host memory, valid until the next submit */
    uint32_t n_logit_rows;
    uint32_t n_hidden_rows;
    /* [n_hidden_rows, width of program.hidden] f32, valid as logits are: rows as they go into the
     * vocabulary projection, after the last norm. */
    const float *hidden;
} krs_step_result;

typedef struct krs_backend_options {
    size_t size;       /* sizeof(krs_backend_options) */
    int32_t n_threads; /* 0: one for each core this process may use */
    const char *isa;   /* cpu: best instruction set to use, as --isa; NULL: all */
    bool
        is_exact; /* cpu: rows meet weights in twice the bits, at up to twice the work: docs/numerics.md */
    bool is_pinned; /* cpu: each compute thread keeps to a core of its own */
} krs_backend_options;

#define KRS_BACKEND_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(krs_backend_options), 0, NULL, false, false                                         \
    }

/* name: "ref", "cpu" or "cuda:N". options: NULL = defaults.
 * Errors: KRS_EINVAL (unknown name), KRS_EUNSUPPORTED (not in this build or machine), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_backend_open(const char *name, const krs_backend_options *options,
                                         const krs_alloc *alloc, krs_backend **out, krs_error *err);
void krs_backend_close(krs_backend *backend);

/* One line for people: "cpu: 2 threads, avx512bf16". Borrowed until close. */
const char *krs_backend_describe(const krs_backend *backend);

/* The KV type the backend likes best: F32 on ref, F16 on cpu. */
krs_dtype krs_backend_kv_dtype(const krs_backend *backend);

/* Errors: KRS_EINVAL (a limit out of range), KRS_EUNSUPPORTED (an op or dtype, named; hidden rows of a
 * program that names no hidden state),
 * KRS_EINTERNAL (krs_program_check). */
KRS_MUST_USE krs_status krs_exec_plan_of(krs_backend *backend, const krs_program *program,
                                         const krs_exec_limits *limits, krs_exec_plan *out,
                                         krs_error *err);

/* program: borrowed, outlives the exec. Errors: as krs_exec_plan_of, and KRS_ENOMEM, KRS_EDEVICE. */
KRS_MUST_USE krs_status krs_exec_new(krs_backend *backend, const krs_program *program,
                                     const krs_exec_limits *limits, krs_exec **out, krs_error *err);
void krs_exec_free(krs_exec *exec);

/* Errors: KRS_EINVAL (the step breaks a limit or names a token or block out of range; nothing ran),
 * KRS_EBUSY (KRS_EXEC_MAX_IN_FLIGHT reached), KRS_EDEVICE (sticky). */
KRS_MUST_USE krs_status krs_exec_submit(krs_exec *exec, const krs_step *step, krs_error *err);

/* Results of the oldest submitted step, waiting for it. Errors: KRS_EAGAIN (none), KRS_EDEVICE. */
KRS_MUST_USE krs_status krs_exec_collect(krs_exec *exec, krs_step_result *out, krs_error *err);
