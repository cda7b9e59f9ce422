/* model/source.c - see source.h. */
#include "model/source.h"

#include "base/check.h"
#include "format/gguf_folder.h"
#include "format/safetensors.h"

struct krs_model_source {
    const krs_alloc *alloc;
    krs_os_map_mode mode;
    char *path;
    krs_gguf *gguf; /* NULL: a folder */
    krs_gguf_weights *weights;
    krs_safetensors *folder;
};

bool krs_model_source_is_gguf(const char *path)
{
    return krs_gguf_is_path(path);
}

/* Bytes of a GGUF file's name that are its model's. */
static size_t stem_len(const char *name)
{
    static const char part[] = "-#####-of-#####"; /* '#': a digit */
    size_t n = strlen(name) - strlen(".gguf");
    const size_t n_part = sizeof(part) - 1;
    bool is_part = n > n_part;
    for (size_t i = 0; is_part && i < n_part; i++) {
        const char c = name[n - n_part + i];
        is_part = part[i] == '#' ? c >= '0' && c <= '9' : c == part[i];
    }
    n -= is_part ? n_part : 0;
    return n > 0 ? n : strlen(name);
}

krs_status krs_model_source_name(const char *path, char room[KRS_OS_PATH_BYTES], const char **name,
                                 krs_error *err)
{
    *name = NULL;
    const krs_status status = krs_os_path_real(path, room, err);
    if (status != KRS_OK) {
        return status;
    }
    char *slash = strrchr(room, '/');
    char *last = slash && slash[1] ? slash + 1 : room;
    if (krs_model_source_is_gguf(last) && krs_os_path_kind(room) == KRS_OS_FILE) {
        last[stem_len(last)] = '\0';
    }
    *name = last;
    return KRS_OK;
}

/* Settings of a wrong type or range are a wrong file, to whoever gave it. */
static krs_status blame_settings(krs_status status, krs_error *err)
{
    return status == KRS_OK ? KRS_OK
                            : krs_error_wrap(err, status == KRS_EINVAL ? KRS_EFORMAT : status,
                                             "settings of the file");
}

static krs_status read_settings(krs_model_source *source, krs_model_config *config, krs_error *err)
{
    json_t *doc = NULL;
    krs_weight_changes changes;
    krs_status status = krs_gguf_config(source->gguf, &doc, &changes, err);
    if (status == KRS_OK) {
        status = blame_settings(krs_model_config_read(doc, source->alloc, config, err), err);
        config->changes = changes;
    }
    json_decref(doc);
    return status;
}

krs_status krs_model_source_open(const char *path, krs_os_map_mode mode, const krs_alloc *alloc,
                                 krs_model_config *config, krs_model_source **out, krs_error *err)
{
    *out = NULL;
    *config = (krs_model_config){.alloc = alloc};
    krs_model_source *source = krs_alloc_zero(alloc, sizeof(*source));
    if (!source) {
        return krs_fail(err, KRS_ENOMEM, "model: %zu bytes", sizeof(*source));
    }
    source->alloc = alloc;
    source->mode = mode;
    source->path = krs_alloc_text(alloc, path, strlen(path));
    krs_status status = source->path ? KRS_OK : krs_fail(err, KRS_ENOMEM, "path of the model");
    if (status == KRS_OK && krs_model_source_is_gguf(path)) {
        status = krs_gguf_open(path, mode, alloc, &source->gguf, err);
        status = status == KRS_OK ? read_settings(source, config, err) : status;
    } else if (status == KRS_OK) {
        status = krs_model_config_load(path, alloc, config, err);
    }
    if (status != KRS_OK) {
        krs_model_source_close(source);
        return status;
    }
    *out = source;
    return KRS_OK;
}

krs_status krs_model_source_open_tensors(krs_model_source *source, krs_error *err)
{
    return source->gguf ? krs_gguf_weights_new(source->gguf, source->alloc, &source->weights, err)
                        : krs_safetensors_open(source->path, source->mode, source->alloc,
                                               &source->folder, err);
}

const krs_tensor_dir *krs_model_source_tensors(const krs_model_source *source)
{
    KRS_CHECK(source->weights || source->folder);
    return source->weights ? krs_gguf_weights_dir(source->weights)
                           : krs_safetensors_dir(source->folder);
}

void krs_model_source_close(krs_model_source *source)
{
    if (source) {
        krs_gguf_weights_free(source->weights);
        krs_gguf_close(source->gguf);
        krs_safetensors_close(source->folder);
        krs_alloc_free(source->alloc, source->path);
        krs_alloc_free(source->alloc, source);
    }
}

/* One of the documents inside a GGUF file. */
typedef krs_status read_document(const krs_gguf *gguf, json_t **out, krs_error *err);

static krs_status open_document(const char *path, const krs_alloc *alloc, read_document *read,
                                json_t **out, krs_error *err)
{
    krs_gguf *gguf;
    *out = NULL;
    krs_status status = krs_gguf_open(path, KRS_OS_MAP_SHARED_PAGES, alloc, &gguf, err);
    if (status == KRS_OK) {
        status = read(gguf, out, err);
        krs_gguf_close(gguf);
    }
    return status;
}

krs_status krs_model_source_tokenizer(const char *path, const krs_alloc *alloc, krs_tokenizer **out,
                                      krs_error *err)
{
    *out = NULL;
    if (!krs_model_source_is_gguf(path)) {
        return krs_tokenizer_load(path, alloc, out, err);
    }
    json_t *doc;
    krs_status status = open_document(path, alloc, krs_gguf_tokenizer, &doc, err);
    if (status == KRS_OK) {
        status = krs_tokenizer_read(doc, alloc, out, err);
    }
    json_decref(doc);
    return status;
}

krs_status krs_model_source_chat_template(const char *path, const krs_alloc *alloc,
                                          krs_chat_template **out, krs_error *err)
{
    *out = NULL;
    if (!krs_model_source_is_gguf(path)) {
        return krs_chat_template_load(path, alloc, out, err);
    }
    json_t *doc;
    krs_status status = open_document(path, alloc, krs_gguf_tokenizer_config, &doc, err);
    if (status == KRS_OK) {
        status = krs_chat_template_read(doc, alloc, out, err);
    }
    json_decref(doc);
    return status;
}

krs_status krs_model_source_generation(const char *path, krs_generation_config *out, krs_error *err)
{
    if (!krs_model_source_is_gguf(path)) {
        return krs_generation_config_load(path, out, err);
    }
    json_t *doc = json_object();
    if (!doc) {
        return krs_fail(err, KRS_ENOMEM, "generation settings");
    }
    const krs_status status = krs_generation_config_read(doc, out, err);
    json_decref(doc);
    return status;
}

/* <architecture>.pooling_type, as numbered in files. */
static krs_status read_pooling(const krs_gguf *gguf, krs_pooling_mode *out, krs_error *err)
{
    static const krs_pooling_mode modes[] = {KRS_POOLING_MODE_UNSET, KRS_POOLING_MODE_MEAN,
                                             KRS_POOLING_MODE_CLS, KRS_POOLING_MODE_LAST};
    int64_t n = 0;
    const krs_status status = krs_gguf_pooling(gguf, &n, err);
    const bool is_known = n >= 0 && n < (int64_t)(sizeof(modes) / sizeof(modes[0]));
    *out = is_known ? modes[n] : KRS_POOLING_MODE_OTHER;
    return status;
}

krs_status krs_model_source_pooling(const char *path, krs_pooling_files *out, krs_error *err)
{
    if (!krs_model_source_is_gguf(path)) {
        return krs_pooling_load(path, out, err);
    }
    krs_gguf *gguf;
    *out = (krs_pooling_files){.is_normalised = true};
    krs_status status = krs_gguf_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, &gguf, err);
    if (status == KRS_OK) {
        status = read_pooling(gguf, &out->mode, err);
        krs_gguf_close(gguf);
    }
    return status;
}
