/* support/storm_shapes.h - storms over models made on the spot: four layers of random weights of a family that has the
 * kind of block in question, with the demo model's tokenizer.
 *
 * What a kind gives the engine (experts group the rows of a step, recurrent layers keep states) is worth a storm under
 * sanitizers too; kinds that differ in arithmetic alone are held there by parity/.
 *
 * Thread: the test's own, beside the engine's.  Memory: a folder in the temporary directory for the time of a test. */
#pragma once

#include "support/storm_weather.h"
#include "support/synth_folder.h"

/* Storms of a kind: ENGINE_SEEDS of one that gives the engine something of its own, MATH_SEEDS of the others. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ENGINE_SEEDS 1
#define MATH_SEEDS   0
#else
#define ENGINE_SEEDS 100
#define MATH_SEEDS   100
#endif

/* Sizes all synthetic models share. */
#define SIZES                                                                                      \
    "\"vocab_size\": 2048, \"hidden_size\": 128, \"intermediate_size\": 256,"                      \
    "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"max_position_embeddings\": 1024,"     \
    "\"rms_norm_eps\": 1e-06, \"hidden_act\": \"silu\", \"bos_token_id\": 2027,"                   \
    "\"eos_token_id\": 2029, \"torch_dtype\": \"bfloat16\""

/* config: JSON of config.json. */
static inline void storms_of_shape(const char *config, uint64_t n_seeds)
{
    char dir[KRS_OS_PATH_BYTES];
    if (number_of("KRS_STORM_SEEDS", n_seeds) == 0) {
        skip();
    }
    krs_synth_folder_make(config, dir);
    const subject model = {dir, KRS_DTYPE_COUNT, NULL};
    storms_of(&model, n_seeds);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}
