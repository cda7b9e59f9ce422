/* format/safetensors_index.c - model.safetensors.index.json: which shard holds which tensor.
 *
 * The index is data from a stranger too: it names files, so a name may only be a plain file of the same
 * folder, and it makes claims about shards, so every claim is compared with what the shards hold, both
 * ways. A model of which the index and the files disagree is half a download or two models mixed.
 *
 * Source: huggingface_hub serialization guide (sharded checkpoints). */
#include "format/safetensors_priv.h"

#include "base/check.h"
#include "format/scan.h"

#include <stdlib.h>

#define FIRST_PLACES        1024u
#define MAX_FILE_NAME_BYTES 255u /* NAME_MAX on every file system in use */

/* A plain file of the same folder: no path, no hidden file, and what the format calls its files. */
static krs_status check_file_name(krs_str file, krs_error *err)
{
    const bool has_path = krs_str_find(file, KRS_STR("/"), 0) != SIZE_MAX ||
                          krs_str_find(file, KRS_STR("\\"), 0) != SIZE_MAX;
    if (file.len == 0 || file.len > MAX_FILE_NAME_BYTES || !krs_str_is_plain(file)) {
        return krs_fail(err, KRS_EFORMAT,
                        "a shard name of %zu bytes (want 1..%u), or with control "
                        "characters",
                        file.len, MAX_FILE_NAME_BYTES);
    }
    if (has_path || file.ptr[0] == '.' || !krs_str_ends_with(file, KRS_STR(".safetensors"))) {
        return krs_fail(err, KRS_EFORMAT,
                        "shard %.*s: want the name of a .safetensors file in this "
                        "folder",
                        ST_NAME_ARGS(file));
    }
    return KRS_OK;
}

/* Places grow inside the arena: at most twice the final size is spent on it. */
static krs_status grow_places(st_index *index, uint32_t *n_cap, krs_arena *arena, krs_error *err)
{
    if (index->n_places < *n_cap) {
        return KRS_OK;
    }
    if (index->n_places >= KRS_ST_MAX_TENSORS) {
        return krs_fail(err, KRS_ETOOLARGE, "more than %u tensors", KRS_ST_MAX_TENSORS);
    }
    const uint32_t n = *n_cap ? *n_cap * 2 : FIRST_PLACES;
    st_place *places = krs_arena_array(arena, n, sizeof(places[0]));
    if (!places) {
        return krs_fail(err, KRS_ENOMEM, "index of %u tensors", n);
    }
    if (index->n_places > 0) {
        memcpy(places, index->places, index->n_places * sizeof(places[0]));
    }
    index->places = places;
    *n_cap = n;
    return KRS_OK;
}

static krs_status read_place(krs_scan *scan, krs_str name, st_place *out, krs_error *err)
{
    if (!krs_str_is_plain(name)) {
        return krs_fail(err, KRS_EFORMAT, "a tensor's name with control characters");
    }
    *out = (st_place){.name = name};
    const krs_status status = krs_scan_str(scan, &out->file, err);
    return status == KRS_OK ? check_file_name(out->file, err) : status;
}

static krs_status read_weight_map(krs_scan *scan, st_index *out, krs_error *err)
{
    uint32_t n_cap = 0;
    krs_status status = krs_scan_open(scan, '{', err);
    while (status == KRS_OK) {
        bool has_entry;
        krs_str name;
        status = krs_scan_entry(scan, out->n_places, &has_entry, &name, err);
        if (!has_entry) {
            break;
        }
        status = grow_places(out, &n_cap, scan->arena, err);
        if (status == KRS_OK) {
            status = read_place(scan, name, &out->places[out->n_places], err);
            out->n_places += status == KRS_OK;
        }
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "weight_map");
}

/* The whole document; *has_map: a weight_map was there. */
static krs_status read_document(krs_scan *scan, st_index *out, bool *has_map, krs_error *err)
{
    krs_status status = krs_scan_open(scan, '{', err);
    for (size_t n = 0; status == KRS_OK; n++) {
        bool has_entry;
        krs_str key;
        status = krs_scan_entry(scan, n, &has_entry, &key, err);
        if (!has_entry) {
            break;
        }
        if (krs_str_equal(key, KRS_STR("weight_map"))) {
            if (*has_map) {
                return krs_fail(err, KRS_EFORMAT, "weight_map stands twice");
            }
            *has_map = true;
            status = read_weight_map(scan, out, err);
        } else {
            status = krs_scan_skip(scan, err); /* "metadata": totals that nobody needs to believe */
        }
    }
    return status == KRS_OK ? krs_scan_end(scan, err) : status;
}

static int by_file(const void *a, const void *b)
{
    return krs_tensor_name_order(((const st_place *)a)->file, ((const st_place *)b)->file);
}

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order(((const st_place *)a)->name, ((const st_place *)b)->name);
}

/* Number the distinct files; places are sorted by file. */
static krs_status number_files(st_index *index, krs_arena *arena, krs_error *err)
{
    for (uint32_t i = 0; i < index->n_places; i++) {
        index->n_files += i == 0 || by_file(&index->places[i - 1], &index->places[i]) != 0;
        index->places[i].shard = index->n_files - 1;
    }
    if (index->n_files > KRS_ST_MAX_SHARDS) {
        return krs_fail(err, KRS_ETOOLARGE, "%u shards, limit %u", index->n_files,
                        KRS_ST_MAX_SHARDS);
    }
    index->files = krs_arena_array(arena, index->n_files, sizeof(index->files[0]));
    if (!index->files) {
        return krs_fail(err, KRS_ENOMEM, "list of %u shards", index->n_files);
    }
    for (uint32_t i = 0; i < index->n_places; i++) {
        index->files[index->places[i].shard] = index->places[i].file;
    }
    return KRS_OK;
}

static krs_status check_names(const st_index *index, krs_error *err)
{
    for (uint32_t i = 1; i < index->n_places; i++) {
        if (by_name(&index->places[i - 1], &index->places[i]) == 0) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: its name stands twice",
                            ST_NAME_ARGS(index->places[i].name));
        }
    }
    return KRS_OK;
}

krs_status krs_st_index_parse(krs_str text, krs_arena *arena, st_index *out, krs_error *err)
{
    *out = (st_index){NULL, 0, NULL, 0};
    krs_scan scan = {text, 0, arena};
    bool has_map = false;
    krs_status status = read_document(&scan, out, &has_map, err);
    if (status == KRS_OK && out->n_places == 0) {
        return krs_fail(err, KRS_EFORMAT, has_map ? "weight_map is empty" : "no weight_map");
    }
    if (status == KRS_OK) {
        qsort(out->places, out->n_places, sizeof(out->places[0]), by_file);
        status = number_files(out, arena, err);
    }
    if (status == KRS_OK) {
        qsort(out->places, out->n_places, sizeof(out->places[0]), by_name);
        status = check_names(out, err);
    }
    return status;
}

/* Which name comes first; a list that has ended (NULL) comes last. */
static int order_of(const st_place *place, const krs_tensor *entry)
{
    if (!place || !entry) {
        return entry ? 1 : -1;
    }
    return krs_tensor_name_order(place->name, entry->name);
}

krs_status krs_st_index_compare(const st_index *index, const st_table *table, krs_error *err)
{
    uint32_t i = 0;
    uint32_t t = 0;
    while (i < index->n_places || t < table->n_tensors) {
        const st_place *place = i < index->n_places ? &index->places[i] : NULL;
        const krs_tensor *entry = t < table->n_tensors ? &table->tensors[t] : NULL;
        const int order = order_of(place, entry);
        if (order < 0) {
            KRS_DCHECK(place); /* one of the two lists goes on, or the loop had ended */
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: not in %.*s, where %s puts it",
                            ST_NAME_ARGS(place->name), ST_NAME_ARGS(place->file),
                            KRS_ST_INDEX_NAME);
        }
        if (order > 0) {
            KRS_DCHECK(entry);
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: in %.*s, but not in %s",
                            ST_NAME_ARGS(entry->name), ST_NAME_ARGS(index->files[entry->shard]),
                            KRS_ST_INDEX_NAME);
        }
        KRS_DCHECK(place && entry); /* equal names: neither list has ended */
        if (place->shard != entry->shard) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: in %.*s, but %s puts it elsewhere",
                            ST_NAME_ARGS(entry->name), ST_NAME_ARGS(index->files[entry->shard]),
                            KRS_ST_INDEX_NAME);
        }
        i++;
        t++;
    }
    return KRS_OK;
}
