/* format/checksum.h - do a model's files hold the bytes they were published with?
 *
 * Nothing in a model folder says so by itself, but two places often do: the hub's cache, where each file of a
 * snapshot is a link to a blob named by its own checksum (SHA-256 of large files, Git's name of small
 * ones), and a SHA256SUMS file beside the model, as sha256sum(1) writes it.
 *
 * Thread: any.  Memory: what is named, from the arena.  Source: huggingface_hub's cache layout;
 * sha256sum(1). */
#pragma once

#include "base/arena.h"
#include "os/file.h"
#include "wire/digest.h"

#define KRS_CHECKSUM_FILE      "SHA256SUMS"
#define KRS_CHECKSUM_MAX_BYTES (8u << 20) /* of SHA256SUMS: some 80,000 lines */

typedef enum krs_checksum_kind {
    KRS_CHECKSUM_NONE, /* nobody says what the file should be */
    KRS_CHECKSUM_BLOB, /* the name of its blob */
    KRS_CHECKSUM_LIST, /* a line of SHA256SUMS */
} krs_checksum_kind;

typedef struct krs_checksum {
    krs_str name; /* in the folder */
    uint64_t n_bytes;
    char sha256[KRS_SHA256_HEX_BYTES]; /* as it is */
    krs_checksum_kind kind;
    bool is_right; /* true of NONE, too */
} krs_checksum;

/* Read and compare every file of a folder (its subfolders are not looked into), or the one file path names.
 * *out: [*n], sorted by name. A line of SHA256SUMS whose file is not there is an error.
 * Errors: as krs_os_dir_list and krs_os_map_open; KRS_EFORMAT (a line that is none, naming it). */
KRS_MUST_USE krs_status krs_checksum_files(const char *path, krs_arena *arena, krs_checksum **out,
                                           size_t *n, krs_error *err);

typedef struct krs_checksum_line {
    krs_str name; /* as written, without the "*" of a binary file and a leading "./" */
    uint8_t sha256[KRS_SHA256_BYTES];
} krs_checksum_line;

/* What sha256sum(1) wrote, but for names with escapes; empty lines are skipped. *out: [*n], names borrowed from
 * text. Errors: KRS_EFORMAT (with the number of the line), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_checksum_parse(krs_str text, krs_arena *arena, krs_checksum_line **out,
                                           size_t *n, krs_error *err);
