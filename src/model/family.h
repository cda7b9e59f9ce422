/* model/family.h - what makes llama llama, as data.
 *
 * A family is a table: which weights it has and what they are called, which of them carry a bias, and
 * the steps a row of activations goes through. decoder.c interprets the steps and bind.c the names;
 * neither knows a family. A new one is a new table, and a step kind only if the arithmetic is new.
 *
 *   before[] once -> layer[] for each layer -> after[] once            each step: op, weight, slots
 *
 * A step whose weight the family does not have is left out, so families that differ by a norm share
 * one list. Which layers are windowed format/config.c has resolved already: the defaults of absent
 * fields differ by family there.
 *
 * Thread: constant tables.  Memory: static.
 * Source: transformers 5.17, models/{llama,mistral,qwen2,qwen3}; docs/models/. */
#pragma once

#include "base/buf.h"
#include "compute/program.h"
#include "format/config.h"

/* A size the configuration gives. */
typedef enum krs_dim {
    KRS_DIM_ONE,
    KRS_DIM_VOCAB,
    KRS_DIM_HIDDEN,
    KRS_DIM_FFN,
    KRS_DIM_QUERY, /* n_heads * head_dim */
    KRS_DIM_KEY,   /* n_kv_heads * head_dim */
    KRS_DIM_HEAD,  /* head_dim */
} krs_dim;

int64_t krs_dim_of(const krs_model_config *config, krs_dim dim);

typedef enum krs_part {
    KRS_PART_EMBEDDING,
    KRS_PART_ATTENTION,
    KRS_PART_FFN,
    KRS_PART_NORM,
    KRS_PART_HEAD,
    KRS_PART_COUNT
} krs_part;

typedef enum krs_role {
#define KRS_ROLE(name, part, rows, columns) KRS_ROLE_##name,
#include "model/role.def"
#undef KRS_ROLE
    KRS_ROLE_COUNT,
    KRS_ROLE_NONE = KRS_ROLE_COUNT, /* a step without a weight */
} krs_role;

typedef struct krs_role_shape {
    krs_part part;
    krs_dim rows; /* KRS_DIM_ONE: a vector, stored with one dimension */
    krs_dim columns;
} krs_role_shape;

/* role: below KRS_ROLE_COUNT. */
const krs_role_shape *krs_role_shape_of(krs_role role);

/* When a linear adds a bias vector. */
typedef enum krs_bias_rule {
    KRS_BIAS_NEVER,
    KRS_BIAS_ALWAYS,
    KRS_BIAS_ATTENTION, /* config.json's attention_bias decides */
    KRS_BIAS_MLP,       /* config.json's mlp_bias decides */
} krs_bias_rule;

bool krs_bias_rule_holds(const krs_model_config *config, krs_bias_rule rule);

/* The activations of one step of a decoder; slot_shapes in family.c gives their widths. */
typedef enum krs_decoder_slot {
    KRS_SLOT_STREAM, /* the residual stream */
    KRS_SLOT_HIDDEN, /* what a block reads (normed) or adds */
    KRS_SLOT_QUERY,
    KRS_SLOT_KEY,
    KRS_SLOT_VALUE,
    KRS_SLOT_MIXED, /* attention's output, all heads */
    KRS_SLOT_GATE,
    KRS_SLOT_UP,
    KRS_SLOT_STATES, /* rows whose hidden state is wanted */
    KRS_SLOT_LAST,   /* rows whose logits are wanted */
    KRS_SLOT_LOGITS,
    KRS_SLOT_COUNT
} krs_decoder_slot;

typedef struct krs_decoder_slot_shape {
    krs_dim width;
    krs_rows rows;
} krs_decoder_slot_shape;

const krs_decoder_slot_shape *krs_decoder_slot_shape_of(krs_decoder_slot slot);

typedef struct krs_decoder_step {
    krs_op_kind kind;
    krs_role role; /* its weight, or KRS_ROLE_NONE */
    krs_decoder_slot in;
    krs_decoder_slot in2; /* = in where the op reads one slot */
    krs_decoder_slot out;
} krs_decoder_step;

typedef struct krs_decoder_steps {
    const krs_decoder_step *steps;
    size_t n_steps;
} krs_decoder_steps;

typedef struct krs_family {
    const char *model_type; /* as config.json has it */
    /* [KRS_ROLE_COUNT] module names, '#' standing for the layer; NULL: the family has no such weight */
    const char *const *names;
    krs_bias_rule bias[KRS_ROLE_COUNT];
    krs_decoder_steps before;
    krs_decoder_steps layer;
    krs_decoder_steps after;
} krs_family;

/* The family of a model_type; NULL when there is none. */
const krs_family *krs_family_find(const char *model_type);

#define KRS_FAMILY_NAME_BYTES                                                                      \
    192 /* longest module name with its NUL; the families' stay under 50 */

/* "model.layers.3.mlp.up_proj" into out; returns its length. prefix: "model." or "", left out before the
 * head, which stands outside of the network. role: one the family names; layer: ignored outside. */
size_t krs_family_module_name(const krs_family *family, krs_role role, int32_t layer,
                              const char *prefix, char out[KRS_FAMILY_NAME_BYTES]);

/* "llama, mistral, qwen2, qwen3" into out[max_bytes], cut when it does not fit. */
void krs_family_list(char *out, size_t max_bytes);
