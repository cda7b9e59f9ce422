/* format/safetensors.c - see safetensors.h.
 * The sorted table is the directory: no second one, and nothing a file could choose to make slow. */
#include "format/safetensors_priv.h"

#include "base/checked.h"

#include <stdlib.h>

#define ARENA_CHUNK_BYTES (64u * 1024u)

struct krs_safetensors {
    const krs_alloc *alloc;
    st_table table;
    krs_os_map *maps; /* [n_maps] one per shard */
    uint32_t n_maps;
    krs_tensor_dir dir; /* what open leaves behind */
};

void krs_st_table_init(st_table *table, const krs_alloc *alloc)
{
    *table = (st_table){.alloc = alloc};
    krs_arena_init(&table->arena, alloc, ARENA_CHUNK_BYTES, ST_ARENA_MAX_BYTES);
}

void krs_st_table_deinit(st_table *table)
{
    krs_alloc_free(table->alloc, table->tensors);
    krs_arena_deinit(&table->arena);
    *table = (st_table){.alloc = table->alloc};
}

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order(((const krs_tensor *)a)->name, ((const krs_tensor *)b)->name);
}

krs_status krs_st_table_sort(st_table *table, krs_error *err)
{
    if (table->n_tensors > 1) {
        qsort(table->tensors, table->n_tensors, sizeof(table->tensors[0]), by_name);
    }
    for (uint32_t i = 1; i < table->n_tensors; i++) {
        if (by_name(&table->tensors[i - 1], &table->tensors[i]) == 0) {
            const krs_str name = table->tensors[i].name;
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: its name stands twice",
                            ST_NAME_ARGS(name));
        }
    }
    return KRS_OK;
}

krs_status krs_safetensors_check(const unsigned char *file, size_t n_bytes, krs_error *err)
{
    st_table table;
    krs_st_table_init(&table, NULL);
    krs_status status = krs_st_table_add(&table, file, n_bytes, 0, err);
    if (status == KRS_OK) {
        status = krs_st_table_sort(&table, err);
    }
    krs_st_table_deinit(&table);
    return status;
}

static krs_status maps_reserve(krs_safetensors *st, uint32_t n, krs_error *err)
{
    st->maps = krs_alloc_array(st->alloc, n, sizeof(st->maps[0]));
    return st->maps ? KRS_OK : krs_fail(err, KRS_ENOMEM, "table of %u shards", n);
}

/* Map one file and add its tensors as the next shard. */
static krs_status add_file(krs_safetensors *st, const char *path, krs_str shown,
                           krs_os_map_mode mode, krs_error *err)
{
    krs_os_map map;
    krs_status status = krs_os_map_open(path, mode, &map, err);
    if (status != KRS_OK) {
        return status;
    }
    st->maps[st->n_maps] = map;
    status = krs_st_table_add(&st->table, map.data, map.n_bytes, st->n_maps, err);
    st->n_maps++; /* closed with the rest, whatever came of it */
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%.*s", ST_NAME_ARGS(shown));
}

static krs_status open_single(krs_safetensors *st, const char *path, krs_os_map_mode mode,
                              krs_error *err)
{
    const char *slash = strrchr(path, '/');
    const krs_str shown = krs_str_of(slash ? slash + 1 : path);
    krs_status status = maps_reserve(st, 1, err);
    if (status == KRS_OK) {
        status = add_file(st, path, shown, mode, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    status = krs_st_table_sort(&st->table, err);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%.*s", ST_NAME_ARGS(shown));
}

static krs_status add_shard(krs_safetensors *st, const char *dir, krs_str file,
                            krs_os_map_mode mode, krs_error *err)
{
    char name[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    if (file.len >= sizeof(name)) {
        return krs_fail(err, KRS_ETOOLARGE, "shard name of %zu bytes", file.len);
    }
    memcpy(name, file.ptr, file.len);
    name[file.len] = '\0';
    if (krs_os_path_join(dir, name, path, sizeof(path)) != KRS_OK) {
        return krs_fail(err, KRS_ETOOLARGE, "path of %s longer than %d bytes", name,
                        KRS_OS_PATH_BYTES);
    }
    const krs_status status = add_file(st, path, file, mode, err);
    return status == KRS_ENOENT
               ? krs_error_wrap(err, status, "a shard named by %s", KRS_ST_INDEX_NAME)
               : status;
}

static krs_status open_shards(krs_safetensors *st, const char *dir, const st_index *index,
                              krs_os_map_mode mode, krs_error *err)
{
    krs_status status = maps_reserve(st, index->n_files ? index->n_files : 1, err);
    for (uint32_t i = 0; status == KRS_OK && i < index->n_files; i++) {
        status = add_shard(st, dir, index->files[i], mode, err);
    }
    if (status == KRS_OK) {
        status = krs_st_table_sort(&st->table, err);
    }
    return status == KRS_OK ? krs_st_index_compare(index, &st->table, err) : status;
}

static krs_status open_indexed(krs_safetensors *st, const char *dir, const char *index_path,
                               krs_os_map_mode mode, krs_error *err)
{
    krs_buf text;
    krs_arena arena;
    st_index index;
    krs_buf_init(&text, st->alloc, KRS_ST_INDEX_MAX_BYTES);
    krs_arena_init(&arena, st->alloc, ARENA_CHUNK_BYTES, 2 * (size_t)KRS_ST_INDEX_MAX_BYTES);
    krs_status status = krs_os_file_read(index_path, &text, err);
    if (status == KRS_OK) {
        status = krs_st_index_parse(krs_buf_view(&text), &arena, &index, err);
        if (status != KRS_OK) {
            status = krs_error_wrap(err, status, KRS_ST_INDEX_NAME);
        }
    }
    if (status == KRS_OK) {
        status = open_shards(st, dir, &index, mode, err);
    }
    krs_arena_deinit(&arena);
    krs_buf_deinit(&text);
    return status;
}

/* A single file wins over an index beside it, as in transformers. */
static krs_status open_folder(krs_safetensors *st, const char *dir, krs_os_map_mode mode,
                              krs_error *err)
{
    char single[KRS_OS_PATH_BYTES];
    char index[KRS_OS_PATH_BYTES];
    if (krs_os_path_join(dir, KRS_ST_SINGLE_NAME, single, sizeof(single)) != KRS_OK ||
        krs_os_path_join(dir, KRS_ST_INDEX_NAME, index, sizeof(index)) != KRS_OK) {
        return krs_fail(err, KRS_ETOOLARGE, "path longer than %d bytes", KRS_OS_PATH_BYTES);
    }
    if (krs_os_path_kind(single) != KRS_OS_ABSENT) {
        return open_single(st, single, mode, err);
    }
    if (krs_os_path_kind(index) != KRS_OS_ABSENT) {
        return open_indexed(st, dir, index, mode, err);
    }
    return krs_fail(err, KRS_ENOENT, "no %s and no %s in this folder", KRS_ST_SINGLE_NAME,
                    KRS_ST_INDEX_NAME);
}

krs_status krs_safetensors_open(const char *path, krs_os_map_mode mode, const krs_alloc *alloc,
                                krs_safetensors **out, krs_error *err)
{
    *out = NULL;
    krs_safetensors *st = krs_alloc_zero(alloc, sizeof(*st));
    if (!st) {
        return krs_fail(err, KRS_ENOMEM, "model directory: %zu bytes", sizeof(*st));
    }
    st->alloc = alloc;
    krs_st_table_init(&st->table, alloc);
    const bool is_folder = krs_os_path_kind(path) == KRS_OS_DIR;
    const krs_status status =
        is_folder ? open_folder(st, path, mode, err) : open_single(st, path, mode, err);
    if (status != KRS_OK) {
        krs_safetensors_close(st);
        return status;
    }
    st->dir = (krs_tensor_dir){.tensors = st->table.tensors,
                               .n_tensors = st->table.n_tensors,
                               .maps = st->maps,
                               .n_maps = st->n_maps};
    for (uint32_t i = 0; i < st->n_maps; i++) {
        st->dir.file_bytes += st->maps[i].n_bytes;
    }
    *out = st;
    return KRS_OK;
}

void krs_safetensors_close(krs_safetensors *st)
{
    if (!st) {
        return;
    }
    for (uint32_t i = 0; i < st->n_maps; i++) {
        krs_os_map_close(&st->maps[i]);
    }
    krs_alloc_free(st->alloc, st->maps);
    krs_st_table_deinit(&st->table);
    krs_alloc_free(st->alloc, st);
}

const krs_tensor_dir *krs_safetensors_dir(const krs_safetensors *st)
{
    return &st->dir;
}

const krs_tensor *krs_safetensors_find(const krs_safetensors *st, krs_str name)
{
    return krs_tensor_dir_find(&st->dir, name);
}

uint32_t krs_safetensors_count(const krs_safetensors *st)
{
    return st->dir.n_tensors;
}

const krs_tensor *krs_safetensors_at(const krs_safetensors *st, uint32_t i)
{
    return i < st->dir.n_tensors ? &st->dir.tensors[i] : NULL;
}

uint64_t krs_safetensors_file_bytes(const krs_safetensors *st)
{
    return st->dir.file_bytes;
}
