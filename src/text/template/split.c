/* text/template/split.c - str methods that search, cut and join.
 *
 * Offsets a template sees (find, index) are in characters; everything inside works on bytes, which
 * UTF-8 allows: a match of whole characters is a match of bytes.
 *
 * Thread: see run.h.  Source: Python 3 str. */
#include "text/template/run.h"
#include "text/template/unicode.h"

krs_status krs_tlist_add(krs_trun *run, krs_tlist *list, const krs_tval *value)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 8;
        krs_tval *items = NULL;
        krs_status status = krs_trun_array(run, cap, &items);
        if (status != KRS_OK) {
            return status;
        }
        if (list->n) {
            memcpy(items, list->items, list->n * sizeof(*items));
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = *value;
    return krs_trun_spend(run, 1);
}

static krs_status add_piece(krs_trun *run, krs_tlist *list, const char *ptr, size_t n)
{
    const krs_tval piece = krs_tval_str((krs_str){ptr, n});
    return krs_tlist_add(run, list, &piece);
}

static krs_status split_space(krs_trun *run, krs_str s, int64_t max, krs_tlist *list)
{
    const krs_str space = {NULL, 0};
    krs_status status = KRS_OK;
    s = krs_tstr_strip(s, space, KRS_TSIDE_LEFT);
    for (int64_t i = 0; s.len && status == KRS_OK; i++) {
        size_t end = 0;
        if (max >= 0 && i >= max) {
            return add_piece(run, list, s.ptr, s.len);
        }
        while (end < s.len) {
            uint32_t code = 0;
            const size_t n = krs_text_decode(s, end, &code);
            if (krs_text_is_space(code)) {
                break;
            }
            end += n;
        }
        status = add_piece(run, list, s.ptr, end);
        s = krs_tstr_strip((krs_str){s.ptr + end, s.len - end}, space, KRS_TSIDE_LEFT);
    }
    return status;
}

static krs_status split_text(krs_trun *run, krs_str s, krs_str sep, int64_t max, krs_tlist *list)
{
    size_t from = 0;
    krs_status status = KRS_OK;
    for (int64_t i = 0; (max < 0 || i < max) && status == KRS_OK; i++) {
        const size_t at = krs_str_find(s, sep, from);
        if (at == SIZE_MAX) {
            break;
        }
        status = add_piece(run, list, s.ptr + from, at - from);
        from = at + sep.len;
    }
    return status == KRS_OK ? add_piece(run, list, s.ptr + from, s.len - from) : status;
}

/* Last `needle` that ends at or before `end`, or SIZE_MAX. */
static size_t find_last(krs_str s, krs_str needle, size_t end)
{
    if (needle.len > end) {
        return SIZE_MAX;
    }
    for (size_t at = end - needle.len + 1; at-- > 0;) {
        if (needle.len == 0 || memcmp(s.ptr + at, needle.ptr, needle.len) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* Pieces come last first; the caller turns them round. */
static krs_status rsplit_text(krs_trun *run, krs_str s, krs_str sep, int64_t max, krs_tlist *list)
{
    size_t end = s.len;
    krs_status status = KRS_OK;
    for (int64_t i = 0; i < max && status == KRS_OK; i++) {
        const size_t at = find_last(s, sep, end);
        if (at == SIZE_MAX) {
            break;
        }
        status = add_piece(run, list, s.ptr + at + sep.len, end - at - sep.len);
        end = at;
    }
    return status == KRS_OK ? add_piece(run, list, s.ptr, end) : status;
}

static krs_status rsplit_space(krs_trun *run, krs_str s, int64_t max, krs_tlist *list)
{
    const krs_str space = {NULL, 0};
    krs_status status = KRS_OK;
    s = krs_tstr_strip(s, space, KRS_TSIDE_RIGHT);
    for (int64_t i = 0; s.len && status == KRS_OK; i++) {
        size_t from = s.len;
        if (i >= max) {
            return add_piece(run, list, s.ptr, s.len);
        }
        while (from > 0 && krs_text_trailing_space((krs_str){s.ptr, from}) == 0) {
            from--;
            while (from > 0 && ((unsigned char)s.ptr[from] & 0xC0) == 0x80) {
                from--;
            }
        }
        status = add_piece(run, list, s.ptr + from, s.len - from);
        s = krs_tstr_strip((krs_str){s.ptr, from}, space, KRS_TSIDE_RIGHT);
    }
    return status;
}

static void turn_round(krs_tlist *list)
{
    for (size_t i = 0; i < list->n / 2; i++) {
        const krs_tval swap = list->items[i];
        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = swap;
    }
}

typedef krs_status (*split_space_fn)(krs_trun *run, krs_str s, int64_t max, krs_tlist *list);
typedef krs_status (*split_text_fn)(krs_trun *run, krs_str s, krs_str sep, int64_t max,
                                    krs_tlist *list);

static krs_status split_args(krs_tcall *call, krs_str *sep, int64_t *max)
{
    *sep = (krs_str){NULL, 0};
    krs_status status =
        call->arg[0].kind == KRS_T_NONE ? KRS_OK : krs_tcall_str(call, 0, *sep, sep);
    if (status == KRS_OK) {
        status = krs_tcall_int(call, 1, -1, max);
    }
    if (status == KRS_OK && sep->ptr && sep->len == 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "empty separator");
    }
    return status == KRS_OK ? krs_trun_spend(call->run, call->self.u.s.len / 64) : status;
}

static krs_status split_any(krs_tcall *call, bool from_right, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    krs_str sep;
    int64_t max = -1;
    krs_tlist list = {0};
    krs_status status = split_args(call, &sep, &max);
    if (status != KRS_OK) {
        return status;
    }
    const bool is_turned = from_right && max >= 0; /* without a limit both ways cut the same */
    const split_space_fn by_space = is_turned ? rsplit_space : split_space;
    const split_text_fn by_text = is_turned ? rsplit_text : split_text;
    status = sep.ptr ? by_text(call->run, s, sep, max, &list) : by_space(call->run, s, max, &list);
    if (is_turned) {
        turn_round(&list);
    }
    return status == KRS_OK ? krs_trun_seq(call->run, KRS_T_LIST, list.items, list.n, out) : status;
}

static krs_status method_split(krs_tcall *call, krs_tval *out)
{
    return split_any(call, false, out);
}

static krs_status method_rsplit(krs_tcall *call, krs_tval *out)
{
    return split_any(call, true, out);
}

static bool is_line_end(uint32_t code)
{
    return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
           code == 0x2028 || code == 0x2029;
}

krs_status krs_tstr_lines(krs_trun *run, krs_str s, bool keeps_ends, krs_tval *out)
{
    krs_tlist list = {0};
    krs_status status = KRS_OK;
    size_t from = 0;
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        size_t next = at + krs_text_decode(s, at, &code);
        if (is_line_end(code)) {
            next += code == '\r' && next < s.len && s.ptr[next] == '\n';
            status = add_piece(run, &list, s.ptr + from, (keeps_ends ? next : at) - from);
            from = next;
        }
        at = next;
    }
    if (status == KRS_OK && from < s.len) {
        status = add_piece(run, &list, s.ptr + from, s.len - from);
    }
    return status == KRS_OK ? krs_trun_seq(run, KRS_T_LIST, list.items, list.n, out) : status;
}

static krs_status method_splitlines(krs_tcall *call, krs_tval *out)
{
    return krs_tstr_lines(call->run, call->self.u.s, krs_tcall_bool(call, 0, false), out);
}

static krs_status three_pieces(krs_tcall *call, size_t head, size_t tail, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    krs_tlist list = {0};
    krs_status status = add_piece(call->run, &list, s.ptr, head);
    if (status == KRS_OK) {
        status = add_piece(call->run, &list, s.ptr + head, tail - head);
    }
    if (status == KRS_OK) {
        status = add_piece(call->run, &list, s.ptr + tail, s.len - tail);
    }
    return status == KRS_OK ? krs_trun_seq(call->run, KRS_T_TUPLE, list.items, list.n, out)
                            : status;
}

static krs_status cut_in_three(krs_tcall *call, bool from_right, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    krs_str sep = {NULL, 0};
    krs_status status = krs_tcall_str(call, 0, sep, &sep);
    if (status != KRS_OK) {
        return status;
    }
    if (sep.len == 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "empty separator");
    }
    const size_t at = from_right ? find_last(s, sep, s.len) : krs_str_find(s, sep, 0);
    if (at == SIZE_MAX) { /* all of it at the far end */
        const size_t head = from_right ? 0 : s.len;
        return three_pieces(call, head, head, out);
    }
    return three_pieces(call, at, at + sep.len, out);
}

static krs_status method_partition(krs_tcall *call, krs_tval *out)
{
    return cut_in_three(call, false, out);
}

static krs_status method_rpartition(krs_tcall *call, krs_tval *out)
{
    return cut_in_three(call, true, out);
}

/* ---- searching; start and end as slice bounds, in characters ---- */

typedef struct window {
    krs_str text;
    size_t first;    /* character number of text's start */
    bool is_outside; /* start lies behind the end: not even "" is found */
} window;

/* A bound as a place in n characters: negative ones count from the end. */
static int64_t from_end(int64_t at, int64_t n)
{
    if (at >= 0) {
        return at;
    }
    return at + n < 0 ? 0 : at + n;
}

static krs_status window_args(krs_tcall *call, int64_t *start, int64_t *end)
{
    krs_status status = call->arg[1].kind == KRS_T_NONE ? KRS_OK : krs_tcall_int(call, 1, 0, start);
    if (status == KRS_OK && call->arg[2].kind != KRS_T_NONE) {
        status = krs_tcall_int(call, 2, *end, end);
    }
    return status == KRS_OK ? krs_trun_spend(call->run, call->self.u.s.len / 64) : status;
}

static krs_status window_of(krs_tcall *call, window *w)
{
    const krs_str s = call->self.u.s;
    const int64_t n = (int64_t)krs_text_count(s);
    int64_t start = 0;
    int64_t end = n;
    krs_status status = window_args(call, &start, &end);
    start = from_end(start, n);
    end = from_end(end, n);
    end = end > n ? n : end;
    w->is_outside = start > end;
    w->text = (krs_str){s.ptr, 0};
    if (status != KRS_OK || w->is_outside) {
        return status;
    }
    const size_t from = krs_text_offset(s, (size_t)start);
    const size_t to = krs_text_offset(s, (size_t)end);
    w->text = (krs_str){s.ptr + from, to - from};
    w->first = (size_t)start;
    return KRS_OK;
}

static krs_status find_any(krs_tcall *call, bool is_last, int64_t *out)
{
    window w = {0};
    krs_str needle = {NULL, 0};
    krs_status status = krs_tcall_str(call, 0, needle, &needle);
    if (status == KRS_OK) {
        status = window_of(call, &w);
    }
    *out = -1;
    if (status != KRS_OK || w.is_outside) {
        return status;
    }
    const size_t at =
        is_last ? find_last(w.text, needle, w.text.len) : krs_str_find(w.text, needle, 0);
    if (at != SIZE_MAX) {
        *out = (int64_t)(w.first + krs_text_count((krs_str){w.text.ptr, at}));
    }
    return KRS_OK;
}

static krs_status find_method(krs_tcall *call, bool is_last, bool must_exist, krs_tval *out)
{
    int64_t at = -1;
    krs_status status = find_any(call, is_last, &at);
    *out = krs_tval_int(at);
    if (status == KRS_OK && must_exist && at < 0) {
        return krs_trun_fail(call->run, KRS_EINVAL, "substring not found");
    }
    return status;
}

static krs_status method_find(krs_tcall *call, krs_tval *out)
{
    return find_method(call, false, false, out);
}

static krs_status method_rfind(krs_tcall *call, krs_tval *out)
{
    return find_method(call, true, false, out);
}

static krs_status method_index(krs_tcall *call, krs_tval *out)
{
    return find_method(call, false, true, out);
}

static krs_status method_rindex(krs_tcall *call, krs_tval *out)
{
    return find_method(call, true, true, out);
}

static krs_status method_count(krs_tcall *call, krs_tval *out)
{
    window w = {0};
    krs_str needle = {NULL, 0};
    int64_t n = 0;
    krs_status status = krs_tcall_str(call, 0, needle, &needle);
    if (status == KRS_OK) {
        status = window_of(call, &w);
    }
    if (status == KRS_OK && needle.len == 0 && !w.is_outside) {
        n = (int64_t)krs_text_count(w.text) + 1;
    }
    for (size_t at = 0; status == KRS_OK && needle.len; n++) {
        at = krs_str_find(w.text, needle, at);
        if (at == SIZE_MAX) {
            break;
        }
        at += needle.len;
    }
    *out = krs_tval_int(n);
    return status;
}

/* startswith and endswith take one text or a tuple of them. */
static krs_status affix_method(krs_tcall *call, bool is_start, krs_tval *out)
{
    window w = {0};
    const krs_tval *one = &call->arg[0];
    const bool is_tuple = one->kind == KRS_T_TUPLE;
    const size_t n = is_tuple ? one->u.seq->n : 1;
    bool is_found = false;
    if (one->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(call->run, one);
    }
    krs_status status = window_of(call, &w);
    for (size_t i = 0; i < n && status == KRS_OK && !is_found; i++) {
        const krs_tval *affix = is_tuple ? &one->u.seq->items[i] : one;
        if (affix->kind != KRS_T_STR) {
            return krs_trun_fail(call->run, KRS_EINVAL,
                                 "%s first arg must be str or a tuple of str, not %s",
                                 call->fn->name, krs_tval_type(affix));
        }
        is_found = is_start ? krs_str_starts_with(w.text, affix->u.s)
                            : krs_str_ends_with(w.text, affix->u.s);
    }
    *out = krs_tval_bool(is_found && !w.is_outside);
    return status;
}

static krs_status method_startswith(krs_tcall *call, krs_tval *out)
{
    return affix_method(call, true, out);
}

static krs_status method_endswith(krs_tcall *call, krs_tval *out)
{
    return affix_method(call, false, out);
}

static krs_status method_join(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    const size_t mark = krs_trun_mark(run);
    krs_status status = krs_top_items(run, &call->arg[0], &items, &n);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        if (items[i].kind != KRS_T_STR) {
            return krs_trun_fail(run, KRS_EINVAL,
                                 "sequence item %zu: expected str instance, %s found", i,
                                 krs_tval_type(&items[i]));
        }
        status = i ? krs_trun_write(run, call->self.u.s) : krs_trun_spend(run, n);
        if (status == KRS_OK) {
            status = krs_trun_write(run, items[i].u.s);
        }
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

const krs_tbuiltin krs_tmethods_split[] = {
    {"split", method_split, "sep?,maxsplit?"},
    {"rsplit", method_rsplit, "sep?,maxsplit?"},
    {"splitlines", method_splitlines, "keepends?"},
    {"partition", method_partition, "sep"},
    {"rpartition", method_rpartition, "sep"},
    {"find", method_find, "sub,start?,end?"},
    {"rfind", method_rfind, "sub,start?,end?"},
    {"index", method_index, "sub,start?,end?"},
    {"rindex", method_rindex, "sub,start?,end?"},
    {"count", method_count, "sub,start?,end?"},
    {"startswith", method_startswith, "prefix,start?,end?"},
    {"endswith", method_endswith, "suffix,start?,end?"},
    {"join", method_join, "iterable"},
    {NULL, NULL, NULL},
};
