/* format/checksum.c - see checksum.h.
 * Each file is mapped and read once; a file of a hundred gigabytes takes as long as the disk and SHA-256
 * need, some 400 MB/s to 2 GB/s a core. */
#include "format/checksum.h"

#include "os/dir.h"

#include <stdio.h>

#define BLOB_FOLDER "/blobs/"

/* ---- SHA256SUMS ---- */

/* "digest, blank, blank or star, name" */
static bool parse_line(krs_str line, krs_checksum_line *out)
{
    const size_t n_hex = KRS_SHA256_HEX_BYTES - 1;
    if (line.len < n_hex + 3 || line.ptr[n_hex] != ' ' ||
        (line.ptr[n_hex + 1] != ' ' && line.ptr[n_hex + 1] != '*') ||
        !krs_sha256_read((krs_str){line.ptr, n_hex}, out->sha256)) {
        return false;
    }
    krs_str name = {line.ptr + n_hex + 2, line.len - n_hex - 2};
    if (krs_str_starts_with(name, KRS_STR("./"))) {
        name = (krs_str){name.ptr + 2, name.len - 2};
    }
    out->name = name;
    return name.len > 0;
}

/* The line at *at without its end, which *at then stands behind. */
static krs_str next_line(krs_str text, size_t *at)
{
    const size_t begin = *at;
    const size_t end = krs_str_find(text, KRS_STR("\n"), begin);
    const size_t stop = end == SIZE_MAX ? text.len : end;
    *at = end == SIZE_MAX ? text.len : end + 1;
    const size_t has_return = stop > begin && text.ptr[stop - 1] == '\r';
    return (krs_str){text.ptr + begin, stop - begin - has_return};
}

krs_status krs_checksum_parse(krs_str text, krs_arena *arena, krs_checksum_line **out, size_t *n,
                              krs_error *err)
{
    size_t n_max = 1;
    for (size_t i = 0; i < text.len; i++) {
        n_max += text.ptr[i] == '\n';
    }
    *n = 0;
    *out = krs_arena_array(arena, n_max, sizeof(**out));
    if (!*out) {
        return krs_fail(err, KRS_ENOMEM, KRS_CHECKSUM_FILE ": %zu lines", n_max);
    }
    size_t number = 0;
    for (size_t at = 0; at < text.len;) {
        const krs_str line = next_line(text, &at);
        number++;
        if (line.len == 0) {
            continue;
        }
        if (!parse_line(line, &(*out)[*n])) {
            return krs_fail(err, KRS_EFORMAT, KRS_CHECKSUM_FILE ": line %zu is no \"digest  name\"",
                            number);
        }
        (*n)++;
    }
    return KRS_OK;
}

/* ---- files ---- */

typedef struct list {
    krs_buf text;
    krs_checksum_line *lines;
    size_t n_lines;
} list;

static krs_status read_list(const char *dir, krs_arena *arena, list *out, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    krs_status status = krs_os_path_join(dir, KRS_CHECKSUM_FILE, path, sizeof(path));
    if (status != KRS_OK || krs_os_path_kind(path) != KRS_OS_FILE) {
        return KRS_OK;
    }
    status = krs_os_file_read(path, &out->text, err);
    return status == KRS_OK ? krs_checksum_parse(krs_buf_view(&out->text), arena, &out->lines,
                                                 &out->n_lines, err)
                            : status;
}

/* What the file at path is called where it really lies, if that is a folder of blobs. */
static bool blob_name(const char *path, char out[KRS_OS_PATH_BYTES])
{
    char real[KRS_OS_PATH_BYTES];
    if (krs_os_path_real(path, real, NULL) != KRS_OK) {
        return false;
    }
    const krs_str whole = krs_str_of(real);
    const char *slash = strrchr(real, '/');
    if (!slash) {
        return false;
    }
    const krs_str folder = {real, (size_t)(slash - real) + 1};
    if (!krs_str_ends_with(folder, KRS_STR(BLOB_FOLDER))) {
        return false;
    }
    memcpy(out, slash + 1, whole.len - folder.len + 1);
    return true;
}

/* Compare with the blob's name, when that has the form of a checksum. */
static krs_status compare_blob(const char *path, krs_str bytes, krs_checksum *sum, krs_error *err)
{
    char name[KRS_OS_PATH_BYTES];
    char git[KRS_GIT_BLOB_HEX_BYTES];
    if (!blob_name(path, name)) {
        return KRS_OK;
    }
    const size_t n = strlen(name);
    if (n == KRS_SHA256_HEX_BYTES - 1) {
        sum->kind = KRS_CHECKSUM_BLOB;
        sum->is_right = strcmp(name, sum->sha256) == 0;
    } else if (n == KRS_GIT_BLOB_HEX_BYTES - 1) {
        const krs_status status = krs_git_blob_name(bytes, git);
        if (status != KRS_OK) {
            return krs_fail(err, status, "%s: its name by Git", name);
        }
        sum->kind = KRS_CHECKSUM_BLOB;
        sum->is_right = strcmp(name, git) == 0;
    }
    return KRS_OK;
}

static void compare_list(const list *all, const uint8_t *digest, krs_checksum *sum)
{
    for (size_t i = 0; i < all->n_lines; i++) {
        if (krs_str_equal(all->lines[i].name, sum->name)) {
            const bool is_right = memcmp(all->lines[i].sha256, digest, KRS_SHA256_BYTES) == 0;
            sum->is_right = is_right && (sum->kind == KRS_CHECKSUM_NONE || sum->is_right);
            sum->kind = KRS_CHECKSUM_LIST;
        }
    }
}

static krs_status check_file(const char *path, const list *all, krs_checksum *sum, krs_error *err)
{
    krs_os_map map;
    uint8_t digest[KRS_SHA256_BYTES];
    krs_status status = krs_os_map_open(path, KRS_OS_MAP_SHARED_PAGES, &map, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_str bytes = {(const char *)map.data, map.n_bytes};
    krs_sha256(bytes, digest);
    krs_sha256_write(digest, sum->sha256);
    sum->n_bytes = map.n_bytes;
    sum->is_right = true;
    status = compare_blob(path, bytes, sum, err);
    compare_list(all, digest, sum);
    krs_os_map_close(&map);
    return status;
}

/* Is there a file for every line? */
static krs_status check_missing(const list *all, const krs_checksum *sums, size_t n, krs_error *err)
{
    for (size_t i = 0; i < all->n_lines; i++) {
        const krs_str name = all->lines[i].name;
        size_t k = 0;
        while (k < n && !krs_str_equal(sums[k].name, name)) {
            k++;
        }
        const bool is_inside = krs_str_find(name, KRS_STR("/"), 0) == SIZE_MAX;
        if (k == n && is_inside) {
            return krs_fail(err, KRS_ENOENT, KRS_CHECKSUM_FILE ": %.*s is not in the folder",
                            KRS_STR_ARGS(name));
        }
    }
    return KRS_OK;
}

/* One entry of the folder; what is no file is passed over. */
static krs_status check_entry(const char *dir, krs_str name, const list *all, krs_checksum *sums,
                              size_t *n, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    const krs_status status = krs_os_path_join(dir, name.ptr, path, sizeof(path));
    if (status != KRS_OK || krs_os_path_kind(path) != KRS_OS_FILE ||
        krs_str_equal(name, KRS_STR(KRS_CHECKSUM_FILE))) {
        return status == KRS_OK ? KRS_OK : krs_fail(err, status, "%s: path too long", name.ptr);
    }
    sums[*n].name = name;
    return check_file(path, all, &sums[(*n)++], err);
}

static krs_status check_folder(const char *dir, krs_arena *arena, krs_checksum **out, size_t *n,
                               list *all, krs_error *err)
{
    const krs_str *names = NULL;
    size_t n_names = 0;
    krs_status status = krs_os_dir_list(dir, arena, &names, &n_names, err);
    if (status == KRS_OK) {
        status = read_list(dir, arena, all, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    *out = krs_arena_array(arena, n_names + 1, sizeof(**out));
    if (!*out) {
        return krs_fail(err, KRS_ENOMEM, "checksums of %zu files", n_names);
    }
    for (size_t i = 0; status == KRS_OK && i < n_names; i++) {
        status = check_entry(dir, names[i], all, *out, n, err);
    }
    return status == KRS_OK ? check_missing(all, *out, *n, err) : status;
}

static krs_status check_one(const char *path, krs_arena *arena, krs_checksum **out, size_t *n,
                            krs_error *err)
{
    static const list none;
    const char *slash = strrchr(path, '/');
    *out = krs_arena_array(arena, 1, sizeof(**out));
    if (!*out) {
        return krs_fail(err, KRS_ENOMEM, "checksum of a file");
    }
    (*out)->name = krs_arena_copy(arena, krs_str_of(slash ? slash + 1 : path));
    *n = 1;
    return (*out)->name.ptr ? check_file(path, &none, *out, err)
                            : krs_fail(err, KRS_ENOMEM, "checksum of a file");
}

krs_status krs_checksum_files(const char *path, krs_arena *arena, krs_checksum **out, size_t *n,
                              krs_error *err)
{
    *out = NULL;
    *n = 0;
    if (krs_os_path_kind(path) != KRS_OS_DIR) {
        return check_one(path, arena, out, n, err);
    }
    list all = {.lines = NULL};
    krs_buf_init(&all.text, arena->alloc, KRS_CHECKSUM_MAX_BYTES);
    const krs_status status = check_folder(path, arena, out, n, &all, err);
    krs_buf_deinit(&all.text);
    return status;
}
