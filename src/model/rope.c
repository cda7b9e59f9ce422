/* model/rope.c - see rope.h.
 * Types follow the reference line by line: Python floats are double, tensors are f32, and a Python
 * float meeting a tensor is rounded to f32 first. */
#include "model/rope.h"

#include "base/check.h"

#include <math.h>

#define PI 3.14159265358979323846

/* theta^(2 i / head_dim): tokens per radian of pair i. */
static float tokens_per_radian(const krs_rope_config *config, int32_t i, int32_t head_dim)
{
    return powf((float)config->theta, (float)(2 * i) / (float)head_dim);
}

/* Llama 3: short waves stay, long ones are stretched by factor, those between are blended. */
static float llama3_freq(const krs_rope_config *config, float freq)
{
    const double context = (double)config->original_max_positions;
    const double low = config->low_freq_factor;
    const double high = config->high_freq_factor;
    const float wavelength = (float)(2 * PI) / freq;
    if (wavelength > (float)(context / low)) {
        return freq / (float)config->factor;
    }
    if (wavelength < (float)(context / high) || high <= low) {
        return freq;
    }
    const float smooth = ((float)context / wavelength - (float)low) / (float)(high - low);
    return (1.0f - smooth) * freq / (float)config->factor + smooth * freq;
}

/* The pair that turns n_rotations times over the original context. */
static double yarn_pair(const krs_rope_config *config, double n_rotations, int32_t head_dim)
{
    const double context = (double)config->original_max_positions;
    return head_dim * log(context / (n_rotations * 2 * PI)) / (2 * log(config->theta));
}

/* Pairs below low turn fast and keep their frequency; pairs above high are interpolated. */
typedef struct yarn_ramp {
    double low;
    double high;
} yarn_ramp;

static yarn_ramp yarn_ramp_of(const krs_rope_config *config, int32_t head_dim)
{
    double low = yarn_pair(config, config->beta_fast, head_dim);
    double high = yarn_pair(config, config->beta_slow, head_dim);
    if (config->is_truncated) {
        low = floor(low);
        high = ceil(high);
    }
    low = low > 0 ? low : 0;
    high = high < head_dim - 1 ? high : head_dim - 1;
    if (low == high) {
        high += 0.001; /* the reference's way out of dividing by zero */
    }
    return (yarn_ramp){low, high};
}

static float yarn_freq(const krs_rope_config *config, yarn_ramp ramp, int32_t i, float span)
{
    float at = ((float)i - (float)ramp.low) / (float)(ramp.high - ramp.low);
    at = at > 0.0f ? at : 0.0f;
    at = at < 1.0f ? at : 1.0f;
    const float keep = 1.0f - at;
    const float interpolated = 1.0f / ((float)config->factor * span);
    const float original = 1.0f / span;
    return interpolated * (1.0f - keep) + original * keep;
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static double yarn_attention_factor(const krs_rope_config *config)
{
    if (config->attention_factor != 0) {
        return config->attention_factor;
    }
    if (config->mscale != 0 && config->mscale_all_dim != 0) {
        return yarn_mscale(config->factor, config->mscale) /
               yarn_mscale(config->factor, config->mscale_all_dim);
    }
    return yarn_mscale(config->factor, 1);
}

/* The divisors of longrope; for contexts beyond the original length the long ones, for all positions, as
 * the model was trained. */
static const double *longrope_factors(const krs_rope_config *config, int64_t context)
{
    return context > config->original_max_positions ? config->long_factors : config->short_factors;
}

/* sqrt(1 + ln factor / ln original), unless the file says. */
static double longrope_attention_factor(const krs_rope_config *config)
{
    if (config->attention_factor != 0) {
        return config->attention_factor;
    }
    const double original = (double)config->original_max_positions;
    return config->factor <= 1 || original <= 1 ? 1.0
                                                : sqrt(1 + log(config->factor) / log(original));
}

/* Dynamic NTK scaling raises the base with the length of the context; up to the original one it is plain
 * RoPE. The reference does so as a sequence grows, which makes a cache wrong that was filled before; we
 * choose once, from the longest context there can be. */
static double dynamic_theta(const krs_rope_config *config, int32_t dim, int64_t context)
{
    const double original = (double)config->original_max_positions;
    const double length = (double)context > original ? (double)context : original;
    const double stretch = config->factor * length / original - (config->factor - 1);
    return dim > 2 ? config->theta * pow(stretch, (double)dim / (dim - 2)) : config->theta;
}

static float freq_of(const krs_rope_config *config, yarn_ramp ramp, int32_t i, int32_t head_dim,
                     int64_t context)
{
    const float span = tokens_per_radian(config, i, head_dim);
    const float freq = 1.0f / span;
    switch (config->kind) {
    case KRS_ROPE_DEFAULT:
        return freq;
    case KRS_ROPE_LINEAR:
        return freq / (float)config->factor;
    case KRS_ROPE_LLAMA3:
        return llama3_freq(config, freq);
    case KRS_ROPE_LONGROPE:
        return 1.0f / ((float)longrope_factors(config, context)[i] * span);
    case KRS_ROPE_DYNAMIC: /* theta has been raised */
        return freq;
    case KRS_ROPE_YARN:
        break;
    }
    return yarn_freq(config, ramp, i, span);
}

static double attention_factor(const krs_rope_config *config)
{
    return config->kind == KRS_ROPE_YARN       ? yarn_attention_factor(config)
           : config->kind == KRS_ROPE_LONGROPE ? longrope_attention_factor(config)
                                               : 1.0;
}

void krs_rope_fill(const krs_rope_config *config, int32_t head_dim, int64_t context,
                   float *inv_freq, float *scale)
{
    KRS_CHECK(head_dim >= 2 && head_dim % 2 == 0);
    krs_rope_config c = *config;
    const yarn_ramp ramp = c.kind == KRS_ROPE_YARN ? yarn_ramp_of(&c, head_dim) : (yarn_ramp){0, 1};
    if (c.kind == KRS_ROPE_DYNAMIC) {
        c.theta = dynamic_theta(&c, head_dim, context);
    }
    for (int32_t i = 0; i < head_dim / 2; i++) {
        inv_freq[i] = freq_of(&c, ramp, i, head_dim, context);
    }
    *scale = (float)attention_factor(&c);
}
