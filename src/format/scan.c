/* format/scan.c - see scan.h. */
#include "format/scan.h"

#include "base/utf8.h"

static krs_status fail_at(const krs_scan *scan, krs_error *err, const char *want)
{
    if (scan->at >= scan->text.len) {
        return krs_fail(err, KRS_EFORMAT, "JSON ends at byte %zu, want %s", scan->at, want);
    }
    return krs_fail(err, KRS_EFORMAT, "JSON byte %zu: want %s", scan->at, want);
}

/* The next byte that is no space, not consumed; '\0' at the end (and for a NUL, which nothing wants). */
static char peek(krs_scan *scan)
{
    while (scan->at < scan->text.len) {
        const char c = scan->text.ptr[scan->at];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return c;
        }
        scan->at++;
    }
    return '\0';
}

krs_status krs_scan_open(krs_scan *scan, char c, krs_error *err)
{
    if (peek(scan) != c) {
        const char want[] = {'\'', c, '\'', '\0'};
        return fail_at(scan, err, want);
    }
    scan->at++;
    return KRS_OK;
}

krs_status krs_scan_item(krs_scan *scan, char close, size_t n, bool *has_item, krs_error *err)
{
    *has_item = false;
    const char c = peek(scan);
    if (c == close) {
        scan->at++;
        return KRS_OK;
    }
    if (n > 0 && c != ',') {
        const char want[] = {'\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};
        return fail_at(scan, err, want);
    }
    scan->at += n > 0;
    *has_item = true;
    return KRS_OK;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits after "\u" at text[at]; false when they are not there. */
static bool unit_at(krs_str text, size_t at, uint32_t *out)
{
    *out = 0;
    if (text.len < 4 || at > text.len - 4) {
        return false;
    }
    for (size_t i = at; i < at + 4; i++) {
        const int digit = hex_of(text.ptr[i]);
        if (digit < 0) {
            return false;
        }
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

/* The character of "\uXXXX" (or of a surrogate pair) whose digits start at text[at]; returns the bytes
 * consumed, 0 when malformed. */
static size_t escaped_unit(krs_str text, size_t at, uint32_t *out)
{
    const bool is_unit = unit_at(text, at, out);
    if (!is_unit || *out < 0xD800 || *out > 0xDFFF) {
        return is_unit ? 4 : 0;
    }
    const uint32_t high = *out;
    const krs_str rest = {text.ptr + at + 4, text.len - at - 4};
    uint32_t low;
    if (high > 0xDBFF || !krs_str_starts_with(rest, KRS_STR("\\u")) || !unit_at(rest, 2, &low) ||
        low < 0xDC00 || low > 0xDFFF) {
        return 0; /* half a pair */
    }
    *out = 0x10000u + ((high - 0xD800u) << 10) + (low - 0xDC00u);
    return 10;
}

/* The character of the escape whose backslash is at text[at]; returns the bytes consumed, 0 when
 * there is no such escape. */
static size_t escape_at(krs_str text, size_t at, uint32_t *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (text.len - at < 2) {
        return 0;
    }
    if (text.ptr[at + 1] == 'u') {
        const size_t n = escaped_unit(text, at + 2, out);
        return n ? n + 2 : 0;
    }
    for (size_t i = 0; i < sizeof(names) - 1; i++) {
        if (text.ptr[at + 1] == names[i]) {
            *out = (unsigned char)values[i];
            return 2;
        }
    }
    return 0;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0u | c >> 6);
        out[1] = (char)(0x80u | (c & 0x3Fu));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0u | c >> 12);
        out[1] = (char)(0x80u | (c >> 6 & 0x3Fu));
        out[2] = (char)(0x80u | (c & 0x3Fu));
        return 3;
    }
    out[0] = (char)(0xF0u | c >> 18);
    out[1] = (char)(0x80u | (c >> 12 & 0x3Fu));
    out[2] = (char)(0x80u | (c >> 6 & 0x3Fu));
    out[3] = (char)(0x80u | (c & 0x3Fu));
    return 4;
}

/* Walk to the closing quote, checking every character. */
static krs_status find_close(krs_scan *scan, bool *has_escape, krs_error *err)
{
    const char *s = scan->text.ptr;
    *has_escape = false;
    while (scan->at < scan->text.len && s[scan->at] != '"') {
        uint32_t c;
        size_t n;
        if (s[scan->at] == '\\') {
            *has_escape = true;
            n = escape_at(scan->text, scan->at, &c);
        } else {
            const bool is_control = (unsigned char)s[scan->at] < 0x20;
            n = is_control ? 0 : krs_utf8_length(s + scan->at, scan->text.len - scan->at);
        }
        if (n == 0) {
            return fail_at(scan, err, "a valid UTF-8 character or escape in a string");
        }
        scan->at += n;
    }
    return scan->at < scan->text.len ? KRS_OK : fail_at(scan, err, "'\"'");
}

/* raw, already checked, with its escapes resolved; never longer than raw. */
static krs_status unescape(krs_str raw, krs_arena *arena, krs_str *out, krs_error *err)
{
    char *text = krs_arena_bytes(arena, raw.len);
    if (!text) {
        return krs_fail(err, KRS_ENOMEM, "JSON string of %zu bytes", raw.len);
    }
    size_t n = 0;
    for (size_t i = 0; i < raw.len;) {
        if (raw.ptr[i] == '\\') {
            uint32_t c = 0;
            i += escape_at(raw, i, &c);
            n += put_utf8(c, text + n);
        } else {
            text[n++] = raw.ptr[i++];
        }
    }
    *out = (krs_str){text, n};
    return KRS_OK;
}

krs_status krs_scan_str(krs_scan *scan, krs_str *out, krs_error *err)
{
    krs_status status = krs_scan_open(scan, '"', err);
    const size_t start = scan->at;
    bool has_escape = false;
    if (status == KRS_OK) {
        status = find_close(scan, &has_escape, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    const krs_str raw = {scan->text.ptr + start, scan->at - start};
    scan->at++;
    if (has_escape) {
        return unescape(raw, scan->arena, out, err);
    }
    *out = raw;
    return KRS_OK;
}

krs_status krs_scan_entry(krs_scan *scan, size_t n, bool *has_entry, krs_str *key, krs_error *err)
{
    krs_status status = krs_scan_item(scan, '}', n, has_entry, err);
    if (status == KRS_OK && *has_entry) {
        status = krs_scan_str(scan, key, err);
        status = status == KRS_OK ? krs_scan_open(scan, ':', err) : status;
        *has_entry = status == KRS_OK;
    }
    return status;
}

static bool is_digit_at(const krs_scan *scan)
{
    return scan->at < scan->text.len && scan->text.ptr[scan->at] >= '0' &&
           scan->text.ptr[scan->at] <= '9';
}

krs_status krs_scan_u64(krs_scan *scan, uint64_t *out, krs_error *err)
{
    (void)peek(scan);
    const size_t start = scan->at;
    uint64_t n = 0;
    while (is_digit_at(scan)) {
        const uint64_t digit = (uint64_t)(scan->text.ptr[scan->at] - '0');
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, digit, &n)) {
            return fail_at(scan, err, "a number under 2^64");
        }
        scan->at++;
    }
    const size_t n_digits = scan->at - start;
    const bool has_leading_zero = n_digits > 1 && scan->text.ptr[start] == '0';
    const char next = scan->at < scan->text.len ? scan->text.ptr[scan->at] : ' ';
    if (n_digits == 0 || has_leading_zero || strchr(".eE", next)) {
        scan->at = start;
        return fail_at(scan, err, "a whole number from 0 up");
    }
    *out = n;
    return KRS_OK;
}

static void skip_digits(krs_scan *scan, size_t *n)
{
    while (is_digit_at(scan)) {
        scan->at++;
        (*n)++;
    }
}

static bool accept(krs_scan *scan, char a, char b)
{
    const char c = scan->at < scan->text.len ? scan->text.ptr[scan->at] : '\0';
    if (c != a && c != b) {
        return false;
    }
    scan->at++;
    return true;
}

static krs_status skip_number(krs_scan *scan, krs_error *err)
{
    (void)accept(scan, '-', '-');
    const bool has_zero = accept(scan, '0', '0');
    size_t n_whole = has_zero;
    size_t n_fraction = 1;
    size_t n_exponent = 1;
    if (!has_zero) {
        skip_digits(scan, &n_whole);
    }
    if (accept(scan, '.', '.')) {
        n_fraction = 0;
        skip_digits(scan, &n_fraction);
    }
    if (accept(scan, 'e', 'E')) {
        n_exponent = 0;
        (void)accept(scan, '+', '-');
        skip_digits(scan, &n_exponent);
    }
    return n_whole && n_fraction && n_exponent ? KRS_OK : fail_at(scan, err, "a value");
}

static krs_status skip_word(krs_scan *scan, krs_error *err)
{
    const krs_str rest = {scan->text.ptr + scan->at, scan->text.len - scan->at};
    const krs_str words[] = {KRS_STR("true"), KRS_STR("false"), KRS_STR("null")};
    for (size_t i = 0; i < 3; i++) {
        if (krs_str_starts_with(rest, words[i])) {
            scan->at += words[i].len;
            return KRS_OK;
        }
    }
    return fail_at(scan, err, "a value");
}

static krs_status skip_scalar(krs_scan *scan, char first, krs_error *err)
{
    krs_str ignored;
    if (first == '"') {
        return krs_scan_str(scan, &ignored, err);
    }
    return first == 't' || first == 'f' || first == 'n' ? skip_word(scan, err)
                                                        : skip_number(scan, err);
}

/* Recursion, because the limit keeps it shallow. */
static krs_status skip_value(krs_scan *scan, int depth, krs_error *err)
{
    const char c = peek(scan);
    if (c != '{' && c != '[') {
        return skip_scalar(scan, c, err);
    }
    if (depth == KRS_SCAN_MAX_DEPTH) {
        return fail_at(scan, err, "less nesting");
    }
    scan->at++;
    krs_status status = KRS_OK;
    for (size_t n = 0; status == KRS_OK; n++) {
        bool has_item;
        krs_str key;
        status = c == '{' ? krs_scan_entry(scan, n, &has_item, &key, err)
                          : krs_scan_item(scan, ']', n, &has_item, err);
        if (!has_item) {
            break;
        }
        status = skip_value(scan, depth + 1, err);
    }
    return status;
}

krs_status krs_scan_skip(krs_scan *scan, krs_error *err)
{
    return skip_value(scan, 0, err);
}

krs_status krs_scan_end(krs_scan *scan, krs_error *err)
{
    (void)peek(scan);
    return scan->at == scan->text.len ? KRS_OK : fail_at(scan, err, "the end");
}
