/* support/golden_folder.h - a golden case's model folder, unpacked when it is kept packed.
 *
 *     krs_golden_folder folder;
 *     krs_golden_folder_open(&folder, "phi3");      tests/data/golden/phi3, or a temporary copy of it
 *     krs_model_open(folder.dir, ...);
 *     krs_golden_folder_close(&folder);
 *
 * Random bf16 weights hardly compress, except for their high bytes (sign and exponent), so model.planes.gz
 * has those apart: gzip of [u64 header bytes | header | low byte of every element | high byte of every
 * element], where the safetensors file has the bytes in turn.
 *
 * Thread: one owner.  Memory: a temporary folder between open and close. */
#pragma once

#include "os/dir.h"
#include "os/file.h"
#include "support/cmocka.h"
#include "wire/gzip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KRS_GOLDEN_DIR       KRS_SOURCE_DIR "/tests/data/golden/"
#define KRS_GOLDEN_MAX_BYTES (16u << 20) /* of a model; the cases have under 2 MiB */

typedef struct krs_golden_folder {
    char dir[KRS_OS_PATH_BYTES];
    bool is_temporary;
} krs_golden_folder;

static inline void krs_golden_path(char *out, const char *dir, const char *name)
{
    assert_int_equal(krs_os_path_join(dir, name, out, KRS_OS_PATH_BYTES), KRS_OK);
}

/* Two planes of n / 2 bytes each, in turn. */
static inline void krs_golden_weave(const unsigned char *planes, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n / 2; i++) {
        out[2 * i] = planes[i];
        out[2 * i + 1] = planes[n / 2 + i];
    }
}

static inline void krs_golden_write_model(const char *packed_path, const char *to)
{
    krs_buf packed;
    krs_buf planes;
    krs_buf_init(&packed, NULL, KRS_GOLDEN_MAX_BYTES);
    krs_buf_init(&planes, NULL, KRS_GOLDEN_MAX_BYTES);
    assert_int_equal(krs_os_file_read(packed_path, &packed, NULL), KRS_OK);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &planes, NULL), KRS_OK);
    uint64_t header_bytes;
    assert_true(planes.len > sizeof(header_bytes));
    memcpy(&header_bytes, planes.data, sizeof(header_bytes));
    const size_t begin = sizeof(header_bytes) + (size_t)header_bytes;
    assert_true(begin < planes.len && (planes.len - begin) % 2 == 0);
    unsigned char *file = malloc(planes.len);
    assert_non_null(file);
    memcpy(file, planes.data, begin);
    krs_golden_weave((const unsigned char *)planes.data + begin, planes.len - begin, file + begin);
    assert_int_equal(krs_os_file_write(to, file, planes.len, NULL), KRS_OK);
    free(file);
    krs_buf_deinit(&planes);
    krs_buf_deinit(&packed);
}

static inline void krs_golden_copy(const char *from_dir, const char *name, const char *to_dir)
{
    char from[KRS_OS_PATH_BYTES];
    char to[KRS_OS_PATH_BYTES];
    krs_buf bytes;
    krs_golden_path(from, from_dir, name);
    krs_golden_path(to, to_dir, name);
    krs_buf_init(&bytes, NULL, KRS_GOLDEN_MAX_BYTES);
    assert_int_equal(krs_os_file_read(from, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_os_file_write(to, bytes.data, bytes.len, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
}

/* name: of a case with a model of its own. */
static inline void krs_golden_folder_open(krs_golden_folder *folder, const char *name)
{
    char from[KRS_OS_PATH_BYTES];
    char packed[KRS_OS_PATH_BYTES];
    char to[KRS_OS_PATH_BYTES];
    krs_golden_path(from, KRS_GOLDEN_DIR, name);
    krs_golden_path(packed, from, "model.planes.gz");
    folder->is_temporary = krs_os_path_kind(packed) == KRS_OS_FILE;
    if (!folder->is_temporary) {
        (void)snprintf(folder->dir, sizeof(folder->dir), "%s", from);
        return;
    }
    assert_int_equal(krs_os_dir_temporary(folder->dir, NULL), KRS_OK);
    krs_golden_path(to, folder->dir, "model.safetensors");
    krs_golden_write_model(packed, to);
    krs_golden_copy(from, "config.json", folder->dir);
}

/* An open model keeps its mapping. */
static inline void krs_golden_folder_close(krs_golden_folder *folder)
{
    if (folder->is_temporary) {
        assert_int_equal(krs_os_dir_remove(folder->dir, NULL), KRS_OK);
    }
}
