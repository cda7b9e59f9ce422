/* format/gguf_read.c - one GGUF file, read and held against its bytes.
 *
 * Order: head, settings, tensor infos, padding, data. The counts of the head size two tables, so each is
 * first held against how many entries of the smallest possible size the rest of the file could have.
 * Then every tensor: a type that is known, dimensions whose product does not overflow, rows of whole
 * blocks, an offset on the alignment and bytes inside the data; and no two tensors share a byte.
 *
 * Source: ggml docs/gguf.md. What this guards against has happened elsewhere: sums of sizes that wrapped
 * and reads behind a buffer sized by a count (CVE-2025-49847, CVE-2026-7482, TALOS-2024-1913). */
#include "format/gguf_priv.h"

#include "base/check.h"
#include "base/checked.h"
#include "tensor/gguf_block.h"

#include <stdlib.h>

#define MAGIC             0x46554747u /* "GGUF" */
#define MIN_VERSION       2u
#define MAX_VERSION       3u
#define DEFAULT_ALIGNMENT 32
#define MIN_VALUE_BYTES   13u /* an empty key's length, a type, one byte */
#define MIN_INFO_BYTES    24u /* an empty name's length, no dimensions, type, offset */
#define TYPES_BYTES       192 /* of the list of types in a message */

typedef struct file_head {
    uint32_t version;
    uint64_t n_tensors;
    uint64_t n_values;
} file_head;

static krs_status check_version(uint32_t version, krs_error *err)
{
    if (version >= MIN_VERSION && version <= MAX_VERSION) {
        return KRS_OK;
    }
    const uint32_t swapped = __builtin_bswap32(version);
    if (swapped >= 1 && swapped <= MAX_VERSION) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "a big-endian GGUF file, only little-endian is read");
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "GGUF version %u, want %u or %u", version, MIN_VERSION,
                    MAX_VERSION);
}

static krs_status read_head(gguf_cursor *cursor, file_head *out, krs_error *err)
{
    uint32_t magic;
    if (!krs_gguf_read_u32(cursor, &magic) || magic != MAGIC) {
        return krs_fail(err, KRS_EFORMAT, "no GGUF file: it does not begin with \"GGUF\"");
    }
    if (!krs_gguf_read_u32(cursor, &out->version)) {
        return krs_fail(err, KRS_EFORMAT, "%zu bytes, too short for a version", cursor->n_bytes);
    }
    const krs_status status = check_version(out->version, err);
    if (status != KRS_OK) {
        return status;
    }
    if (!krs_gguf_read_u64(cursor, &out->n_tensors) || !krs_gguf_read_u64(cursor, &out->n_values)) {
        return krs_fail(err, KRS_EFORMAT, "%zu bytes, too short for its counts", cursor->n_bytes);
    }
    return KRS_OK;
}

/* May n entries of at least `least` bytes each still come, and do we want that many? */
static krs_status check_count(const gguf_cursor *cursor, const char *what, uint64_t n, size_t least,
                              uint64_t max, krs_error *err)
{
    const size_t left = cursor->n_bytes - cursor->at;
    if (n > max) {
        return krs_fail(err, KRS_ETOOLARGE, "%llu %s, limit %llu", (unsigned long long)n, what,
                        (unsigned long long)max);
    }
    if (n > left / least) {
        return krs_fail(err, KRS_EFORMAT, "%llu %s, %zu bytes are left", (unsigned long long)n,
                        what, left);
    }
    return KRS_OK;
}

/* A key, or the name of a tensor: short, and safe to print. */
static krs_status read_name(gguf_cursor *cursor, const char *what, uint64_t i, krs_str *out,
                            krs_error *err)
{
    if (!krs_gguf_read_str(cursor, out)) {
        return krs_fail(err, KRS_EFORMAT, "%s %llu: the file ends at byte %zu, inside its name",
                        what, (unsigned long long)i, cursor->n_bytes);
    }
    if (out->len == 0 || out->len > KRS_GGUF_MAX_NAME_BYTES || !krs_str_is_plain(*out)) {
        return krs_fail(err, KRS_EFORMAT,
                        "%s %llu: a name of %zu bytes (want 1..%u), or with control characters",
                        what, (unsigned long long)i, out->len, KRS_GGUF_MAX_NAME_BYTES);
    }
    return KRS_OK;
}

static krs_status read_values(gguf_cursor *cursor, krs_gguf_value *values, uint32_t n,
                              krs_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_status status = read_name(cursor, "setting", i, &values[i].key, err);
        if (status != KRS_OK) {
            return status;
        }
        status = krs_gguf_read_value(cursor, &values[i], err);
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "%.*s", GGUF_NAME_ARGS(values[i].key));
        }
    }
    return KRS_OK;
}

static int by_key(const void *a, const void *b)
{
    return krs_tensor_name_order(((const krs_gguf_value *)a)->key,
                                 ((const krs_gguf_value *)b)->key);
}

static krs_status sort_values(krs_gguf_value *values, uint32_t n, krs_error *err)
{
    if (n > 1) {
        qsort(values, n, sizeof(values[0]), by_key);
    }
    for (uint32_t i = 1; i < n; i++) {
        if (by_key(&values[i - 1], &values[i]) == 0) {
            return krs_fail(err, KRS_EFORMAT, "%.*s: stands twice", GGUF_NAME_ARGS(values[i].key));
        }
    }
    return KRS_OK;
}

/* The settings of one file into *out (krs_alloc_free), by key. */
static krs_status read_settings(gguf_cursor *cursor, uint64_t n, const krs_alloc *alloc,
                                krs_gguf_value **out, krs_error *err)
{
    krs_status status =
        check_count(cursor, "settings", n, MIN_VALUE_BYTES, KRS_GGUF_MAX_VALUES, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_gguf_value *values = krs_alloc_array(alloc, (size_t)n, sizeof(values[0]));
    if (!values) {
        return krs_fail(err, KRS_ENOMEM, "table of %llu settings", (unsigned long long)n);
    }
    status = read_values(cursor, values, (uint32_t)n, err);
    if (status == KRS_OK) {
        status = sort_values(values, (uint32_t)n, err);
    }
    if (status != KRS_OK) {
        krs_alloc_free(alloc, values);
        return status;
    }
    *out = values;
    return KRS_OK;
}

static krs_status read_dims(gguf_cursor *cursor, krs_tensor *out, krs_error *err)
{
    uint32_t rank;
    if (!krs_gguf_read_u32(cursor, &rank)) {
        return krs_fail(err, KRS_EFORMAT, "the file ends before its dimensions");
    }
    if (rank > KRS_GGUF_MAX_RANK) {
        return krs_fail(err, KRS_EFORMAT, "%u dimensions, limit %d", rank, KRS_GGUF_MAX_RANK);
    }
    out->rank = (int32_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t n;
        if (!krs_gguf_read_u64(cursor, &n)) {
            return krs_fail(err, KRS_EFORMAT, "the file ends inside its dimensions");
        }
        if (n == 0 || n > INT64_MAX) {
            return krs_fail(err, KRS_EFORMAT, "dimension %u is %llu", i, (unsigned long long)n);
        }
        out->dims[rank - 1 - i] = (int64_t)n;
    }
    return KRS_OK;
}

/* NULL: not read here, as *err says. */
static const krs_gguf_type_info *find_type(uint32_t id, krs_error *err)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(id);
    if (info && info->n_bytes > 0) {
        return info;
    }
    char known[TYPES_BYTES];
    krs_gguf_type_list(known, sizeof(known));
    if (info) {
        (void)krs_fail(err, KRS_EUNSUPPORTED, "type %s, want one of %s", info->name, known);
    } else {
        (void)krs_fail(err, KRS_EUNSUPPORTED, "type number %u, want one of %s", id, known);
    }
    return NULL;
}

/* Bytes of the whole tensor: whole blocks in each row, products that fit. */
static krs_status size_tensor(const krs_gguf_type_info *type, krs_tensor *out, krs_error *err)
{
    const int64_t row = out->rank > 0 ? out->dims[out->rank - 1] : 1;
    if (row % type->n_elements != 0) {
        return krs_fail(err, KRS_EFORMAT, "rows of %lld do not divide into %s blocks of %u",
                        (long long)row, type->name, type->n_elements);
    }
    size_t n_bytes = type->n_bytes;
    bool fits = krs_size_mul(n_bytes, (size_t)row / type->n_elements, &n_bytes);
    for (int32_t i = 0; fits && i + 1 < out->rank; i++) {
        fits = krs_size_mul(n_bytes, (size_t)out->dims[i], &n_bytes);
    }
    if (!fits) {
        return krs_fail(err, KRS_EFORMAT, "its dimensions overflow");
    }
    out->n_bytes = n_bytes;
    return KRS_OK;
}

/* offset: kept in data until the data section is known. */
static krs_status read_info(gguf_cursor *cursor, krs_tensor *out, uint64_t *offset, krs_error *err)
{
    krs_status status = read_dims(cursor, out, err);
    if (status != KRS_OK) {
        return status;
    }
    uint32_t id;
    if (!krs_gguf_read_u32(cursor, &id) || !krs_gguf_read_u64(cursor, offset)) {
        return krs_fail(err, KRS_EFORMAT, "the file ends before its type and offset");
    }
    const krs_gguf_type_info *type = find_type(id, err);
    if (!type) {
        return KRS_EUNSUPPORTED;
    }
    out->dtype = type->dtype;
    out->quant = type->quant;
    return size_tensor(type, out, err);
}

static krs_status read_infos(gguf_cursor *cursor, krs_tensor *tensors, uint64_t *offsets,
                             uint32_t n, uint32_t shard, krs_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        tensors[i] = (krs_tensor){.shard = shard};
        krs_status status = read_name(cursor, "tensor", i, &tensors[i].name, err);
        if (status != KRS_OK) {
            return status;
        }
        status = read_info(cursor, &tensors[i], &offsets[i], err);
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "tensor %.*s", GGUF_NAME_ARGS(tensors[i].name));
        }
    }
    return KRS_OK;
}

/* Point each tensor into the data. */
static krs_status place_tensors(const gguf_cursor *cursor, size_t alignment, krs_tensor *tensors,
                                const uint64_t *offsets, uint32_t n, krs_error *err)
{
    size_t start = cursor->n_bytes;
    if (n > 0 && (!krs_size_round_up(cursor->at, alignment, &start) || start > cursor->n_bytes)) {
        return krs_fail(err, KRS_EFORMAT, "the file ends at byte %zu, before its data",
                        cursor->n_bytes);
    }
    const size_t n_data = cursor->n_bytes - start;
    for (uint32_t i = 0; i < n; i++) {
        krs_tensor *tensor = &tensors[i];
        if (offsets[i] % alignment != 0) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: offset %llu, not a multiple of %zu",
                            GGUF_NAME_ARGS(tensor->name), (unsigned long long)offsets[i],
                            alignment);
        }
        if (!krs_range_fits(offsets[i], tensor->n_bytes, n_data)) {
            return krs_fail(err, KRS_EFORMAT,
                            "tensor %.*s: %zu bytes at %llu, the file has %zu of data",
                            GGUF_NAME_ARGS(tensor->name), tensor->n_bytes,
                            (unsigned long long)offsets[i], n_data);
        }
        tensor->data = cursor->data + start + offsets[i];
    }
    return KRS_OK;
}

static int by_place(const void *a, const void *b)
{
    const uintptr_t x = (uintptr_t)((const krs_tensor *)a)->data;
    const uintptr_t y = (uintptr_t)((const krs_tensor *)b)->data;
    return (x > y) - (x < y);
}

static krs_status check_apart(krs_tensor *tensors, uint32_t n, krs_error *err)
{
    if (n > 1) {
        qsort(tensors, n, sizeof(tensors[0]), by_place);
    }
    for (uint32_t i = 1; i < n; i++) {
        const uintptr_t last = (uintptr_t)tensors[i - 1].data;
        if ((uintptr_t)tensors[i].data - last < tensors[i - 1].n_bytes) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: lies inside %.*s",
                            GGUF_NAME_ARGS(tensors[i].name), GGUF_NAME_ARGS(tensors[i - 1].name));
        }
    }
    return KRS_OK;
}

/* Room for n more, in one step: later parts append. */
static krs_status grow_tensors(krs_gguf *gguf, uint32_t n, uint64_t **offsets, krs_error *err)
{
    const size_t total = (size_t)gguf->n_tensors + n;
    *offsets = krs_alloc_array(gguf->alloc, n, sizeof((*offsets)[0]));
    krs_tensor *tensors =
        krs_alloc_resize(gguf->alloc, gguf->tensors, total ? total : 1, sizeof(gguf->tensors[0]));
    gguf->tensors = tensors ? tensors : gguf->tensors;
    if (!tensors || !*offsets) {
        krs_alloc_free(gguf->alloc, *offsets);
        return krs_fail(err, KRS_ENOMEM, "table of %zu tensors", total);
    }
    return KRS_OK;
}

static krs_status add_tensors(krs_gguf *gguf, gguf_cursor *cursor, uint64_t n, size_t alignment,
                              uint32_t shard, krs_error *err)
{
    krs_status status = check_count(cursor, "tensors", n, MIN_INFO_BYTES,
                                    KRS_GGUF_MAX_TENSORS - gguf->n_tensors, err);
    uint64_t *offsets = NULL;
    if (status == KRS_OK) {
        status = grow_tensors(gguf, (uint32_t)n, &offsets, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_tensor *tensors = gguf->tensors + gguf->n_tensors;
    status = read_infos(cursor, tensors, offsets, (uint32_t)n, shard, err);
    if (status == KRS_OK) {
        status = place_tensors(cursor, alignment, tensors, offsets, (uint32_t)n, err);
    }
    if (status == KRS_OK) {
        status = check_apart(tensors, (uint32_t)n, err);
    }
    krs_alloc_free(gguf->alloc, offsets);
    gguf->n_tensors += status == KRS_OK ? (uint32_t)n : 0;
    return status;
}

static krs_status read_alignment(const krs_gguf *file, size_t *out, krs_error *err)
{
    int64_t n = DEFAULT_ALIGNMENT;
    const krs_status status = krs_gguf_get_int(file, "general.alignment", KRS_GGUF_MIN_ALIGNMENT,
                                               KRS_GGUF_MAX_ALIGNMENT, &n, err);
    if (status == KRS_OK && (n & (n - 1)) != 0) {
        return krs_fail(err, KRS_EFORMAT, "general.alignment: %lld, want a power of two",
                        (long long)n);
    }
    *out = (size_t)n;
    return status;
}

static krs_status read_part(const krs_gguf *file, gguf_part *out, krs_error *err)
{
    *out = (gguf_part){0, 1, -1};
    krs_status status =
        krs_gguf_get_int(file, "split.count", 0, KRS_GGUF_MAX_SHARDS, &out->count, err);
    if (status == KRS_OK) {
        status = krs_gguf_get_int(file, "split.no", 0, KRS_GGUF_MAX_SHARDS - 1, &out->no, err);
    }
    if (status == KRS_OK) {
        status = krs_gguf_get_int(file, "split.tensors.count", 0, KRS_GGUF_MAX_TENSORS,
                                  &out->n_tensors, err);
    }
    out->count = out->count > 0 ? out->count : 1; /* 0 is what some tools write for a whole file */
    return status;
}

krs_status krs_gguf_add_file(krs_gguf *gguf, const unsigned char *file, size_t n_bytes,
                             uint32_t shard, gguf_part *part, krs_error *err)
{
    gguf_cursor cursor = {file, n_bytes, 0};
    file_head head = {0};
    krs_gguf own = {0}; /* this file's settings, for the readers by key */
    krs_status status = read_head(&cursor, &head, err);
    if (status == KRS_OK) {
        status = read_settings(&cursor, head.n_values, gguf->alloc, &own.values, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    own.n_values = (uint32_t)head.n_values;
    size_t alignment = DEFAULT_ALIGNMENT;
    status = read_alignment(&own, &alignment, err);
    if (status == KRS_OK) {
        status = read_part(&own, part, err);
    }
    if (status == KRS_OK) {
        status = add_tensors(gguf, &cursor, head.n_tensors, alignment, shard, err);
    }
    if (status != KRS_OK || shard > 0) {
        krs_alloc_free(gguf->alloc, own.values);
        return status;
    }
    gguf->values = own.values;
    gguf->n_values = own.n_values;
    gguf->version = head.version;
    return KRS_OK;
}
