/* format/safetensors_header.c - one file's header, read and held against the file.
 *
 * Per tensor: the dtype exists, the rank and every dimension fit, the product does not overflow, the
 * offsets are in order and inside the data, and their distance is exactly the tensor's size. Then, in
 * the order of their offsets, the tensors must tile the data section: no overlap, no hole, no byte
 * left over. So a file has one reading only, and nothing can hide between tensors.
 *
 * Source: huggingface/safetensors format, README at v0.4. */
#include "format/safetensors_priv.h"

#include "base/check.h"
#include "base/checked.h"
#include "format/scan.h"

#include <stdlib.h>

#define LENGTH_BYTES   8u
#define FIRST_CAP      64u   /* tensors of the first growth */
#define MAX_NAME_BYTES 1024u /* the longest real names stay under 200 */

static krs_status grow(st_table *table, krs_error *err)
{
    if (table->n_tensors < table->n_cap) {
        return KRS_OK;
    }
    if (table->n_tensors >= KRS_ST_MAX_TENSORS) {
        return krs_fail(err, KRS_ETOOLARGE, "more than %u tensors", KRS_ST_MAX_TENSORS);
    }
    const uint32_t n_cap = table->n_cap ? table->n_cap * 2 : FIRST_CAP;
    krs_tensor *tensors =
        krs_alloc_resize(table->alloc, table->tensors, n_cap, sizeof(table->tensors[0]));
    if (!tensors) {
        return krs_fail(err, KRS_ENOMEM, "table of %u tensors", n_cap);
    }
    table->tensors = tensors;
    table->n_cap = n_cap;
    return KRS_OK;
}

/* What the header says of one tensor, before it is believed. */
typedef struct st_claim {
    krs_str name;
    krs_str dtype;
    uint64_t dims[KRS_TENSOR_MAX_RANK];
    uint32_t rank;
    uint64_t begin;
    uint64_t end;
    bool has_dtype;
    bool has_shape;
    bool has_offsets;
} st_claim;

/* List of whole numbers into out[max]; *n: how many. */
static krs_status read_numbers(krs_scan *scan, const char *field, uint32_t max, uint64_t *out,
                               uint32_t *n, krs_error *err)
{
    krs_status status = krs_scan_open(scan, '[', err);
    *n = 0;
    while (status == KRS_OK) {
        bool has_item;
        status = krs_scan_item(scan, ']', *n, &has_item, err);
        if (!has_item) {
            break;
        }
        if (*n == max) {
            return krs_fail(err, KRS_EUNSUPPORTED, "%s has more than %u numbers", field, max);
        }
        status = krs_scan_u64(scan, &out[*n], err);
        *n += status == KRS_OK;
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "%s", field);
}

static krs_status read_offsets(krs_scan *scan, st_claim *out, krs_error *err)
{
    uint64_t pair[2];
    uint32_t n;
    const krs_status status = read_numbers(scan, "data_offsets", 2, pair, &n, err);
    if (status != KRS_OK) {
        return status;
    }
    if (n != 2) {
        return krs_fail(err, KRS_EFORMAT, "data_offsets has %u numbers, want 2", n);
    }
    out->begin = pair[0];
    out->end = pair[1];
    return KRS_OK;
}

/* Mark a field as seen; a second time is a lie. */
static krs_status see(bool *has, krs_str field, krs_error *err)
{
    if (*has) {
        return krs_fail(err, KRS_EFORMAT, "%.*s stands twice", KRS_STR_ARGS(field));
    }
    *has = true;
    return KRS_OK;
}

static krs_status read_field(krs_scan *scan, krs_str field, st_claim *out, krs_error *err)
{
    krs_status status;
    if (krs_str_equal(field, KRS_STR("dtype"))) {
        status = see(&out->has_dtype, field, err);
        return status == KRS_OK ? krs_scan_str(scan, &out->dtype, err) : status;
    }
    if (krs_str_equal(field, KRS_STR("shape"))) {
        status = see(&out->has_shape, field, err);
        return status == KRS_OK
                   ? read_numbers(scan, "shape", KRS_TENSOR_MAX_RANK, out->dims, &out->rank, err)
                   : status;
    }
    if (krs_str_equal(field, KRS_STR("data_offsets"))) {
        status = see(&out->has_offsets, field, err);
        return status == KRS_OK ? read_offsets(scan, out, err) : status;
    }
    return krs_str_is_plain(field)
               ? krs_fail(err, KRS_EFORMAT, "unknown field %.*s", ST_NAME_ARGS(field))
               : krs_fail(err, KRS_EFORMAT, "unknown field");
}

static krs_status read_claim(krs_scan *scan, st_claim *out, krs_error *err)
{
    krs_status status = krs_scan_open(scan, '{', err);
    for (size_t n = 0; status == KRS_OK; n++) {
        bool has_entry;
        krs_str field;
        status = krs_scan_entry(scan, n, &has_entry, &field, err);
        if (!has_entry) {
            break;
        }
        status = read_field(scan, field, out, err);
    }
    if (status == KRS_OK && !(out->has_dtype && out->has_shape && out->has_offsets)) {
        const char *what = !out->has_dtype ? "dtype" : !out->has_shape ? "shape" : "data_offsets";
        return krs_fail(err, KRS_EFORMAT, "%s is missing", what);
    }
    return status;
}

/* Bytes of a tensor of this shape. */
static krs_status claimed_bytes(const st_claim *claim, krs_dtype dtype, uint64_t *out,
                                krs_error *err)
{
    uint64_t n = krs_dtype_bytes(dtype);
    bool is_empty = false;
    for (uint32_t i = 0; i < claim->rank; i++) {
        if (claim->dims[i] > INT64_MAX) {
            return krs_fail(err, KRS_EFORMAT, "shape: dimension %u is %llu, limit 2^63", i,
                            (unsigned long long)claim->dims[i]);
        }
        is_empty = is_empty || claim->dims[i] == 0;
    }
    for (uint32_t i = 0; i < claim->rank && !is_empty; i++) {
        if (__builtin_mul_overflow(n, claim->dims[i], &n) || n > INT64_MAX) {
            return krs_fail(err, KRS_EFORMAT, "shape: more than 2^63 bytes at dimension %u", i);
        }
    }
    *out = is_empty ? 0 : n;
    return KRS_OK;
}

static krs_status check_claim(const st_claim *claim, krs_dtype *dtype, uint64_t data_bytes,
                              krs_error *err)
{
    *dtype = krs_dtype_of_name(claim->dtype);
    if (*dtype == KRS_DTYPE_COUNT) {
        const krs_str shown = krs_str_is_plain(claim->dtype) ? claim->dtype : KRS_STR("?");
        return krs_fail(err, KRS_EUNSUPPORTED, "dtype %.*s is unknown", ST_NAME_ARGS(shown));
    }
    uint64_t n_bytes = 0;
    const krs_status status = claimed_bytes(claim, *dtype, &n_bytes, err);
    if (status != KRS_OK) {
        return status;
    }
    const unsigned long long begin = claim->begin;
    const unsigned long long end = claim->end;
    if (begin > end) {
        return krs_fail(err, KRS_EFORMAT, "data_offsets: %llu to %llu runs backwards", begin, end);
    }
    if (end > data_bytes) {
        return krs_fail(err, KRS_EFORMAT, "data_offsets: ends at %llu, the file has %llu bytes",
                        end, (unsigned long long)data_bytes);
    }
    if (end - begin != n_bytes) {
        return krs_fail(err, KRS_EFORMAT, "data_offsets: %llu bytes, %s of this shape takes %llu",
                        end - begin, krs_dtype_name(*dtype), (unsigned long long)n_bytes);
    }
    return KRS_OK;
}

/* The data section of one file. */
typedef struct st_section {
    const unsigned char *data;
    uint64_t n_bytes;
    uint32_t shard;
} st_section;

static krs_status add_tensor(st_table *table, krs_scan *scan, krs_str name,
                             const st_section *section, krs_error *err)
{
    if (name.len == 0 || name.len > MAX_NAME_BYTES || !krs_str_is_plain(name)) {
        return krs_fail(err, KRS_EFORMAT,
                        "a tensor's name of %zu bytes (want 1..%u), or with control "
                        "characters",
                        name.len, MAX_NAME_BYTES);
    }
    st_claim said = {.name = name};
    krs_dtype dtype = KRS_DTYPE_COUNT;
    krs_status status = read_claim(scan, &said, err);
    if (status == KRS_OK) {
        status = check_claim(&said, &dtype, section->n_bytes, err);
    }
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "tensor %.*s", ST_NAME_ARGS(name));
    }
    status = grow(table, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_tensor *tensor = &table->tensors[table->n_tensors++];
    *tensor = (krs_tensor){.name = name,
                           .dtype = dtype,
                           .rank = (int32_t)said.rank,
                           .data = section->data + said.begin,
                           .n_bytes = (size_t)(said.end - said.begin),
                           .shard = section->shard};
    for (uint32_t i = 0; i < said.rank; i++) {
        tensor->dims[i] = (int64_t)said.dims[i];
    }
    return KRS_OK;
}

/* "__metadata__": strings only; kr-serve keeps none of them. */
static krs_status read_metadata(krs_scan *scan, krs_error *err)
{
    krs_status status = krs_scan_open(scan, '{', err);
    for (size_t n = 0; status == KRS_OK; n++) {
        bool has_entry;
        krs_str text;
        status = krs_scan_entry(scan, n, &has_entry, &text, err);
        if (!has_entry) {
            break;
        }
        status = krs_scan_str(scan, &text, err);
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "__metadata__");
}

static krs_status read_header(st_table *table, krs_str header, const st_section *section,
                              krs_error *err)
{
    krs_scan scan = {header, 0, &table->arena};
    bool has_metadata = false;
    /* The format wants '{' as the very first byte: no space, no mark before it. */
    krs_status status = header.len > 0 && header.ptr[0] == '{'
                            ? krs_scan_open(&scan, '{', err)
                            : krs_fail(err, KRS_EFORMAT, "header does not begin with '{'");
    for (size_t n = 0; status == KRS_OK; n++) {
        bool has_entry;
        krs_str name;
        status = krs_scan_entry(&scan, n, &has_entry, &name, err);
        if (!has_entry) {
            break;
        }
        if (krs_str_equal(name, KRS_STR("__metadata__"))) {
            status = see(&has_metadata, name, err);
            status = status == KRS_OK ? read_metadata(&scan, err) : status;
        } else {
            status = add_tensor(table, &scan, name, section, err);
        }
    }
    return status == KRS_OK ? krs_scan_end(&scan, err) : status;
}

static int by_offset(const void *a, const void *b)
{
    const krs_tensor *x = a;
    const krs_tensor *y = b;
    if (x->data != y->data) {
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    }
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* Do tensors[first ..] tile the section? */
static krs_status check_layout(st_table *table, uint32_t first, const st_section *section,
                               krs_error *err)
{
    const uint32_t n = table->n_tensors - first;
    krs_tensor *tensors = n > 0 ? table->tensors + first : NULL;
    if (n > 1) {
        qsort(tensors, n, sizeof(tensors[0]), by_offset);
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const krs_tensor *tensor = &tensors[i];
        const uint64_t begin = (uint64_t)((uintptr_t)tensor->data - (uintptr_t)section->data);
        if (begin < at) {
            return krs_fail(err, KRS_EFORMAT,
                            "tensor %.*s: starts at %llu, inside %.*s, "
                            "which ends at %llu",
                            ST_NAME_ARGS(tensor->name), (unsigned long long)begin,
                            ST_NAME_ARGS(tensors[i - 1].name), (unsigned long long)at);
        }
        if (begin > at) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: starts at %llu, a hole of %llu bytes",
                            ST_NAME_ARGS(tensor->name), (unsigned long long)begin,
                            (unsigned long long)(begin - at));
        }
        at += tensor->n_bytes;
    }
    return at == section->n_bytes ? KRS_OK
                                  : krs_fail(err, KRS_EFORMAT, "%llu bytes after the last tensor",
                                             (unsigned long long)(section->n_bytes - at));
}

static uint64_t read_length(const unsigned char *file)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < LENGTH_BYTES; i++) {
        n |= (uint64_t)file[i] << (8 * i);
    }
    return n;
}

krs_status krs_st_table_add(st_table *table, const unsigned char *file, size_t n_bytes,
                            uint32_t shard, krs_error *err)
{
    if (n_bytes < LENGTH_BYTES) {
        return krs_fail(err, KRS_EFORMAT, "%zu bytes, too short for a header length", n_bytes);
    }
    const uint64_t header_bytes = read_length(file);
    if (header_bytes > KRS_ST_MAX_HEADER_BYTES) {
        return krs_fail(err, KRS_ETOOLARGE, "header of %llu bytes, limit %u",
                        (unsigned long long)header_bytes, KRS_ST_MAX_HEADER_BYTES);
    }
    if (header_bytes > n_bytes - LENGTH_BYTES) {
        return krs_fail(err, KRS_EFORMAT, "header of %llu bytes in a file of %zu",
                        (unsigned long long)header_bytes, n_bytes);
    }
    const krs_str header = {(const char *)file + LENGTH_BYTES, (size_t)header_bytes};
    const st_section section = {file + LENGTH_BYTES + header_bytes,
                                n_bytes - LENGTH_BYTES - header_bytes, shard};
    const uint32_t first = table->n_tensors;
    krs_status status = read_header(table, header, &section, err);
    if (status == KRS_OK) {
        status = check_layout(table, first, &section, err);
    }
    if (status != KRS_OK) {
        table->n_tensors = first;
    }
    return status;
}
