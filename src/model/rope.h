/* model/rope.h - the angles of rotary position embeddings, per variant.
 *
 * RoPE turns pair i of a head by position * inv_freq[i]. The variants that stretch a context (linear,
 * Llama 3, YaRN, longrope, dynamic) only change inv_freq, once, and YaRN and longrope also scale cos and
 * sin. Two of them depend on how long the context may grow: that is settled when the model is opened, so
 * that a position's rotation never changes under a cache. They are
 * computed as transformers 5 does, in f32 where it does: a frequency that is off in the last bits is an
 * angle that is off by radians at position 100,000.
 *
 * Thread: any; pure.  Memory: caller's.
 * Source: transformers 5.17, modeling_rope_utils.py; Su et al. 2021 (arXiv:2104.09864); Peng et al. 2023,
 * YaRN (arXiv:2309.00071) section 3; Ding et al. 2024, LongRoPE (arXiv:2402.13753); Llama 3.1's rope scaling as published with its weights. */
#pragma once

#include "format/config.h"

/* Inverse frequencies into inv_freq[head_dim / 2], in radians per token, and the factor on cos and sin
 * (1 except for YaRN and longrope) into *scale. config: as krs_model_config_load checked it; head_dim: the
 * rotated elements of a head, even, >= 2; context: tokens a sequence may have at most. */
void krs_rope_fill(const krs_rope_config *config, int32_t head_dim, int64_t context,
                   float *inv_freq, float *scale);
