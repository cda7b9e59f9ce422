/* model/family.h - what makes llama llama, as data.
 *
 * A family is a table: which weights it has, what they are called and how they lie in the file, which of
 * them carry a bias, and the blocks of steps that a row of activations goes through. decoder.c interprets
 * the steps and bind.c the names; neither knows a family. A new one is a new table in families/, and a
 * step kind only if the arithmetic is new (docs/models/adding-a-family.md).
 *
 *   before[] once -> layer[] for each layer -> after[] once        block: steps; step: op, weight, slots
 *
 * What differs from layer to layer, or from file to file, is a trait (trait.h): a block or a step names
 * those it needs and those it is left out with. A step whose weight the family has no name for is left out
 * too, so families that differ by a norm share one block.
 *
 * Sizes, multipliers and windows format/config.c has resolved already: the defaults of absent fields
 * differ by family there.
 *
 * Thread: constant tables.  Memory: static.
 * Source: transformers 5.17, models/; docs/models/. */
#pragma once

#include "compute/program.h"
#include "format/config.h"
#include "model/trait.h"

/* A size the configuration gives: dim.def. */
typedef enum krs_dim {
#define KRS_DIM(name, value) KRS_DIM_##name,
#include "model/dim.def"
#undef KRS_DIM
    KRS_DIM_COUNT
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

/* The part a weight plays: role.def. */
typedef enum krs_role {
    KRS_ROLE_NONE, /* a step without a weight */
#define KRS_ROLE(name, part, rows, columns) KRS_ROLE_##name,
#include "model/role.def"
#undef KRS_ROLE
    KRS_ROLE_COUNT
} krs_role;

typedef struct krs_role_shape {
    krs_part part;
    krs_dim rows; /* KRS_DIM_ONE: a vector, stored with one dimension */
    krs_dim columns;
} krs_role_shape;

/* role: above KRS_ROLE_NONE, below KRS_ROLE_COUNT. */
const krs_role_shape *krs_role_shape_of(krs_role role);

/* The activations of one step: slot.def. */
typedef enum krs_decoder_slot {
    KRS_SLOT_NONE,
#define KRS_SLOT(name, width, rows) KRS_SLOT_##name,
#include "model/slot.def"
#undef KRS_SLOT
    KRS_SLOT_COUNT
} krs_decoder_slot;

typedef struct krs_decoder_slot_shape {
    krs_dim width;
    krs_rows rows;
} krs_decoder_slot_shape;

/* slot: above KRS_SLOT_NONE. */
const krs_decoder_slot_shape *krs_decoder_slot_shape_of(krs_decoder_slot slot);

/* Where an op's activation function comes from. */
typedef enum krs_act_source {
    KRS_ACT_OF_CONFIG, /* hidden_act */
    KRS_ACT_OF_SIGMOID,
    KRS_ACT_OF_SILU,
} krs_act_source;

/* One op. What is left out of an initialiser is NONE, and then means: in2 is in; out is in. */
typedef struct krs_decoder_step {
    krs_op_kind kind;
    krs_role role; /* its weight */
    krs_decoder_slot in;
    krs_decoder_slot in2;
    krs_decoder_slot in3;
    krs_decoder_slot out;
    krs_role bias_role; /* the op's bias, where it is a weight with a name of its own */
    krs_role
        up_role; /* experts: role is their gate, or gate and up in one when the file has those */
    krs_role down_role;
    krs_role fused_role;
    krs_traits need; /* the step is there in layers with all of these traits */
    krs_traits deny; /* and none of these */
    /* norm, rope: equal parts of in that are treated each by itself. NONE: as many as the weight, or the
     * head, fits into in. copy: equal parts of in and out. */
    krs_dim groups;
    krs_dim in_at; /* copy: of each part, n elements from here */
    krs_dim out_at;
    krs_dim n;
    krs_act_source act;    /* glu, activate, conv */
    krs_route_score score; /* route */
    float eps;             /* norm: 0: config.json's */
    bool has_no_offset;    /* norm: whatever the family's is */
} krs_decoder_step;

/* Steps that belong together: attention, a feed-forward, a norm. */
typedef struct krs_block {
    const krs_decoder_step *steps;
    size_t n_steps;
} krs_block;

/* A block where a family uses it, in layers with all traits of need and none of deny. */
typedef struct krs_block_use {
    const krs_block *block; /* NULL ends a list */
    krs_traits need;
    krs_traits deny;
} krs_block_use;

/* How a role's matrix [rows, columns] lies in its tensor. All zero: it is the tensor.
 *
 *   of, at, groups   the tensor has `of` rows, cut into `groups` equal groups (NONE: one); the role has
 *                    rows [at, at + rows / groups) of each. One group: a view; more: a copy, by us.
 *   is_transposed    the file has [columns, of], as gpt2's Conv1D: a copy. MLX turns such weights when it
 *                    quantises, so a quantised one is [of, columns].
 *   is_stacked       one dimension more in front, the expert.
 *   pieces           a vector in as many tensors of equal length, the second '#' their number: a copy
 *   is_depthwise     the file has [rows, 1, columns]: a convolution's kernel.
 *   is_bare          the tensor is called as the module, without ".weight"; its bias ends in "_bias".
 *   is_gamma         a norm's weight ends in ".gamma", its bias in ".beta": files of 2018.
 *   is_turned        each group's part [n, columns of the tensor] is turned: the role has `groups` times
 *                    that many rows of n. A copy; of a quantised tensor, in f32. */
typedef struct krs_weight_form {
    krs_dim of;
    krs_dim at;
    krs_dim groups;
    krs_dim pieces;
    bool is_transposed;
    bool is_stacked;
    bool is_depthwise;
    bool is_bare;
    bool is_gamma;
    bool is_turned;
} krs_weight_form;

/* What follows the module's name in the name of its weight, and of its bias. */
static inline const char *krs_weight_suffix(const krs_weight_form *form)
{
    return form->is_bare ? "" : form->is_gamma ? ".gamma" : ".weight";
}

static inline const char *krs_bias_suffix(const krs_weight_form *form)
{
    return form->is_bare ? "_bias" : form->is_gamma ? ".beta" : ".bias";
}

/* One name. Several for one role are spellings: the first that the file has is taken. */
typedef struct krs_weight_name {
    krs_role role; /* KRS_ROLE_NONE ends a list */
    /* A module, '#' standing for the layer and a second '#' for the expert; a leading '/' keeps the
     * network's prefix away: "/lm_head". */
    const char *name;
    krs_weight_form form;
} krs_weight_name;

#define KRS_FAMILY_MAX_BLOCKS 16

typedef struct krs_family {
    const char *
        prefix; /* of the network's modules, where the file has none of the known; NULL: "model." */
    const krs_weight_name *names;  /* looked at first */
    const krs_weight_name *common; /* then these; NULL: none */
    /* [KRS_ROLE_COUNT] traits of a layer with which the role has a bias: KRS_TRAIT_ALWAYS, or 0: never */
    krs_traits bias[KRS_ROLE_COUNT];
    float norm_offset; /* added to every norm's weight (gemma: 1) */
    /* Rows keep twice the bits where a backend would round them (krs_op.is_exact): in all linears, and in
     * experts, which are most of the work. A rounding that tips a router's choice, or lives on in a state, is not
     * small any more. */
    bool is_exact;
    bool has_exact_experts;
    bool has_offset_in_mlx;   /* MLX adds it to the weights of such files when it converts them */
    bool rope_is_interleaved; /* pairs (2 i, 2 i + 1) */
    krs_block_use before[KRS_FAMILY_MAX_BLOCKS];
    krs_block_use layer[KRS_FAMILY_MAX_BLOCKS];
    krs_block_use after[KRS_FAMILY_MAX_BLOCKS];
} krs_family;

/* The family of a model_type; NULL when there is none. */
const krs_family *krs_family_find(const char *model_type);

/* The first name of a role after `previous` (NULL: the first of all); NULL when there is no more. */
const krs_weight_name *krs_family_next_name(const krs_family *family, krs_role role,
                                            const krs_weight_name *previous);

static inline bool krs_family_has(const krs_family *family, krs_role role)
{
    return krs_family_next_name(family, role, NULL) != NULL;
}

#define KRS_FAMILY_NAME_BYTES                                                                      \
    192 /* longest module name with its NUL; the families' stay under 70 */

/* "model.layers.3.mlp.up_proj" into out; returns its length. layer, expert: of the first and the second
 * '#', ignored without. */
size_t krs_family_module_name(const krs_weight_name *name, int32_t layer, int32_t expert,
                              const char *prefix, char out[KRS_FAMILY_NAME_BYTES]);

/* Calls visit for each step of the network in order, with its layer (0 outside of the layers), until it
 * returns another status than KRS_OK, which is returned. Steps that the traits or missing names leave
 * out are not visited. */
typedef krs_status krs_family_visit(void *ctx, const krs_decoder_step *step, int32_t layer,
                                    krs_error *err);
KRS_MUST_USE krs_status krs_family_walk(const krs_family *family, const krs_model_config *config,
                                        krs_family_visit *visit, void *ctx, krs_error *err);

/* "qwen3, qwen2, qwen3_moe": the known model types most like this one, best first, into
 * out[max_bytes], cut when they do not fit. */
void krs_family_nearest(const char *model_type, char *out, size_t max_bytes);
