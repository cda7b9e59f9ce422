/* text/unicode_form.c - the four normal forms, in linear time.
 *
 * utf8proc knows the tables and composes, but sorts combining marks by swapping neighbours: a megabyte
 * of marks in falling order, which anyone can send, would take minutes. So decomposition and order are
 * done here, with a counting sort for long runs of marks, and only the tables and the composition are
 * utf8proc's.
 *
 * ASCII stays as it is in every form, and starts afresh: nothing before it combines with it. In NFC that holds
 * for the letters of most scripts, too. Only the last such character of a run may combine with what
 * follows, so it goes with that; the rest is copied.
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

bool krs_unicode_is_settled(uint32_t c)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } ranges[] = {/* the most frequent first */
                  {0x4E00, 0x9FFF}, {0x3041, 0x3096}, {0x309B, 0x30FF}, {0x3000, 0x3029},
                  {0xAC00, 0xD7A3}, {0x0400, 0x0482}, {0x00A1, 0x02FF}, {0xFF01, 0xFF60},
                  {0x2010, 0x2027}, {0x0621, 0x064A}, {0x05D0, 0x05EA}, {0x0E01, 0x0E37},
                  {0x0E40, 0x0E47}, {0x3400, 0x4DBF}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c - ranges[i].first <= ranges[i].last - ranges[i].first) {
            return true;
        }
    }
    return c < 0x80;
}

/* Bytes at the start of s that are settled in this form, or are not. */
static size_t run_of(krs_unicode_form form, krs_str s, bool is_settled)
{
    size_t i = 0;
    while (i < s.len) {
        size_t n = is_settled ? krs_str_ascii_run((krs_str){s.ptr + i, s.len - i}) : 0;
        if (n == 0) {
            const uint32_t c = krs_utf8_decode((krs_str){s.ptr + i, s.len - i}, &n);
            const bool is_so = form == KRS_UNICODE_NFC ? krs_unicode_is_settled(c) : c < 0x80;
            if (is_so != is_settled) {
                break;
            }
        }
        i += n;
    }
    return i;
}

/* s without its last character. */
static size_t without_last(krs_str s)
{
    size_t n = s.len;
    while (n > 0 && ((unsigned char)s.ptr[--n] & 0xC0u) == 0x80u) {
    }
    return n;
}

krs_status krs_unicode_normalize(krs_unicode_form form, krs_str s, krs_buf *out)
{
    krs_idlist points; /* code points of one run */
    krs_idlist_init(&points, out->alloc, SIZE_MAX / sizeof(points.ids[0]));
    const size_t before = out->len;
    krs_status status = KRS_OK;
    while (status == KRS_OK && s.len > 0) {
        const size_t n_settled = run_of(form, s, true);
        const size_t n_copied =
            n_settled == s.len ? n_settled : without_last((krs_str){s.ptr, n_settled});
        status = krs_buf_append(out, s.ptr, n_copied);
        const size_t n_rest = run_of(form, (krs_str){s.ptr + n_settled, s.len - n_settled}, false);
        if (status == KRS_OK && n_rest > 0) {
            const krs_str run = {s.ptr + n_copied, n_settled - n_copied + n_rest};
            status = normalize_run(form, run, &points, out);
        }
        s = (krs_str){s.ptr + n_settled + n_rest, s.len - n_settled - n_rest};
    }
    krs_idlist_deinit(&points);
    if (status != KRS_OK && out->data) {
        out->len = before; /* all or nothing */
        out->data[before] = '\0';
    }
    return status;
}
