/* tests/golden/test_storm_mixtures.c - the same bytes whatever the load, for experts, attention with sinks or to a latent,
 * and recurrent layers. Dense blocks: test_storm_blocks.c. */
#include "support/storm_shapes.h"

/* Rows of a step are grouped by expert, whoever asked for them. */
static void experts_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape(
        "{\"model_type\": \"qwen2_moe\", \"num_key_value_heads\": 2, \"num_experts\": 8,"
        "\"num_experts_per_tok\": 3, \"moe_intermediate_size\": 64,"
        "\"shared_expert_intermediate_size\": 96, \"decoder_sparse_step\": 1, " SIZES "}",
        ENGINE_SEEDS);
}

static void sinks_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"gpt_oss\", \"num_key_value_heads\": 2, \"head_dim\": 32,"
                    "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, \"sliding_window\": 40,"
                    "\"attention_bias\": true, " SIZES "}",
                    MATH_SEEDS);
}

static void latent_attention_says_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"deepseek_v3\", \"num_key_value_heads\": 4,"
                    "\"q_lora_rank\": 32, \"kv_lora_rank\": 64, \"qk_nope_head_dim\": 32,"
                    "\"qk_rope_head_dim\": 16, \"v_head_dim\": 32, \"n_routed_experts\": 8,"
                    "\"num_experts_per_tok\": 2, \"n_group\": 2, \"topk_group\": 1,"
                    "\"moe_intermediate_size\": 64, \"n_shared_experts\": 1,"
                    "\"first_k_dense_replace\": 1, \"routed_scaling_factor\": 2.5,"
                    "\"norm_topk_prob\": true, " SIZES "}",
                    MATH_SEEDS);
}

/* Prefixes are shared through checkpoints of the state, preempted sequences go back to them. */
static void recurrent_layers_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"qwen3_5_text\", \"num_key_value_heads\": 2,"
                    "\"head_dim\": 32, \"linear_conv_kernel_dim\": 4,"
                    "\"linear_key_head_dim\": 16, \"linear_num_key_heads\": 2,"
                    "\"linear_num_value_heads\": 4, \"linear_value_head_dim\": 16,"
                    "\"layer_types\": [\"linear_attention\", \"linear_attention\","
                    "\"linear_attention\", \"full_attention\"], " SIZES "}",
                    ENGINE_SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_say_the_same_in_a_storm),
        cmocka_unit_test(sinks_say_the_same_in_a_storm),
        cmocka_unit_test(latent_attention_says_the_same_in_a_storm),
        cmocka_unit_test(recurrent_layers_say_the_same_in_a_storm),
    };
    return storms_run(tests, sizeof(tests) / sizeof(tests[0]));
}
