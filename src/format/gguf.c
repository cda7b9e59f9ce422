/* format/gguf.c - see gguf.h: opening a file and its parts, and looking things up.
 *
 * A model in parts is opened by its first: only that one has the settings, and its name, which ends in
 * -00001-of-00003.gguf, gives the names of the others. Each part must say that it is the part its name
 * says, so that parts of two models, or a list with one missing, do not pass for a model. */
#include "format/gguf_priv.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PART_SUFFIX_BYTES 20 /* "-00001-of-00003.gguf" */

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order(((const krs_tensor *)a)->name, ((const krs_tensor *)b)->name);
}

/* All tensors are there: sort them, and freeze the directory. */
static krs_status finish(krs_gguf *gguf, const gguf_part *part, uint64_t file_bytes, krs_error *err)
{
    if (part->n_tensors >= 0 && part->n_tensors != gguf->n_tensors) {
        return krs_fail(err, KRS_EFORMAT, "split.tensors.count: %lld, the parts have %u",
                        (long long)part->n_tensors, gguf->n_tensors);
    }
    if (gguf->n_tensors > 1) {
        qsort(gguf->tensors, gguf->n_tensors, sizeof(gguf->tensors[0]), by_name);
    }
    for (uint32_t i = 1; i < gguf->n_tensors; i++) {
        if (by_name(&gguf->tensors[i - 1], &gguf->tensors[i]) == 0) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: its name stands twice",
                            GGUF_NAME_ARGS(gguf->tensors[i].name));
        }
    }
    gguf->dir = (krs_tensor_dir){.tensors = gguf->tensors,
                                 .n_tensors = gguf->n_tensors,
                                 .file_bytes = file_bytes,
                                 .maps = gguf->maps,
                                 .n_maps = gguf->n_maps};
    return KRS_OK;
}

static krs_gguf *new_empty(const krs_alloc *alloc, krs_error *err)
{
    krs_gguf *gguf = krs_alloc_zero(alloc, sizeof(*gguf));
    if (!gguf) {
        (void)krs_fail(err, KRS_ENOMEM, "GGUF file: %zu bytes", sizeof(*gguf));
        return NULL;
    }
    gguf->alloc = alloc;
    return gguf;
}

krs_status krs_gguf_parse(const unsigned char *file, size_t n_bytes, const krs_alloc *alloc,
                          krs_gguf **out, krs_error *err)
{
    *out = NULL;
    krs_gguf *gguf = new_empty(alloc, err);
    if (!gguf) {
        return KRS_ENOMEM;
    }
    gguf_part part = {0};
    krs_status status = krs_gguf_add_file(gguf, file, n_bytes, 0, &part, err);
    if (status == KRS_OK && part.count != 1) {
        status = krs_fail(err, KRS_EUNSUPPORTED, "part %lld of %lld, want a whole model",
                          (long long)part.no + 1, (long long)part.count);
    }
    if (status == KRS_OK) {
        status = finish(gguf, &part, n_bytes, err);
    }
    if (status != KRS_OK) {
        krs_gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return KRS_OK;
}

/* Map one file and add what it holds. */
static krs_status add_path(krs_gguf *gguf, const char *path, krs_os_map_mode mode, gguf_part *part,
                           krs_error *err)
{
    krs_os_map map;
    krs_status status = krs_os_map_open(path, mode, &map, err);
    if (status == KRS_OK) {
        const uint32_t shard = gguf->n_maps;
        gguf->maps[gguf->n_maps++] = map; /* closed with the rest, whatever comes of it */
        status = krs_gguf_add_file(gguf, map.data, map.n_bytes, shard, part, err);
    }
    const char *slash = strrchr(path, '/');
    const krs_str shown = krs_str_of(slash ? slash + 1 : path);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%.*s", GGUF_NAME_ARGS(shown));
}

/* The path of part `no` of `count`, after that of the first. */
static krs_status name_part(const char *first, int64_t no, int64_t count,
                            char out[KRS_OS_PATH_BYTES], krs_error *err)
{
    char suffix[PART_SUFFIX_BYTES * 4];
    (void)snprintf(suffix, sizeof(suffix), "-%05d-of-%05lld.gguf", 1, (long long)count);
    const size_t n = strlen(first);
    const size_t n_suffix = strlen(suffix);
    if (n < n_suffix || n >= KRS_OS_PATH_BYTES || strcmp(first + n - n_suffix, suffix) != 0) {
        return krs_fail(err, KRS_EFORMAT,
                        "the first of %lld parts, but its name does not end in %s",
                        (long long)count, suffix);
    }
    (void)snprintf(suffix, sizeof(suffix), "-%05lld-of-%05lld.gguf", (long long)no + 1,
                   (long long)count);
    memcpy(out, first, n + 1);
    memcpy(out + n - n_suffix, suffix, n_suffix + 1);
    return KRS_OK;
}

/* Parts 2 .. count of a model that began with `first`. */
static krs_status add_parts(krs_gguf *gguf, const char *path, krs_os_map_mode mode,
                            const gguf_part *first, krs_error *err)
{
    for (int64_t no = 1; no < first->count; no++) {
        char part_path[KRS_OS_PATH_BYTES];
        gguf_part part = {0};
        krs_status status = name_part(path, no, first->count, part_path, err);
        if (status == KRS_OK) {
            status = add_path(gguf, part_path, mode, &part, err);
        }
        if (status != KRS_OK) {
            return status;
        }
        if (part.no != no || part.count != first->count) {
            return krs_fail(err, KRS_EFORMAT,
                            "part %lld of %lld: the file says it is part %lld of %lld",
                            (long long)no + 1, (long long)first->count, (long long)part.no + 1,
                            (long long)part.count);
        }
    }
    return KRS_OK;
}

static krs_status open_all(krs_gguf *gguf, const char *path, krs_os_map_mode mode, krs_error *err)
{
    gguf->maps = krs_alloc_array(gguf->alloc, 1, sizeof(gguf->maps[0]));
    if (!gguf->maps) {
        return krs_fail(err, KRS_ENOMEM, "table of parts");
    }
    gguf_part part = {0};
    krs_status status = add_path(gguf, path, mode, &part, err);
    if (status == KRS_OK && part.no != 0) {
        return krs_fail(err, KRS_EINVAL, "part %lld of %lld: open the first part instead",
                        (long long)part.no + 1, (long long)part.count);
    }
    if (status == KRS_OK && part.count > 1) {
        krs_os_map *maps =
            krs_alloc_resize(gguf->alloc, gguf->maps, (size_t)part.count, sizeof(maps[0]));
        if (!maps) {
            return krs_fail(err, KRS_ENOMEM, "table of %lld parts", (long long)part.count);
        }
        gguf->maps = maps;
        status = add_parts(gguf, path, mode, &part, err);
    }
    uint64_t file_bytes = 0;
    for (uint32_t i = 0; i < gguf->n_maps; i++) {
        file_bytes += gguf->maps[i].n_bytes;
    }
    return status == KRS_OK ? finish(gguf, &part, file_bytes, err) : status;
}

krs_status krs_gguf_open(const char *path, krs_os_map_mode mode, const krs_alloc *alloc,
                         krs_gguf **out, krs_error *err)
{
    *out = NULL;
    krs_gguf *gguf = new_empty(alloc, err);
    if (!gguf) {
        return KRS_ENOMEM;
    }
    const krs_status status = open_all(gguf, path, mode, err);
    if (status != KRS_OK) {
        krs_gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return KRS_OK;
}

void krs_gguf_close(krs_gguf *gguf)
{
    if (!gguf) {
        return;
    }
    for (uint32_t i = 0; i < gguf->n_maps; i++) {
        krs_os_map_close(&gguf->maps[i]);
    }
    krs_alloc_free(gguf->alloc, gguf->maps);
    krs_alloc_free(gguf->alloc, gguf->values);
    krs_alloc_free(gguf->alloc, gguf->tensors);
    krs_alloc_free(gguf->alloc, gguf);
}

bool krs_gguf_is_path(const char *path)
{
    return krs_str_ends_with(krs_str_of(path), KRS_STR(".gguf"));
}

const krs_tensor_dir *krs_gguf_dir(const krs_gguf *gguf)
{
    return &gguf->dir;
}

uint32_t krs_gguf_version(const krs_gguf *gguf)
{
    return gguf->version;
}

uint32_t krs_gguf_n_shards(const krs_gguf *gguf)
{
    return gguf->n_maps ? gguf->n_maps : 1;
}

uint32_t krs_gguf_n_values(const krs_gguf *gguf)
{
    return gguf->n_values;
}

const krs_gguf_value *krs_gguf_value_at(const krs_gguf *gguf, uint32_t i)
{
    return i < gguf->n_values ? &gguf->values[i] : NULL;
}

const krs_gguf_value *krs_gguf_find(const krs_gguf *gguf, const char *key)
{
    const krs_str wanted = krs_str_of(key);
    uint32_t low = 0;
    uint32_t high = gguf->n_values;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = krs_tensor_name_order(wanted, gguf->values[middle].key);
        if (order == 0) {
            return &gguf->values[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
