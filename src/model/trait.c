/* model/trait.c - see trait.h. */
#include "model/trait.h"

#include <string.h>

/* "Qwen3Model": the network without what stands on it. A tied head is there all the same. */
static bool is_headless(const krs_model_config *config)
{
    static const char suffix[] = "Model";
    const size_t len = strlen(config->architecture);
    return !config->is_tied && len >= sizeof(suffix) - 1 &&
           strcmp(config->architecture + len - (sizeof(suffix) - 1), suffix) == 0;
}

krs_traits krs_traits_of(const krs_model_config *config, int32_t layer)
{
    const struct {
        krs_trait trait;
        bool holds;
    } all[] = {
        {KRS_TRAIT_ALWAYS, true},
        {KRS_TRAIT_WINDOW, krs_model_config_is_windowed(config, layer)},
        {KRS_TRAIT_ROPE, krs_layer_set_has(&config->rope_layers, layer)},
        {KRS_TRAIT_LINEAR, krs_layer_set_has(&config->linear.layers, layer)},
        {KRS_TRAIT_EXPERTS, krs_layer_set_has(&config->experts.layers, layer)},
        {KRS_TRAIT_SHARED_EXPERT, config->experts.shared_ffn > 0},
        {KRS_TRAIT_QUERY_RANK, config->latent.q_rank > 0},
        {KRS_TRAIT_PARALLEL, config->is_parallel},
        {KRS_TRAIT_QK_NORM, config->has_qk_norm},
        {KRS_TRAIT_ATTENTION_BIAS, config->has_attention_bias},
        {KRS_TRAIT_QKV_BIAS, config->has_qkv_bias},
        {KRS_TRAIT_MLP_BIAS, config->has_mlp_bias},
        {KRS_TRAIT_LOGIT_SCALE, config->logit_scale != 1.0 || config->logit_softcap > 0},
        {KRS_TRAIT_NORM_BIAS, config->has_norm_bias},
        {KRS_TRAIT_FIRST, layer == 0},
        {KRS_TRAIT_HEADLESS, is_headless(config)},
    };
    krs_traits traits = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        traits |= all[i].holds ? (krs_traits)all[i].trait : 0;
    }
    return traits;
}
