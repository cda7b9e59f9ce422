/* model/families/families.h - every description, and the blocks and names they share.
 *
 * Thread: constant tables.  Memory: static. */
#pragma once

#include "model/family.h"

extern const krs_family krs_family_llama;
extern const krs_family krs_family_mistral;
extern const krs_family krs_family_qwen2;
extern const krs_family krs_family_qwen3;
extern const krs_family krs_family_phi3;
extern const krs_family krs_family_gemma;
extern const krs_family krs_family_gemma2;
extern const krs_family krs_family_gemma3;
extern const krs_family krs_family_olmo2;
extern const krs_family krs_family_cohere2;
extern const krs_family krs_family_starcoder2;
extern const krs_family krs_family_stablelm;
extern const krs_family krs_family_gpt2;
extern const krs_family krs_family_gpt_neox;
extern const krs_family krs_family_bert;
extern const krs_family krs_family_roberta;
extern const krs_family krs_family_mpnet;
extern const krs_family krs_family_distilbert;
extern const krs_family krs_family_modernbert;
extern const krs_family krs_family_glm4;
extern const krs_family krs_family_mixtral;
extern const krs_family krs_family_qwen2_moe;
extern const krs_family krs_family_qwen3_moe;
extern const krs_family krs_family_gpt_oss;
extern const krs_family krs_family_deepseek_v3;
extern const krs_family krs_family_qwen3_next;
extern const krs_family krs_family_qwen3_5;

/* The hub's names since llama, without the norms of queries and keys. */
extern const krs_weight_name krs_llama_names[];

/* blocks.c. STREAM is the residual stream; a block reads and writes HIDDEN unless it says otherwise. Norms
 * are RMS norms unless they are called layer norms. */
extern const krs_block krs_block_embed;     /* token -> STREAM */
extern const krs_block krs_block_positions; /* learned positions, added to STREAM */
extern const krs_block
    krs_block_take_stream; /* STREAM -> HIDDEN, for families without a norm there */
extern const krs_block krs_block_attention_norm; /* norm of STREAM -> HIDDEN */
extern const krs_block krs_block_attention_layer_norm;
extern const krs_block krs_block_project; /* HIDDEN -> QUERY, KEY, VALUE, and the norms of heads */
extern const krs_block krs_block_attention; /* QUERY, KEY, VALUE -> rotation, cache -> MIXED */
extern const krs_block
    krs_block_attention_add;               /* MIXED -> projection (-> norm) -> added to STREAM */
extern const krs_block krs_block_ffn_norm; /* norm of STREAM -> HIDDEN */
extern const krs_block krs_block_ffn_layer_norm;
extern const krs_block krs_block_gated_ffn;  /* HIDDEN -> act(gate) * up, down -> HIDDEN */
extern const krs_block krs_block_plain_ffn;  /* HIDDEN -> act(up), down -> HIDDEN */
extern const krs_block krs_block_add;        /* HIDDEN (-> norm) -> added to STREAM */
extern const krs_block krs_block_final_norm; /* norm of STREAM -> HIDDEN */
extern const krs_block krs_block_final_layer_norm;
extern const krs_block krs_block_head; /* HIDDEN -> wanted states; logits (-> scale, cap) */
