/* text/unicode_form.c - the four normal forms, in linear time.
 *
 * utf8proc knows the tables and composes, but sorts combining marks by swapping neighbours: a megabyte
 * of marks in falling order, which anyone can send, would take minutes. So decomposition and order are
 * done here, with a counting sort for long runs of marks, and only the tables and the composition are
 * utf8proc's.
 *
 * ASCII stays as it is in every form, and starts afresh: nothing before it combines with it. Only the
 * last ASCII character of a run may combine with what follows, so it goes with that; the rest is copied.
 *
 * Source: UAX #15; UAX #44 (Canonical_Combining_Class, 0 .. 254). */
#include "text/idlist.h"
#include "text/unicode.h"

#include "base/check.h"
#include <utf8proc.h>

#define MAX_DECOMPOSED 32  /* code points of one character; the longest, U+FDFA, has 18 */
#define SHORT_MARKS    16  /* a run of marks sorted by insertion */
#define N_CLASSES      256 /* of combining; marks have 1 .. 254 */

static utf8proc_option_t options_of(krs_unicode_form form)
{
    switch (form) {
    case KRS_UNICODE_NFC:
        return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case KRS_UNICODE_NFD:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case KRS_UNICODE_NFKC:
        return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    default:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    }
}

static unsigned class_of(uint32_t c)
{
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* Append the full decomposition of s, unordered. */
static krs_status decompose(utf8proc_option_t options, krs_str s, krs_idlist *out)
{
    for (size_t i = 0, n = 0; i < s.len; i += n) {
        const uint32_t c = krs_utf8_decode((krs_str){s.ptr + i, s.len - i}, &n);
        const krs_status status = krs_idlist_reserve(out, MAX_DECOMPOSED);
        if (status != KRS_OK) {
            return status;
        }
        const utf8proc_ssize_t n_made =
            utf8proc_decompose_char((utf8proc_int32_t)c, (utf8proc_int32_t *)(out->ids + out->n),
                                    MAX_DECOMPOSED, options, NULL);
        if (n_made < 0 || n_made > MAX_DECOMPOSED) {
            return KRS_EINTERNAL; /* the table grew a longer character than we know of */
        }
        out->n += (size_t)n_made;
    }
    return KRS_OK;
}

static void sort_short(uint32_t *marks, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const uint32_t mark = marks[i];
        size_t at = i;
        for (; at > 0 && class_of(marks[at - 1]) > class_of(mark); at--) {
            marks[at] = marks[at - 1];
        }
        marks[at] = mark;
    }
}

/* Stable, in two passes; sorted is scratch behind the text. */
static void sort_long(uint32_t *marks, size_t n, uint32_t *sorted)
{
    size_t starts[N_CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++) {
        starts[class_of(marks[i]) + 1]++;
    }
    for (size_t c = 0; c < N_CLASSES; c++) {
        starts[c + 1] += starts[c];
    }
    for (size_t i = 0; i < n; i++) {
        sorted[starts[class_of(marks[i])]++] = marks[i];
    }
    memcpy(marks, sorted, n * sizeof(marks[0]));
}

/* Order each run of marks by combining class. */
static krs_status order(krs_idlist *list)
{
    for (size_t i = 0; i < list->n;) {
        size_t end = i;
        while (end < list->n && class_of(list->ids[end]) != 0) {
            end++;
        }
        if (end - i > SHORT_MARKS) {
            const krs_status status = krs_idlist_reserve(list, end - i);
            if (status != KRS_OK) {
                return status;
            }
            sort_long(list->ids + i, end - i, list->ids + list->n);
        } else if (end - i > 1) {
            sort_short(list->ids + i, end - i);
        }
        i = end + 1;
    }
    return KRS_OK;
}

static krs_status normalize_run(krs_unicode_form form, krs_str s, krs_idlist *points, krs_buf *out)
{
    const utf8proc_option_t options = options_of(form);
    points->n = 0;
    krs_status status = decompose(options, s, points);
    if (status == KRS_OK) {
        status = order(points);
    }
    if (status == KRS_OK && (options & UTF8PROC_COMPOSE)) {
        points->n = (size_t)utf8proc_normalize_utf32((utf8proc_int32_t *)points->ids,
                                                     (utf8proc_ssize_t)points->n, options);
    }
    KRS_DCHECK(points->ids || points->n == 0);
    for (size_t i = 0; status == KRS_OK && i < points->n; i++) {
        char bytes[KRS_UTF8_MAX_BYTES];
        status = krs_buf_append(out, bytes, krs_utf8_encode(points->ids[i], bytes));
    }
    return status;
}

/* Bytes up to the next ASCII character. */
static size_t wide_run(krs_str s)
{
    size_t i = 0;
    while (i < s.len && (unsigned char)s.ptr[i] >= 0x80) {
        i++;
    }
    return i;
}

krs_status krs_unicode_normalize(krs_unicode_form form, krs_str s, krs_buf *out)
{
    krs_idlist points; /* code points of one run */
    krs_idlist_init(&points, out->alloc, SIZE_MAX / sizeof(points.ids[0]));
    const size_t before = out->len;
    krs_status status = KRS_OK;
    while (status == KRS_OK && s.len > 0) {
        const size_t n_ascii = krs_str_ascii_run(s);
        const size_t n_copied = n_ascii == s.len || n_ascii == 0 ? n_ascii : n_ascii - 1;
        status = krs_buf_append(out, s.ptr, n_copied);
        const size_t n_wide = wide_run((krs_str){s.ptr + n_ascii, s.len - n_ascii});
        if (status == KRS_OK && n_wide > 0) {
            const krs_str run = {s.ptr + n_copied, n_ascii - n_copied + n_wide};
            status = normalize_run(form, run, &points, out);
        }
        s = (krs_str){s.ptr + n_ascii + n_wide, s.len - n_ascii - n_wide};
    }
    krs_idlist_deinit(&points);
    if (status != KRS_OK && out->data) {
        out->len = before; /* all or nothing */
        out->data[before] = '\0';
    }
    return status;
}
