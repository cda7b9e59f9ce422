/* format/generation.c - generation_config.json: how the model's authors would sample from it.
 *
 * Only the fields that our samplers know are read; the file holds dozens more that transformers dumps
 * along. Out-of-range values are errors rather than clamped: the file would mean something else. */
#include "format/config_priv.h"

#include <math.h>

#define GENERATION_NAME "generation_config.json"
#define MAX_TEMPERATURE 100.0
#define MAX_PENALTY     100.0
#define MAX_TOP_K       (1 << 22) /* the largest vocabulary there is */

static krs_status read_reals(const json_t *root, krs_generation_config *out, krs_error *err)
{
    krs_status status =
        krs_json_get_double(root, "temperature", 0.0, MAX_TEMPERATURE, &out->temperature, err);
    if (status == KRS_OK) {
        status = krs_json_get_double(root, "top_p", 0.0, 1.0, &out->top_p, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(root, "min_p", 0.0, 1.0, &out->min_p, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(root, "repetition_penalty", 1e-3, MAX_PENALTY,
                                     &out->repetition_penalty, err);
    }
    return status;
}

krs_status krs_generation_config_read(const json_t *root, krs_generation_config *out,
                                      krs_error *err)
{
    krs_generation_config config = {.temperature = (double)NAN,
                                    .top_p = (double)NAN,
                                    .min_p = (double)NAN,
                                    .repetition_penalty = (double)NAN,
                                    .top_k = -1,
                                    .do_sample = -1,
                                    .bos_id = -1};
    *out = config;
    if (!json_is_object(root)) {
        return krs_fail(err, KRS_EFORMAT, "want a JSON object");
    }
    krs_status status = read_reals(root, &config, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(root, "top_k", -1, MAX_TOP_K, &config.top_k, err);
    }
    const bool has_switch = json_is_boolean(json_object_get(root, "do_sample"));
    bool is_sampled = false;
    if (status == KRS_OK) {
        status = krs_json_get_bool(root, "do_sample", &is_sampled, err);
        config.do_sample = has_switch ? is_sampled : -1;
    }
    if (status == KRS_OK) {
        status = krs_config_read_eos(root, config.eos_ids, &config.n_eos, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(root, "bos_token_id", -1, KRS_CONFIG_MAX_VOCAB - 1,
                                  &config.bos_id, err);
    }
    if (status == KRS_OK) {
        *out = config;
    }
    return status;
}

krs_status krs_generation_config_load(const char *dir, krs_generation_config *out, krs_error *err)
{
    json_t *root = json_object();
    if (!root) {
        return krs_fail(err, KRS_ENOMEM, GENERATION_NAME);
    }
    krs_status status = krs_generation_config_read(root, out, err); /* nothing set */
    json_decref(root);
    if (status == KRS_OK) {
        status = krs_config_parse_file(dir, GENERATION_NAME, NULL, &root, err);
    }
    if (status == KRS_ENOENT) {
        if (err) {
            *err = (krs_error)KRS_ERROR_INIT;
        }
        return KRS_OK;
    }
    if (status != KRS_OK) {
        return status;
    }
    status = krs_generation_config_read(root, out, err);
    json_decref(root);
    return status == KRS_OK ? KRS_OK : krs_config_blame_file(err, status, GENERATION_NAME);
}
