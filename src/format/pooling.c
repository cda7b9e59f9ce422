/* format/pooling.c - see pooling.h. */
#include "format/pooling.h"

#include "format/config_priv.h"

#include <stdio.h>
#include <string.h>

#define MODULES_NAME   "modules.json"
#define POOLING_FOLDER "1_Pooling" /* where it is when no modules.json says */
#define MODE_BYTES     64
#define MAX_TYPE_BYTES 256 /* a dotted Python path */
#define MAX_MODULES    64  /* real ones have three or four */

/* Every switch there is, and what newer files call it; all others than the first three are known so that
 * they are not ignored. */
static const struct {
    const char *key;
    const char *word;
    krs_pooling_mode mode;
} switches[] = {
    {"pooling_mode_lasttoken", "lasttoken", KRS_POOLING_MODE_LAST},
    {"pooling_mode_mean_tokens", "mean", KRS_POOLING_MODE_MEAN},
    {"pooling_mode_cls_token", "cls", KRS_POOLING_MODE_CLS},
    {"pooling_mode_max_tokens", "max", KRS_POOLING_MODE_OTHER},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", KRS_POOLING_MODE_OTHER},
    {"pooling_mode_weightedmean_tokens", "weightedmean", KRS_POOLING_MODE_OTHER},
};

#define N_SWITCHES (sizeof(switches) / sizeof(switches[0]))

/* "pooling_mode": absent leaves *out; a word we do not know is OTHER. */
static krs_status read_word(const json_t *root, krs_pooling_mode *out, krs_error *err)
{
    krs_str word = {NULL, 0};
    const krs_status status = krs_json_get_str(root, "pooling_mode", MODE_BYTES, &word, err);
    if (status != KRS_OK || word.len == 0) {
        return status;
    }
    *out = KRS_POOLING_MODE_OTHER;
    for (size_t i = 0; i < N_SWITCHES; i++) {
        if (krs_str_equal(word, krs_str_of(switches[i].word))) {
            *out = switches[i].mode;
        }
    }
    return KRS_OK;
}

krs_status krs_pooling_mode_read(const json_t *root, krs_pooling_mode *out, krs_error *err)
{
    *out = KRS_POOLING_MODE_UNSET;
    if (!json_is_object(root)) {
        return krs_fail(err, KRS_EFORMAT, "want a JSON object");
    }
    krs_pooling_mode mode = KRS_POOLING_MODE_UNSET;
    for (size_t i = 0; i < N_SWITCHES; i++) {
        bool is_on = false;
        const krs_status status = krs_json_get_bool(root, switches[i].key, &is_on, err);
        if (status != KRS_OK) {
            return status;
        }
        if (is_on) { /* several are joined into one longer vector: not ours either */
            mode = mode == KRS_POOLING_MODE_UNSET ? switches[i].mode : KRS_POOLING_MODE_OTHER;
        }
    }
    const krs_status status = mode == KRS_POOLING_MODE_UNSET ? read_word(root, &mode, err) : KRS_OK;
    *out = status == KRS_OK ? mode : KRS_POOLING_MODE_UNSET;
    return status;
}

/* A missing file is KRS_OK with *out NULL. */
static krs_status parse_if_there(const char *dir, const char *name, json_t **out, krs_error *err)
{
    const krs_status status = krs_config_parse_file(dir, name, NULL, out, err);
    if (status == KRS_ENOENT && err) {
        *err = (krs_error)KRS_ERROR_INIT;
    }
    return status == KRS_ENOENT ? KRS_OK : status;
}

static krs_status load_mode(const char *dir, krs_str folder, krs_pooling_mode *out, krs_error *err)
{
    char name[MODE_BYTES + sizeof("/config.json")];
    json_t *root = NULL;
    (void)snprintf(name, sizeof(name), "%.*s/config.json", KRS_STR_ARGS(folder));
    krs_status status = parse_if_there(dir, name, &root, err);
    if (status == KRS_OK && root) {
        status = krs_pooling_mode_read(root, out, err);
        json_decref(root);
        status = status == KRS_OK ? status : krs_config_blame_file(err, status, name);
    }
    return status;
}

/* "sentence_transformers.models.Dense" -> "Dense" */
static krs_str last_part(krs_str type)
{
    size_t at = type.len;
    while (at > 0 && type.ptr[at - 1] != '.') {
        at--;
    }
    return (krs_str){type.ptr + at, type.len - at};
}

/* A folder of ours: one name, not a way out of the model's, and all of it (a NUL would cut it short). */
static krs_status check_folder(krs_str folder, krs_error *err)
{
    const bool is_name = folder.len > 0 && folder.ptr[0] != '.' &&
                         memchr(folder.ptr, '/', folder.len) == NULL &&
                         memchr(folder.ptr, '\\', folder.len) == NULL &&
                         memchr(folder.ptr, '\0', folder.len) == NULL;
    return is_name ? KRS_OK
                   : krs_fail_field(err, KRS_EINVAL, "path", "path: \"%.*s\", want a folder's name",
                                    KRS_STR_ARGS(folder));
}

static krs_status read_module(const json_t *module, krs_pooling_files *out, krs_str *folder,
                              krs_error *err)
{
    krs_str type = {NULL, 0};
    krs_str path = {NULL, 0};
    krs_status status = krs_json_get_str(module, "type", MAX_TYPE_BYTES, &type, err);
    if (status == KRS_OK) {
        status = krs_json_get_str(module, "path", MODE_BYTES, &path, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    type = last_part(type);
    if (krs_str_equal(type, KRS_STR("Pooling"))) {
        *folder = path;
        return check_folder(path, err);
    }
    if (krs_str_equal(type, KRS_STR("Normalize"))) {
        out->is_normalised = true;
    } else if (!krs_str_equal(type, KRS_STR("Transformer")) && out->other[0] == '\0') {
        (void)snprintf(out->other, sizeof(out->other), "%.*s", KRS_STR_ARGS(type));
    }
    return KRS_OK;
}

krs_status krs_pooling_modules_read(const json_t *modules, krs_pooling_files *out, krs_str *folder,
                                    krs_error *err)
{
    if (!json_is_array(modules) || json_array_size(modules) > MAX_MODULES) {
        return krs_fail(err, KRS_EFORMAT, "want a list of at most %d modules", MAX_MODULES);
    }
    out->is_normalised = false;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(modules); i++) {
        const json_t *module = json_array_get(modules, i);
        status = json_is_object(module)
                     ? read_module(module, out, folder, err)
                     : krs_fail(err, KRS_EFORMAT, "module %zu: want a JSON object", i);
    }
    return status;
}

krs_status krs_pooling_load(const char *dir, krs_pooling_files *out, krs_error *err)
{
    json_t *modules = NULL;
    krs_str folder = KRS_STR(POOLING_FOLDER);
    *out = (krs_pooling_files){.is_normalised = true};
    krs_pooling_files files = *out;
    krs_status status = krs_config_parse_any(dir, MODULES_NAME, NULL, &modules, err);
    if (status == KRS_ENOENT) {
        status = KRS_OK;
        if (err) {
            *err = (krs_error)KRS_ERROR_INIT;
        }
    } else if (status == KRS_OK) {
        status = krs_pooling_modules_read(modules, &files, &folder, err);
        status = status == KRS_OK ? status : krs_config_blame_file(err, status, MODULES_NAME);
    }
    if (status == KRS_OK) {
        status = load_mode(dir, folder, &files.mode, err);
    }
    json_decref(modules);
    if (status == KRS_OK) {
        *out = files;
    }
    return status;
}
