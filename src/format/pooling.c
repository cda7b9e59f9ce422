/* format/pooling.c - see pooling.h. */
#include "format/pooling.h"

#include "format/config_priv.h"

#define POOLING_NAME "1_Pooling/config.json"

/* Every switch there is; all others than the first two are known so that they are not ignored. */
static const struct {
    const char *key;
    krs_pooling_mode mode;
} switches[] = {
    {"pooling_mode_lasttoken", KRS_POOLING_MODE_LAST},
    {"pooling_mode_mean_tokens", KRS_POOLING_MODE_MEAN},
    {"pooling_mode_cls_token", KRS_POOLING_MODE_OTHER},
    {"pooling_mode_max_tokens", KRS_POOLING_MODE_OTHER},
    {"pooling_mode_mean_sqrt_len_tokens", KRS_POOLING_MODE_OTHER},
    {"pooling_mode_weightedmean_tokens", KRS_POOLING_MODE_OTHER},
};

krs_status krs_pooling_mode_read(const json_t *root, krs_pooling_mode *out, krs_error *err)
{
    *out = KRS_POOLING_MODE_UNSET;
    if (!json_is_object(root)) {
        return krs_fail(err, KRS_EFORMAT, "want a JSON object");
    }
    krs_pooling_mode mode = KRS_POOLING_MODE_UNSET;
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        bool is_on = false;
        const krs_status status = krs_json_get_bool(root, switches[i].key, &is_on, err);
        if (status != KRS_OK) {
            return status;
        }
        if (is_on) { /* several are joined into one longer vector: not ours either */
            mode = mode == KRS_POOLING_MODE_UNSET ? switches[i].mode : KRS_POOLING_MODE_OTHER;
        }
    }
    *out = mode;
    return KRS_OK;
}

krs_status krs_pooling_mode_load(const char *dir, krs_pooling_mode *out, krs_error *err)
{
    json_t *root = NULL;
    *out = KRS_POOLING_MODE_UNSET;
    krs_status status = krs_config_parse_file(dir, POOLING_NAME, NULL, &root, err);
    if (status == KRS_ENOENT) {
        if (err) {
            *err = (krs_error)KRS_ERROR_INIT;
        }
        return KRS_OK;
    }
    if (status == KRS_OK) {
        status = krs_pooling_mode_read(root, out, err);
        json_decref(root);
        status = status == KRS_OK ? status : krs_config_blame_file(err, status, POOLING_NAME);
    }
    return status;
}
