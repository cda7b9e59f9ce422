/* model/families/mixture.h - blocks and names that mixtures of experts share. See mixture.c.
 *
 * Thread: constant tables.  Memory: static. */
#pragma once

#include "model/families/families.h"

/* The experts of qwen's and deepseek's names, one by one as the hub has them, stacked as MLX does, or in
 * transformers 5's own two stacks. A list of weight names begins with these. */
#define KRS_MLP_EXPERT_NAMES                                                                       \
    {KRS_ROLE_ROUTER, .name = "layers.#.mlp.gate"},                                                \
        {KRS_ROLE_EXPERT_GATE, .name = "layers.#.mlp.experts.#.gate_proj"},                        \
        {KRS_ROLE_EXPERT_GATE, .name = "layers.#.mlp.switch_mlp.gate_proj",                        \
         .form = {.is_stacked = true}},                                                            \
        {KRS_ROLE_EXPERT_GATE, .name = "layers.#.mlp.experts.gate_up_proj",                        \
         .form = {.of = KRS_DIM_EXPERT_GATE_UP, .is_stacked = true, .is_bare = true}},             \
        {KRS_ROLE_EXPERT_UP, .name = "layers.#.mlp.experts.#.up_proj"},                            \
        {KRS_ROLE_EXPERT_UP, .name = "layers.#.mlp.switch_mlp.up_proj",                            \
         .form = {.is_stacked = true}},                                                            \
        {KRS_ROLE_EXPERT_UP, .name = "layers.#.mlp.experts.gate_up_proj",                          \
         .form = {.of = KRS_DIM_EXPERT_GATE_UP,                                                    \
                  .at = KRS_DIM_EXPERT_FFN,                                                        \
                  .is_stacked = true,                                                              \
                  .is_bare = true}},                                                               \
        {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.mlp.experts.#.down_proj"},                        \
        {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.mlp.switch_mlp.down_proj",                        \
         .form = {.is_stacked = true}},                                                            \
    {                                                                                              \
        KRS_ROLE_EXPERT_DOWN, .name = "layers.#.mlp.experts.down_proj", .form = {                  \
            .is_stacked = true,                                                                    \
            .is_bare = true                                                                        \
        }                                                                                          \
    }

/* qwen's shared expert. */
#define KRS_MLP_SHARED_NAMES                                                                       \
    {KRS_ROLE_SHARED_ROUTER, .name = "layers.#.mlp.shared_expert_gate"},                           \
        {KRS_ROLE_SHARED_GATE, .name = "layers.#.mlp.shared_expert.gate_proj"},                    \
        {KRS_ROLE_SHARED_UP, .name = "layers.#.mlp.shared_expert.up_proj"},                        \
    {                                                                                              \
        KRS_ROLE_SHARED_DOWN, .name = "layers.#.mlp.shared_expert.down_proj"                       \
    }

extern const krs_block krs_block_softmax_experts; /* HIDDEN -> MIXTURE, chosen by softmax */
extern const krs_block krs_block_top_experts;     /* the same, softmax over the chosen (gpt_oss) */
extern const krs_block krs_block_sigmoid_experts; /* the same, by sigmoids and a bias (deepseek) */
extern const krs_block
    krs_block_weighed_expert;                  /* the shared expert times its sigmoid, + MIXTURE */
extern const krs_block krs_block_plain_expert; /* the shared expert as it is, + MIXTURE */
extern const krs_block krs_block_add_mixture;  /* MIXTURE added to STREAM */
