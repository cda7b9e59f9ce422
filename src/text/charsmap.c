/* text/charsmap.c - see charsmap.h.
 * Most text is ASCII, where a character not followed by a mark is a cluster; which of those have rules is
 * found out once, and the others are copied. */
#include "text/charsmap.h"

#include "text/unicode.h"

#include <utf8proc.h>

#define MAX_CLUSTER_BYTES 5 /* the longest cluster that is looked up as a whole */
#define UNIT_BYTES        4
#define N_ASCII           128

/* What a look-up found: a replacement, or no rule. */
typedef struct rule {
    krs_str text;
    bool is_there;
} rule;

struct krs_charsmap {
    const krs_alloc *alloc;
    uint32_t *units; /* [n_units] */
    size_t n_units;
    krs_str texts; /* the replacements; well-formed, points into block */
    char *block;
    bool has_rule[N_ASCII];
};

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode all of s into out[3 * s.len / 4]; false when it is not base64. *n: bytes written. */
static bool decode_base64(krs_str s, char *out, size_t *n)
{
    *n = 0;
    if (s.len % 4 != 0) {
        return false;
    }
    while (s.len > 0 && s.ptr[s.len - 1] == '=' && s.len % 4 != 2) {
        s.len--;
    }
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < s.len; i++) {
        const int digit = digit_of(s.ptr[i]);
        if (digit < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)digit) & 0xFFFFu;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[(*n)++] = (char)(bits >> n_bits & 0xFFu);
        }
    }
    return (bits & ((1u << n_bits) - 1)) == 0; /* bits behind the last byte say nothing */
}

static uint32_t load_u32(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where the children of a unit begin, relative to it. */
static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

static bool has_value(uint32_t unit)
{
    return (unit & 1u << 8) != 0;
}

/* The byte that leads to a unit; a value has a high bit that no byte has. */
static uint32_t label_of(uint32_t unit)
{
    return unit & (1u << 31 | 0xFFu);
}

static rule rule_at(const krs_charsmap *map, uint32_t offset)
{
    if (offset >= map->texts.len || ((unsigned char)map->texts.ptr[offset] & 0xC0u) == 0x80u) {
        return (rule){{NULL, 0}, false};
    }
    const char *text = map->texts.ptr + offset;
    const char *end = memchr(text, '\0', map->texts.len - offset);
    return (rule){{text, end ? (size_t)(end - text) : map->texts.len - offset}, true};
}

/* The rule of the shortest beginning of s that has one. */
static rule find(const krs_charsmap *map, krs_str s)
{
    size_t at = offset_of(map->units[0]);
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char byte = (unsigned char)s.ptr[i];
        at ^= byte;
        if (byte == 0 || at >= map->n_units || label_of(map->units[at]) != byte) {
            break;
        }
        const uint32_t unit = map->units[at];
        at ^= offset_of(unit);
        if (has_value(unit)) {
            return at < map->n_units ? rule_at(map, map->units[at] & ~(1u << 31))
                                     : (rule){{NULL, 0}, false};
        }
    }
    return (rule){{NULL, 0}, false};
}

/* Cut the block into units and texts. */
static krs_status read_block(krs_charsmap *map, krs_str block, krs_error *err)
{
    const uint32_t n_bytes = block.len >= UNIT_BYTES ? load_u32(block.ptr) : 0;
    if (block.len < UNIT_BYTES || n_bytes > block.len - UNIT_BYTES || n_bytes < UNIT_BYTES) {
        return krs_fail(err, KRS_EFORMAT,
                        "precompiled_charsmap: a trie of %u bytes in a block of %zu", n_bytes,
                        block.len);
    }
    map->n_units = n_bytes / UNIT_BYTES;
    /* What is left of the trie's length belongs to the texts, as the reference reads it. */
    const size_t n_before = UNIT_BYTES + map->n_units * UNIT_BYTES;
    map->texts = (krs_str){block.ptr + n_before, block.len - n_before};
    if (krs_utf8_valid_prefix(map->texts) != map->texts.len) {
        return krs_fail(err, KRS_EFORMAT, "precompiled_charsmap: its texts are not UTF-8");
    }
    map->units = krs_alloc_array(map->alloc, map->n_units, sizeof(map->units[0]));
    if (!map->units) {
        return krs_fail(err, KRS_ENOMEM, "precompiled_charsmap: out of memory");
    }
    for (size_t i = 0; i < map->n_units; i++) {
        map->units[i] = load_u32(block.ptr + UNIT_BYTES * (i + 1));
    }
    for (unsigned c = 0; c < N_ASCII; c++) {
        const char text = (char)c;
        map->has_rule[c] = find(map, (krs_str){&text, 1}).is_there;
    }
    return KRS_OK;
}

krs_status krs_charsmap_parse(krs_str base64, const krs_alloc *alloc, krs_charsmap **out,
                              krs_error *err)
{
    *out = NULL;
    krs_charsmap *map = krs_alloc_zero(alloc, sizeof(*map));
    if (!map) {
        return krs_fail(err, KRS_ENOMEM, "precompiled_charsmap: out of memory");
    }
    map->alloc = alloc;
    map->block = krs_alloc_bytes(alloc, base64.len); /* more than it decodes to */
    size_t n = 0;
    krs_status status;
    if (!map->block) {
        status = krs_fail(err, KRS_ENOMEM, "precompiled_charsmap: out of memory");
    } else if (!decode_base64(base64, map->block, &n)) {
        status = krs_fail(err, KRS_EFORMAT, "precompiled_charsmap: not base64");
    } else {
        status = read_block(map, (krs_str){map->block, n}, err);
    }
    if (status != KRS_OK) {
        krs_charsmap_free(map);
        return status;
    }
    *out = map;
    return KRS_OK;
}

void krs_charsmap_free(krs_charsmap *map)
{
    if (map) {
        krs_alloc_free(map->alloc, map->units);
        krs_alloc_free(map->alloc, map->block);
        krs_alloc_free(map->alloc, map);
    }
}

/* Bytes of the cluster at the start of s (s.len > 0). */
static size_t cluster_at(krs_str s)
{
    utf8proc_int32_t state = 0;
    size_t n = 0;
    uint32_t last = krs_utf8_decode(s, &n);
    size_t at = n;
    while (at < s.len) {
        const uint32_t next = krs_utf8_decode((krs_str){s.ptr + at, s.len - at}, &n);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)next,
                                             &state)) {
            break;
        }
        last = next;
        at += n;
    }
    return at;
}

static krs_status apply_to_cluster(const krs_charsmap *map, krs_str cluster, krs_buf *out)
{
    const rule whole =
        cluster.len <= MAX_CLUSTER_BYTES ? find(map, cluster) : (rule){{NULL, 0}, false};
    if (whole.is_there) {
        return krs_buf_append_str(out, whole.text);
    }
    krs_status status = KRS_OK;
    for (size_t at = 0, n = 0; status == KRS_OK && at < cluster.len; at += n) {
        const krs_str rest = {cluster.ptr + at, cluster.len - at};
        (void)krs_utf8_decode(rest, &n);
        const rule one = find(map, (krs_str){rest.ptr, n});
        status =
            one.is_there ? krs_buf_append_str(out, one.text) : krs_buf_append(out, rest.ptr, n);
    }
    return status;
}

/* Bytes of the run of ASCII characters at the start of s that are clusters of their own and have no
 * rule. */
static size_t plain_run(const krs_charsmap *map, krs_str s)
{
    size_t n = 0;
    while (n < s.len && (unsigned char)s.ptr[n] < N_ASCII && s.ptr[n] != '\r' &&
           !map->has_rule[(unsigned char)s.ptr[n]]) {
        n++;
    }
    /* The last one may have marks behind it. */
    return n > 0 && n < s.len && (unsigned char)s.ptr[n] >= N_ASCII ? n - 1 : n;
}

krs_status krs_charsmap_apply(const krs_charsmap *map, krs_str text, krs_buf *out)
{
    krs_status status = krs_buf_reserve(out, text.len);
    for (size_t at = 0; status == KRS_OK && at < text.len;) {
        const size_t n_plain = plain_run(map, (krs_str){text.ptr + at, text.len - at});
        status = krs_buf_append(out, text.ptr + at, n_plain);
        at += n_plain;
        if (status == KRS_OK && at < text.len) {
            const krs_str rest = {text.ptr + at, text.len - at};
            const size_t n = cluster_at(rest);
            status = apply_to_cluster(map, (krs_str){rest.ptr, n}, out);
            at += n;
        }
    }
    return status;
}
