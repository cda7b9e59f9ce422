/* model/families/families.h - every description, and the blocks and names they share.
 *
 * Thread: constant tables.  Memory: static. */
#pragma once

#include "model/family.h"

#define KRS_FAMILY(model_type, description) extern const krs_family krs_family_##description;
#include "model/families/family.def"
#undef KRS_FAMILY

/* The hub's names since llama, without the norms of queries and keys. */
extern const krs_weight_name krs_llama_names[];

/* blocks.c. STREAM is the residual stream; a block reads and writes HIDDEN unless it says otherwise. */
extern const krs_block krs_block_embed;          /* token -> STREAM */
extern const krs_block krs_block_attention_norm; /* RMS norm of STREAM -> HIDDEN */
extern const krs_block
    krs_block_attention; /* HIDDEN -> projections, norms, rotation, cache -> MIXED */
extern const krs_block krs_block_attention_add; /* MIXED -> output projection -> added to STREAM */
extern const krs_block krs_block_ffn_norm;      /* RMS norm of STREAM -> HIDDEN */
extern const krs_block krs_block_gated_ffn;     /* HIDDEN -> act(gate) * up, down -> HIDDEN */
extern const krs_block krs_block_add;           /* HIDDEN added to STREAM */
extern const krs_block krs_block_final_norm;    /* RMS norm of STREAM -> HIDDEN */
extern const krs_block krs_block_head;          /* HIDDEN -> wanted states, logits */
