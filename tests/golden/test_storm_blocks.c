/* tests/golden/test_storm_blocks.c - the same bytes whatever the load, for every kind of block there is: four layers of
 * random weights of a family that has it, with the demo model's tokenizer. The demo model itself: test_storm.c. */
#include "support/storm_weather.h"
#include "support/synth_folder.h"

/* Storms of the first four kinds, of those that give the engine something of their own, and of the others, which differ in
 * arithmetic alone. Under sanitizers, where parity/ holds the arithmetic, only the second: the demo model is the first. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_SEEDS    0
#define FEW_SEEDS  1
#define MATH_SEEDS 0
#else
#define N_SEEDS    100
#define FEW_SEEDS  20
#define MATH_SEEDS 20
#endif

/* Sizes all synthetic models share. */
#define SIZES                                                                                      \
    "\"vocab_size\": 2048, \"hidden_size\": 128, \"intermediate_size\": 256,"                      \
    "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"max_position_embeddings\": 1024,"     \
    "\"rms_norm_eps\": 1e-06, \"hidden_act\": \"silu\", \"bos_token_id\": 2027,"                   \
    "\"eos_token_id\": 2029, \"torch_dtype\": \"bfloat16\""

static void storms_of_shape(const char *config, uint64_t n_seeds)
{
    char dir[KRS_OS_PATH_BYTES];
    if (number_of("KRS_STORM_SEEDS", n_seeds) == 0) {
        skip();
    }
    krs_synth_folder_make(config, dir);
    const subject model = {dir, KRS_DTYPE_COUNT};
    storms_of(&model, n_seeds);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

static void grouped_heads_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"llama\", \"num_key_value_heads\": 2,"
                    "\"tie_word_embeddings\": false, " SIZES "}",
                    N_SEEDS);
}

static void sliding_windows_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"mistral\", \"num_key_value_heads\": 2,"
                    "\"sliding_window\": 40, \"tie_word_embeddings\": false, " SIZES "}",
                    N_SEEDS);
}

static void biased_projections_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"qwen2\", \"num_key_value_heads\": 4,"
                    "\"use_sliding_window\": true, \"sliding_window\": 72,"
                    "\"max_window_layers\": 2, \"tie_word_embeddings\": true, " SIZES "}",
                    N_SEEDS);
}

static void normed_heads_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"qwen3\", \"num_key_value_heads\": 1, \"head_dim\": 48,"
                    "\"tie_word_embeddings\": true, \"quantization\": {\"group_size\": 32,"
                    "\"bits\": 8, \"mode\": \"affine\"}, " SIZES "}",
                    N_SEEDS);
}

/* Two windows, norms before and behind each block, logits through tanh. */
static void capped_scores_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"gemma2\", \"num_key_value_heads\": 2, \"head_dim\": 32,"
                    "\"sliding_window\": 40, \"query_pre_attn_scalar\": 32,"
                    "\"attn_logit_softcapping\": 5.0, \"final_logit_softcapping\": 3.0, " SIZES "}",
                    MATH_SEEDS);
}

static void blocks_side_by_side_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"cohere2\", \"num_key_value_heads\": 2,"
                    "\"sliding_window\": 40, \"sliding_window_pattern\": 2,"
                    "\"layer_norm_eps\": 1e-05, \"logit_scale\": 0.25, " SIZES "}",
                    MATH_SEEDS);
}

static void learned_positions_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"gpt2\", \"vocab_size\": 2048, \"n_embd\": 128,"
                    "\"n_layer\": 4, \"n_head\": 4, \"n_positions\": 1024, \"bos_token_id\": 2027,"
                    "\"eos_token_id\": 2029, \"torch_dtype\": \"bfloat16\"}",
                    MATH_SEEDS);
}

/* Rows of a step are grouped by expert, whoever asked for them. */
static void experts_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape(
        "{\"model_type\": \"qwen2_moe\", \"num_key_value_heads\": 2, \"num_experts\": 8,"
        "\"num_experts_per_tok\": 3, \"moe_intermediate_size\": 64,"
        "\"shared_expert_intermediate_size\": 96, \"decoder_sparse_step\": 1, " SIZES "}",
        FEW_SEEDS);
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
                    FEW_SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_heads_say_the_same_in_a_storm),
        cmocka_unit_test(sliding_windows_say_the_same_in_a_storm),
        cmocka_unit_test(biased_projections_say_the_same_in_a_storm),
        cmocka_unit_test(normed_heads_say_the_same_in_a_storm),
        cmocka_unit_test(capped_scores_say_the_same_in_a_storm),
        cmocka_unit_test(blocks_side_by_side_say_the_same_in_a_storm),
        cmocka_unit_test(learned_positions_say_the_same_in_a_storm),
        cmocka_unit_test(experts_say_the_same_in_a_storm),
        cmocka_unit_test(sinks_say_the_same_in_a_storm),
        cmocka_unit_test(latent_attention_says_the_same_in_a_storm),
        cmocka_unit_test(recurrent_layers_say_the_same_in_a_storm),
    };
    return storms_run(tests, sizeof(tests) / sizeof(tests[0]));
}
