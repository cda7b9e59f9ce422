/* model/trait.h - what a layer is, as bits: the words in which descriptions say "only in such layers".
 *
 * Some hold for a whole file (a switch of config.json), some for a layer (its type). They are derived from
 * the configuration alone, so a description never computes.
 *
 * Thread: any; pure.  Memory: none. */
#pragma once

#include "format/config.h"

typedef uint32_t krs_traits; /* a set of krs_trait */

typedef enum krs_trait {
    KRS_TRAIT_ALWAYS = 1u << 0,         /* every layer of every file */
    KRS_TRAIT_WINDOW = 1u << 1,         /* attention sees a window of the past */
    KRS_TRAIT_ROPE = 1u << 2,           /* queries and keys are rotated */
    KRS_TRAIT_LINEAR = 1u << 3,         /* recurrent instead of attention */
    KRS_TRAIT_EXPERTS = 1u << 4,        /* a mixture instead of one feed-forward */
    KRS_TRAIT_SHARED_EXPERT = 1u << 5,  /* and one that every token goes through */
    KRS_TRAIT_QUERY_RANK = 1u << 6,     /* latent attention whose queries are compressed too */
    KRS_TRAIT_PARALLEL = 1u << 7,       /* attention and feed-forward side by side */
    KRS_TRAIT_QK_NORM = 1u << 8,        /* qk_layernorm, where it is a switch */
    KRS_TRAIT_ATTENTION_BIAS = 1u << 9, /* attention_bias */
    KRS_TRAIT_QKV_BIAS = 1u << 10,      /* qkv_bias */
    KRS_TRAIT_MLP_BIAS = 1u << 11,      /* mlp_bias */
    KRS_TRAIT_LOGIT_SCALE = 1u << 12,   /* logits are multiplied or capped */
    KRS_TRAIT_NORM_BIAS = 1u << 13,     /* norm_bias */
    KRS_TRAIT_FIRST = 1u << 14,         /* the first layer */
    KRS_TRAIT_HEADLESS = 1u << 15,      /* the bare network: no vocabulary projection in the file */
} krs_trait;

/* layer: 0 .. n_layers - 1. */
krs_traits krs_traits_of(const krs_model_config *config, int32_t layer);

/* All of need, none of deny? */
static inline bool krs_traits_fit(krs_traits traits, krs_traits need, krs_traits deny)
{
    return (traits & need) == need && (traits & deny) == 0;
}
