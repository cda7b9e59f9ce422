/* support/one_seq.h - one sequence on one backend: feed tokens, read every row's logits.
 *
 * The KV blocks are handed out in a shuffled order, so a backend that forgets the block table and
 * reads the cache in a row is found out.
 *
 * Thread: one owner.  Memory: the exec and one block table. */
#pragma once

#include "compute/backend.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KRS_ONE_SEQ_MAX_TOKENS 256u /* longest sequence of these tests */
#define KRS_ONE_SEQ_BLOCKS     (KRS_ONE_SEQ_MAX_TOKENS / KRS_KV_BLOCK_TOKENS)
#define KRS_ONE_SEQ_STRIDE     7u /* odd, so it visits all of a power of two */

typedef struct krs_one_seq {
    krs_backend *backend;
    krs_exec *exec;
    int64_t vocab;
    uint32_t n_past;
    uint32_t blocks[KRS_ONE_SEQ_BLOCKS];
} krs_one_seq;

static inline void krs_one_seq_must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        fail_msg("%s: %s", krs_status_name(status), err->message);
    }
}

/* kv_dtype: KRS_DTYPE_COUNT: the device's choice. */
static inline void krs_one_seq_open_as(krs_one_seq *seq, const char *device,
                                       const krs_backend_options *options, krs_dtype kv_dtype,
                                       const krs_program *program)
{
    krs_error err = KRS_ERROR_INIT;
    memset(seq, 0, sizeof(*seq));
    krs_one_seq_must(krs_backend_open(device, options, NULL, &seq->backend, &err), &err);
    const krs_exec_limits limits = {
        .max_rows = KRS_ONE_SEQ_MAX_TOKENS,
        .max_seqs = 1,
        .max_logit_rows = KRS_ONE_SEQ_MAX_TOKENS,
        .n_kv_blocks = KRS_ONE_SEQ_BLOCKS,
        .kv_dtype = kv_dtype == KRS_DTYPE_COUNT ? krs_backend_kv_dtype(seq->backend) : kv_dtype,
        .n_state_slots = 1,
    };
    krs_one_seq_must(krs_exec_new(seq->backend, program, &limits, &seq->exec, &err), &err);
    seq->vocab = program->slots[program->logits].width;
    for (uint32_t i = 0; i < KRS_ONE_SEQ_BLOCKS; i++) {
        seq->blocks[i] = (i * KRS_ONE_SEQ_STRIDE + 3) % KRS_ONE_SEQ_BLOCKS;
    }
}

/* isa: of the cpu device; NULL: the best one here. */
static inline void krs_one_seq_open(krs_one_seq *seq, const char *device, const char *isa,
                                    krs_dtype kv_dtype, const krs_program *program)
{
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = isa;
    krs_one_seq_open_as(seq, device, &options, kv_dtype, program);
}

static inline void krs_one_seq_close(krs_one_seq *seq)
{
    krs_exec_free(seq->exec);
    krs_backend_close(seq->backend);
}

/* Forget the sequence; the next feed starts at position 0. */
static inline void krs_one_seq_restart(krs_one_seq *seq)
{
    seq->n_past = 0;
}

/* Append tokens[n] in one step; logits of each row into out[n * vocab]. */
static inline void krs_one_seq_feed(krs_one_seq *seq, const uint32_t *tokens, uint32_t n,
                                    float *out)
{
    assert_true(seq->n_past + n <= KRS_ONE_SEQ_MAX_TOKENS);
    uint32_t rows[KRS_ONE_SEQ_MAX_TOKENS];
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = i;
    }
    const krs_step_seq part = {
        .n_rows = n,
        .n_past = seq->n_past,
        .n_blocks = (seq->n_past + n + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS,
        .blocks = seq->blocks,
    };
    const krs_step step = {
        .n_rows = n,
        .n_seqs = 1,
        .n_logit_rows = n,
        .tokens = tokens,
        .seqs = &part,
        .logit_rows = rows,
    };
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    krs_one_seq_must(krs_exec_submit(seq->exec, &step, &err), &err);
    krs_one_seq_must(krs_exec_collect(seq->exec, &result, &err), &err);
    assert_int_equal(result.n_logit_rows, n);
    memcpy(out, result.logits, (size_t)n * (size_t)seq->vocab * sizeof(float));
    seq->n_past += n;
}
