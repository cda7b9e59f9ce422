/* model/decoder_priv.h - between the walk over a family's steps and the files that fill in ops.
 *
 * Thread: one owner.  Memory: the program's. */
#pragma once

#include "model/decoder.h"

/* Rotation tables: of layers that see everything, and of windowed layers where those have their own. */
typedef enum krs_rope_table_id {
    KRS_ROPE_TABLE_FULL,
    KRS_ROPE_TABLE_LOCAL,
    KRS_ROPE_TABLE_COUNT
} krs_rope_table_id;

typedef struct krs_rope_table {
    uint32_t freqs; /* first in program->floats */
    float scale;    /* factor on cos and sin */
} krs_rope_table;

typedef struct krs_decoder {
    krs_binder *binder;
    krs_program *program;
    const krs_model_config *config;
    krs_slot slots[KRS_SLOT_COUNT]; /* KRS_NO_SLOT until a step uses it */
    krs_activation act;             /* hidden_act */
    krs_bound
        shared[KRS_ROLE_COUNT]; /* weights of all layers together, once the first has bound them */
    krs_rope_table ropes[KRS_ROPE_TABLE_COUNT];
    float norm_offset; /* the family's, unless the file has it in its weights */
    int32_t kv_layer;  /* layers before the one at hand that keep KV */
} krs_decoder;

/* Numbers of one op from the configuration and from the widths of its slots. op has its kind, slots and
 * matrices. */
void krs_decoder_fill(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                      krs_op *op);

int64_t krs_decoder_width(const krs_decoder *d, krs_decoder_slot slot);

/* As krs_decoder_fill, of ops of mixtures, of heads and of recurrent layers (fill_mixture.c). */
typedef void krs_decoder_fill_op(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                                 krs_op *op);
krs_decoder_fill_op krs_decoder_fill_route;
krs_decoder_fill_op krs_decoder_fill_experts;
krs_decoder_fill_op krs_decoder_fill_conv;
krs_decoder_fill_op krs_decoder_fill_delta;
krs_decoder_fill_op krs_decoder_fill_head_linear;

/* The step's own activation, or hidden_act. */
krs_activation krs_decoder_act(const krs_decoder *d, const krs_decoder_step *step);

/* Bind all experts of a step (decoder_experts.c). Errors: as krs_binder_bind. */
KRS_MUST_USE krs_status krs_decoder_bind_experts(krs_decoder *d, const krs_decoder_step *step,
                                                 int32_t layer, krs_op *op, krs_error *err);
