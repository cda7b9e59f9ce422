/* text/template/str.c - str methods that make a string from a string, and the helpers filters share.
 *
 * Thread: see run.h.  Source: Python 3 str. */
#include "text/template/run.h"
#include "text/template/unicode.h"

static bool is_in(krs_str chars, uint32_t code)
{
    if (!chars.ptr) {
        return krs_text_is_space(code);
    }
    for (size_t at = 0; at < chars.len;) {
        uint32_t other = 0;
        at += krs_text_decode(chars, at, &other);
        if (other == code) {
            return true;
        }
    }
    return false;
}

static krs_str strip_left(krs_str s, krs_str chars)
{
    while (s.len) {
        uint32_t code = 0;
        const size_t n = krs_text_decode(s, 0, &code);
        if (!is_in(chars, code)) {
            break;
        }
        s = (krs_str){s.ptr + n, s.len - n};
    }
    return s;
}

static krs_str strip_right(krs_str s, krs_str chars)
{
    while (s.len) {
        uint32_t code = 0;
        size_t at = s.len - 1;
        while (at > 0 && s.len - at < 4 && ((unsigned char)s.ptr[at] & 0xC0) == 0x80) {
            at--;
        }
        if (krs_text_decode(s, at, &code) != s.len - at || !is_in(chars, code)) {
            break;
        }
        s.len = at;
    }
    return s;
}

krs_str krs_tstr_strip(krs_str s, krs_str chars, krs_tside side)
{
    s = side & KRS_TSIDE_LEFT ? strip_left(s, chars) : s;
    return side & KRS_TSIDE_RIGHT ? strip_right(s, chars) : s;
}

/* Append the mapping of one character to the output. */
static krs_status put_mapped(krs_trun *run, uint32_t code, krs_text_case to)
{
    uint32_t codes[3] = {0};
    char bytes[12];
    size_t n = 0;
    const size_t n_codes = krs_text_map(code, to, codes);
    for (size_t i = 0; i < n_codes; i++) {
        char one[4];
        const size_t size = krs_text_encode(codes[i], one);
        memcpy(bytes + n, one, size);
        n += size;
    }
    return krs_trun_write(run, (krs_str){bytes, n});
}

krs_status krs_tstr_case(krs_trun *run, krs_str s, int to, krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    krs_status status = krs_trun_spend(run, s.len / 8);
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        at += krs_text_decode(s, at, &code);
        status = put_mapped(run, code, (krs_text_case)to);
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

krs_status krs_tstr_capitalize(krs_trun *run, krs_str s, krs_tval *out)
{
    const size_t first = krs_text_offset(s, 1);
    krs_tval head;
    krs_tval tail;
    krs_status status = krs_tstr_case(run, (krs_str){s.ptr, first}, KRS_TEXT_TITLE, &head);
    if (status == KRS_OK) {
        status = krs_tstr_case(run, (krs_str){s.ptr + first, s.len - first}, KRS_TEXT_LOWER, &tail);
    }
    if (status == KRS_OK) {
        *out = krs_tval_str(head.u.s);
        status = krs_trun_join(run, head.u.s, tail.u.s, &out->u.s);
    }
    return status;
}

/* An empty needle is found before every character and at the end. */
static size_t next_match(krs_str s, krs_str old, size_t from, size_t last)
{
    if (old.len) {
        return krs_str_find(s, old, from);
    }
    if (last == SIZE_MAX) {
        return 0;
    }
    return last < s.len ? last + krs_text_offset((krs_str){s.ptr + last, s.len - last}, 1)
                        : SIZE_MAX;
}

krs_status krs_tstr_replace(krs_trun *run, krs_str s, krs_str old, krs_str with, int64_t count,
                            krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    size_t from = 0;
    size_t at = SIZE_MAX;
    krs_status status = krs_trun_spend(run, s.len / 64);
    for (int64_t i = 0; (count < 0 || i < count) && status == KRS_OK; i++) {
        at = next_match(s, old, from, at);
        if (at == SIZE_MAX) {
            break;
        }
        status = krs_trun_write(run, (krs_str){s.ptr + from, at - from});
        if (status == KRS_OK) {
            status = krs_trun_write(run, with);
        }
        if (status == KRS_OK) {
            status = krs_trun_spend(run, 1);
        }
        from = at + old.len;
    }
    if (status == KRS_OK) {
        status = krs_trun_write(run, (krs_str){s.ptr + from, s.len - from});
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

static krs_status put_fill(krs_trun *run, krs_str fill, int64_t n)
{
    krs_status status = KRS_OK;
    for (int64_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_trun_spend(run, 1);
        if (status == KRS_OK) {
            status = krs_trun_write(run, fill);
        }
    }
    return status;
}

krs_status krs_tstr_pad(krs_trun *run, krs_str s, int64_t width, krs_str fill, int share,
                        krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    const int64_t pad = width - (int64_t)krs_text_count(s);
    const int64_t total = width > 0 && pad > 0 ? pad : 0;
    /* Python's centring puts the odd blank left when the width is odd. */
    const int64_t left = share == 1 ? total / 2 + (total & width & 1) : share == 2 ? total : 0;
    krs_status status = put_fill(run, fill, left);
    if (status == KRS_OK) {
        status = krs_trun_write(run, s);
    }
    if (status == KRS_OK) {
        status = put_fill(run, fill, total - left);
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

/* ---- methods ---- */

static krs_status strip_side(krs_tcall *call, krs_tside side, krs_tval *out)
{
    krs_str chars = {NULL, 0};
    krs_status status = KRS_OK;
    if (call->arg[0].kind != KRS_T_NONE) {
        status = krs_tcall_str(call, 0, chars, &chars);
    }
    *out = krs_tval_str(krs_tstr_strip(call->self.u.s, chars, side));
    return status;
}

static krs_status method_strip(krs_tcall *call, krs_tval *out)
{
    return strip_side(call, KRS_TSIDE_BOTH, out);
}

static krs_status method_lstrip(krs_tcall *call, krs_tval *out)
{
    return strip_side(call, KRS_TSIDE_LEFT, out);
}

static krs_status method_rstrip(krs_tcall *call, krs_tval *out)
{
    return strip_side(call, KRS_TSIDE_RIGHT, out);
}

static krs_status method_upper(krs_tcall *call, krs_tval *out)
{
    return krs_tstr_case(call->run, call->self.u.s, KRS_TEXT_UPPER, out);
}

static krs_status method_lower(krs_tcall *call, krs_tval *out)
{
    return krs_tstr_case(call->run, call->self.u.s, KRS_TEXT_LOWER, out);
}

static krs_status method_capitalize(krs_tcall *call, krs_tval *out)
{
    return krs_tstr_capitalize(call->run, call->self.u.s, out);
}

static bool is_cased(uint32_t code)
{
    uint32_t low[3] = {0};
    uint32_t high[3] = {0};
    const size_t n_low = krs_text_map(code, KRS_TEXT_LOWER, low);
    const size_t n_high = krs_text_map(code, KRS_TEXT_UPPER, high);
    return n_low != 1 || n_high != 1 || low[0] != high[0];
}

/* A letter after a letter is lower, any other is title case: "they're" is "They'Re". */
static krs_status method_title(krs_tcall *call, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    const size_t mark = krs_trun_mark(call->run);
    krs_status status = KRS_OK;
    bool is_inside = false;
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        at += krs_text_decode(s, at, &code);
        status = put_mapped(call->run, code, is_inside ? KRS_TEXT_LOWER : KRS_TEXT_TITLE);
        is_inside = is_cased(code);
    }
    return status == KRS_OK ? krs_trun_take(call->run, mark, out) : status;
}

static krs_status method_swapcase(krs_tcall *call, krs_tval *out)
{
    const krs_str s = call->self.u.s;
    const size_t mark = krs_trun_mark(call->run);
    krs_status status = KRS_OK;
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        at += krs_text_decode(s, at, &code);
        status =
            put_mapped(call->run, code, krs_text_is_upper(code) ? KRS_TEXT_LOWER : KRS_TEXT_UPPER);
    }
    return status == KRS_OK ? krs_trun_take(call->run, mark, out) : status;
}

static krs_status method_replace(krs_tcall *call, krs_tval *out)
{
    krs_str old = {NULL, 0};
    krs_str with = {NULL, 0};
    int64_t count = -1;
    krs_status status = krs_tcall_str(call, 0, old, &old);
    if (status == KRS_OK) {
        status = krs_tcall_str(call, 1, with, &with);
    }
    if (status == KRS_OK) {
        status = krs_tcall_int(call, 2, -1, &count);
    }
    return status == KRS_OK ? krs_tstr_replace(call->run, call->self.u.s, old, with, count, out)
                            : status;
}

static krs_status remove_affix(krs_tcall *call, bool is_prefix, krs_tval *out)
{
    krs_str affix = {NULL, 0};
    krs_str s = call->self.u.s;
    krs_status status = krs_tcall_str(call, 0, affix, &affix);
    if (status != KRS_OK) {
        return status;
    }
    if (is_prefix && krs_str_starts_with(s, affix)) {
        s = (krs_str){s.ptr + affix.len, s.len - affix.len};
    } else if (!is_prefix && krs_str_ends_with(s, affix)) {
        s.len -= affix.len;
    }
    *out = krs_tval_str(s);
    return KRS_OK;
}

static krs_status method_removeprefix(krs_tcall *call, krs_tval *out)
{
    return remove_affix(call, true, out);
}

static krs_status method_removesuffix(krs_tcall *call, krs_tval *out)
{
    return remove_affix(call, false, out);
}

static krs_status pad_method(krs_tcall *call, int share, krs_tval *out)
{
    int64_t width = 0;
    krs_str fill = {NULL, 0};
    krs_status status = krs_tcall_int(call, 0, 0, &width);
    if (status == KRS_OK) {
        status = krs_tcall_str(call, 1, KRS_STR(" "), &fill);
    }
    if (status == KRS_OK && krs_text_count(fill) != 1) {
        return krs_trun_fail(call->run, KRS_EINVAL,
                             "The fill character must be exactly one character long");
    }
    return status == KRS_OK ? krs_tstr_pad(call->run, call->self.u.s, width, fill, share, out)
                            : status;
}

static krs_status method_ljust(krs_tcall *call, krs_tval *out)
{
    return pad_method(call, 0, out);
}

static krs_status method_center(krs_tcall *call, krs_tval *out)
{
    return pad_method(call, 1, out);
}

static krs_status method_rjust(krs_tcall *call, krs_tval *out)
{
    return pad_method(call, 2, out);
}

static krs_status method_zfill(krs_tcall *call, krs_tval *out)
{
    int64_t width = 0;
    krs_str s = call->self.u.s;
    krs_str sign = {"", 0};
    krs_status status = krs_tcall_int(call, 0, 0, &width);
    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        sign = (krs_str){s.ptr, 1};
        s = (krs_str){s.ptr + 1, s.len - 1};
        width = width > 0 ? width - 1 : 0;
    }
    krs_tval digits;
    if (status == KRS_OK) {
        status = krs_tstr_pad(call->run, s, width, KRS_STR("0"), 2, &digits);
    }
    if (status == KRS_OK) {
        *out = krs_tval_str(sign);
        status = krs_trun_join(call->run, sign, digits.u.s, &out->u.s);
    }
    return status;
}

static krs_status method_format(krs_tcall *call, krs_tval *out)
{
    return krs_tformat_braces(call->run, call->self.u.s, call->actual, out);
}

const krs_tbuiltin krs_tmethods_str[] = {
    {"strip", method_strip, "chars?"},
    {"lstrip", method_lstrip, "chars?"},
    {"rstrip", method_rstrip, "chars?"},
    {"upper", method_upper, ""},
    {"lower", method_lower, ""},
    {"casefold", method_lower, ""},
    {"capitalize", method_capitalize, ""},
    {"title", method_title, ""},
    {"swapcase", method_swapcase, ""},
    {"replace", method_replace, "old,new,count?"},
    {"removeprefix", method_removeprefix, "prefix"},
    {"removesuffix", method_removesuffix, "suffix"},
    {"ljust", method_ljust, "width,fillchar?"},
    {"center", method_center, "width,fillchar?"},
    {"rjust", method_rjust, "width,fillchar?"},
    {"zfill", method_zfill, "width"},
    {"format", method_format, "*"},
    {"encode", NULL, ""},
    {"expandtabs", NULL, ""},
    {"format_map", NULL, ""},
    {"maketrans", NULL, ""},
    {"translate", NULL, ""},
    {NULL, NULL, NULL},
};
