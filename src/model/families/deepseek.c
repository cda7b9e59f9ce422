/* model/families/deepseek.c - deepseek_v3: latent attention, grouped routing, first layers dense.
 *
 * Keys and values of all heads are linear in one latent vector of a token, so the cache keeps that, and
 * one rotated key for all heads. What takes the latent to a head's key is applied to the query instead, and
 * what takes it to a head's value to the weighted sum of latents:
 *
 *   q_h . (W_h c) = (W_h^T q_h) . c                sum p_t (U_h c_t) = U_h (sum p_t c_t)
 *
 * which makes attention one KV head: K = [latent | rotated], V = latent. The norms of the two latents have
 * their class's own eps. Experts outside of the chosen groups are never taken, also when their scores with
 * the bias are above those inside (transformers lets them in when the others fall below zero).
 *
 * Source: DeepSeek-V2 2024, arXiv:2405.04434, section 2.1 and appendix C; transformers 5.17,
 * modeling_deepseek_v3.py. */
#include "model/families/mixture.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

#define LATENT_NORM_EPS 1e-6f

static const krs_weight_name names[] = {
    {KRS_ROLE_QUERY_DOWN, .name = "layers.#.self_attn.q_a_proj"},
    {KRS_ROLE_QUERY_RANK_NORM, .name = "layers.#.self_attn.q_a_layernorm"},
    {KRS_ROLE_QUERY_UP, .name = "layers.#.self_attn.q_b_proj"},
    {KRS_ROLE_QUERY_WHOLE, .name = "layers.#.self_attn.q_proj"},
    {KRS_ROLE_KV_DOWN, .name = "layers.#.self_attn.kv_a_proj_with_mqa"},
    {KRS_ROLE_KV_RANK_NORM, .name = "layers.#.self_attn.kv_a_layernorm"},
    {KRS_ROLE_KEY_UP, .name = "layers.#.self_attn.kv_b_proj",
     .form = {.of = KRS_DIM_ALL_NOPE_VALUE, .groups = KRS_DIM_HEADS, .is_turned = true}},
    {KRS_ROLE_VALUE_UP, .name = "layers.#.self_attn.kv_b_proj",
     .form = {.of = KRS_DIM_ALL_NOPE_VALUE, .at = KRS_DIM_NOPE, .groups = KRS_DIM_HEADS}},
    {KRS_ROLE_LATENT_OUT, .name = "layers.#.self_attn.o_proj"},
    KRS_MLP_EXPERT_NAMES,
    {KRS_ROLE_ROUTER_BIAS, .name = "layers.#.mlp.gate.e_score_correction_bias",
     .form = {.is_bare = true}},
    {KRS_ROLE_SHARED_GATE, .name = "layers.#.mlp.shared_experts.gate_proj"},
    {KRS_ROLE_SHARED_UP, .name = "layers.#.mlp.shared_experts.up_proj"},
    {KRS_ROLE_SHARED_DOWN, .name = "layers.#.mlp.shared_experts.down_proj"},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step query_steps[] = {
    {KRS_OP_LINEAR, KRS_ROLE_QUERY_DOWN, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_QUERY_RANK,
     .need = KRS_TRAIT_QUERY_RANK},
    {KRS_OP_RMS_NORM, KRS_ROLE_QUERY_RANK_NORM, .in = KRS_SLOT_QUERY_RANK,
     .need = KRS_TRAIT_QUERY_RANK, .eps = LATENT_NORM_EPS},
    {KRS_OP_LINEAR, KRS_ROLE_QUERY_UP, .in = KRS_SLOT_QUERY_RANK, .out = KRS_SLOT_NOPE_ROTATED,
     .need = KRS_TRAIT_QUERY_RANK},
    {KRS_OP_LINEAR, KRS_ROLE_QUERY_WHOLE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_NOPE_ROTATED,
     .deny = KRS_TRAIT_QUERY_RANK},
    {KRS_OP_COPY, .in = KRS_SLOT_NOPE_ROTATED, .out = KRS_SLOT_NOPE, .groups = KRS_DIM_HEADS,
     .n = KRS_DIM_NOPE},
    {KRS_OP_HEAD_LINEAR, KRS_ROLE_KEY_UP, .in = KRS_SLOT_NOPE, .out = KRS_SLOT_NOPE_LATENT},
    {KRS_OP_COPY, .in = KRS_SLOT_NOPE_LATENT, .out = KRS_SLOT_LATENT_QUERY, .groups = KRS_DIM_HEADS,
     .n = KRS_DIM_KV_RANK},
    {KRS_OP_COPY, .in = KRS_SLOT_NOPE_ROTATED, .out = KRS_SLOT_LATENT_QUERY,
     .groups = KRS_DIM_HEADS, .in_at = KRS_DIM_NOPE, .out_at = KRS_DIM_KV_RANK,
     .n = KRS_DIM_ROTATED},
    {KRS_OP_ROPE, .in = KRS_SLOT_LATENT_QUERY, .groups = KRS_DIM_HEADS, .in_at = KRS_DIM_KV_RANK},
};
static const krs_block query = {query_steps, N(query_steps)};

static const krs_decoder_step attention_steps[] = {
    {KRS_OP_LINEAR, KRS_ROLE_KV_DOWN, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_KV_DOWN},
    {KRS_OP_COPY, .in = KRS_SLOT_KV_DOWN, .out = KRS_SLOT_LATENT, .groups = KRS_DIM_ONE,
     .n = KRS_DIM_KV_RANK},
    {KRS_OP_RMS_NORM, KRS_ROLE_KV_RANK_NORM, .in = KRS_SLOT_LATENT, .eps = LATENT_NORM_EPS},
    {KRS_OP_COPY, .in = KRS_SLOT_LATENT, .out = KRS_SLOT_LATENT_KEY, .groups = KRS_DIM_ONE,
     .n = KRS_DIM_KV_RANK},
    {KRS_OP_COPY, .in = KRS_SLOT_KV_DOWN, .out = KRS_SLOT_LATENT_KEY, .groups = KRS_DIM_ONE,
     .in_at = KRS_DIM_KV_RANK, .out_at = KRS_DIM_KV_RANK, .n = KRS_DIM_ROTATED},
    {KRS_OP_ROPE, .in = KRS_SLOT_LATENT_KEY, .groups = KRS_DIM_ONE, .in_at = KRS_DIM_KV_RANK},
    {KRS_OP_KV_WRITE, .in = KRS_SLOT_LATENT_KEY, .in2 = KRS_SLOT_LATENT},
    {KRS_OP_ATTENTION, .in = KRS_SLOT_LATENT_QUERY, .out = KRS_SLOT_LATENT_MIXED},
    {KRS_OP_HEAD_LINEAR, KRS_ROLE_VALUE_UP, .in = KRS_SLOT_LATENT_MIXED,
     .out = KRS_SLOT_LATENT_VALUES},
    {KRS_OP_LINEAR, KRS_ROLE_LATENT_OUT, .in = KRS_SLOT_LATENT_VALUES, .out = KRS_SLOT_HIDDEN},
};
static const krs_block attention = {attention_steps, N(attention_steps)};

const krs_family krs_family_deepseek_v3 = {
    .is_exact = true,
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY_DOWN] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KV_DOWN] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_LATENT_OUT] = KRS_TRAIT_ATTENTION_BIAS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &query},
              {.block = &attention},
              {.block = &krs_block_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_gated_ffn, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_add, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_sigmoid_experts, .need = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_plain_expert,
               .need = KRS_TRAIT_EXPERTS | KRS_TRAIT_SHARED_EXPERT},
              {.block = &krs_block_add_mixture, .need = KRS_TRAIT_EXPERTS}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};
