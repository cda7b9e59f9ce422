/* text/decode_links.c - what each link of the decoder chain does to a token or fragment.
 * Fragments begin and end at whole characters. Emitting a fragment may come in any number of parts;
 * emitting a token may not. */
#include "text/decode_priv.h"

#include "text/bytelevel.h"
#include "text/unicode.h"

krs_status krs_decoder_unspell(krs_str token, krs_buf *out)
{
    const size_t before = out->len;
    krs_status status = krs_buf_reserve(out, token.len);
    for (size_t i = 0, n = 0; status == KRS_OK && i < token.len; i += n) {
        const uint32_t c = krs_utf8_decode((krs_str){token.ptr + i, token.len - i}, &n);
        const int byte = krs_bytelevel_byte(c);
        if (byte < 0) {
            out->len = before;
            return krs_buf_append_str(out, token);
        }
        status = krs_buf_append_char(out, (char)byte);
    }
    return status;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

int krs_decoder_byte_of(krs_str token)
{
    if (token.len != 6 || memcmp(token.ptr, "<0x", 3) != 0 || token.ptr[5] != '>') {
        return -1;
    }
    const int high = hex_of(token.ptr[3]);
    const int low = hex_of(token.ptr[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

krs_status krs_decoder_despace(krs_str text, uint32_t from, bool is_dropped, krs_buf *out)
{
    krs_status status = KRS_OK;
    for (size_t i = 0, n = 0; status == KRS_OK && i < text.len; i += n) {
        const krs_str rest = {text.ptr + i, text.len - i};
        if (krs_utf8_decode(rest, &n) != from) {
            status = krs_buf_append(out, rest.ptr, n);
        } else if (!is_dropped) {
            status = krs_buf_append_char(out, ' ');
        }
    }
    return status;
}

/* Move what is certain of held's bytes to work as text: all of it, or up to an unfinished character. */
static krs_status settle_utf8(krs_decoder_link *link, bool is_end)
{
    krs_str s = krs_buf_view(&link->held);
    krs_status status = KRS_OK;
    while (status == KRS_OK && s.len > 0) {
        const size_t good = krs_utf8_valid_prefix(s);
        status = krs_buf_append(&link->work, s.ptr, good);
        s = (krs_str){s.ptr + good, s.len - good};
        size_t n = 0;
        if (status != KRS_OK || s.len == 0 ||
            (krs_utf8_scan(s, &n) == KRS_UTF8_INCOMPLETE && !is_end)) {
            break;
        }
        status = krs_buf_append(&link->work, "\xEF\xBF\xBD", 3);
        s = (krs_str){s.ptr + n, s.len - n};
    }
    if (status == KRS_OK) {
        krs_buf_consume(&link->held, link->held.len - s.len);
    }
    return status;
}

static krs_status push_work(krs_decoder_run *run, size_t i, krs_buf *out)
{
    return krs_decoder_feed(run, i + 1, krs_buf_view(&run->links[i].work), out);
}

/* Nearly every token is whole characters and meets nothing held back: its bytes are the text. */
krs_status krs_decoder_run_push_raw(krs_decoder_run *run, krs_str bytes, krs_buf *out)
{
    krs_decoder_link *link = &run->links[0];
    if (link->held.len == 0 && krs_utf8_valid_prefix(bytes) == bytes.len) {
        return krs_buf_append_str(out, bytes);
    }
    krs_buf_reset(&link->work);
    krs_status status = krs_buf_append_str(&link->held, bytes);
    if (status == KRS_OK) {
        status = settle_utf8(link, false);
    }
    return status == KRS_OK ? krs_buf_append(out, link->work.data, link->work.len) : status;
}

static krs_status push_bytelevel(krs_decoder_run *run, size_t i, krs_str token, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    krs_status status = krs_decoder_unspell(token, &link->held);
    if (status == KRS_OK) {
        status = settle_utf8(link, false);
    }
    return status == KRS_OK && link->work.len > 0 ? push_work(run, i, out) : status;
}

/* Longest end of text that a match could begin with. */
static size_t open_match(krs_str text, krs_str needle)
{
    size_t n = text.len < needle.len ? text.len : needle.len - 1;
    while (n > 0 && memcmp(text.ptr + (text.len - n), needle.ptr, n) != 0) {
        n--;
    }
    return n;
}

/* A literal replaced in a token that comes in fragments. */
static krs_status push_replace_fused(krs_decoder_run *run, size_t i, krs_str text, krs_buf *out)
{
    const krs_decoder_step *step = &run->decoder->steps[i];
    krs_decoder_link *link = &run->links[i];
    const krs_str needle = {step->needle, step->n_needle};
    krs_status status = krs_buf_append_str(&link->held, text);
    const krs_str held = {link->held.data ? link->held.data : "", link->held.len};
    size_t done = 0;
    size_t at;
    while (status == KRS_OK && (at = krs_str_find(held, needle, done)) != SIZE_MAX) {
        status = krs_buf_append(&link->work, held.ptr + done, at - done);
        if (status == KRS_OK) {
            status = krs_buf_append(&link->work, step->content, step->n_content);
        }
        done = at + needle.len;
    }
    const krs_str rest = {held.ptr + done, held.len - done};
    const size_t n_sure = rest.len - (rest.len > 0 ? open_match(rest, needle) : 0);
    if (status == KRS_OK) {
        status = krs_buf_append(&link->work, rest.ptr, n_sure);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_buf_consume(&link->held, done + n_sure);
    return link->work.len > 0 ? push_work(run, i, out) : KRS_OK;
}

static krs_status push_replace(krs_decoder_run *run, size_t i, krs_str text, krs_buf *out)
{
    const krs_decoder_step *step = &run->decoder->steps[i];
    if (step->is_fused) {
        return push_replace_fused(run, i, text, out);
    }
    const krs_status status =
        krs_pattern_replace(step->pattern, run->room, text,
                            (krs_str){step->content, step->n_content}, &run->links[i].work);
    return status == KRS_OK ? push_work(run, i, out) : status;
}

/* The run of bytes ends: text if it is UTF-8, else one U+FFFD for each byte. */
static krs_status end_byte_run(krs_decoder_run *run, size_t i, krs_buf *out)
{
    krs_buf *held = &run->links[i].held;
    const krs_str bytes = krs_buf_view(held);
    krs_status status = KRS_OK;
    if (bytes.len > 0 && krs_utf8_valid_prefix(bytes) == bytes.len) {
        status = krs_decoder_feed(run, i + 1, bytes, out);
    } else {
        for (size_t k = 0; status == KRS_OK && k < bytes.len; k++) {
            status = krs_decoder_feed(run, i + 1, KRS_STR("\xEF\xBF\xBD"), out);
        }
    }
    krs_buf_reset(held);
    return status;
}

static krs_status push_byte_fallback(krs_decoder_run *run, size_t i, krs_str token, krs_buf *out)
{
    const int byte = krs_decoder_byte_of(token);
    if (byte >= 0) {
        return krs_buf_append_char(&run->links[i].held, (char)byte);
    }
    const krs_status status = end_byte_run(run, i, out);
    return status == KRS_OK ? krs_decoder_feed(run, i + 1, token, out) : status;
}

/* Bytes of up to *n_max leading characters `c` of s; *n_max becomes what is left of it, 0 when another
 * character ended the run. */
static size_t leading(krs_str s, uint32_t c, uint32_t *n_max)
{
    size_t at = 0;
    while (*n_max > 0 && at < s.len) {
        size_t n;
        if (krs_utf8_decode((krs_str){s.ptr + at, s.len - at}, &n) != c) {
            *n_max = 0;
            break;
        }
        at += n;
        (*n_max)--;
    }
    return at;
}

/* Bytes of up to n_max trailing characters `c` of s. */
static size_t trailing(krs_str s, uint32_t c, uint32_t n_max)
{
    char mark[KRS_UTF8_MAX_BYTES];
    const krs_str end = {mark, krs_utf8_encode(c, mark)};
    size_t n = 0;
    while (n_max-- > 0 && krs_str_ends_with((krs_str){s.ptr, s.len - n}, end)) {
        n += end.len;
    }
    return n;
}

static krs_status push_strip(krs_decoder_run *run, size_t i, krs_str s, krs_buf *out)
{
    const krs_decoder_step *step = &run->decoder->steps[i];
    krs_decoder_link *link = &run->links[i];
    uint32_t n_whole = step->n_start;
    const size_t cut = leading(s, step->character, step->is_fused ? &link->n_left : &n_whole);
    s = (krs_str){s.ptr + cut, s.len - cut};
    if (!step->is_fused) {
        s.len -= trailing(s, step->character, step->n_stop);
        return krs_decoder_feed(run, i + 1, s, out);
    }
    krs_status status = krs_buf_append_str(&link->held, s);
    const krs_str held = krs_buf_view(&link->held);
    const size_t n_sure = held.len - trailing(held, step->character, step->n_stop);
    if (status == KRS_OK && n_sure > 0) {
        status = krs_decoder_feed(run, i + 1, (krs_str){held.ptr, n_sure}, out);
        krs_buf_consume(&link->held, n_sure);
    }
    return status;
}

static krs_status push_metaspace(krs_decoder_run *run, size_t i, krs_str s, krs_buf *out)
{
    const krs_decoder_step *step = &run->decoder->steps[i];
    krs_decoder_link *link = &run->links[i];
    const bool is_first = step->is_fused || !link->has_started;
    link->has_started = true;
    const krs_status status =
        krs_decoder_despace(s, step->character, is_first && !step->has_first_space, &link->work);
    return status == KRS_OK ? push_work(run, i, out) : status;
}

static krs_status push_join(krs_decoder_run *run, size_t i, krs_str s, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    const krs_status status = link->has_started && !run->decoder->steps[i].is_fused
                                  ? krs_decoder_feed(run, i + 1, KRS_STR(" "), out)
                                  : KRS_OK;
    link->has_started = true;
    return status == KRS_OK ? krs_decoder_feed(run, i + 1, s, out) : status;
}

krs_status krs_decoder_link_push(krs_decoder_run *run, size_t i, krs_str text, krs_buf *out)
{
    krs_buf_reset(&run->links[i].work);
    switch (run->decoder->steps[i].kind) {
    case KRS_DECODER_BYTELEVEL:
        return push_bytelevel(run, i, text, out);
    case KRS_DECODER_REPLACE:
        return push_replace(run, i, text, out);
    case KRS_DECODER_BYTE_FALLBACK:
        return push_byte_fallback(run, i, text, out);
    case KRS_DECODER_STRIP:
        return push_strip(run, i, text, out);
    case KRS_DECODER_METASPACE:
        return push_metaspace(run, i, text, out);
    case KRS_DECODER_JOIN:
        return push_join(run, i, text, out);
    case KRS_DECODER_WORDPIECE:
    case KRS_DECODER_BPE:
    case KRS_DECODER_CTC:
        return krs_decoder_push_word(run, i, text, out);
    default: /* Fuse: from here on text is one token */
        return krs_decoder_feed(run, i + 1, text, out);
    }
}

krs_status krs_decoder_link_finish(krs_decoder_run *run, size_t i, krs_buf *out)
{
    krs_decoder_link *link = &run->links[i];
    krs_buf_reset(&link->work);
    krs_status status = KRS_OK;
    switch (run->decoder->steps[i].kind) {
    case KRS_DECODER_BYTELEVEL:
        status = settle_utf8(link, true);
        return status == KRS_OK && link->work.len > 0 ? push_work(run, i, out) : status;
    case KRS_DECODER_BYTE_FALLBACK:
        return end_byte_run(run, i, out);
    case KRS_DECODER_REPLACE:     /* what could have become a match has not */
        if (link->held.len > 0) { /* an empty text would be a token more */
            status = krs_decoder_feed(run, i + 1, krs_buf_view(&link->held), out);
        }
        krs_buf_reset(&link->held);
        return status;
    case KRS_DECODER_BPE:
        return krs_decoder_finish_word(run, i, out);
    default: /* Strip: what is held is what goes; CTC: what came before is no matter any more */
        krs_buf_reset(&link->held);
        return KRS_OK;
    }
}
