/* tests/golden/test_storm_blocks.c - the same bytes whatever the load, for every kind of dense block. Experts, sinks,
 * latents and recurrence: test_storm_mixtures.c. The demo model itself: test_storm.c. */
#include "support/storm_shapes.h"

static void grouped_heads_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"llama\", \"num_key_value_heads\": 2,"
                    "\"tie_word_embeddings\": false, " SIZES "}",
                    MATH_SEEDS);
}

static void sliding_windows_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"mistral\", \"num_key_value_heads\": 2,"
                    "\"sliding_window\": 40, \"tie_word_embeddings\": false, " SIZES "}",
                    MATH_SEEDS);
}

static void biased_projections_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"qwen2\", \"num_key_value_heads\": 4,"
                    "\"use_sliding_window\": true, \"sliding_window\": 72,"
                    "\"max_window_layers\": 2, \"tie_word_embeddings\": true, " SIZES "}",
                    MATH_SEEDS);
}

static void normed_heads_say_the_same_in_a_storm(void **state)
{
    (void)state;
    storms_of_shape("{\"model_type\": \"qwen3\", \"num_key_value_heads\": 1, \"head_dim\": 48,"
                    "\"tie_word_embeddings\": true, \"quantization\": {\"group_size\": 32,"
                    "\"bits\": 8, \"mode\": \"affine\"}, " SIZES "}",
                    MATH_SEEDS);
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
    };
    return storms_run(tests, sizeof(tests) / sizeof(tests[0]));
}
