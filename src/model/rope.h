/* model/rope.h - the angles of rotary position embeddings, per variant.
 *
 * RoPE turns pair i of a head by position * inv_freq[i]. The variants that stretch a context
 * (linear, Llama 3, YaRN) only change inv_freq, once, and YaRN also scales cos and sin. They are
 * computed as transformers 5 does, in f32 where it does: a frequency that is off in the last bits is an
 * angle that is off by radians at position 100,000.
 *
 * Thread: any; pure.  Memory: caller's.
 * Source: transformers 5.17, modeling_rope_utils.py; Su et al. 2021 (arXiv:2104.09864); Peng et al. 2023,
 * YaRN (arXiv:2309.00071) section 3; Llama 3.1's rope scaling as published with its weights. */
#pragma once

#include "format/config.h"

/* Inverse frequencies into inv_freq[head_dim / 2], in radians per token, and the factor on cos and sin
 * (1 except for YaRN) into *scale. config: as krs_model_config_load checked it; head_dim: even, >= 2. */
void krs_rope_fill(const krs_rope_config *config, int32_t head_dim, float *inv_freq, float *scale);
