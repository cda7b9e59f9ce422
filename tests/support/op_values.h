/* support/op_values.h - small programs with given numbers, and what must come out, on ref and on every
 * instruction set of this machine.
 *
 * Thread: one.  Memory: the tiny_decoder's; expect frees it. */
#pragma once

#include "support/parity.h"

#define CLOSE 2e-6 /* of the larger of 1 and the value */

static inline uint32_t given(tiny_decoder *tiny, int64_t n_out, int64_t n_in, const float *values)
{
    uint32_t index;
    const krs_matrix m = {
        .n_out = n_out,
        .n_in = n_in,
        .dtype = KRS_DTYPE_F32,
        .data = tiny_store(tiny, KRS_DTYPE_F32, values, (size_t)(n_out * n_in)),
    };
    assert_int_equal(krs_program_add_matrix(&tiny->program, &m, &index), KRS_OK);
    return index;
}

/* A slot whose row r is the r-th of values. */
static inline krs_slot given_rows(tiny_decoder *tiny, int64_t n_rows, int64_t width,
                                  const float *values)
{
    const krs_slot slot = tiny_slot(tiny, width, KRS_ROWS_ALL);
    const uint32_t rows = given(tiny, n_rows, width, values);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = slot, .matrix = rows, .embed = {1.0f}});
    return slot;
}

static inline void start(tiny_decoder *tiny)
{
    *tiny = (tiny_decoder){.random = 1};
    krs_program_init(&tiny->program, NULL);
    tiny->program.max_positions = 16;
}

static inline bool is_close(float got, float want)
{
    if (isnan(want) || isinf(want)) {
        return isnan(want) ? isnan(got) : got == want;
    }
    const float size = fabsf(want) > 1.0f ? fabsf(want) : 1.0f;
    return fabsf(got - want) <= (float)CLOSE * size;
}

static inline void expect_on(tiny_decoder *tiny, const char *isa, uint32_t n_rows,
                             const float *want)
{
    enum { MAX_VALUES = 64 };
    float got[MAX_VALUES];
    parity_runner run;
    const int64_t width = tiny->program.slots[tiny->program.logits].width;
    assert_true(n_rows * width <= MAX_VALUES);
    parity_open(&run, &tiny->program, (parity_machine){isa, 1, KRS_DTYPE_F32});
    parity_step(&run, n_rows, 0, n_rows, got);
    parity_close(&run);
    for (int64_t i = 0; i < n_rows * width; i++) {
        if (!is_close(got[i], want[i])) {
            fail_msg("%s: value %lld is %.9g, want %.9g", isa ? isa : "ref", (long long)i,
                     (double)got[i], (double)want[i]);
        }
    }
}

/* Slot `from` has the rows want[n_rows]; ends the program. */
static inline void expect(tiny_decoder *tiny, krs_slot from, uint32_t n_rows, const float *want)
{
    parity_take_out(tiny, from);
    expect_on(tiny, NULL, n_rows, want);
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        if (krs_cpu_isa_is_here(krs_cpu_isa_name(i))) {
            expect_on(tiny, krs_cpu_isa_name(i), n_rows, want);
        }
    }
    tiny_decoder_deinit(tiny);
}
