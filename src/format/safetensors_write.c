/* format/safetensors_write.c - see safetensors_write.h. */
#include "format/safetensors_write.h"

#include "base/buf.h"
#include "base/check.h"
#include "format/safetensors_priv.h"
#include "os/writer.h"
#include "wire/json.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_ALIGN     8u /* so that data of every dtype starts aligned */
#define LENGTH_BYTES     8u
#define SHARD_NAME_BYTES 48 /* "model-00001-of-00003.safetensors" */

struct krs_safetensors_writer {
    const krs_alloc *alloc;
    const krs_tensor *tensors; /* [n], borrowed */
    uint32_t n;
    uint32_t *shards; /* [n] number of each tensor's shard, from 0 */
    uint32_t n_shards;
    uint32_t next;    /* tensor the next byte belongs to */
    size_t n_put;     /* bytes of it already put */
    uint64_t n_total; /* of all data */
    krs_os_writer file;
    bool is_file;
    const char *format;
    char path[KRS_OS_PATH_BYTES]; /* of the folder, or of the one file */
};

/* Does n_bytes follow from dtype and shape? */
static krs_status check_tensor(const krs_tensor *tensor, krs_error *err)
{
    uint64_t n = krs_dtype_bytes(tensor->dtype);
    bool is_sound = n > 0 && tensor->rank >= 0 && tensor->rank <= KRS_TENSOR_MAX_RANK;
    for (int32_t i = 0; is_sound && i < tensor->rank; i++) {
        is_sound =
            tensor->dims[i] >= 0 && !__builtin_mul_overflow(n, (uint64_t)tensor->dims[i], &n);
    }
    if (!is_sound || n != tensor->n_bytes) {
        return krs_fail(err, KRS_EINVAL,
                        "tensor %.*s: %zu bytes are not what %s of its shape takes",
                        ST_NAME_ARGS(tensor->name), tensor->n_bytes, krs_dtype_name(tensor->dtype));
    }
    return KRS_OK;
}

/* Greedy, in order: a shard is closed by the first tensor that does not fit. */
static krs_status plan(krs_safetensors_writer *w, uint64_t max_shard_bytes, krs_error *err)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        const krs_status status = check_tensor(&w->tensors[i], err);
        if (status != KRS_OK) {
            return status;
        }
        const uint64_t n_bytes = w->tensors[i].n_bytes;
        const bool is_full =
            used > 0 && (n_bytes > max_shard_bytes || used > max_shard_bytes - n_bytes);
        w->n_shards += i == 0 || is_full;
        used = (is_full ? 0 : used) + n_bytes;
        w->shards[i] = w->n_shards - 1;
        w->n_total += n_bytes;
    }
    if (w->n_shards > KRS_ST_MAX_SHARDS) {
        return krs_fail(err, KRS_ETOOLARGE,
                        "%u shards, limit %u: shards of %" PRIu64 " bytes are too small",
                        w->n_shards, KRS_ST_MAX_SHARDS, max_shard_bytes);
    }
    return KRS_OK;
}

static void shard_name(const krs_safetensors_writer *w, uint32_t shard, char out[SHARD_NAME_BYTES])
{
    if (w->n_shards == 1) {
        (void)snprintf(out, SHARD_NAME_BYTES, "%s", KRS_ST_SINGLE_NAME);
        return;
    }
    (void)snprintf(out, SHARD_NAME_BYTES, "model-%05u-of-%05u.safetensors", shard + 1, w->n_shards);
}

static krs_status write_entry(const krs_tensor *tensor, uint64_t begin, krs_buf *out)
{
    krs_status status = krs_json_write_string(tensor->name, out);
    if (status == KRS_OK) {
        status =
            krs_buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", krs_dtype_name(tensor->dtype));
    }
    for (int32_t i = 0; status == KRS_OK && i < tensor->rank; i++) {
        status = krs_buf_printf(out, "%s%" PRId64, i > 0 ? "," : "", tensor->dims[i]);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin,
                                begin + tensor->n_bytes);
    }
    return status;
}

static krs_status write_entries(const krs_safetensors_writer *w, uint32_t first, krs_buf *out)
{
    uint64_t at = 0;
    krs_status status = KRS_OK;
    for (uint32_t i = first; status == KRS_OK && i < w->n && w->shards[i] == w->shards[first];
         i++) {
        status = krs_buf_append_char(out, ',');
        status = status == KRS_OK ? write_entry(&w->tensors[i], at, out) : status;
        at += w->tensors[i].n_bytes;
    }
    return status;
}

/* Length, JSON and padding of the shard that starts at tensor `first`. */
static krs_status write_header(const krs_safetensors_writer *w, uint32_t first, krs_buf *out)
{
    const unsigned char length[LENGTH_BYTES] = {0};
    krs_status status = krs_buf_append(out, length, sizeof(length));
    if (status == KRS_OK) {
        status = krs_buf_printf(out, "{\"__metadata__\":{\"format\":\"%s\"}", w->format);
    }
    if (status == KRS_OK) {
        status = write_entries(w, first, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_char(out, '}');
    }
    while (status == KRS_OK && out->len % HEADER_ALIGN != 0) {
        status = krs_buf_append_char(out, ' ');
    }
    const uint64_t n_header = out->len - LENGTH_BYTES;
    for (unsigned i = 0; status == KRS_OK && i < LENGTH_BYTES; i++) {
        out->data[i] = (char)(n_header >> (8 * i) & 0xFFu);
    }
    return status;
}

/* Path of the shard that the next tensor begins. */
static krs_status shard_path(const krs_safetensors_writer *w, char path[KRS_OS_PATH_BYTES],
                             krs_error *err)
{
    char name[SHARD_NAME_BYTES];
    if (w->is_file) {
        memcpy(path, w->path, KRS_OS_PATH_BYTES);
        return KRS_OK;
    }
    shard_name(w, w->shards[w->next], name);
    return krs_os_path_join(w->path, name, path, KRS_OS_PATH_BYTES) == KRS_OK
               ? KRS_OK
               : krs_fail(err, KRS_ETOOLARGE, "path of %s longer than %d bytes", name,
                          KRS_OS_PATH_BYTES);
}

static krs_status start_shard(krs_safetensors_writer *w, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf header;
    krs_status status = shard_path(w, path, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_buf_init(&header, w->alloc, LENGTH_BYTES + (size_t)KRS_ST_MAX_HEADER_BYTES);
    status = write_header(w, w->next, &header);
    if (status != KRS_OK) {
        status = krs_fail(err, status, "header of %s", path);
    } else {
        status = krs_os_writer_open(&w->file, path, err);
    }
    if (status == KRS_OK) {
        status = krs_os_writer_put(&w->file, header.data, header.len, err);
    }
    krs_buf_deinit(&header);
    return status;
}

/* Close the current shard when the next tensor is not in it, and open that one's. Empty tensors take no
 * put of their own, so they are stepped over here. */
static krs_status advance(krs_safetensors_writer *w, krs_error *err)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && w->next < w->n && w->n_put == w->tensors[w->next].n_bytes) {
        w->n_put = 0;
        w->next++;
        if (w->next == w->n || w->shards[w->next] != w->shards[w->next - 1]) {
            status = krs_os_writer_commit(&w->file, err);
            if (status == KRS_OK && w->next < w->n) {
                status = start_shard(w, err);
            }
        }
    }
    return status;
}

static krs_status check_names(const krs_safetensors_writer *w, krs_error *err)
{
    /* The reader's own rules decide: what it would refuse is not written. */
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->tensors[i].name.len == 0 || !krs_str_is_plain(w->tensors[i].name)) {
            return krs_fail(err, KRS_EINVAL, "tensor %u has no plain name", i);
        }
    }
    return KRS_OK;
}

static krs_status prepare(krs_safetensors_writer *w, const krs_safetensors_target *target,
                          krs_error *err)
{
    const int len = snprintf(w->path, sizeof(w->path), "%s", target->path);
    if (len < 0 || (size_t)len >= sizeof(w->path)) {
        return krs_fail(err, KRS_ETOOLARGE, "path longer than %d bytes", KRS_OS_PATH_BYTES);
    }
    w->shards = krs_alloc_array(w->alloc, w->n, sizeof(w->shards[0]));
    if (!w->shards) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u tensors", w->n);
    }
    krs_status status = check_names(w, err);
    if (status == KRS_OK) {
        status = plan(w, target->is_file ? UINT64_MAX : target->max_shard_bytes, err);
    }
    return status;
}

krs_status krs_safetensors_writer_open(const char *dir, const krs_tensor *tensors, uint32_t n,
                                       uint64_t max_shard_bytes, const krs_alloc *alloc,
                                       krs_safetensors_writer **out, krs_error *err)
{
    const krs_safetensors_target target = {dir, false, "pt", max_shard_bytes};
    return krs_safetensors_writer_open_as(&target, tensors, n, alloc, out, err);
}

krs_status krs_safetensors_writer_open_as(const krs_safetensors_target *target,
                                          const krs_tensor *tensors, uint32_t n,
                                          const krs_alloc *alloc, krs_safetensors_writer **out,
                                          krs_error *err)
{
    *out = NULL;
    if (n == 0 || n > KRS_ST_MAX_TENSORS) {
        return krs_fail(err, KRS_EINVAL, "%u tensors, want 1..%u", n, KRS_ST_MAX_TENSORS);
    }
    krs_safetensors_writer *w = krs_alloc_zero(alloc, sizeof(*w));
    if (!w) {
        return krs_fail(err, KRS_ENOMEM, "writer: %zu bytes", sizeof(*w));
    }
    w->alloc = alloc;
    w->tensors = tensors;
    w->n = n;
    w->file.fd = -1;
    w->is_file = target->is_file;
    w->format = target->format;
    krs_status status = prepare(w, target, err);
    if (status == KRS_OK) {
        status = start_shard(w, err);
    }
    if (status == KRS_OK) {
        status = advance(w, err);
    }
    if (status != KRS_OK) {
        krs_safetensors_writer_free(w);
        return status;
    }
    *out = w;
    return KRS_OK;
}

uint32_t krs_safetensors_writer_n_shards(const krs_safetensors_writer *writer)
{
    return writer->n_shards;
}

krs_status krs_safetensors_writer_put(krs_safetensors_writer *writer, const void *bytes,
                                      size_t n_bytes, krs_error *err)
{
    KRS_CHECK(writer->next < writer->n &&
              n_bytes <= writer->tensors[writer->next].n_bytes - writer->n_put);
    const krs_status status = krs_os_writer_put(&writer->file, bytes, n_bytes, err);
    if (status != KRS_OK) {
        return status;
    }
    writer->n_put += n_bytes;
    return advance(writer, err);
}

static krs_status write_index(const krs_safetensors_writer *w, krs_buf *out)
{
    krs_status status = krs_buf_printf(
        out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {\n",
        w->n_total);
    for (uint32_t i = 0; status == KRS_OK && i < w->n; i++) {
        char name[SHARD_NAME_BYTES];
        shard_name(w, w->shards[i], name);
        status = krs_buf_append_str(out, KRS_STR("    "));
        status = status == KRS_OK ? krs_json_write_string(w->tensors[i].name, out) : status;
        status = status == KRS_OK
                     ? krs_buf_printf(out, ": \"%s\"%s\n", name, i + 1 < w->n ? "," : "")
                     : status;
    }
    return status == KRS_OK ? krs_buf_append_str(out, KRS_STR("  }\n}\n")) : status;
}

krs_status krs_safetensors_writer_finish(krs_safetensors_writer *writer, krs_error *err)
{
    KRS_CHECK(writer->next == writer->n);
    if (writer->n_shards == 1) {
        return KRS_OK;
    }
    char path[KRS_OS_PATH_BYTES];
    if (krs_os_path_join(writer->path, KRS_ST_INDEX_NAME, path, sizeof(path)) != KRS_OK) {
        return krs_fail(err, KRS_ETOOLARGE, "path longer than %d bytes", KRS_OS_PATH_BYTES);
    }
    krs_buf text;
    krs_buf_init(&text, writer->alloc, KRS_ST_INDEX_MAX_BYTES);
    krs_status status = write_index(writer, &text);
    status = status == KRS_OK ? krs_os_file_write(path, text.data, text.len, err)
                              : krs_fail(err, status, KRS_ST_INDEX_NAME);
    krs_buf_deinit(&text);
    return status;
}

void krs_safetensors_writer_free(krs_safetensors_writer *writer)
{
    if (writer) {
        krs_os_writer_abandon(&writer->file);
        krs_alloc_free(writer->alloc, writer->shards);
        krs_alloc_free(writer->alloc, writer);
    }
}
