/* text/normalize_chars.c - rewrites that look at one character at a time.
 *
 * Each is a function from a character to what becomes of it: itself, nothing, a space, or itself with
 * spaces around it.
 *
 * The Rust library takes categories from tables of Unicode 8; utf8proc's are newer. So a mark or sign that
 * was assigned since is a mark here and an unknown character there; no vocabulary of that age has it.
 *
 * Thread: any; pure.
 * Source: huggingface/tokenizers normalizers/bert.rs, strip.rs, unicode.rs, byte_level.rs. */
#include "text/normalize.h"

#include "text/bytelevel.h"

typedef enum fate {
    KEEP,
    DROP,
    SPACE,  /* a space instead */
    ISOLATE /* spaces around it */
} fate;

typedef struct range {
    uint32_t first;
    uint32_t last;
} range;

static bool is_in(const range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* What is not kept as it is. */
static krs_status write(fate what, krs_str c, krs_buf *out)
{
    krs_status status = what == DROP ? KRS_OK : krs_buf_append_char(out, ' ');
    if (status == KRS_OK && what == ISOLATE) {
        status = krs_buf_append_str(out, c);
        return status == KRS_OK ? krs_buf_append_char(out, ' ') : status;
    }
    return status;
}

/* Most characters are kept, so they are copied a run at a time. */
static krs_status rewrite(krs_str text, fate (*fate_of)(uint32_t c), krs_buf *out)
{
    krs_status status = krs_buf_reserve(out, text.len);
    size_t kept = 0; /* from here on nothing is written yet */
    for (size_t i = 0, n = 0; status == KRS_OK && i < text.len; i += n) {
        const uint32_t c = krs_utf8_decode((krs_str){text.ptr + i, text.len - i}, &n);
        const fate what = fate_of(c);
        if (what != KEEP) {
            status = krs_buf_append(out, text.ptr + kept, i - kept);
            if (status == KRS_OK) {
                status = write(what, (krs_str){text.ptr + i, n}, out);
            }
            kept = i + n;
        }
    }
    return status == KRS_OK ? krs_buf_append(out, text.ptr + kept, text.len - kept) : status;
}

/* Tab and line ends are white space here, not controls. */
static fate clean(uint32_t c)
{
    if (c >= ' ' && c < 0x7F) {
        return KEEP;
    }
    if (c == '\t' || c == '\n' || c == '\r') {
        return SPACE;
    }
    if (c == 0 || c == KRS_UNICODE_REPLACED || krs_unicode_is_other(c)) {
        return DROP;
    }
    return krs_unicode_is_space(c) ? SPACE : KEEP;
}

krs_status krs_rewrite_clean(krs_str text, krs_buf *out)
{
    return rewrite(text, clean, out);
}

/* The blocks of the original BERT code: Han ideographs, not kana or hangul; one block's first half is
 * left out there, too. */
static fate isolate_chinese(uint32_t c)
{
    static const range blocks[] = {
        {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
        {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F},
    };
    return c >= 0x3400 && is_in(blocks, sizeof(blocks) / sizeof(blocks[0]), c) ? ISOLATE : KEEP;
}

krs_status krs_rewrite_chinese(krs_str text, krs_buf *out)
{
    return rewrite(text, isolate_chinese, out);
}

static fate drop_nonspacing(uint32_t c)
{
    return krs_unicode_is_nonspacing(c) ? DROP : KEEP;
}

krs_status krs_rewrite_without_nonspacing(krs_str text, krs_buf *out)
{
    return rewrite(text, drop_nonspacing, out);
}

static fate drop_marks(uint32_t c)
{
    return krs_unicode_is_mark(c) ? DROP : KEEP;
}

krs_status krs_rewrite_without_marks(krs_str text, krs_buf *out)
{
    return rewrite(text, drop_marks, out);
}

static fate nmt(uint32_t c)
{
    static const range dropped[] = {
        {0x1, 0x8}, {0xB, 0xB}, {0xE, 0x1F}, {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F},
    };
    static const range spaces[] = {
        {0x9, 0xA},       {0xC, 0xD},       {0x1680, 0x1680}, {0x200B, 0x200F},
        {0x2028, 0x2029}, {0x2581, 0x2581}, {0xFEFF, 0xFEFF}, {0xFFFD, 0xFFFD},
    };
    if (is_in(dropped, sizeof(dropped) / sizeof(dropped[0]), c)) {
        return DROP;
    }
    return is_in(spaces, sizeof(spaces) / sizeof(spaces[0]), c) ? SPACE : KEEP;
}

krs_status krs_rewrite_nmt(krs_str text, krs_buf *out)
{
    return rewrite(text, nmt, out);
}

krs_status krs_rewrite_bytelevel(krs_str text, krs_buf *out)
{
    krs_status status = krs_buf_reserve(out, text.len);
    for (size_t i = 0; status == KRS_OK && i < text.len; i++) {
        char c[KRS_UTF8_MAX_BYTES];
        const uint32_t spelled = krs_bytelevel_char((unsigned char)text.ptr[i]);
        status = krs_buf_append(out, c, krs_utf8_encode(spelled, c));
    }
    return status;
}
