/* wire/gzip.h - unpacking a gzip file that is already in memory, with a ceiling.
 *
 * For data files that are kept packed (vocabularies, test vectors). A gzip file may claim any size, so
 * the output buffer's own ceiling is the limit, checked as the bytes come.
 *
 * Thread: any.  Memory: zlib's state (about 40 KiB) from the process heap, for the call.
 * Source: RFC 1952; zlib.h. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* Does it begin as a gzip file does? */
bool krs_gzip_is(krs_str bytes);

/* Append the unpacked bytes to out; several members end to end count as one file.
 * Errors: KRS_EFORMAT (not gzip, damaged, cut short, trailing bytes), KRS_ETOOLARGE (out's ceiling),
 * KRS_ENOMEM. On failure out is as before. */
KRS_MUST_USE krs_status krs_gunzip(krs_str in, krs_buf *out, krs_error *err);
