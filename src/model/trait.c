/* model/trait.c - see trait.h. */
#include "model/trait.h"

krs_traits krs_traits_of(const krs_model_config *config, int32_t layer)
{
    const struct {
        krs_trait trait;
        bool holds;
    } all[] = {
        {KRS_TRAIT_ALWAYS, true},
        {KRS_TRAIT_WINDOW, krs_model_config_is_windowed(config, layer)},
        {KRS_TRAIT_ROPE, true},
        {KRS_TRAIT_ATTENTION_BIAS, config->has_attention_bias},
        {KRS_TRAIT_MLP_BIAS, config->has_mlp_bias},
    };
    krs_traits traits = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        traits |= all[i].holds ? (krs_traits)all[i].trait : 0;
    }
    return traits;
}
