/* support/tiny_encoder.h - the smallest program that is_whole: tokens in, one ATTEND_ROWS with a relative
 * position bias, hidden states out, no logits and no KV.
 *
 * Memory: as tiny_decoder.h. */
#pragma once

#include "support/tiny_decoder.h"

enum { TINY_ENCODER_VOCAB = 9, TINY_ENCODER_WIDTH = 24, TINY_ENCODER_POSITIONS = 64 };

static inline void tiny_encoder_init(tiny_decoder *tiny)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    *tiny = (tiny_decoder){.random = 3};
    krs_program *program = &tiny->program;
    krs_program_init(program, NULL);
    program->max_positions = TINY_ENCODER_POSITIONS;
    const krs_slot x = tiny_slot(tiny, TINY_ENCODER_WIDTH, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, TINY_ENCODER_WIDTH, KRS_ROWS_ALL);
    program->hidden = tiny_slot(tiny, TINY_ENCODER_WIDTH, KRS_ROWS_HIDDEN);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED,
                           .out = x,
                           .matrix = tiny_matrix(tiny, &f32, TINY_ENCODER_VOCAB, TINY_ENCODER_WIDTH,
                                                 0, 1.0f),
                           .embed = {1.0f}});
    tiny_op(
        tiny,
        (krs_op){
            .kind = KRS_OP_ATTEND_ROWS,
            .in = x,
            .in2 = x,
            .in3 = x,
            .out = y,
            .matrix = tiny_matrix(tiny, &f32, 8, 3, 0, 1.0f),
            .attention = {
                .n_heads = 3, .n_kv_heads = 3, .head_dim = 8, .scale = 1.0f, .max_distance = 5}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = y, .out = program->hidden});
}
