/* format/safetensors_priv.h - the table that the parts of the safetensors reader build together.
 *
 * One file at a time is appended (safetensors_header.c), the whole is sorted by name and compared with
 * the index, if there is one (safetensors_index.c), and frozen (safetensors.c).
 *
 * Thread: one owner until open returns.  Memory: tensors and arena from the table's allocator. */
#pragma once

#include "base/arena.h"
#include "format/safetensors.h"

#define ST_SHOWN_NAME_BYTES 90 /* of a tensor's name in a message, so that the reason still fits */
#define ST_ARENA_MAX_BYTES  (2u * KRS_ST_MAX_HEADER_BYTES) /* names with escapes, index text */

/* For printf("%.*s"): a name, cut to what a message can show. */
#define ST_NAME_ARGS(s)                                                                            \
    (int)((s).len > ST_SHOWN_NAME_BYTES ? ST_SHOWN_NAME_BYTES : (s).len), (s).ptr

typedef struct st_table {
    const krs_alloc *alloc;
    krs_arena arena;
    krs_tensor *tensors; /* [n_cap], n_tensors used */
    uint32_t n_tensors;
    uint32_t n_cap;
} st_table;

void krs_st_table_init(st_table *table, const krs_alloc *alloc);
void krs_st_table_deinit(st_table *table);

/* Append the tensors of one whole file in memory, which must outlive the table, as shard number
 * `shard`. Errors as krs_safetensors_open; tensors before this call are untouched. */
KRS_MUST_USE krs_status krs_st_table_add(st_table *table, const unsigned char *file, size_t n_bytes,
                                         uint32_t shard, krs_error *err);

/* Sort all tensors by name; a name that stands twice is KRS_EFORMAT. */
KRS_MUST_USE krs_status krs_st_table_sort(st_table *table, krs_error *err);

/* model.safetensors.index.json, parsed. Strings live in the text or the arena. */
typedef struct st_place {
    krs_str name;
    krs_str file;
    uint32_t shard; /* index into files */
} st_place;

typedef struct st_index {
    st_place *places; /* [n_places] by name */
    uint32_t n_places;
    krs_str *files; /* [n_files] distinct, sorted */
    uint32_t n_files;
} st_index;

#define KRS_ST_INDEX_NAME  "model.safetensors.index.json"
#define KRS_ST_SINGLE_NAME "model.safetensors"
#define KRS_ST_INDEX_MAX_BYTES                                                                     \
    (256u << 20) /* KRS_ST_MAX_TENSORS names of 200 bytes and their files */

/* text must outlive out; everything else is in the arena. Errors: KRS_EFORMAT, KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_st_index_parse(krs_str text, krs_arena *arena, st_index *out,
                                           krs_error *err);

/* Does the index say exactly what the shards hold? table is sorted. */
KRS_MUST_USE krs_status krs_st_index_compare(const st_index *index, const st_table *table,
                                             krs_error *err);
